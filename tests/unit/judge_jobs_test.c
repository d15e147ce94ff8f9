// SPDX-License-Identifier: GPL-2.0
/* Jobs by the clock, dates that end, first failures. */
#include "tap.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "judge/days.h"
#include "judge/expiry.h"
#include "judge/failure.h"
#include "judge/jobs.h"

#define HOUR 3600.0
#define MAX 1000

static const struct tw_zone utc;

/* Berlin in 2026: summer time from 29 March, 01:00 UTC, to 25 October, 01:00 UTC */
static struct tw_shift berlin_shifts[2];
static struct tw_zone berlin = { HOUR, berlin_shifts, 2 };

static double date(int year, int month, int day, double hour)
{
	return tw_days_of(year, month, day) * TW_DAY + hour * HOUR;
}

static void make_berlin(void)
{
	berlin_shifts[0] = (struct tw_shift){ date(2026, 3, 29, 1), 2 * HOUR };
	berlin_shifts[1] = (struct tw_shift){ date(2026, 10, 25, 1), HOUR };
}

/* A letter a slip: missed, twice, moved (v), extra; capitals where DST had a hand in it */
static const char *slips(const struct tw_calendar *c, const struct tw_zone *z, double start, double end,
			 const double *ran, size_t n)
{
	static char text[MAX + 1];
	struct tw_job_slip *s;
	struct tw_due *due;
	size_t n_due = tw_jobs_due(c, z, start, end, &due), found, i;

	found = tw_jobs_judge(due, n_due, ran, n, &s);
	for (i = 0; i < found && i < MAX; i++)
		text[i] = (s[i].dst ? "MTVX" : "mtvx")[s[i].what];
	text[i] = 0;
	free(s);
	free(due);
	return text;
}

static size_t daily_runs(double first, size_t days, double *ran)
{
	size_t i;

	for (i = 0; i < days; i++)
		ran[i] = first + i * TW_DAY + 17;
	return days;
}

static void dates_there_and_back(void **state)
{
	static const struct {
		long year;
		int month, day;
		long days;
	} known[] = {
		{ 1970, 1, 1, 0 }, { 2000, 2, 29, 11016 }, { 2000, 3, 1, 11017 },
		{ 2026, 1, 1, 20454 }, { 2038, 1, 19, 24855 }, { 2100, 3, 1, 47541 },
	};
	size_t i;
	long year, d;
	int month, day;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(known); i++)
		assert_int_equal(tw_days_of(known[i].year, known[i].month, known[i].day), known[i].days);
	for (d = -1000; d < 100000; d += 17) {
		tw_date_of(d, &year, &month, &day);
		assert_int_equal(tw_days_of(year, month, day), d);
	}
}

static void daily_job_that_ran_as_due_is_not_mentioned(void **state)
{
	struct tw_calendar c = { .rule = TW_RULE_DAILY, .at = 6 * HOUR, .tolerance = 600 };
	double ran[MAX], start = date(2026, 1, 1, 0);
	size_t n = daily_runs(start + 6 * HOUR, 365, ran);

	(void)state;
	assert_string_equal(slips(&c, &utc, start, start + 365 * TW_DAY, ran, n), "");
	/* it began within the day: what ran before the first that was due is no matter */
	assert_string_equal(slips(&c, &utc, start + 6.001 * HOUR, start + 365 * TW_DAY, ran, n), "");
}

