// SPDX-License-Identifier: GPL-2.0
#include "judge/shape.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "judge/days.h"
#include "judge/rank.h"

#define POINTS_MAX 200		/* more are joined first */
#define MOMENTS 48		/* that are tried for a bend or a step */
#define TERMS_MAX 3

/* Time goes from 0 to 1 */
struct points {
	size_t n, least;	/* no piece is shorter */
	double t[POINTS_MAX], y[POINTS_MAX];
	double flat;		/* squares about the mean */
};

struct fit {
	struct tw_shape shape;
	double squares;		/* that are left */
	int terms;		/* all that was fitted, moments included */
	double c[TERMS_MAX];	/* the mean, then each term */
	double tau, moment;
};

static double step_at(double t, double moment)
{
	return t >= moment ? 1 : 0;
}

static double term(const struct fit *f, double t, int which)
{
	double after = t > f->moment ? t - f->moment : 0;

	switch (f->shape.curve) {
	case TW_CURVE_LINE:
		return t;
	case TW_CURVE_FILL:
		return t - after;
	case TW_CURVE_SATURATE:
		return 1 - exp(-t / f->tau);
	case TW_CURVE_LATE:
		return after;
	case TW_CURVE_BEND:
		return which ? after : t;
	case TW_CURVE_STEP_LINE:
		return which ? step_at(t, f->moment) : t;
	default:
		return 0;
	}
}

static const struct {
	int linear;		/* terms beside the constant */
	int moments;
} curves[TW_CURVES] = {
	[TW_CURVE_FLAT] = { 0, 0 },
	[TW_CURVE_LINE] = { 1, 0 },
	[TW_CURVE_STEPS] = { 0, 0 },	/* see best_steps() */
	[TW_CURVE_FILL] = { 1, 1 },
	[TW_CURVE_SATURATE] = { 1, 1 },
	[TW_CURVE_LATE] = { 1, 1 },
	[TW_CURVE_BEND] = { 2, 1 },
	[TW_CURVE_STEP_LINE] = { 2, 1 },
};

/* Least squares with up to two terms, by their deviations from their means */
static void solve(const struct points *p, struct fit *f)
{
	int terms = curves[f->shape.curve].linear, k, l;
	double mean[2] = { 0 }, a[2][2] = { { 0 } }, b[2] = { 0 }, y = 0, det;
	size_t i;

	for (i = 0; i < p->n; i++) {
		y += p->y[i] / p->n;
		for (k = 0; k < terms; k++)
			mean[k] += term(f, p->t[i], k) / p->n;
	}
	for (i = 0; i < p->n; i++)
		for (k = 0; k < terms; k++) {
			double x = term(f, p->t[i], k) - mean[k];

			b[k] += x * (p->y[i] - y);
			for (l = 0; l < terms; l++)
				a[k][l] += x * (term(f, p->t[i], l) - mean[l]);
		}
	f->c[1] = f->c[2] = 0;
	det = a[0][0] * a[1][1] - a[0][1] * a[1][0];
	if (terms == 1 && a[0][0] > 0) {
		f->c[1] = b[0] / a[0][0];
	} else if (terms == 2 && det > 1e-9 * a[0][0] * a[1][1]) {
		f->c[1] = (b[0] * a[1][1] - b[1] * a[0][1]) / det;
		f->c[2] = (b[1] * a[0][0] - b[0] * a[1][0]) / det;
	}
	f->c[0] = y - f->c[1] * mean[0] - f->c[2] * mean[1];
	f->squares = p->flat - f->c[1] * b[0] - f->c[2] * b[1];
	f->terms = 1 + terms + curves[f->shape.curve].moments;
}

/* The mean of the piece between steps that place @i is in */
static double piece_mean(const struct points *p, const struct fit *f, size_t i)
{
	size_t from = 0, to = p->n, k;
	double sum = 0;

	for (k = 0; k < f->shape.moments; k++) {
		if (f->shape.at[k] <= i)
			from = f->shape.at[k];
		else if (to > f->shape.at[k])
			to = f->shape.at[k];
	}
	for (k = from; k < to; k++)
		sum += p->y[k];
	return sum / (to - from);
}

