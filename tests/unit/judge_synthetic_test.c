// SPDX-License-Identifier: GPL-2.0
/*
 * The judge of a series on series made up, sampled each six hours, with fixed seeds: what leaks is
 * found, and what does not is not blamed.
 */
#include "tap.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "judge/multiple.h"
#include "judge/series.h"
#include "synthetic.h"

#define ALPHA 0.01		/* of a whole report */
#define SERIES 50

static struct syn s;

static struct tw_judged judge(void)
{
	return tw_judge_series(s.t, s.y, s.n);
}

/* What a report would blame, were this the one suspect among 50 series */
static bool blamed(const struct tw_judged *j)
{
	return j->p * SERIES < ALPHA;
}

/* Fifty kinds of innocence: memory, rhythm, whole numbers, long tails */
static void innocent(double days, int kind, double phi)
{
	size_t i;

	syn_flat(&s, days);
	syn_noise(&s, phi);
	if (kind % 3 == 0)
		syn_daily(&s, 2);
	for (i = 0; i < s.n; i++) {
		if (kind % 5 == 1)
			s.y[i] = round(0.7 * s.y[i]);
		else if (kind % 5 == 2)
			s.y[i] = exp(s.y[i]);
		else if (kind % 5 == 3 && syn_uniform(&s) < 0.02)
			s.y[i] += 30 * syn_uniform(&s);
	}
}

/* How many of @runs reports on 50 series that do not leak blame one of them */
static int false_alarms(double days, int runs, double phi)
{
	double p[SERIES], adjusted[SERIES];
	int alarms = 0, r, i;

	for (r = 0; r < runs; r++) {
		bool alarm = false;

		for (i = 0; i < SERIES; i++) {
			innocent(days, i, phi);
			p[i] = judge().p;
		}
		tw_holm(p, SERIES, adjusted);
		for (i = 0; i < SERIES; i++)
			alarm |= adjusted[i] < ALPHA;
		alarms += alarm;
	}
	return alarms;
}

static void no_leak_no_alarm_in_a_month(void **state)
{
	int alarms;

	(void)state;
	s.seed = 1;
	alarms = false_alarms(30, 60, 0) + false_alarms(30, 60, 0.5) + false_alarms(30, 80, 0.8);
	print_message("# %d alarms in 200 runs of 50 series of 30 days\n", alarms);
	assert_true(alarms <= 2);
}

static void no_leak_no_alarm_in_a_quarter(void **state)
{
	int alarms;

	(void)state;
	s.seed = 2;
	alarms = false_alarms(90, 50, 0.5) + false_alarms(90, 50, 0.9);
	print_message("# %d alarms in 100 runs of 50 series of 90 days\n", alarms);
	assert_true(alarms <= 1);
}

static void no_leak_no_alarm_in_a_year(void **state)
{
	int alarms;

	(void)state;
	s.seed = 3;
	alarms = false_alarms(365, 10, 0) + false_alarms(365, 10, 0.9);
	print_message("# %d alarms in 20 runs of 50 series of a year\n", alarms);
	assert_int_equal(alarms, 0);
}

/* 1 % of the noise a day over a guest-year; how many of 100 are found, and their interval is right */
static int found(double phi, double daily, int *right)
{
	int hits = 0, r;

	*right = 0;
	for (r = 0; r < 100; r++) {
		struct tw_judged j;

		syn_flat(&s, 365);
		syn_noise(&s, phi);
		syn_daily(&s, daily);
		syn_ramp(&s, 0, 0.01);
		j = judge();
		if (j.form != TW_FORM_TREND || !blamed(&j))
			continue;
		hits++;
		*right += j.slope.low * SYN_DAY <= 0.01 && 0.01 <= j.slope.high * SYN_DAY;
	}
	print_message("# memory %.1f, rhythm %.0f: %d of 100 found, the rate right in %d\n", phi, daily,
		      hits, *right);
	return hits;
}

