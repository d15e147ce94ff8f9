// SPDX-License-Identifier: GPL-2.0
/*
 * twexec - run a command behind a virtio-serial port, through the agent there.
 *
 *   twexec [-i] [-C DIR] [-e NAME=VALUE]... SOCKET -- COMMAND [ARG...]
 *
 * SOCKET is the stem of the chardev sockets SOCKET.0, SOCKET.1...; the first free one
 * is taken (a lock file beside it says which are), so that several commands can run in
 * one guest. Exits with the command's status; 125 when the machine behind it has gone.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "proto.h"

#define GONE 125

static volatile sig_atomic_t got_signal;

static void on_signal(int sig)
{
	got_signal = sig;
}

static int write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			struct pollfd pfd = { .fd = fd, .events = POLLOUT };

			poll(&pfd, 1, -1);
			continue;
		}
		if (n <= 0)
			return -1;
		p += n;
		len -= n;
	}
	return 0;
}

static int send_frame(int sock, unsigned int id, int type, const void *data, size_t len)
{
	struct tw_hdr h = { .magic = TW_MAGIC, .type = type, .id = id, .len = len };

	return write_all(sock, &h, sizeof(h)) || write_all(sock, data, len);
}

static int connect_to(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(sa.sun_path)) {
		fprintf(stderr, "twexec: path too long for a socket: %s\n", path);
		exit(GONE);
	}
	strcpy(sa.sun_path, path);
	if (fd >= 0 && connect(fd, (void *)&sa, sizeof(sa))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* The first channel that nobody uses; all in use: wait for the first. */
static int open_channel(const char *stem)
{
	char path[300];
	int i, fd, lock = -1;

	for (i = 0; ; i++) {
		snprintf(path, sizeof(path), "%s.%d", stem, i);
		if (access(path, F_OK))
			break;
		snprintf(path, sizeof(path), "%s.%d.lock", stem, i);
		lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (lock < 0 || !flock(lock, LOCK_EX | LOCK_NB))
			goto found;
		close(lock);
	}
	if (!i)
		return -1;
	i = 0;
	snprintf(path, sizeof(path), "%s.0.lock", stem);
	lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (lock >= 0)
		while (flock(lock, LOCK_EX) && errno == EINTR)
			;
found:
	snprintf(path, sizeof(path), "%s.%d", stem, i);
	fd = connect_to(path);
	return fd;
}

int main(int argc, char **argv)
{
	static char req[TW_REQ_MAX], buf[sizeof(struct tw_hdr) + TW_REQ_MAX];
	const char *cwd = "/", *env[256];
	int nenv = 0, use_stdin = 0, c, sock, i, n;
	size_t len = 0, have = 0;
	unsigned int id;

	while ((c = getopt(argc, argv, "+iC:e:")) != -1) {
		if (c == 'i')
			use_stdin = 1;
		else if (c == 'C')
			cwd = optarg;
		else if (c == 'e' && nenv < 256)
			env[nenv++] = optarg;
		else
			return 2;
	}
	if (argc - optind < 2 || (argc - optind == 2 && !strcmp(argv[optind + 1], "--"))) {
		fprintf(stderr, "usage: twexec [-i] [-C DIR] [-e NAME=VALUE]... SOCKET [--] COMMAND [ARG...]\n");
		return 2;
	}

	/* The request: see TW_REQ. */
#define ADD(str) do { \
		size_t l_ = strlen(str) + 1; \
		if (len + l_ > sizeof(req)) { \
			fprintf(stderr, "twexec: the command is longer than %d bytes\n", TW_REQ_MAX); \
			return 126; \
		} \
		memcpy(req + len, str, l_); \
		len += l_; \
	} while (0)
	ADD(cwd);
	snprintf(buf, 32, "%d", nenv);
	ADD(buf);
	for (i = 0; i < nenv; i++)
		ADD(env[i]);
	i = optind + 1;
	if (!strcmp(argv[i], "--"))
		i++;
	for (; i < argc; i++)
		ADD(argv[i]);

	if (getrandom(&id, sizeof(id), 0) != sizeof(id))
		id = getpid();
	signal(SIGPIPE, SIG_IGN);
	sock = open_channel(argv[optind]);
	if (sock < 0) {
		fprintf(stderr, "twexec: nobody listens at %s.0\n", argv[optind]);
		return GONE;
	}
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	if (send_frame(sock, id, TW_REQ, req, len))
		return GONE;
	if (!use_stdin)
		send_frame(sock, id, TW_STDIN, NULL, 0);

	for (;;) {
		struct pollfd p[2] = {
			{ .fd = sock, .events = POLLIN },
			{ .fd = use_stdin ? 0 : -1, .events = POLLIN },
		};
		struct tw_hdr *h = (void *)buf;
		ssize_t r;

		if (got_signal) {
			unsigned int kill9 = SIGKILL;

			send_frame(sock, id, TW_SIGNAL, &kill9, sizeof(kill9));
			close(sock);
			signal(got_signal, SIG_DFL);
			raise(got_signal);
		}
		n = poll(p, 2, -1);
		if (n < 0)
			continue;
		if (p[1].revents) {
			static char in[TW_CHUNK];

			r = read(0, in, sizeof(in));
			if (r < 0 && (errno == EINTR || errno == EAGAIN))
				r = 0;
			else if (r <= 0)
				use_stdin = r = 0, send_frame(sock, id, TW_STDIN, NULL, 0);
			if (r > 0 && send_frame(sock, id, TW_STDIN, in, r))
				return GONE;
		}
		if (!p[0].revents)
			continue;
		r = read(sock, buf + have, sizeof(buf) - have);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return GONE;
		have += r;
		while (have >= sizeof(*h) && have >= sizeof(*h) + h->len) {
			char *data = buf + sizeof(*h);
			size_t all = sizeof(*h) + h->len;

			if (h->magic != TW_MAGIC) {
				fprintf(stderr, "twexec: the other side speaks no agent's language\n");
				return GONE;
			}
			if (h->id == id) {
				unsigned int st;

				if (h->type == TW_STDOUT && write_all(1, data, h->len))
					return 1;	/* our reader has gone, as in any pipe */
				if (h->type == TW_STDERR)
					write_all(2, data, h->len);
				if (h->type == TW_EXIT) {
					memcpy(&st, data, sizeof(st));
					return st & 0xff;
				}
			}
			memmove(buf, buf + all, have - all);
			have -= all;
		}
	}
}
