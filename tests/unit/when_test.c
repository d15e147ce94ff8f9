// SPDX-License-Identifier: GPL-2.0
/* Dates, moments and schedules: what parses, exactly, what must not, and what is printed parses again. */
#include "tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "when.h"

#define NS 1000000000ULL
/* The host was booted on 2026-01-01T00:00:00Z */
#define BOOT (1767225600LL * (int64_t)NS)
#define EPOCH ((struct tw_epoch) { BOOT, BOOT })

static void good_date(const char *text, uint64_t ns)
{
	const char *why = "";
	uint64_t got = 0;

	if (tw_parse_date(text, &got, &why))
		fail_msg("%s: %s", text, why);
	if (got != ns)
		fail_msg("%s: %llu", text, (unsigned long long)got);
}

static void dates(void **state)
{
	(void)state;
	good_date("1970-01-01", 0);
	good_date("2038-01-19T03:14:07Z", 2147483647 * NS);
	good_date("2038-01-19 03:14:08", 2147483648 * NS);
	good_date("2000-02-29 12:34", 951827640 * NS);
	good_date("2100-03-01", 4107542400 * NS);
	good_date("2024-12-31T23:59:59.999999999", 1735689599 * NS + 999999999);
	good_date("2026-01-01T00:00:00.5Z", (uint64_t)BOOT + NS / 2);
	good_date("2261-12-31T23:59:59Z", 9214646399 * NS);
}

static void bad_dates(void **state)
{
	static const char *const bad[] = {
		"", "2038", "2038-01", "2038-1-19", "38-01-19", "2038-13-01", "2038-00-01",
		"2038-01-00", "2038-01-32", "2037-02-29", "2100-02-29", "1969-12-31", "2262-01-01",
		"2038-01-19T", "2038-01-19T03", "2038-01-19T3:14", "2038-01-19T24:00",
		"2038-01-19T23:60", "2038-01-19T23:59:60", "2038-01-19T03:14:07.", "2038-01-19 ",
		"2038-01-19T03:14:07.0000000001", "2038-01-19T03:14:07+01:00", " 2038-01-19",
		"2038-01-19ZZ", "2038/01/19", "-2038-01-19", "99999999-01-01",
	};
	const char *why;
	uint64_t ns;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		why = NULL;
		if (!tw_parse_date(bad[i], &ns, &why))
			fail_msg("'%s' is taken for %llu", bad[i], (unsigned long long)ns);
		assert_non_null(why);
	}
}

/* Against the C library, day by day across the whole range */
static void every_day_as_the_c_library_has_it(void **state)
{
	char text[48], back[48];
	time_t t;

	(void)state;
	for (t = 0; t < 9214646400; t += 86400 + 3661) {
		struct tm tm;

		gmtime_r(&t, &tm);
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
		good_date(text, t * NS);
		assert_string_equal(tw_format_date(back, sizeof(back), t * NS), text);
	}
	assert_string_equal(tw_format_date(back, sizeof(back), 1500 * (NS / 1000) + 400000),
			    "1970-01-01T00:00:01.500Z");
}

static void good_when(const char *text, uint64_t kind, uint64_t ns, const char *shown)
{
	struct timewarp_when w = { 1, 1 };
	const char *why = "";
	char buf[64];

	if (tw_parse_when(text, EPOCH, &w, &why))
		fail_msg("%s: %s", text, why);
	if (w.kind != kind || w.ns != ns)
		fail_msg("%s: kind %llu, %llu ns", text, w.kind, w.ns);
	assert_string_equal(tw_format_when(buf, sizeof(buf), EPOCH, &w), shown);
}

static void moments(void **state)
{
	static const char *const bad[] = {
		"", " ", "host", " host", "5", "0s", "-5s", "5s hosts", "5shost", "soon",
		"2025-12-31", "2025-12-31 host", "2026-01-01", "2038-01-19 03:14:07 UTC",
		"never host", "5s host host", "1e3s", "300000000000000000000s",
		"2038-01-19T03:14:07 guest guest or what, for all the world, is that supposed to be",
	};
	struct timewarp_when w;
	const char *why;
	size_t i;

	(void)state;
	good_when("never", TIMEWARP_NEVER, 0, "never");
	good_when("30d", TIMEWARP_AFTER_GUEST, 30 * 86400 * NS, "30d");
	good_when("90s guest", TIMEWARP_AFTER_GUEST, 90 * NS, "90s");
	good_when("1.5s  host", TIMEWARP_AFTER_HOST, 3 * NS / 2, "1500ms host");
	good_when("2026-01-01T00:00:10", TIMEWARP_AT_GUEST, 10 * NS, "2026-01-01T00:00:10Z");
	good_when("2026-01-02 host", TIMEWARP_AT_HOST, 86400 * NS, "2026-01-02T00:00:00Z host");
	good_when("2026-01-01 00:00:01 guest", TIMEWARP_AT_GUEST, NS, "2026-01-01T00:00:01Z");
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		why = NULL;
		if (!tw_parse_when(bad[i], EPOCH, &w, &why))
			fail_msg("'%s' is taken for kind %llu, %llu ns", bad[i], w.kind, w.ns);
		assert_non_null(why);
	}
}

