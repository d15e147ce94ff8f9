/* SPDX-License-Identifier: GPL-2.0 */
/*
 * All threads of a process held, by ptrace.
 *
 * Whoever holds is to be a process that ends soon: its end lets go of all of them, also of one that did not come to
 * a stop in time and so cannot be let go by name. A guest stands still meanwhile; whatever waits in a system call
 * waits again afterwards, as under a debugger.
 */
#ifndef TW_QEMU_HOLD_H
#define TW_QEMU_HOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct tw_held;

struct tw_hold {
	struct tw_held *v;
	size_t n;
	bool gone;			/* there is no such process any more */
	char why[128];			/* not held */
};

/**
 * tw_hold_take - hold all threads of a process
 * @h: result, zeroed
 * @pid: the process
 * @start: its start, by which it is known
 *
 * Return: false if not all came to a stop within a second; those that did stand until tw_hold_release()
 */
bool tw_hold_take(struct tw_hold *h, pid_t pid, unsigned long long start);

/* Whether each of them was caught in a system call that reads no clock: in the midst of nothing */
bool tw_hold_is_quiet(const struct tw_hold *h);

void tw_hold_release(struct tw_hold *h);

#endif /* TW_QEMU_HOLD_H */
