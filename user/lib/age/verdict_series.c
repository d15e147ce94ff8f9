// SPDX-License-Identifier: GPL-2.0
/* What is said of series: what grows, when that meets a limit, and other levels. */
#include "age/verdict.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "age/format.h"
#include "judge/days.h"
#include "judge/multiple.h"
#include "judge/rank.h"
#include "text.h"

/* A counter as its rate a day, from one sample to the next; after a restart it began at 0 */
static void take_rates(const struct tw_series *s, struct tw_seen *seen)
{
	size_t i;

	for (i = 1; i < s->n; i++) {
		double by = s->y[i] >= s->y[i - 1] ? s->y[i] - s->y[i - 1] : s->y[i];

		seen->t[seen->n] = s->t[i];
		seen->y[seen->n++] = by * TW_DAY / (s->t[i] - s->t[i - 1]);
	}
}

static void judge_one(const struct tw_series *s, struct tw_seen *seen)
{
	size_t i;

	seen->t = tw_doubles(s->n);
	seen->y = tw_doubles(s->n);
	seen->unit = s->unit;
	if (s->counter)
		take_rates(s, seen);
	for (i = 0; !s->counter && i < s->n; i++) {
		seen->t[i] = s->t[i];
		seen->y[i] = s->y[i];
		seen->n++;
	}
	seen->j = tw_judge_series(seen->t, seen->y, seen->n);
}

static bool has_growth(const struct tw_judged *j)
{
	return j->form == TW_FORM_TREND || j->form == TW_FORM_SAW;
}

/* When it is too late, of one that grows the wrong way; free things end at 0 */
static void exhaust(const struct tw_series *s, struct tw_seen *seen)
{
	bool up = s->worse > 0;

	if (!seen->n || s->counter || !s->worse || !(s->has_limit || !up))
		return;
	seen->exhausts = true;
	seen->exhaust = tw_exhaust(seen->t[seen->n - 1], &seen->j.slope, s->has_limit ? s->limit : 0, up);
}

/* Whether growth that is real matters within the horizon: it meets its limit, or doubles */
static bool matters(const struct tw_seen *seen, double horizon)
{
	double end = seen->t[seen->n - 1], level = fabs(seen->j.slope.level);

	if (seen->exhausts)
		return seen->exhaust.likely <= end + horizon;
	return fabs(seen->j.slope.middle) * horizon >= level;
}

bool tw_verdicts_is_fault(const struct tw_series *s, const double *t, const double *y, size_t n,
			  const struct tw_age_options *o)
{
	struct tw_seen seen = { .t = (double *)t, .y = (double *)y, .n = n };

	seen.j = tw_judge_series(t, y, n);
	exhaust(s, &seen);
	return has_growth(&seen.j) && seen.j.p < o->alpha && s->worse * seen.j.slope.middle > 0 &&
	       matters(&seen, o->horizon);
}

/* Corrects both probabilities of all series for their number */
static void correct(struct tw_verdicts *v)
{
	double *p = tw_doubles(v->n_series), *adjusted = tw_doubles(v->n_series);
	size_t i;

	for (i = 0; i < v->n_series; i++)
		p[i] = has_growth(&v->series[i].j) ? v->series[i].j.p : 1;
	tw_holm(p, v->n_series, adjusted);
	for (i = 0; i < v->n_series; i++) {
		v->series[i].p = adjusted[i];
		v->series[i].grows = has_growth(&v->series[i].j) && adjusted[i] < v->o.alpha;
		p[i] = v->series[i].j.step_p;
	}
	tw_holm(p, v->n_series, adjusted);
	for (i = 0; i < v->n_series; i++)
		v->series[i].step_p = adjusted[i];
	free(p);
	free(adjusted);
}

static char *with(char *text, char *more)
{
	char *both = tw_asprintf("%s%s", text, more);

	free(text);
	free(more);
	return both;
}

