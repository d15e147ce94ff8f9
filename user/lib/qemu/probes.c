// SPDX-License-Identifier: GPL-2.0
#include "qemu/probes.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "btf.h"
#include "host.h"
#include "policy.h"
#include "policy_priv.h"
#include "qemu/image.h"
#include "state.h"
#include "text.h"

extern const char tw_vmm_bpf[], tw_vmm_bpf_end[];

/* ---- attaching */

static int explain(struct tw_err *e, const char *doing, int err)
{
	tw_fail(e, TW_UNSUPPORTED, "cannot have the VMM's clocks follow");
	e->code = -err;
	tw_fact(e, "%s: %s", doing,
		*tw_bpf_last_warning() ? tw_bpf_last_warning() : strerror(-err));
	return tw_cure(e, "leave them on host time: --vmm off");
}

static void *initial_value(struct bpf_object *obj, const char *section, size_t expected)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj, section);
	size_t size = 0;
	void *data = map ? bpf_map__initial_value(map, &size) : NULL;

	return size == expected ? data : NULL;
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

static int load(struct tw_vmm *v, const struct tw_vm *vm, const struct tw_vmm_look *look,
		unsigned int nr, int view_fd)
{
	struct bpf_map *view;
	int err;
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "vmm");
	struct vmm_segments *segments;
	struct vmm_state *s;

	opts.btf_custom_path = tw_btf_of_running_kvm();
	v->obj = bpf_object__open_mem(tw_vmm_bpf, tw_vmm_bpf_end - tw_vmm_bpf, &opts);
	if (!v->obj)
		return -errno;
	s = initial_value(v->obj, VMM_SECTION, sizeof(*s));
	segments = initial_value(v->obj, VMM_SEGMENTS_SECTION, sizeof(*segments));
	if (!s || !segments)
		return -EINVAL;
	*s = look->state;
	s->awaits = VMM_AWAITS_UNKNOWN;		/* until it is seen to sleep */
	s->nr = nr;
	set_bases(vm, s, segments);
	view = bpf_object__find_map_by_name(v->obj, TIMEWARP_VMMS_SECTION);
	if (!view)
		return -EINVAL;
	err = view_fd < 0 ? 0 : bpf_map__reuse_fd(view, view_fd);
	if (err)
		return err;
	err = bpf_object__load(v->obj);
	if (!err)
		v->view_fd = bpf_map__fd(view);
	return err;
}

static const char *const wakes[TW_VMM_WAKES] = { "vmm_change", "vmm_wake", "vmm_enter" };

int tw_vmm_attach(struct tw_vmm *v, const struct tw_vm *vm, const struct tw_vmm_look *look,
		  unsigned int nr, int view_fd, struct tw_err *e)
{
	LIBBPF_OPTS(bpf_uprobe_multi_opts, opts, .offsets = look->offset, .cookies = look->cookie,
		    .cnt = look->nr_sites);
	struct bpf_program *prog;
	char path[48];
	int err, i;

	memset(v, 0, sizeof(*v));
	err = load(v, vm, look, nr, view_fd);
	if (err)
		return explain(e, "the probes do not load", err);
	snprintf(path, sizeof(path), "/proc/%d/exe", vm->pid);
	prog = bpf_object__find_program_by_name(v->obj, VMM_PROGRAM);
	v->sites = bpf_program__attach_uprobe_multi(prog, vm->pid, path, NULL, &opts);
	if (!v->sites)
		return explain(e, "the probes do not attach", -errno);
	for (i = 0; i < TW_VMM_WAKES; i++) {
		v->wake[i] = bpf_program__attach(bpf_object__find_program_by_name(v->obj, wakes[i]));
		if (!v->wake[i])
			return explain(e, "the probes on KVM do not attach", -errno);
	}
	/* its sleep, if it sleeps, was not looked at */
	tw_vmm_wake(vm->pid);
	return TW_OK;
}

