// SPDX-License-Identifier: GPL-2.0
/* Marks on the axis of time: what the calendar has, and what verdicts are about. */
#include "age/chart.h"

#include <math.h>
#include <stdlib.h>

#include "age/format.h"
#include "judge/days.h"
#include "text.h"

#define END_OF_32_BITS 2147483648.0

const char *tw_flag_name(enum tw_flag flag)
{
	static const char *const names[] = { "clock change", "new year", "leap day", "2038", "job", "expiry",
					     "failure" };

	return names[flag];
}

static void add(struct tw_marks_at *m, const struct tw_recording *r, double t, enum tw_flag flag,
		char *text)
{
	if (!(t >= r->start && t <= r->end)) {
		free(text);
		return;
	}
	m->v = tw_grow(m->v, m->n + 1, sizeof(*m->v));
	m->v[m->n++] = (struct tw_mark_at){ t, flag, text };
}

static void add_calendar(struct tw_marks_at *m, const struct tw_recording *r)
{
	long year, last;
	int month, day;
	size_t i;

	tw_date_of(floor(r->start / TW_DAY), &year, &month, &day);
	tw_date_of(floor(r->end / TW_DAY), &last, &month, &day);
	for (; year <= last; year++) {
		long leap = tw_days_of(year, 2, 29);

		add(m, r, tw_days_of(year, 1, 1) * TW_DAY, TW_FLAG_YEAR, tw_asprintf("%ld begins", year));
		tw_date_of(leap, &(long){ 0 }, &month, &day);
		if (month == 2)
			add(m, r, leap * TW_DAY, TW_FLAG_LEAP, tw_asprintf("29 February %ld", year));
	}
	for (i = 0; i < r->zone.n; i++)
		add(m, r, r->shifts[i].at, TW_FLAG_DST,
		    tw_asprintf("%s: clocks %s", TW_DAY_OF(r->shifts[i].at),
				r->shifts[i].east > (i ? r->shifts[i - 1].east : r->zone.east) ? "forward" : "back"));
	add(m, r, END_OF_32_BITS, TW_FLAG_2038, tw_strdup("2038-01-19 03:14:08: 32 bits of seconds end"));
}

void tw_marks_find(const struct tw_recording *r, const struct tw_verdicts *v, struct tw_marks_at *m)
{
	size_t i;

	*m = (struct tw_marks_at){ 0 };
	add_calendar(m, r);
	for (i = 0; i < v->n; i++) {
		const struct tw_age_verdict *one = &v->v[i];
		enum tw_flag flag = one->matter == TW_MATTER_JOB ? TW_FLAG_JOB :
				    one->matter == TW_MATTER_EXPIRY ? TW_FLAG_EXPIRY : TW_FLAG_FAILURE;

		if (one->mark != TW_MARK_FAULT || one->matter == TW_MATTER_GROWTH)
			continue;
		add(m, r, one->when, flag, tw_asprintf("%s: %s", one->subject, one->text));
	}
}

void tw_marks_free(struct tw_marks_at *m)
{
	size_t i;

	for (i = 0; i < m->n; i++)
		free(m->v[i].text);
	free(m->v);
	*m = (struct tw_marks_at){ 0 };
}
