// SPDX-License-Identifier: GPL-2.0
#include "tracer.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "policy_priv.h"
#include "proc.h"
#include "readiness.h"
#include "btf.h"
#include "qemu/cmdline.h"
#include "symbol.skel.h"
#include "trace_math.h"
#include "trace_places.h"
#include "trace_unit.h"
#include "trace.skel.h"
#include "types.h"

/* For each program; a page of it is there only once the kernel writes to it */
#define LOG_SIZE (1024 * 1024)

static uint64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* Kept for VMs that have gone meanwhile */
struct tw_vmms {
	struct vmm {
		int pid;
		enum trace_policy rtc;
	} *v;
	size_t n;
};

/* The type that a function of KVM's takes a pointer to as its first argument */
static bool kernel_func_takes(const char *func, const char *type)
{
	struct tw_types *kvm = tw_types_of_kvm();
	int own = tw_types_find(kvm, BTF_KIND_FUNC, func);
	const struct btf_type *t = own < 0 ? NULL : tw_types_by_id(kvm, tw_types_own(kvm, own)->type);

	if (!t || !btf_is_func_proto(t) || !btf_vlen(t))
		return false;
	t = tw_types_by_id(kvm, btf_params(t)[0].type);
	t = t && btf_is_ptr(t) ? tw_types_by_id(kvm, t->type) : NULL;
	return t && !strcmp(tw_types_name(kvm, t->name_off), type);
}

static uint32_t vmlinux_struct(const char *name)
{
	struct tw_types *vmlinux = tw_types_of(TW_PART_VMLINUX);
	int own = tw_types_find(vmlinux, BTF_KIND_STRUCT, name);

	return own < 0 ? 0 : tw_types_first(vmlinux) + own;
}

/*
 * Where the kernel has a variable; 0 if it does not tell.  To read /proc/kallsyms up to it, as libbpf does as well, takes
 * more than a second on a test host.
 */
static uint64_t kernel_variable(const char *name)
{
	struct tw_symbol_bpf *s = tw_symbol_bpf__open_and_load();
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	uint64_t address = 0;

	if (!s)
		return 0;
	snprintf(s->bss->name, sizeof(s->bss->name), "%s", name);
	if (!bpf_prog_test_run_opts(bpf_program__fd(s->progs.find), &opts) && !opts.retval)
		address = s->bss->address;
	tw_symbol_bpf__destroy(s);
	return address;
}

static void configure(struct tw_tracer *t)
{
	struct tw_trace_bpf__rodata *cfg = t->skel->rodata;

	/* Where the CPU cannot scale, the ratio is 1 and its form does not matter */
	if (!access("/sys/module/kvm_intel", F_OK))
		cfg->cfg_ratio_bits = 48;
	else if (!access("/sys/module/kvm_amd", F_OK))
		cfg->cfg_ratio_bits = 32;
	cfg->cfg_events = t->opts.events;
	cfg->cfg_wanted = t->nr_wanted > 0;
	cfg->cfg_kinds = t->opts.kinds;
	cfg->cfg_sources = t->opts.sources;
	cfg->cfg_vcpu = t->opts.vcpu;
	cfg->cfg_linear_ns = t->opts.linear_ns;
	cfg->cfg_jump_ns = t->opts.jump_ns;
	cfg->cfg_tk_fast = t->tk_fast;
	cfg->cfg_tk_fast_id = t->tk_fast_id;
	cfg->cfg_timespec64_id = t->timespec64_id;
	cfg->cfg_parts = t->opts.parts;
	trace_bucket_fill(cfg->cfg_bucket);
	cfg->cfg_apicv = tw_places_have_apicv();
	cfg->cfg_irq_entry = kernel_func_takes("kvm_ioapic_set_irq", "kvm_kernel_irq_routing_entry");
}

static void give_logs(struct tw_tracer *t)
{
	struct bpf_program *p;
	char *log;

	if (!t->logs)
		t->logs = tw_grow(NULL, t->skel->skeleton->prog_cnt, LOG_SIZE);
	log = t->logs;
	bpf_object__for_each_program(p, t->skel->obj) {
		*log = 0;
		bpf_program__set_log_buf(p, log, LOG_SIZE);
		log += LOG_SIZE;
	}
}

/* The program that a failed load was about has words of the kernel's in its log */
static bool blame(struct tw_tracer *t)
{
	struct bpf_program *p;
	size_t size;

	bpf_object__for_each_program(p, t->skel->obj) {
		const char *log = bpf_program__log_buf(p, &size);

		if (!*log || tw_places_left_out(&t->missing, bpf_program__name(p)))
			continue;
		tw_places_leave_out(&t->missing, bpf_program__name(p));
		tw_bpf_show(log);
		return true;
	}
	return false;
}