static void good_schedule(const char *text, size_t n, const char *shown)
{
	struct timewarp_schedule s, again;
	const char *why = "";
	char buf[1024];

	if (tw_parse_schedule(text, EPOCH, &s, &why))
		fail_msg("%s: %s", text, why);
	assert_int_equal(s.n, n);
	assert_string_equal(tw_format_schedule(buf, sizeof(buf), EPOCH, &s), shown);
	assert_int_equal(tw_parse_schedule(buf, EPOCH, &again, &why), 0);
	assert_memory_equal(&s, &again, sizeof(s));
}

static void schedules(void **state)
{
	static const char *const bad[] = {
		"", ",", "1,", ",1", "50x", "1 until 2038-01-19", "1 for 5s", "1, 2", "1 until, 2",
		"1 until 5s, 2", "1 for 2038-01-19, 2", "1 for never, 2", "1 from 5s, 2", "0 for 5s, 1",
		"1 for 0s, 1", "1 for 5s 2", "1 for 5s, 1 for 5s", "100 until 2038-01-19T03:13:00; 1",
		"1 for 1s,1 for 1s,1 for 1s,1 for 1s,1 for 1s,1 for 1s,1 for 1s,1 for 1s,"
		"1 for 1s,1 for 1s,1 for 1s,1 for 1s,1 for 1s,1 for 1s,1 for 1s,1 for 1s,1",
	};
	struct timewarp_schedule s;
	const char *why;
	size_t i;

	(void)state;
	good_schedule("3", 1, "3");
	good_schedule("100 until 2038-01-19 03:13:00, 1", 2, "100 until 2038-01-19T03:13:00Z, 1");
	good_schedule(" 1/3  for  10m ,50 for 30s host,  0.5 until 2030-01-01 host ,1 ", 4,
		      "1/3 for 10m, 50 for 30s host, 1/2 until 2030-01-01T00:00:00Z host, 1");
	good_schedule("1 for 1s,1 for 1s,1 for 1s,1 for 1s,1 for 1s,1 for 1s,1 for 1s,1 for 1s,"
		      "1 for 1s,1 for 1s,1 for 1s,1 for 1s,1 for 1s,1 for 1s,1 for 1s,2", 16,
		      "1 for 1s, 1 for 1s, 1 for 1s, 1 for 1s, 1 for 1s, 1 for 1s, 1 for 1s, "
		      "1 for 1s, 1 for 1s, 1 for 1s, 1 for 1s, 1 for 1s, 1 for 1s, 1 for 1s, "
		      "1 for 1s, 2");
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		why = NULL;
		if (!tw_parse_schedule(bad[i], EPOCH, &s, &why))
			fail_msg("'%s' is taken for a schedule of %llu pieces", bad[i], s.n);
		assert_non_null(why);
		assert_int_not_equal(*why, 0);
	}
}

/* A guest whose dates are an hour ahead of what the host's clock and its timeline make */
static void dates_of_a_plan_go_each_by_its_own_clock(void **state)
{
	const struct tw_epoch ahead = { BOOT, BOOT + 3600 * (int64_t)NS };
	struct timewarp_schedule s;
	struct timewarp_when w;
	const char *why = "";
	char buf[256];

	(void)state;
	assert_int_equal(tw_parse_when("2026-01-01T02:00:00", ahead, &w, &why), 0);
	assert_int_equal(w.ns, 3600 * NS);
	assert_int_equal(tw_parse_when("2026-01-01T02:00:00 host", ahead, &w, &why), 0);
	assert_int_equal(w.ns, 7200 * NS);
	assert_int_equal(tw_parse_schedule("9 until 2026-01-01T02:00:00, 5 until 2026-01-01T03:00:00 host, "
					   "2 until 2026-01-01T05:00:00 guest, 1", ahead, &s, &why), 0);
	assert_int_equal(s.piece[0].end.ns, 3600 * NS);
	assert_int_equal(s.piece[1].end.ns, 3 * 3600 * NS);
	assert_int_equal(s.piece[2].end.ns, 4 * 3600 * NS);
	assert_string_equal(tw_format_schedule(buf, sizeof(buf), ahead, &s),
			    "9 until 2026-01-01T02:00:00Z, 5 until 2026-01-01T03:00:00Z host, 2 until 2026-01-01T05:00:00Z, 1");
}

static void dates_for_programs_have_one_form(void **state)
{
	char buf[TW_DATE_MAX];

	(void)state;
	assert_string_equal(tw_format_date_ms(buf, sizeof(buf), BOOT), "2026-01-01T00:00:00.000Z");
	assert_string_equal(tw_format_date_ms(buf, sizeof(buf), BOOT + NS / 2), "2026-01-01T00:00:00.500Z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates_of_a_plan_go_each_by_its_own_clock),
		cmocka_unit_test(dates_for_programs_have_one_form),
		cmocka_unit_test(dates),
		cmocka_unit_test(bad_dates),
		cmocka_unit_test(every_day_as_the_c_library_has_it),
		cmocka_unit_test(moments),
		cmocka_unit_test(schedules),
	};

	return RUN_TAP(tests);
}
