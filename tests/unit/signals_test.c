// SPDX-License-Identifier: GPL-2.0
/* Which signals end a verb that waits for them, and that none is lost where they cannot be waited for. */
#include "tap.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "twctl.h"

/* Each in a process of its own: what is ignored at the start stays so; the status is what RUN returns, or a signal */
static int in_process(int (*run)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(run());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* As the terminal sends it: nobody's, the kernel's */
static void type_ctrl_c(void)
{
	siginfo_t info = { .si_signo = SIGINT, .si_code = SI_KERNEL };

	syscall(SYS_rt_sigqueueinfo, getpid(), SIGINT, &info);
}

static int open_signals(void)
{
	struct tw_err e = { 0 };

	return tw_signal_fd("test", SIGPIPE, 0, &e);
}

static int by_hangup(void)
{
	int fd = open_signals();

	raise(SIGHUP);
	return tw_signal_read(fd) ? 0 : 1;
}

static int under_nohup(void)
{
	int fd;

	signal(SIGHUP, SIG_IGN);
	fd = open_signals();
	raise(SIGHUP);
	if (tw_signal_read(fd))
		return 1;
	raise(SIGTERM);
	return tw_signal_read(fd) ? 0 : 2;
}

static void test_nohup(void **unused)
{
	(void)unused;
	assert_int_equal(in_process(by_hangup), 0);
	assert_int_equal(in_process(under_nohup), 0);
}

static int at_a_terminal(void)
{
	int fd = open_signals();

	type_ctrl_c();
	return tw_signal_read(fd) ? 0 : 1;
}

/* As a shell starts what has '&' behind it: Ctrl-C is for the script, kill -INT for this */
static int in_background(void)
{
	int fd;

	signal(SIGINT, SIG_IGN);
	fd = open_signals();
	type_ctrl_c();
	if (tw_signal_read(fd))
		return 1;
	raise(SIGINT);
	return tw_signal_read(fd) ? 0 : 2;
}

static int in_background_caught(void)
{
	signal(SIGINT, SIG_IGN);
	tw_catch_stop();
	type_ctrl_c();
	if (tw_stop)
		return 1;
	raise(SIGINT);
	return tw_stop ? 0 : 2;
}

static void test_background(void **unused)
{
	(void)unused;
	assert_int_equal(in_process(at_a_terminal), 0);
	assert_int_equal(in_process(in_background), 0);
	assert_int_equal(in_process(in_background_caught), 0);
}

/* No file is left to be had: it is told, and nothing that would end the process is blocked */
static int without_files(void)
{
	struct tw_err e = { 0 };

	while (dup(0) >= 0)
		;
	if (tw_signal_fd("attach", SIGPIPE, 0, &e) != -1)
		return 1;
	if (e.status != TW_FAILED || e.code != EMFILE || strcmp(e.what, "cannot attach") ||
	    !strstr(e.fact, "signals cannot be waited for: "))
		return 2;
	raise(SIGTERM);
	return 3;
}

static void test_no_file(void **unused)
{
	int status = in_process(without_files);

	(void)unused;
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nohup),
		cmocka_unit_test(test_background),
		cmocka_unit_test(test_no_file),
	};

	/* Whoever runs this may have been started with nohup, or in the background of a script */
	signal(SIGHUP, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	return RUN_TAP(tests);
}
