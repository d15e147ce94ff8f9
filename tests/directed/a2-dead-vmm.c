// SPDX-License-Identifier: GPL-2.0
/*
 * A2: once a VMM is dead, nothing is written to the pages that were its guest's. Something else still
 * holds its VM, and the policy wants to go on deciding each millisecond.
 *
 * The freed pages are taken by this process, which watches that they stay as they are. The host's
 * allocator looks as well (page_poison=1).
 *
 * Before (bfb642f): 180 changes after the kill; 32 bytes, a kvmclock record, appear in this process' memory, in the
 * page that was the guest's.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "polbpf.h"
#include "tinyvm.h"

#define VCPUS 4
#define WATCHED (256UL << 20)

static void vmm(int up)
{
	static struct tiny vm;

	tiny_create(&vm, VCPUS, 0, NULL);
	for (int i = 0; i < VCPUS; i++) {
		tiny_set_kvmclock(&vm, i);
		tiny_start(&vm, i, guest_halt, 0);
	}
	if (write(up, &vm.fd, sizeof(vm.fd)) < 0)
		_exit(1);
	for (;;)
		pause();
}

static bool all_zero(const char *mem, size_t *where)
{
	const uint64_t *p = (const uint64_t *)mem;

	for (size_t i = 0; i < WATCHED / 8; i++)
		if (p[i]) {
			*where = i * 8;
			return false;
		}
	return true;
}

int main(void)
{
	int up[2], fd, state, status;
	uint64_t before, after;
	size_t where = 0;
	bool clean = true;
	char text[64];
	char *mem;
	pid_t pid;

	if (pipe(up))
		bail("pipe");
	pid = fork();
	if (!pid)
		vmm(up[1]);
	if (read(up[0], &fd, sizeof(fd)) != sizeof(fd))
		bail("the VMM did not start");
	if (!ok(!twctl("attach --vm %d --vmm off --pin --policy build/tests/policies/random.bpf.o "
		       "--param changes=1000000 --param longest=1ms", pid), "twctl attaches"))
		note("%s", tw_said());
	sleep_ms(50);
	before = state_num(pid, fd, "changes");
	state = state_open(pid, fd);
	ok(state >= 0 && before > 5, "the policy changes the factor (%llu changes in 50 ms)", (unsigned long long)before);

	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	mem = mmap(NULL, WATCHED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (mem == MAP_FAILED)
		bail("no memory to watch");
	for (int i = 0; i < 10 && clean; i++) {
		clean = all_zero(mem, &where);
		sleep_ms(100);
	}
	ok(clean, "memory of another process is not written to once the VMM is dead");
	if (!clean)
		for (size_t i = where & ~31UL; i < (where & ~31UL) + 32; i += 8)
			note("%#zx: %016llx", i, *(unsigned long long *)(mem + i));
	munmap(mem, WATCHED);

	/* What the open file says, if the VM's directory is still there */
	memset(text, 0, sizeof(text));
	lseek(state, 0, SEEK_SET);
	after = state_num(pid, fd, "changes");
	note("changes: %llu before the kill, %llu after it", (unsigned long long)before, (unsigned long long)after);
	close(state);
	for (int i = 0; i < 50 && state_text(pid, fd, "attached"); i++)
		sleep_ms(100);
	ok(!state_text(pid, fd, "attached"), "the VM's state file goes away");
	twctl("detach --vm %d", pid);
	return tap_end();
}
