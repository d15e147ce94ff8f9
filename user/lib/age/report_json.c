// SPDX-License-Identifier: GPL-2.0
/* The report for programs, written and, as a baseline, read. */
#include "age/report.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "judge/days.h"
#include "text.h"

static void write_verdict(struct tw_json *j, const struct tw_recording *r, const struct tw_age_verdict *one)
{
	tw_json_open(j, NULL, '{');
	tw_json_str(j, "mark", tw_mark_name(one->mark));
	tw_json_str(j, "matter", tw_matter_name(one->matter));
	tw_json_str(j, "subject", one->subject);
	tw_json_str(j, "text", one->text);
	tw_json_real(j, "when", one->when);
	tw_json_str(j, "news", one->news ? tw_news_name(one->news) : NULL);
	tw_json_str(j, "series", one->series < 0 ? NULL : r->series[one->series].name);
	if (one->has_rate) {
		tw_json_open(j, "rate", '{');
		tw_json_real(j, "a_day", one->rate);
		tw_json_real(j, "low", one->low);
		tw_json_real(j, "high", one->high);
		tw_json_close(j, '}');
	}
	tw_json_close(j, '}');
}

static void write_series(struct tw_json *j, const struct tw_series *s, const struct tw_seen *seen)
{
	size_t i;

	tw_json_open(j, NULL, '{');
	tw_json_str(j, "name", s->name);
	tw_json_str(j, "unit", s->unit);
	tw_json_bool(j, "rate_of_counter", s->counter);
	tw_json_int(j, "samples", s->n);
	tw_json_str(j, "form", tw_form_name(seen->j.form));
	tw_json_bool(j, "grows", seen->grows);
	tw_json_real(j, "p", seen->p);
	tw_json_real(j, "step_p", seen->step_p);
	tw_json_real(j, "a_day", seen->j.slope.middle * TW_DAY);
	tw_json_real(j, "low", seen->j.slope.low * TW_DAY);
	tw_json_real(j, "high", seen->j.slope.high * TW_DAY);
	tw_json_real(j, "level", seen->j.slope.level);
	tw_json_real(j, "limit", s->has_limit ? s->limit : NAN);
	tw_json_real(j, "exhausted", seen->grows && seen->exhausts ? seen->exhaust.likely : NAN);
	tw_json_real(j, "exhausted_earliest", seen->grows && seen->exhausts ? seen->exhaust.earliest : NAN);
	tw_json_real(j, "exhausted_latest", seen->grows && seen->exhausts ? seen->exhaust.latest : NAN);
	tw_json_open(j, "changes", '[');
	for (i = 0; i < seen->j.n_changes; i++)
		tw_json_real(j, NULL, seen->j.changes[i]);
	tw_json_close(j, ']');
	tw_json_close(j, '}');
}

void tw_report_json(FILE *f, const struct tw_recording *r, const struct tw_verdicts *v)
{
	struct tw_json j = { .f = f, .unflushed = true, .foreign = true };
	size_t i;

	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "schema", TW_REPORT_SCHEMA);
	tw_json_str(&j, "vm", r->vm);
	tw_json_str(&j, "policy", r->policy);
	tw_json_str(&j, "ended", r->ended);
	tw_json_real(&j, "start", r->start);
	tw_json_real(&j, "end", r->end);
	tw_json_real(&j, "host_seconds", r->host_seconds > 0 ? r->host_seconds : NAN);
	tw_json_int(&j, "samples", r->samples);
	tw_json_real(&j, "alpha", v->o.alpha);
	tw_json_real(&j, "horizon_s", v->o.horizon);
	tw_json_bool(&j, "compared", v->compared);
	tw_json_int(&j, "faults", v->count[TW_MARK_FAULT]);
	tw_json_open(&j, "verdicts", '[');
	for (i = 0; i < v->n; i++)
		write_verdict(&j, r, &v->v[i]);
	tw_json_close(&j, ']');
	tw_json_open(&j, "series", '[');
	for (i = 0; i < v->n_series; i++)
		write_series(&j, &r->series[i], &v->series[i]);
	tw_json_close(&j, ']');
	tw_json_open(&j, "gone", '[');
	for (i = 0; i < v->n_gone; i++)
		tw_json_str(&j, NULL, v->gone[i]);
	tw_json_close(&j, ']');
	tw_json_open(&j, "missing", '[');
	for (i = 0; i < r->n_missing; i++) {
		tw_json_open(&j, NULL, '{');
		tw_json_str(&j, "source", r->missing[i].source);
		tw_json_str(&j, "why", r->missing[i].why);
		tw_json_close(&j, '}');
	}
	tw_json_close(&j, ']');
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

