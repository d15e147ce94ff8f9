// SPDX-License-Identifier: GPL-2.0
#include "judge/kendall.h"

#include <math.h>
#include <stdlib.h>

#include "judge/rank.h"
#include "judge/slope.h"
#include "text.h"

#define EXACT_MAX 10

/* Of two sequences: S, and what the ties in the second take from its variance */
static double score(const double *y, size_t n, double *tied)
{
	double *v = tw_doubles_copy(y, n), falling = tw_inversions(v, n);
	double s = n * (n - 1.0) / 2 - tw_tied_pairs(v, n) - 2 * falling;

	*tied = tw_tied_variance(v, n);
	free(v);
	return s;
}

/* P(S >= s) of n values in random order, counted: permutations by their number of inversions */
static double exact_tail(size_t n, double s)
{
	double count[EXACT_MAX * (EXACT_MAX - 1) / 2 + 1] = { 1 }, sum = 0, all = 1;
	size_t pairs = n * (n - 1) / 2, most = 0, i, m;

	for (m = 2; m <= n; m++) {
		double next[sizeof(count) / sizeof(*count)] = { 0 };
		size_t k;

		for (i = 0; i <= most; i++)
			for (k = 0; k < m; k++)
				next[i + k] += count[i];
		most += m - 1;
		for (i = 0; i <= most; i++)
			count[i] = next[i];
		all *= m;
	}
	for (i = 0; i <= pairs && (double)pairs - 2.0 * i >= s; i++)
		sum += count[i];
	return sum / all;
}

/* From S and its variance to z and p; the step of S from one order to the next is 2 */
static void conclude(struct tw_kendall *k)
{
	double var = k->var * k->inflation, s = fabs(k->s) - 1;

	k->z = var > 0 && s > 0 ? copysign(s / sqrt(var), k->s) : 0;
	k->p = tw_normal_p(k->z);
}

struct tw_kendall tw_kendall(const double *y, size_t n)
{
	struct tw_kendall k = { .inflation = 1, .p = 1 };
	double tied;

	if (n < 2)
		return k;
	k.s = score(y, n, &tied);
	k.var = (n * (n - 1.0) * (2.0 * n + 5) - tied) / 18;
	conclude(&k);
	if (n <= EXACT_MAX && !tied)
		k.p = k.s ? fmin(1, 2 * exact_tail(n, fabs(k.s))) : 1;
	return k;
}

void tw_kendall_inflate(struct tw_kendall *k, double inflation)
{
	if (inflation <= 1)
		return;
	k->inflation = inflation;
	conclude(k);
}

struct tw_kendall tw_kendall_serial(const double *t, const double *y, size_t n)
{
	struct tw_kendall k = tw_kendall(y, n);

	tw_kendall_inflate(&k, tw_kendall_inflation(t, y, n));
	return k;
}

/* How much a correlation at @lag weighs in the variance of S */
static double weight(double n, double lag)
{
	return 2 * (n - lag) * (n - lag - 1) * (n - lag - 2) / (n * (n - 1) * (n - 2));
}

static double correlation(const double *v, size_t n, size_t lag, double mean, double square)
{
	double sum = 0;
	size_t i;

	for (i = 0; i + lag < n; i++)
		sum += (v[i] - mean) * (v[i + lag] - mean);
	return sum / square;
}

/* Hamed and Rao: what is beyond chance at 5 %, of a quarter of all lags */
static double significant_lags(const double *rank, size_t n, double mean, double square)
{
	double sum = 1, chance = 1.96 / sqrt(n);
	size_t lag;

	for (lag = 1; lag <= n / 4; lag++) {
		double r = correlation(rank, n, lag, mean, square);

		if (fabs(r) > chance)
			sum += weight(n, lag) * r;
	}
	return sum;
}

/* An autoregression of first order, at the upper 95 % bound of its coefficient */
static double first_order(double r, size_t n)
{
	double sum = 1, power = 1;
	size_t lag;

	r = fmin((n * r + 2) / (n - 4) + 1.645 / sqrt(n), 0.995);
	if (r <= 0)
		return 1;
	for (lag = 1; lag + 2 < n && power > 1e-9; lag++) {
		power *= r;
		sum += weight(n, lag) * power;
	}
	return sum;
}

