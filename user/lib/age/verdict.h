/* SPDX-License-Identifier: GPL-2.0 */
/* From what was seen to what is said of it. */
#ifndef TW_AGE_VERDICT_H
#define TW_AGE_VERDICT_H

#include <stdbool.h>
#include <stddef.h>

#include "age/recording.h"
#include "judge/exhaust.h"
#include "judge/series.h"

enum tw_mark {
	TW_MARK_FAULT,			/* it breaks, broke, or did not do what it should: status 10 */
	TW_MARK_WARNING,
	TW_MARK_NOTE,
	TW_MARKS
};

enum tw_matter {
	TW_MATTER_GROWTH, TW_MATTER_JOB, TW_MATTER_EXPIRY, TW_MATTER_FAILURE, TW_MATTER_LEVEL,
	TW_MATTERS
};

/* Against a baseline */
enum tw_news { TW_NEWS_NONE, TW_NEWS_NEW, TW_NEWS_WORSE, TW_NEWS_SAME, TW_NEWS_BETTER, TW_NEWS_ALL };

struct tw_age_verdict {
	enum tw_mark mark;
	enum tw_matter matter;
	enum tw_news news;
	char *subject, *text;
	double when;			/* the guest's date that it is about; INFINITY: none */
	int series;			/* its place, or -1 */
	bool has_rate;
	double rate, low, high;		/* a day, with its interval of 95 % */
};

/* What the judges said of a series */
struct tw_seen {
	struct tw_judged j;
	double p, step_p;		/* corrected for the number of series */
	bool grows;			/* TREND or growing teeth that stand after the correction */
	bool exhausts;			/* the exhaustion below means something */
	struct tw_exhaust exhaust;
	const char *unit;
	double *t, *y;			/* as judged: of a counter, its rate a day */
	size_t n;
};

struct tw_age_options {
	double alpha;			/* the chance that any growth in the report is none */
	double horizon;			/* seconds: what comes later is a note */
	double ahead;			/* seconds: what expires within them is a fault */
};

extern const struct tw_age_options tw_age_defaults;

struct tw_verdicts {
	struct tw_age_options o;
	struct tw_age_verdict *v;		/* faults, warnings, notes; each by date */
	size_t n, count[TW_MARKS];
	struct tw_seen *series;		/* of the recording's series, in their order */
	size_t n_series;
	bool compared;			/* with a baseline */
	size_t fresh;			/* faults that are new or worse */
	char **gone;			/* faults of the baseline that are none now */
	size_t n_gone;
};

/**
 * tw_verdicts_find - judge a recording
 * @r: the recording
 * @o: options
 * @v: result, to be freed; it points into @r
 */
void tw_verdicts_find(const struct tw_recording *r, const struct tw_age_options *o,
		      struct tw_verdicts *v);

void tw_verdicts_free(struct tw_verdicts *v);

/* TW_THRESHOLD where there is a fault, or with a baseline a new or a worse one; else TW_OK */
int tw_verdicts_status(const struct tw_verdicts *v);

const char *tw_mark_name(enum tw_mark mark);
const char *tw_matter_name(enum tw_matter matter);
const char *tw_news_name(enum tw_news news);
const char *tw_form_name(enum tw_form form);

/* One more verdict of @matter, for the parts of it; @subject is copied, @text taken over */
struct tw_age_verdict *tw_verdicts_add(struct tw_verdicts *v, enum tw_mark mark, enum tw_matter matter,
				   const char *subject, double when, char *text);

/* The parts: growth and levels; jobs; what expires; what failed */
void tw_verdicts_series(const struct tw_recording *r, struct tw_verdicts *v);
/* What grows by a part of it: that is at fault, and the whole is a note */
void tw_verdicts_wholes(const struct tw_recording *r, struct tw_verdicts *v);
/* Whether values in the place of a series' own would be a fault of growth */
bool tw_verdicts_is_fault(const struct tw_series *s, const double *t, const double *y, size_t n,
			  const struct tw_age_options *o);
void tw_verdicts_jobs(const struct tw_recording *r, struct tw_verdicts *v);
void tw_verdicts_expiry(const struct tw_recording *r, struct tw_verdicts *v);
void tw_verdicts_events(const struct tw_recording *r, struct tw_verdicts *v);

#endif /* TW_AGE_VERDICT_H */
