/* SPDX-License-Identifier: GPL-2.0 */
/* Theil-Sen: how fast does it grow?  The median of the slopes between all pairs of samples. */
#ifndef TW_JUDGE_SLOPE_H
#define TW_JUDGE_SLOPE_H

#include <stddef.h>

struct tw_slope {
	double middle, low, high;	/* per unit of @t; low to high is the interval */
	double level;			/* of the line at the last sample: median of y - slope (t - last) */
};

/**
 * tw_slope - Theil-Sen's slope with Sen's interval (Sen 1968)
 * @t: times, strictly rising
 * @y: values
 * @n: how many, 2 or more
 * @p: what the interval leaves out on both sides together: 0.05
 * @inflation: of the variance by serial correlation, see tw_kendall_inflation(); 1 for none
 *
 * No pair is left out, however many samples: the slope of a given rank is found by bisection, and
 * the slopes below a bound are counted in O(n log n) as the pairs of y - bound * t that fall.
 */
struct tw_slope tw_slope(const double *t, const double *y, size_t n, double p, double inflation);

/* Its middle alone, to @precision of itself or of a slope that would lift a sample by a spread */
double tw_slope_middle(const double *t, const double *y, size_t n, double precision);

#endif /* TW_JUDGE_SLOPE_H */