static void missed_twice_moved_and_extra_are_told_apart(void **state)
{
	struct tw_calendar c = { .rule = TW_RULE_DAILY, .at = 6 * HOUR, .tolerance = 600 };
	double ran[MAX], start = date(2026, 1, 1, 0), end = start + 20 * TW_DAY;
	size_t n = daily_runs(start + 6 * HOUR, 20, ran);

	(void)state;
	memmove(ran + 4, ran + 5, (--n - 4) * sizeof(*ran));
	assert_string_equal(slips(&c, &utc, start, end, ran, n), "m");
	n = daily_runs(start + 6 * HOUR, 20, ran);
	memmove(ran + 5, ran + 4, (n++ - 4) * sizeof(*ran));
	ran[5] += 60;
	assert_string_equal(slips(&c, &utc, start, end, ran, n), "t");
	n = daily_runs(start + 6 * HOUR, 20, ran);
	ran[7] += 5 * HOUR;
	assert_string_equal(slips(&c, &utc, start, end, ran, n), "v");
	ran[7] -= 8 * HOUR;
	assert_string_equal(slips(&c, &utc, start, end, ran, n), "v");
	n = daily_runs(start + 6 * HOUR, 20, ran);
	memmove(ran + 5, ran + 4, (n++ - 4) * sizeof(*ran));
	ran[5] += 5 * HOUR;
	assert_string_equal(slips(&c, &utc, start, end, ran, n), "x");
	/* never */
	assert_string_equal(slips(&c, &utc, start, end, ran, 0), "mmmmmmmmmmmmmmmmmmmm");
}

/* Runs at the same local time all year */
static size_t local_runs(double hour, double *ran)
{
	size_t i;

	for (i = 0; i < 365; i++) {
		double local = date(2026, 1, 1, hour) + i * TW_DAY;

		ran[i] = local - tw_zone_east(&berlin, local - HOUR) + 5;
	}
	return 365;
}

static void dst_is_known(void **state)
{
	struct tw_calendar c = { .rule = TW_RULE_DAILY, .at = 6 * HOUR, .tolerance = 300 };
	double ran[MAX], start = date(2026, 1, 1, 0), end = date(2027, 1, 1, 0);
	size_t n = local_runs(6, ran), i;

	(void)state;
	assert_string_equal(slips(&c, &berlin, start, end, ran, n), "");
	/* a program that counts 24 hours is wrong by one all summer: each of its 210 days is moved */
	n = daily_runs(start + 5 * HOUR, 365, ran);
	assert_int_equal(strlen(slips(&c, &berlin, start, end, ran, n)), 210);
	assert_int_equal(strspn(slips(&c, &berlin, start, end, ran, n), "v"), 210);

	/* half past two: not there in spring, twice in autumn */
	c.at = 2.5 * HOUR;
	n = local_runs(2.5, ran);
	for (i = 0; i < n; i++)
		if (ran[i] > date(2026, 3, 29, 0) && ran[i] < date(2026, 3, 29, 3))
			ran[i] = date(2026, 3, 29, 1) + 1;	/* cron runs it after the gap */
	assert_string_equal(slips(&c, &berlin, start, end, ran, n), "");
	for (i = 0; ran[i] < date(2026, 10, 25, 0); i++)
		;
	ran[i] = date(2026, 10, 25, 1.5);	/* the second time is as good */
	assert_string_equal(slips(&c, &berlin, start, end, ran, n), "");
	memmove(ran + i + 1, ran + i, (n++ - i) * sizeof(*ran));
	ran[i] = date(2026, 10, 25, 0.5);	/* both are not */
	assert_string_equal(slips(&c, &berlin, start, end, ran, n), "T");
	/* left out in spring */
	n = local_runs(2.5, ran);
	for (i = 0; ran[i] < date(2026, 3, 29, 0); i++)
		;
	memmove(ran + i, ran + i + 1, (--n - i) * sizeof(*ran));
	for (i = 0; ran[i] < date(2026, 10, 25, 0); i++)
		;
	assert_string_equal(slips(&c, &berlin, start, end, ran, n), "M");
}

static void weekly_and_monthly(void **state)
{
	struct tw_calendar week = { .rule = TW_RULE_WEEKLY, .day = 0, .at = 7 * HOUR },
			   month = { .rule = TW_RULE_MONTHLY, .day = 31, .at = HOUR };
	double start = date(2026, 1, 1, 0), end = date(2027, 1, 1, 0);
	struct tw_due *due;

	(void)state;
	assert_int_equal(tw_jobs_due(&week, &utc, start, end, &due), 52);
	assert_true(due[0].from <= date(2026, 1, 4, 7) && due[0].to >= date(2026, 1, 4, 7));
	free(due);
	assert_int_equal(tw_jobs_due(&month, &utc, start, end, &due), 7);
	free(due);
	/* a leap day is a day */
	month.day = 29;
	assert_int_equal(tw_jobs_due(&month, &utc, date(2028, 2, 1, 0), date(2028, 3, 1, 0), &due), 1);
	free(due);
}

