// SPDX-License-Identifier: GPL-2.0
#include "judge/change.h"

#include <math.h>
#include <stdlib.h>

#include "judge/rank.h"

static double median_of(const double *y, size_t n)
{
	double *v = tw_doubles_copy(y, n), m = tw_median(v, n);

	free(v);
	return m;
}

struct tw_change tw_change(const double *y, size_t n)
{
	struct tw_change c = { .at = n / 2, .p = 1 };
	double *rank = tw_doubles(n), u = 0;
	size_t i;

	tw_ranks(y, n, rank);
	for (i = 0; i + 1 < n; i++) {
		u += 2 * rank[i] - (n + 1.0);
		if (fabs(u) > c.k) {
			c.k = fabs(u);
			c.at = i + 1;
		}
	}
	free(rank);
	c.p = fmin(1, 2 * exp(-6 * c.k * c.k / (pow(n, 3) + pow(n, 2))));
	c.before = median_of(y, c.at);
	c.after = median_of(y + c.at, n - c.at);
	return c;
}

static void split(const double *y, size_t from, size_t to, double p, size_t least,
		  struct tw_change *change, size_t *n)
{
	struct tw_change c;

	if (to - from < 2 * least || *n == TW_CHANGES_MAX)
		return;
	c = tw_change(y + from, to - from);
	if (c.p > p || c.at < least || to - from - c.at < least)
		return;
	c.at += from;
	split(y, from, c.at, p, least, change, n);
	if (*n < TW_CHANGES_MAX)
		change[(*n)++] = c;
	split(y, c.at, to, p, least, change, n);
}

size_t tw_changes(const double *y, size_t n, double p, size_t least,
		  struct tw_change change[TW_CHANGES_MAX])
{
	size_t found = 0;

	split(y, 0, n, p, least < 2 ? 2 : least, change, &found);
	return found;
}
