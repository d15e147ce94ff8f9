// SPDX-License-Identifier: GPL-2.0
/*
 * In a real QEMU, without KVM and before its guest runs, all clocks and timers are where twctl looks for them, whichever
 * machine it is. TW_QEMU_ROOT: the QEMU of another Debian, which lies there (tools/image prints such a place); as root.
 */
#include "tap.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qemu/layout.h"

static pid_t start(const char *machine)
{
	const char *root = getenv("TW_QEMU_ROOT");
	pid_t pid = fork();
	int null;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	null = open("/dev/null", O_RDWR);
	dup2(null, 1);
	dup2(null, 2);
	if (root && (chroot(root) || chdir("/")))
		_exit(126);
	execlp("qemu-system-x86_64", "qemu-system-x86_64", "-S", "-nodefaults", "-display", "none", "-accel", "tcg", "-m", "64",
	       "-machine", machine, (char *)NULL);
	_exit(127);
}

/* Once its devices are made, which nothing tells: it is looked at again for half a minute */
static void look_at(const char *machine)
{
	struct tw_vm vm = { .dir = (char *)"/sys/kernel/debug/kvm/1-1" };
	struct tw_vmm_look look = { 0 };
	int i, status = 0;
	bool ended = false;

	vm.pid = start(machine);
	for (i = 0; i < 300 && !look.state.rtc && !ended; i++) {
		usleep(100000);
		ended = waitpid(vm.pid, &status, WNOHANG) == vm.pid;
		if (!ended)
			tw_vmm_look(&vm, true, &look);
	}
	if (!ended) {
		kill(vm.pid, SIGKILL);
		waitpid(vm.pid, NULL, 0);
	} else if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
		skip();
	}
	assert_string_equal(look.why, "");
	assert_true(look.possible);
	assert_string_equal(look.why_rtc, "");
	assert_true(look.state.rtc && look.state.rtc_device && look.state.rtc_periodic);
}

static void finds_clocks_of_a_q35(void **state)
{
	(void)state;
	look_at("q35");
}

static void finds_clocks_of_a_pc(void **state)
{
	(void)state;
	look_at("pc");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_clocks_of_a_q35),
		cmocka_unit_test(finds_clocks_of_a_pc),
	};

	return RUN_TAP(tests);
}
