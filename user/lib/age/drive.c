// SPDX-License-Identifier: GPL-2.0
#include "age/drive.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define SELF "/proc/self/exe"
#define ATTACH_MS 60000
#define END_MS 30000

/* What a system under load does to its timers anyway; a leap then serves all that fall due within it */
#define SLACK "slack=1s"

/* In the child; whoever kills us leaves nothing attached: it is told to end, and puts all back */
static void become(const char *const *argv, int said, pid_t parent)
{
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	/* Ctrl-C is for us, who end it once all has been sampled */
	setpgid(0, 0);
	if (getppid() != parent || nothing < 0)
		_exit(TW_FAILED);
	dup2(nothing, 0);
	dup2(nothing, 1);
	if (said >= 0)
		dup2(said, 2);
	execv(SELF, (char **)argv);
	_exit(TW_FAILED);
}

/* Runs ourselves with @argv; stderr goes to a file in memory, of which *said is the descriptor */
static pid_t spawn(const char *const *argv, int *said)
{
	pid_t parent = getpid(), pid;

	*said = memfd_create("twctl", MFD_CLOEXEC);
	pid = fork();
	if (!pid)
		become(argv, *said, parent);
	return pid;
}

/* The last line that was said, without its beginning "twctl: " */
static void last_words(int said, char *buf, size_t size)
{
	char text[2048], *line, *next;
	ssize_t n = said < 0 ? 0 : pread(said, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = 0;
	snprintf(buf, size, "it said nothing");
	for (line = strtok_r(text, "\n", &next); line; line = strtok_r(NULL, "\n", &next))
		tw_printable(buf, size, !strncmp(line, "twctl: ", 7) ? line + 7 : line);
}

static int fail(struct tw_err *e, const struct tw_drive *d, int status, const char *doing, int said)
{
	char words[512];

	last_words(said, words, sizeof(words));
	tw_fail(e, status > 0 && status < 128 ? status : TW_FAILED, "cannot age %s", d->vm->id);
	tw_fact(e, "%s: %s", doing, words);
	return tw_cure(e, "see twctl probe, twctl status --vm %s", d->vm->id);
}

static int no_time(const struct tw_drive *d, const struct tw_state *st, struct tw_err *e)
{
	tw_fail(e, TW_REFUSED, "cannot age %s", d->vm->id);
	tw_fact(e, "under policy %s its time stands still", st->policy);
	return tw_cure(e, "name a policy by which time passes; without --policy it is skip-idle");
}

static int wait_attached(struct tw_drive *d, struct tw_err *e)
{
	struct tw_err none = { 0 };
	struct tw_state st;
	int i, status;

	for (i = 0; i < ATTACH_MS / 20; i++) {
		if (waitpid(d->pid, &status, WNOHANG) == d->pid) {
			d->pid = 0;
			return fail(e, d, WIFEXITED(status) ? WEXITSTATUS(status) : TW_FAILED,
				    "nothing was attached", d->said);
		}
		if (!tw_state_read(d->vm->dir, &st, &none) && st.attached)
			return st.held ? no_time(d, &st, e) : TW_OK;
		tw_err_free(&none);
		poll(NULL, 0, 20);
	}
	return fail(e, d, TW_FAILED, "nothing was attached within a minute", d->said);
}

/* Whether skip-idle is to have the slack that it has here, as nobody said another */
static bool takes_slack(const char *policy, const struct tw_strings *params)
{
	size_t i;

	for (i = 0; i < params->n; i++)
		if (!strncmp(params->v[i], SLACK, strcspn(SLACK, "=") + 1))
			return false;
	return !policy || !strcmp(policy, "skip-idle");
}

char *tw_drive_title(const struct tw_vm *vm, const char *policy, const struct tw_strings *params)
{
	struct tw_err none = { 0 };
	struct tw_state st;
	char *title, *longer;
	size_t i;

	if (!tw_state_read(vm->dir, &st, &none) && st.attached)
		return tw_strdup(st.policy);
	tw_err_free(&none);
	title = tw_asprintf("%s%s", policy ? policy : "skip-idle",
			    takes_slack(policy, params) ? " " SLACK : "");
	for (i = 0; i < params->n; i++) {
		longer = tw_asprintf("%s %s", title, params->v[i]);
		free(title);
		title = longer;
	}
	return title;
}

int tw_drive_start(struct tw_drive *d, const struct tw_vm *vm, const char *policy,
		   const struct tw_strings *params, double span, struct tw_err *e)
{
	const char **argv = tw_grow(NULL, 2 * params->n + 12, sizeof(*argv));
	bool slack = takes_slack(policy, params);
	char *until = tw_asprintf("until=%.3fs", span);
	struct tw_state st;
	size_t n = 0, i;

	*d = (struct tw_drive){ .vm = vm, .said = -1 };
	if (tw_state_read(vm->dir, &st, e))
		goto out;
	if (st.attached) {
		if (policy) {
			tw_fail(e, TW_REFUSED, "cannot age %s", vm->id);
			tw_fact(e, "policy %s is attached to it already", st.policy);
			tw_cure(e, "leave out --policy to age it with that, or: twctl detach --vm %s", vm->id);
		}
		goto out;
	}
	policy = policy ? policy : "skip-idle";
	d->stops = !strcmp(policy, "skip-idle");
	argv[n++] = "twctl";
	argv[n++] = "attach";
	argv[n++] = "--vm";
	argv[n++] = vm->id;
	argv[n++] = "--policy";
	argv[n++] = policy;
	for (i = 0; i < params->n; i++) {
		argv[n++] = "--param";
		argv[n++] = params->v[i];
	}
	if (slack) {
		argv[n++] = "--param";
		argv[n++] = SLACK;
	}
	if (d->stops) {
		argv[n++] = "--param";
		argv[n++] = until;
	}
	argv[n] = NULL;
	d->pid = spawn(argv, &d->said);
	if (d->pid < 0) {
		d->pid = 0;
		fail(e, d, TW_FAILED, "twctl attach cannot be run", -1);
	} else {
		wait_attached(d, e);
	}
out:
	free(argv);
	free(until);
	return e->status;
}

int tw_drive_on(struct tw_drive *d, double span, struct tw_err *e)
{
	char until[48];
	const char *const argv[] = { "twctl", "set", "--vm", d->vm->id, until, NULL };
	int said = -1, status = 0, result = TW_OK;
	pid_t pid;

	if (!d->stops || !d->pid)
		return TW_OK;
	snprintf(until, sizeof(until), "until=%.3fs", span);
	pid = spawn(argv, &said);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid < 0 || !WIFEXITED(status) || WEXITSTATUS(status))
		result = fail(e, d, pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : TW_FAILED,
			      "it does not go on to the next sample", said);
	if (said >= 0)
		close(said);
	return result;
}

