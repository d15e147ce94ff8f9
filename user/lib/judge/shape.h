/* SPDX-License-Identifier: GPL-2.0 */
/* Which simple curve describes a series best: a line, a step, a cache that fills up and stays? */
#ifndef TW_JUDGE_SHAPE_H
#define TW_JUDGE_SHAPE_H

#include <stddef.h>

#define TW_STEPS_MAX 4

enum tw_curve {
	TW_CURVE_FLAT,
	TW_CURVE_LINE,
	TW_CURVE_STEPS,		/* up to TW_STEPS_MAX of them, flat between */
	TW_CURVE_FILL,		/* a line up to a moment, then flat */
	TW_CURVE_SATURATE,	/* a + c (1 - exp(-t / tau)) */
	TW_CURVE_LATE,		/* flat up to a moment, then a line */
	TW_CURVE_BEND,		/* a line, then one of another slope */
	TW_CURVE_STEP_LINE,	/* a line with a step in it */
	TW_CURVES
};

struct tw_shape {
	enum tw_curve curve;
	size_t at[TW_STEPS_MAX];	/* the first values behind the bend or the steps, in order */
	size_t moments;		/* how many of them */
	double independent;	/* share of the samples that its residuals' memory leaves: 1 for all */
	double end_share;	/* SATURATE: slope at the end by the mean slope; 1 for a line */
	double level;		/* FILL, SATURATE: where it ends up */
};

/**
 * tw_shape - choose a curve
 * @t: times, strictly rising
 * @y: values
 * @n: how many
 *
 * By the Bayesian information criterion (Schwarz 1978) over least squares, after single outliers are
 * taken in; with as many samples as the residuals' serial correlation leaves.
 */
struct tw_shape tw_shape(const double *t, const double *y, size_t n);

#endif /* TW_JUDGE_SHAPE_H */