void tw_vmm_wake(pid_t pid)
{
	if (tw_image_blocks(pid, VMM_WAKE_SIGNAL))
		syscall(SYS_tgkill, pid, pid, VMM_WAKE_SIGNAL);
}

/* No dots: a BPF file system reserves them */
static char *pin_path(const char *vm_id, const char *what)
{
	return tw_asprintf(TW_BPFFS "/timewarp/%s-%s", vm_id, what);
}

int tw_vmm_pin(struct tw_vmm *v, const char *vm_id)
{
	char *path = pin_path(vm_id, "vmm");
	int err, i;

	tw_vmm_unpin(vm_id);
	mkdir(TW_BPFFS "/timewarp", 0700);
	err = bpf_link__pin(v->sites, path);
	free(path);
	for (i = 0; !err && i < TW_VMM_WAKES; i++) {
		path = pin_path(vm_id, wakes[i]);
		err = bpf_link__pin(v->wake[i], path);
		free(path);
	}
	return err;
}

void tw_vmm_unpin(const char *vm_id)
{
	char *path = pin_path(vm_id, "vmm");
	int i;

	unlink(path);
	free(path);
	for (i = 0; i < TW_VMM_WAKES; i++) {
		path = pin_path(vm_id, wakes[i]);
		unlink(path);
		free(path);
	}
}

void tw_vmm_close(struct tw_vmm *v)
{
	int i;

	bpf_link__destroy(v->sites);
	for (i = 0; i < TW_VMM_WAKES; i++)
		bpf_link__destroy(v->wake[i]);
	bpf_object__close(v->obj);
	memset(v, 0, sizeof(*v));
}

/* ---- finding them again */

/* ---- finding them again */

static int map_of_prog(unsigned int prog_id)
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
			if (m >= 0 && !bpf_map_get_info_by_fd(m, &map, &len) &&
			    !strcmp(map.name, VMM_SECTION))
				found = m;
			else if (m >= 0)
				close(m);
		}
	close(fd);
	return found;
}

bool tw_vmm_get_state(int map, struct vmm_state *s)
{
	unsigned int zero = 0;

	return !bpf_map_lookup_elem(map, &zero, s);
}

void tw_vmm_set_state(int map, const struct vmm_state *s)
{
	unsigned int zero = 0;

	bpf_map_update_elem(map, &zero, s, BPF_EXIST);
}

/* The map of the next probes after link *ID, on PID or, if that is 0, any process; -1 if none */
static int next_map(unsigned int *id, pid_t pid, struct vmm_state *s)
{
	struct bpf_link_info info;
	unsigned int len;
	int fd, map;

	while (!bpf_link_get_next_id(*id, id)) {
		fd = bpf_link_get_fd_by_id(*id);
		if (fd < 0)
			continue;
		memset(&info, 0, sizeof(info));
		len = sizeof(info);
		map = -1;
		if (!bpf_link_get_info_by_fd(fd, &info, &len) &&
		    info.type == BPF_LINK_TYPE_UPROBE_MULTI &&
		    (!pid || info.uprobe_multi.pid == (unsigned int)pid))
			map = map_of_prog(info.prog_id);
		close(fd);
		if (map < 0)
			continue;
		if (tw_vmm_get_state(map, s) && (!pid || s->pid == (unsigned int)pid))
			return map;
		close(map);
	}
	return -1;
}

int tw_vmm_map(pid_t pid, struct vmm_state *s)
{
	unsigned int id = 0;

	return next_map(&id, pid, s);
}

void tw_vmm_wake_all(void)
{
	struct vmm_state s;
	unsigned int id = 0;
	int map;

	while ((map = next_map(&id, 0, &s)) >= 0) {
		close(map);
		if (s.phase == VMM_FOLLOW)
			tw_vmm_wake(s.pid);
	}
}

bool tw_vmm_find(pid_t pid, struct vmm_state *state)
{
	int map = tw_vmm_map(pid, state);

	if (map >= 0)
		close(map);
	return map >= 0;
}
