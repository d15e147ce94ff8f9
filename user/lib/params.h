/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A policy's parameters, as its BTF describes them: from an object file that is not loaded, or from
 * the kernel for one that is.  See TIMEWARP_PARAM() in timewarp.bpf.h.
 */
#ifndef TW_PARAMS_H
#define TW_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "when.h"

struct btf;

enum tw_param_type {
	TW_PARAM_UNSIGNED,
	TW_PARAM_SIGNED,
	TW_PARAM_BOOL,
	TW_PARAM_FACTOR,	/* struct timewarp_factor */
	TW_PARAM_TEXT,		/* array of char */
	TW_PARAM_WHEN,		/* struct timewarp_when */
	TW_PARAM_SCHEDULE,	/* struct timewarp_schedule */
};

struct tw_param {
	const char *name;	/* these belong to the BTF */
	const char *min, *max;	/* literals; NULL if not told */
	const char *unit;	/* "" if none; "ns": is written as a duration */
	const char *help;
	enum tw_param_type type;
	size_t offset;		/* in the data section */
	size_t size;
	bool counter;		/* one that is signed is shown with its sign, whichever */
	struct tw_epoch epoch;	/* of dates: see tw_params_epoch() */
};

struct tw_params {
	struct tw_param *v;
	size_t n;
};

/**
 * tw_params_read - list the parameters of a policy, or its counters
 * @btf: of the policy
 * @section: TIMEWARP_PARAMS_SECTION or TIMEWARP_COUNTERS_SECTION
 * @params: result, valid as long as @btf; to be freed with tw_params_free()
 */
void tw_params_read(const struct btf *btf, const char *section, struct tw_params *params);

/* The epoch of now, of a guest whose dates are ahead by so much: see tw_dates_ahead_ns() */
struct tw_epoch tw_epoch_now(int64_t ahead_ns);

/* What dates among the values are counted from; those of a guest may be ahead: see tw_dates_ahead_ns() */
void tw_params_epoch(struct tw_params *params, struct tw_epoch epoch);

/* Whether a date of the guest's is among the values, by which it depends on what date it is there */
bool tw_params_have_date(const struct tw_params *params, const void *data, size_t size);

/* What follows "timewarp.<key>" in the first tag that starts so; belongs to @btf; NULL if none does */
const char *tw_btf_tag(const struct btf *btf, const char *key);

void tw_params_free(struct tw_params *params);

/**
 * tw_params_assign - check "name=value" and store the value
 * @params: what there is
 * @assignment: what the user wrote
 * @data: contents of the data section
 * @size: of @data
 * @e: error
 *
 * Return: 0 or an exit status; @data is unchanged unless 0
 */
int tw_params_assign(const struct tw_params *params, const char *assignment, void *data,
		     size_t size, struct tw_err *e);

/* The values that a number may have, the least and the greatest, as its bits; false if it is none, or its bounds are not literals */
bool tw_param_range(const struct tw_param *param, uint64_t *lo, uint64_t *hi);

/* A bound, @param->min or max, as it may be written: a literal without its suffix, or a duration */
const char *tw_param_bound(const struct tw_param *param, const char *literal, char *buf, size_t size);

/**
 * tw_param_format - write a parameter's value the way it may be assigned
 *
 * Return: @buf
 */
#define TW_PARAM_MAX 2048	/* room for any, a schedule with all its pieces included */
const char *tw_param_format(const struct tw_param *param, const void *data, size_t size, char *buf,
			    size_t room);
/* Likewise for programs: a duration is one number of nanoseconds, "1500000ns" */
const char *tw_param_plain(const struct tw_param *param, const void *data, size_t size, char *buf,
			   size_t room);

#endif /* TW_PARAMS_H */
