// SPDX-License-Identifier: GPL-2.0
/* Recordings as files have them, whole, cut, wrong and hostile; amounts for people. */
#include "tap.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "age/chart.h"
#include "age/format.h"
#include "age/report.h"

#define RUN "{\"type\":\"run\",\"schema\":1,\"vm\":\"v\"}\n"
#define SERIES "{\"type\":\"series\",\"name\":\"a\",\"unit\":\"B\",\"kind\":\"gauge\",\"worse\":\"up\"}\n"

static char path[] = "/tmp/age_test.XXXXXX";

static int read_text(const char *text, size_t len, struct tw_recording *r, struct tw_err *e)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	fclose(f);
	*e = (struct tw_err){ 0 };
	return tw_recording_read(path, r, e);
}

static void wrong_lines_are_named(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "", "line 1: there is no line of type run" },
		{ "{}\n", "line 1: 'type' is missing" },
		{ "[]\n", "line 1: it is no JSON object" },
		{ "{\"type\":\"run\"\n", "line 1: '}' expected" },
		{ SERIES, "line 1: 'series' comes before a line of type run" },
		{ "{\"type\":\"run\",\"schema\":2,\"vm\":\"v\"}\n", "line 1: 'schema' is not 1" },
		{ "{\"type\":\"run\",\"schema\":1,\"vm\":7}\n", "line 1: 'vm' is no string" },
		{ RUN "{\"type\":\"wrong\"}\n", "line 2: 'wrong' is no type of line" },
		{ RUN SERIES SERIES, "line 3: 'a' is declared twice" },
		{ RUN "{\"type\":\"series\",\"name\":\"a\",\"unit\":\"B\",\"kind\":\"x\",\"worse\":\"up\"}\n",
		  "line 2: 'kind' has a value that is not known" },
		{ RUN "{\"type\":\"sample\",\"t\":1}\n", "line 2: 'v' is missing" },
		{ RUN "{\"type\":\"sample\",\"v\":{}}\n", "line 2: 't' is missing" },
		{ RUN "{\"type\":\"sample\",\"t\":-1,\"v\":{}}\n", "line 2: 't' is no time" },
		{ RUN "{\"type\":\"sample\",\"t\":1e300,\"v\":{}}\n", "line 2: 't' is no time" },
		{ RUN "{\"type\":\"sample\",\"t\":1,\"v\":{\"b\":1}}\n", "line 2: 'b' is a series that was not" },
		{ RUN SERIES "{\"type\":\"sample\",\"t\":1,\"v\":{\"a\":\"1\"}}\n", "line 3: 'a' is no number" },
		{ RUN "{\"type\":\"ran\",\"job\":\"j\",\"t\":1}\n", "line 2: 'j' is no job that was declared" },
		{ RUN "{\"type\":\"job\",\"name\":\"j\",\"rule\":\"every\",\"every_s\":0}\n",
		  "line 2: 'every_s' is not above 0" },
		{ RUN "{\"type\":\"job\",\"name\":\"j\",\"rule\":\"monthly\",\"at_s\":0,\"day\":32}\n",
		  "line 2: 'day' is no day of that" },
		{ RUN "{\"type\":\"job\",\"name\":\"j\",\"rule\":\"daily\",\"at_s\":86400}\n",
		  "line 2: 'at_s' is no time of day" },
		{ RUN "{\"type\":\"zone\",\"east_s\":0,\"shifts\":[[1,2],[1,3]]}\n",
		  "line 2: 'shifts' is not in the order" },
		{ RUN "{\"type\":\"zone\",\"east_s\":0,\"shifts\":[7]}\n", "line 2: 'shifts' is no list of pairs" },
		{ RUN "{\"type\":\"event\",\"t\":1,\"severity\":\"bad\",\"subject\":\"s\",\"text\":\"t\"}\n",
		  "line 2: 'severity' has a value" },
	};
	struct tw_recording r;
	struct tw_err e;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(read_text(rows[i].text, strlen(rows[i].text), &r, &e), TW_FAILED);
		if (strncmp(e.fact, rows[i].why, strlen(rows[i].why)))
			fail_msg("row %zu: %s", i, e.fact);
		tw_recording_free(&r);
	}
}

/* Ten samples, a job, an event, a certificate; as rich as a line can be */
static char *rich(size_t *len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, len);
	int i;

	fprintf(f, RUN SERIES "{\"type\":\"zone\",\"east_s\":3600,\"shifts\":[[1000,7200]]}\n"
		"{\"type\":\"job\",\"name\":\"j\",\"rule\":\"daily\",\"at_s\":60,\"tolerance_s\":60}\n");
	for (i = 1; i <= 10; i++)
		fprintf(f, "{\"type\":\"sample\",\"t\":%d,\"host_s\":%d,\"v\":{\"a\":%d}}\n", i * 21600, i, i * i);
	fprintf(f, "{\"type\":\"ran\",\"job\":\"j\",\"t\":90000}\n"
		"{\"type\":\"event\",\"t\":90000,\"severity\":\"failure\",\"subject\":\"s<&>\\\"\\u0007\","
		"\"text\":\"\\u001b[31m \xc3\xa4\"}\n"
		"{\"type\":\"expiry\",\"t\":90000,\"subject\":\"c\",\"ends\":90001}\n"
		"{\"type\":\"missing\",\"source\":\"agent\",\"why\":\"gone\"}\n"
		"{\"type\":\"end\",\"t\":220000,\"reason\":\"span\"}\n");
	fclose(f);
	return text;
}

