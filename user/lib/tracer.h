/* SPDX-License-Identifier: GPL-2.0 */
/* The tracer: loads bpf/trace, and reads what it counts. For trace, hist and stat. */
#ifndef TW_TRACER_H
#define TW_TRACER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "text.h"
#include "trace.h"
#include "trace_names.h"
#include "vm.h"

struct ring_buffer;

struct tw_tracer_opts {
	const struct tw_strings *vms;	/* selectors; none: all VMs, those to come too */
	bool none_yet;			/* no VM now is no error: they come */
	const char *doing;		/* for errors: "trace" */
	bool events;			/* fill the ring buffer */
	bool armed;			/* count deadlines set by the guest: costs most */
	bool parts;			/* count the parts of the lateness: costs, too */
	uint32_t kinds, sources;	/* sets: events of these */
	int vcpu;			/* events of this one; -1: all */
	uint64_t linear_ns;		/* width of linear buckets; 0: log2 */
	uint64_t jump_ns;		/* smaller steps of a clock are drift */
};

struct tw_tracer {
	struct tw_trace_bpf *skel;	/* its programs, variables and links */
	char *logs;			/* what the kernel says of each program that it refuses */
	struct tw_strings missing;	/* programs that this kernel has no place for */
	struct tw_vms vms;		/* of the host, at the start */
	struct tw_vm **wanted;		/* those that were named; NULL: all */
	size_t nr_wanted;
	struct tw_tracer_opts opts;
	struct tw_vmms *vmms;		/* what their command lines say of lost ticks */
	uint64_t start_ns;		/* CLOCK_MONOTONIC */
	struct parked *parked;		/* units that are hidden, and will be used again */
	size_t nr_parked;
	uint64_t parked_ns;
	uint64_t tk_fast;		/* where the kernel has its fast clock; 0: not known */
	uint32_t tk_fast_id;		/* the number of its type in vmlinux's BTF; 0: not known */
	uint32_t timespec64_id;		/* and of this one */
};

/**
 * tw_tracer_start - check the host, find the VMs, load and attach
 * @t: result, to be stopped, errors included
 * @opts: copied
 * @e: error
 *
 * Return: 0 or an exit status: 4 if a VM named is not there, or none is and none was named
 */
int tw_tracer_start(struct tw_tracer *t, const struct tw_tracer_opts *opts, struct tw_err *e);

void tw_tracer_stop(struct tw_tracer *t);

/* A vCPU's or VM's part in a snapshot */
struct tw_unit {
	uint32_t id;
	struct trace_info info;
	struct trace_clocks clocks;
	struct trace_stats *stats[TRACE_NR_SOURCES];	/* NULL: nothing seen of that source */
};

struct tw_snapshot {
	struct tw_unit *v;
	size_t n;
	uint64_t now_ns;		/* CLOCK_MONOTONIC */
};

/* What has been counted so far; to be freed.  Units that are gone stay in it. */
void tw_tracer_read(const struct tw_tracer *t, struct tw_snapshot *s);
void tw_snapshot_free(struct tw_snapshot *s);

/*
 * Forgets VMs that have gone, with all that was counted of them, and lets others have their places: for who
 * looks on for months.  Not for who reads events, which name units by number.
 */
void tw_tracer_recycle(struct tw_tracer *t, const struct tw_snapshot *s);

/* Adds what is in b to a: a VM's vCPUs; all but the backlog's maximum add up */
void tw_stats_add(struct trace_stats *a, const struct trace_stats *b);
/* Takes what was there before out of it: an interval; min and max then come from the buckets */
void tw_stats_sub(struct trace_stats *now, const struct trace_stats *before, uint64_t linear);
void tw_clocks_add(struct trace_clocks *a, const struct trace_clocks *b);

/* Every tick that the guest should have had and will not get */
uint64_t tw_stats_lost(const struct trace_stats *s);
uint64_t tw_clocks_jumps(const struct trace_clocks *c);

/* Whether the VM is one to be shown, by its name */
bool tw_tracer_wants(const struct tw_tracer *t, const char *name);

/* True if VMs were named and none of them is left */
bool tw_tracer_all_gone(const struct tw_tracer *t, const struct tw_snapshot *s);

/* Events that the ring buffer, and units that the maps had no room for */
void tw_tracer_losses(const struct tw_tracer *t, uint64_t *events, uint64_t *units);

int tw_tracer_ring_fd(const struct tw_tracer *t);

#endif /* TW_TRACER_H */
