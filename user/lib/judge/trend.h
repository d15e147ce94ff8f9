/* SPDX-License-Identifier: GPL-2.0 */
/* Does a series go up or down, all its rhythm and memory considered? */
#ifndef TW_JUDGE_TREND_H
#define TW_JUDGE_TREND_H

#include <stddef.h>

#include "judge/days.h"
#include "judge/slope.h"

#define TW_TREND_BLOCKS 40	/* fewer would not show a leak that is as clear as can be */

struct tw_trend {
	double p;		/* that there is none; of both directions */
	double z;		/* of the scale that doubts it most */
	double inflation;	/* of that scale's variance */
	double scale;		/* its length in seconds */
	struct tw_slope slope;	/* per second */
};

/**
 * tw_trend - judge the trend of a series
 * @d: its blocks
 * @slope_p: what the slope's interval leaves out: 0.05
 *
 * A trend must be seen at each time scale: from time of day to the same time of day (seasonal
 * Kendall), from day to day, week to week, fortnight to fortnight and so on while there are at least
 * TW_TREND_BLOCKS of them; the largest probability counts. Noise with a memory looks like a trend to a
 * scale that is shorter than the memory, and no longer to one that is above it.
 */
struct tw_trend tw_trend(const struct tw_days *d, double slope_p);

#endif /* TW_JUDGE_TREND_H */
