// SPDX-License-Identifier: GPL-2.0
/*
 * A5: a decision that may sleep is refused before it is ever asked.
 *
 * Before (bfb642f): it loads and attaches, and is asked under the lock that every VM's end takes.
 * Before (19dc8bd): one that does not sleep, but calls one that does in its stead, loads and attaches.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "polbpf.h"
#include "tinyvm.h"

static void refused(struct tiny *vm, const char *object, const char *what)
{
	struct pol p;
	int load, attach = 0;

	if (pol_open(&p, object))
		bail("the policy does not open");
	load = pol_load(&p, vm->fd, POL_AUTO);
	if (!load)
		attach = pol_attach(&p);
	ok(load || attach, "%s is refused (load: %s, attach: %s)", what, strerror(-load), strerror(-attach));
	ok(state_num(getpid(), vm->fd, "attached") == 0, "nothing is attached");
	pol_close(&p);
}

int main(void)
{
	static struct tiny vm;

	tiny_create(&vm, 1, 0, NULL);
	refused(&vm, "build/tests/directed/sleeper.bpf.o", "a sleepable decide");
	refused(&vm, "build/tests/directed/caller.bpf.o", "a decide with a tail call");
	tiny_destroy(&vm);
	return tap_end();
}
