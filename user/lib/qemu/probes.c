// SPDX-License-Identifier: GPL-2.0
#include "qemu/probes.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "apart.h"
#include "btf.h"
#include "host.h"
#include "policy.h"
#include "policy_priv.h"
#include "proc.h"
#include "qemu/image.h"
#include "state.h"
#include "text.h"
#include "vmm.skel.h"

/* ---- attaching */

static int explain(struct tw_err *e, const char *doing, int err)
{
	tw_fail(e, TW_UNSUPPORTED, "cannot have the VMM's clocks follow");
	e->code = -err;
	tw_fact(e, "%s: %s", doing,
		*tw_bpf_last_warning() ? tw_bpf_last_warning() : strerror(-err));
	return tw_cure(e, "leave them on host time: --vmm off");
}

/* @program: as of open_program() */
static int fail_program(const struct tw_vm *vm, int program, struct tw_err *e)
{
	tw_fail(e, TW_UNSUPPORTED, "cannot have the VMM's clocks follow");
	tw_cure(e, "attach again");
	switch (program) {
	case -ESTALE:
		return tw_fact(e, "process %d does not run the program any more that was looked at", vm->pid);
	case -ENOENT:
	case -ESRCH:
		return tw_fact(e, "process %d has ended", vm->pid);
	}
	e->code = -program;
	tw_fact(e, "what process %d runs cannot be seen: %s", vm->pid, tw_apart_error(-program));
	return tw_cure(e, "leave them on host time: --vmm off");
}

/*
 * Where the timeline is that the VM has had, if it has; and what the VMM's clocks are not to be ahead by:
 * it was before their time, or is in their offsets.
 */
static void set_bases(const struct tw_vm *vm, struct vmm_state *s, struct vmm_segments *segments)
{
	struct tw_err ignored = { 0 };
	struct tw_state st;

	if (!vm->dir || tw_state_read(vm->dir, &st, &ignored))
		memset(&st, 0, sizeof(st));
	tw_err_free(&ignored);
	s->mono_base_ns = st.mono_ahead_ns;
	s->wall_base_ns = st.wall_ahead_ns;
	s->tsc_frac_bits = st.tsc_frac_bits;
	snprintf(s->vm, sizeof(s->vm), "%s", vm->id);
	segments->slot[0].mono_ahead_ns = st.mono_ahead_ns;
	segments->slot[0].wall_ahead_ns = st.wall_ahead_ns;
}

/* The virtual clock minus CLOCK_MONOTONIC; neither follows the timeline yet */
static void set_stood(struct vmm_state *s)
{
	struct timespec ts;
	int64_t offset;
	short enabled;

	if (!tw_mem_read(s->pid, s->enabled, &enabled, sizeof(enabled)) ||
	    !tw_mem_read(s->pid, s->offset, &offset, sizeof(offset))) {
		s->stands = 0;
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &ts);
	s->stood_from_ns = offset - (enabled ? 0 : ts.tv_sec * 1000000000LL + ts.tv_nsec);
}

/* @lacks: the program whose function the KVM of this kernel lacks, if it fails for that; else left as it is, or NULL */
static int load(struct tw_vmm *v, const struct tw_vm *vm, const struct tw_vmm_look *look,
		unsigned int nr, int view_fd, struct bpf_program **lacks)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = tw_btf_path());
	struct bpf_map *view;
	struct vmm_state *s;
	int err;

	v->skel = tw_vmm_bpf__open_opts(&opts);
	if (!v->skel)
		return -errno;
	s = &v->skel->data_vmm->vmm;
	*s = look->state;
	s->program_dev = look->program.st_dev;
	s->program_ino = look->program.st_ino;
	s->awaits = VMM_AWAITS_UNKNOWN;		/* until it is seen to sleep */
	s->nr = nr;
	set_bases(vm, s, &v->skel->data_segments->segments);
	set_stood(s);
	view = v->skel->maps.data_vmms;
	err = view_fd < 0 ? 0 : bpf_map__reuse_fd(view, view_fd);
	if (!err)
		err = tw_btf_fit(v->skel->obj);
	if (!err)
		err = tw_btf_aim(v->skel->obj, lacks);
	if (!err)
		err = tw_vmm_bpf__load(v->skel);
	if (!err)
		v->view_fd = bpf_map__fd(view);
	return err;
}

