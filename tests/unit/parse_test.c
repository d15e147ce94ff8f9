// SPDX-License-Identifier: GPL-2.0
/* Factors, durations and numbers: what parses, exactly, and what must not. */
#include "tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"

static void good_factor(const char *text, uint64_t num, uint64_t den)
{
	struct timewarp_factor f = { 0 };
	const char *why = "";

	if (tw_parse_factor(text, &f, &why))
		fail_msg("%s: %s", text, why);
	if (f.num != num || f.den != den)
		fail_msg("%s: %llu/%llu", text, f.num, f.den);
}

static void factors_parse_exactly(void **state)
{
	(void)state;
	good_factor("1", 1, 1);
	good_factor("50", 50, 1);
	good_factor("050", 50, 1);
	good_factor("0.02", 1, 50);
	good_factor(".5", 1, 2);
	good_factor("1/3", 1, 3);
	good_factor("2/6", 1, 3);
	good_factor("1.5/4.5", 1, 3);
	good_factor("10000", 10000, 1);
	good_factor("0.0001", 1, 10000);
	good_factor("1/10000", 1, 10000);
	good_factor("3.14159265358979", 314159265358979, 100000000000000);
	good_factor("1.000000000001", 1000000000001, 1000000000000);
	good_factor("9999.999999999999", 9999999999999999, 1000000000000);
	good_factor("50.0000000000000000000000000000000000", 50, 1);
	good_factor("18446744073709551615/18446744073709551615", 1, 1);
	good_factor("18446744073709551615/18446744073709551614", UINT64_MAX, UINT64_MAX - 1);
}

static const char *const bad_factors[] = {
	"", " ", " 50", "50 ", "50\n", "0", "0.0", "0/1", "-0", "-1", "-50", "+50", "nan", "NaN",
	"inf", "-inf", "infinity", "1e400", "1e-12", "1e2", "4.9e-324", "2.2250738585072011e-308",
	"50x", "x50", "0x32", "50,0", "5.", ".", "1.2.3", "1/", "/3", "1//3", "1/2/3", "1/0",
	"1/-3", "0/0", "10000.0000001", "10001", "20000/1", "0.00009", "1/10001", "0.000099999999",
	"99999999999999999999999999999999", "18446744073709551616/18446744073709551616",
	"1.00000000000000000000000000000001", "0x1p3", "\xc2\xb2", "max", "50%",
};

static void bad_factors_do_not(void **state)
{
	struct timewarp_factor f;
	const char *why;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad_factors); i++) {
		why = NULL;
		if (!tw_parse_factor(bad_factors[i], &f, &why))
			fail_msg("'%s' is taken for %llu/%llu", bad_factors[i], f.num, f.den);
		assert_non_null(why);
		assert_int_not_equal(*why, 0);
	}
}

static void reasons_name_the_limit(void **state)
{
	struct timewarp_factor f;
	const char *why;

	(void)state;
	assert_int_equal(tw_parse_factor("10001", &f, &why), -1);
	assert_non_null(strstr(why, "10000"));
	assert_int_equal(tw_parse_factor("0", &f, &why), -1);
	assert_non_null(strstr(why, "1/10000"));
	assert_int_equal(tw_parse_factor("1e3", &f, &why), -1);
	assert_non_null(strstr(why, "exponent"));
	assert_int_equal(tw_parse_factor("50,0", &f, &why), -1);
	assert_non_null(strstr(why, "decimal point"));
	assert_int_equal(tw_parse_factor("-0", &f, &why), -1);
	assert_non_null(strstr(why, "negative"));
}

static void twenty_kilobytes_of_digits(void **state)
{
	struct timewarp_factor f;
	char *text = malloc(20001);
	const char *why;
	uint64_t v;

	(void)state;
	memset(text, '7', 20000);
	text[20000] = 0;
	assert_int_equal(tw_parse_factor(text, &f, &why), -1);
	assert_non_null(strstr(why, "limit"));
	assert_int_equal(tw_parse_u64(text, &v, &why), -1);
	assert_int_equal(tw_parse_duration(text, &v, &why), -1);
	text[1] = '.';
	assert_int_equal(tw_parse_factor(text, &f, &why), -1);
	memset(text, '0', 20000);
	text[19999] = '5';
	assert_int_equal(tw_parse_factor(text, &f, &why), 0);
	assert_int_equal(f.num, 5);
	free(text);
}

static void good_duration(const char *text, uint64_t expected)
{
	const char *why = "";
	uint64_t ns = 0;

	if (tw_parse_duration(text, &ns, &why))
		fail_msg("%s: %s", text, why);
	if (ns != expected)
		fail_msg("%s: %llu", text, (unsigned long long)ns);
}

static void durations(void **state)
{
	static const char *const bad[] = {
		"", "5", "s", "-5s", "5 s", "5s ", "5S", "5sec", "5ss", "1e3s", "0.5ns", "5.s",
		"0.0000000001s", "300000000000000000000s", "107000d", "nan", "inf s", "5,0s",
	};
	const char *why;
	uint64_t ns;
	size_t i;

	(void)state;
	good_duration("0s", 0);
	good_duration("5s", 5000000000);
	good_duration("100us", 100000);
	good_duration("17ns", 17);
	good_duration("1.5h", 5400000000000);
	good_duration(".5ms", 500000);
	good_duration("0.000000001s", 1);
	good_duration("1h30m", 5400000000000);
	good_duration("3d7h50m3.780685026s", 287403780685026);
	good_duration("2m", 120000000000);
	good_duration("365d", 31536000000000000);
	good_duration("9223372036854775807ns", INT64_MAX);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		if (!tw_parse_duration(bad[i], &ns, &why))
			fail_msg("'%s' is taken for %llu ns", bad[i], (unsigned long long)ns);
}

