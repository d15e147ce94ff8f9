// SPDX-License-Identifier: GPL-2.0
#include "whole.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "text.h"

static int cannot_write(const char *path, int code, struct tw_err *e)
{
	tw_fail(e, TW_FAILED, "cannot write %s", TW_QUOTE(path));
	e->code = code;
	tw_fact(e, "%s", strerror(code));
	return tw_cure(e, code == ENOSPC ? "look for room on that file system" :
		       "name a file in a directory that may be written");
}

static int no_file(const char *path, mode_t mode, struct tw_err *e)
{
	tw_fail(e, TW_FAILED, "cannot write %s", TW_QUOTE(path));
	tw_fact(e, "it is %s, which is left as it is",
		S_ISLNK(mode) ? "a link" : S_ISDIR(mode) ? "a directory" : "no regular file");
	return tw_cure(e, "name a regular file");
}

/* The directory, held open, and the name in it; false with errno set */
static bool split(struct tw_whole *w, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash == path ? tw_strdup("/") : slash ? tw_strdup(path) : tw_strdup(".");

	if (slash && slash != path)
		dir[slash - path] = 0;
	w->name = tw_strdup(slash ? slash + 1 : path);
	w->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(dir);
	return w->dir >= 0;
}

static int create(struct tw_whole *w)
{
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return -1;
	snprintf(w->tmp, sizeof(w->tmp), ".twctl.%016llx", (unsigned long long)random);
	return openat(w->dir, w->tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
}

int tw_whole_open(struct tw_whole *w, const char *path, struct tw_err *e)
{
	struct stat st;
	int fd = -1, code;

	memset(w, 0, sizeof(*w));
	w->path = path;
	if (split(w, path)) {
		if (!fstatat(w->dir, w->name, &st, AT_SYMLINK_NOFOLLOW) && !S_ISREG(st.st_mode)) {
			tw_whole_drop(w);
			return no_file(path, st.st_mode, e);
		}
		fd = create(w);
	}
	w->f = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (w->f)
		return TW_OK;
	code = errno;
	if (fd >= 0)
		close(fd);
	tw_whole_drop(w);
	return cannot_write(path, code, e);
}

int tw_whole_commit(struct tw_whole *w, struct tw_err *e)
{
	int code = 0;

	errno = 0;
	if (fflush(w->f) || ferror(w->f))
		code = errno ? errno : EIO;
	if (fclose(w->f) && !code)
		code = errno;
	w->f = NULL;
	if (!code && renameat(w->dir, w->tmp, w->dir, w->name))
		code = errno;
	if (!code)
		*w->tmp = 0;
	tw_whole_drop(w);
	return code ? cannot_write(w->path, code, e) : TW_OK;
}

void tw_whole_drop(struct tw_whole *w)
{
	if (w->f)
		fclose(w->f);
	if (w->dir >= 0 && *w->tmp)
		unlinkat(w->dir, w->tmp, 0);
	if (w->dir >= 0)
		close(w->dir);
	free(w->name);
	w->f = NULL;
	w->name = NULL;
	w->dir = -1;
}

int tw_stream_open(const char *path, FILE **f, struct tw_err *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
	int code = errno;

	*f = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (*f)
		return TW_OK;
	if (code == ELOOP)
		return no_file(path, S_IFLNK, e);
	return cannot_write(path, code, e);
}
