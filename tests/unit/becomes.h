/* SPDX-License-Identifier: GPL-2.0 */
/* A process that becomes another program when the test says so, as a VMM may whenever it likes. */
#ifndef BECOMES_H
#define BECOMES_H

#include <signal.h>
#include <stdio.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* It waits for *GO, which is in memory that it shares with the test */
static pid_t changing_process(volatile unsigned int *go)
{
	pid_t pid;

	*go = 0;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (!*go)
			usleep(1000);
		execl("/bin/sleep", "sleep", "1000", NULL);
		_exit(1);
	}
	return pid;
}

/* One that executes its own program anew, to which nothing is other than before but that. It stands before, and after */
__attribute__((unused))
static pid_t anew_process(void)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* no random addresses: they alone tell nothing then */
		personality(ADDR_NO_RANDOMIZE);
		execl("/bin/sh", "sh", "-c", "kill -STOP $$; exec \"$0\" -c \"$1\" \"$0\" \"$1\"", "/bin/sh", "kill -STOP $$; :", NULL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	return pid;
}

__attribute__((unused))
static void execute_anew(pid_t pid)
{
	int status;

	kill(pid, SIGCONT);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
}

/* Returns when it has */
static void become(pid_t pid, volatile unsigned int *go)
{
	struct stat before, now;
	char exe[32];
	int i;

	snprintf(exe, sizeof(exe), "/proc/%d/exe", pid);
	assert_int_equal(stat(exe, &before), 0);
	*go = 1;
	for (i = 0; i < 5000; i++, usleep(1000))
		if (!stat(exe, &now) && now.st_ino != before.st_ino)
			return;
	fail();
}

#endif /* BECOMES_H */
