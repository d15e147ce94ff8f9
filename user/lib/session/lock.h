/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One lock a VM, for all that changes its session: a file in a directory of root's, whose holder writes into it who it
 * is. It goes with its holder, however that ends.
 */
#ifndef TW_SESSION_LOCK_H
#define TW_SESSION_LOCK_H

#include <stdbool.h>
#include <sys/types.h>

#define TW_RUN_DIR "/run/timewarp"

/* Where the locks are; another one for tests */
extern const char *tw_run_dir;

struct tw_lock {
	int fd;				/* -1: not held */
	char path[128];
};

/* Who holds one */
struct tw_holder {
	pid_t pid;			/* 0: nobody, or it has not said yet */
	unsigned long long start;
	char verb[112];			/* of a keeper: what is in its way */
};

/**
 * tw_lock_try - take the lock of a VM, if it is free
 * @l: result
 * @id: the VM
 * @verb: what it is wanted for
 * @holder: who has it, if it is not free; may be NULL
 *
 * Return: 0, -EBUSY, or -errno where there can be no locks
 */
int tw_lock_try(struct tw_lock *l, const char *id, const char *verb, struct tw_holder *holder);

/* Ends who holds it, by SIGKILL: what that leaves is for the next holder to complete */
bool tw_lock_break(const struct tw_holder *holder);

void tw_lock_release(struct tw_lock *l);

/* A file of a session beside its lock, "ID.WHAT"; to be freed */
char *tw_run_path(const char *id, const char *what);

/* Opens one for writing, the directory made if need be; -errno */
int tw_run_open(const char *path);

/* "PID START TEXT" out of such a file; false if there is none */
bool tw_run_read(int fd, struct tw_holder *holder);
bool tw_run_write(int fd, const char *text);

#endif /* TW_SESSION_LOCK_H */