int tw_drive_ended(struct tw_drive *d, const struct tw_state *st, char *buf, size_t size)
{
	int status;

	if (d->pid && waitpid(d->pid, &status, WNOHANG) == d->pid) {
		char words[160];

		d->pid = 0;
		if (WIFSIGNALED(status)) {
			snprintf(buf, size, "the policy was detached: its twctl was ended by signal %d", WTERMSIG(status));
			return TW_FAILED;
		}
		last_words(d->said, words, sizeof(words));
		snprintf(buf, size, "the policy was detached: %s", WEXITSTATUS(status) ? words : "its twctl has ended");
		return WEXITSTATUS(status) ? WEXITSTATUS(status) : TW_FAILED;
	}
	if (!st->attached) {
		snprintf(buf, size, "the policy was detached by somebody else");
		return TW_FAILED;
	}
	return TW_OK;
}

void tw_drive_end(struct tw_drive *d)
{
	int status, i;

	/* it is given time to put QEMU's clocks back, and never killed: that would leave them */
	for (i = 0; d->pid && i < END_MS / 20; i++) {
		if (!i)
			kill(d->pid, SIGINT);
		if (waitpid(d->pid, &status, WNOHANG) == d->pid)
			d->pid = 0;
		else
			poll(NULL, 0, 20);
	}
	if (d->said >= 0)
		close(d->said);
	d->said = -1;
}
