// SPDX-License-Identifier: GPL-2.0
/*
 * agent - runs commands for the other side of a virtio-serial port.
 *
 * It lives in the guest (and in the test host), one process for each port whose name
 * begins with "tw.". It never uses a time-out: the guest's clocks are what is under
 * test, and they may run ten thousand times too fast or too slow.
 *
 * The process itself stays to reap orphans: it may be the guest's init.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include "proto.h"

struct session {
	int port;
	unsigned int id;
	pid_t child;		/* 0: idle */
	int in, out, err;	/* our ends of its pipes; -1: closed */
	int status;
	int exited;
	int tty;		/* in and out are a terminal */
	char *inbuf;		/* stdin that the command has not taken yet */
	size_t inlen;
	int ineof;
};

static sigset_t wait_mask;	/* signals let in only while waiting */

static void on_signal(int sig)
{
	(void)sig;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void end_session(struct session *s)
{
	if (s->child && !s->exited) {
		/* Itself too: it may not have made its group yet. */
		kill(s->child, SIGKILL);
		kill(-s->child, SIGKILL);
		waitpid(s->child, NULL, 0);
	}
	close_fd(&s->in);
	close_fd(&s->out);
	close_fd(&s->err);
	free(s->inbuf);
	s->inbuf = NULL;
	s->inlen = 0;
	s->ineof = 0;
	s->child = 0;
	s->exited = 0;
}

/*
 * Whether somebody is connected comes through another queue than the data, in no order with
 * it: a new client's request may be here before the old one's hang-up. So a hang-up is
 * only a reason to wait, never to drop or kill anything; the next request ends the session before.
 */
static int hung_up(struct session *s)
{
	struct pollfd pfd = { .fd = s->port };

	return poll(&pfd, 1, 0) > 0 && (pfd.revents & POLLHUP);
}

/* 0, or -1 when the port is broken. */
static int port_write(struct session *s, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(s->port, p, len);

		if (n > 0) {
			p += n;
			len -= n;
			continue;
		}
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -1;
		struct pollfd pfd = { .fd = s->port, .events = POLLOUT };

		/* POLLHUP would be there at once, for ever; SIGIO comes when somebody does. */
		ppoll(&pfd, hung_up(s) ? 0 : 1, NULL, &wait_mask);
	}
	return 0;
}

static int send_frame(struct session *s, int type, const void *data, size_t len)
{
	static char buf[sizeof(struct tw_hdr) + TW_CHUNK];
	struct tw_hdr h = { .magic = TW_MAGIC, .type = type, .id = s->id, .len = len };

	/* One write, one trip through the host. */
	memcpy(buf, &h, sizeof(h));
	memcpy(buf + sizeof(h), data, len);
	return port_write(s, buf, sizeof(h) + len);
}

/* Bytes read; 0 or -1: nothing now. */
static ssize_t port_read(struct session *s, void *buf, size_t len)
{
	ssize_t n;

	do
		n = read(s->port, buf, len);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN)
		return 0;
	return n;
}

/* What a request asks for: pointers into it */
struct request {
	int tty;
	struct tw_size size;
	char *cwd, **env, **argv;
	int nenv;
};

/* The next of the strings up to end, or NULL */
static char *next_string(char **p, const char *end)
{
	char *s = *p;

	if (s >= end)
		return NULL;
	*p += strlen(s) + 1;
	return s;
}

static int parse(struct request *r, char *p, size_t len)
{
	char *end = p + len, *tty, *nenv;
	int i;

	if (!len || end[-1])
		return -1;
	tty = next_string(&p, end);
	r->cwd = next_string(&p, end);
	nenv = next_string(&p, end);
	if (!nenv)
		return -1;
	r->tty = sscanf(tty, "%hu %hu", &r->size.rows, &r->size.columns) == 2;
	r->nenv = atoi(nenv);
	if (r->nenv < 0 || (size_t)r->nenv > len)
		return -1;
	r->env = calloc(r->nenv + 1, sizeof(*r->env));
	r->argv = calloc(len + 1, sizeof(*r->argv));
	if (!r->env || !r->argv)
		return -1;
	for (i = 0; i < r->nenv; i++)
		r->env[i] = next_string(&p, end);
	for (i = 0; p < end; i++)
		r->argv[i] = next_string(&p, end);
	return i ? 0 : -1;
}

static void set_size(int fd, const struct tw_size *size)
{
	struct winsize w = { .ws_row = size->rows, .ws_col = size->columns };

	ioctl(fd, TIOCSWINSZ, &w);
}

