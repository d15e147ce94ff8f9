// SPDX-License-Identifier: GPL-2.0
/* TAP, twctl and the state file, for the directed tests. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tinyvm.h"

static int tests, failures;
static char said[4096], state[16384], said_file[64];

bool ok(bool good, const char *fmt, ...)
{
	va_list ap;

	printf("%sok %d - ", good ? "" : "not ", ++tests);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	failures += !good;
	return good;
}

void note(const char *fmt, ...)
{
	va_list ap;

	printf("# ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

void bail(const char *fmt, ...)
{
	va_list ap;

	printf("Bail out! ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	_exit(2);
}

int tap_end(void)
{
	printf("1..%d\n", tests);
	fflush(stdout);
	return failures ? 1 : 0;
}

double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

void sleep_ms(double ms)
{
	struct timespec ts = { ms / 1000, (long)(ms * 1e6) % 1000000000L };

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		bail("%s: %s", path, strerror(errno));
	close(fd);
}

/* ---- twctl */

static pid_t start(const char *fmt, va_list ap)
{
	const char *cmd = getenv("TWCTL");
	char args[1024], line[2048];
	pid_t pid;

	if (!said_file[0])
		snprintf(said_file, sizeof(said_file), "/tmp/directed-%d", getpid());
	vsnprintf(args, sizeof(args), fmt, ap);
	snprintf(line, sizeof(line), "exec timeout -k 2 60 %s %s >%s 2>&1", cmd ? cmd : "build/twctl", args, said_file);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		execl("/bin/sh", "sh", "-c", line, NULL);
		_exit(127);
	}
	return pid;
}

pid_t twctl_start(const char *fmt, ...)
{
	va_list ap;
	pid_t pid;

	va_start(ap, fmt);
	pid = start(fmt, ap);
	va_end(ap);
	return pid;
}

int twctl(const char *fmt, ...)
{
	va_list ap;
	int status = 0;
	pid_t pid;

	va_start(ap, fmt);
	pid = start(fmt, ap);
	va_end(ap);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

const char *tw_said(void)
{
	FILE *f = fopen(said_file, "r");
	size_t n = f ? fread(said, 1, sizeof(said) - 1, f) : 0;

	said[n] = 0;
	for (size_t i = 0; i < n; i++)
		if (said[i] == '\n')
			said[i] = i + 1 < n ? '/' : 0;
	if (f)
		fclose(f);
	return said;
}

/* ---- the state file */

int state_open(pid_t pid, int fd)
{
	char path[96];
	int ret = -1;
	glob_t g;

	if (fd >= 0)
		snprintf(path, sizeof(path), "/sys/kernel/debug/kvm/%d-%d/timewarp", pid, fd);
	else
		snprintf(path, sizeof(path), "/sys/kernel/debug/kvm/%d-*/timewarp", pid);
	if (!glob(path, 0, NULL, &g)) {
		ret = open(g.gl_pathv[0], O_RDONLY | O_CLOEXEC);
		globfree(&g);
	}
	return ret;
}

const char *state_text(pid_t pid, int fd, const char *key)
{
	int f = state_open(pid, fd);
	size_t len = strlen(key);
	ssize_t n, got = 0;
	char *line;

	if (f < 0)
		return NULL;
	while ((n = read(f, state + got, sizeof(state) - 1 - got)) > 0)
		got += n;
	close(f);
	state[got] = 0;
	for (line = strtok(state, "\n"); line; line = strtok(NULL, "\n"))
		if (!strncmp(line, key, len) && line[len] == ' ')
			return line + len + 1;
	return NULL;
}

uint64_t state_num(pid_t pid, int fd, const char *key)
{
	const char *text = state_text(pid, fd, key);

	return text ? strtoull(text, NULL, 10) : 0;
}

bool state_becomes(pid_t pid, int fd, const char *key, const char *value, double seconds)
{
	double end = now() + seconds;
	const char *text;

	do {
		text = state_text(pid, fd, key);
		if (text && !strcmp(text, value))
			return true;
		sleep_ms(10);
	} while (now() < end);
	return false;
}
