/* SPDX-License-Identifier: GPL-2.0 */
/* Lets a guest live a span and records what is seen of it. */
#ifndef TW_AGE_LIVE_H
#define TW_AGE_LIVE_H

#include <stdbool.h>

#include "err.h"
#include "text.h"
#include "vm.h"

struct tw_live_age {
	const struct tw_vm *vm;
	const char *policy;			/* NULL: skip-idle, or what is attached already */
	const struct tw_strings *params;	/* for it */
	double span;				/* guest seconds; 0: until */
	double until;				/* seconds since 1970 by the guest's clock */
	double every;				/* guest seconds between samples */
	const char *workload;			/* a command for the host's shell, before each sample; or NULL */
	const char *path;			/* of the recording */
	bool resume;				/* go on with it */
	volatile int *stop;			/* set by a signal */
	bool lived;				/* result: there is a recording to judge, errors included */
};

/**
 * tw_live_run - do it
 * @l: what is wanted
 * @e: error: nothing was recorded, or not all of what was asked for
 *
 * Whatever ends it (the span, a signal, the guest's or the policy's end) leaves a recording that says why. The end of
 * the span, a signal and the guest's end are no errors.
 *
 * Return: 0 or an exit status
 */
int tw_live_run(struct tw_live_age *l, struct tw_err *e);

#endif /* TW_AGE_LIVE_H */
