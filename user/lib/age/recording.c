// SPDX-License-Identifier: GPL-2.0
#include "age/recording.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#define LINE_MAX_BYTES (16 << 20)	/* longer ones are no recording of ours */
#define TIME_MAX 1e11			/* the year 5138 */

struct reader {
	struct tw_recording *r;
	json_t *series, *jobs, *expiring;	/* name to place */
	bool begun;
	char why[256];
};

static int bad(struct reader *in, const char *what, const char *key)
{
	snprintf(in->why, sizeof(in->why), "%s %s", TW_QUOTE(key), what);
	return -1;
}

static int get_text(struct reader *in, json_t *o, const char *key, bool must, char **text)
{
	json_t *v = json_object_get(o, key);

	if (!v || json_is_null(v))
		return must ? bad(in, "is missing", key) : 0;
	if (!json_is_string(v))
		return bad(in, "is no string", key);
	free(*text);
	*text = tw_strdup(json_string_value(v));
	return 0;
}

static int get_number(struct reader *in, json_t *o, const char *key, bool must, double *number)
{
	json_t *v = json_object_get(o, key);

	if (!v || json_is_null(v))
		return must ? bad(in, "is missing", key) : 0;
	if (!json_is_number(v))
		return bad(in, "is no number", key);
	*number = json_number_value(v);
	return 0;
}

static int get_time(struct reader *in, json_t *o, const char *key, double *t)
{
	if (get_number(in, o, key, true, t))
		return -1;
	return *t >= 0 && *t <= TIME_MAX ? 0 : bad(in, "is no time in seconds since 1970", key);
}

/* A word out of several; its place */
static int get_word(struct reader *in, json_t *o, const char *key, const char *const *words, int *at)
{
	const char *text = json_string_value(json_object_get(o, key));
	int i;

	for (i = 0; text && words[i]; i++)
		if (!strcmp(text, words[i])) {
			*at = i;
			return 0;
		}
	return bad(in, text ? "has a value that is not known" : "is missing", key);
}

static void saw(struct tw_recording *r, double t)
{
	if (!r->start || t < r->start)
		r->start = t;
	if (t > r->end)
		r->end = t;
}

static int read_run(struct reader *in, json_t *o)
{
	struct tw_recording *r = in->r;
	double schema = 0;

	if (get_number(in, o, "schema", true, &schema) || get_text(in, o, "vm", true, &r->vm) ||
	    get_text(in, o, "policy", false, &r->policy) ||
	    get_number(in, o, "every_s", false, &r->every))
		return -1;
	if (schema != TW_RECORDING_SCHEMA)
		return bad(in, "is not 1: another version wrote it", "schema");
	in->begun = true;
	return 0;
}

static int read_zone(struct reader *in, json_t *o)
{
	json_t *list = json_object_get(o, "shifts"), *pair;
	struct tw_recording *r = in->r;
	size_t i;

	if (get_number(in, o, "east_s", true, &r->zone.east))
		return -1;
	r->shifts = tw_grow(r->shifts, json_array_size(list), sizeof(*r->shifts));
	json_array_foreach(list, i, pair) {
		if (json_array_size(pair) != 2 || !json_is_number(json_array_get(pair, 0)) ||
		    !json_is_number(json_array_get(pair, 1)))
			return bad(in, "is no list of pairs of numbers", "shifts");
		r->shifts[i].at = json_number_value(json_array_get(pair, 0));
		r->shifts[i].east = json_number_value(json_array_get(pair, 1));
		if (i && r->shifts[i].at <= r->shifts[i - 1].at)
			return bad(in, "is not in the order of time", "shifts");
	}
	r->zone.shift = r->shifts;
	r->zone.n = json_array_size(list);
	return 0;
}

static int read_series(struct reader *in, json_t *o)
{
	static const char *const kinds[] = { "gauge", "counter", NULL };
	static const char *const ways[] = { "up", "down", "none", NULL };
	static const int worse[] = { 1, -1, 0 };
	struct tw_recording *r = in->r;
	struct tw_series s = { 0 };
	int kind = 0, way = 0, status;

	status = get_text(in, o, "name", true, &s.name) || get_text(in, o, "title", false, &s.title) ||
		 get_text(in, o, "unit", true, &s.unit) || get_word(in, o, "kind", kinds, &kind) ||
		 get_word(in, o, "worse", ways, &way) || get_number(in, o, "limit", false, &s.limit);
	if (!status && json_object_get(in->series, s.name))
		status = bad(in, "is declared twice", s.name);
	s.has_limit = json_is_number(json_object_get(o, "limit"));
	s.counter = kind == 1;
	s.worse = worse[way];
	r->series = tw_grow(r->series, r->n_series + 1, sizeof(s));
	r->series[r->n_series++] = s;
	if (!status)
		json_object_set_new(in->series, s.name, json_integer(r->n_series - 1));
	return status ? -1 : 0;
}

/* Arrays that grow by one grow by doubling */
static bool full(size_t n)
{
	return !(n & (n - 1));
}

