// SPDX-License-Identifier: GPL-2.0
#include "judge/jobs.h"

#include <math.h>
#include <stdlib.h>

#include "judge/days.h"
#include "text.h"

#define EARLY 60.0		/* clocks of guest and sampler may differ by so much */

/* Years begin in March here, so that the leap day is the last */
long tw_days_of(long year, int month, int day)
{
	long y = month > 2 ? year : year - 1, era = (y >= 0 ? y : y - 399) / 400;
	long of_era = y - era * 400, of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

void tw_date_of(long days, long *year, int *month, int *day)
{
	long z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, of_era = z - era * 146097;
	long y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	long of_year = of_era - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;

	*day = of_year - (153 * m + 2) / 5 + 1;
	*month = m < 10 ? m + 3 : m - 9;
	*year = y + era * 400 + (*month <= 2);
}

double tw_zone_east(const struct tw_zone *z, double at)
{
	double east = z->east;
	size_t i;

	for (i = 0; i < z->n && z->shift[i].at <= at; i++)
		east = z->shift[i].east;
	return east;
}

/* The moment of a local time, or the span within which it falls where DST takes it out or doubles it */
static struct tw_due moment(const struct tw_zone *z, double local)
{
	double before, after, guess = local - tw_zone_east(z, local);
	struct tw_due d;
	size_t i;

	d = (struct tw_due){ guess, guess, false };
	for (i = 0; i < z->n; i++) {
		before = i ? z->shift[i - 1].east : z->east;
		after = z->shift[i].east;
		/* local clocks show [low, high) not at all, or twice */
		if (local < z->shift[i].at + fmin(before, after) ||
		    local >= z->shift[i].at + fmax(before, after))
			continue;
		d.dst = true;
		d.from = after > before ? z->shift[i].at : local - before;
		d.to = after > before ? local - before : local - after;
		if (d.to < d.from)
			d.to = d.from;
		return d;
	}
	/* next to a shift the guess above may have taken the wrong side */
	guess = local - tw_zone_east(z, guess);
	d.from = d.to = guess;
	return d;
}

static bool falls_on(const struct tw_calendar *c, long day)
{
	long year;
	int month, of_month;

	switch (c->rule) {
	case TW_RULE_WEEKLY:
		return ((day + 4) % 7 + 7) % 7 == c->day;
	case TW_RULE_MONTHLY:
		tw_date_of(day, &year, &month, &of_month);
		return of_month == c->day;
	default:
		return true;
	}
}

size_t tw_jobs_due(const struct tw_calendar *c, const struct tw_zone *z, double start, double end,
		   struct tw_due **due)
{
	long day = floor(start / TW_DAY) - 1, last = floor(end / TW_DAY) + 1;
	double tolerance = fmin(c->tolerance, 0.45 * TW_DAY);
	size_t n = 0;

	*due = tw_grow(NULL, last - day + 1, sizeof(**due));
	for (; day <= last; day++) {
		struct tw_due d;

		if (!falls_on(c, day))
			continue;
		d = moment(z, day * TW_DAY + c->at);
		d.from -= EARLY;
		d.to += tolerance + EARLY;
		if (d.from >= start && d.to <= end)
			(*due)[n++] = d;
	}
	return n;
}

static void add(struct tw_job_slip **slips, size_t *n, struct tw_job_slip s)
{
	*slips = tw_grow(*slips, *n + 1, sizeof(**slips));
	(*slips)[(*n)++] = s;
}

static double due_at(const struct tw_due *d)
{
	return d->from + EARLY;
}

/* A run in no window, before window @next */
static void judge_stray(const struct tw_due *due, size_t n_due, size_t next, bool *missing, double ran,
			struct tw_job_slip **slips, size_t *n)
{
	struct tw_job_slip s = { .what = TW_SLIP_EXTRA, .ran = ran };

	if (next && missing[next - 1]) {
		missing[next - 1] = false;
		s = (struct tw_job_slip){ TW_SLIP_MOVED, due_at(&due[next - 1]), ran, due[next - 1].dst };
	} else if (next < n_due && missing[next] && next + 1 < n_due &&
		   due[next].from - ran < (due[next + 1].from - due[next].from) / 2) {
		missing[next] = false;
		s = (struct tw_job_slip){ TW_SLIP_MOVED, due_at(&due[next]), ran, due[next].dst };
	}
	add(slips, n, s);
}

static int compare_slips(const void *a, const void *b)
{
	const struct tw_job_slip *x = a, *y = b;
	double t = x->due ? x->due : x->ran, u = y->due ? y->due : y->ran;

	return (t > u) - (t < u);
}

size_t tw_jobs_judge(const struct tw_due *due, size_t n_due, const double *ran, size_t n_ran,
		     struct tw_job_slip **slips)
{
	bool *missing = tw_grow(NULL, n_due, sizeof(*missing));
	size_t i, d, n = 0;

	*slips = NULL;
	for (d = 0, i = 0; d < n_due; d++) {
		size_t in = 0;

		while (i < n_ran && ran[i] < due[d].from)
			i++;
		for (; i < n_ran && ran[i] <= due[d].to; i++)
			if (in++)
				add(slips, &n, (struct tw_job_slip){ TW_SLIP_TWICE, due_at(&due[d]),
								     ran[i], due[d].dst });
		missing[d] = !in;
	}
	/* what is outside of what was due at both ends is not known to be wrong */
	for (d = 0, i = 0; i < n_ran && n_due; i++) {
		while (d < n_due && due[d].to < ran[i])
			d++;
		if (d == n_due ? missing[d - 1] : ran[i] < due[d].from && (d || missing[0]))
			judge_stray(due, n_due, d, missing, ran[i], slips, &n);
	}
	for (d = 0; d < n_due; d++)
		if (missing[d])
			add(slips, &n, (struct tw_job_slip){ TW_SLIP_MISSED, due_at(&due[d]), 0, due[d].dst });
	free(missing);
	if (n)
		qsort(*slips, n, sizeof(**slips), compare_slips);
	return n;
}

size_t tw_jobs_judge_every(const struct tw_calendar *c, const double *ran, size_t n_ran, double end,
			   struct tw_job_slip **slips)
{
	size_t i, n = 0;

	*slips = NULL;
	for (i = 0; i < n_ran; i++) {
		double next = i + 1 < n_ran ? ran[i + 1] : end, due = ran[i] + c->every;

		if (next - ran[i] > 1.5 * c->every + c->tolerance)
			add(slips, &n, (struct tw_job_slip){ TW_SLIP_MISSED, due, 0, false });
		else if (i + 1 < n_ran && next - ran[i] < 0.5 * c->every)
			add(slips, &n, (struct tw_job_slip){ TW_SLIP_TWICE, ran[i], next, false });
	}
	return n;
}