/* Those whose function this kernel lacks are left out; else -errno */
static int aim(struct tw_tracer *t)
{
	struct bpf_program *lacks;
	int err;

	while ((err = tw_btf_aim(t->skel->obj, &lacks)) && lacks) {
		tw_places_leave_out(&t->missing, bpf_program__name(lacks));
		bpf_program__set_autoload(lacks, false);
	}
	return err;
}

static int load(struct tw_tracer *t, struct tw_err *e)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = tw_btf_path());
	int err = -1, tries;

	t->tk_fast = kernel_variable("tk_fast_mono");
	t->tk_fast_id = vmlinux_struct("tk_fast");
	t->timespec64_id = vmlinux_struct("timespec64");
	/* Each round leaves out one program that this kernel refuses */
	for (tries = 0; err && tries < 24; tries++) {
		tw_trace_bpf__destroy(t->skel);
		t->skel = tw_trace_bpf__open_opts(&opts);
		err = -errno;
		if (!t->skel)
			break;
		tw_places_choose(t->skel, t->opts.armed, &t->missing);
		configure(t);
		give_logs(t);
		err = tries ? 0 : tw_btf_fit(t->skel->obj);
		if (!err)
			err = aim(t);
		if (err)
			break;
		err = tw_trace_bpf__load(t->skel);
		if (err && (err == -EPERM || err == -ENOMEM || !blame(t)))
			break;
	}
	if (!err)
		return TW_OK;
	tw_fail(e, TW_UNSUPPORTED, "cannot %s", t->opts.doing);
	e->code = -err;
	tw_fact(e, "the kernel does not load the tracer: %s (%s)", tw_bpf_last_warning(),
		strerror(-err));
	return tw_cure(e, "-v shows more; twctl probe shows what this host has");
}

/*
 * The last station of a tick's way is attached first, so that a tick that is seen on its way is
 * seen to its end: backwards, as the files have them in the order of the way.
 */
static int attach(struct tw_tracer *t, struct tw_err *e)
{
	const struct bpf_object_skeleton *s = t->skel->skeleton;
	int i, attached = 0;

	for (i = s->prog_cnt - 1; i >= 0; i--) {
		struct bpf_prog_skeleton *p = &s->progs[i];

		if (!bpf_program__autoload(*p->prog))
			continue;
		*p->link = bpf_program__attach(*p->prog);
		if (*p->link)
			attached++;
		else
			tw_places_leave_out(&t->missing, p->name);
	}
	if (attached)
		return TW_OK;
	tw_fail(e, TW_UNSUPPORTED, "cannot %s", t->opts.doing);
	tw_fact(e, "none of the tracer's programs can be attached to this kernel's KVM");
	return tw_cure(e, "-v shows more; twctl probe shows what this host has");
}

static int find_vms(struct tw_tracer *t, struct tw_err *e)
{
	const struct tw_strings *names = t->opts.vms;
	size_t i;

	tw_vms_scan(&t->vms);
	for (i = 0; names && i < names->n; i++) {
		struct tw_vm *vm;

		if (tw_vm_find(&t->vms, names->v[i], t->opts.doing, &vm, e))
			return e->status;
		*e->what = 0;		/* what it would have said */
		t->wanted = tw_grow(t->wanted, t->nr_wanted + 1, sizeof(*t->wanted));
		t->wanted[t->nr_wanted++] = vm;
	}
	if (t->vms.n || t->opts.none_yet)
		return TW_OK;
	tw_fail(e, TW_NO_VM, "cannot %s VMs", t->opts.doing);
	tw_fact(e, "no VM runs on this host");
	return tw_cure(e, "start one; twctl list shows what there is");
}

static void fill_wanted(struct tw_tracer *t)
{
	int fd = bpf_map__fd(t->skel->maps.wanted);
	uint32_t one = 1;
	size_t i;

	for (i = 0; i < t->nr_wanted; i++) {
		char key[TRACE_NAME_LEN] = { 0 };

		snprintf(key, sizeof(key), "%s", t->wanted[i]->id);
		bpf_map_update_elem(fd, key, &one, 0);
	}
}