static char *growth_text(const struct tw_recording *r, const struct tw_series *s,
			 const struct tw_seen *seen)
{
	const struct tw_slope *l = &seen->j.slope;
	bool up = l->middle > 0;
	double low = fmin(fabs(l->low), fabs(l->high)), high = fmax(fabs(l->low), fabs(l->high));
	double left = seen->exhaust.likely - r->end;
	char *text = tw_asprintf("%s%s by %s%s a day (%s to %s)", seen->j.form == TW_FORM_SAW ? "saw-teeth that " :
				 s->counter ? "its rate " : "",
				 seen->j.form == TW_FORM_SAW ? (up ? "grow" : "sink") : up ? "grows" : "falls",
				 TW_AMOUNT(fabs(l->middle) * TW_DAY, s->unit), s->counter ? " a day" : "",
				 TW_AMOUNT((l->low * l->high < 0 ? 0 : low) * TW_DAY, s->unit),
				 TW_AMOUNT(high * TW_DAY, s->unit));

	if (seen->j.since > r->start + (r->end - r->start) / 20)
		text = with(text, tw_asprintf(", since %s", TW_DATE_OF(seen->j.since, r->end - r->start)));
	if (seen->exhausts && isfinite(seen->exhaust.likely))
		text = with(text, tw_asprintf("; %s %s on %s (%s to %s)", s->worse > 0 ? "reaches" : "is down to",
					      TW_AMOUNT(s->has_limit ? s->limit : 0, s->unit),
					      TW_DATE_OF(seen->exhaust.likely, left),
					      TW_DATE_OF(seen->exhaust.earliest, left),
					      TW_DATE_OF(seen->exhaust.latest, left)));
	else if (l->level)
		text = with(text, tw_asprintf("; now %s%s", TW_AMOUNT(l->level, s->unit),
					      s->counter ? " a day" : ""));
	return text;
}

static void say_growth(const struct tw_recording *r, size_t i, struct tw_verdicts *v)
{
	const struct tw_series *s = &r->series[i];
	struct tw_seen *seen = &v->series[i];
	const struct tw_slope *l = &seen->j.slope;
	bool wrong = s->worse * l->middle > 0;
	struct tw_age_verdict *one;

	exhaust(s, seen);
	if (!seen->grows)
		return;
	one = tw_verdicts_add(v, wrong && matters(seen, v->o.horizon) ? TW_MARK_FAULT : TW_MARK_NOTE,
			      TW_MATTER_GROWTH, s->name, wrong && seen->exhausts ? seen->exhaust.likely : INFINITY,
			      growth_text(r, s, seen));
	one->series = i;
	one->has_rate = true;
	one->rate = l->middle * TW_DAY;
	one->low = l->low * TW_DAY;
	one->high = l->high * TW_DAY;
}

static double median_between(const struct tw_seen *seen, double from, double to)
{
	double *v = tw_doubles(seen->n), m;
	size_t i, n = 0;

	for (i = 0; i < seen->n; i++)
		if (seen->t[i] >= from && seen->t[i] < to)
			v[n++] = seen->y[i];
	m = tw_median(v, n);
	free(v);
	return m;
}

static void say_level(const struct tw_series *s, size_t i, struct tw_verdicts *v)
{
	struct tw_seen *seen = &v->series[i];
	struct tw_judged *j = &seen->j;
	double before, after, span;
	size_t n = j->n_changes;
	char *text;

	if (j->form != TW_FORM_STEP || !n || seen->step_p >= v->o.alpha)
		return;
	span = seen->t[seen->n - 1] - seen->t[0];
	before = median_between(seen, 0, j->changes[0]);
	after = median_between(seen, j->changes[n - 1], INFINITY);
	text = tw_asprintf("from %s to %s%s", TW_AMOUNT(before, s->unit), TW_AMOUNT(after, s->unit),
			   s->counter ? " a day" : "");
	if (n == 1)
		text = with(text, tw_asprintf(" on %s, and stayed", TW_DATE_OF(j->changes[0], span)));
	else
		text = with(text, tw_asprintf(" in %zu steps from %s to %s, and stayed", n,
					      TW_DATE_OF(j->changes[0], span),
					      TW_DATE_OF(j->changes[n - 1], span)));
	tw_verdicts_add(v, TW_MARK_NOTE, TW_MATTER_LEVEL, s->name, j->changes[0], text)->series = i;
}

void tw_verdicts_series(const struct tw_recording *r, struct tw_verdicts *v)
{
	size_t i;

	v->n_series = r->n_series;
	v->series = tw_grow(NULL, r->n_series, sizeof(*v->series));
	for (i = 0; i < r->n_series; i++) {
		v->series[i] = (struct tw_seen){ .step_p = 1 };
		judge_one(&r->series[i], &v->series[i]);
	}
	correct(v);
	for (i = 0; i < r->n_series; i++) {
		say_growth(r, i, v);
		say_level(&r->series[i], i, v);
	}
}