/* A terminal's two ends, the command's first */
static int make_terminal(int fd[2], const struct tw_size *size)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
	char *name;

	if (master < 0)
		return -1;
	name = grantpt(master) || unlockpt(master) ? NULL : ptsname(master);
	slave = name ? open(name, O_RDWR | O_NOCTTY | O_CLOEXEC) : -1;
	if (slave < 0) {
		close(master);
		return -1;
	}
	set_size(master, size);
	fd[0] = slave;
	fd[1] = master;
	return 0;
}

/* In the child: its end of everything, and the command */
static void become(const struct request *r, int in, int out, int err)
{
	sigset_t none;
	int i;

	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (i = 1; i < 32; i++)
		signal(i, SIG_DFL);
	if (r->tty)
		ioctl(in, TIOCSCTTY, 0);
	dup2(in, 0);
	dup2(out, 1);
	dup2(err, 2);
	for (i = 0; i < r->nenv; i++)
		putenv(r->env[i]);
	if (chdir(r->cwd)) {
		dprintf(2, "cannot enter %s: %s\n", r->cwd, strerror(errno));
		_exit(126);
	}
	execvp(r->argv[0], r->argv);
	dprintf(2, "%s: %s\n", r->argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static void start(struct session *s, const struct request *r)
{
	int in[2], out[2], err[2];

	if (r->tty) {
		if (make_terminal(in, &r->size))
			return;
		out[0] = fcntl(in[1], F_DUPFD_CLOEXEC, 3);
		err[0] = -1;
		out[1] = err[1] = in[0];
	} else if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) {
		return;
	}
	s->child = fork();
	if (!s->child)
		become(r, in[0], out[1], err[1]);
	close(in[0]);
	if (!r->tty) {
		close(out[1]);
		close(err[1]);
	}
	s->in = in[1];
	s->out = out[0];
	s->err = err[0];
	s->tty = r->tty;
	fcntl(s->in, F_SETFL, O_NONBLOCK);
	fcntl(s->out, F_SETFL, O_NONBLOCK);
	if (s->err >= 0)
		fcntl(s->err, F_SETFL, O_NONBLOCK);
	if (s->child < 0) {
		s->child = 0;
		end_session(s);
	}
}

static void run(struct session *s, char *req, size_t len)
{
	struct request r = { 0 };

	if (!parse(&r, req, len))
		start(s, &r);
	free(r.env);
	free(r.argv);
}

static void feed_stdin(struct session *s)
{
	while (s->in >= 0 && s->inlen) {
		ssize_t n = write(s->in, s->inbuf, s->inlen);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			close_fd(&s->in);
			s->inlen = 0;
			return;
		}
		memmove(s->inbuf, s->inbuf + n, s->inlen - n);
		s->inlen -= n;
	}
	/* A terminal has no end of file but this character. */
	if (s->ineof && s->tty && s->in >= 0 && write(s->in, "\4", 1) < 0 && errno == EAGAIN)
		return;
	if (s->ineof)
		close_fd(&s->in);
}

static void handle(struct session *s, struct tw_hdr *h, char *data)
{
	unsigned int sig;

	if (h->type == TW_REQ) {
		unsigned int fail = 126;

		end_session(s);
		s->id = h->id;
		run(s, data, h->len);
		if (!s->child)
			send_frame(s, TW_EXIT, &fail, sizeof(fail));
		return;
	}
	if (!s->child || h->id != s->id)
		return;
	if (h->type == TW_STDIN && !h->len) {
		s->ineof = 1;
		feed_stdin(s);
	} else if (h->type == TW_SIZE && s->tty && h->len == sizeof(struct tw_size)) {
		set_size(s->out, (struct tw_size *)data);
	} else if (h->type == TW_STDIN && s->in >= 0) {
		char *n = realloc(s->inbuf, s->inlen + h->len);

		if (!n)
			return;
		memcpy(n + s->inlen, data, h->len);
		s->inbuf = n;
		s->inlen += h->len;
		feed_stdin(s);
	} else if (h->type == TW_SIGNAL && h->len == sizeof(sig)) {
		memcpy(&sig, data, sizeof(sig));
		/* Once; itself while it has not made its group yet. */
		if (kill(-s->child, sig))
			kill(s->child, sig);
	}
}

