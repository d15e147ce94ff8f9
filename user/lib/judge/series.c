// SPDX-License-Identifier: GPL-2.0
#include "judge/series.h"

#include <math.h>
#include <stdbool.h>

#include "judge/change.h"
#include "judge/kendall.h"
#include "judge/rank.h"
#include "judge/saw.h"
#include "judge/shape.h"
#include "judge/trend.h"

#define SLOPE_P 0.05
#define LOOK_P 0.001		/* curves are fitted only where something may be */
#define MOMENTS 10.0		/* to choose from that are not much the same: each is a test of its own */
#define TEETH_LEAST 6		/* fewer show no trend */

static void judge_teeth(const struct tw_saw *s, struct tw_judged *j)
{
	struct tw_kendall k = tw_kendall_serial(s->t, s->y, s->teeth);

	j->form = TW_FORM_SAW;
	j->period = s->period;
	j->height = s->height;
	j->teeth = s->teeth;
	if (s->teeth < TEETH_LEAST)
		return;
	j->p = k.p;
	j->slope = tw_slope(s->t, s->y, s->teeth, SLOPE_P, k.inflation);
}

/* Takes the trend of blocks [from, to), one of @choices that there were, as the series' own */
static void judge_part(const struct tw_days *d, size_t from, size_t to, double choices,
		       struct tw_judged *j)
{
	struct tw_days part = { .n = to - from, .t = d->t + from, .y = d->y + from,
				.length = d->length };
	struct tw_trend r = tw_trend(&part, SLOPE_P);

	j->form = TW_FORM_TREND;
	j->p = fmin(1, choices * r.p);
	j->slope = r.slope;
	j->since = part.t[0];
}

/* A line with a step in it: of the longer piece alone, as a step can always be fitted to serve a line */
static void judge_pieces(const struct tw_days *d, size_t at, struct tw_judged *j)
{
	struct tw_judged other = *j;

	judge_part(d, 0, at, MOMENTS, j);
	judge_part(d, at, d->n, MOMENTS, &other);
	/* what ended at the step does not go on */
	if (at >= TW_SERIES_LEAST && d->n - at >= TW_SERIES_LEAST &&
	    j->slope.middle * other.slope.middle <= 0)
		j->p = other.p = 1;
	if (d->n - at >= at) {
		*j = other;
		return;
	}
	/* the line of the longer piece, at the level of the shorter */
	j->slope.level = other.slope.level;
}

/* Steps; but what still climbs behind the last of them is a trend */
static void judge_last_level(const struct tw_days *d, const struct tw_shape *s, struct tw_judged *j)
{
	struct tw_judged last = *j;

	judge_part(d, s->at[s->moments - 1], d->n, MOMENTS * s->moments, &last);
	if (last.p < LOOK_P)
		*j = last;
	else
		j->form = TW_FORM_STEP;
}

static void apply_shape(const struct tw_days *d, const struct tw_trend *r,
			const struct tw_shape *s, struct tw_judged *j)
{
	size_t i;

	for (i = 0; i < s->moments; i++)
		j->changes[j->n_changes++] = d->t[s->at[i]];
	switch (s->curve) {
	case TW_CURVE_LINE:
		j->form = TW_FORM_TREND;
		j->p = r->p;
		break;
	case TW_CURVE_STEPS:
		judge_last_level(d, s, j);
		break;
	case TW_CURVE_FILL:
		j->form = TW_FORM_FILLED;
		j->settled = s->level;
		break;
	case TW_CURVE_SATURATE:
		j->settled = s->level;
		j->form = TW_FORM_FILLED;
		/* a bow that is hardly one still climbs */
		if (s->end_share > 1.0 / 3)
			judge_part(d, d->n / 2, d->n, 1, j);
		break;
	case TW_CURVE_LATE:
	case TW_CURVE_BEND:
		judge_part(d, s->at[0], d->n, MOMENTS, j);
		break;
	case TW_CURVE_STEP_LINE:
		judge_pieces(d, s->at[0], j);
		break;
	default:
		break;
	}
}

/* Whether a curve is worth fitting; tw_shape() takes heed of memory, so this need not */
static bool worth_a_look(const struct tw_days *d, double *k)
{
	struct tw_change c = tw_change(d->y, d->n);

	*k = c.k;
	return c.p < LOOK_P || tw_kendall(d->y, d->n).p < LOOK_P;
}

/* Pettitt's probability where only a share of the samples is independent */
static double step_p(double n, double k, double independent)
{
	return fmin(1, 2 * exp(-6 * k * k * independent / (n * n * n + n * n)));
}

struct tw_judged tw_judge_series(const double *t, const double *y, size_t n)
{
	struct tw_judged j = { .form = TW_FORM_STEADY, .p = 1, .step_p = 1 };
	struct tw_trend r;
	struct tw_days d;
	struct tw_saw saw;
	double k;

	j.since = n ? t[0] : 0;
	if (n < TW_SERIES_LEAST) {
		j.form = TW_FORM_SHORT;
		return j;
	}
	tw_days(t, y, n, &d);
	r = tw_trend(&d, SLOPE_P);
	j.slope = r.slope;
	if (tw_saw(t, y, n, &saw)) {
		judge_teeth(&saw, &j);
	} else if (worth_a_look(&d, &k)) {
		struct tw_shape s = tw_shape(d.t, d.y, d.n);

		j.step_p = step_p(d.n, k, s.independent);
		apply_shape(&d, &r, &s, &j);
	}
	tw_saw_free(&saw);
	tw_days_free(&d);
	return j;
}
