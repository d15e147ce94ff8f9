// SPDX-License-Identifier: GPL-2.0
/*
 * A5: a decision that may sleep is refused before it is ever asked.
 *
 * Before (bfb642f): it loads and attaches, and is asked under the lock that every VM's end takes.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "polbpf.h"
#include "tinyvm.h"

int main(void)
{
	static struct tiny vm;
	struct pol p;
	int load, attach = 0;

	tiny_create(&vm, 1, 0, NULL);
	if (pol_open(&p, "build/tests/directed/sleeper.bpf.o"))
		bail("the policy does not open");
	load = pol_load(&p, vm.fd, POL_AUTO);
	if (!load)
		attach = pol_attach(&p);
	ok(load || attach, "a sleepable decide is refused (load: %s, attach: %s)", strerror(-load), strerror(-attach));
	ok(state_num(getpid(), vm.fd, "attached") == 0, "nothing is attached");
	pol_close(&p);
	tiny_destroy(&vm);
	return tap_end();
}
