// SPDX-License-Identifier: GPL-2.0
#include "session/dir.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host.h"
#include "policy.h"
#include "proc.h"
#include "session/lock.h"

const char *tw_pin_root = TW_BPFFS "/timewarp";

char *tw_pin_path(const struct tw_vm *vm, const char *name)
{
	return tw_asprintf("%s/%s@%d-%llu%s%s", tw_pin_root, vm->id, vm->pid, vm->start, *name ? "/" : "",
			   name);
}

/* Ours alone; one that somebody else has made is not */
static int make_dir(const char *path)
{
	struct stat st;

	if (mkdir(path, 0700) && errno != EEXIST)
		return -errno;
	if (lstat(path, &st))
		return -errno;
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid())
		return -EPERM;
	return st.st_mode & 077 && chmod(path, 0700) ? -errno : 0;
}

int tw_pin_make(const struct tw_vm *vm)
{
	int err = make_dir(tw_pin_root);
	char *path = tw_pin_path(vm, "");

	if (!err)
		err = make_dir(path);
	free(path);
	return err;
}

int tw_pin_link(const struct tw_vm *vm, struct bpf_link *link, const char *name)
{
	char *path = tw_pin_path(vm, name);
	int err;

	unlink(path);
	err = bpf_link__pin(link, path);
	free(path);
	return err;
}

/* Ours alone, and no link to another: what is looked for there is removed */
static DIR *open_own(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd >= 0 && (fstat(fd, &st) || st.st_uid != geteuid() || st.st_mode & 022)) {
		close(fd);
		fd = -1;
	}
	return fd < 0 ? NULL : fdopendir(fd);
}

static bool remove_dir(const char *path)
{
	DIR *root = open_own(tw_pin_root), *dir = root ? open_own(path) : NULL;
	struct dirent *d;

	if (root)
		closedir(root);
	if (!dir)
		return false;

	while ((d = readdir(dir)))
		if (*d->d_name != '.')
			unlinkat(dirfd(dir), d->d_name, 0);
	closedir(dir);
	return !rmdir(path);
}

bool tw_pin_remove(const struct tw_vm *vm)
{
	char *path = tw_pin_path(vm, "");
	bool removed = remove_dir(path);

	free(path);
	return removed;
}

int tw_pin_policy(const struct tw_vm *vm)
{
	char *path = tw_pin_path(vm, TW_PIN_POLICY);
	int fd = bpf_obj_get(path);

	free(path);
	if (fd >= 0 && tw_link_defunct(fd)) {
		close(fd);
		fd = -1;
	}
	return fd < 0 ? -1 : fd;
}

/* PID-FD@PID-START; or a pin beside it, PID-FD or PID-FD-vmm..., of twctl before there were directories */
static bool parse_name(const char *name, struct tw_pinned *p)
{
	int end = 0, fd;

	memset(p, 0, sizeof(*p));
	if (snprintf(p->name, sizeof(p->name), "%s", name) >= (int)sizeof(p->name))
		return false;
	if (sscanf(name, "%31[0-9-]@%d-%llu%n", p->id, &p->pid, &p->start, &end) == 3 && !name[end])
		return true;
	end = 0;
	if (sscanf(name, "%d-%d%n", &p->pid, &fd, &end) != 2 || (name[end] && strncmp(name + end, "-vmm", 4)))
		return false;
	p->flat = true;
	return snprintf(p->id, sizeof(p->id), "%.*s", end, name) < (int)sizeof(p->id);
}

/* Whether a policy was pinned there that has ended */
static bool is_defunct(const struct tw_pinned *p)
{
	char *path = tw_asprintf("%s/%s%s", tw_pin_root, p->name, p->flat ? "" : "/" TW_PIN_POLICY);
	int fd = bpf_obj_get(path);
	bool defunct = fd >= 0 && tw_link_defunct(fd);

	if (fd >= 0)
		close(fd);
	free(path);
	return defunct;
}

/* Its process has ended; or lives, and has closed the VM */
static bool is_gone(const struct tw_pinned *p)
{
	char *dir = tw_asprintf("%s/%s", TW_KVM_DEBUGFS, p->id);
	struct tw_vm vm = { .pid = p->pid, .start = p->start }, with_dir;
	struct tw_proc proc;
	bool gone;

	/* a flat one does not say of which of the processes of that PID: of the one that lives, as far as is known */
	if (p->flat && tw_proc_read(p->pid, &proc))
		vm.start = proc.start;
	with_dir = vm;
	with_dir.dir = dir;
	gone = tw_vm_is_gone(&vm) || (tw_vm_is_gone(&with_dir) && (p->flat || is_defunct(p)));
	free(dir);
	return gone;
}

void tw_pins_stale(struct tw_pins *pins)
{
	DIR *dir = open_own(tw_pin_root);
	struct tw_pinned p;
	struct dirent *d;

	memset(pins, 0, sizeof(*pins));
	while (dir && (d = readdir(dir))) {
		if (*d->d_name == '.' || !parse_name(d->d_name, &p) || !is_gone(&p))
			continue;
		pins->v = tw_grow(pins->v, pins->n + 1, sizeof(*pins->v));
		pins->v[pins->n++] = p;
	}
	if (dir)
		closedir(dir);
}

void tw_pins_free(struct tw_pins *pins)
{
	free(pins->v);
	memset(pins, 0, sizeof(*pins));
}

size_t tw_pins_left(char *text, size_t size)
{
	struct tw_pins pins;
	size_t i, len = 0, n;

	*text = 0;
	tw_pins_stale(&pins);
	for (i = 0; i < pins.n && len < size; i++)
		len += snprintf(text + len, size - len, "%s%s", i ? ", " : "", pins.v[i].id);
	n = pins.n;
	tw_pins_free(&pins);
	return n;
}

static bool remove_flat(const char *name)
{
	DIR *root = open_own(tw_pin_root);
	bool removed = root && !unlinkat(dirfd(root), name, 0);

	if (root)
		closedir(root);
	return removed;
}

static bool sweep_one(const struct tw_pinned *p)
{
	struct tw_lock lock;
	bool removed;
	char *path;

	/* Another process's VM may go by the same name by now, and be under way */
	if (tw_lock_try(&lock, p->id, "detach --stale", NULL))
		return false;
	path = tw_asprintf("%s/%s", tw_pin_root, p->name);
	removed = is_gone(p) && (p->flat ? remove_flat(p->name) : remove_dir(path));
	free(path);
	tw_lock_release(&lock);
	return removed;
}

size_t tw_pins_sweep(const char *id, void (*swept)(void *arg, const char *id), void *arg)
{
	struct tw_pins pins;
	size_t i, n = 0;

	tw_pins_stale(&pins);
	for (i = 0; i < pins.n; i++) {
		if ((id && strcmp(pins.v[i].id, id)) || !sweep_one(&pins.v[i]))
			continue;
		n++;
		if (swept)
			swept(arg, pins.v[i].id);
	}
	tw_pins_free(&pins);
	return n;
}
