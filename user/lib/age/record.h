/* SPDX-License-Identifier: GPL-2.0 */
/* Writes a recording, a line at a time; each is on its way to the disk before the next begins. */
#ifndef TW_AGE_RECORD_H
#define TW_AGE_RECORD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "err.h"

struct tw_recorder {
	FILE *f;
	json_t *series, *jobs, *missing;	/* names that were written already */
	json_t *values;				/* of the sample to come */
	double since;				/* host seconds that an earlier part took */
	bool failed;				/* a line could not be written */
	int code;				/* errno of that */
};

/* What is known of a series before its first value */
struct tw_series_kind {
	const char *unit;
	bool counter;
	int worse;			/* 1: up, -1: down, 0: neither */
	const char *title;
};

/**
 * tw_recorder_open - begin a recording, or go on with one
 * @path: the file; it must not exist, unless @resume
 * @resume: go on behind what is there; a last line without its end is cut off
 * @rec: result, to be closed, errors included
 * @e: error
 *
 * Return: 0 or an exit status
 */
int tw_recorder_open(const char *path, bool resume, struct tw_recorder *rec, struct tw_err *e);

/* Whether all lines were written; else the error */
int tw_recorder_close(struct tw_recorder *rec, const char *path, struct tw_err *e);

void tw_record_run(struct tw_recorder *rec, const char *vm, const char *policy, double every);

/* Local time of @zone from @start to @end, by this host's time zone data */
void tw_record_zone(struct tw_recorder *rec, const char *zone, double start, double end);

/* A value of the sample to come; @limit: NAN for none */
void tw_record_value(struct tw_recorder *rec, const char *name, const struct tw_series_kind *kind,
		     double limit, double value);

/* The sample, of the values since the last */
void tw_record_sample(struct tw_recorder *rec, double t, double host_seconds);

/**
 * tw_record_job - declare a job by systemd's calendar, once
 * @name: the timer
 * @calendar: in normal form: "*-*-* 06:00:00", "Mon *-*-* 00:00:00", "*-*-01 00:00:00"
 * @tolerance: seconds
 *
 * Return: false for calendars that are none of those: nothing was written
 */
bool tw_record_job(struct tw_recorder *rec, const char *name, const char *calendar, double tolerance);

/* A run of a job, once a moment */
void tw_record_ran(struct tw_recorder *rec, const char *job, double t);

void tw_record_event(struct tw_recorder *rec, double t, const char *severity, const char *subject,
		     const char *text);
void tw_record_expiry(struct tw_recorder *rec, double t, const char *subject, double ends);

/* Said once a source */
void tw_record_missing(struct tw_recorder *rec, const char *source, const char *why);

void tw_record_end(struct tw_recorder *rec, double t, const char *reason);

#endif /* TW_AGE_RECORD_H */
