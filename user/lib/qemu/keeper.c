// SPDX-License-Identifier: GPL-2.0
#include "qemu/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the child */
static int up = -1;

void tw_keeper_is_up(void)
{
	if (up >= 0)
		close(up);
	up = -1;
}

static void close_others(const int *keep, size_t n)
{
	int from = 3, next;
	size_t i;

	for (;; from = next + 1) {
		next = -1;
		for (i = 0; i < n; i++)
			if (keep[i] >= from && (next < 0 || keep[i] < next))
				next = keep[i];
		if (next < 0)
			break;
		if (next > from)
			syscall(SYS_close_range, from, next - 1, 0);
	}
	syscall(SYS_close_range, from, ~0U, 0);
}

/* Signals for the parent's group or terminal end the parent in order, and with it this */
static void leave_parent(void)
{
	int null, i;
	sigset_t none;

	setsid();
	/* it outlives whoever began it, and shall keep no file system busy */
	if (chdir("/"))
		_exit(1);
	null = open("/dev/null", O_RDWR);
	for (i = 0; i < 3 && null >= 0; i++)
		dup2(null, i);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

int tw_keeper_start(struct tw_keeper *k, const int *keep, size_t n, void (*run)(void *arg, int parent),
		    void *arg)
{
	int parent = syscall(SYS_pidfd_open, getpid(), 0), fds[2] = { -1, -1 }, all[n + 2], err;
	char byte;

	k->pid = -1;
	if (parent >= 0 && !pipe2(fds, O_CLOEXEC))
		k->pid = fork();
	if (!k->pid) {
		if (n)
			memcpy(all, keep, n * sizeof(*keep));
		all[n] = parent;
		all[n + 1] = up = fds[1];
		leave_parent();
		close_others(all, n + 2);
		run(arg, parent);
		_exit(0);
	}
	err = errno;
	if (fds[1] >= 0)
		close(fds[1]);
	if (parent >= 0)
		close(parent);
	if (k->pid > 0) {
		k->pidfd = syscall(SYS_pidfd_open, k->pid, 0);
		while (read(fds[0], &byte, 1) < 0 && errno == EINTR)
			;
	}
	if (fds[0] >= 0)
		close(fds[0]);
	if (k->pid > 0)
		return 0;
	k->pid = 0;
	errno = err;
	return -1;
}

void tw_keeper_end(struct tw_keeper *k)
{
	if (k->pid <= 0)
		return;
	if (k->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, k->pidfd, SIGKILL, NULL, 0);
	waitpid(k->pid, NULL, 0);
	tw_keeper_leave(k);
}

void tw_keeper_leave(struct tw_keeper *k)
{
	if (k->pid > 0 && k->pidfd >= 0)
		close(k->pidfd);
	k->pid = 0;
}