/* Moves what is there; 0 when there is no more for now, -1 when the other side has gone. */
static int drain(struct session *s, int *fd, int type)
{
	static char buf[TW_CHUNK];
	int turns;

	/* Not without end: a new request must get its turn. */
	for (turns = 0; *fd >= 0 && turns < 16; turns++) {
		ssize_t n = read(*fd, buf, sizeof(buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n <= 0) {
			close_fd(fd);
			return 0;
		}
		if (send_frame(s, type, buf, n))
			return -1;
	}
	return 0;
}

static void serve(int port)
{
	struct session s = { .port = port, .in = -1, .out = -1, .err = -1 };
	static char buf[sizeof(struct tw_hdr) + TW_REQ_MAX];
	size_t have = 0;

	for (;;) {
		struct pollfd p[4];
		ssize_t n;

		/* A command that does not read must not make us buffer without end. */
		n = s.inlen > 4 * TW_CHUNK ? -1 : port_read(&s, buf + have, sizeof(buf) - have);
		if (n > 0) {
			struct tw_hdr *h = (void *)buf;

			have += n;
			while (have >= sizeof(*h)) {
				if (h->magic != TW_MAGIC || h->len > TW_REQ_MAX) {
					have = 0;	/* the tail of a session cut off: wait for the next */
					break;
				}
				if (have < sizeof(*h) + h->len)
					break;
				handle(&s, h, buf + sizeof(*h));
				n = sizeof(*h) + h->len;
				memmove(buf, buf + n, have - n);
				have -= n;
			}
			continue;
		}

		if (s.child) {
			/* Ask first, drain then: what it wrote before it died is in the pipe by now. */
			if (!s.exited && waitpid(s.child, &s.status, WNOHANG) == s.child)
				s.exited = 1;
			if (drain(&s, &s.out, TW_STDOUT) || drain(&s, &s.err, TW_STDERR)) {
				end_session(&s);
				continue;
			}
			if (s.exited) {
				unsigned int st = WIFEXITED(s.status) ? WEXITSTATUS(s.status) : 128 + WTERMSIG(s.status);

				/* Not the pipes' end: something left in the background may hold them. */
				send_frame(&s, TW_EXIT, &st, sizeof(st));
				end_session(&s);
				continue;
			}
			feed_stdin(&s);
		}

		p[0] = (struct pollfd){ .fd = port, .events = s.inlen > 4 * TW_CHUNK ? 0 : POLLIN };
		p[1] = (struct pollfd){ .fd = s.out, .events = POLLIN };
		p[2] = (struct pollfd){ .fd = s.err, .events = POLLIN };
		p[3] = (struct pollfd){ .fd = s.inlen ? s.in : -1, .events = POLLOUT };
		if (hung_up(&s))
			p[0].fd = -1;
		ppoll(p, 4, NULL, &wait_mask);
	}
}

static int open_port(const char *dev)
{
	char path[300], text[32] = "";
	unsigned int maj, min;
	int fd;

	snprintf(path, sizeof(path), "/dev/%s", dev);
	fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		char sys[300];
		int d;

		snprintf(sys, sizeof(sys), "/sys/class/virtio-ports/%s/dev", dev);
		d = open(sys, O_RDONLY);
		if (d < 0)
			return -1;
		if (read(d, text, sizeof(text) - 1) > 0 && sscanf(text, "%u:%u", &maj, &min) == 2)
			mknod(path, S_IFCHR | 0600, makedev(maj, min));
		close(d);
		fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	}
	return fd;
}

static int start_all(void)
{
	DIR *d = opendir("/sys/class/virtio-ports");
	struct dirent *e;
	int count = 0;

	while (d && (e = readdir(d))) {
		char path[300], name[32] = "";
		int fd, port, pid;

		snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", e->d_name);
		fd = open(path, O_RDONLY);
		if (fd < 0)
			continue;
		if (read(fd, name, sizeof(name) - 1) < 0)
			name[0] = 0;
		close(fd);
		if (strncmp(name, "tw.", 3))
			continue;
		port = open_port(e->d_name);
		if (port < 0) {
			fprintf(stderr, "agent: %s: %s\n", e->d_name, strerror(errno));
			continue;
		}
		pid = fork();
		if (pid) {
			/* nobody serves the port of one that was not started */
			count += pid > 0;
			close(port);
			continue;
		}
		fcntl(port, F_SETOWN, getpid());
		fcntl(port, F_SETFL, O_RDWR | O_NONBLOCK | O_ASYNC);
		serve(port);
	}
	if (d)
		closedir(d);
	return count;
}

int main(void)
{
	struct sigaction sa = { .sa_handler = on_signal };
	sigset_t block;

	sigaction(SIGIO, &sa, NULL);
	sigaction(SIGCHLD, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* Blocked but while waiting: no signal falls between the look and the wait. */
	sigemptyset(&block);
	sigaddset(&block, SIGIO);
	sigaddset(&block, SIGCHLD);
	sigprocmask(SIG_BLOCK, &block, &wait_mask);
	sigdelset(&wait_mask, SIGIO);
	sigdelset(&wait_mask, SIGCHLD);

	if (!start_all()) {
		fprintf(stderr, "agent: no virtio-serial port named tw.*\n");
		return 1;
	}
	/* As process 1, reap what nobody else does. */
	for (;;) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		ppoll(NULL, 0, NULL, &wait_mask);
	}
}
