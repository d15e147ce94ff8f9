// SPDX-License-Identifier: GPL-2.0
/* Commands that twctl runs: what they find in their environment, whichever option has them run. */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "exec.h"
#include "text.h"

static char dir[] = "/tmp/exec_test.XXXXXX";

/* What a command has written to "said" in the folder, once it is whole; to be freed */
static char *said(void)
{
	struct timespec pause = { .tv_nsec = 10000000 };
	char *text = NULL;
	int i;

	for (i = 0; i < 1000 && (!text || !strstr(text, "end\n")); i++) {
		free(text);
		text = tw_read_file("said", NULL);
		nanosleep(&pause, NULL);
	}
	unlink("said");
	return text ? text : tw_strdup("");
}

#define SAYS "env | grep ^TIMEWARP_ | sort >new; echo end >>new; mv new said"

static void finds_all_of_it_whoever_runs_it(void **state)
{
	struct tw_exec about = {
		.vm = "12-3", .name = "web $(id)", .uuid = "u", .policy = "until", .event = "done",
	};
	const char *want = "TIMEWARP_EVENT=done\nTIMEWARP_LATE_NS=\nTIMEWARP_NAME=web $(id)\nTIMEWARP_POLICY=until\n"
			   "TIMEWARP_SOURCE=\nTIMEWARP_UUID=u\nTIMEWARP_VCPU=\nTIMEWARP_VM=12-3\nend\n";
	char *text;
	int i;

	(void)state;
	/* nobody's variables show through */
	setenv("TIMEWARP_VCPU", "7", 1);
	for (i = 0; i < 2; i++) {
		about.wait = i;
		assert_int_equal(tw_exec_run(SAYS, &about), 0);
		text = said();
		assert_string_equal(text, want);
		free(text);
	}
	unsetenv("TIMEWARP_VCPU");
}

static void is_waited_for_or_not(void **state)
{
	struct tw_exec about = { .wait = true };
	struct timespec begin, end;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	assert_int_equal(tw_exec_run("sleep 0.2; touch slept", &about), 0);
	assert_int_equal(unlink("slept"), 0);
	about.wait = false;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	assert_int_equal(tw_exec_run("sleep 5", &about), 0);
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_true(end.tv_sec - begin.tv_sec < 4);
}

/* twctl blocks what it reads by signalfd */
static void has_no_signal_blocked(void **state)
{
	struct tw_exec about = { .wait = true };
	sigset_t set, old;
	char *text;

	(void)state;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &old);
	assert_int_equal(tw_exec_run("grep ^SigBlk /proc/self/status >new; echo end >>new; mv new said", &about), 0);
	sigprocmask(SIG_SETMASK, &old, NULL);
	text = said();
	assert_string_equal(text, "SigBlk:\t0000000000000000\nend\n");
	free(text);
}

static void prints_to_stderr_if_told(void **state)
{
	struct tw_exec about = { .wait = true, .to_stderr = true };
	int out = dup(1), err = dup(2), file;
	char *text;

	(void)state;
	fflush(stdout);
	file = open("out", O_CREAT | O_WRONLY | O_TRUNC, 0600);
	dup2(file, 1);
	close(file);
	file = open("said", O_CREAT | O_WRONLY | O_TRUNC, 0600);
	dup2(file, 2);
	close(file);
	tw_exec_run("echo end", &about);
	dup2(out, 1);
	dup2(err, 2);
	close(out);
	close(err);
	text = tw_read_file("out", NULL);
	assert_string_equal(text, "");
	free(text);
	text = said();
	assert_string_equal(text, "end\n");
	free(text);
	unlink("out");
}

/* What a user is told who may have so many processes; a limit of processes is none for root. A user that nobody else is */
static int run_as_one_of(int uid, rlim_t processes)
{
	struct tw_exec about = { .vm = "1-2" };
	struct rlimit limit;
	int pid = fork(), status = -1;

	if (!pid) {
		getrlimit(RLIMIT_NPROC, &limit);
		limit.rlim_cur = processes;
		if ((!geteuid() && setresuid(uid, uid, uid)) || setrlimit(RLIMIT_NPROC, &limit))
			_exit(99);
		_exit(tw_exec_run("true", &about));
	}
	while (waitpid(pid, &status, 0) < 0)
		;
	return WEXITSTATUS(status);
}

static void is_told_where_there_can_be_no_process(void **state)
{
	(void)state;
	assert_int_equal(run_as_one_of(65534, 0), EAGAIN);
}

/* There is one that begins it, and no other that it would be */
static void is_told_where_there_can_be_one_more_process_only(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	assert_int_equal(run_as_one_of(1902384, 3), 0);
	assert_int_equal(run_as_one_of(1902384, 2), EAGAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_all_of_it_whoever_runs_it),
		cmocka_unit_test(is_waited_for_or_not),
		cmocka_unit_test(has_no_signal_blocked),
		cmocka_unit_test(prints_to_stderr_if_told),
		cmocka_unit_test(is_told_where_there_can_be_no_process),
		cmocka_unit_test(is_told_where_there_can_be_one_more_process_only),
	};

	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	return RUN_TAP(tests) | rmdir(dir);
}
