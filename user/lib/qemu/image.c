// SPDX-License-Identifier: GPL-2.0
#include "qemu/image.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "apart.h"
#include "text.h"

/* The options of a mount, if it is one of the namespace of that process; ids are the kernel's, one in all namespaces */
static bool mount_options(const char *of, uint64_t id, char *options, size_t size)
{
	char *path = tw_asprintf("/proc/%s/mountinfo", of), *text = tw_read_file(path, NULL), *rest = text, *line;
	unsigned long long n;
	int at;

	free(path);
	while (rest && (line = strsep(&rest, "\n"))) {
		/* id parent device root mount-point options (proc_pid_mountinfo(5)) */
		if (sscanf(line, "%llu %*u %*s %*s %*s %n", &n, &at) != 1 || n != id)
			continue;
		snprintf(options, size, ",%.*s,", (int)strcspn(line + at, " "), line + at);
		free(text);
		return true;
	}
	free(text);
	return false;
}

/* A file system that a user has mounted says of owners what he likes, and is mounted without set-user-ID therefore */
static bool owners_count(pid_t pid, uint64_t mount)
{
	char options[256], of[16];

	snprintf(of, sizeof(of), "%d", pid);
	return (mount_options("self", mount, options, sizeof(options)) ||
		mount_options(of, mount, options, sizeof(options))) && !strstr(options, ",nosuid,");
}

int tw_image_is(int fd, uint64_t dev, uint64_t ino)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &st))
		return -errno;
	return st.stx_ino == ino && makedev(st.stx_dev_major, st.stx_dev_minor) == dev;
}

int tw_image_runs(pid_t pid, uint64_t dev, uint64_t ino)
{
	char path[48];
	int fd, same;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	same = tw_image_is(fd, dev, ino);
	close(fd);
	return same;
}

int tw_image_program(pid_t pid, bool *foreign)
{
	struct statx st;
	char path[48];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -1;
	*foreign = statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS | STATX_MNT_ID, &st) ||
		   !S_ISREG(st.stx_mode) || st.stx_uid || st.stx_mode & 022 || !(st.stx_mask & STATX_MNT_ID) ||
		   !owners_count(pid, st.stx_mnt_id);
	return fd;
}

static ssize_t find_exec(const void *in, void *out, size_t size)
{
	pid_t pid = *(const pid_t *)in;
	char path[48], *text;
	Elf64_auxv_t entry;
	uint64_t random[2];
	size_t at, len;

	snprintf(path, sizeof(path), "/proc/%d/auxv", pid);
	text = tw_read_file(path, &len);
	if (!text)
		return -errno;
	for (at = 0, entry.a_type = AT_NULL; at + sizeof(entry) <= len && entry.a_type != AT_RANDOM; at += sizeof(entry))
		memcpy(&entry, text + at, sizeof(entry));
	free(text);
	/* one of 32 bits has another vector, in which there is no such entry */
	if (entry.a_type != AT_RANDOM)
		return len ? (ssize_t)size : -ESRCH;
	errno = EFAULT;		/* a read that is short says nothing */
	if (!tw_mem_read(pid, entry.a_un.a_val, random, sizeof(random)))
		return -errno;
	*(uint64_t *)out = random[0] ^ random[1];
	return size;
}

int tw_image_exec(pid_t pid, uint64_t *exec)
{
	ssize_t n;

	*exec = 0;
	n = tw_apart(pid, find_exec, &pid, exec, sizeof(*exec));
	return n < 0 ? n : 0;
}

int tw_image_still_runs(pid_t pid, uint64_t dev, uint64_t ino, uint64_t exec)
{
	int runs = tw_image_runs(pid, dev, ino), err;
	uint64_t is;

	if (runs != 1)
		return runs;
	err = tw_image_exec(pid, &is);
	return err ? err : is == exec;
}

struct place {
	pid_t pid;
	uint64_t at;
	void *value;
};

static ssize_t read_mem(const void *in, void *out, size_t size)
{
	const struct place *p = in;
	struct iovec l = { out, size }, r = { (void *)p->at, size };
	ssize_t n = process_vm_readv(p->pid, &l, 1, &r, 1, 0);

	return n < 0 ? -errno : n;
}

bool tw_mem_read(pid_t pid, uint64_t from, void *to, size_t size)
{
	struct place p = { .pid = pid, .at = from };

	return tw_apart(pid, read_mem, &p, to, size) == (ssize_t)size;
}