static void leak_of_a_hundredth_a_day_is_found(void **state)
{
	int right;

	(void)state;
	s.seed = 4;
	assert_true(found(0, 0, &right) >= 98 && right >= 90);
	assert_true(found(0, 3, &right) >= 98 && right >= 90);
	assert_true(found(0.5, 3, &right) >= 95 && right >= 85);
	/* noise that remembers for days hides it more often: the price of not blaming it */
	assert_true(found(0.8, 0, &right) >= 80);
}

static void leak_that_begins_late_is_found_with_its_day(void **state)
{
	int hits = 0, r;

	(void)state;
	s.seed = 5;
	for (r = 0; r < 50; r++) {
		double day = 60 + 120 * syn_uniform(&s), off;
		struct tw_judged j;

		syn_flat(&s, 365);
		syn_noise(&s, 0.3);
		syn_ramp(&s, day, 0.02);
		j = judge();
		off = fabs((j.since - SYN_START) / SYN_DAY - day);
		hits += j.form == TW_FORM_TREND && blamed(&j) && off < 45;
	}
	assert_true(hits >= 45);
}

static void leak_is_found_beside_a_step(void **state)
{
	int hits = 0, r;

	(void)state;
	s.seed = 6;
	for (r = 0; r < 50; r++) {
		struct tw_judged j;

		syn_flat(&s, 365);
		syn_noise(&s, 0);
		syn_ramp(&s, 0, 0.01);
		syn_step(&s, 30 + 300 * syn_uniform(&s), r % 2 ? 4 : -4);
		j = judge();
		hits += j.form == TW_FORM_TREND && blamed(&j) && fabs(j.slope.middle * SYN_DAY - 0.01) < 0.004;
	}
	assert_true(hits >= 45);
}

/* Counts of 100 that are blamed, and in *form those that are taken for what they are */
static int blame(void (*make)(void), enum tw_form want, int *form)
{
	int hits = 0, r;

	*form = 0;
	for (r = 0; r < 100; r++) {
		struct tw_judged j;

		syn_flat(&s, 365);
		syn_noise(&s, r % 4 * 0.3);
		make();
		j = judge();
		hits += blamed(&j);
		*form += j.form == want;
	}
	return hits;
}

static void make_step(void)
{
	syn_step(&s, 20 + 325 * syn_uniform(&s), syn_uniform(&s) > 0.5 ? 5 : -5);
}

static void make_steps(void)
{
	syn_step(&s, 20 + 70 * syn_uniform(&s), 4);
	syn_step(&s, 100 + 100 * syn_uniform(&s), 3);
	syn_step(&s, 230 + 100 * syn_uniform(&s), 4);
}

static void make_quick_fill(void)
{
	syn_fill(&s, 5 + 20 * syn_uniform(&s), 20);
}

static void make_slow_fill(void)
{
	syn_fill(&s, 60, 20);
}

static void make_filled_up(void)
{
	double day = 40 + 280 * syn_uniform(&s);

	syn_ramp(&s, 0, 0.1);
	syn_ramp(&s, day, -0.1);
}

static void make_weekly_saw(void)
{
	syn_saw(&s, 7, 20);
}

static void make_monthly_saw(void)
{
	syn_saw(&s, 30, 20);
}

static void make_daily_saw(void)
{
	syn_saw(&s, 1, 20);
}

static void make_slow_saw(void)
{
	syn_saw(&s, 220, 20);
}

