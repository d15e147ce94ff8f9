// SPDX-License-Identifier: GPL-2.0
#include "qemu/hold.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>

#include "proc.h"
#include "text.h"

#define PATIENCE_NS 1000000000LL
#define PAUSE_NS 50000

struct tw_held {
	pid_t tid;
	bool stopped;
	int signal;			/* that it was about to take */
};

static long long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static bool is_held(const struct tw_hold *h, pid_t tid)
{
	size_t i;

	for (i = 0; i < h->n; i++)
		if (h->v[i].tid == tid)
			return true;
	return false;
}

static void explain(struct tw_hold *h, pid_t tid, int code)
{
	char *path = tw_asprintf("/proc/%d/status", tid), *text = tw_read_file(path, NULL);
	char *line = text ? strstr(text, "\nTracerPid:") : NULL;
	int tracer = line ? atoi(line + 11) : 0;

	if (tracer)
		snprintf(h->why, sizeof(h->why), "process %d traces it", tracer);
	else
		snprintf(h->why, sizeof(h->why), "its threads cannot be held: %s", strerror(code));
	free(text);
	free(path);
}

/* One that is on its way out, or was */
static bool has_ended(pid_t tid)
{
	struct tw_proc p;

	return !tw_proc_read(tid, &p) || p.state == 'Z' || p.state == 'X';
}

static bool seize(struct tw_hold *h, pid_t tid)
{
	if (ptrace(PTRACE_SEIZE, tid, 0, 0)) {
		int code = errno;

		if (code == ESRCH || has_ended(tid))
			return true;
		explain(h, tid, code);
		return false;
	}
	h->v = tw_grow(h->v, h->n + 1, sizeof(*h->v));
	h->v[h->n++] = (struct tw_held) { .tid = tid };
	ptrace(PTRACE_INTERRUPT, tid, 0, 0);
	return true;
}

/*
 * Seizes those that are not yet; how many there were, or -1. One that ends just then counts: it may have started
 * another that is not listed. Only a first thread stays listed after its end.
 */
static int seize_others(struct tw_hold *h, pid_t pid)
{
	struct dirent *d;
	char path[48];
	bool ok = true;
	int others = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && ok && (d = readdir(dir))) {
		pid_t tid = atoi(d->d_name);

		if (!isdigit((unsigned char)*d->d_name) || is_held(h, tid))
			continue;
		ok = seize(h, tid);
		others += is_held(h, tid) || tid != pid;
	}
	if (dir)
		closedir(dir);
	return ok ? others : -1;
}

/* Whether it stands, or has ended: then it is left out from here on */
static bool has_stopped(struct tw_held *t)
{
	int status;

	if (t->stopped)
		return true;
	if (waitpid(t->tid, &status, __WALL | WNOHANG) != t->tid)
		return false;
	t->stopped = true;
	if (!WIFSTOPPED(status))
		t->tid = 0;
	else if (status >> 16 != PTRACE_EVENT_STOP)
		t->signal = WSTOPSIG(status);
	return true;
}

static bool wait_for_all(struct tw_hold *h, long long until)
{
	struct timespec pause = { .tv_nsec = PAUSE_NS };
	size_t i = 0;

	while (i < h->n) {
		if (has_stopped(&h->v[i])) {
			i++;
			continue;
		}
		if (now_ns() > until) {
			snprintf(h->why, sizeof(h->why), "thread %d does not come to a stop", h->v[i].tid);
			return false;
		}
		nanosleep(&pause, NULL);
	}
	return true;
}

/* What is held cannot make way for another process of its PID */
static bool is_it(pid_t pid, unsigned long long start)
{
	struct tw_proc p;

	return tw_proc_read(pid, &p) && p.start == start && p.state != 'Z';
}

bool tw_hold_take(struct tw_hold *h, pid_t pid, unsigned long long start)
{
	long long until = now_ns() + PATIENCE_NS;
	int more;

	/* those that stand start no others: once none has come, these are all */
	while ((more = seize_others(h, pid)) > 0) {
		if (now_ns() > until)
			snprintf(h->why, sizeof(h->why), "its threads come and go faster than they can be held");
		if (*h->why || !wait_for_all(h, until))
			break;
	}
	h->gone = !is_it(pid, start);
	return !more && !h->gone;
}

bool tw_hold_is_quiet(const struct tw_hold *h)
{
	size_t i;

	for (i = 0; i < h->n; i++) {
		long nr;

		if (!h->v[i].tid)
			continue;
		nr = ptrace(PTRACE_PEEKUSER, h->v[i].tid, offsetof(struct user_regs_struct, orig_rax), 0);
		if (nr < 0 || nr == SYS_gettimeofday || nr == SYS_clock_gettime)
			return false;
	}
	return true;
}

void tw_hold_release(struct tw_hold *h)
{
	size_t i;

	for (i = 0; i < h->n; i++)
		if (h->v[i].tid && h->v[i].stopped)
			ptrace(PTRACE_DETACH, h->v[i].tid, 0, (long)h->v[i].signal);
	free(h->v);
	h->v = NULL;
	h->n = 0;
}
