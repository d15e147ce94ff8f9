// SPDX-License-Identifier: GPL-2.0
#include "age/talk.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "age/talk_priv.h"
#include "text.h"

#define SENTINEL 0xff		/* what the agent sends before the answer to guest-sync-delimited */

long tw_talk_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000L + ts.tv_nsec / 1000000;
}

static bool fails(struct tw_talk *t, const char *why)
{
	snprintf(t->why, sizeof(t->why), "%s", why);
	return false;
}

bool tw_talk_ready(int fd, short events, long deadline)
{
	struct pollfd p = { .fd = fd, .events = events };
	long left;
	int n = -1;

	errno = EINTR;
	while (n < 0 && errno == EINTR && (left = deadline - tw_talk_now_ms()) > 0)
		n = poll(&p, 1, left);
	return n > 0;
}

static bool wait_for(struct tw_talk *t, short events, long deadline)
{
	if (tw_talk_ready(t->fd, events, deadline))
		return true;
	t->stale = true;
	return fails(t, "no answer in time");
}

static bool send_all(struct tw_talk *t, const char *text, size_t len, long deadline)
{
	while (len) {
		ssize_t n;

		if (!wait_for(t, POLLOUT, deadline))
			return false;
		n = send(t->fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return fails(t, strerror(errno));
		text += n > 0 ? n : 0;
		len -= n > 0 ? n : 0;
	}
	return true;
}

static bool receive(struct tw_talk *t, long deadline)
{
	char part[4096];
	ssize_t n;

	if (!wait_for(t, POLLIN, deadline))
		return false;
	n = recv(t->fd, part, sizeof(part), MSG_DONTWAIT);
	if (!n)
		return fails(t, "the other end has closed it");
	if (n < 0)
		return errno == EAGAIN || errno == EINTR || fails(t, strerror(errno));
	if (t->len + n > TW_TALK_ANSWER_MAX) {
		t->len = 0;
		t->stale = true;
		return fails(t, "the answer does not end");
	}
	t->buf = tw_grow(t->buf, t->len + n, 1);
	memcpy(t->buf + t->len, part, n);
	t->len += n;
	return true;
}

/* The next line as an object; NULL when it is late, or no object */
static json_t *next_line(struct tw_talk *t, long deadline)
{
	json_error_t error;
	char *end;
	json_t *o;

	while (!(end = t->len ? memchr(t->buf, '\n', t->len) : NULL))
		if (!receive(t, deadline))
			return NULL;
	o = json_loadb(t->buf, end - t->buf, 0, &error);
	t->len -= end + 1 - t->buf;
	memmove(t->buf, end + 1, t->len);
	if (!json_is_object(o)) {
		json_decref(o);
		fails(t, "the answer is no JSON object");
		t->stale = true;
		return NULL;
	}
	return o;
}

/* Throws away all up to the byte that no JSON has, and the answer behind it if it is not ours */
static bool synchronize(struct tw_talk *t, long deadline)
{
	long id = (tw_talk_now_ms() ^ (long)getpid() << 20) & 0x3fffffff;
	char *ask = tw_asprintf("%c{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":%ld}}\n",
				SENTINEL, id), *at;
	bool ours = false, sent = send_all(t, ask, strlen(ask), deadline);
	json_t *o;

	free(ask);
	while (sent && !ours) {
		while (!(at = t->len ? memchr(t->buf, SENTINEL, t->len) : NULL)) {
			t->len = 0;
			if (!receive(t, deadline))
				return false;
		}
		t->len -= at + 1 - t->buf;
		memmove(t->buf, at + 1, t->len);
		o = next_line(t, deadline);
		if (!o && tw_talk_now_ms() >= deadline)
			return false;
		ours = o && json_integer_value(json_object_get(o, "return")) == id;
		json_decref(o);
	}
	t->stale = !ours;
	return ours;
}

/* QMP's way to begin; @none is what it means if there is no greeting, NULL for what went wrong */
static bool greet(struct tw_talk *t, long deadline, const char *none)
{
	json_t *o = next_line(t, deadline);

	if (!o)
		return none ? fails(t, none) : false;
	json_decref(o);
	o = tw_talk_ask(t, "qmp_capabilities", NULL, deadline - tw_talk_now_ms());
	json_decref(o);
	return o;
}

bool tw_talk_open(struct tw_talk *t, const char *path, bool agent, int timeout_ms)
{
	long deadline = tw_talk_now_ms() + timeout_ms;
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	*t = (struct tw_talk){ .fd = -1, .agent = agent };
	if (strlen(path) >= sizeof(a.sun_path))
		return fails(t, "the path of its socket is too long");
	strcpy(a.sun_path, path);
	t->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (t->fd < 0 || connect(t->fd, (struct sockaddr *)&a, sizeof(a)))
		return fails(t, errno == EAGAIN ? "somebody else is connected to it" : strerror(errno));
	if (agent)
		return synchronize(t, deadline);
	return greet(t, deadline, "no greeting: somebody else may be connected to it");
}

bool tw_talk_open_domain(struct tw_talk *t, const char *domain, bool agent, int timeout_ms)
{
	json_t *o;

	*t = (struct tw_talk){ .fd = -1, .agent = agent, .domain = tw_strdup(domain) };
	o = tw_talk_ask(t, agent ? "guest-ping" : "query-status", NULL, timeout_ms);
	json_decref(o);
	return o;
}

bool tw_talk_adopt(struct tw_talk *t, int fd, int timeout_ms)
{
	*t = (struct tw_talk){ .fd = fd };
	return greet(t, tw_talk_now_ms() + timeout_ms, NULL);
}

