// SPDX-License-Identifier: GPL-2.0
/*
 * A20: when one of two VMs on a timeline that stops again and again dies, the other's time does not stand
 * for ever.
 *
 * Before (bfb642f): the other one goes on, but the dead one's kvmclock record is written to its freed page (A2) by the
 * group's next change, with nobody holding anything: "pagealloc: memory corruption", in 2 rounds of 8.
 */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tinyvm.h"

#define ROUNDS 4

static pid_t start_vm(int *fd)
{
	static struct tiny vm;
	int up[2];
	pid_t pid;

	if (pipe(up))
		bail("pipe");
	pid = fork();
	if (!pid) {
		tiny_create(&vm, 1, 0, NULL);
		tiny_set_kvmclock(&vm, 0);
		tiny_start(&vm, 0, guest_read, 0);
		if (write(up[1], &vm.fd, sizeof(vm.fd)) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	if (read(up[0], fd, sizeof(*fd)) != sizeof(*fd))
		bail("a VM did not start");
	close(up[0]);
	close(up[1]);
	return pid;
}

int main(void)
{
	int attached = 0, alive = 0, fd[2], last = 0;
	uint64_t ns;
	pid_t vm[2];

	for (int i = 0; i < ROUNDS; i++) {
		int dies = i & 1;	/* the one named first, or second */

		vm[0] = start_vm(&fd[0]);
		vm[1] = start_vm(&fd[1]);
		if (!twctl("attach --vm %d --vm %d --vmm off --pin --policy build/tests/directed/stops.bpf.o --factor 2 "
			   "--param period=3ms --param held=1ms", vm[0], vm[1]))
			attached++;
		else
			note("%s", tw_said());
		sleep_ms(100 + i * 3.7);
		kill(vm[dies], SIGKILL);
		waitpid(vm[dies], NULL, 0);
		sleep_ms(200);
		last = !dies;
		ns = state_num(vm[last], fd[last], "guest_ns");
		sleep_ms(500);
		ns = state_num(vm[last], fd[last], "guest_ns") - ns;
		if (ns > 20000000)
			alive++;
		else
			note("round %d: guest time of the VM that lives went on by %llu ns in 500 ms", i, (unsigned long long)ns);
		twctl("detach --vm %d", vm[last]);
		kill(vm[last], SIGKILL);
		waitpid(vm[last], NULL, 0);
		sleep_ms(50);
	}
	ok(attached == ROUNDS, "twctl attaches two VMs at once, %d times", attached);
	ok(alive == ROUNDS, "the one that lives goes on, %d times of %d", alive, ROUNDS);
	return tap_end();
}
