// SPDX-License-Identifier: GPL-2.0
/*
 * A2, with Hyper-V's TSC page: once a VMM is dead, no other process' memory changes. A worker
 * without an address space writes into whichever one its CPU has loaded. So processes that keep every CPU busy have memory of their
 * own where the dead VMM had its guest.
 *
 * Before (bfb642f): 20 bytes of another process' memory change, at the guest's TSC page (0x22000 and on).
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tinyvm.h"

#define GUEST_AT ((void *)0x200000000000UL)
#define PATTERN 0x5a

static volatile unsigned int *shared;	/* bytes found changed, and where */

static void vmm(int up)
{
	static struct tiny vm;

	tiny_create(&vm, 1, TINY_HYPERV, GUEST_AT);
	tiny_set_kvmclock(&vm, 0);
	tiny_set_hv_page(&vm);
	tiny_start(&vm, 0, guest_halt, 0);
	if (write(up, &vm.fd, sizeof(vm.fd)) < 0)
		_exit(1);
	for (;;)
		pause();
}

static void victim(int cpu)
{
	unsigned char *mem = mmap(GUEST_AT, TINY_MEM, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1, 0);
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	memset(mem, PATTERN, TINY_MEM);
	__atomic_fetch_add(&shared[2], 1, __ATOMIC_SEQ_CST);
	for (;;) {
		/* The pages that the dead guest had shared, again and again; the VMM's whole memory would take too long */
		for (unsigned long i = TINY_HV_PAGE; i < TINY_KVMCLOCK + 4096; i++)
			if (((volatile unsigned char *)mem)[i] != PATTERN) {
				__atomic_fetch_add(&shared[0], 1, __ATOMIC_SEQ_CST);
				shared[1] = i;
				mem[i] = PATTERN;
			}
	}
}

int main(void)
{
	int cpus = sysconf(_SC_NPROCESSORS_ONLN), up[2], fd, state;
	pid_t pid, v[64];

	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (pipe(up) || cpus > 64)
		bail("pipe");
	pid = fork();
	if (!pid)
		vmm(up[1]);
	if (read(up[0], &fd, sizeof(fd)) != sizeof(fd))
		bail("the VMM did not start");
	if (!ok(!twctl("attach --vm %d --vmm off --pin --policy build/tests/policies/random.bpf.o "
		       "--param changes=1000000 --param longest=1ms", pid), "twctl attaches"))
		note("%s", tw_said());
	for (int i = 0; i < cpus; i++)
		if (!(v[i] = fork()))
			victim(i);
	while (shared[2] < (unsigned int)cpus)
		sleep_ms(10);
	state = state_open(pid, fd);
	ok(state >= 0, "its state file is held open");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	for (int i = 0; i < 30 && !shared[0]; i++)
		sleep_ms(100);
	ok(!shared[0], "memory of other processes is not written to once the VMM is dead (%u bytes)", shared[0]);
	if (shared[0])
		note("the last one at 0x%x of it; the guest had its TSC page at 0x%lx", shared[1], TINY_HV_PAGE);
	for (int i = 0; i < cpus; i++) {
		kill(v[i], SIGKILL);
		waitpid(v[i], NULL, 0);
	}
	close(state);
	sleep_ms(200);
	twctl("detach --vm %d", pid);
	return tap_end();
}