int tw_tracer_start(struct tw_tracer *t, const struct tw_tracer_opts *opts, struct tw_err *e)
{
	char lacks[sizeof(e->what)];
	int status;

	memset(t, 0, sizeof(*t));
	t->opts = *opts;
	t->vmms = tw_grow(NULL, 1, sizeof(*t->vmms));
	memset(t->vmms, 0, sizeof(*t->vmms));
	status = tw_host_require(TW_NEED_TRACE, e);
	if (status) {
		memcpy(lacks, e->what, sizeof(lacks));
		return tw_what(e, "cannot %s: %s", opts->doing, lacks);
	}
	status = find_vms(t, e);
	if (!status)
		status = load(t, e);
	if (status)
		return status;
	fill_wanted(t);
	status = attach(t, e);
	t->start_ns = monotonic_ns();
	t->skel->bss->running = 1;
	return status;
}

void tw_tracer_stop(struct tw_tracer *t)
{
	size_t i;

	tw_trace_bpf__destroy(t->skel);
	free(t->logs);
	for (i = 0; i < t->missing.n; i++)
		free((char *)t->missing.v[i]);
	free(t->missing.v);
	free(t->wanted);
	free(t->parked);
	tw_vms_free(&t->vms);
	if (t->vmms)
		free(t->vmms->v);
	free(t->vmms);
	memset(t, 0, sizeof(*t));
}

static int by_vm_and_vcpu(const void *pa, const void *pb)
{
	const struct tw_unit *a = pa, *b = pb;
	int r = a->info.pid - b->info.pid;

	if (!r)
		r = strcmp(a->info.name, b->info.name);
	if (!r)
		r = a->info.vcpu - b->info.vcpu;
	return r ? r : (int)a->id - (int)b->id;
}

static enum trace_policy rtc_policy(struct tw_vmms *vmms, int pid)
{
	enum trace_policy policy = TRACE_POLICY_UNKNOWN;
	struct tw_qemu_time q;
	struct tw_proc p;
	char *argv;
	size_t i, len;

	for (i = 0; i < vmms->n; i++)
		if (vmms->v[i].pid == pid)
			return vmms->v[i].rtc;
	argv = tw_read_cmdline(pid, &len);
	if (argv && tw_proc_read(pid, &p) && tw_is_qemu(argv, p.comm)) {
		tw_qemu_time_parse(argv, len, &q);
		policy = q.rtc_slew ? TRACE_POLICY_CATCHUP : TRACE_POLICY_DISCARD;
	}
	free(argv);
	vmms->v = tw_grow(vmms->v, vmms->n + 1, sizeof(*vmms->v));
	vmms->v[vmms->n++] = (struct vmm){ .pid = pid, .rtc = policy };
	return policy;
}

/* Its PID may be another's from now on */
static void forget_vmm(struct tw_vmms *vmms, int pid)
{
	size_t i;

	for (i = 0; i < vmms->n; i++)
		if (vmms->v[i].pid == pid) {
			vmms->v[i] = vmms->v[--vmms->n];
			return;
		}
}

/* What the programs leave to be done: see struct trace_hist */
static void complete(struct trace_stats *s)
{
	unsigned int p, i;

	for (p = 0; p < TRACE_NR_PARTS; p++) {
		struct trace_hist *h = &s->late[p];

		h->count = 0;
		for (i = 0; i < TRACE_NR_BUCKETS; i++)
			h->count += h->bucket[i];
	}
	s->delivered = s->late[TRACE_TOTAL].count;
}

void tw_tracer_read(const struct tw_tracer *t, struct tw_snapshot *s)
{
	const struct trace_stats *stats = t->skel->bss_stats->stats;
	int infos = bpf_map__fd(t->skel->maps.infos), clocks = bpf_map__fd(t->skel->maps.clocks);
	uint32_t n = t->skel->bss->next_unit, id;
	unsigned int source;

	memset(s, 0, sizeof(*s));
	s->now_ns = monotonic_ns();
	for (id = 1; id <= n && id < TRACE_MAX_UNITS; id++) {
		struct tw_unit *u;

		s->v = tw_grow(s->v, s->n + 1, sizeof(*s->v));
		u = &s->v[s->n];
		memset(u, 0, sizeof(*u));
		u->id = id;
		/* Without a PID: another number was faster for that unit */
		if (bpf_map_lookup_elem(infos, &id, &u->info) || !u->info.pid)
			continue;
		bpf_map_lookup_elem(clocks, &id, &u->clocks);
		for (source = 0; source < TRACE_NR_SOURCES; source++) {
			uint32_t k = u->info.stats[source];

			if (!k || k >= TRACE_MAX_STATS)
				continue;
			u->stats[source] = tw_grow(NULL, 1, sizeof(*stats));
			*u->stats[source] = stats[k];
			complete(u->stats[source]);
			if (source != TRACE_RTC)
				continue;
			u->stats[source]->policy = rtc_policy(t->vmms, u->info.pid);
			if (u->stats[source]->policy != TRACE_POLICY_CATCHUP)
				u->stats[source]->reinjected = 0;
		}
		s->n++;
	}
	if (s->n)
		qsort(s->v, s->n, sizeof(*s->v), by_vm_and_vcpu);
}