static double residual(const struct points *p, const struct fit *f, size_t i)
{
	if (f->shape.curve == TW_CURVE_STEPS)
		return p->y[i] - piece_mean(p, f, i);
	return p->y[i] - f->c[0] - f->c[1] * term(f, p->t[i], 0) - f->c[2] * term(f, p->t[i], 1);
}

/* One more step, where it leaves least; false if there is no place for it */
static bool add_step(const struct points *p, struct fit *f)
{
	size_t from = 0, n = f->shape.moments, k, i, best = 0, place = 0;
	double most = 0;

	for (k = 0; k <= n; k++) {
		size_t to = k < n ? f->shape.at[k] : p->n;
		double sum = 0, all = 0, gain;

		for (i = from; i < to; i++)
			all += p->y[i];
		for (i = from; i < to; i++) {
			size_t before = i - from, after = to - i;

			if (before >= p->least && after >= p->least) {
				gain = sum * sum / before + (all - sum) * (all - sum) / after -
				       all * all / (to - from);
				if (gain > most) {
					most = gain;
					best = i;
					place = k;
				}
			}
			sum += p->y[i];
		}
		from = to;
	}
	if (!best)
		return false;
	for (k = n; k > place; k--)
		f->shape.at[k] = f->shape.at[k - 1];
	f->shape.at[place] = best;
	f->shape.moments++;
	f->squares -= most;
	f->terms = 1 + 2 * f->shape.moments;
	return true;
}

static void keep_better(struct fit *best, const struct fit *f)
{
	if (best->squares < 0 || f->squares < best->squares)
		*best = *f;
}

static void try_between(const struct points *p, struct fit f, size_t from, size_t to, size_t stride,
			struct fit *best)
{
	size_t i;

	f.shape.moments = 1;
	for (i = from; i <= to; i += stride) {
		f.shape.at[0] = i;
		f.moment = p->t[i];
		solve(p, &f);
		keep_better(best, &f);
	}
}

/* All moments for one curve: at first some, then all next to the best of them */
static void try_moments(const struct points *p, const struct fit *f, struct fit *best)
{
	size_t last = p->n - p->least, stride = (last - p->least) / MOMENTS + 1, at;

	try_between(p, *f, p->least, last, stride, best);
	at = best->shape.at[0];
	if (stride > 1)
		try_between(p, *f, at < p->least + stride ? p->least : at - stride,
			    at + stride > last ? last : at + stride, 1, best);
}

static struct fit best_of(const struct points *p, enum tw_curve curve)
{
	struct fit f = { .shape.curve = curve, .shape.end_share = 1 }, best = f;
	int i;

	best.squares = -1;
	if (curve == TW_CURVE_SATURATE) {
		/* from a fiftieth of the span to three times it */
		for (i = 0; i < 24; i++) {
			f.tau = 0.02 * pow(150, i / 23.0);
			solve(p, &f);
			keep_better(&best, &f);
		}
	} else if (curves[curve].moments) {
		try_moments(p, &f, &best);
	} else {
		solve(p, &f);
		best = f;
	}
	return best;
}

/* How many independent samples the residuals of a fit are worth */
static double independent(const struct points *p, const struct fit *f)
{
	double r[POINTS_MAX], sum = 0, square = 0, c;
	size_t i;

	for (i = 0; i < p->n; i++) {
		r[i] = residual(p, f, i);
		square += r[i] * r[i];
	}
	for (i = 0; i + 1 < p->n; i++)
		sum += r[i] * r[i + 1];
	if (square <= 1e-9 * p->flat)
		return p->n;
	/* the bias of a coefficient that was found beside a trend, as in kendall.c */
	c = fmin(fmax((p->n * sum / square + 2) / (p->n - 4.0), 0), 0.95);
	return fmax(p->n * (1 - c) / (1 + c), fmin(p->n, 8));
}

static double criterion(const struct points *p, const struct fit *f, double n)
{
	double least = 1e-9 * p->flat, squares = f->squares > least ? f->squares : least;

	return n * log(squares / p->n) + f->terms * log(n);
}