bool tw_talk_drain(struct tw_talk *t)
{
	char *end;

	if (t->fd < 0)
		return false;
	/* late is not gone */
	t->stale = false;
	if (!receive(t, tw_talk_now_ms() + 1))
		return t->stale;
	end = t->len ? memrchr(t->buf, '\n', t->len) : NULL;
	if (end) {
		t->len -= end + 1 - t->buf;
		memmove(t->buf, end + 1, t->len);
	}
	return true;
}

void tw_talk_close(struct tw_talk *t)
{
	if (t->fd >= 0)
		close(t->fd);
	free(t->buf);
	free(t->domain);
	t->fd = -1;
	t->domain = NULL;
	t->buf = NULL;
	t->len = 0;
}

/* To be freed; NULL with t->why filled */
static char *question_of(struct tw_talk *t, const char *command, json_t *arguments)
{
	json_t *o = json_pack("{s:s}", "execute", command);
	char *text;

	/* libvirt has numbers of its own */
	if (!t->domain)
		json_object_set_new(o, "id", json_integer(++t->asked));
	if (arguments)
		json_object_set_new(o, "arguments", arguments);
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	if (!text)
		fails(t, "the question is no UTF-8");
	return text;
}

static json_t *ask_domain(struct tw_talk *t, const char *command, json_t *arguments, int timeout_ms)
{
	char *text = question_of(t, command, arguments);
	json_t *o = text ? tw_virsh_ask(t, text, timeout_ms) : NULL;

	free(text);
	return o;
}

static bool send_command(struct tw_talk *t, const char *command, json_t *arguments, long deadline)
{
	char *text = question_of(t, command, arguments);
	size_t len;
	bool sent;

	if (!text)
		return false;
	len = strlen(text);
	text[len] = '\n';	/* instead of the end: send_all() counts */
	sent = send_all(t, text, len + 1, deadline);
	free(text);
	return sent;
}

json_t *tw_talk_ask(struct tw_talk *t, const char *command, json_t *arguments, int timeout_ms)
{
	long deadline = tw_talk_now_ms() + timeout_ms;
	json_t *o, *result;

	*t->why = 0;
	if (t->domain)
		return ask_domain(t, command, arguments, timeout_ms);
	if (t->fd < 0 || (t->agent && t->stale && !synchronize(t, deadline))) {
		json_decref(arguments);
		return NULL;
	}
	if (!send_command(t, command, arguments, deadline))
		return NULL;
	/* events, and answers to what was asked long ago, are passed over */
	while ((o = next_line(t, deadline))) {
		json_t *id = json_object_get(o, "id");

		if (!json_object_get(o, "event") && (!id || json_integer_value(id) == t->asked))
			break;
		json_decref(o);
	}
	if (!o)
		return NULL;
	result = json_object_get(o, "return");
	if (!result) {
		const char *desc = json_string_value(json_object_get(json_object_get(o, "error"), "desc"));

		fails(t, desc ? desc : "the answer holds no result");
	}
	json_incref(result);
	json_decref(o);
	return result;
}

static int sextet(int c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? at - digits : -1;
}

/* Base64, as far as it is such; NUL bytes become blanks */
static char *decode(const char *text)
{
	char *out = tw_grow(NULL, strlen(text) + 1, 1);
	unsigned int bits = 0, n = 0;
	size_t len = 0;

	for (; *text && sextet(*text) >= 0; text++) {
		bits = bits << 6 | sextet(*text);
		n += 6;
		if (n >= 8) {
			n -= 8;
			out[len] = bits >> n & 0xff;
			if (!out[len])
				out[len] = ' ';
			len++;
		}
	}
	out[len] = 0;
	return out;
}

static char *encode(const char *text)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t len = strlen(text), i, k;
	char *out = tw_grow(NULL, (len + 2) / 3 * 4 + 1, 1), *to = out;

	for (i = 0; i < len; i += 3) {
		unsigned int bits = 0, n = len - i < 3 ? len - i : 3;

		for (k = 0; k < 3; k++)
			bits = bits << 8 | (k < n ? (unsigned char)text[i + k] : 0);
		for (k = 0; k < 4; k++)
			*to++ = k <= n ? digits[bits >> (18 - 6 * k) & 63] : '=';
	}
	*to = 0;
	return out;
}

char *tw_talk_exec(struct tw_talk *t, const char *script, const char *argument, int timeout_ms)
{
	long deadline = tw_talk_now_ms() + timeout_ms;
	char *input = encode(script), *out = NULL;
	/* The agent logs its arguments: with the script among them, to look at a guest would fill its disk */
	json_t *o = tw_talk_ask(t, "guest-exec", json_pack("{s:s, s:[s,s,s], s:s, s:b}", "path", "/bin/sh", "arg", "-s",
							   "--", argument, "input-data", input, "capture-output", 1),
				timeout_ms), *pid;

	free(input);
	if (!o)
		return NULL;
	pid = json_incref(json_object_get(o, "pid"));
	json_decref(o);
	while (pid && !out && (o = tw_talk_ask(t, "guest-exec-status", json_pack("{s:O}", "pid", pid),
					       timeout_ms))) {
		const char *data = json_string_value(json_object_get(o, "out-data"));

		if (json_is_true(json_object_get(o, "exited")))
			out = decode(data ? data : "");
		json_decref(o);
		if (!out && tw_talk_now_ms() >= deadline) {
			fails(t, "what was run in the guest does not end");
			break;
		}
		if (!out)
			poll(NULL, 0, 20);
	}
	if (!pid)
		fails(t, "the agent named no process");
	json_decref(pid);
	return out;
}
