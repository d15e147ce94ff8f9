/* SPDX-License-Identifier: GPL-2.0 */
/* One process, as /proc shows it. */
#ifndef TW_PROC_H
#define TW_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define TW_PROC_NSPIDS 8

struct tw_proc {
	char comm[64];
	char state;			/* R, S, D, T, Z, ... */
	bool kthread;
	unsigned long long start;	/* in ticks since boot */
	uid_t uid;			/* effective */
	pid_t tgid;			/* differs from the PID for a thread */
	pid_t nspid[TW_PROC_NSPIDS];	/* its PIDs in the namespaces from ours inwards */
	int nr_nspid;
};

/**
 * tw_proc_parse_stat - understand the text of /proc/PID/stat
 *
 * Return: false if it makes no sense.  The command's name may hold anything, brackets included.
 */
bool tw_proc_parse_stat(const char *text, struct tw_proc *p);

/**
 * tw_proc_read - look at a process or thread
 *
 * Return: false if there is none
 */
bool tw_proc_read(pid_t pid, struct tw_proc *p);

/**
 * tw_proc_open - a descriptor of a process, which no other of its PID can be taken for
 * @pid: the process
 * @start: when it started
 *
 * Return: a pidfd, readable once it has ended; or -1 if it has
 */
int tw_proc_open(pid_t pid, unsigned long long start);

#endif /* TW_PROC_H */