static void steps_saws_and_full_caches_are_no_leaks(void **state)
{
	static const struct {
		const char *what;
		void (*make)(void);
		enum tw_form form;
		int least;
	} rows[] = {
		{ "a step", make_step, TW_FORM_STEP, 90 },
		{ "three steps up", make_steps, TW_FORM_STEP, 90 },
		{ "a cache full in days", make_quick_fill, TW_FORM_FILLED, 90 },
		{ "a cache full in months", make_slow_fill, TW_FORM_FILLED, 90 },
		{ "a disk that fills and stays", make_filled_up, TW_FORM_FILLED, 85 },
		{ "weekly rotation", make_weekly_saw, TW_FORM_SAW, 100 },
		{ "monthly rotation", make_monthly_saw, TW_FORM_SAW, 100 },
		{ "daily rotation", make_daily_saw, TW_FORM_SAW, 80 },
		{ "one rotation", make_slow_saw, TW_FORM_SAW, 80 },
	};
	size_t i;

	(void)state;
	s.seed = 7;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		int form, hits = blame(rows[i].make, rows[i].form, &form);

		print_message("# %s: %d of 100 blamed, %d recognized\n", rows[i].what, hits, form);
		assert_int_equal(hits, 0);
		assert_true(form >= rows[i].least);
	}
}

static void teeth_that_grow_are_a_leak(void **state)
{
	int hits = 0, r;

	(void)state;
	s.seed = 8;
	for (r = 0; r < 20; r++) {
		struct tw_judged j;

		syn_flat(&s, 365);
		syn_noise(&s, 0.3);
		syn_saw(&s, 7, 20);
		syn_ramp(&s, 0, 0.05);
		j = judge();
		hits += j.form == TW_FORM_SAW && blamed(&j) && fabs(j.slope.middle * SYN_DAY - 0.05) < 0.01;
	}
	assert_int_equal(hits, 20);
}

/* Few samples, equal samples, gaps, extreme numbers: an answer, no trap and no blame */
static void odd_series_are_judged_too(void **state)
{
	size_t n, i;

	(void)state;
	s.seed = 9;
	for (n = 0; n < 70; n++) {
		struct tw_judged j;

		syn_flat(&s, 30);
		s.n = n;
		j = judge();
		assert_true(j.p == 1 && (j.form == TW_FORM_STEADY || j.form == TW_FORM_SHORT));
		syn_noise(&s, 0);
		for (i = 0; i < n; i++)
			s.y[i] *= n % 2 ? 1e300 : 1e-300;
		j = judge();
		assert_true(j.p >= 0 && j.p <= 1);
	}
	/* a month without samples in the middle of a year, and some days with one */
	syn_flat(&s, 365);
	syn_noise(&s, 0);
	syn_ramp(&s, 0, 0.05);
	for (i = n = 0; i < s.n; i++)
		if ((i < 600 || i > 720) && (i % 8 < 5 || i % 8 == 7)) {
			s.t[n] = s.t[i];
			s.y[n++] = s.y[i];
		}
	s.n = n;
	assert_true(judge().p < 1e-6);
	assert_true(fabs(judge().slope.middle * SYN_DAY - 0.05) < 0.005);
}

/* Without any noise the slope is exact; eight samples of a day apart are enough */
static void clean_growth_is_exact(void **state)
{
	struct tw_judged j;
	size_t i;

	(void)state;
	syn_flat(&s, 8);
	s.n = 32;
	syn_ramp(&s, 0, 65536);
	j = judge();
	assert_true(j.form == TW_FORM_TREND && blamed(&j));
	assert_true(fabs(j.slope.middle * SYN_DAY - 65536) < 1e-3);
	/* the other way */
	for (i = 0; i < s.n; i++)
		s.y[i] = -s.y[i];
	j = judge();
	assert_true(j.form == TW_FORM_TREND && blamed(&j) && j.slope.high < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_leak_no_alarm_in_a_month),
		cmocka_unit_test(no_leak_no_alarm_in_a_quarter),
		cmocka_unit_test(no_leak_no_alarm_in_a_year),
		cmocka_unit_test(leak_of_a_hundredth_a_day_is_found),
		cmocka_unit_test(leak_that_begins_late_is_found_with_its_day),
		cmocka_unit_test(leak_is_found_beside_a_step),
		cmocka_unit_test(steps_saws_and_full_caches_are_no_leaks),
		cmocka_unit_test(teeth_that_grow_are_a_leak),
		cmocka_unit_test(odd_series_are_judged_too),
		cmocka_unit_test(clean_growth_is_exact),
	};

	return RUN_TAP(tests);
}
