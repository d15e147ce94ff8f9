// SPDX-License-Identifier: GPL-2.0
/* The judges' statistics against published values and against their own definitions, pair by pair. */
#include "tap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "judge/change.h"
#include "judge/exhaust.h"
#include "judge/kendall.h"
#include "judge/multiple.h"
#include "judge/rank.h"
#include "judge/slope.h"
#include "synthetic.h"

static struct syn s;

#define assert_near(a, b, tolerance)							\
	do {										\
		double a_ = (a), b_ = (b);						\
		if (!(fabs(a_ - b_) <= (tolerance)))					\
			fail_msg("%s is %.12g, not %.12g", #a, a_, b_);			\
	} while (0)

/* Sen (1968), section 6: the data, the slope 4 and the interval from 26/7 to 35/8 */
static void slope_of_sen(void **state)
{
	static const double t[] = { 1, 2, 3, 4, 10, 12, 18 }, y[] = { 9, 15, 19, 20, 45, 55, 78 };
	struct tw_slope r = tw_slope(t, y, 7, 0.05, 1);

	(void)state;
	assert_near(r.middle, 4, 1e-12);
	assert_near(r.low, 26 / 7.0, 1e-12);
	assert_near(r.high, 35 / 8.0, 1e-12);
	/* at t=18 the median of 77, 79, 79, 76, 77, 79, 78 */
	assert_near(r.level, 78, 1e-12);
}

/* Helsel and Hirsch (2002), section 10.1: one outlier leaves slope and S nearly as they were */
static void slope_of_helsel(void **state)
{
	static const double t[] = { 1, 2, 3, 4, 5, 6, 7 }, y[] = { 1, 2, 3, 4, 5, 16, 7 };

	(void)state;
	assert_near(tw_slope(t, y, 7, 0.05, 1).middle, 1, 1e-12);
	assert_near(tw_kendall(y, 7).s, 19, 0);
}

/* Kendall's table as Gilbert (1987) has it as A18: the chance of S or more, one direction */
static void exact_as_gilberts_table(void **state)
{
	static const struct {
		size_t n;
		double y[10], s, p;
	} rows[] = {
		/* the data of EPA's QA/G-9 (2000), box 4-7 */
		{ 5, { 5, 6, 11, 8, 10 }, 6, 0.117 },
		{ 4, { 1, 2, 3, 4 }, 6, 0.042 },
		{ 6, { 2, 1, 3, 4, 5, 6 }, 13, 0.0083 },
		{ 8, { 3, 2, 1, 4, 8, 5, 6, 7 }, 16, 0.031 },
		{ 10, { 4, 1, 2, 3, 8, 5, 6, 7, 10, 9 }, 31, 0.0023 },
		{ 10, { 10, 1, 2, 3, 4, 9, 8, 5, 6, 7 }, 13, 0.146 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct tw_kendall k = tw_kendall(rows[i].y, rows[i].n);

		assert_near(k.s, rows[i].s, 0);
		assert_near(k.p / 2, rows[i].p, 0.0005);
	}
}

/* Gilbert (1987), page 211: groups of 2, 3 and 3 equal values among 9; 0 stands for "trace" */
static void variance_with_ties(void **state)
{
	static const double y[] = { 23, 24, 0, 6, 0, 24, 24, 0, 23 };

	(void)state;
	assert_near(tw_kendall(y, 9).var, (9 * 8 * 23 - 2 * 1 * 9 - 2 * 3 * 2 * 11) / 18.0, 1e-12);
}

/* The Nile at Aswan, 1871 to 1970 (Cobb 1978): it changed after 1898, and fell by some 250 */
static const double nile[] = {
	1120, 1160, 963, 1210, 1160, 1160, 813, 1230, 1370, 1140, 995, 935, 1110, 994, 1020, 960, 1180,
	799, 958, 1140, 1100, 1210, 1150, 1250, 1260, 1220, 1030, 1100, 774, 840, 874, 694, 940, 833,
	701, 916, 692, 1020, 1050, 969, 831, 726, 456, 824, 702, 1120, 1100, 832, 764, 821, 768, 845,
	864, 862, 698, 845, 744, 796, 1040, 759, 781, 865, 845, 944, 984, 897, 822, 1010, 771, 676,
	649, 846, 812, 742, 801, 1040, 860, 874, 848, 890, 744, 749, 838, 1050, 918, 986, 797, 923,
	975, 815, 1020, 906, 901, 1170, 912, 746, 919, 718, 714, 740,
};

static double sign(double v)
{
	return (v > 0) - (v < 0);
}

static void change_of_the_nile(void **state)
{
	struct tw_change c = tw_change(nile, ARRAY_SIZE(nile)), all[TW_CHANGES_MAX];
	double most = 0;
	size_t n = ARRAY_SIZE(nile), cut, i, j;

	(void)state;
	assert_int_equal(1871 + c.at - 1, 1898);
	assert_true(c.p < 1e-5 && c.before > 1090 && c.before < 1160 && c.after > 820 && c.after < 860);
	/* Pettitt's own definition, all pairs across each cut */
	for (cut = 1; cut < n; cut++) {
		double u = 0;

		for (i = 0; i < cut; i++)
			for (j = cut; j < n; j++)
				u += sign(nile[i] - nile[j]);
		most = fmax(most, fabs(u));
	}
	assert_near(c.k, most, 0);
	assert_near(c.p, 2 * exp(-6 * most * most / (1e6 + 1e4)), 1e-15);
	assert_int_equal(tw_changes(nile, n, 0.001, 10, all), 1);
	assert_int_equal(all[0].at, c.at);
}

/* Benjamini and Hochberg (1995), section 3.2: of these 15, Bonferroni and Holm reject 3 at 5 % */
static void holm_on_fifteen(void **state)
{
	static const double p[] = { 0.3240, 0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298,
				    0.0344, 0.0459, 0.4262, 0.5719, 0.6528, 0.7590, 1.000 };
	double adjusted[ARRAY_SIZE(p)];
	size_t i, rejected = 0;

	(void)state;
	tw_holm(p, ARRAY_SIZE(p), adjusted);
	for (i = 0; i < ARRAY_SIZE(p); i++)
		rejected += adjusted[i] < 0.05;
	assert_int_equal(rejected, 3);
	assert_near(adjusted[1], 15 * 0.0001, 1e-15);
	assert_near(adjusted[2], 14 * 0.0004, 1e-15);
	assert_near(adjusted[3], 13 * 0.0019, 1e-15);
	assert_near(adjusted[14], 1, 0);
}

static void normal_distribution(void **state)
{
	(void)state;
	assert_near(tw_normal_p(1.959963985), 0.05, 1e-9);
	assert_near(tw_normal_p(-2.575829304), 0.01, 1e-9);
	assert_near(tw_normal_z(0.05), 1.959963985, 1e-8);
	assert_near(tw_normal_z(1e-6), 4.891638475, 1e-8);
}

/* Series with ties, at uneven times */
static void make(size_t n, int levels)
{
	double t = 0;
	size_t i;

	s.n = n;
	for (i = 0; i < n; i++) {
		t += 1 + floor(3 * syn_uniform(&s));
		s.t[i] = t;
		s.y[i] = levels ? floor(levels * syn_uniform(&s)) : 0.01 * t + syn_normal(&s);
	}
}

static void check_against_pairs(void)
{
	double *slope = tw_doubles(s.n * s.n), up = 0, score = 0, half, pairs;
	struct tw_slope r = tw_slope(s.t, s.y, s.n, 0.05, 1);
	struct tw_kendall k = tw_kendall(s.y, s.n);
	size_t i, j, m = 0, low, high;

	for (i = 0; i < s.n; i++)
		for (j = i + 1; j < s.n; j++) {
			score += sign(s.y[j] - s.y[i]);
			up += s.y[j] < s.y[i];
			slope[m++] = (s.y[j] - s.y[i]) / (s.t[j] - s.t[i]);
		}
	pairs = m;
	assert_near(k.s, score, 0);
	half = tw_normal_z(0.05) * sqrt(k.var);
	low = fmax(1, round((pairs - half) / 2));
	high = fmin(pairs, round((pairs + half) / 2 + 1));
	assert_near(r.middle, tw_median(slope, m), 1e-8);
	assert_near(r.low, slope[low - 1], 1e-8);
	assert_near(r.high, slope[high - 1], 1e-8);
	for (i = 0; i < s.n; i++)
		slope[i] = s.y[i];
	assert_near(tw_inversions(slope, s.n), up, 0);
	free(slope);
}

/* What merging and bisection find is what the definitions say, with few and with many equals */
static void as_pair_by_pair(void **state)
{
	static const size_t sizes[] = { 2, 3, 8, 63, 64, 65, 66, 130, 301 };
	size_t i;

	(void)state;
	s.seed = 11;
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		make(sizes[i], 0);
		check_against_pairs();
		make(sizes[i], 3);
		check_against_pairs();
		make(sizes[i], 1);
		check_against_pairs();
	}
}

/* Ten thousand samples, no pair left out */
static void slope_of_ten_thousand(void **state)
{
	struct tw_slope r;
	size_t i;

	(void)state;
	s.seed = 12;
	s.n = 10000;
	for (i = 0; i < s.n; i++) {
		s.t[i] = SYN_START + i * 3600.0;
		s.y[i] = 1e9 + 1e-3 * i + syn_normal(&s);
	}
	r = tw_slope(s.t, s.y, s.n, 0.05, 1);
	assert_true(r.low < 1e-3 / 3600 && r.high > 1e-3 / 3600);
	assert_near(r.middle * 3600, 1e-3, 2e-5);
	/* of least squares it would be 3.92 * sqrt(12) / n^1.5; the median of slopes has 98 % of its power */
	assert_near((r.high - r.low) * 3600, 3.92 * sqrt(12) / 1e6, 1.5e-6);
	assert_near(r.level, 1e9 + 10, 0.1);
}

/* The seasonal test by its definition: slots alone, and covariances over pairs of days */
static void seasonal_by_definition(void **state)
{
	enum { DAYS = 30, SLOTS = 4 };
	double y[DAYS * SLOTS], rank[SLOTS][DAYS], score = 0, var = 0, v[DAYS];
	struct tw_kendall k;
	size_t a, b, i, j;

	(void)state;
	s.seed = 13;
	for (i = 0; i < DAYS; i++) {
		double day = 3 * syn_normal(&s);

		for (a = 0; a < SLOTS; a++)
			y[i * SLOTS + a] = round(day + 10 * a + syn_normal(&s));
	}
	for (a = 0; a < SLOTS; a++) {
		for (i = 0; i < DAYS; i++)
			v[i] = y[i * SLOTS + a];
		tw_ranks(v, DAYS, rank[a]);
	}
	for (a = 0; a < SLOTS; a++)
		for (b = 0; b < SLOTS; b++) {
			double both = 0;

			for (i = 0; i < DAYS; i++) {
				both += 4 * rank[a][i] * rank[b][i];
				for (j = i + 1; j < DAYS; j++) {
					double x = sign(y[j * SLOTS + a] - y[i * SLOTS + a]);

					both += x * sign(y[j * SLOTS + b] - y[i * SLOTS + b]);
					score += a == b ? x : 0;
				}
			}
			var += (both - DAYS * (DAYS + 1.0) * (DAYS + 1.0)) / 3;
		}
	k = tw_kendall_seasonal(y, DAYS, SLOTS);
	assert_near(k.s, score, 0);
	assert_near(k.var, var, 1e-6);
}

/* Without covariances and ties it is the sum of its seasons (Hirsch, Slack and Smith 1982) */
static void seasonal_of_one_season(void **state)
{
	struct tw_kendall one = tw_kendall(nile, 50), k = tw_kendall_seasonal(nile, 50, 1);

	(void)state;
	assert_near(k.s, one.s, 0);
	assert_near(k.var, one.var, 1e-9);
	assert_near(k.p, one.p, 1e-12);
}

/* Memory widens the variance of a mean by (1 + r) / (1 - r), 9 for 0.8: nearly so for S; noise by little */
static void inflation_of_memory(void **state)
{
	double f;

	(void)state;
	s.seed = 14;
	syn_flat(&s, 500);
	syn_noise(&s, 0.8);
	f = tw_kendall_inflation(s.t, s.y, s.n);
	assert_true(f > 7 && f < 14);
	syn_flat(&s, 500);
	syn_noise(&s, 0);
	f = tw_kendall_inflation(s.t, s.y, s.n);
	assert_true(f >= 1 && f < 2);
}

static void exhaustion(void **state)
{
	struct tw_slope r = { .middle = 2, .low = -1, .high = 4, .level = 100 };
	struct tw_exhaust e = tw_exhaust(1000, &r, 300, 1);

	(void)state;
	assert_near(e.likely, 1100, 0);
	assert_near(e.earliest, 1050, 0);
	assert_true(isinf(e.latest));
	/* free space that falls towards a floor */
	r = (struct tw_slope){ .middle = -2, .low = -4, .high = -1, .level = 100 };
	e = tw_exhaust(1000, &r, 0, 0);
	assert_near(e.likely, 1050, 0);
	assert_near(e.earliest, 1025, 0);
	assert_near(e.latest, 1100, 0);
	/* met already; and moving away from it */
	assert_near(tw_exhaust(1000, &r, 120, 0).likely, 1000, 0);
	assert_true(isinf(tw_exhaust(1000, &r, 300, 1).likely));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slope_of_sen),
		cmocka_unit_test(slope_of_helsel),
		cmocka_unit_test(exact_as_gilberts_table),
		cmocka_unit_test(variance_with_ties),
		cmocka_unit_test(change_of_the_nile),
		cmocka_unit_test(holm_on_fifteen),
		cmocka_unit_test(normal_distribution),
		cmocka_unit_test(as_pair_by_pair),
		cmocka_unit_test(slope_of_ten_thousand),
		cmocka_unit_test(seasonal_by_definition),
		cmocka_unit_test(seasonal_of_one_season),
		cmocka_unit_test(inflation_of_memory),
		cmocka_unit_test(exhaustion),
	};

	return RUN_TAP(tests);
}
