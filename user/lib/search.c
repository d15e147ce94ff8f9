// SPDX-License-Identifier: GPL-2.0
#include "search.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "text.h"

#define INSTALLED "/usr/local/lib/timewarp/policies:/usr/lib/timewarp/policies"
#define HEADER "timewarp.bpf.h"

bool tw_is_policy_name(const char *text)
{
	size_t len = strlen(text);

	return len && !strchr(text, '/') && (len < 2 || strcmp(text + len - 2, ".o"));
}

/* The directory of twctl itself, and its owner; to be freed */
static char *own_dir(uid_t *owner)
{
	char path[4096];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
	struct stat st;
	char *slash;

	*owner = 0;
	if (len <= 0)
		return NULL;
	path[len] = 0;
	if (!stat(path, &st))
		*owner = st.st_uid;
	slash = strrchr(path, '/');
	if (!slash)
		return NULL;
	*slash = 0;
	return tw_strdup(path);
}

/* All places, separated by colons; to be freed */
static char *all_dirs(void)
{
	const char *set = getenv("TIMEWARP_POLICY_PATH");
	uid_t owner;
	char *own = own_dir(&owner);
	char *dirs = tw_asprintf("%s:%s/bpf", set && *set ? set : INSTALLED, own ? own : ".");

	free(own);
	return dirs;
}

/* What is wrong with it, or NULL if nobody but root and twctl's owner can change it */
static const char *distrust(int fd, uid_t owner)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return strerror(errno);
	if (st.st_uid && st.st_uid != owner)
		return "belongs neither to root nor to twctl's owner";
	/* in a directory such as /tmp nobody can replace what is another's */
	if (st.st_mode & (S_IWGRP | S_IWOTH) && !(S_ISDIR(st.st_mode) && st.st_mode & S_ISVTX))
		return "may be written by others than its owner";
	return NULL;
}

/*
 * Opens a directory by way of all those above it, each of which could else be exchanged for another
 * between look and use.  -1 if there is none; @wrong: what is wrong with one of them, or NULL.
 */
static int open_trusted_dir(const char *dir, uid_t owner, const char **wrong)
{
	char *real = realpath(dir, NULL), *rest = real, *name;
	int fd = real ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;

	*wrong = NULL;
	while (fd >= 0 && (name = strsep(&rest, "/"))) {
		int next;

		if (!*wrong)
			*wrong = distrust(fd, owner);
		if (!*name)
			continue;
		next = openat(fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		close(fd);
		fd = next;
	}
	if (fd >= 0 && !*wrong)
		*wrong = distrust(fd, owner);
	free(real);
	return fd;
}

/* Opens dir/file; -1 if it is not there.  @wrong: why it is not to be used, or NULL */
static int open_trusted(const char *dir, const char *file, const char **wrong)
{
	int dirfd, fd;
	uid_t owner;

	free(own_dir(&owner));
	dirfd = open_trusted_dir(dir, owner, wrong);
	fd = dirfd < 0 ? -1 : openat(dirfd, file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0 && !*wrong)
		*wrong = distrust(fd, owner);
	if (dirfd >= 0)
		close(dirfd);
	return fd;
}

/* The next of a list separated by colons; NULL at its end */
static char *next_dir(char **list)
{
	char *dir;

	do
		dir = strsep(list, ":");
	while (dir && !*dir);
	return dir;
}

int tw_policy_find(const char *name, char **path, int *fd, struct tw_err *e)
{
	char *dirs = all_dirs(), *rest = dirs, *shown = tw_strdup(dirs), *dir;
	char *file = tw_asprintf("%s" TW_POLICY_SUFFIX, name);
	const char *wrong = NULL;

	*path = NULL;
	*fd = -1;
	while (*fd < 0 && (dir = next_dir(&rest))) {
		*fd = open_trusted(dir, file, &wrong);
		if (*fd >= 0)
			*path = tw_asprintf("%s/%s", dir, file);
	}
	tw_fail(e, TW_FAILED, "cannot use policy %s", TW_QUOTE(name));
	if (*fd < 0) {
		tw_kind(e, "no-policy");
		tw_fact(e, "there is no %s in %s", TW_QUOTE(file), shown);
		free(file);
		file = tw_asprintf("./%s" TW_POLICY_SUFFIX, name);
		tw_cure(e, "see twctl policy list; a file is named with a slash: %s", TW_QUOTE(file));
	} else if (wrong) {
		tw_fact(e, "%s, or a directory on the way to it, %s", *path, wrong);
		tw_cure(e, "chown root and chmod go-w, all of them; or name the file with a slash");
	} else {
		e->status = TW_OK;
	}
	if (e->status) {
		free(*path);
		*path = NULL;
		if (*fd >= 0)
			close(*fd);
		*fd = -1;
	}
	free(file);
	free(shown);
	free(dirs);
	return e->status;
}

/* Whether an earlier directory of the list has it already */
static bool is_hidden(const char *dirs, const char *dir, const char *file)
{
	char *list = tw_strdup(dirs), *rest = list, *d;
	bool hidden = false;

	while (!hidden && (d = next_dir(&rest)) && strcmp(d, dir)) {
		char *path = tw_asprintf("%s/%s", d, file);

		hidden = !access(path, F_OK);
		free(path);
	}
	free(list);
	return hidden;
}

void tw_policy_each(void (*found)(const char *name, const char *path, int fd, void *arg), void *arg)
{
	char *dirs = all_dirs(), *list = tw_strdup(dirs), *rest = list, *dir;
	size_t cut = strlen(TW_POLICY_SUFFIX);
	struct dirent **files;
	int i, n;

	while ((dir = next_dir(&rest))) {
		n = scandir(dir, &files, NULL, alphasort);
		for (i = 0; i < n; i++) {
			char *name = files[i]->d_name;
			size_t len = strlen(name);
			char *path = tw_asprintf("%s/%s", dir, name);
			const char *wrong;
			int fd = -1;

			if (len > cut && !strcmp(name + len - cut, TW_POLICY_SUFFIX) &&
			    !is_hidden(dirs, dir, name))
				fd = open_trusted(dir, name, &wrong);
			if (fd >= 0 && !wrong) {
				name[len - cut] = 0;
				found(name, path, fd, arg);
			}
			if (fd >= 0)
				close(fd);
			free(path);
			free(files[i]);
		}
		if (n >= 0)
			free(files);
	}
	free(list);
	free(dirs);
}

char *tw_helper_find(const char *place, const char **wrong)
{
	uid_t owner;
	char *own = own_dir(&owner), *path, *slash;
	int fd;

	*wrong = NULL;
	if (!own)
		return NULL;
	path = tw_asprintf("%s/%s", own, place);
	free(own);
	slash = strrchr(path, '/');
	*slash = 0;
	fd = open_trusted(path, slash + 1, wrong);
	*slash = '/';
	if (fd >= 0) {
		close(fd);
		return path;
	}
	free(path);
	return NULL;
}

static char *with_header(char *dir)
{
	char *header = dir ? tw_asprintf("%s/" HEADER, dir) : NULL;
	bool there = header && !access(header, R_OK);

	free(header);
	if (there)
		return dir;
	free(dir);
	return NULL;
}

char *tw_include_dir(void)
{
	const char *set = getenv("TIMEWARP_INCLUDE");
	char *own, *dir;
	uid_t owner;

	if (set && *set)
		return with_header(tw_strdup(set));
	own = own_dir(&owner);
	if (!own)
		return NULL;
	dir = with_header(tw_asprintf("%s/include", own));
	if (!dir)
		dir = with_header(tw_asprintf("%s/../include/timewarp", own));
	free(own);
	return dir;
}