double tw_kendall_inflation(const double *t, const double *y, size_t n)
{
	double *v, *rank, mean = (n + 1) / 2.0, square = 0, slope, inflation = 1;
	size_t i;

	if (n < 6)
		return 1;
	v = tw_doubles(n);
	rank = tw_doubles(n);
	slope = tw_slope_middle(t, y, n, 1e-4);
	for (i = 0; i < n; i++)
		v[i] = y[i] - slope * (t[i] - t[0]);
	tw_ranks(v, n, rank);
	for (i = 0; i < n; i++)
		square += (rank[i] - mean) * (rank[i] - mean);
	if (square > 0)
		inflation = fmax(significant_lags(rank, n, mean, square),
				 first_order(correlation(rank, n, 1, mean, square), n));
	free(v);
	free(rank);
	return fmax(inflation, 1);
}

/* One time of day */
struct slot {
	double *v, *rank, s, var;
};

static void read_slot(struct slot *c, const double *y, size_t days, size_t slots, size_t at)
{
	double tied;
	size_t i;

	c->v = tw_doubles(days);
	c->rank = tw_doubles(days);
	for (i = 0; i < days; i++)
		c->v[i] = y[i * slots + at];
	tw_ranks(c->v, days, c->rank);
	c->s = score(c->v, days, &tied);
	c->var = (days * (days - 1.0) * (2.0 * days + 5) - tied) / 18;
}

struct pair {
	double x, y;
};

static int compare_pairs(const void *a, const void *b)
{
	const struct pair *p = a, *q = b;

	if (p->x != q->x)
		return p->x > q->x ? 1 : -1;
	return (p->y > q->y) - (p->y < q->y);
}

/* Sum of sgn((x[j] - x[i]) (y[j] - y[i])) over all pairs, by Knight's method (1966) */
static double agreement(const struct slot *a, const struct slot *b, size_t n)
{
	struct pair *p = tw_grow(NULL, n, sizeof(*p));
	double *v = tw_doubles(n), both = 0, ties_x = 0, falling;
	size_t i, j;

	for (i = 0; i < n; i++)
		p[i] = (struct pair){ a->v[i], b->v[i] };
	qsort(p, n, sizeof(*p), compare_pairs);
	for (i = 0; i < n; i = j) {
		size_t same = 1;

		for (j = i + 1; j < n && p[j].x == p[i].x; j++) {
			same = p[j].y == p[j - 1].y ? same + 1 : 1;
			both += same - 1;
		}
		ties_x += (j - i) * (j - i - 1.0) / 2;
	}
	for (i = 0; i < n; i++)
		v[i] = p[i].y;
	falling = tw_inversions(v, n);
	both += n * (n - 1.0) / 2 - ties_x - tw_tied_pairs(v, n) - 2 * falling;
	free(v);
	free(p);
	return both;
}

/* Hirsch and Slack's estimate, from Dietz and Killeen (1981) */
static double covariance(const struct slot *a, const struct slot *b, size_t n)
{
	double sum = agreement(a, b, n);
	size_t i;

	for (i = 0; i < n; i++)
		sum += 4 * a->rank[i] * b->rank[i];
	return (sum - n * (n + 1.0) * (n + 1.0)) / 3;
}

struct tw_kendall tw_kendall_seasonal(const double *y, size_t days, size_t slots)
{
	struct slot *c = tw_grow(NULL, slots, sizeof(*c));
	struct tw_kendall k = { .inflation = 1, .p = 1 };
	size_t i, j;

	for (i = 0; i < slots; i++) {
		read_slot(&c[i], y, days, slots, i);
		k.s += c[i].s;
		k.var += c[i].var;
		for (j = 0; j < i; j++)
			k.var += 2 * covariance(&c[i], &c[j], days);
	}
	/* slots that undo each other would make the sum more certain than one of them is */
	for (i = 0; i < slots; i++) {
		k.var = fmax(k.var, c[i].var);
		free(c[i].v);
		free(c[i].rank);
	}
	free(c);
	conclude(&k);
	return k;
}
