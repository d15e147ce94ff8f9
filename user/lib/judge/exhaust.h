/* SPDX-License-Identifier: GPL-2.0 */
/* When will a limit be reached? */
#ifndef TW_JUDGE_EXHAUST_H
#define TW_JUDGE_EXHAUST_H

#include "judge/slope.h"

struct tw_exhaust {
	double earliest, likely, latest;	/* seconds since 1970; INFINITY: never at that rate */
};

/**
 * tw_exhaust - the date at which a series meets its limit
 * @now: the time of the last sample, in seconds since 1970
 * @s: its slope, and its level at @now
 * @limit: above the level or below it; one that is met already is met now
 * @up: whether the limit is a ceiling
 */
struct tw_exhaust tw_exhaust(double now, const struct tw_slope *s, double limit, int up);

#endif /* TW_JUDGE_EXHAUST_H */
