// SPDX-License-Identifier: GPL-2.0
/*
 * What grows because a part of it does: a file system with a folder, memory with a process. It is the part that is at
 * fault. Taken away from the whole at each sample, it leaves what has to be judged of that by itself.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "age/format.h"
#include "age/verdict.h"
#include "judge/rank.h"
#include "text.h"

#define NONE (-1)

/* The path in a name that begins with @head and ends with @tail, and its length; NULL if it does not */
static const char *path_in(const char *name, const char *head, const char *tail, size_t *len)
{
	size_t n = strlen(name), h = strlen(head), t = strlen(tail);

	if (n < h + t || strncmp(name, head, h) || strcmp(name + n - t, tail))
		return NULL;
	*len = n - h - t;
	return name + h;
}

/* Whether a path is below another one */
static bool below(const char *folder, size_t folder_len, const char *path, size_t len)
{
	/* all are below the root */
	if (folder_len == 1)
		folder_len = 0;
	return len > folder_len + 1 && !strncmp(folder, path, folder_len) && path[folder_len] == '/';
}

/* 1 if what the one series measures is part of what the other does, -1 if it is what is missing from that; else 0 */
static int part_of(const char *part, const char *whole)
{
	size_t len, folder_len, ignored;
	const char *path, *folder;

	if (path_in(part, "guest.proc.", ".rss", &ignored))
		return !strcmp(whole, "guest.memory.used") ? 1 :
		       !strcmp(whole, "guest.memory.available") || !strcmp(whole, "balloon.available") ? -1 : 0;
	path = path_in(part, "guest.dir.", "", &len);
	if (!path)
		return 0;
	folder = path_in(whole, "guest.fs.", ".used", &folder_len);
	if (folder)
		return below(folder, folder_len, path, len);
	folder = path_in(whole, "guest.dir.", "", &folder_len);
	return folder && below(folder, folder_len, path, len);
}

static bool is_fault(const struct tw_age_verdict *one)
{
	return one->mark == TW_MARK_FAULT && one->matter == TW_MATTER_GROWTH && one->series >= 0;
}

static const struct tw_series *series_of(const struct tw_recording *r, const struct tw_verdicts *v, size_t i)
{
	return &r->series[v->v[i].series];
}

/* Whether a fault is a part of a whole's, and not of one that is itself */
static int counts(const struct tw_recording *r, const struct tw_verdicts *v, size_t part, size_t whole)
{
	const char *name = series_of(r, v, part)->name;
	int sign = part_of(name, series_of(r, v, whole)->name);
	size_t i;

	for (i = 0; sign && i < v->n; i++)
		if (i != whole && is_fault(&v->v[i]) && part_of(name, series_of(r, v, i)->name) &&
		    part_of(series_of(r, v, i)->name, series_of(r, v, whole)->name))
			return 0;
	return sign;
}

/* Takes a part away from what is left of a whole, at the times of both; how many those are */
static size_t take(const struct tw_series *part, int sign, double *t, double *y, size_t n)
{
	size_t kept = 0, i, k = 0;

	for (i = 0; i < n; i++) {
		while (k < part->n && part->t[k] < t[i])
			k++;
		if (k == part->n || part->t[k] > t[i])
			continue;
		t[kept] = t[i];
		y[kept++] = y[i] - sign * part->y[k];
	}
	return kept;
}

/* The first of the parts by which a whole grows, if nothing of its growth is left without them; or NONE */
static int grows_by(const struct tw_recording *r, const struct tw_verdicts *v, size_t whole)
{
	const struct tw_series *s = series_of(r, v, whole);
	double *t = tw_doubles(s->n), *y = tw_doubles(s->n);
	int first = NONE, sign;
	size_t n = s->n, i;

	memcpy(t, s->t, n * sizeof(*t));
	memcpy(y, s->y, n * sizeof(*y));
	for (i = 0; i < v->n; i++) {
		if (i == whole || !is_fault(&v->v[i]) || s->counter)
			continue;
		sign = counts(r, v, i, whole);
		if (!sign)
			continue;
		n = take(series_of(r, v, i), sign, t, y, n);
		if (first == NONE)
			first = i;
	}
	if (first != NONE && tw_verdicts_is_fault(s, t, y, n, &v->o))
		first = NONE;
	free(t);
	free(y);
	return first;
}

static void append(struct tw_age_verdict *one, char *more)
{
	char *text = tw_asprintf("%s%s", one->text, more);

	free(one->text);
	free(more);
	one->text = text;
}

void tw_verdicts_wholes(const struct tw_recording *r, struct tw_verdicts *v)
{
	int *by = tw_grow(NULL, v->n, sizeof(*by));
	size_t i, cause;

	for (i = 0; i < v->n; i++)
		by[i] = is_fault(&v->v[i]) ? grows_by(r, v, i) : NONE;
	for (i = 0; i < v->n; i++) {
		const struct tw_series *s;

		if (by[i] == NONE)
			continue;
		for (cause = by[i]; by[cause] != NONE; cause = by[cause])
			;
		s = series_of(r, v, i);
		append(&v->v[i], tw_asprintf("; by %s", v->v[cause].subject));
		if (isfinite(v->v[i].when)) {
			append(&v->v[cause], tw_asprintf("; by that %s %s %s on %s", s->name,
							 s->worse > 0 ? "reaches" : "is down to",
							 TW_AMOUNT(s->has_limit ? s->limit : 0, s->unit),
							 TW_DATE_OF(v->v[i].when, v->v[i].when - r->end)));
			v->v[cause].when = fmin(v->v[cause].when, v->v[i].when);
		}
		v->v[i].mark = TW_MARK_NOTE;
		v->count[TW_MARK_FAULT]--;
		v->count[TW_MARK_NOTE]++;
	}
	free(by);
}
