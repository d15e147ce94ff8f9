// SPDX-License-Identifier: GPL-2.0
#include "exec.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void set_environment(const struct tw_exec *about)
{
	const struct {
		const char *name, *value;
	} vars[] = {
		{ "TIMEWARP_VM", about->vm }, { "TIMEWARP_NAME", about->name }, { "TIMEWARP_UUID", about->uuid },
		{ "TIMEWARP_POLICY", about->policy }, { "TIMEWARP_EVENT", about->event },
		{ "TIMEWARP_VCPU", about->vcpu }, { "TIMEWARP_SOURCE", about->source },
		{ "TIMEWARP_LATE_NS", about->late_ns },
	};
	size_t i;

	for (i = 0; i < sizeof(vars) / sizeof(*vars); i++)
		setenv(vars[i].name, vars[i].value ? vars[i].value : "", 1);
}

static void become(const char *command, const struct tw_exec *about)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (about->to_stderr)
		dup2(STDERR_FILENO, STDOUT_FILENO);
	set_environment(about);
	execl("/bin/sh", "sh", "-c", command, NULL);
	_exit(127);
}

/* In a child: what is nobody's child is waited for by nobody */
static void begin(const char *command, const struct tw_exec *about)
{
	pid_t pid = about->wait ? 0 : fork();

	if (pid)
		_exit(pid < 0 ? errno : 0);
	become(command, about);
}

int tw_exec_run(const char *command, const struct tw_exec *about)
{
	pid_t pid = fork();
	int status = 0;

	if (pid < 0)
		return errno;
	if (!pid)
		begin(command, about);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return errno;
	/* how the command itself ended is its own matter */
	if (about->wait)
		return 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}
