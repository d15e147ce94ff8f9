// SPDX-License-Identifier: GPL-2.0
#include "judge/rank.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

double *tw_doubles(size_t n)
{
	return tw_grow(NULL, n, sizeof(double));
}

double *tw_doubles_copy(const double *v, size_t n)
{
	double *copy = tw_doubles(n);

	if (n)
		memcpy(copy, v, n * sizeof(*v));
	return copy;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void tw_sort(double *v, size_t n)
{
	if (n)
		qsort(v, n, sizeof(*v), compare);
}

double tw_median(double *v, size_t n)
{
	if (!n)
		return 0;
	tw_sort(v, n);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

double tw_quantile(const double *sorted, size_t n, double q)
{
	double at = q * (n - 1);
	size_t i = at;

	if (i + 1 >= n)
		return sorted[n - 1];
	return sorted[i] + (at - i) * (sorted[i + 1] - sorted[i]);
}

struct place {
	double v;
	size_t at;
};

static int compare_places(const void *a, const void *b)
{
	return compare(&((const struct place *)a)->v, &((const struct place *)b)->v);
}

void tw_ranks(const double *v, size_t n, double *rank)
{
	struct place *p = tw_grow(NULL, n, sizeof(*p));
	size_t i, j, k;

	for (i = 0; i < n; i++)
		p[i] = (struct place){ v[i], i };
	qsort(p, n, sizeof(*p), compare_places);
	for (i = 0; i < n; i = j) {
		for (j = i + 1; j < n && p[j].v == p[i].v; j++)
			;
		for (k = i; k < j; k++)
			rank[p[k].at] = (i + j + 1) / 2.0;
	}
	free(p);
}

static double insert_count(double *v, size_t n)
{
	size_t count = 0, i, j;

	for (i = 1; i < n; i++) {
		double x = v[i];

		for (j = i; j && v[j - 1] > x; j--)
			v[j] = v[j - 1];
		v[j] = x;
		count += i - j;
	}
	return count;
}

/* Sorts v[0..n) through @spare and counts what stood the wrong way round */
static double merge_count(double *v, double *spare, size_t n)
{
	size_t half = n / 2, i = 0, j = half, k = 0;
	double count;

	if (n <= 24)
		return insert_count(v, n);
	count = merge_count(v, spare, half) + merge_count(v + half, spare + half, n - half);
	while (i < half && j < n) {
		if (v[j] < v[i]) {
			count += half - i;
			spare[k++] = v[j++];
		} else {
			spare[k++] = v[i++];
		}
	}
	while (i < half)
		spare[k++] = v[i++];
	while (j < n)
		spare[k++] = v[j++];
	memcpy(v, spare, n * sizeof(*v));
	return count;
}

double tw_inversions(double *v, size_t n)
{
	double *spare = tw_doubles(n), count = merge_count(v, spare, n);

	free(spare);
	return count;
}

/* Sums @of(t) over the groups of t equal values */
static double over_ties(const double *sorted, size_t n, double (*of)(double t))
{
	double sum = 0;
	size_t i, j;

	for (i = 0; i < n; i = j) {
		for (j = i + 1; j < n && sorted[j] == sorted[i]; j++)
			;
		if (j - i > 1)
			sum += of(j - i);
	}
	return sum;
}

static double pairs_of(double t)
{
	return t * (t - 1) / 2;
}

static double variance_of(double t)
{
	return t * (t - 1) * (2 * t + 5);
}

double tw_tied_pairs(const double *sorted, size_t n)
{
	return over_ties(sorted, n, pairs_of);
}

double tw_tied_variance(const double *sorted, size_t n)
{
	return over_ties(sorted, n, variance_of);
}

double tw_normal_p(double z)
{
	return erfc(fabs(z) / M_SQRT2);
}

double tw_normal_z(double p)
{
	double low = 0, high = 40;

	while (high - low > 1e-12) {
		double z = (low + high) / 2;

		if (tw_normal_p(z) > p)
			low = z;
		else
			high = z;
	}
	return low;
}
