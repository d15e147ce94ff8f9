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

/**
 * tw_proc_text - read a text of /proc/PID for which the kernel reads a process's memory, or locks that
 * @name: of the file
 * @max: no more is read than this
 * @len: its length is stored here
 *
 * A process can keep whoever reads waiting: see apart.h.
 *
 * Return: the text with a NUL byte appended, to be freed; NULL with errno set, of which tw_apart_error() tells
 */
char *tw_proc_text(pid_t pid, const char *name, size_t max, size_t *len);

/*
 * The same of its command line: words, each with a NUL byte behind it. A process can make it as long as its memory, so no more
 * than the first 256 KiB are read.
 */
char *tw_read_cmdline(pid_t pid, size_t *len);

struct tw_proc_text {
	pid_t pid;
	char *text;			/* to be freed; empty on an error */
	size_t len;
	int err;			/* errno, or 0 */
};

/* The command lines of many, for a child each costs more than the rest of a scan */
void tw_read_cmdlines(struct tw_proc_text *t, size_t n);

#endif /* TW_PROC_H */
