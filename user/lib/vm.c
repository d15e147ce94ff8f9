// SPDX-License-Identifier: GPL-2.0
/* Finding VMs: the links of /proc/PID/fd say which descriptors are VMs and vCPUs. */
#include "vm.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "apart.h"
#include "host.h"
#include "proc.h"
#include "text.h"
#include "vm_dir.h"

#define VM_LINK "anon_inode:kvm-vm"
#define VCPU_LINK "anon_inode:kvm-vcpu:"
#define NR_VCPU_BITS 4096

/* What one process holds open */
struct holdings {
	int *vm_fds;
	size_t nr_vms;
	unsigned char vcpus[NR_VCPU_BITS / 8];	/* a set: a vCPU may be open twice */
	bool dev_kvm;
	int err;			/* why it could not be looked at, or not at all of it; 0 */
};

static bool read_link_at(int dir, const char *name, char *buf, size_t size)
{
	ssize_t n = readlinkat(dir, name, buf, size - 1);

	if (n < 0)
		return false;
	buf[n] = 0;
	return true;
}

static void note_link(struct holdings *h, const char *name, const char *link)
{
	if (!strcmp(link, VM_LINK)) {
		h->vm_fds = tw_grow(h->vm_fds, h->nr_vms + 1, sizeof(int));
		h->vm_fds[h->nr_vms++] = atoi(name);
	} else if (!strncmp(link, VCPU_LINK, strlen(VCPU_LINK))) {
		unsigned int n = atoi(link + strlen(VCPU_LINK));

		if (n < NR_VCPU_BITS)
			h->vcpus[n / 8] |= 1 << n % 8;
	} else if (!strcmp(link, "/dev/kvm")) {
		h->dev_kvm = true;
	}
}

static void look_at(pid_t pid, struct holdings *h)
{
	struct dirent *entry;
	char path[64];
	DIR *dir;

	memset(h, 0, sizeof(*h));
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir) {
		h->err = errno;
		return;
	}
	while (errno = 0, entry = readdir(dir)) {
		char link[64];

		if (isdigit((unsigned char)*entry->d_name) &&
		    read_link_at(dirfd(dir), entry->d_name, link, sizeof(link)))
			note_link(h, entry->d_name, link);
	}
	h->err = errno;
	closedir(dir);
}

static bool is_hidden(const struct holdings *h)
{
	return h->err == EACCES || h->err == EPERM;
}

static int count_vcpus(const struct holdings *h)
{
	int n = 0;
	size_t i;

	for (i = 0; i < sizeof(h->vcpus); i++)
		n += __builtin_popcount(h->vcpus[i]);
	return n;
}

/* KVM's name for it is by the thread that made it, which need not be the first one */
static void find_dir(struct tw_vm *vm)
{
	pid_t maker;

	vm->dir = tw_vm_dir(vm->pid, vm->fd, vm->start, &maker);
	if (vm->dir)
		snprintf(vm->id, sizeof(vm->id), "%d-%d", maker, vm->fd);
}

/*
 * Whether it is still what the process has open there.  A VM that ends loses its descriptor before its directory, so one
 * that has no directory and is open has none of its own; one that is not had one a moment ago.
 */
static bool is_open(const struct tw_vm *vm)
{
	char path[64], link[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", vm->pid, vm->fd);
	if (!read_link_at(AT_FDCWD, path, link, sizeof(link)))
		return errno != ENOENT && errno != ESRCH;
	return !strcmp(link, VM_LINK);
}

/* 0 if both are one VM, else in which order the kernel has their files: -1, 1 */
static int compare_files(const struct tw_vm *a, const struct tw_vm *b)
{
	long r = syscall(SYS_kcmp, a->pid, b->pid, KCMP_FILE, (long)a->fd, (long)b->fd);

	return r == 0 ? 0 : r == 1 ? -1 : 1;
}

static void vm_free(struct tw_vm *vm)
{
	tw_guest_names_free(&vm->names);
	free(vm->dir);
}

/* Lists a VM, unless it is there already; the process that has vCPUs has the better claim */
static void add_vm(struct tw_vms *vms, struct tw_vm *vm)
{
	size_t lo = 0, hi = vms->n;

	/* A process may hold one VM open a million times: halves, not all of them */
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		struct tw_vm *old = &vms->v[vms->by_file[mid]];
		int r = compare_files(old, vm);

		if (r < 0)
			lo = mid + 1;
		else if (r > 0)
			hi = mid;
		else if (old->vcpus > 0 || vm->vcpus <= 0)
			return vm_free(vm);
		else {
			vm_free(old);
			*old = *vm;
			return;
		}
	}
	vms->v = tw_grow(vms->v, vms->n + 1, sizeof(*vms->v));
	vms->by_file = tw_grow(vms->by_file, vms->n + 1, sizeof(*vms->by_file));
	memmove(vms->by_file + lo + 1, vms->by_file + lo, (vms->n - lo) * sizeof(*vms->by_file));
	vms->by_file[lo] = vms->n;
	vms->v[vms->n++] = *vm;
}

