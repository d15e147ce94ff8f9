/* SPDX-License-Identifier: GPL-2.0 */
/* Jobs that come by the clock: which ran not, twice, or at another hour than they should? */
#ifndef TW_JUDGE_JOBS_H
#define TW_JUDGE_JOBS_H

#include <stdbool.h>
#include <stddef.h>

/* Local time: seconds east of UTC, and when that changes */
struct tw_shift {
	double at;		/* seconds since 1970 */
	double east;		/* from then on */
};

struct tw_zone {
	double east;		/* before the first shift */
	const struct tw_shift *shift;
	size_t n;
};

enum tw_rule { TW_RULE_EVERY, TW_RULE_DAILY, TW_RULE_WEEKLY, TW_RULE_MONTHLY };

struct tw_calendar {
	enum tw_rule rule;
	double every;		/* EVERY: seconds from one run to the next */
	double at;		/* else: seconds from local midnight */
	int day;		/* WEEKLY: 0 is Sunday; MONTHLY: 1 to 31, in months that have it */
	double tolerance;	/* how late is still in time: random delay, accuracy, slack */
};

/* One time at which a job should run, once */
struct tw_due {
	double from, to;	/* the tolerance is in it, and the hour that DST takes out or gives twice */
	bool dst;		/* it is one of those */
};

/**
 * tw_jobs_due - when a job should have run
 * @c: its calendar; not EVERY
 * @z: its zone
 * @start: what was seen began here
 * @end: and ended here; what is due only partly within is left out
 * @due: result, to be freed; in the order of time
 *
 * A local time that DST leaves out is due from the change on; one that comes twice, at either.
 *
 * Return: how many
 */
size_t tw_jobs_due(const struct tw_calendar *c, const struct tw_zone *z, double start, double end,
		   struct tw_due **due);

enum tw_slip { TW_SLIP_MISSED, TW_SLIP_TWICE, TW_SLIP_MOVED, TW_SLIP_EXTRA };

struct tw_job_slip {
	enum tw_slip what;
	double due;		/* 0 where none was */
	double ran;		/* the second time where twice; 0 where missed */
	bool dst;
};

/**
 * tw_jobs_judge - compare what was due with what ran
 * @due: as tw_jobs_due() has it
 * @n_due: how many
 * @ran: when it ran, in the order of time
 * @n_ran: how many
 * @slips: result, to be freed; in the order of time
 *
 * A run outside of all windows is MOVED where a run is missing since the window before it, or is
 * missing in the one behind; else EXTRA.
 *
 * Return: how many
 */
size_t tw_jobs_judge(const struct tw_due *due, size_t n_due, const double *ran, size_t n_ran,
		     struct tw_job_slip **slips);

/* The same for a job that runs so long after its last run: a gap is a miss, half a gap is twice */
size_t tw_jobs_judge_every(const struct tw_calendar *c, const double *ran, size_t n_ran, double end,
			   struct tw_job_slip **slips);

/* Seconds east of UTC at a moment */
double tw_zone_east(const struct tw_zone *z, double at);

/* Days since 1970 of a date in the Gregorian calendar; month from 1 */
long tw_days_of(long year, int month, int day);

/* The reverse */
void tw_date_of(long days, long *year, int *month, int *day);

#endif /* TW_JUDGE_JOBS_H */