static const char *text_of(json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static bool is_fault(json_t *old)
{
	return !strcmp(text_of(old, "mark"), tw_mark_name(TW_MARK_FAULT));
}

static bool same_matter(json_t *old, const struct tw_age_verdict *one)
{
	return !strcmp(text_of(old, "matter"), tw_matter_name(one->matter)) &&
	       !strcmp(text_of(old, "subject"), one->subject);
}

/* Of rates the wrong way: their sizes, as both go the same way */
static enum tw_news compare_rates(json_t *old, const struct tw_age_verdict *one)
{
	json_t *rate = json_object_get(old, "rate");
	double a = fabs(json_number_value(json_object_get(rate, "low")));
	double b = fabs(json_number_value(json_object_get(rate, "high")));

	if (!rate || !one->has_rate)
		return TW_NEWS_SAME;
	if (fmin(fabs(one->low), fabs(one->high)) > fmax(a, b))
		return TW_NEWS_WORSE;
	if (fmax(fabs(one->low), fabs(one->high)) < fmin(a, b))
		return TW_NEWS_BETTER;
	return TW_NEWS_SAME;
}

static void compare_faults(json_t *list, struct tw_verdicts *v)
{
	json_t *old;
	size_t i, k;

	for (i = 0; i < v->n; i++) {
		if (v->v[i].mark != TW_MARK_FAULT)
			continue;
		v->v[i].news = TW_NEWS_NEW;
		json_array_foreach(list, k, old)
			if (is_fault(old) && same_matter(old, &v->v[i])) {
				v->v[i].news = compare_rates(old, &v->v[i]);
				break;
			}
		v->fresh += v->v[i].news == TW_NEWS_NEW || v->v[i].news == TW_NEWS_WORSE;
	}
}

static void find_gone(json_t *list, struct tw_verdicts *v)
{
	json_t *old;
	size_t i, k;

	json_array_foreach(list, k, old) {
		bool still = !is_fault(old);

		for (i = 0; i < v->n && !still; i++)
			still = v->v[i].mark == TW_MARK_FAULT && same_matter(old, &v->v[i]);
		if (still)
			continue;
		v->gone = tw_grow(v->gone, v->n_gone + 1, sizeof(*v->gone));
		v->gone[v->n_gone++] = tw_asprintf("%s: %s", text_of(old, "subject"), text_of(old, "text"));
	}
}

int tw_report_compare(const char *path, struct tw_verdicts *v, struct tw_err *e)
{
	json_error_t error;
	json_t *report = json_load_file(path, JSON_REJECT_DUPLICATES, &error), *list;
	int status = TW_OK;

	list = json_object_get(report, "verdicts");
	if (!report || !json_is_array(list) || strcmp(text_of(report, "schema"), TW_REPORT_SCHEMA)) {
		tw_fail(e, TW_FAILED, "cannot compare with baseline %s", TW_QUOTE(path));
		tw_fact(e, "%s", report ? "it is no report of schema " TW_REPORT_SCHEMA : error.text);
		status = tw_cure(e, "name the report.json of another twctl age");
	} else {
		v->compared = true;
		compare_faults(list, v);
		find_gone(list, v);
	}
	json_decref(report);
	return status;
}
