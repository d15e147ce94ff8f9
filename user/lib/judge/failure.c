// SPDX-License-Identifier: GPL-2.0
#include "judge/failure.h"

#include <stdlib.h>
#include <string.h>

#include "text.h"

static int by_subject(const void *a, const void *b)
{
	const struct tw_occurrence *x = a, *y = b;
	int order = strcmp(x->subject, y->subject);

	return order ? order : (x->t > y->t) - (x->t < y->t);
}

static int by_first(const void *a, const void *b)
{
	const struct tw_failure *x = a, *y = b;

	if (x->first != y->first)
		return x->first > y->first ? 1 : -1;
	return strcmp(x->subject, y->subject);
}

size_t tw_failures(const struct tw_occurrence *o, size_t n, struct tw_failure **f)
{
	struct tw_occurrence *v = tw_grow(NULL, n, sizeof(*v));
	size_t found = 0, i;

	*f = tw_grow(NULL, n, sizeof(**f));
	if (n)
		memcpy(v, o, n * sizeof(*v));
	qsort(v, n, sizeof(*v), by_subject);
	for (i = 0; i < n; i++) {
		struct tw_failure *last = found ? &(*f)[found - 1] : NULL;

		if (last && !strcmp(last->subject, v[i].subject)) {
			last->last = v[i].t;
			last->count++;
			continue;
		}
		(*f)[found++] = (struct tw_failure){ v[i].subject, v[i].text, v[i].t, v[i].t, 1 };
	}
	free(v);
	qsort(*f, found, sizeof(**f), by_first);
	return found;
}