/* A process that holds VMs */
struct holder {
	struct holdings h;
	struct tw_proc p;
};

struct holders {
	struct holder *v;
	struct tw_proc_text *argv;	/* their command lines */
	size_t n;
};

/* 0, or -errno if it may have VMs that are not seen */
static int note_process(struct tw_vms *vms, struct holders *all, pid_t pid)
{
	struct holder one;

	look_at(pid, &one.h);
	vms->hidden += is_hidden(&one.h);
	if (!one.h.nr_vms || !tw_proc_read(pid, &one.p)) {
		free(one.h.vm_fds);
		return one.h.err ? -one.h.err : one.h.nr_vms ? -ESRCH : 0;
	}
	all->v = tw_grow(all->v, all->n + 1, sizeof(*all->v));
	all->argv = tw_grow(all->argv, all->n + 1, sizeof(*all->argv));
	all->argv[all->n] = (struct tw_proc_text) { .pid = pid };
	all->v[all->n++] = one;
	return -one.h.err;
}

static void add_vms(struct tw_vms *vms, const struct holder *one, const struct tw_proc_text *argv)
{
	size_t i;

	for (i = 0; i < one->h.nr_vms; i++) {
		struct tw_vm vm = { .pid = argv->pid, .fd = one->h.vm_fds[i], .start = one->p.start, .uid = one->p.uid };

		snprintf(vm.id, sizeof(vm.id), "%d-%d", vm.pid, vm.fd);
		snprintf(vm.comm, sizeof(vm.comm), "%s", one->p.comm);
		vm.vcpus = count_vcpus(&one->h);
		tw_qemu_names(argv->text, argv->len, &vm.names);
		add_vm(vms, &vm);
	}
}

/* 0, or -errno of one that may have VMs that are not added */
static int add_holders(struct tw_vms *vms, struct holders *all)
{
	int err = 0;
	size_t i;

	tw_read_cmdlines(all->argv, all->n);
	for (i = 0; i < all->n; i++) {
		/* one whose names cannot be had, being mute or for what else, has VMs nevertheless */
		if (all->argv[i].err == ENOENT || all->argv[i].err == ESRCH)
			err = -all->argv[i].err;
		else
			add_vms(vms, &all->v[i], &all->argv[i]);
		free(all->argv[i].text);
		free(all->v[i].h.vm_fds);
	}
	free(all->argv);
	free(all->v);
	return err;
}

int tw_vms_of(pid_t pid, size_t *n)
{
	struct holders one = { 0 };
	struct tw_vms vms = { 0 };
	int err = note_process(&vms, &one, pid), unread = add_holders(&vms, &one);

	*n = vms.n;
	tw_vms_free(&vms);
	return err ? err : unread;
}

/* With two VMs in one process, its links do not tell whose vCPUs are whose; debugfs does */
static void settle_vcpus(struct tw_vms *vms)
{
	size_t i, k;

	for (i = 0; i < vms->n; i++) {
		struct tw_vm *vm = &vms->v[i];
		int n = vm->dir ? tw_vm_dir_vcpus(vm->dir) : -1;

		if (n >= 0) {
			vm->vcpus = n;
			continue;
		}
		for (k = 0; k < vms->n; k++)
			if (k != i && vms->v[k].pid == vm->pid)
				vm->vcpus = -1;
	}
}

/* The last one takes its place */
static void drop(struct tw_vms *vms, size_t i)
{
	free(vms->by_file);
	vms->by_file = NULL;
	vm_free(&vms->v[i]);
	vms->v[i] = vms->v[--vms->n];
}

void tw_vms_scan(struct tw_vms *vms)
{
	struct holders all = { 0 };
	struct dirent *entry;
	size_t i;
	DIR *dir;

	memset(vms, 0, sizeof(*vms));
	dir = opendir("/proc");
	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		pid_t pid = atoi(entry->d_name);

		if (pid > 0 && pid != getpid())
			note_process(vms, &all, pid);
	}
	closedir(dir);
	add_holders(vms, &all);
	/* Of each VM once, however many descriptors of it there are */
	for (i = vms->n; i-- > 0;) {
		find_dir(&vms->v[i]);
		if (!vms->v[i].dir && !is_open(&vms->v[i]))
			drop(vms, i);
	}
	settle_vcpus(vms);
}

