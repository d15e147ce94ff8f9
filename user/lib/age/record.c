// SPDX-License-Identifier: GPL-2.0
#include "age/record.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "age/recording.h"
#include "judge/days.h"
#include "text.h"

/* A text of the guest's: jansson takes UTF-8 alone */
static json_t *text(const char *s)
{
	json_t *v = json_string(s);
	char *copy, *c;

	if (v)
		return v;
	copy = tw_strdup(s);
	for (c = copy; *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	v = json_string(copy);
	free(copy);
	return v;
}

static json_t *number(double v)
{
	return isfinite(v) ? v == floor(v) && fabs(v) < 9e15 ? json_integer(v) : json_real(v) : json_null();
}

static json_t *start(const char *type)
{
	json_t *o = json_object();

	json_object_set_new(o, "type", json_string(type));
	return o;
}

static void finish(struct tw_recorder *rec, json_t *o)
{
	if (!rec->failed && (json_dumpf(o, rec->f, JSON_COMPACT | JSON_REAL_PRECISION(15)) ||
			     putc('\n', rec->f) == EOF || fflush(rec->f))) {
		rec->failed = true;
		rec->code = errno;
	}
	json_decref(o);
}

static int fail(struct tw_err *e, const char *path, int code)
{
	tw_fail(e, TW_FAILED, "cannot write recording %s", TW_QUOTE(path));
	tw_fact(e, "%s", strerror(code));
	return tw_cure(e, code == EEXIST ? "add --resume to go on with it, or name another file" :
		       "name a file with --samples that can be written to, with some room for it");
}

/* What is in it already, so that nothing is declared twice */
static int read_before(const char *path, struct tw_recorder *rec, struct tw_err *e)
{
	struct tw_recording r;
	int status = tw_recording_read(path, &r, e);
	size_t i;

	for (i = 0; !status && i < r.n_series; i++)
		json_object_set_new(rec->series, r.series[i].name, json_true());
	for (i = 0; !status && i < r.n_jobs; i++)
		json_object_set_new(rec->jobs, r.jobs[i].name,
				    json_real(r.jobs[i].n ? r.jobs[i].ran[r.jobs[i].n - 1] : 0));
	for (i = 0; !status && i < r.n_missing; i++)
		json_object_set_new(rec->missing, r.missing[i].source, json_true());
	rec->since = status ? 0 : r.host_seconds;
	tw_recording_free(&r);
	return status;
}

/* Cuts off what stands behind the last end of a line */
static int cut_last_line(int fd)
{
	off_t end = lseek(fd, 0, SEEK_END);
	char c = '\n';

	while (end > 0 && pread(fd, &c, 1, end - 1) == 1 && c != '\n')
		end--;
	return ftruncate(fd, end) || lseek(fd, 0, SEEK_END) < 0 ? -1 : 0;
}

int tw_recorder_open(const char *path, bool resume, struct tw_recorder *rec, struct tw_err *e)
{
	int fd, status = TW_OK;

	*rec = (struct tw_recorder){ .series = json_object(), .jobs = json_object(),
				     .missing = json_object(), .values = json_object() };
	if (resume)
		status = read_before(path, rec, e);
	if (status)
		return status;
	fd = open(path, O_RDWR | O_CLOEXEC | (resume ? 0 : O_CREAT | O_EXCL), 0644);
	if (fd < 0)
		return fail(e, path, errno);
	if (cut_last_line(fd) || !(rec->f = fdopen(fd, "r+"))) {
		status = fail(e, path, errno);
		close(fd);
	}
	return status;
}

int tw_recorder_close(struct tw_recorder *rec, const char *path, struct tw_err *e)
{
	int status = TW_OK;

	if (rec->f && (fsync(fileno(rec->f)) && errno != EINVAL) && !rec->failed) {
		rec->failed = true;
		rec->code = errno;
	}
	if (rec->f)
		fclose(rec->f);
	if (rec->failed)
		status = fail(e, path, rec->code);
	json_decref(rec->series);
	json_decref(rec->jobs);
	json_decref(rec->missing);
	json_decref(rec->values);
	*rec = (struct tw_recorder){ 0 };
	return status;
}

void tw_record_run(struct tw_recorder *rec, const char *vm, const char *policy, double every)
{
	json_t *o = start("run");

	json_object_set_new(o, "schema", json_integer(TW_RECORDING_SCHEMA));
	json_object_set_new(o, "vm", text(vm));
	json_object_set_new(o, "policy", text(policy));
	json_object_set_new(o, "every_s", number(every));
	finish(rec, o);
}

static long east_at(double t)
{
	time_t at = t;
	struct tm tm;

	return localtime_r(&at, &tm) ? tm.tm_gmtoff : 0;
}

/* All changes of the offset, each to the second */
static json_t *find_shifts(double from, double to)
{
	json_t *list = json_array();
	double t;

	for (t = from; t < to; t += TW_DAY) {
		double low = t, high = t + TW_DAY;

		if (east_at(low) == east_at(high))
			continue;
		while (high - low > 1) {
			double middle = floor((low + high) / 2);

			if (east_at(middle) == east_at(low))
				low = middle;
			else
				high = middle;
		}
		json_array_append_new(list, json_pack("[f, i]", high, (int)east_at(high)));
	}
	return list;
}

void tw_record_zone(struct tw_recorder *rec, const char *zone, double from, double to)
{
	char *before = tw_strdup(getenv("TZ"));
	json_t *o = start("zone");

	setenv("TZ", zone, 1);
	tzset();
	from = floor(from / TW_DAY) * TW_DAY - 366 * TW_DAY;
	json_object_set_new(o, "name", text(zone));
	json_object_set_new(o, "east_s", json_integer(east_at(from)));
	json_object_set_new(o, "shifts", find_shifts(from, to + TW_DAY));
	if (before)
		setenv("TZ", before, 1);
	else
		unsetenv("TZ");
	tzset();
	free(before);
	finish(rec, o);
}

void tw_record_value(struct tw_recorder *rec, const char *name, const struct tw_series_kind *kind,
		     double limit, double value)
{
	json_t *key = text(name);
	const char *clean = json_string_value(key);

	if (!isfinite(value)) {
		json_decref(key);
		return;
	}
	if (!json_object_get(rec->series, clean)) {
		json_t *o = start("series");

		json_object_set(o, "name", key);
		json_object_set_new(o, "title", kind->title ? text(kind->title) : json_null());
		json_object_set_new(o, "unit", json_string(kind->unit));
		json_object_set_new(o, "kind", json_string(kind->counter ? "counter" : "gauge"));
		json_object_set_new(o, "worse", json_string(kind->worse > 0 ? "up" : kind->worse ? "down" : "none"));
		json_object_set_new(o, "limit", number(limit));
		finish(rec, o);
		json_object_set_new(rec->series, clean, json_true());
	}
	json_object_set_new(rec->values, clean, number(value));
	json_decref(key);
}

void tw_record_sample(struct tw_recorder *rec, double t, double host_seconds)
{
	json_t *o = start("sample");

	json_object_set_new(o, "t", number(t));
	json_object_set_new(o, "host_s", number(rec->since + host_seconds));
	json_object_set_new(o, "v", rec->values);
	rec->values = json_object();
	finish(rec, o);
}

/* "Mon" to 0 for Sunday; -1 for none, or for several of them */
static int day_of_week(const char *word)
{
	static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	int i;

	for (i = 0; i < 7; i++)
		if (!strcmp(word, days[i]))
			return i;
	return -1;
}

static bool read_calendar(const char *calendar, const char **rule, int *day, int *at)
{
	int hour, minute, second, end = 0;
	char word[8];

	*day = 0;
	if (sscanf(calendar, "*-*-* *:00:0%d%n", &second, &end) == 1 && !calendar[end] && !second) {
		*rule = "every";
		*at = 3600;
		return true;
	}
	if (sscanf(calendar, "*-*-* %2d:%2d:%2d%n", &hour, &minute, &second, &end) == 3 && !calendar[end])
		*rule = "daily";
	else if (sscanf(calendar, "%3[A-Za-z] *-*-* %2d:%2d:%2d%n", word, &hour, &minute, &second, &end) == 4 &&
		 !calendar[end] && (*day = day_of_week(word)) >= 0)
		*rule = "weekly";
	else if (sscanf(calendar, "*-*-%2d %2d:%2d:%2d%n", day, &hour, &minute, &second, &end) == 4 &&
		 !calendar[end] && *day >= 1 && *day <= 31)
		*rule = "monthly";
	else
		return false;
	*at = hour * 3600 + minute * 60 + second;
	return hour >= 0 && hour < 24 && minute >= 0 && minute < 60 && second >= 0 && second < 60;
}

bool tw_record_job(struct tw_recorder *rec, const char *name, const char *calendar, double tolerance)
{
	const char *rule;
	int day, at;
	json_t *o, *key;

	if (!read_calendar(calendar, &rule, &day, &at))
		return false;
	key = text(name);
	if (json_object_get(rec->jobs, json_string_value(key))) {
		json_decref(key);
		return true;
	}
	o = start("job");
	json_object_set(o, "name", key);
	json_object_set_new(o, "rule", json_string(rule));
	json_object_set_new(o, *rule == 'e' ? "every_s" : "at_s", json_integer(at));
	json_object_set_new(o, "day", json_integer(day));
	json_object_set_new(o, "tolerance_s", number(tolerance));
	finish(rec, o);
	json_object_set_new(rec->jobs, json_string_value(key), json_real(0));
	json_decref(key);
	return true;
}

void tw_record_ran(struct tw_recorder *rec, const char *job, double t)
{
	json_t *key = text(job), *last = json_object_get(rec->jobs, json_string_value(key)), *o;

	if (last && t > json_number_value(last)) {
		o = start("ran");
		json_object_set(o, "job", key);
		json_object_set_new(o, "t", number(t));
		finish(rec, o);
		json_object_set_new(rec->jobs, json_string_value(key), json_real(t));
	}
	json_decref(key);
}

void tw_record_event(struct tw_recorder *rec, double t, const char *severity, const char *subject,
		     const char *what)
{
	json_t *o = start("event");

	json_object_set_new(o, "t", number(t));
	json_object_set_new(o, "severity", json_string(severity));
	json_object_set_new(o, "subject", text(subject));
	json_object_set_new(o, "text", text(what));
	finish(rec, o);
}

void tw_record_expiry(struct tw_recorder *rec, double t, const char *subject, double ends)
{
	json_t *o = start("expiry");

	json_object_set_new(o, "t", number(t));
	json_object_set_new(o, "subject", text(subject));
	json_object_set_new(o, "ends", number(ends));
	finish(rec, o);
}

void tw_record_missing(struct tw_recorder *rec, const char *source, const char *why)
{
	json_t *o;

	if (json_object_get(rec->missing, source))
		return;
	o = start("missing");
	json_object_set_new(o, "source", text(source));
	json_object_set_new(o, "why", text(why));
	finish(rec, o);
	json_object_set_new(rec->missing, source, json_true());
}

void tw_record_end(struct tw_recorder *rec, double t, const char *reason)
{
	json_t *o = start("end");

	json_object_set_new(o, "t", number(t));
	json_object_set_new(o, "reason", text(reason));
	finish(rec, o);
}
