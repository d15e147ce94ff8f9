/* SPDX-License-Identifier: GPL-2.0 */
/* What the tracer counts as rows of VMs and as lines to show, one for each source: stat and top. */
#ifndef TW_ROWS_H
#define TW_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tracer.h"

/* A VM with the sums over its vCPUs, since the start */
struct tw_row {
	struct trace_info info;
	struct trace_clocks clocks;
	struct trace_stats *stats[TRACE_NR_SOURCES];
	bool gone;
	bool seen;			/* KVM has told of the VM itself */
	/* How far the vCPUs' clocks are apart at one TSC of the host's; 0 with one vCPU */
	uint64_t tsc_apart_ticks, kvmclock_apart_ns;
};

struct tw_rows {
	struct tw_row *v;
	size_t n;
};

/**
 * tw_rows_collect - sum a snapshot up by VM
 * @t: the tracer
 * @s: what it has counted
 * @r: result, to be freed
 *
 * VMs of which nothing was seen have a row too: nothing happened is an answer.
 */
void tw_rows_collect(const struct tw_tracer *t, const struct tw_snapshot *s, struct tw_rows *r);

void tw_rows_free(struct tw_rows *r);

/* A VM's source over an interval */
struct tw_line {
	const struct tw_row *row;
	int source;			/* enum trace_source; -1: the VM has had no tick */
	struct trace_stats *stats;	/* of the interval; backlog and its maximum are as they stand */
	uint64_t jumps;			/* of the VM's clocks, the same on each of its lines */
	double seconds;
	uint64_t linear_ns;		/* width of the histograms' buckets; 0: log2 */
};

struct tw_lines {
	struct tw_line *v;
	size_t n;
};

/**
 * tw_lines_add - append a VM's lines, one for each source that it has used
 * @lines: zeroed at first, to be freed
 * @row: the VM; it must outlive the lines
 * @before: the rows at the begin of the interval; empty: since the start
 * @seconds: the interval
 * @linear_ns: see struct tw_tracer_opts
 */
void tw_lines_add(struct tw_lines *lines, const struct tw_row *row, const struct tw_rows *before,
		  double seconds, uint64_t linear_ns);

void tw_lines_free(struct tw_lines *lines);

enum tw_order { TW_BY_WORST, TW_BY_LOST, TW_BY_OWED, TW_BY_JUMPS, TW_BY_MAX, TW_BY_P99, TW_BY_AVG,
		TW_BY_RATE, TW_BY_NAME, TW_NR_ORDERS };

const char *tw_order_name(enum tw_order order);

/*
 * Sorts the lines, the worst first.  By worst: by ticks lost, then those owed, then jumps of
 * clocks, then the latest tick.  What is equal stands by VM and source, so that nothing flickers.
 */
void tw_lines_sort(struct tw_lines *lines, enum tw_order order);

/* How wide the first column is in 80 columns, and a line at most */
#define TW_ROW_VM 11
#define TW_ROW_MAX 256

/* One line of text, @name cut to @width columns; the head is that of the columns */
const char *tw_line_format(char *buf, size_t size, const struct tw_line *line, const char *name,
			   int width);
const char *tw_rows_head(char *buf, size_t size, int width);

#endif /* TW_ROWS_H */