void tw_vms_free(struct tw_vms *vms)
{
	size_t i;

	for (i = 0; i < vms->n; i++)
		vm_free(&vms->v[i]);
	free(vms->v);
	free(vms->by_file);
	memset(vms, 0, sizeof(*vms));
}

void tw_vms_drop(struct tw_vms *vms, const char *id)
{
	size_t i;

	for (i = 0; i < vms->n && strcmp(vms->v[i].id, id); i++)
		;
	if (i < vms->n)
		drop(vms, i);
}

const struct tw_vm *tw_vms_by_id(const struct tw_vms *vms, const char *id)
{
	size_t i;

	for (i = 0; i < vms->n; i++)
		if (!strcmp(vms->v[i].id, id))
			return &vms->v[i];
	return NULL;
}

/* A VM whose process has another PID inside its own namespace */
static const struct tw_vm *find_by_inner_pid(const struct tw_vms *vms, pid_t pid)
{
	struct tw_proc p;
	size_t i;
	int k;

	for (i = 0; i < vms->n; i++) {
		if (!tw_proc_read(vms->v[i].pid, &p))
			continue;
		for (k = 1; k < p.nr_nspid; k++)
			if (p.nspid[k] == pid)
				return &vms->v[i];
	}
	return NULL;
}

static int explain_absent_pid(const struct tw_vms *vms, pid_t pid, struct tw_err *e)
{
	const struct tw_vm *vm;

	if (!pid) {
		tw_fact(e, "PID 0 is the kernel's idle task");
		return tw_cure(e, "name the process of a VM: twctl list");
	}
	tw_fact(e, "there is no process %d", pid);
	vm = find_by_inner_pid(vms, pid);
	if (!vm)
		return tw_cure(e, "see what there is: twctl list");
	tw_fact(e, "there is no process %d here; it is the PID of process %d in a PID namespace",
		pid, vm->pid);
	return tw_cure(e, "use: --vm %s", vm->id);
}

static int explain_process(pid_t pid, const struct tw_proc *p, struct tw_err *e)
{
	struct holdings h;

	tw_cure(e, "see what there is: twctl list");
	if (p->state == 'Z')
		return tw_fact(e, "process %d (%s) is a zombie: its VM is gone", pid, p->comm);
	if (p->kthread)
		return tw_fact(e, "process %d (%s) is a kernel thread", pid, p->comm);
	look_at(pid, &h);
	free(h.vm_fds);
	if (is_hidden(&h)) {
		tw_fact(e, "the descriptors of process %d (%s) may not be read", pid, p->comm);
		return tw_cure(e, "run twctl as root");
	}
	if (h.err)
		return tw_fact(e, "the descriptors of process %d (%s) cannot be read: %s", pid, p->comm, strerror(h.err));
	if (h.dev_kvm) {
		tw_fact(e, "process %d (%s) has /dev/kvm open but no VM", pid, p->comm);
		return tw_cure(e, "wait until it has made one: twctl list");
	}
	return tw_fact(e, "process %d (%s) runs no VM", pid, p->comm);
}

/* Says why a PID names no VM: the more precisely, the less has to be guessed */
static int explain_pid(const struct tw_vms *vms, pid_t pid, struct tw_err *e)
{
	struct tw_proc p;

	if (pid == getpid()) {
		tw_fact(e, "process %d is twctl itself", pid);
		return tw_cure(e, "see what there is: twctl list");
	}
	if (!pid || !tw_proc_read(pid, &p))
		return explain_absent_pid(vms, pid, e);
	if (p.tgid && p.tgid != pid) {
		tw_fact(e, "%d is a thread of process %d (%s)", pid, p.tgid, p.comm);
		return tw_cure(e, "use: --vm %d", p.tgid);
	}
	return explain_process(pid, &p, e);
}

static size_t count_mute(const struct tw_vms *vms)
{
	size_t n = 0, i;

	for (i = 0; i < vms->n; i++)
		n += tw_is_mute(vms->v[i].pid);
	return n;
}

static int explain_none(const struct tw_vms *vms, const struct tw_selector *sel, struct tw_err *e)
{
	e->status = TW_NO_VM;
	if (sel->pid)
		return explain_pid(vms, sel->pid_value, e);
	if (vms->n)
		tw_fact(e, "none of the %zu VMs of this host has this %s", vms->n,
			sel->id ? "PID-FD" : sel->uuid ? "UUID" : "name");
	else
		tw_fact(e, "this host runs no VM that twctl can see");
	if ((sel->name || sel->uuid) && count_mute(vms))
		return tw_cure(e, "the memory of %zu of them does not answer, and has their names: name one as twctl list does, PID-FD",
			       count_mute(vms));
	if (vms->hidden)
		return tw_cure(e, "%zu processes are hidden from you: run twctl as root",
			       vms->hidden);
	return tw_cure(e, "see what there is: twctl list");
}

