// SPDX-License-Identifier: GPL-2.0
/* No system calls here, so that unit tests reach all of it. */
#include "threshold.h"

#include <string.h>

#include "parse.h"
#include "text.h"

static int refuse(const char *text, const char *why, struct tw_err *e)
{
	tw_fail(e, TW_USAGE, "cannot use threshold %s", TW_QUOTE(text));
	tw_fact(e, "%s", why);
	return tw_cure(e, "write: late>1ms, lost, lost>5, backward");
}

int tw_threshold_parse(struct tw_thresholds *t, const char *text, struct tw_err *e)
{
	const char *why;
	uint64_t v;

	if (!strncmp(text, "late>", 5)) {
		if (tw_parse_duration(text + 5, &v, &why))
			return refuse(text, why, e);
		t->late_ns = t->late && t->late_ns < v ? t->late_ns : v;
		t->late = true;
		return TW_OK;
	}
	if (!strncmp(text, "lost", 4) && (!text[4] || text[4] == '>')) {
		v = 0;
		if (text[4] && tw_parse_u64(text + 5, &v, &why))
			return refuse(text, why, e);
		t->lost_ticks = t->lost && t->lost_ticks < v ? t->lost_ticks : v;
		t->lost = true;
		return TW_OK;
	}
	if (!strcmp(text, "backward")) {
		t->backward = true;
		return TW_OK;
	}
	return refuse(text, "there is no such condition", e);
}

uint32_t tw_threshold_kinds(const struct tw_thresholds *t)
{
	return (t->late ? 1U << TRACE_EV_DELIVERED : 0) | (t->lost ? 1U << TRACE_EV_LOST : 0) |
	       (t->backward ? 1U << TRACE_EV_KVMCLOCK | 1U << TRACE_EV_TSC : 0);
}

bool tw_threshold_hit(struct tw_thresholds *t, const struct trace_event *ev)
{
	switch (ev->kind) {
	case TRACE_EV_DELIVERED:
		return t->late && (uint64_t)(ev->a + ev->b + ev->c) > t->late_ns;
	case TRACE_EV_LOST:
		t->lost_so_far += ev->a;
		return t->lost && t->lost_so_far > t->lost_ticks;
	case TRACE_EV_KVMCLOCK:
	case TRACE_EV_TSC:
		return t->backward && ev->a < 0;
	default:
		return false;
	}
}
