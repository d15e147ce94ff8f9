/* SPDX-License-Identifier: GPL-2.0 */
/* Conditions on trace events: "late>1ms", "lost", "lost>5", "backward". */
#ifndef TW_THRESHOLD_H
#define TW_THRESHOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "trace.h"

struct tw_thresholds {
	bool late, lost, backward;
	uint64_t late_ns;		/* hit by a tick later than that */
	uint64_t lost_ticks;		/* hit once more ticks than that are lost, all VMs together */
	uint64_t lost_so_far;
};

/**
 * tw_threshold_parse - add a condition
 * @t: the conditions so far, zeroed at first
 * @text: one of "late>TIME", "lost", "lost>N", "backward"
 * @e: error
 *
 * Return: 0 or TW_USAGE
 */
int tw_threshold_parse(struct tw_thresholds *t, const char *text, struct tw_err *e);

/* Which kinds of events the conditions need to see, a set of enum trace_kind */
uint32_t tw_threshold_kinds(const struct tw_thresholds *t);

/* Whether an event fulfils one of them */
bool tw_threshold_hit(struct tw_thresholds *t, const struct trace_event *ev);

#endif /* TW_THRESHOLD_H */
