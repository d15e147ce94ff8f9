/* SPDX-License-Identifier: GPL-2.0 */
/* Pictures of series over guest dates, as SVG inside a page. */
#ifndef TW_AGE_CHART_H
#define TW_AGE_CHART_H

#include <stdbool.h>
#include <stdio.h>

#include "age/recording.h"
#include "age/verdict.h"

/* What is marked on the axis of time */
enum tw_flag { TW_FLAG_DST, TW_FLAG_YEAR, TW_FLAG_LEAP, TW_FLAG_2038, TW_FLAG_JOB, TW_FLAG_EXPIRY,
	       TW_FLAG_FAILURE, TW_FLAGS };

struct tw_mark_at {
	double t;
	enum tw_flag flag;
	char *text;
};

struct tw_marks_at {
	struct tw_mark_at *v;
	size_t n;
};

/* The calendar's and the verdicts' marks between start and end; to be freed */
void tw_marks_find(const struct tw_recording *r, const struct tw_verdicts *v, struct tw_marks_at *m);
void tw_marks_free(struct tw_marks_at *m);

const char *tw_flag_name(enum tw_flag flag);

/* A row for each kind of mark that there is */
void tw_chart_marks(FILE *f, const struct tw_recording *r, const struct tw_marks_at *m);

/* A series: its values, its trend where it has one, its limit where that is near, and the marks */
void tw_chart_series(FILE *f, const struct tw_recording *r, size_t series, const struct tw_verdicts *v,
		     const struct tw_marks_at *m);

/* The same in the size of a few words, values only */
void tw_chart_small(FILE *f, const struct tw_recording *r, const struct tw_seen *seen);

/* Text into HTML: what has a meaning there is escaped, what is no UTF-8 or no text becomes U+FFFD */
void tw_html_text(FILE *f, const char *text);

#endif /* TW_AGE_CHART_H */