static void report_all(const struct tw_recording *r, char **page)
{
	struct tw_verdicts v;
	char *other = NULL;
	size_t len;
	FILE *f;

	tw_verdicts_find(r, &tw_age_defaults, &v);
	f = open_memstream(&other, &len);
	tw_report_text(f, r, &v);
	tw_report_json(f, r, &v);
	fclose(f);
	free(other);
	f = open_memstream(page, &len);
	tw_report_html(f, r, &v);
	fclose(f);
	tw_verdicts_free(&v);
}

static void whole_recording_is_read(void **state)
{
	struct tw_recording r;
	struct tw_err e;
	size_t len;
	char *text = rich(&len), *page;

	(void)state;
	assert_int_equal(read_text(text, len, &r, &e), TW_OK);
	assert_true(r.samples == 10 && r.n_series == 1 && r.series[0].n == 10 && r.series[0].y[9] == 100);
	assert_true(r.start == 21600 && r.end == 220000 && !r.cut && r.host_seconds == 10);
	assert_true(r.zone.n == 1 && r.n_jobs == 1 && r.jobs[0].n == 1 && r.n_events == 1);
	assert_true(r.n_expiring == 1 && r.n_missing == 1 && !strcmp(r.ended, "span"));
	report_all(&r, &page);
	assert_non_null(strstr(page, "s&lt;&amp;&gt;&quot;\xef\xbf\xbd"));
	assert_non_null(strstr(page, "\xef\xbf\xbd[31m \xc3\xa4"));
	assert_null(strchr(page, 033));
	free(page);
	free(text);
	tw_recording_free(&r);
}

/* Cut at any byte: what is whole is read and reported */
static void cut_recording_is_read_to_its_last_line(void **state)
{
	struct tw_recording r;
	struct tw_err e;
	size_t len, cut;
	char *text = rich(&len), *page;

	(void)state;
	for (cut = strlen(RUN); cut < len; cut += 3) {
		assert_int_equal(read_text(text, cut, &r, &e), TW_OK);
		assert_int_equal(r.cut, text[cut - 1] != '\n');
		report_all(&r, &page);
		free(page);
		tw_recording_free(&r);
	}
	free(text);
}

/* Any byte changed: read, or refused with a line; never worse */
static void changed_bytes_do_no_harm(void **state)
{
	struct tw_recording r;
	struct tw_err e;
	size_t len, at;
	char *text = rich(&len), *page, was;

	(void)state;
	for (at = 0; at < len; at++) {
		was = text[at];
		text[at] = "\"0{}x\0,\xff"[at % 8];
		if (!read_text(text, len, &r, &e)) {
			report_all(&r, &page);
			free(page);
		}
		tw_recording_free(&r);
		text[at] = was;
	}
	free(text);
}

static void a_clock_that_goes_back_is_a_fault(void **state)
{
	static const char text[] = RUN SERIES "{\"type\":\"sample\",\"t\":9,\"v\":{\"a\":1}}\n"
				   "{\"type\":\"sample\",\"t\":8,\"v\":{\"a\":1}}\n";
	struct tw_recording r;
	struct tw_verdicts v;
	struct tw_err e;

	(void)state;
	assert_int_equal(read_text(text, sizeof(text) - 1, &r, &e), TW_OK);
	assert_int_equal(r.went_back, 1);
	tw_verdicts_find(&r, &tw_age_defaults, &v);
	assert_int_equal(tw_verdicts_status(&v), TW_THRESHOLD);
	tw_verdicts_free(&v);
	tw_recording_free(&r);
}

static size_t faults_of(FILE *f, char **text, size_t *len)
{
	struct tw_recording r;
	struct tw_verdicts v;
	struct tw_err e;
	size_t i, n = 0;

	fclose(f);
	assert_int_equal(read_text(*text, *len, &r, &e), TW_OK);
	tw_verdicts_find(&r, &tw_age_defaults, &v);
	for (i = 0; i < v.n; i++)
		n += v.v[i].mark == TW_MARK_FAULT;
	tw_verdicts_free(&v);
	tw_recording_free(&r);
	free(*text);
	return n;
}

#define LOAD "{\"type\":\"series\",\"name\":\"guest.load\",\"unit\":\"\",\"kind\":\"gauge\",\"worse\":\"up\"}\n"