void tw_snapshot_free(struct tw_snapshot *s)
{
	size_t i, k;

	for (i = 0; i < s->n; i++)
		for (k = 0; k < TRACE_NR_SOURCES; k++)
			free(s->v[i].stats[k]);
	free(s->v);
	memset(s, 0, sizeof(*s));
}

bool tw_tracer_wants(const struct tw_tracer *t, const char *name)
{
	size_t i;

	for (i = 0; i < t->nr_wanted; i++)
		if (!strcmp(t->wanted[i]->id, name))
			return true;
	return !t->nr_wanted;
}

bool tw_tracer_all_gone(const struct tw_tracer *t, const struct tw_snapshot *s)
{
	size_t i, k, gone = 0;

	for (i = 0; i < t->nr_wanted; i++)
		for (k = 0; k < s->n; k++)
			if (s->v[k].info.vcpu < 0 && s->v[k].info.gone &&
			    !strcmp(s->v[k].info.name, t->wanted[i]->id)) {
				gone++;
				break;
			}
	return t->nr_wanted && gone == t->nr_wanted;
}

void tw_tracer_losses(const struct tw_tracer *t, uint64_t *events, uint64_t *units)
{
	*events = t->skel->bss->events_lost;
	*units = t->skel->bss->units_lost;
}

/*
 * A unit is hidden first, and its number given away a second later at the earliest: a program that was
 * about to count for it is done by then.
 */
struct parked {
	uint32_t id, stats[TRACE_NR_SOURCES];
};

static void give_away(const struct tw_tracer *t, const struct parked *p)
{
	const struct tw_trace_bpf *skel = t->skel;
	struct trace_stats *stats = skel->bss_stats->stats;
	struct trace_clocks none = { 0 };
	int i;

	memset(&skel->bss_units->units[p->id], 0, sizeof(*skel->bss_units->units));
	bpf_map_update_elem(bpf_map__fd(skel->maps.clocks), &p->id, &none, BPF_ANY);
	for (i = 0; i < TRACE_NR_SOURCES; i++) {
		if (!p->stats[i] || p->stats[i] >= TRACE_MAX_STATS)
			continue;
		memset(&stats[p->stats[i]], 0, sizeof(*stats));
		bpf_map_update_elem(bpf_map__fd(skel->maps.free_stats), NULL, &p->stats[i], BPF_ANY);
	}
	bpf_map_update_elem(bpf_map__fd(skel->maps.free_units), NULL, &p->id, BPF_ANY);
}

static void park(struct tw_tracer *t, const struct tw_unit *u)
{
	int infos = bpf_map__fd(t->skel->maps.infos);
	struct trace_info none = { 0 };
	struct parked *p;

	t->parked = tw_grow(t->parked, t->nr_parked + 1, sizeof(*t->parked));
	p = &t->parked[t->nr_parked++];
	p->id = u->id;
	memcpy(p->stats, u->info.stats, sizeof(p->stats));
	bpf_map_update_elem(infos, &u->id, &none, BPF_ANY);
}

/* Whether KVM has told that a unit's VM is no more: a vCPU's counts stay as long as its VM */
static bool vm_is_gone(const struct tw_snapshot *s, const struct tw_unit *u)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (s->v[i].info.vcpu < 0 && s->v[i].info.kvm == u->info.kvm && s->v[i].info.gone &&
		    !strcmp(s->v[i].info.name, u->info.name))
			return true;
	return false;
}

void tw_tracer_recycle(struct tw_tracer *t, const struct tw_snapshot *s)
{
	size_t i;

	if (t->nr_parked && s->now_ns - t->parked_ns > 1000000000) {
		for (i = 0; i < t->nr_parked; i++)
			give_away(t, &t->parked[i]);
		t->nr_parked = 0;
	}
	for (i = 0; i < s->n; i++) {
		const struct tw_unit *u = &s->v[i];

		if (!u->info.gone || !vm_is_gone(s, u))
			continue;
		park(t, u);
		t->parked_ns = s->now_ns;
		forget_vmm(t->vmms, u->info.pid);
		tw_vms_drop(&t->vms, u->info.name);
	}
}

int tw_tracer_ring_fd(const struct tw_tracer *t)
{
	return bpf_map__fd(t->skel->maps.ring);
}