/* A value that stands out from both of its neighbours is taken in to the nearer one */
static void take_in(struct points *p)
{
	double v[POINTS_MAX], off[POINTS_MAX], y[POINTS_MAX], bound;
	size_t i;

	for (i = 0; i < p->n; i++)
		y[i] = p->y[i];
	for (i = 1; i + 1 < p->n; i++) {
		v[0] = y[i - 1];
		v[1] = y[i];
		v[2] = y[i + 1];
		off[i - 1] = fabs(y[i] - tw_median(v, 3));
	}
	for (i = 0; i + 2 < p->n; i++)
		v[i] = off[i];
	tw_sort(v, p->n - 2);
	bound = 4 * tw_quantile(v, p->n - 2, 0.9);
	for (i = 1; i + 1 < p->n; i++)
		if (off[i - 1] > bound) {
			v[0] = y[i - 1];
			v[1] = y[i];
			v[2] = y[i + 1];
			p->y[i] = tw_median(v, 3);
		}
}

static void read_points(const double *t, const double *y, size_t n, size_t by, struct points *p)
{
	struct tw_days all = { .n = n, .t = (double *)t, .y = (double *)y }, few;
	double mean = 0;
	size_t i;

	tw_days_join(&all, by, &few);
	p->n = few.n;
	p->least = few.n / 24 < 2 ? 2 : few.n / 24;
	for (i = 0; i < p->n; i++) {
		p->t[i] = (few.t[i] - few.t[0]) / (few.t[p->n - 1] - few.t[0]);
		p->y[i] = few.y[i];
	}
	tw_days_free(&few);
	take_in(p);
	for (i = 0; i < p->n; i++)
		mean += p->y[i] / p->n;
	p->flat = 0;
	for (i = 0; i < p->n; i++)
		p->flat += (p->y[i] - mean) * (p->y[i] - mean);
}

/* What the caller wants to know of a fit, in places of the whole series */
static struct tw_shape finish(const struct fit *f, size_t n, size_t by)
{
	struct tw_shape s = f->shape;
	size_t skip = n % by, i;

	for (i = 0; i < s.moments; i++)
		s.at[i] = skip + s.at[i] * by;
	if (s.curve == TW_CURVE_FILL)
		s.level = f->c[0] + f->c[1] * f->moment;
	if (s.curve == TW_CURVE_SATURATE) {
		double end = exp(-1 / f->tau);

		s.level = f->c[0] + f->c[1];
		s.end_share = end / f->tau / (1 - end);
	}
	return s;
}

/* The steps that the criterion takes, at @samples; one at least */
static struct fit best_steps(const struct points *p, double samples)
{
	struct fit f = { .shape = { .curve = TW_CURVE_STEPS, .end_share = 1 }, .terms = 1,
			 .squares = p->flat }, best = f;

	while (f.shape.moments < TW_STEPS_MAX && add_step(p, &f))
		if (!best.shape.moments || criterion(p, &f, samples) < criterion(p, &best, samples))
			best = f;
	return best;
}

struct tw_shape tw_shape(const double *t, const double *y, size_t n)
{
	struct tw_shape none = { .curve = TW_CURVE_FLAT, .end_share = 1, .independent = 1 };
	size_t by = (n + POINTS_MAX - 1) / POINTS_MAX, best = TW_CURVE_FLAT, c;
	struct fit fit[TW_CURVES];
	double samples;
	struct points p;

	if (n < 8)
		return none;
	read_points(t, y, n, by, &p);
	if (p.flat <= 0)
		return none;
	fit[TW_CURVE_STEPS] = best_steps(&p, p.n);
	for (c = 0; c < TW_CURVES; c++) {
		if (c != TW_CURVE_STEPS)
			fit[c] = best_of(&p, c);
		if (fit[c].squares < fit[best].squares)
			best = c;
	}
	samples = independent(&p, &fit[best]);
	fit[TW_CURVE_STEPS] = best_steps(&p, samples);
	for (best = c = 0; c < TW_CURVES; c++)
		if (criterion(&p, &fit[c], samples) < criterion(&p, &fit[best], samples))
			best = c;
	fit[best].shape.independent = samples / p.n;
	return finish(&fit[best], n, by);
}
