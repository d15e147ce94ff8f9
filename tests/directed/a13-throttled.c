// SPDX-License-Identifier: GPL-2.0
/*
 * A13: a vCPU that is throttled inside KVM_RUN does not keep the others from running under a policy that
 * changes every 5 ms. Holds that fail are given up soon and tried less often, and the VMM dies at once
 * when it is killed.
 *
 * Before (bfb642f): of 8 s the other vCPU stood for 7.97, in pieces of a second, for 16 changes.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tinyvm.h"

#define CG "/sys/fs/cgroup/tw-directed"
#define SECONDS 8

struct seen { double longest, stood, total; };

static void write_cg(const char *dir, const char *file, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	put(path, text);
}

static void vmm(int up, int go)
{
	static struct tiny vm;
	char text[32];
	double start, last, t;
	uint64_t seen, is;
	struct seen s = { 0 };
	char c;

	tiny_create(&vm, 2, 0, NULL);
	snprintf(text, sizeof(text), "%d", getpid());
	write_cg(CG, "cgroup.procs", text);
	for (int i = 0; i < 2; i++) {
		tiny_set_kvmclock(&vm, i);
		tiny_start(&vm, i, guest_spin, 0);
	}
	snprintf(text, sizeof(text), "%d", vm.vcpu[1].tid);
	write_cg(CG "/slow", "cgroup.threads", text);
	if (write(up, &vm.fd, sizeof(vm.fd)) < 0 || read(go, &c, 1) != 1)
		_exit(1);
	seen = tiny_area(&vm, 0)->progress;
	for (start = last = now(); (t = now()) < start + SECONDS; ) {
		sleep_ms(2);
		is = tiny_area(&vm, 0)->progress;
		t = now() - last;
		if (is == seen)
			continue;
		if (t > 0.02)
			s.stood += t;
		if (t > s.longest)
			s.longest = t;
		seen = is;
		last = now();
	}
	s.stood += now() - last > 0.02 ? now() - last : 0;
	s.longest = now() - last > s.longest ? now() - last : s.longest;
	s.total = now() - start;
	if (write(up, &s, sizeof(s)) < 0)
		_exit(1);
	for (;;)
		pause();
}

int main(void)
{
	int up[2], go[2], fd, status;
	struct seen s;
	double killed;
	pid_t pid;

	put("/sys/fs/cgroup/cgroup.subtree_control", "+cpu");
	mkdir(CG, 0755);
	put(CG "/cgroup.subtree_control", "+cpu");
	mkdir(CG "/slow", 0755);
	write_cg(CG "/slow", "cgroup.type", "threaded");
	if (pipe(up) || pipe(go))
		bail("pipe");
	pid = fork();
	if (!pid)
		vmm(up[1], go[0]);
	if (read(up[0], &fd, sizeof(fd)) != sizeof(fd))
		bail("the VMM did not start");
	if (!ok(!twctl("attach --vm %d --vmm off --pin --policy build/tests/policies/random.bpf.o "
		       "--param changes=1000000 --param shortest=5ms --param longest=5ms", pid), "twctl attaches"))
		note("%s", tw_said());
	/* One thread gets a millisecond of each second from now on */
	write_cg(CG "/slow", "cpu.max", "1000 1000000");
	if (write(go[1], "", 1) < 0 || read(up[0], &s, sizeof(s)) != sizeof(s))
		bail("the VMM does not tell");
	note("of %.1f s the other vCPU stood for %.2f s, at the longest for %.3f s; %llu changes, held for %.3f ms at the most",
	     s.total, s.stood, s.longest, (unsigned long long)state_num(pid, fd, "changes"),
	     state_num(pid, fd, "held_max_ns") / 1e6);
	ok(s.stood < s.total / 2, "the vCPU that is not throttled runs for more than half of the time");
	ok(s.longest < 1.1, "it never stands for longer than a second");
	kill(pid, SIGKILL);
	/* Or its end alone would take a thread with so little time half a minute */
	write_cg(CG "/slow", "cpu.max", "max");
	killed = now();
	while (waitpid(pid, &status, WNOHANG) == 0 && now() - killed < 30)
		sleep_ms(5);
	note("dead %.3f s after SIGKILL", now() - killed);
	ok(now() - killed < 3, "the VMM is dead soon after SIGKILL");
	twctl("detach --vm %d", pid);
	rmdir(CG "/slow");
	rmdir(CG);
	return tap_end();
}