static void wake(pid_t pid, unsigned long long start)
{
	int pidfd = tw_image_blocks(pid, VMM_WAKE_SIGNAL) ? tw_proc_open(pid, start) : -1;

	if (pidfd < 0)
		return;
	syscall(SYS_pidfd_send_signal, pidfd, VMM_WAKE_SIGNAL, NULL, 0);
	close(pidfd);
}

/*
 * One that has executed the same program anew is woken as well, which does no harm. To know it, its memory would be read: the
 * owner of one VM could keep whoever changes the timeline of another waiting.
 */
void tw_vmm_wake(const struct vmm_state *s)
{
	if (tw_image_runs(s->pid, s->program_dev, s->program_ino) == 1)
		wake(s->pid, s->start);
}

static bool has_ended(const struct tw_vm *vm)
{
	int pidfd = tw_proc_open(vm->pid, vm->start);

	if (pidfd >= 0)
		close(pidfd);
	return pidfd < 0;
}

/* A descriptor of the program that was looked at; -ESTALE if the process runs another by now, or the same one anew; -errno */
static int open_program(const struct tw_vm *vm, const struct tw_vmm_look *look)
{
	const struct stat *was = &look->program;
	struct stat is;
	char path[48];
	int fd, same;

	snprintf(path, sizeof(path), "/proc/%d/exe", vm->pid);
	/* not opened: what it may have become can lie where its owner keeps whoever opens it waiting */
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	same = tw_image_is(fd, was->st_dev, was->st_ino);
	if (same == 1)
		same = fstat(fd, &is) ? -errno : is.st_ctim.tv_sec == was->st_ctim.tv_sec &&
						 is.st_ctim.tv_nsec == was->st_ctim.tv_nsec;
	if (same == 1)
		same = tw_image_still_runs(vm->pid, was->st_dev, was->st_ino, look->state.exec);
	if (same == 1)
		return fd;
	close(fd);
	return same ? same : -ESTALE;
}

static int attach_all(struct tw_vmm *v, const struct tw_vm *vm, const struct tw_vmm_look *look, int program)
{
	LIBBPF_OPTS(bpf_uprobe_multi_opts, opts, .offsets = look->offset, .cookies = look->cookie,
		    .cnt = look->nr_sites);
	struct tw_vmm_bpf *skel = v->skel;
	char path[48];

	/* by what was looked at, whatever its name leads to by now */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", program);
	skel->links.vmm_site = bpf_program__attach_uprobe_multi(skel->progs.vmm_site, vm->pid, path, NULL, &opts);
	/* the others, which are on KVM */
	return skel->links.vmm_site ? tw_vmm_bpf__attach(skel) : -errno;
}

static int fail_unmet(const struct tw_vm *vm, struct tw_err *e)
{
	tw_fail(e, TW_UNSUPPORTED, "cannot have the VMM's clocks follow");
	tw_fact(e, "process %d meets no probe: its overlay has copied the program's file since it started", vm->pid);
	return tw_cure(e, "start the VM anew, or leave them on host time: --vmm off");
}

