// SPDX-License-Identifier: GPL-2.0
#include "proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "apart.h"
#include "text.h"

/* include/linux/sched.h; part of the ABI of /proc/PID/stat in practice */
#define PF_KTHREAD 0x00200000u
#define CMDLINE_MAX (256 << 10)

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

static ssize_t read_path(const void *path, void *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err;
	size_t used = 0;
	ssize_t n = -1;

	/* text of /proc comes in pieces */
	while (fd >= 0 && used < size && (n = read(fd, (char *)out + used, size - used)) > 0)
		used += n;
	err = errno;
	if (fd >= 0)
		close(fd);
	return n < 0 ? -err : (ssize_t)used;
}

static void read_texts(const char *name, size_t max, struct tw_proc_text *t, size_t n)
{
	struct tw_apart_job *jobs = tw_grow(NULL, n, sizeof(*jobs));
	size_t i;

	for (i = 0; i < n; i++)
		jobs[i] = (struct tw_apart_job) {
			.pid = t[i].pid, .in = tw_asprintf("/proc/%d/%s", t[i].pid, name),
			.out = tw_grow(NULL, max + 1, 1), .size = max,
		};
	tw_apart_each(jobs, n, read_path);
	for (i = 0; i < n; i++) {
		t[i].err = jobs[i].n < 0 ? -jobs[i].n : 0;
		t[i].len = t[i].err ? 0 : jobs[i].n;
		t[i].text = tw_grow(jobs[i].out, t[i].len + 1, 1);
		t[i].text[t[i].len] = 0;
		free((void *)jobs[i].in);
	}
	free(jobs);
}

char *tw_proc_text(pid_t pid, const char *name, size_t max, size_t *len)
{
	struct tw_proc_text t = { .pid = pid };

	read_texts(name, max, &t, 1);
	*len = t.len;
	if (!t.err)
		return t.text;
	free(t.text);
	errno = t.err;
	return NULL;
}

void tw_read_cmdlines(struct tw_proc_text *t, size_t n)
{
	read_texts("cmdline", CMDLINE_MAX, t, n);
}

char *tw_read_cmdline(pid_t pid, size_t *len)
{
	return tw_proc_text(pid, "cmdline", CMDLINE_MAX, len);
}