static char *list_candidates(const struct tw_vms *vms, const struct tw_selector *sel)
{
	char *list = tw_strdup("");
	char title[32];
	size_t i;

	for (i = 0; i < vms->n; i++) {
		const struct tw_vm *vm = &vms->v[i];
		char *longer;

		if (!tw_selector_matches(sel, vm))
			continue;
		tw_printable(title, sizeof(title), tw_vm_title(vm));
		longer = tw_asprintf("%s  --vm id:%s   # %s\n", list, vm->id, title);
		free(list);
		list = longer;
	}
	return list;
}

int tw_vm_find(const struct tw_vms *vms, const char *text, const char *doing, struct tw_vm **vm,
	       struct tw_err *e)
{
	struct tw_selector sel;
	const char *why;
	size_t i, found = 0;

	tw_fail(e, TW_NO_VM, "cannot %s %s", doing, TW_QUOTE(text));
	if (tw_selector_parse(text, &sel, &why)) {
		e->status = TW_USAGE;
		tw_fact(e, "that is %s", why);
		return tw_cure(e, "name a VM by PID, guest name, PID-FD or UUID: twctl list");
	}
	for (i = 0; i < vms->n; i++)
		if (tw_selector_matches(&sel, &vms->v[i])) {
			*vm = &vms->v[i];
			found++;
		}
	if (found == 1) {
		/* callers go on with it, and some end with e->status */
		memset(e, 0, sizeof(*e));
		return TW_OK;
	}
	if (!found)
		return explain_none(vms, &sel, e);
	tw_fact(e, "%zu VMs go by that", found);
	tw_cure(e, "use one of:");
	return tw_detail(e, list_candidates(vms, &sel));
}

static int take_fd(int pidfd, const struct tw_vm *vm, struct tw_err *e)
{
	int fd = syscall(SYS_pidfd_getfd, pidfd, vm->fd, 0);

	if (fd >= 0)
		return fd;
	e->code = errno;
	if (errno == EPERM) {
		e->status = TW_FAILED;
		tw_fact(e, "the kernel does not let twctl trace process %d", vm->pid);
		tw_cure(e, "run twctl as root; see kernel.yama.ptrace_scope");
	} else {
		tw_fact(e, "its descriptor %d is gone: %s", vm->fd, strerror(errno));
		tw_cure(e, "see what there is: twctl list");
	}
	return -1;
}

int tw_vm_take_fd(const struct tw_vm *vm, struct tw_err *e)
{
	char path[32], link[64];
	int pidfd, fd;

	tw_fail(e, TW_NO_VM, "cannot take VM %s from its process", vm->id);
	pidfd = tw_proc_open(vm->pid, vm->start);
	if (pidfd < 0) {
		tw_fact(e, "process %d has gone", vm->pid);
		tw_cure(e, "see what there is: twctl list");
		return -1;
	}
	fd = take_fd(pidfd, vm, e);
	close(pidfd);
	if (fd < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (read_link_at(AT_FDCWD, path, link, sizeof(link)) && !strcmp(link, VM_LINK))
		return fd;
	close(fd);
	tw_fact(e, "descriptor %d of process %d is no VM any more", vm->fd, vm->pid);
	tw_cure(e, "see what there is: twctl list");
	return -1;
}

bool tw_vm_has_run(const struct tw_vm *vm)
{
	char *pattern = vm->dir ? tw_asprintf("%s/vcpu*/pid", vm->dir) : NULL;
	bool has = !pattern;
	glob_t g;
	size_t i;

	if (pattern && !glob(pattern, GLOB_NOSORT, NULL, &g)) {
		for (i = 0; i < g.gl_pathc && !has; i++) {
			char *text = tw_read_file(g.gl_pathv[i], NULL);

			/* the thread that was the last to run it */
			has = !text || atoi(text);
			free(text);
		}
		globfree(&g);
	}
	free(pattern);
	return has;
}

bool tw_vm_is_gone(const struct tw_vm *vm)
{
	int pidfd = tw_proc_open(vm->pid, vm->start);

	if (pidfd < 0)
		return true;
	close(pidfd);
	return vm->dir && !access(TW_KVM_DEBUGFS, X_OK) && access(vm->dir, F_OK) && errno == ENOENT;
}
