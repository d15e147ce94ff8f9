// SPDX-License-Identifier: GPL-2.0
/*
 * A5: guest memory that stalls under a policy that changes each millisecond harms its own VM at most. The
 * memory is behind a userfaultfd that nobody answers; another one can still be created, attached and end, its
 * state file can be read, and the one that stalls can be killed.
 *
 * Before (bfb642f): the other VM hangs in its end, the stalled VMM does not die, and whoever reads its state file
 * waits for ever (timewarp_show), unkillable.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tinyvm.h"

/* Its kvmclock page is valid first, then gone, and whoever wants it waits for ever. */
static void stalling_vmm(int up, int go)
{
	static struct tiny vm;
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	char c;

	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api))
		_exit(3);
	tiny_create(&vm, 2, 0, NULL);
	tiny_set_kvmclock(&vm, 0);
	tiny_set_kvmclock(&vm, 1);
	tiny_start(&vm, 0, guest_halt, 0);
	tiny_start(&vm, 1, guest_spin, 0);
	sleep_ms(20);
	if (write(up, &vm.fd, sizeof(vm.fd)) < 0 || read(go, &c, 1) != 1)
		_exit(1);
	reg.range.start = (uintptr_t)vm.mem + TINY_KVMCLOCK;
	reg.range.len = 2 * 4096;
	if (ioctl(uffd, UFFDIO_REGISTER, &reg))
		_exit(3);
	madvise(vm.mem + TINY_KVMCLOCK, 2 * 4096, MADV_DONTNEED);
	if (write(up, "", 1) < 0)
		_exit(1);
	for (;;)
		pause();
}

/* A VM's whole life, attached for a while; 0 if all went well */
static pid_t bystander(const char *what)
{
	static struct tiny vm;
	pid_t pid = fork();

	if (pid)
		return pid;
	tiny_create(&vm, 1, 0, NULL);
	tiny_start(&vm, 0, guest_spin, 0);
	if (twctl("attach --vm %d --vmm off --pin --factor 2", getpid())) {
		note("%s: attach: %s", what, tw_said());
		_exit(4);
	}
	if (state_num(getpid(), vm.fd, "attached") != 1 || twctl("detach --vm %d", getpid()))
		_exit(5);
	tiny_destroy(&vm);
	_exit(0);
}

static bool ends(pid_t pid, double seconds, int *status)
{
	double end = now() + seconds;

	while (now() < end) {
		if (waitpid(pid, status, WNOHANG) == pid)
			return true;
		sleep_ms(20);
	}
	return false;
}

int main(void)
{
	int up[2], go[2], fd, status = 0;
	pid_t pid, other;
	bool ended;
	char c;

	if (pipe(up) || pipe(go))
		bail("pipe");
	pid = fork();
	if (!pid)
		stalling_vmm(up[1], go[0]);
	close(up[1]);
	if (read(up[0], &fd, sizeof(fd)) != sizeof(fd))
		bail("the VMM did not start (userfaultfd: %s)", strerror(errno));
	if (!ok(!twctl("attach --vm %d --vmm off --pin --policy build/tests/policies/random.bpf.o "
		       "--param changes=1000000 --param longest=1ms", pid), "twctl attaches"))
		note("%s", tw_said());
	if (write(go[1], "", 1) < 0 || read(up[0], &c, 1) != 1)
		bail("the VMM did not take its page away");
	sleep_ms(300);
	/* A reader of the stalled VM's state, which may wait with a lock held */
	if (!fork()) {
		state_text(pid, fd, "attached");
		_exit(0);
	}
	sleep_ms(100);
	other = bystander("meanwhile");
	ended = ends(other, 120, &status);
	ok(ended && WIFEXITED(status) && !WEXITSTATUS(status),
	   "another VM is created, attached, detached and ends meanwhile (%s, status 0x%x)", ended ? "ended" : "hangs", status);
	kill(pid, SIGKILL);
	ok(ends(pid, 20, &status), "the VMM whose memory stalls can be killed");
	if (!ended)
		ended = ends(other, 120, &status);
	twctl("detach --vm %d", pid);
	for (int i = 0; i < 100 && state_text(pid, fd, "attached"); i++)
		sleep_ms(100);
	ok(!state_text(pid, fd, "attached"), "its VM goes away");
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	return tap_end();
}
