// SPDX-License-Identifier: GPL-2.0
#include "kvmstat.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "text.h"

#define STATS_LINK "anon_inode:kvm-vcpu-stats:"
#define FILE_MAX_SIZE (1 << 20)

/* Whether @size bytes at @at lie within @len */
static bool within(uint64_t at, uint64_t size, size_t len)
{
	return at <= len && size <= len - at;
}

bool tw_kvmstat_value(const void *file, size_t len, const char *name, uint64_t *value)
{
	struct kvm_stats_header h;
	struct kvm_stats_desc d;
	uint64_t at;
	uint32_t i;

	if (!within(0, sizeof(h), len))
		return false;
	memcpy(&h, file, sizeof(h));
	for (i = 0; i < h.num_desc; i++) {
		const char *s;

		at = h.desc_offset + i * ((uint64_t)sizeof(d) + h.name_size);
		if (!within(at, (uint64_t)sizeof(d) + h.name_size, len))
			return false;
		memcpy(&d, (const char *)file + at, sizeof(d));
		s = (const char *)file + at + sizeof(d);
		if (!memchr(s, 0, h.name_size) || strcmp(s, name))
			continue;
		at = (uint64_t)h.data_offset + d.offset;
		if (!d.size || !within(at, sizeof(*value), len))
			return false;
		memcpy(value, (const char *)file + at, sizeof(*value));
		return true;
	}
	return false;
}

static void read_stats(struct tw_kvmstats *s, int fd)
{
	char *data = NULL;
	size_t len = 0;
	ssize_t n;

	do {
		data = tw_grow(data, len + 4096, 1);
		n = pread(fd, data + len, 4096, len);
		if (n > 0)
			len += n;
	} while (n > 0 && len < FILE_MAX_SIZE);
	if (!len) {
		free(data);
		return;
	}
	s->v = tw_grow(s->v, s->n + 1, sizeof(*s->v));
	s->v[s->n].data = data;
	s->v[s->n++].len = len;
}

/* A process with several VMs does not tell which of them a vCPU's statistics are of */
static bool has_other_vms(DIR *d)
{
	const struct dirent *entry;
	char link[64];
	int vms = 0;

	while ((entry = readdir(d))) {
		ssize_t n = readlinkat(dirfd(d), entry->d_name, link, sizeof(link) - 1);

		link[n > 0 ? n : 0] = 0;
		vms += !strcmp(link, "anon_inode:kvm-vm");
	}
	rewinddir(d);
	return vms > 1;
}

void tw_kvmstats_open(const struct tw_vm *vm, struct tw_kvmstats *s)
{
	char *path = tw_asprintf("/proc/%d/fd", vm->pid), link[64];
	int pidfd = syscall(SYS_pidfd_open, vm->pid, 0), fd;
	const struct dirent *entry;
	DIR *d = opendir(path);
	bool one = d && pidfd >= 0 && !has_other_vms(d);

	memset(s, 0, sizeof(*s));
	s->dir = vm->dir;
	while (one && (entry = readdir(d))) {
		ssize_t n = readlinkat(dirfd(d), entry->d_name, link, sizeof(link) - 1);

		link[n > 0 ? n : 0] = 0;
		if (strncmp(link, STATS_LINK, strlen(STATS_LINK)))
			continue;
		fd = syscall(SYS_pidfd_getfd, pidfd, atoi(entry->d_name), 0);
		if (fd < 0)
			continue;
		read_stats(s, fd);
		close(fd);
	}
	if (d)
		closedir(d);
	if (pidfd >= 0)
		close(pidfd);
	free(path);
}

void tw_kvmstats_free(struct tw_kvmstats *s)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		free(s->v[i].data);
	free(s->v);
	memset(s, 0, sizeof(*s));
}

bool tw_kvmstats_sum(const struct tw_kvmstats *s, const char *name, uint64_t *sum)
{
	char *path, *text;
	uint64_t value;
	size_t i;

	*sum = 0;
	for (i = 0; i < s->n; i++) {
		if (!tw_kvmstat_value(s->v[i].data, s->v[i].len, name, &value))
			return false;
		*sum += value;
	}
	if (s->n || !s->dir)
		return s->n;
	path = tw_asprintf("%s/%s", s->dir, name);
	text = tw_read_file(path, NULL);
	free(path);
	if (!text)
		return false;
	*sum = strtoull(text, NULL, 10);
	free(text);
	return true;
}
