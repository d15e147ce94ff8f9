// SPDX-License-Identifier: GPL-2.0
#include "vm_dir.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "host.h"
#include "proc.h"
#include "text.h"

/* Of which VM a directory is looked for */
struct sought {
	pid_t pid;
	int fd;
	unsigned long long start;
};

int tw_vm_dir_vcpus(const char *path)
{
	struct dirent *entry;
	DIR *dir = opendir(path);
	int n = 0;

	if (!dir)
		return -1;
	while ((entry = readdir(dir)))
		if (!strncmp(entry->d_name, "vcpu", 4) &&
		    isdigit((unsigned char)entry->d_name[4]))
			n++;
	closedir(dir);
	return n;
}

static int64_t ns_of(const struct timespec *ts)
{
	return ts->tv_sec * 1000000000LL + ts->tv_nsec;
}

/* When a process began, by the clock that files are dated by */
static int64_t began_ns(const struct sought *s)
{
	struct timespec real = { 0 }, boot = { 0 };

	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	return ns_of(&real) - ns_of(&boot) + (int64_t)s->start * (1000000000 / sysconf(_SC_CLK_TCK));
}

/* Files are dated by the last tick */
#define TICK_NS 20000000

/* Whether a directory was there before the process was: files that come later date it anew, those in it tell */
static bool is_older(const char *dir, const struct sought *s)
{
	int64_t oldest = INT64_MAX, ns;
	struct dirent *entry;
	struct stat st;
	DIR *d = opendir(dir);

	while (d && (entry = readdir(d))) {
		if (!strcmp(entry->d_name, "..") || fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		ns = ns_of(&st.st_ctim);
		if (ns < oldest)
			oldest = ns;
	}
	if (d)
		closedir(d);
	return oldest < began_ns(s) - TICK_NS;
}

/* Whose a directory is, by vcpuN/pid: a thread that runs a vCPU shares the memory of the VM's maker */
enum owner { NOBODY, OWN, OTHER };

static enum owner owner_of(const char *dir, const struct sought *s)
{
	char *pattern = tw_asprintf("%s/vcpu*/pid", dir);
	bool other = false, own = false;
	glob_t g;
	size_t i;

	if (!glob(pattern, GLOB_NOSORT, NULL, &g)) {
		for (i = 0; i < g.gl_pathc && !own; i++) {
			char *text = tw_read_file(g.gl_pathv[i], NULL);
			int tid = text ? atoi(text) : 0;
			struct tw_proc p;

			free(text);
			/* 0: it has not run yet; one that has gone tells nothing */
			if (tid <= 0 || !tw_proc_read(tid, &p))
				continue;
			own = p.tgid == s->pid;
			other |= !own;
		}
		globfree(&g);
	}
	free(pattern);
	return own ? OWN : other ? OTHER : NOBODY;
}

/*
 * A directory's name is that of the VM's maker, for as long as the VM lives; KVM gives a second VM of
 * that name none.  Where no vCPU has run yet, one that was made under the PID of now, before this process had it, is not
 * its own.  Nor is it where the maker is not known to be of this process.
 */
static char *try_dir(const struct sought *s, pid_t tid, bool has_maker)
{
	char *path = tw_asprintf("%s/%d-%d", TW_KVM_DEBUGFS, tid, s->fd);
	enum owner owner;
	struct stat st;

	if (!stat(path, &st) && S_ISDIR(st.st_mode)) {
		owner = owner_of(path, s);
		if (owner == OWN || (owner == NOBODY && has_maker && !is_older(path, s)))
			return path;
	}
	free(path);
	return NULL;
}

static char *find_by_threads(const struct sought *s, pid_t *maker)
{
	struct dirent *entry;
	char path[64], *found = NULL;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", s->pid);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir))) {
		*maker = atoi(entry->d_name);
		if (*maker > 0)
			found = try_dir(s, *maker, true);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* The maker was a thread that is no more: only the vCPUs tell, of all directories with this descriptor's number */
static char *find_by_vcpus(const struct sought *s, pid_t *maker)
{
	DIR *dir = opendir(TW_KVM_DEBUGFS);
	struct dirent *entry;
	char *found = NULL, end;
	int fd;

	while (dir && !found && (entry = readdir(dir)))
		if (sscanf(entry->d_name, "%d-%d%c", maker, &fd, &end) == 2 && fd == s->fd)
			found = try_dir(s, *maker, false);
	if (dir)
		closedir(dir);
	return found;
}

char *tw_vm_dir(pid_t pid, int fd, unsigned long long start, pid_t *maker)
{
	struct sought s = { .pid = pid, .fd = fd, .start = start };
	char *found = try_dir(&s, pid, true);

	*maker = pid;
	if (found || access(TW_KVM_DEBUGFS, X_OK))
		return found;
	found = find_by_threads(&s, maker);
	return found ? found : find_by_vcpus(&s, maker);
}
