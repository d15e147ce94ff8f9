/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What was seen of a guest while it aged: one JSON object a line, written as it comes, so that
 * whatever ends the run leaves a recording of what there is. doc/aging.md describes the lines.
 *
 * Names and texts come from the guest: whoever prints them escapes them.
 */
#ifndef TW_AGE_RECORDING_H
#define TW_AGE_RECORDING_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"
#include "judge/expiry.h"
#include "judge/jobs.h"

#define TW_RECORDING_SCHEMA 1

struct tw_series {
	char *name, *title, *unit;	/* unit: "B", "s", "%" or what is counted */
	bool counter;			/* it only grows, from 0 at a restart: judged by its rate */
	int worse;			/* 1: up, -1: down, 0: neither */
	bool has_limit;
	double limit;
	double *t, *y;			/* seconds since 1970 by the guest's clock, strictly rising */
	size_t n;
};

struct tw_job {
	char *name;
	struct tw_calendar calendar;
	double *ran;			/* in the order of time */
	size_t n;
};

enum tw_severity_age { TW_EVENT_FAILURE, TW_EVENT_ERROR, TW_EVENT_WARNING, TW_EVENT_NOTE };

struct tw_age_event {
	double t;
	enum tw_severity_age severity;
	char *subject, *text;
};

struct tw_expiring {
	char *subject;
	struct tw_expiry_seen *seen;
	size_t n;
};

struct tw_missing {
	char *source, *why;
};

struct tw_recording {
	char *vm, *policy, *ended;	/* ended: why; NULL where nobody said so */
	double start, end;		/* of what was seen, by the guest's clock */
	double every;			/* seconds between samples, as asked for */
	double host_seconds;		/* that it took; 0: not known */
	struct tw_shift *shifts;
	struct tw_zone zone;
	struct tw_series *series;
	struct tw_job *jobs;
	struct tw_age_event *events;
	struct tw_expiring *expiring;
	struct tw_missing *missing;
	size_t n_series, n_jobs, n_events, n_expiring, n_missing;
	size_t samples;			/* rounds */
	size_t went_back;		/* rounds left out, as the guest's clock was not later than before */
	bool cut;			/* the last line was not written to its end */
};

/**
 * tw_recording_read - read a recording
 * @path: the file
 * @r: result, to be freed, errors included
 * @e: error: it names the line
 *
 * A last line without its end is left out: the run was killed while it wrote.
 *
 * Return: 0 or an exit status
 */
int tw_recording_read(const char *path, struct tw_recording *r, struct tw_err *e);

void tw_recording_free(struct tw_recording *r);

#endif /* TW_AGE_RECORDING_H */
