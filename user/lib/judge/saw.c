// SPDX-License-Identifier: GPL-2.0
#include "judge/saw.h"

#include <math.h>
#include <stdlib.h>

#include "judge/kendall.h"
#include "judge/rank.h"
#include "text.h"

#define TOOTH_LEAST 3		/* samples */

/* From one drop to the next: [from, to) */
static bool rises(const double *y, size_t from, size_t to, double spread)
{
	double pairs = (to - from) * (to - from - 1.0) / 2;

	return to - from >= TOOTH_LEAST && y[to - 1] - y[from] > 0.3 * spread &&
	       tw_kendall(y + from, to - from).s > 0.5 * pairs;
}

static double spread_of(const double *y, size_t n)
{
	double *v = tw_doubles_copy(y, n), r;

	tw_sort(v, n);
	r = tw_quantile(v, n, 0.975) - tw_quantile(v, n, 0.025);
	free(v);
	return r;
}

/* The first samples of the teeth; false if it jumps up as often as down */
static bool find_drops(const double *y, size_t n, double spread, size_t *at, size_t *drops)
{
	size_t i, ups = 0;

	*drops = 0;
	for (i = 1; i < n; i++) {
		if (y[i] - y[i - 1] < -0.4 * spread)
			at[(*drops)++] = i;
		ups += y[i] - y[i - 1] > 0.4 * spread;
	}
	return *drops && 4 * ups <= *drops;
}

/* The pieces before the first drop and behind the last may be too short to rise */
static size_t count_rising(const double *y, const size_t *at, size_t drops, double spread)
{
	size_t i, rising = 0;

	for (i = 0; i + 1 < drops; i++)
		rising += rises(y, at[i], at[i + 1], spread);
	return rising;
}

static bool looks_like(const double *y, const size_t *at, size_t drops, double spread)
{
	if (drops > 2)
		return 5 * count_rising(y, at, drops, spread) >= 4 * (drops - 1);
	/* one or two: each must undo what rose before it, so that a cleaning-up of a leak is none */
	return rises(y, 0, at[0], spread) && y[at[0]] - y[0] < 0.25 * spread &&
	       (drops == 1 || (rises(y, at[0], at[1], spread) &&
			       y[at[1]] - y[at[0]] < 0.25 * spread));
}

static void measure(const double *t, const double *y, const size_t *at, size_t drops, double sign,
		    struct tw_saw *s)
{
	double *step = tw_doubles(drops), *height = tw_doubles(drops), *v;
	size_t i;

	s->drops = drops;
	s->t = tw_doubles(drops);
	s->y = tw_doubles(drops);
	for (i = 0; i < drops; i++)
		height[i] = y[at[i] - 1] - y[at[i]];
	for (i = 0; i + 1 < drops; i++) {
		size_t from = at[i], to = at[i + 1];

		step[i] = t[to] - t[from];
		v = tw_doubles_copy(y + from, to - from);
		s->t[s->teeth] = (t[from] + t[to - 1]) / 2;
		s->y[s->teeth++] = sign * tw_median(v, to - from);
		free(v);
	}
	s->period = drops > 1 ? tw_median(step, drops - 1) : 0;
	s->height = sign * tw_median(height, drops);
	free(step);
	free(height);
}

static bool one_way(const double *t, const double *y, size_t n, double sign, struct tw_saw *s)
{
	double spread = spread_of(y, n);
	size_t *at = tw_grow(NULL, n, sizeof(*at)), drops;
	bool is = spread > 0 && find_drops(y, n, spread, at, &drops) &&
		  looks_like(y, at, drops, spread);

	if (is)
		measure(t, y, at, drops, sign, s);
	free(at);
	return is;
}

bool tw_saw(const double *t, const double *y, size_t n, struct tw_saw *s)
{
	double *mirror;
	size_t i;
	bool is;

	*s = (struct tw_saw){ 0 };
	if (n < 2 * TOOTH_LEAST)
		return false;
	if (one_way(t, y, n, 1, s))
		return true;
	mirror = tw_doubles(n);
	for (i = 0; i < n; i++)
		mirror[i] = -y[i];
	is = one_way(t, mirror, n, -1, s);
	free(mirror);
	return is;
}

void tw_saw_free(struct tw_saw *s)
{
	free(s->t);
	free(s->y);
	*s = (struct tw_saw){ 0 };
}
