// SPDX-License-Identifier: GPL-2.0
#include "age/talk_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "text.h"

#define GRACE_MS 2000		/* it is to tell itself that the agent was late */

extern char **environ;

/* Runs virsh, what it writes going to *out; an errno */
static int spawn(const struct tw_talk *t, const char *question, int timeout_ms, pid_t *pid, int *out)
{
	char seconds[16];
	const char *const agent[] = { "virsh", "-q", "qemu-agent-command", t->domain, question, "--timeout", seconds,
				      NULL };
	const char *const monitor[] = { "virsh", "-q", "qemu-monitor-command", t->domain, question, NULL };
	posix_spawn_file_actions_t a;
	int ends[2], code;

	if (pipe2(ends, O_CLOEXEC))
		return errno;
	snprintf(seconds, sizeof(seconds), "%d", (timeout_ms + 999) / 1000);
	posix_spawn_file_actions_init(&a);
	posix_spawn_file_actions_addopen(&a, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&a, ends[1], 1);
	posix_spawn_file_actions_adddup2(&a, ends[1], 2);
	code = posix_spawnp(pid, "virsh", &a, NULL, (char **)(t->agent ? agent : monitor), environ);
	posix_spawn_file_actions_destroy(&a);
	close(ends[1]);
	if (code)
		close(ends[0]);
	*out = ends[0];
	return code;
}

/* All that it writes until it ends; false if that takes too long, or does not end */
static bool read_all(int fd, char **buf, size_t *len, long deadline)
{
	char part[4096];
	ssize_t n;

	for (;;) {
		if (!tw_talk_ready(fd, POLLIN, deadline) || *len > TW_TALK_ANSWER_MAX)
			return false;
		n = read(fd, part, sizeof(part));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return !n;
		*buf = tw_grow(*buf, *len + n + 1, 1);
		memcpy(*buf + *len, part, n);
		*len += n;
		(*buf)[*len] = 0;
	}
}

/* The first line that virsh wrote, which is "error: " and a sentence */
static void take_words(struct tw_talk *t, char *text)
{
	if (!text || !*text) {
		snprintf(t->why, sizeof(t->why), "virsh failed and said nothing");
		return;
	}
	text[strcspn(text, "\n")] = 0;
	tw_printable(t->why, sizeof(t->why), strncmp(text, "error: ", 7) ? text : text + 7);
}

static json_t *take_answer(struct tw_talk *t, const char *text)
{
	json_error_t error;
	json_t *o = text ? json_loads(text, 0, &error) : NULL, *result = json_object_get(o, "return");
	const char *desc = json_string_value(json_object_get(json_object_get(o, "error"), "desc"));

	if (!json_is_object(o))
		snprintf(t->why, sizeof(t->why), "the answer is no JSON object");
	else if (!result)
		tw_printable(t->why, sizeof(t->why), desc ? desc : "the answer holds no result");
	json_incref(result);
	json_decref(o);
	return result;
}

json_t *tw_virsh_ask(struct tw_talk *t, const char *question, int timeout_ms)
{
	int out = -1, status = 0, code;
	char *text = NULL;
	json_t *o = NULL;
	size_t len = 0;
	pid_t pid;
	bool all;

	code = spawn(t, question, timeout_ms, &pid, &out);
	if (code) {
		snprintf(t->why, sizeof(t->why), "it is libvirt's, and virsh cannot be run: %s", strerror(code));
		return NULL;
	}
	all = read_all(out, &text, &len, tw_talk_now_ms() + timeout_ms + GRACE_MS);
	if (!all)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	close(out);
	if (!all)
		snprintf(t->why, sizeof(t->why), "no answer in time");
	else if (status)
		take_words(t, text);
	else
		o = take_answer(t, text);
	free(text);
	return o;
}
