// SPDX-License-Identifier: GPL-2.0
#include "judge/multiple.h"

#include <math.h>
#include <stdlib.h>

#include "text.h"

struct place {
	double p;
	size_t at;
};

static int compare(const void *a, const void *b)
{
	double x = ((const struct place *)a)->p, y = ((const struct place *)b)->p;

	return (x > y) - (x < y);
}

void tw_holm(const double *p, size_t n, double *adjusted)
{
	struct place *v = tw_grow(NULL, n, sizeof(*v));
	double most = 0;
	size_t i;

	for (i = 0; i < n; i++)
		v[i] = (struct place){ p[i], i };
	qsort(v, n, sizeof(*v), compare);
	for (i = 0; i < n; i++) {
		most = fmax(most, fmin(1, v[i].p * (n - i)));
		adjusted[v[i].at] = most;
	}
	free(v);
}
