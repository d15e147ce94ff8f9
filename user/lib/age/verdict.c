// SPDX-License-Identifier: GPL-2.0
#include "age/verdict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "age/format.h"
#include "judge/days.h"
#include "judge/failure.h"
#include "text.h"

const struct tw_age_options tw_age_defaults = {
	.alpha = 0.01,
	.horizon = 10 * 365.25 * TW_DAY,
	.ahead = 30 * TW_DAY,
};

const char *tw_mark_name(enum tw_mark mark)
{
	static const char *const names[] = { "fault", "warning", "note" };

	return names[mark];
}

const char *tw_matter_name(enum tw_matter matter)
{
	static const char *const names[] = { "growth", "job", "expiry", "failure", "level" };

	return names[matter];
}

const char *tw_news_name(enum tw_news news)
{
	static const char *const names[] = { "", "new", "worse", "same", "better" };

	return names[news];
}

const char *tw_form_name(enum tw_form form)
{
	static const char *const names[] = {
		[TW_FORM_SHORT] = "short", [TW_FORM_STEADY] = "steady", [TW_FORM_TREND] = "trend",
		[TW_FORM_STEP] = "step", [TW_FORM_FILLED] = "filled", [TW_FORM_SAW] = "saw-tooth",
	};

	return names[form];
}

struct tw_age_verdict *tw_verdicts_add(struct tw_verdicts *v, enum tw_mark mark, enum tw_matter matter,
				   const char *subject, double when, char *text)
{
	struct tw_age_verdict *one;

	v->v = tw_grow(v->v, v->n + 1, sizeof(*v->v));
	one = &v->v[v->n++];
	*one = (struct tw_age_verdict){ .mark = mark, .matter = matter, .subject = tw_strdup(subject),
				    .when = when, .text = text, .series = -1 };
	v->count[mark]++;
	return one;
}

/* How often, in words, with the first and the last date */
static char *slip_text(const struct tw_job_slip *s, size_t n, enum tw_slip what)
{
	static const char *const words[] = { "did not run", "ran twice", "ran at another time",
					     "ran beside its calendar" };
	double first = 0, last = 0;
	size_t count = 0, dst = 0, i;
	double due = 0, ran = 0;
	char *text, *more;

	for (i = 0; i < n; i++) {
		if (s[i].what != what)
			continue;
		last = s[i].due ? s[i].due : s[i].ran;
		if (!count++) {
			first = last;
			due = s[i].due;
			ran = s[i].ran;
		}
		dst += s[i].dst;
	}
	if (count == 1)
		text = tw_asprintf("%s on %s", words[what], TW_MINUTE_OF(first));
	else
		text = tw_asprintf("%s %zu times, from %s to %s", words[what], count, TW_MINUTE_OF(first),
				   TW_MINUTE_OF(last));
	if (what == TW_SLIP_MOVED) {
		more = tw_asprintf("%s: %s %s", text, TW_PERIOD(fabs(ran - due)), ran > due ? "late" : "early");
		free(text);
		text = more;
	}
	if (dst) {
		more = tw_asprintf("%s (%zu at a change of daylight saving time)", text, dst);
		free(text);
		text = more;
	}
	return text;
}

/*
 * What tells when the guest's timers were looked at: a series that each such look gives a value of.  A recording that has it
 * from elsewhere has only its samples
 */
static const struct tw_series *looks(const struct tw_recording *r)
{
	const struct tw_series *longest = NULL;
	size_t i;

	for (i = 0; i < r->n_series; i++) {
		if (!strcmp(r->series[i].name, "guest.load"))
			return &r->series[i];
		if (!longest || r->series[i].n > longest->n)
			longest = &r->series[i];
	}
	return longest;
}

/*
 * Whether it was seen that a job had not run when it was due.  A look tells the last run: what was due between two looks, and
 * had another run after it, may have run as well as not.
 */
static bool is_missed(const struct tw_series *looked, const struct tw_job *job, double due)
{
	double by = due + job->calendar.tolerance, next = INFINITY;
	size_t i;

	for (i = 0; i < job->n && next == INFINITY; i++)
		if (job->ran[i] > due)
			next = job->ran[i];
	for (i = 0; looked && i < looked->n; i++)
		if (looked->t[i] > by)
			return looked->t[i] < next;
	return false;
}

static void judge_job(const struct tw_recording *r, const struct tw_job *job, struct tw_verdicts *v)
{
	const struct tw_series *looked = looks(r);
	struct tw_job_slip *s = NULL;
	struct tw_due *due = NULL;
	enum tw_slip what;
	size_t n, i, seen = 0;

	if (job->calendar.rule == TW_RULE_EVERY) {
		n = tw_jobs_judge_every(&job->calendar, job->ran, job->n, r->end, &s);
	} else {
		size_t n_due = tw_jobs_due(&job->calendar, &r->zone, r->start, r->end, &due);

		n = tw_jobs_judge(due, n_due, job->ran, job->n, &s);
	}
	for (i = 0; i < n; i++)
		if (s[i].what != TW_SLIP_MISSED || is_missed(looked, job, s[i].due))
			s[seen++] = s[i];
	n = seen;
	for (what = TW_SLIP_MISSED; what <= TW_SLIP_EXTRA; what++)
		for (i = 0; i < n; i++)
			if (s[i].what == what) {
				tw_verdicts_add(v, what == TW_SLIP_EXTRA ? TW_MARK_NOTE : TW_MARK_FAULT,
						TW_MATTER_JOB, job->name, s[i].due ? s[i].due : s[i].ran,
						slip_text(s, n, what));
				break;
			}
	free(s);
	free(due);
}