/* A look tells a timer's last run: an hourly one that is looked at each six hours has not missed the five between */
static void runs_between_looks_are_not_missed(void **state)
{
	static const char *const rules[] = { "\"every\",\"every_s\":3600", "\"daily\",\"at_s\":1800" };
	/* of the looks, which finds no new run; 0: none does */
	static const struct { int rule, hours, without, silent; size_t faults; } rows[] = {
		{ 0, 6, 0, 0, 0 }, { 0, 6, 7, 0, 1 }, { 0, 6, 0, 7, 0 }, { 1, 48, 0, 0, 0 }, { 1, 6, 8, 0, 1 },
	};
	char *text = NULL;
	size_t len, i;
	int k, t;
	FILE *f;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		f = open_memstream(&text, &len);
		fprintf(f, RUN LOAD "{\"type\":\"job\",\"name\":\"j\",\"rule\":%s,\"tolerance_s\":60}\n", rules[rows[i].rule]);
		for (k = 1; k <= 40; k++) {
			/* half a minute past: hourly, the last run is of that hour; daily, of half past midnight the day before */
			t = k * rows[i].hours * 3600 + 30;
			if (k != rows[i].without && (!rows[i].rule || !(t / 3600 % 24)) && k != rows[i].silent)
				fprintf(f, "{\"type\":\"ran\",\"job\":\"j\",\"t\":%d}\n", rows[i].rule ? t - 84600 - 30 + 1 : t - 30);
			/* one whose agent did not answer looks at nothing */
			fprintf(f, k == rows[i].silent ? "{\"type\":\"sample\",\"t\":%d,\"v\":{}}\n" :
				"{\"type\":\"sample\",\"t\":%d,\"v\":{\"guest.load\":0}}\n", t);
		}
		assert_int_equal(faults_of(f, &text, &len), rows[i].faults);
	}
}

/* A counter is judged by its rate, and a restart is no fall */
static void counters_are_judged_by_their_rate(void **state)
{
	struct tw_recording r;
	struct tw_verdicts v;
	struct tw_err e;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	int i;

	(void)state;
	fprintf(f, RUN "{\"type\":\"series\",\"name\":\"a\",\"unit\":\"B\",\"kind\":\"counter\",\"worse\":\"up\"}\n");
	for (i = 1; i <= 200; i++)
		fprintf(f, "{\"type\":\"sample\",\"t\":%d,\"v\":{\"a\":%d}}\n", i * 21600, 1000 * (i < 100 ? i : i - 99));
	fclose(f);
	assert_int_equal(read_text(text, len, &r, &e), TW_OK);
	tw_verdicts_find(&r, &tw_age_defaults, &v);
	assert_int_equal(v.n, 0);
	assert_true(v.series[0].n == 199 && v.series[0].y[50] == 4000 && v.series[0].y[98] == 4000);
	tw_verdicts_free(&v);
	tw_recording_free(&r);
	free(text);
}

static void amounts_for_people(void **state)
{
	(void)state;
	assert_string_equal(TW_AMOUNT(65536, "B"), "65.5 kB");
	assert_string_equal(TW_AMOUNT(0, "B"), "0 B");
	assert_string_equal(TW_AMOUNT(999.6, "B"), "1.00 kB");
	assert_string_equal(TW_AMOUNT(-2e9, "B"), "-2 GB");
	assert_string_equal(TW_AMOUNT(63398, "inodes"), "63398 inodes");
	assert_string_equal(TW_AMOUNT(1234567, ""), "1.23M");
	assert_string_equal(TW_AMOUNT(0.0123456, "%"), "0.0123 %");
	assert_string_equal(TW_AMOUNT(INFINITY, "B"), "unlimited");
	assert_string_equal(TW_MINUTE_OF(2147483648.0), "2038-01-19 03:14");
	assert_string_equal(TW_DAY_OF(951782400), "2000-02-29");
	assert_string_equal(TW_DAY_OF(INFINITY), "never");
	assert_string_equal(TW_DAY_OF(-1), "never");
	assert_string_equal(TW_PERIOD(400 * 86400.0), "400 days");
	assert_string_equal(TW_PERIOD(10 * 365.25 * 86400), "10 years");
	assert_string_equal(TW_PERIOD(1), "1 second");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_lines_are_named),
		cmocka_unit_test(whole_recording_is_read),
		cmocka_unit_test(cut_recording_is_read_to_its_last_line),
		cmocka_unit_test(changed_bytes_do_no_harm),
		cmocka_unit_test(a_clock_that_goes_back_is_a_fault),
		cmocka_unit_test(runs_between_looks_are_not_missed),
		cmocka_unit_test(counters_are_judged_by_their_rate),
		cmocka_unit_test(amounts_for_people),
	};
	int failed, fd = mkstemp(path);

	if (fd < 0)
		return 1;
	close(fd);
	failed = RUN_TAP(tests);
	unlink(path);
	return failed;
}