int tw_vmm_attach(struct tw_vmm *v, const struct tw_vm *vm, const struct tw_vmm_look *look,
		  unsigned int nr, int view_fd, struct tw_err *e)
{
	struct bpf_program *lacks = NULL;
	int program, now, err;

	memset(v, 0, sizeof(*v));
	program = open_program(vm, look);
	if (program < 0)
		return fail_program(vm, program, e);
	err = load(v, vm, look, nr, view_fd, &lacks);
	if (err) {
		close(program);
		explain(e, "the probes do not load", err);
		if (lacks)
			tw_fact(e, "the KVM that is built into this kernel has no function for probe %s: %s",
				bpf_program__name(lacks), strerror(-err));
		return e->status;
	}
	err = attach_all(v, vm, look, program);
	close(program);
	if (err)
		return explain(e, v->skel->links.vmm_site ? "the probes on KVM do not attach" : "the probes do not attach",
			       err);
	/* the kernel went by the PID, which may have been another's by then; what it found, it holds to */
	if (has_ended(vm))
		return fail_program(vm, -ESRCH, e);
	/* nor is there any in another program that it may have become */
	now = open_program(vm, look);
	if (now < 0)
		return fail_program(vm, now, e);
	close(now);
	/*
	 * The kernel puts them on a file, and where that file is mapped: of an overlay's file, on what it is now.  One that was
	 * copied up since the process began (a new link to it does that, as perf record makes for its build-ids) is another
	 * than the one that is mapped
	 */
	if (!tw_image_meets(vm->pid, look->program.st_ino, look->offset, look->nr_sites))
		return fail_unmet(vm, e);
	/* its sleep, if it sleeps, was not looked at */
	wake(vm->pid, vm->start);
	return TW_OK;
}

void tw_vmm_close(struct tw_vmm *v)
{
	tw_vmm_bpf__destroy(v->skel);
	memset(v, 0, sizeof(*v));
}

_Static_assert(sizeof(((struct tw_vmm_bpf *)NULL)->links) == TW_VMM_LINKS * sizeof(struct bpf_link *),
	       "each program of vmm.bpf.c has a link");

struct bpf_link *tw_vmm_link(const struct tw_vmm *v, unsigned int i, const char **name)
{
	const struct bpf_prog_skeleton *prog;

	*name = NULL;
	if (!v->skel)
		return NULL;
	prog = &v->skel->skeleton->progs[i];
	*name = prog->name;
	return *prog->link;
}

/* ---- finding them again */

/* The map of a name among those that a program of ours has; -1 if it is none of ours */
static int map_of_prog(unsigned int prog_id, const char *name)
{
	unsigned int ids[8], len, i;
	struct bpf_prog_info info = { .nr_map_ids = 8, .map_ids = (unsigned long)ids };
	struct bpf_map_info map;
	int fd = bpf_prog_get_fd_by_id(prog_id), found = -1;

	if (fd < 0)
		return -1;
	len = sizeof(info);
	if (!bpf_prog_get_info_by_fd(fd, &info, &len) && !strcmp(info.name, VMM_PROGRAM))
		for (i = 0; found < 0 && i < info.nr_map_ids && i < 8; i++) {
			int m = bpf_map_get_fd_by_id(ids[i]);

			memset(&map, 0, sizeof(map));
			len = sizeof(map);
			if (m >= 0 && !bpf_map_get_info_by_fd(m, &map, &len) && !strcmp(map.name, name))
				found = m;
			else if (m >= 0)
				close(m);
		}
	close(fd);
	return found;
}

/* The variables of a section, shared with the program; NULL if they are of another size, or none of ours */
static void *map_section(unsigned int prog_id, const char *section, size_t size)
{
	int fd = map_of_prog(prog_id, section);
	struct bpf_map_info info = { 0 };
	unsigned int len = sizeof(info);
	void *data = MAP_FAILED;

	if (fd >= 0 && !bpf_map_get_info_by_fd(fd, &info, &len) && info.value_size == size)
		data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	return data == MAP_FAILED ? NULL : data;
}

void tw_vmm_found_close(struct tw_vmm_found *f)
{
	if (f->state)
		munmap(f->state, sizeof(*f->state));
	if (f->segments)
		munmap(f->segments, sizeof(*f->segments));
	memset(f, 0, sizeof(*f));
}