void tw_verdicts_jobs(const struct tw_recording *r, struct tw_verdicts *v)
{
	size_t i;

	for (i = 0; i < r->n_jobs; i++)
		judge_job(r, &r->jobs[i], v);
}

void tw_verdicts_expiry(const struct tw_recording *r, struct tw_verdicts *v)
{
	size_t i;

	for (i = 0; i < r->n_expiring; i++) {
		const struct tw_expiring *x = &r->expiring[i];
		struct tw_expiry e = tw_expiry(x->seen, x->n, v->o.ahead);
		char *text = NULL;

		if (e.state == TW_EXPIRY_ENDED && e.back)
			text = tw_asprintf("expired on %s, valid again by %s", TW_MINUTE_OF(e.when),
					   TW_MINUTE_OF(e.back));
		else if (e.state == TW_EXPIRY_ENDED)
			text = tw_asprintf("expired on %s, and was not renewed", TW_MINUTE_OF(e.when));
		else if (e.state == TW_EXPIRY_ENDS)
			text = tw_asprintf("will expire on %s, and nothing renews it", TW_MINUTE_OF(e.when));
		if (text)
			tw_verdicts_add(v, TW_MARK_FAULT, TW_MATTER_EXPIRY, x->subject, e.when, text);
	}
}

static void judge_events(const struct tw_recording *r, enum tw_severity_age severity, enum tw_mark mark,
			 struct tw_verdicts *v)
{
	struct tw_occurrence *o = tw_grow(NULL, r->n_events, sizeof(*o));
	struct tw_failure *f;
	size_t n = 0, i;

	for (i = 0; i < r->n_events; i++)
		if (r->events[i].severity == severity)
			o[n++] = (struct tw_occurrence){ r->events[i].t, r->events[i].subject,
							 r->events[i].text };
	n = tw_failures(o, n, &f);
	for (i = 0; i < n; i++)
		tw_verdicts_add(v, mark, TW_MATTER_FAILURE, f[i].subject, f[i].first,
				f[i].count == 1 ?
				tw_asprintf("%s: %s", TW_MINUTE_OF(f[i].first), f[i].text) :
				tw_asprintf("%s: %s; %zu times up to %s", TW_MINUTE_OF(f[i].first), f[i].text,
					    f[i].count, TW_MINUTE_OF(f[i].last)));
	free(f);
	free(o);
}

void tw_verdicts_events(const struct tw_recording *r, struct tw_verdicts *v)
{
	judge_events(r, TW_EVENT_FAILURE, TW_MARK_FAULT, v);
	judge_events(r, TW_EVENT_ERROR, TW_MARK_WARNING, v);
	judge_events(r, TW_EVENT_WARNING, TW_MARK_NOTE, v);
	if (r->went_back)
		tw_verdicts_add(v, TW_MARK_FAULT, TW_MATTER_FAILURE, "the guest's clock", r->start,
				tw_asprintf("it was not later than before at %zu of %zu samples", r->went_back,
					    r->samples));
}

static int compare(const void *a, const void *b)
{
	const struct tw_age_verdict *x = a, *y = b;

	if (x->mark != y->mark)
		return x->mark < y->mark ? -1 : 1;
	if (x->when != y->when)
		return x->when < y->when ? -1 : 1;
	return strcmp(x->subject, y->subject);
}

void tw_verdicts_find(const struct tw_recording *r, const struct tw_age_options *o,
		      struct tw_verdicts *v)
{
	*v = (struct tw_verdicts){ .o = *o };
	tw_verdicts_series(r, v);
	tw_verdicts_wholes(r, v);
	tw_verdicts_jobs(r, v);
	tw_verdicts_expiry(r, v);
	tw_verdicts_events(r, v);
	if (v->n)
		qsort(v->v, v->n, sizeof(*v->v), compare);
}

int tw_verdicts_status(const struct tw_verdicts *v)
{
	return (v->compared ? v->fresh : v->count[TW_MARK_FAULT]) ? TW_THRESHOLD : TW_OK;
}

void tw_verdicts_free(struct tw_verdicts *v)
{
	size_t i;

	for (i = 0; i < v->n; i++) {
		free(v->v[i].subject);
		free(v->v[i].text);
	}
	for (i = 0; i < v->n_series; i++) {
		free(v->series[i].t);
		free(v->series[i].y);
	}
	for (i = 0; i < v->n_gone; i++)
		free(v->gone[i]);
	free(v->v);
	free(v->series);
	free(v->gone);
	*v = (struct tw_verdicts){ 0 };
}
