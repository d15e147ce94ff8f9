// SPDX-License-Identifier: GPL-2.0
/*
 * twexec - run a command behind a virtio-serial port, through the agent there.
 *
 *   twexec [-i | -t] [-f] [-T SECONDS] [-C DIR] [-e NAME=VALUE]... SOCKET -- COMMAND [ARG...]
 *
 * -i passes standard input. -t gives the command a terminal in place of this one, which must be 0 and 1: with its
 * size, and raw, so that all that is typed, Ctrl-C too, is for the command. Signals end twexec and kill the command;
 * with -f, SIGINT, SIGTERM and SIGHUP are passed on to it instead, and those of the terminal do not come here: it is
 * of no terminal any more, or that is raw. -T: after so long, by this machine's clock, it ends with 124.
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
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>
#include "proto.h"

#define GONE 125
#define TIMED_OUT 124

static volatile sig_atomic_t got_signal, resized;
static struct termios terminal;	/* as it was */
static int is_raw;

static void restore_terminal(void)
{
	if (is_raw)
		tcsetattr(0, TCSADRAIN, &terminal);
	is_raw = 0;
}

static void on_signal(int sig)
{
	if (sig == SIGWINCH) {
		resized = 1;
		return;
	}
	if (sig == SIGALRM) {
		/* Again: the other side does not even take that it is over. */
		if (got_signal == SIGALRM) {
			restore_terminal();
			_exit(TIMED_OUT);
		}
		alarm(5);
	}
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

struct options {
	int use_stdin, tty, forward, limit_s;
	const char *cwd, *env[256];
	int nenv;
};

static int usage(void)
{
	fprintf(stderr, "usage: twexec [-i | -t] [-f] [-T SECONDS] [-C DIR] [-e NAME=VALUE]... SOCKET [--] COMMAND [ARG...]\n");
	return 2;
}

static int parse(struct options *o, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "+itfT:C:e:")) != -1) {
		if (c == 'i')
			o->use_stdin = 1;
		else if (c == 't')
			o->use_stdin = o->tty = 1;
		else if (c == 'f')
			o->forward = 1;
		else if (c == 'T')
			o->limit_s = atoi(optarg);
		else if (c == 'C')
			o->cwd = optarg;
		else if (c == 'e' && o->nenv < 256)
			o->env[o->nenv++] = optarg;
		else
			return -1;
	}
	return argc - optind < 2 || (argc - optind == 2 && !strcmp(argv[optind + 1], "--")) ? -1 : 0;
}

static char req[TW_REQ_MAX];
static size_t req_len;

static void add(const char *text)
{
	size_t l = strlen(text) + 1;

	if (req_len + l > sizeof(req)) {
		fprintf(stderr, "twexec: the command is longer than %d bytes\n", TW_REQ_MAX);
		exit(126);
	}
	memcpy(req + req_len, text, l);
	req_len += l;
}

static struct tw_size terminal_size(void)
{
	struct winsize w = { 0 };

	/* Of one that knows none, what terminals had */
	if (ioctl(0, TIOCGWINSZ, &w) || !w.ws_row || !w.ws_col)
		return (struct tw_size){ .rows = 24, .columns = 80 };
	return (struct tw_size){ .rows = w.ws_row, .columns = w.ws_col };
}

/* The request: see TW_REQ. */
static void compose(const struct options *o, char **argv)
{
	struct tw_size size = terminal_size();
	char text[32] = "";
	int i;

	if (o->tty)
		snprintf(text, sizeof(text), "%hu %hu", size.rows, size.columns);
	add(text);
	add(o->cwd);
	snprintf(text, sizeof(text), "%d", o->nenv);
	add(text);
	for (i = 0; i < o->nenv; i++)
		add(o->env[i]);
	if (!strcmp(*argv, "--"))
		argv++;
	for (; *argv; argv++)
		add(*argv);
}

static void make_raw(void)
{
	struct termios raw;

	if (tcgetattr(0, &terminal)) {
		fprintf(stderr, "twexec: standard input is no terminal\n");
		exit(2);
	}
	raw = terminal;
	cfmakeraw(&raw);
	atexit(restore_terminal);
	is_raw = !tcsetattr(0, TCSADRAIN, &raw);
}

