/* SPDX-License-Identifier: GPL-2.0 */
/* Commands that twctl is asked to run when something has happened to a VM, by whichever option. */
#ifndef TW_EXEC_H
#define TW_EXEC_H

#include <stdbool.h>

/* What it is about. All of it is in the command's environment, as TIMEWARP_VM and so on: empty where it is NULL */
struct tw_exec {
	const char *vm;			/* PID-FD */
	const char *name, *uuid;	/* the guest's, as its owner gave them */
	const char *policy;		/* that is attached */
	const char *event;		/* what has happened */
	const char *vcpu, *source, *late_ns;	/* of a tick */
	bool wait;			/* until it has ended; else nobody waits for it */
	bool to_stderr;			/* what it prints: ours is for programs */
};

/**
 * tw_exec_run - run a command in a shell, with no signal blocked
 * @command: what the user wrote
 * @about: what it is about
 *
 * Return: 0 if it began, or an errno
 */
int tw_exec_run(const char *command, const struct tw_exec *about);

#endif /* TW_EXEC_H */
