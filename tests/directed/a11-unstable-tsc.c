// SPDX-License-Identifier: GPL-2.0
/*
 * A11: when the host's TSC becomes unstable a policy that never asks to be called ends too, and says that it
 * is the host's doing. A module marks the TSC; it stays so until the next boot.
 *
 * Before (bfb642f): the policy stays attached, exit_kind 0.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tinyvm.h"

int main(void)
{
	static struct tiny vm;
	const char *module = getenv("UNSTABLE_KO");
	char cmd[512];

	if (!module)
		bail("UNSTABLE_KO names no module");
	tiny_create(&vm, 2, 0, NULL);
	for (int i = 0; i < 2; i++) {
		tiny_set_kvmclock(&vm, i);
		tiny_start(&vm, i, guest_spin, 0);
	}
	if (!ok(!twctl("attach --vm %d --vmm off --pin --factor 2", getpid()), "twctl attaches policy constant"))
		note("%s", tw_said());
	ok(state_becomes(getpid(), vm.fd, "attached", "1", 1), "the VM is attached");
	snprintf(cmd, sizeof(cmd), "insmod %s", module);
	if (system(cmd))
		bail("%s failed", cmd);
	ok(state_becomes(getpid(), vm.fd, "attached", "0", 5), "the policy ends within 5 s of the TSC going unstable");
	ok(state_num(getpid(), vm.fd, "exit_kind") == 5, "the state file says that the host did it (exit_kind %llu)",
	   (unsigned long long)state_num(getpid(), vm.fd, "exit_kind"));
	twctl("detach --vm %d", getpid());
	tiny_destroy(&vm);
	return tap_end();
}