uint64_t tw_mem_u64(pid_t pid, uint64_t from)
{
	uint64_t v;

	return tw_mem_read(pid, from, &v, sizeof(v)) ? v : 0;
}

static ssize_t write_mem(const void *in, void *out, size_t size)
{
	const struct place *p = in;
	struct iovec l = { p->value, size }, r = { (void *)p->at, size };
	ssize_t n = process_vm_writev(p->pid, &l, 1, &r, 1, 0);

	(void)out;
	return n < 0 ? -errno : n;
}

/* Of eight bytes at most */
static bool write_word(pid_t pid, uint64_t to, void *value, size_t size)
{
	struct place p = { pid, to, value };
	uint64_t none;

	return tw_apart(pid, write_mem, &p, &none, size) == (ssize_t)size;
}

bool tw_mem_write_u32(pid_t pid, uint64_t to, uint32_t v)
{
	return write_word(pid, to, &v, sizeof(v));
}

bool tw_mem_write_u64(pid_t pid, uint64_t to, uint64_t v)
{
	return write_word(pid, to, &v, sizeof(v));
}

static char *read_maps(pid_t pid)
{
	char path[48];

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	return tw_read_file(path, NULL);
}

/* Where a process has what is at an offset of its program's file mapped, @runs: to run it; 0 for nowhere */
static uint64_t mapped_at(const char *maps, ino_t program, unsigned long offset, bool runs)
{
	unsigned long from, to, at, inode;
	const char *line;
	char x;

	for (line = maps; line && *line; line = strchr(line, '\n'), line += !!line)
		if (sscanf(line, "%lx-%lx %*2c%c%*c %lx %*x:%*x %lu", &from, &to, &x, &at, &inode) == 5 &&
		    (!runs || x == 'x') && inode == program && offset >= at && offset - at < to - from)
			return from + (offset - at);
	return 0;
}

/* What the kernel writes in an instruction's place */
#define BREAKPOINT 0xcc

struct probed {
	pid_t pid;
	ino_t inode;
	const unsigned long *offset;
	unsigned int n;
};

static ssize_t meets_apart(const void *in, void *out, size_t size)
{
	const struct probed *p = in;
	char *maps = read_maps(p->pid);
	bool *met = out;
	unsigned char byte;
	unsigned int i;

	*met = true;
	for (i = 0; *met && i < p->n; i++) {
		uint64_t at = mapped_at(maps, p->inode, p->offset[i], true);

		/* what cannot be seen is not known to be otherwise */
		*met = !at || !tw_mem_read(p->pid, at, &byte, sizeof(byte)) || byte == BREAKPOINT;
	}
	free(maps);
	return size;
}

bool tw_image_meets(pid_t pid, ino_t inode, const unsigned long *offset, unsigned int n)
{
	struct probed p = { pid, inode, offset, n };
	bool met;

	return tw_apart(pid, meets_apart, &p, &met, sizeof(met)) < 0 || met;
}

/* Where the program's first byte stands in the process: its mapping of file offset 0 */
bool tw_image_bias(const struct tw_code *code, pid_t pid, uint64_t *bias)
{
	uint64_t first, from;
	struct stat st;
	char *maps;

	/* what is linked at file offset 0, 0 for a program that can be loaded anywhere */
	if (fstat(code->fd, &st))
		return false;
	for (first = 0; first < (1ULL << 32); first += 0x400000) {
		uint64_t at;

		if (tw_code_offset(code, first, &at) && !at)
			break;
	}
	maps = read_maps(pid);
	from = mapped_at(maps, st.st_ino, 0, false);
	free(maps);
	*bias = from - first;
	return from;
}

bool tw_image_blocks(pid_t pid, int signal)
{
	char *path = tw_asprintf("/proc/%d/task", pid), *text, *line;
	unsigned long long mask;
	struct dirent *d;
	DIR *dir = opendir(path);
	bool all = dir;

	free(path);
	while (all && (d = readdir(dir))) {
		if (*d->d_name == '.')
			continue;
		path = tw_asprintf("/proc/%d/task/%s/status", pid, d->d_name);
		text = tw_read_file(path, NULL);
		line = text ? strstr(text, "\nSigBlk:") : NULL;
		/* a thread that has just ended has no file */
		if (text && (!line || sscanf(line, "\nSigBlk: %llx", &mask) != 1 ||
			     !(mask >> (signal - 1) & 1)))
			all = false;
		free(text);
		free(path);
	}
	if (dir)
		closedir(dir);
	return all;
}
