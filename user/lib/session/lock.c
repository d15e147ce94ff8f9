// SPDX-License-Identifier: GPL-2.0
#include "session/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proc.h"
#include "text.h"

/* So long a killed process may take to end */
#define ENDS_MS 1000

const char *tw_run_dir = TW_RUN_DIR;

char *tw_run_path(const char *id, const char *what)
{
	return tw_asprintf("%s/%s.%s", tw_run_dir, id, what);
}

/* Whoever else could write there could have us wait, or end a process of his choice */
static int check_dir(void)
{
	struct stat st;

	if (mkdir(tw_run_dir, 0700) && errno != EEXIST)
		return -errno;
	if (lstat(tw_run_dir, &st))
		return -errno;
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || st.st_mode & 022)
		return -EPERM;
	return 0;
}

int tw_run_open(const char *path)
{
	int err = check_dir(), fd;

	if (err)
		return err;
	fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

bool tw_run_read(int fd, struct tw_holder *h)
{
	char text[160];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	memset(h, 0, sizeof(*h));
	text[n > 0 ? n : 0] = 0;
	if (sscanf(text, "%d %llu %111[^\n]", &h->pid, &h->start, h->verb) == 3 && h->pid > 0)
		return true;
	h->pid = 0;
	return false;
}

bool tw_run_write(int fd, const char *text)
{
	struct tw_proc self;
	char line[160];
	int n;

	if (!tw_proc_read(getpid(), &self))
		return false;
	n = snprintf(line, sizeof(line), "%d %llu %.111s\n", getpid(), self.start, text);
	return !ftruncate(fd, 0) && pwrite(fd, line, n, 0) == n;
}

/* Whether the file is the one by its name still: who releases a lock removes it */
static bool is_current(int fd, const char *path)
{
	struct stat a, b;

	return !fstat(fd, &a) && !stat(path, &b) && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

int tw_lock_try(struct tw_lock *l, const char *id, const char *verb, struct tw_holder *holder)
{
	char *path = tw_run_path(id, "lock");
	int fd;

	l->fd = -1;
	snprintf(l->path, sizeof(l->path), "%s", path);
	free(path);
	for (;;) {
		fd = tw_run_open(l->path);
		if (fd < 0)
			return fd;
		if (flock(fd, LOCK_EX | LOCK_NB)) {
			if (holder)
				tw_run_read(fd, holder);
			close(fd);
			return -EBUSY;
		}
		if (is_current(fd, l->path))
			break;
		close(fd);
	}
	tw_run_write(fd, verb);
	l->fd = fd;
	return 0;
}

bool tw_lock_break(const struct tw_holder *holder)
{
	int pidfd = holder->pid > 0 && holder->pid != getpid() ? tw_proc_open(holder->pid, holder->start) : -1;
	bool done;

	if (pidfd < 0)
		return false;
	done = !syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	/* what it held is free when it has ended, unless it hangs in the kernel */
	if (done)
		poll(&(struct pollfd) { .fd = pidfd, .events = POLLIN }, 1, ENDS_MS);
	close(pidfd);
	return done;
}

void tw_lock_release(struct tw_lock *l)
{
	if (l->fd < 0)
		return;
	unlink(l->path);
	close(l->fd);
	l->fd = -1;
}
