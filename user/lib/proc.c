// SPDX-License-Identifier: GPL-2.0
#include "proc.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "text.h"

/* include/linux/sched.h; part of the ABI of /proc/PID/stat in practice */
#define PF_KTHREAD 0x00200000u

bool tw_proc_parse_stat(const char *text, struct tw_proc *p)
{
	const char *open = strchr(text, '('), *close = strrchr(text, ')');
	unsigned int flags;
	size_t len;

	if (!open || !close || close < open)
		return false;
	len = close - open - 1;
	if (len >= sizeof(p->comm))
		len = sizeof(p->comm) - 1;
	memcpy(p->comm, open + 1, len);
	p->comm[len] = 0;
	/* state ppid pgrp session tty_nr tpgid flags, 12 more, starttime (proc(5), field 22) */
	if (sscanf(close + 1, " %c %*d %*d %*d %*d %*d %u "
		   "%*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
		   &p->state, &flags, &p->start) != 3)
		return false;
	p->kthread = flags & PF_KTHREAD;
	return true;
}

static void parse_nspid(const char *s, struct tw_proc *p)
{
	char *end;

	for (p->nr_nspid = 0; p->nr_nspid < TW_PROC_NSPIDS; s = end) {
		long v;

		if (*s == '\n')
			break;
		v = strtol(s, &end, 10);
		if (end == s)
			break;
		p->nspid[p->nr_nspid++] = v;
	}
}

static void parse_status(const char *text, struct tw_proc *p)
{
	const char *s;

	s = strstr(text, "\nTgid:");
	if (s)
		p->tgid = atoi(s + 6);
	s = strstr(text, "\nUid:");
	if (s)
		sscanf(s, "\nUid: %*u %u", &p->uid);
	s = strstr(text, "\nNSpid:");
	if (s)
		parse_nspid(s + 7, p);
}

static char *read_proc(pid_t pid, const char *file)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	return tw_read_file(path, NULL);
}

bool tw_proc_read(pid_t pid, struct tw_proc *p)
{
	char *text;
	bool ok;

	memset(p, 0, sizeof(*p));
	text = read_proc(pid, "stat");
	if (!text)
		return false;
	ok = tw_proc_parse_stat(text, p);
	free(text);
	text = read_proc(pid, "status");
	if (!text)
		return false;
	parse_status(text, p);
	free(text);
	return ok;
}

int tw_proc_open(pid_t pid, unsigned long long start)
{
	int pidfd = syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	struct tw_proc now;

	if (pidfd < 0)
		return -1;
	/* an open pidfd whose process lives keeps its PID from being reused */
	if (tw_proc_read(pid, &now) && now.start == start && !poll(&p, 1, 0))
		return pidfd;
	close(pidfd);
	return -1;
}
