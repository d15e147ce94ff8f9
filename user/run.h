/* SPDX-License-Identifier: GPL-2.0 */
/* The parts of twctl run: QEMU, who attaches, who ages; each a process of its own. */
#ifndef RUN_H
#define RUN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "command.h"
#include "launch.h"
#include "twctl.h"

enum tw_run_phase {
	STARTING,
	LIVES,
	SHUTS_DOWN,		/* the guest was asked to */
	QUITS,			/* QEMU was */
};

struct tw_run {
	struct tw_going going;	/* first: attach gives it back */
	const struct tw_args *args;
	struct tw_owner owner;
	struct tw_launch qemu;
	struct tw_words command;
	char *folder;
	pid_t attacher;		/* 0: has ended */
	pid_t ager;		/* --age; 0: has not begun, or has ended */
	int ready;		/* pipe: it says when the guest lives; -1: it has */
	int say_ready;
	int attach_status, qemu_status, age_status;
	enum tw_run_phase phase;
	bool lived;
	bool aged, age_stops;	/* age was begun; was told to end */
	uint64_t grace, deadline;	/* deadline: 0 for none */
};

/* Starts who attaches, and lets the guest go as soon as the policy is there; 0 or an exit status */
int tw_run_attach(struct tw_run *r, struct tw_err *e);

/* Starts twctl age, which finds the guest as it finds any; 0 or an exit status */
int tw_run_age(struct tw_run *r, struct tw_err *e);

/* Whether the guest is aged under the policy that it was started with, rather than age's own */
bool tw_run_ages_as_it_is(const struct tw_args *args);

#endif /* RUN_H */
