/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What makes a guest's time pass while it ages: twctl attach, as a process of its own that undoes itself
 * when it is ended. Only this file knows that it is one.
 */
#ifndef TW_AGE_DRIVE_H
#define TW_AGE_DRIVE_H

#include <stdbool.h>
#include <sys/types.h>

#include "err.h"
#include "state.h"
#include "text.h"
#include "vm.h"

struct tw_drive {
	const struct tw_vm *vm;
	pid_t pid;			/* of the process; 0: somebody else has attached, or it has ended */
	int said;			/* what it writes to stderr; -1: nothing */
	bool stops;			/* it stops leaping at the next sample, until it is told to go on */
};

/**
 * tw_drive_start - let time pass
 * @d: result, to be ended, errors included
 * @vm: the VM; it must outlive @d
 * @policy: its name; NULL: skip-idle, or what is attached already
 * @params: for the policy
 * @span: guest seconds up to the first sample
 * @e: error: what the attach said
 *
 * A policy that holds the guest's time (freeze) is refused.
 *
 * A policy that leaps (skip-idle) does so up to a sample and no further, so that the agent answers in
 * the time it is asked, and no sample is late. Where @params do not say another, skip-idle has a slack of a second.
 *
 * Return: 0 or an exit status
 */
int tw_drive_start(struct tw_drive *d, const struct tw_vm *vm, const char *policy,
		   const struct tw_strings *params, double span, struct tw_err *e);

/* How time will pass, or does already: the policy's name, and what it is given; to be freed */
char *tw_drive_title(const struct tw_vm *vm, const char *policy, const struct tw_strings *params);

/* On to the next sample, @span guest seconds away; 0 or an exit status */
int tw_drive_on(struct tw_drive *d, double span, struct tw_err *e);

/* 0: time passes as it should; else an exit status, and why it does not, in words */
int tw_drive_ended(struct tw_drive *d, const struct tw_state *st, char *buf, size_t size);

/* Detaches, and waits until that is done */
void tw_drive_end(struct tw_drive *d);

#endif /* TW_AGE_DRIVE_H */