static void intervals(void **state)
{
	struct tw_calendar c = { .rule = TW_RULE_EVERY, .every = HOUR, .tolerance = 60 };
	double ran[] = { 0, 3600, 7260, 14460, 14500, 18100 };
	struct tw_job_slip *s;
	size_t n = tw_jobs_judge_every(&c, ran, ARRAY_SIZE(ran), 19000, &s);

	(void)state;
	assert_int_equal(n, 2);
	assert_true(s[0].what == TW_SLIP_MISSED && s[0].due == 7260 + HOUR);
	assert_true(s[1].what == TW_SLIP_TWICE && s[1].ran == 14500);
	free(s);
	/* it ended long ago */
	n = tw_jobs_judge_every(&c, ran, 3, 1e6, &s);
	assert_int_equal(n, 1);
	free(s);
}

static void what_ends_by_the_calendar(void **state)
{
	const double day = TW_DAY;
	const struct tw_expiry_seen steady[] = { { 0, 400 * day }, { 100 * day, 400 * day } },
		ends[] = { { 0, 90 * day }, { 80 * day, 90 * day } },
		ended[] = { { 0, 90 * day }, { 89 * day, 90 * day }, { 91 * day, 90 * day } },
		back[] = { { 89 * day, 90 * day }, { 91 * day, 90 * day }, { 92 * day, 180 * day } },
		late[] = { { 89 * day, 90 * day }, { 91 * day, 180 * day } },
		renewed[] = { { 0, 90 * day }, { 60 * day, 150 * day }, { 110 * day, 150 * day } },
		overdue[] = { { 0, 90 * day }, { 60 * day, 150 * day }, { 125 * day, 150 * day } };
	struct tw_expiry e;

	(void)state;
	assert_int_equal(tw_expiry(steady, 2, 30 * day).state, TW_EXPIRY_VALID);
	e = tw_expiry(ends, 2, 30 * day);
	assert_true(e.state == TW_EXPIRY_ENDS && e.when == 90 * day && !e.renewals);
	e = tw_expiry(ended, 3, 30 * day);
	assert_true(e.state == TW_EXPIRY_ENDED && e.when == 90 * day && !e.back);
	e = tw_expiry(back, 3, 30 * day);
	assert_true(e.state == TW_EXPIRY_ENDED && e.when == 90 * day && e.back == 92 * day);
	assert_int_equal(tw_expiry(late, 2, 30 * day).state, TW_EXPIRY_ENDED);
	e = tw_expiry(renewed, 3, 60 * day);
	assert_true(e.state == TW_EXPIRY_RENEWED && e.renewals == 1);
	/* its renewal is overdue: it always came with 30 days left */
	assert_int_equal(tw_expiry(overdue, 3, 60 * day).state, TW_EXPIRY_ENDS);
}

static void first_failures_first(void **state)
{
	static const struct tw_occurrence o[] = {
		{ 50, "b.service", "again" }, { 30, "a.service", "died" }, { 20, "b.service", "died" },
	};
	struct tw_failure *f;

	(void)state;
	assert_int_equal(tw_failures(o, 3, &f), 2);
	assert_string_equal(f[0].subject, "b.service");
	assert_string_equal(f[0].text, "died");
	assert_true(f[0].first == 20 && f[0].last == 50 && f[0].count == 2 && f[1].count == 1);
	free(f);
	assert_int_equal(tw_failures(o, 0, &f), 0);
	free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates_there_and_back),
		cmocka_unit_test(daily_job_that_ran_as_due_is_not_mentioned),
		cmocka_unit_test(missed_twice_moved_and_extra_are_told_apart),
		cmocka_unit_test(dst_is_known),
		cmocka_unit_test(weekly_and_monthly),
		cmocka_unit_test(intervals),
		cmocka_unit_test(what_ends_by_the_calendar),
		cmocka_unit_test(first_failures_first),
	};

	make_berlin();
	return RUN_TAP(tests);
}
