// SPDX-License-Identifier: GPL-2.0
#include "qemu/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "qemu/fold.h"

/*
 * The keeper: holds the probes until its parent is gone, however that ends; then the policy's link
 * is gone too, and the clocks can be let go.
 */
static void keep(const struct tw_vm *vm, int pipe_fd)
{
	struct timespec pause = { .tv_nsec = 2000000 };
	char byte;

	while (read(pipe_fd, &byte, 1) < 0 && errno == EINTR)
		;
	while (!tw_vmm_finish(vm, NULL))
		nanosleep(&pause, NULL);
	_exit(0);
}

void tw_keeper_start(struct tw_keeper *k, const struct tw_vm *vm)
{
	int fds[2], null, i;
	sigset_t none;

	if (pipe(fds))
		return;
	k->pid = fork();
	if (k->pid) {
		close(fds[0]);
		k->pipe = fds[1];
		fcntl(fds[1], F_SETFD, FD_CLOEXEC);
		return;
	}
	close(fds[1]);
	setsid();
	null = open("/dev/null", O_RDWR);
	for (i = 0; i < 3 && null >= 0; i++)
		dup2(null, i);
	/* SIGTERM ends the parent in order, and with it the keeper */
	sigemptyset(&none);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigprocmask(SIG_SETMASK, &none, NULL);
	keep(vm, fds[0]);
}

void tw_keeper_end(struct tw_keeper *k)
{
	if (k->pid <= 0)
		return;
	kill(k->pid, SIGKILL);
	waitpid(k->pid, NULL, 0);
	close(k->pipe);
}
