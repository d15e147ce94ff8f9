// SPDX-License-Identifier: GPL-2.0
#include "bare.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "search.h"
#include "text.h"

char *tw_bare_find(struct tw_err *e)
{
	static const char *const places[] = { "tests/vmm/vmm", "../libexec/timewarp/qualify-vmm" };
	const char *wrong = NULL;
	char *path = NULL;
	size_t i;

	for (i = 0; !path && i < 2; i++)
		path = tw_helper_find(places[i], &wrong);
	if (path && !wrong)
		return path;
	tw_fail(e, TW_FAILED, "cannot find the VMM that tests this host");
	if (wrong) {
		tw_fact(e, "%s, or a directory on the way to it, %s", path, wrong);
		tw_cure(e, "chown root and chmod go-w, all of them");
	} else {
		tw_fact(e, "libexec/timewarp/qualify-vmm is not where twctl was installed");
		tw_cure(e, "install it whole: the package timewarp, or make && make install");
	}
	free(path);
	return NULL;
}

/* ---- children */

pid_t tw_child(int sig, int out)
{
	pid_t parent = getpid(), pid;
	sigset_t none;

	fflush(NULL);
	pid = fork();
	if (pid)
		return pid;
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, sig);
	if (getppid() != parent)
		_exit(126);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (out >= 0 && (dup2(out, 1) < 0 || dup2(out, 2) < 0))
		_exit(126);
	return 0;
}

int tw_output_file(void)
{
	int fd = memfd_create("output", MFD_CLOEXEC);

	/* several may write it */
	if (fd >= 0)
		fcntl(fd, F_SETFL, O_APPEND);
	return fd;
}

char *tw_output_text(int fd)
{
	char path[48];
	char *text;

	/* opened anew: a place in it of our own */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	text = tw_read_file(path, NULL);
	return text ? text : tw_strdup("");
}

bool tw_bare_start(struct tw_bare *b, const struct tw_words *command)
{
	int ends[2], i;

	*b = (struct tw_bare){ .in = -1, .out = -1 };
	for (i = 0; i < TW_BARE_NR_FIGURES; i++)
		b->figure[i] = -1;
	b->out = tw_output_file();
	if (b->out < 0 || pipe2(ends, O_CLOEXEC))
		return false;
	b->in = ends[1];
	b->pid = tw_child(SIGKILL, b->out);
	if (!b->pid) {
		dup2(ends[0], 0);
		execv(command->v[0], command->v);
		_exit(127);
	}
	close(ends[0]);
	if (b->pid < 0)
		b->pid = 0;
	return b->pid;
}

bool tw_bare_is_up(struct tw_bare *b)
{
	static const char key[] = " state=", file[] = "/timewarp\n";
	char *text = tw_output_text(b->out), *state = strstr(text, key), *end;

	end = state ? strstr(state, file) : NULL;
	if (end) {
		state += strlen(key);
		snprintf(b->dir, sizeof(b->dir), "%.*s", (int)(end - state), state);
	}
	free(text);
	return *b->dir;
}

void tw_bare_go(const struct tw_bare *b)
{
	if (b->pid)
		kill(b->pid, SIGUSR1);
}

void tw_bare_enough(struct tw_bare *b)
{
	if (b->in >= 0)
		close(b->in);
	b->in = -1;
}

bool tw_bare_has_ended(struct tw_bare *b)
{
	if (b->pid && waitpid(b->pid, &b->status, WNOHANG) == b->pid)
		b->pid = 0;
	return !b->pid;
}

/* ---- what it says */

static void take_figure(struct tw_bare *b, const char *text)
{
	static const char *const names[] = {
		[TW_BARE_READINGS] = "readings",
		[TW_BARE_TIMERS] = "timers",
		[TW_BARE_APART_NS] = "apart_ns",
		[TW_BARE_LINE_NS] = "line_ns",
		[TW_BARE_RATE_PPM] = "rate_ppm",
		[TW_BARE_LATE_NS] = "late_ns",
		[TW_BARE_TSC_READ_NS] = "tsc_read_ns",
		[TW_BARE_KVMCLOCK_READ_NS] = "kvmclock_read_ns",
	};
	double value, *f;
	char name[32];
	size_t i;

	if (sscanf(text, "%31s %lf", name, &value) != 2)
		return;
	for (i = 0; i < TW_BARE_NR_FIGURES && strcmp(name, names[i]); i++)
		;
	if (i == TW_BARE_NR_FIGURES)
		return;
	/* what is counted adds up; of what is off, the worst */
	f = &b->figure[i];
	if (i <= TW_BARE_TIMERS)
		*f = *f < 0 ? value : *f + value;
	else if (value > *f)
		*f = value;
}

/* TAP, whose lines end in what was found; whether it is the plan, which comes last */
static bool take_line(struct tw_bare *b, const char *line)
{
	static const char figure[] = "# figure ", gave_up[] = "Bail out! ", good[] = "ok ", bad[] = "not ok ";
	const char *text = strstr(line, " - ");

	if (!strncmp(line, figure, strlen(figure))) {
		take_figure(b, line + strlen(figure));
	} else if (!strncmp(line, gave_up, strlen(gave_up))) {
		tw_words_add(&b->failed, "%s", line + strlen(gave_up));
	} else if (text && !strncmp(line, good, strlen(good))) {
		b->checks++;
	} else if (text && !strncmp(line, bad, strlen(bad))) {
		b->checks++;
		tw_words_add(&b->failed, "%s", text + 3);
	}
	return !strncmp(line, "1..", 3);
}

bool tw_bare_judge(struct tw_bare *b)
{
	char *text = tw_output_text(b->out), *rest = text, *line;
	bool whole = false;

	while ((line = strsep(&rest, "\n")))
		whole |= take_line(b, line);
	free(text);
	if (!b->failed.n && !b->pid && (b->status || !whole))
		tw_words_add(&b->failed, WIFSIGNALED(b->status) ? "the VMM ended by signal %d" :
			     "the VMM ended with status %d",
			     WIFSIGNALED(b->status) ? WTERMSIG(b->status) : WEXITSTATUS(b->status));
	return whole && !b->pid && !b->status && !b->failed.n;
}

void tw_bare_close(struct tw_bare *b)
{
	tw_bare_enough(b);
	if (b->pid) {
		kill(b->pid, SIGKILL);
		waitpid(b->pid, &b->status, 0);
	}
	b->pid = 0;
	if (b->out >= 0)
		close(b->out);
	b->out = -1;
}