static void watch_signals(const struct options *o)
{
	struct sigaction sa = { .sa_handler = on_signal };

	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGALRM, &sa, NULL);
	if (o->tty)
		sigaction(SIGWINCH, &sa, NULL);
	if (o->tty || o->forward)
		sigaction(SIGHUP, &sa, NULL);
	/* Whoever runs us passes signals on; the terminal's would come twice. */
	if (o->forward && !o->tty)
		setsid();
	if (o->limit_s > 0)
		alarm(o->limit_s);
}

/* A signal has come: to be passed on, or the end */
static void heed_signal(const struct options *o, int sock, unsigned int id)
{
	unsigned int sig = got_signal;

	if (o->forward && sig != SIGALRM) {
		got_signal = 0;
		send_frame(sock, id, TW_SIGNAL, &sig, sizeof(sig));
		return;
	}
	sig = SIGKILL;
	send_frame(sock, id, TW_SIGNAL, &sig, sizeof(sig));
	close(sock);
	restore_terminal();
	if (got_signal == SIGALRM)
		exit(TIMED_OUT);
	signal(got_signal, SIG_DFL);
	raise(got_signal);
}

/* 0 at its end, 1 if there is more to come, -1 when the other side has gone */
static int pass_stdin(int sock, unsigned int id)
{
	static char in[TW_CHUNK];
	ssize_t r = read(0, in, sizeof(in));

	if (r < 0 && (errno == EINTR || errno == EAGAIN))
		return 1;
	if (r <= 0)
		return send_frame(sock, id, TW_STDIN, NULL, 0) ? -1 : 0;
	return send_frame(sock, id, TW_STDIN, in, r) ? -1 : 1;
}

static char buf[sizeof(struct tw_hdr) + TW_REQ_MAX];
static size_t have;

/* What the other side says, as far as it is here; the status to end with, or -1 */
static int take_frames(unsigned int id)
{
	struct tw_hdr *h = (void *)buf;

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
	return -1;
}

static int attend(struct options *o, int sock, unsigned int id)
{
	sigset_t all, before;

	sigfillset(&all);
	for (;;) {
		struct pollfd p[2] = {
			{ .fd = sock, .events = POLLIN },
			{ .fd = o->use_stdin ? 0 : -1, .events = POLLIN },
		};
		ssize_t r;
		int st;

		/* None falls between the look and the wait. */
		sigprocmask(SIG_BLOCK, &all, &before);
		st = got_signal || resized ? 0 : ppoll(p, 2, NULL, &before);
		sigprocmask(SIG_SETMASK, &before, NULL);
		if (got_signal)
			heed_signal(o, sock, id);
		if (resized) {
			struct tw_size size = terminal_size();

			resized = 0;
			send_frame(sock, id, TW_SIZE, &size, sizeof(size));
		}
		if (st <= 0)
			continue;
		if (p[1].revents) {
			st = pass_stdin(sock, id);
			if (st < 0)
				return GONE;
			o->use_stdin = st;
		}
		if (!p[0].revents)
			continue;
		r = read(sock, buf + have, sizeof(buf) - have);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return GONE;
		have += r;
		st = take_frames(id);
		if (st >= 0)
			return st;
	}
}

int main(int argc, char **argv)
{
	struct options o = { .cwd = "/" };
	unsigned int id;
	int sock;

	if (parse(&o, argc, argv))
		return usage();
	compose(&o, argv + optind + 1);
	if (getrandom(&id, sizeof(id), 0) != sizeof(id))
		id = getpid();
	watch_signals(&o);
	sock = open_channel(argv[optind]);
	if (sock < 0) {
		fprintf(stderr, "twexec: nobody listens at %s.0\n", argv[optind]);
		return GONE;
	}
	if (o.tty)
		make_raw();
	if (send_frame(sock, id, TW_REQ, req, req_len))
		return GONE;
	if (!o.use_stdin)
		send_frame(sock, id, TW_STDIN, NULL, 0);
	return attend(&o, sock, id);
}
