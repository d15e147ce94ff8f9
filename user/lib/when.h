/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Dates, moments and schedules that people write; as in parse.h, the whole string must parse.
 *
 * Dates are UTC. The timeline counts in nanoseconds of its own; what turns a date into them is an epoch,
 * of the host's dates and of the guest's.
 */
#ifndef TW_WHEN_H
#define TW_WHEN_H

#include <stddef.h>
#include <stdint.h>

#include "timewarp.h"

struct tw_epoch {
	int64_t host_ns;	/* the host's wall clock minus its host_ns: tw_host_epoch_ns() */
	int64_t guest_ns;	/* the guest's date minus its guest_ns: the same and tw_dates_ahead_ns() */
};

/**
 * tw_parse_date - "2038-01-19", "2038-01-19 03:14", "2038-01-19T03:14:07.5Z"
 * @text: what the user wrote
 * @ns: since 1970
 * @why: what is wrong with it
 *
 * From 1970 to 2261, where 64 bits of nanoseconds end. No leap seconds, no time zones.
 */
int tw_parse_date(const char *text, uint64_t *ns, const char **why);

/* A date as above, to the millisecond, which is left out where it is 0; returns @buf */
const char *tw_format_date(char *buf, size_t size, uint64_t ns);

/* Likewise for programs: always of one form, "2038-01-19T03:14:07.000Z" */
const char *tw_format_date_ms(char *buf, size_t size, uint64_t ns);
#define TW_DATE_MAX 32

/**
 * tw_parse_when - "DATE", "SPAN", "never", each but the last with " host" or " guest" behind it
 * @text: what the user wrote
 * @epoch: see above
 * @when: result
 * @why: what is wrong with it
 */
int tw_parse_when(const char *text, struct tw_epoch epoch, struct timewarp_when *when,
		  const char **why);

/* The way it may be written; returns @buf */
const char *tw_format_when(char *buf, size_t size, struct tw_epoch epoch,
			   const struct timewarp_when *when);

/**
 * tw_parse_schedule - "FACTOR until DATE, FACTOR for SPAN host, FACTOR"
 *
 * The last piece, and no other, has no end.
 */
int tw_parse_schedule(const char *text, struct tw_epoch epoch, struct timewarp_schedule *s,
		      const char **why);

const char *tw_format_schedule(char *buf, size_t size, struct tw_epoch epoch,
			       const struct timewarp_schedule *s);

#endif /* TW_WHEN_H */
