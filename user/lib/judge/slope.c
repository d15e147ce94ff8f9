// SPDX-License-Identifier: GPL-2.0
#include "judge/slope.h"

#include <math.h>
#include <stdlib.h>

#include "judge/rank.h"

#define ALL_PAIRS_MAX 64	/* up to here all slopes are simply sorted */

struct sample {
	const double *t, *y;
	size_t n;
	double *v;		/* space for the counting */
	double low, high;	/* no slope is outside: the extremes are between neighbours */
};

/* How many slopes are below @bound; with those equal to it in *@upto */
static double count_below(const struct sample *s, double bound, double *upto)
{
	double below;
	size_t i;

	for (i = 0; i < s->n; i++)
		s->v[i] = s->y[i] - bound * (s->t[i] - s->t[0]);
	below = tw_inversions(s->v, s->n);
	*upto = below + tw_tied_pairs(s->v, s->n);
	return below;
}

/* The slope with @rank, counted from 1 */
static double find_rank(const struct sample *s, double rank, double precision)
{
	double low = s->low, high = s->high, upto, below;
	int i;

	/* values that did not change are common, and their slope is 0 exactly */
	below = count_below(s, 0, &upto);
	if (below < rank && rank <= upto)
		return 0;
	if (rank <= below)
		high = fmin(high, 0);
	else
		low = fmax(low, 0);
	for (i = 0; i < 200 && high - low > precision * fmax(fabs(low), fabs(high)); i++) {
		double bound = low + (high - low) / 2;

		if (bound <= low || bound >= high)
			break;
		count_below(s, bound, &upto);
		if (upto >= rank)
			high = bound;
		else
			low = bound;
		if (fabs(high) < 1e-300 && fabs(low) < 1e-300)
			break;
	}
	return high;
}

static void open_sample(struct sample *s, const double *t, const double *y, size_t n)
{
	size_t i;

	*s = (struct sample){ .t = t, .y = y, .n = n, .v = tw_doubles(n),
			      .low = INFINITY, .high = -INFINITY };
	for (i = 0; i + 1 < n; i++) {
		double slope = (y[i + 1] - y[i]) / (t[i + 1] - t[i]);

		s->low = fmin(s->low, slope);
		s->high = fmax(s->high, slope);
	}
}

static double *all_slopes(const double *t, const double *y, size_t n)
{
	double *v = tw_doubles(n * (n - 1) / 2);
	size_t i, j, k = 0;

	for (i = 0; i < n; i++)
		for (j = i + 1; j < n; j++)
			v[k++] = (y[j] - y[i]) / (t[j] - t[i]);
	tw_sort(v, k);
	return v;
}

double tw_slope_middle(const double *t, const double *y, size_t n, double precision)
{
	double pairs = n * (n - 1.0) / 2, middle, *all;
	struct sample s;

	if (n < 2)
		return 0;
	if (n <= ALL_PAIRS_MAX) {
		all = all_slopes(t, y, n);
		middle = tw_median(all, pairs);
		free(all);
		return middle;
	}
	open_sample(&s, t, y, n);
	middle = find_rank(&s, floor((pairs + 1) / 2), precision);
	if (fmod(pairs, 2) == 0)
		middle = (middle + find_rank(&s, pairs / 2 + 1, precision)) / 2;
	free(s.v);
	return middle;
}

/* Half the interval in ranks: z standard deviations of Kendall's S */
static double half_width(const double *y, size_t n, double p, double inflation)
{
	double *v = tw_doubles_copy(y, n), var;

	tw_sort(v, n);
	var = (n * (n - 1.0) * (2.0 * n + 5) - tw_tied_variance(v, n)) / 18;
	free(v);
	return tw_normal_z(p) * sqrt(var * fmax(inflation, 1));
}

struct tw_slope tw_slope(const double *t, const double *y, size_t n, double p, double inflation)
{
	double pairs = n * (n - 1.0) / 2, half, low, high, *v;
	struct tw_slope r = { 0 };
	struct sample s;
	size_t i;

	if (n < 2) {
		r.level = n ? y[0] : 0;
		return r;
	}
	half = half_width(y, n, p, inflation);
	/* ranks as Gilbert (1987) has them, to the nearest */
	low = fmax(1, round((pairs - half) / 2));
	high = fmin(pairs, round((pairs + half) / 2 + 1));
	r.middle = tw_slope_middle(t, y, n, 1e-9);
	if (n <= ALL_PAIRS_MAX) {
		v = all_slopes(t, y, n);
		r.low = v[(size_t)low - 1];
		r.high = v[(size_t)high - 1];
		free(v);
	} else {
		open_sample(&s, t, y, n);
		r.low = find_rank(&s, low, 1e-9);
		r.high = find_rank(&s, high, 1e-9);
		free(s.v);
	}
	v = tw_doubles(n);
	for (i = 0; i < n; i++)
		v[i] = y[i] - r.middle * (t[i] - t[n - 1]);
	r.level = tw_median(v, n);
	free(v);
	return r;
}