static void add_sample(struct tw_series *s, double t, double y)
{
	if (full(s->n)) {
		s->t = tw_grow(s->t, s->n ? 2 * s->n : 1, sizeof(*s->t));
		s->y = tw_grow(s->y, s->n ? 2 * s->n : 1, sizeof(*s->y));
	}
	s->t[s->n] = t;
	s->y[s->n++] = y;
}

static int read_sample(struct reader *in, json_t *o)
{
	json_t *values = json_object_get(o, "v"), *v;
	struct tw_recording *r = in->r;
	const char *name;
	bool back = false;
	double t = 0;

	if (get_time(in, o, "t", &t) || get_number(in, o, "host_s", false, &r->host_seconds))
		return -1;
	if (!json_is_object(values))
		return bad(in, "is missing", "v");
	json_object_foreach(values, name, v) {
		json_t *at = json_object_get(in->series, name);
		struct tw_series *s;

		if (!at)
			return bad(in, "is a series that was not declared", name);
		if (!json_is_number(v))
			return bad(in, "is no number", name);
		s = &r->series[json_integer_value(at)];
		if (s->n && t <= s->t[s->n - 1])
			back = true;
		else
			add_sample(s, t, json_number_value(v));
	}
	r->went_back += back;
	r->samples++;
	saw(r, t);
	return 0;
}

static int read_job(struct reader *in, json_t *o)
{
	static const char *const rules[] = { "every", "daily", "weekly", "monthly", NULL };
	struct tw_recording *r = in->r;
	struct tw_job j = { 0 };
	double day = 0;
	int rule = 0, status;

	status = get_text(in, o, "name", true, &j.name) || get_word(in, o, "rule", rules, &rule) ||
		 get_number(in, o, "every_s", !rule, &j.calendar.every) ||
		 get_number(in, o, "at_s", rule > 0, &j.calendar.at) ||
		 get_number(in, o, "day", rule > 1, &day) ||
		 get_number(in, o, "tolerance_s", false, &j.calendar.tolerance);
	if (!status && json_object_get(in->jobs, j.name))
		status = bad(in, "is declared twice", j.name);
	if (!status && !rule && !(j.calendar.every > 0))
		status = bad(in, "is not above 0", "every_s");
	if (!status && !(j.calendar.at >= 0 && j.calendar.at < 86400))
		status = bad(in, "is no time of day", "at_s");
	if (!status && !(j.calendar.tolerance >= 0))
		status = bad(in, "is below 0", "tolerance_s");
	if (!status && rule > 1 && (day < (rule == 3) || day > (rule == 3 ? 31 : 6)))
		status = bad(in, "is no day of that", "day");
	j.calendar.rule = rule;
	j.calendar.day = status ? 0 : day;
	r->jobs = tw_grow(r->jobs, r->n_jobs + 1, sizeof(j));
	r->jobs[r->n_jobs++] = j;
	if (!status)
		json_object_set_new(in->jobs, j.name, json_integer(r->n_jobs - 1));
	return status ? -1 : 0;
}

static int read_ran(struct reader *in, json_t *o)
{
	const char *name = json_string_value(json_object_get(o, "job"));
	json_t *at = name ? json_object_get(in->jobs, name) : NULL;
	struct tw_job *j;
	double t = 0;

	if (!at)
		return bad(in, "is no job that was declared", name ? name : "job");
	if (get_time(in, o, "t", &t))
		return -1;
	j = &in->r->jobs[json_integer_value(at)];
	if (full(j->n))
		j->ran = tw_grow(j->ran, j->n ? 2 * j->n : 1, sizeof(*j->ran));
	j->ran[j->n++] = t;
	return 0;
}

static int read_event(struct reader *in, json_t *o)
{
	static const char *const words[] = { "failure", "error", "warning", "note", NULL };
	struct tw_recording *r = in->r;
	struct tw_age_event ev = { 0 };
	int severity = 0, status;

	status = get_time(in, o, "t", &ev.t) || get_word(in, o, "severity", words, &severity) ||
		 get_text(in, o, "subject", true, &ev.subject) || get_text(in, o, "text", true, &ev.text);
	ev.severity = severity;
	if (full(r->n_events))
		r->events = tw_grow(r->events, r->n_events ? 2 * r->n_events : 1, sizeof(ev));
	r->events[r->n_events++] = ev;
	if (!status)
		saw(r, ev.t);
	return status ? -1 : 0;
}

static int read_expiry(struct reader *in, json_t *o)
{
	const char *name = json_string_value(json_object_get(o, "subject"));
	struct tw_recording *r = in->r;
	struct tw_expiry_seen seen;
	struct tw_expiring *x;
	json_t *at;

	if (!name)
		return bad(in, "is missing", "subject");
	if (get_time(in, o, "t", &seen.t) || get_number(in, o, "ends", true, &seen.ends))
		return -1;
	at = json_object_get(in->expiring, name);
	if (!at) {
		r->expiring = tw_grow(r->expiring, r->n_expiring + 1, sizeof(*r->expiring));
		r->expiring[r->n_expiring++] = (struct tw_expiring){ .subject = tw_strdup(name) };
		json_object_set_new(in->expiring, name, json_integer(r->n_expiring - 1));
		at = json_object_get(in->expiring, name);
	}
	x = &r->expiring[json_integer_value(at)];
	if (x->n && seen.t < x->seen[x->n - 1].t)
		return 0;
	x->seen = tw_grow(x->seen, x->n + 1, sizeof(*x->seen));
	x->seen[x->n++] = seen;
	return 0;
}