static void numbers(void **state)
{
	const char *why;
	uint64_t u;
	int64_t s;

	(void)state;
	assert_int_equal(tw_parse_u64("0", &u, &why), 0);
	assert_int_equal(tw_parse_u64("18446744073709551615", &u, &why), 0);
	assert_true(u == UINT64_MAX);
	assert_int_equal(tw_parse_u64("18446744073709551616", &u, &why), -1);
	assert_int_equal(tw_parse_u64("12abc", &u, &why), -1);
	assert_int_equal(tw_parse_u64("", &u, &why), -1);
	assert_int_equal(tw_parse_u64("-1", &u, &why), -1);
	assert_int_equal(tw_parse_s64("-9223372036854775808", &s, &why), 0);
	assert_true(s == INT64_MIN);
	assert_int_equal(tw_parse_s64("9223372036854775807", &s, &why), 0);
	assert_int_equal(tw_parse_s64("9223372036854775808", &s, &why), -1);
	assert_int_equal(tw_parse_s64("-9223372036854775809", &s, &why), -1);
	assert_int_equal(tw_parse_s64("--1", &s, &why), -1);
	assert_int_equal(tw_parse_s64("-", &s, &why), -1);
}

static void factors_print_to_12_digits(void **state)
{
	char buf[48];

	(void)state;
	assert_string_equal(tw_format_factor(buf, sizeof(buf), 50, 1), "50");
	assert_string_equal(tw_format_factor(buf, sizeof(buf), 1, 3), "0.333333333333");
	assert_string_equal(tw_format_factor(buf, sizeof(buf), 1, 10000), "0.0001");
	assert_string_equal(tw_format_factor(buf, sizeof(buf), 10000, 1), "10000");
	assert_string_equal(tw_format_factor(buf, sizeof(buf), 1000000000001, 1000000000000),
			    "1");
	assert_string_equal(tw_format_factor(buf, sizeof(buf), 100000000001, 100000000000),
			    "1.00000000001");
	assert_string_equal(tw_format_factor(buf, sizeof(buf), 1, 0), "-");
}

static void spans_print_for_people(void **state)
{
	char buf[48];

	(void)state;
	assert_string_equal(tw_format_span(buf, sizeof(buf), 0), "+0ns");
	assert_string_equal(tw_format_span(buf, sizeof(buf), 17), "+17ns");
	assert_string_equal(tw_format_span(buf, sizeof(buf), -12000000), "-12.000ms");
	assert_string_equal(tw_format_span(buf, sizeof(buf), 185250000000), "+3m 5.250s");
	assert_string_equal(tw_format_span(buf, sizeof(buf), 90061000000000), "+1d 1h 1m");
	assert_string_equal(tw_format_span(buf, sizeof(buf), INT64_MIN), "-106751d 23h 47m");
}

/* What is shown may be written, and is the same */
static void durations_for_people(void **state)
{
	static const struct {
		int64_t ns;
		const char *text;
	} rows[] = {
		{ 0, "0s" }, { 1, "1ns" }, { -500000000, "-500ms" }, { 1500000, "1.5ms" }, { 31250000, "31.25ms" },
		{ 1000, "1us" }, { 20000000000, "20s" }, { 60000000000, "1m" }, { 90500000000, "1m30.5s" },
		{ 86400000000000, "1d" }, { 86400000000001, "1d1ns" }, { 315360000000000000, "3650d" },
		{ 287403780685026, "3d7h50m3.780685026s" }, { INT64_MAX, "106751d23h47m16.854775807s" },
	};
	char buf[TW_DURATION_MAX];
	const char *why;
	int64_t ns;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_string_equal(tw_format_duration(buf, sizeof(buf), rows[i].ns), rows[i].text);
		assert_int_equal(tw_parse_signed_duration(rows[i].text, &ns, &why), 0);
		assert_int_equal(ns, rows[i].ns);
	}
	assert_int_equal(tw_parse_signed_duration("+1s", &ns, &why), 0);
	assert_int_equal(tw_parse_signed_duration("--1s", &ns, &why), -1);
	assert_int_equal(tw_parse_signed_duration("1m1h", &ns, &why), -1);
	assert_int_equal(tw_parse_signed_duration("1s1s", &ns, &why), -1);
	assert_int_equal(tw_parse_signed_duration("1s 1ms", &ns, &why), -1);
	assert_int_equal(tw_parse_signed_duration("106751d24h", &ns, &why), -1);
	tw_format_duration(buf, sizeof(buf), INT64_MIN + 1);
	assert_int_equal(tw_parse_signed_duration(buf, &ns, &why), 0);
	assert_int_equal(ns, INT64_MIN + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(factors_parse_exactly),
		cmocka_unit_test(bad_factors_do_not),
		cmocka_unit_test(reasons_name_the_limit),
		cmocka_unit_test(twenty_kilobytes_of_digits),
		cmocka_unit_test(durations),
		cmocka_unit_test(durations_for_people),
		cmocka_unit_test(numbers),
		cmocka_unit_test(factors_print_to_12_digits),
		cmocka_unit_test(spans_print_for_people),
	};

	return RUN_TAP(tests);
}