static bool open_found(struct tw_vmm_found *f, unsigned int prog_id)
{
	f->state = map_section(prog_id, VMM_SECTION, sizeof(*f->state));
	f->segments = f->state ? map_section(prog_id, VMM_SEGMENTS_SECTION, sizeof(*f->segments)) : NULL;
	f->prog = prog_id;
	if (f->segments)
		return true;
	tw_vmm_found_close(f);
	return false;
}

/* The program of a link, if it is one of uprobes */
static unsigned int prog_of_link(unsigned int link_id)
{
	struct bpf_link_info info = { 0 };
	unsigned int len = sizeof(info), prog = 0;
	int fd = bpf_link_get_fd_by_id(link_id);

	if (fd < 0)
		return 0;
	if (!bpf_link_get_info_by_fd(fd, &info, &len) && info.type == BPF_LINK_TYPE_UPROBE_MULTI)
		prog = info.prog_id;
	close(fd);
	return prog;
}

/* The next probes after link *ID, on whatever process; false if there are no more */
static bool next_found(unsigned int *id, struct tw_vmm_found *f)
{
	unsigned int prog;

	memset(f, 0, sizeof(*f));
	while (!bpf_link_get_next_id(*id, id)) {
		prog = prog_of_link(*id);
		if (prog && open_found(f, prog))
			return true;
	}
	return false;
}

bool tw_vmm_find(const struct tw_vm *vm, struct tw_vmm_found *found)
{
	struct tw_vmm_found f;
	unsigned int id = 0;

	memset(found, 0, sizeof(*found));
	/* Those that still rewrite, if any do: what has done its work may be held open yet. */
	while (next_found(&id, &f)) {
		bool its = f.state->pid == (unsigned int)vm->pid && f.state->start == vm->start;

		if (!its || (found->state && found->state->fold[VMM_VIRTUAL].phase != VMM_FOLDED)) {
			tw_vmm_found_close(&f);
			continue;
		}
		tw_vmm_found_close(found);
		*found = f;
	}
	return found->state;
}

bool tw_vmm_follows(const struct tw_vm *vm, struct vmm_state *state)
{
	struct tw_vmm_found f;
	bool follows;

	memset(state, 0, sizeof(*state));
	if (!tw_vmm_find(vm, &f))
		return false;
	*state = *f.state;
	follows = state->fold[VMM_VIRTUAL].phase != VMM_FOLDED;
	tw_vmm_found_close(&f);
	return follows;
}

int tw_vmm_view(const struct tw_vm *vm)
{
	struct tw_vmm_found f;
	int fd;

	if (!tw_vmm_find(vm, &f))
		return -1;
	fd = f.state->fold[VMM_VIRTUAL].phase == VMM_FOLDED ? -1 : map_of_prog(f.prog, TIMEWARP_VMMS_SECTION);
	tw_vmm_found_close(&f);
	return fd;
}

bool tw_vmm_at_rest(const struct tw_vmm_found *f, int64_t *mono_ns, int64_t *wall_ns)
{
	volatile struct vmm_segments *s = f->segments;
	unsigned int active;
	uint64_t seq;

	do {
		volatile struct vmm_segment *seg;

		seq = s->seq;
		seg = &s->slot[seq & 1];
		active = seg->active;
		*mono_ns = seg->mono_ahead_ns - f->state->mono_base_ns;
		*wall_ns = seg->wall_ahead_ns - f->state->wall_base_ns;
	} while (seq != s->seq);
	return !active;
}

void tw_vmm_wake_all(void)
{
	struct tw_vmm_found f;
	unsigned int id = 0;

	while (next_found(&id, &f)) {
		if (f.state->fold[VMM_VIRTUAL].phase == VMM_FOLLOW)
			tw_vmm_wake(f.state);
		tw_vmm_found_close(&f);
	}
}