static int read_missing(struct reader *in, json_t *o)
{
	struct tw_recording *r = in->r;
	struct tw_missing m = { 0 };
	int status = get_text(in, o, "source", true, &m.source) || get_text(in, o, "why", true, &m.why);

	r->missing = tw_grow(r->missing, r->n_missing + 1, sizeof(m));
	r->missing[r->n_missing++] = m;
	return status ? -1 : 0;
}

static int read_end(struct reader *in, json_t *o)
{
	double t = 0;

	if (get_time(in, o, "t", &t) || get_text(in, o, "reason", true, &in->r->ended))
		return -1;
	saw(in->r, t);
	return 0;
}

static int read_line(struct reader *in, json_t *o)
{
	static const struct {
		const char *type;
		int (*read)(struct reader *in, json_t *o);
	} kinds[] = {
		{ "run", read_run }, { "zone", read_zone }, { "series", read_series },
		{ "sample", read_sample }, { "job", read_job }, { "ran", read_ran },
		{ "event", read_event }, { "expiry", read_expiry }, { "missing", read_missing },
		{ "end", read_end },
	};
	const char *type = json_string_value(json_object_get(o, "type"));
	size_t i;

	if (!type)
		return bad(in, "is missing", "type");
	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(type, kinds[i].type)) {
			if (!in->begun && i)
				return bad(in, "comes before a line of type run", type);
			return kinds[i].read(in, o);
		}
	return bad(in, "is no type of line that this version knows", type);
}

static int compare_times(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int fail_line(struct tw_err *e, const char *path, size_t line, const char *why)
{
	tw_fail(e, TW_FAILED, "cannot read recording %s", TW_QUOTE(path));
	tw_fact(e, "line %zu: %s", line, why);
	return tw_cure(e, "doc/aging.md describes its lines");
}

static int read_lines(struct reader *in, FILE *f, const char *path, struct tw_err *e)
{
	size_t size = 0, number = 0;
	char *line = NULL;
	int status = TW_OK;
	ssize_t len;

	while (!status && (len = getline(&line, &size, f)) >= 0) {
		json_error_t error;
		json_t *o = NULL;

		number++;
		if (line[len - 1] != '\n' && feof(f)) {
			in->r->cut = true;
			break;
		}
		if (len <= LINE_MAX_BYTES)
			o = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
		if (!json_is_object(o))
			status = fail_line(e, path, number, o || len > LINE_MAX_BYTES ? "it is no JSON object" :
					   error.text);
		else if (read_line(in, o))
			status = fail_line(e, path, number, in->why);
		json_decref(o);
	}
	free(line);
	if (!status && ferror(f))
		return fail_line(e, path, number + 1, strerror(errno));
	if (!status && !in->begun)
		return fail_line(e, path, number + 1, "there is no line of type run");
	return status;
}

int tw_recording_read(const char *path, struct tw_recording *r, struct tw_err *e)
{
	struct reader in = { .r = r };
	FILE *f = fopen(path, "re");
	size_t i;
	int status;

	*r = (struct tw_recording){ 0 };
	if (!f) {
		tw_fail(e, TW_FAILED, "cannot read recording %s", TW_QUOTE(path));
		tw_fact(e, "%s", strerror(errno));
		return tw_cure(e, "name a file that twctl age has written");
	}
	in.series = json_object();
	in.jobs = json_object();
	in.expiring = json_object();
	status = read_lines(&in, f, path, e);
	json_decref(in.series);
	json_decref(in.jobs);
	json_decref(in.expiring);
	fclose(f);
	for (i = 0; i < r->n_jobs; i++)
		if (r->jobs[i].n)
			qsort(r->jobs[i].ran, r->jobs[i].n, sizeof(double), compare_times);
	return status;
}

void tw_recording_free(struct tw_recording *r)
{
	size_t i;

	for (i = 0; i < r->n_series; i++) {
		free(r->series[i].name);
		free(r->series[i].title);
		free(r->series[i].unit);
		free(r->series[i].t);
		free(r->series[i].y);
	}
	for (i = 0; i < r->n_jobs; i++) {
		free(r->jobs[i].name);
		free(r->jobs[i].ran);
	}
	for (i = 0; i < r->n_events; i++) {
		free(r->events[i].subject);
		free(r->events[i].text);
	}
	for (i = 0; i < r->n_expiring; i++) {
		free(r->expiring[i].subject);
		free(r->expiring[i].seen);
	}
	for (i = 0; i < r->n_missing; i++) {
		free(r->missing[i].source);
		free(r->missing[i].why);
	}
	free(r->vm);
	free(r->policy);
	free(r->ended);
	free(r->shifts);
	free(r->series);
	free(r->jobs);
	free(r->events);
	free(r->expiring);
	free(r->missing);
	*r = (struct tw_recording){ 0 };
}
