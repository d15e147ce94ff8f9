/* SPDX-License-Identifier: GPL-2.0 */
/* A report for each who wants one: text of a screen, JSON for programs, a page for people. */
#ifndef TW_AGE_REPORT_H
#define TW_AGE_REPORT_H

#include <stdio.h>

#include "age/recording.h"
#include "age/verdict.h"

/* The version of the JSON report: doc/age-report.schema.json */
#define TW_REPORT_SCHEMA "timewarp-age-report-1"

/* Text of a screen: 80 columns, verdicts first; what the guest says is made printable */
void tw_report_text(FILE *f, const struct tw_recording *r, const struct tw_verdicts *v);

/* One JSON object, on one line */
void tw_report_json(FILE *f, const struct tw_recording *r, const struct tw_verdicts *v);

/* One page of HTML that needs nothing else: pictures inline, light and dark, fit to print */
void tw_report_html(FILE *f, const struct tw_recording *r, const struct tw_verdicts *v);

/**
 * tw_report_write - write all three into a directory: report.txt, report.json, report.html
 * @dir: made where it is missing
 * @r: the recording
 * @v: its verdicts
 * @e: error
 *
 * Each appears at once and whole, or stays as it was.
 *
 * Return: 0 or an exit status
 */
int tw_report_write(const char *dir, const struct tw_recording *r, const struct tw_verdicts *v,
		    struct tw_err *e);

/**
 * tw_report_compare - tell what is new against the JSON report of another run
 * @path: the report
 * @v: verdicts; each fault gets its news, and what is gone is listed
 * @e: error
 *
 * A fault is the same if subject and matter are; growth is worse where its interval lies beyond that
 * of the baseline, better where it lies below.
 *
 * Return: 0 or an exit status
 */
int tw_report_compare(const char *path, struct tw_verdicts *v, struct tw_err *e);

/* "2 faults, 1 warning, 3 notes" */
const char *tw_report_counts(const struct tw_verdicts *v, char *buf, size_t size);

#endif /* TW_AGE_REPORT_H */
