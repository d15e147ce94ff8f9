// SPDX-License-Identifier: GPL-2.0
#include "judge/exhaust.h"

#include <math.h>

/* Seconds until @left is used up at @rate, which counts towards the limit */
static double until(double left, double rate)
{
	if (left <= 0)
		return 0;
	return rate > 0 ? left / rate : INFINITY;
}

struct tw_exhaust tw_exhaust(double now, const struct tw_slope *s, double limit, int up)
{
	double left = up ? limit - s->level : s->level - limit;
	double fast = up ? s->high : -s->low, slow = up ? s->low : -s->high;

	return (struct tw_exhaust){
		.earliest = now + until(left, fast),
		.likely = now + until(left, up ? s->middle : -s->middle),
		.latest = now + until(left, slow),
	};
}
