/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the programs of bpf/trace share: they are compiled as one unit, so that maps, settings and
 * the counters exist once.
 */
#ifndef TIMEWARP_TRACE_BPF_H
#define TIMEWARP_TRACE_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "trace.h"
#include "trace_math.h"

#define BPF_NOEXIST 1

/* A tick on its way into the guest */
struct tick {
	u64 deadline_ns;
	u64 fired_ns;
	u64 injected_ns;
};

/*
 * What is known of a unit while it lives, by the address of its kvm_vcpu or kvm.
 * Written by the vCPU's own thread, by its timer, and by whoever raises the VM's interrupts.
 */
struct unit {
	u32 id;
	bool ignored;			/* the user asked for others */
	bool clock_valid;		/* old_* hold a record */
	bool master_valid, master;
	bool xen_starting;
	u32 fired;			/* set of sources: a tick in fired[] waits for its injection */
	u32 injected;			/* set of sources: ... in injected[] for its entry */
	u8 fired_vector[TRACE_NR_SOURCES];
	u8 injected_vector[TRACE_NR_SOURCES];
	u64 armed;			/* LAPIC: last deadline seen, to tell arming from re-starting */
	u64 target;			/* LAPIC, periodic: deadline that expired last, timer's clock */
	u32 pit_pending;		/* PIT: as left by the last event */
	/* kvmclock as the guest had it last */
	u64 old_tsc, old_ns, old_offset;
	s64 old_kvmclock_offset;
	u32 old_mul, old_version;
	s32 old_shift;
	u64 stimer_exp[4];		/* Hyper-V: 100 ns units of the guest's reference counter */
	struct tick fired_tick[TRACE_NR_SOURCES];
	struct tick injected_tick[TRACE_NR_SOURCES];
};

/* An interrupt that somebody is raising at this moment, by thread */
struct raise {
	u64 kvm;
	u32 source;
	u32 vector;			/* where it goes; 256: any */
	u32 accepted, coalesced;	/* by how many LAPICs */
	struct tick tick;
};

/* Settings, by twctl before loading */
const volatile bool cfg_events = false;	/* fill the ring buffer */
const volatile bool cfg_wanted = false;	/* only VMs in the map "wanted" */
const volatile u32 cfg_kinds = 0;		/* set of enum trace_kind */
const volatile u32 cfg_sources = 0xffffffff;	/* set: events of these only */
const volatile s32 cfg_vcpu = -1;		/* events of this vCPU only */
const volatile u64 cfg_late_ns = 0;	/* delivered: only what is later */
const volatile u64 cfg_linear_ns = 0;	/* see trace_bucket() */
const volatile u64 cfg_jump_ns = 1000;	/* less is drift */
const volatile u32 cfg_ratio_bits = 0;	/* fraction of the TSC ratio: 32, 48 */
const volatile bool cfg_irq_entry = false;	/* irqchips are given a route's entry (6.17) */

/* Counters, read by twctl */
u32 next_unit;
u32 raising;		/* how many threads raise an interrupt just now */
u32 pic_waiting;	/* how many ticks a PIC has that no vCPU has taken */
u64 events_lost;	/* the ring buffer was full */
u64 units_lost;	/* a map was full: not counted at all */

#define MAX_UNITS 8192

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_UNITS);
	__uint(map_flags, 1);			/* BPF_F_NO_PREALLOC */
	__type(key, u64);
	__type(value, struct unit);
} units SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_UNITS);
	__uint(map_flags, 1);
	__type(key, u32);
	__type(value, struct trace_info);
} infos SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4 * MAX_UNITS);
	__uint(map_flags, 1);
	__type(key, u32);
	__type(value, struct trace_stats);
} stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_UNITS);
	__uint(map_flags, 1);
	__type(key, u32);
	__type(value, struct trace_clocks);
} clocks SEC(".maps");

/* A zeroed value to insert, too big for the stack */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct trace_stats);
} zero_stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct unit);
} zero_unit SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, char[TRACE_NAME_LEN]);
	__type(value, u32);
} wanted SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, 1);
	__type(key, u32);
	__type(value, struct raise);
} raises SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} ring SEC(".maps");

/*
 * A program's first argument as a plain number.  The verifier knows the type of arguments and
 * allows no arithmetic on them; what container_of() makes of one is read by BPF_CORE_READ().
 */
static __always_inline void *first_arg(void *ctx)
{
	u64 p = 0;

	bpf_probe_read_kernel(&p, sizeof(p), ctx);
	return (void *)p;
}

static __noinline struct unit *make_unit(u64 key, struct kvm *kvm, int vcpu, u32 khz)
{
	struct trace_info info = { .kvm = (u64)kvm, .vcpu = vcpu, .tsc_khz = khz };
	const unsigned char *name;
	struct unit *u, *zero;
	u32 nil = 0, id;

	zero = bpf_map_lookup_elem(&zero_unit, &nil);
	if (!zero)
		return NULL;
	/* A VM that is just being made has no name yet, and nothing that could happen to it */
	name = BPF_CORE_READ(kvm, debugfs_dentry, d_name.name);
	if (!name)
		return NULL;
	bpf_probe_read_kernel_str(info.name, sizeof(info.name), name);
	info.pid = BPF_CORE_READ(kvm, userspace_pid);
	if (bpf_map_update_elem(&units, &key, zero, BPF_NOEXIST))
		goto known;
	u = bpf_map_lookup_elem(&units, &key);
	if (!u)
		return NULL;
	u->ignored = true;
	if (cfg_wanted && !bpf_map_lookup_elem(&wanted, info.name))
		return u;
	id = __sync_fetch_and_add(&next_unit, 1) + 1;
	u->id = id;
	if (bpf_map_update_elem(&infos, &id, &info, 0)) {
		__sync_fetch_and_add(&units_lost, 1);
		return u;
	}
	u->ignored = false;
	return u;
known:
	u = bpf_map_lookup_elem(&units, &key);
	if (!u)
		__sync_fetch_and_add(&units_lost, 1);
	return u;
}

/* The unit of a vCPU, NULL if it is nobody's business */
static __always_inline struct unit *vcpu_unit(struct kvm_vcpu *vcpu)
{
	u64 key = (u64)vcpu;
	struct unit *u = bpf_map_lookup_elem(&units, &key);

	if (!u)
		u = make_unit(key, BPF_CORE_READ(vcpu, kvm), BPF_CORE_READ(vcpu, vcpu_id),
			      BPF_CORE_READ(vcpu, arch.virtual_tsc_khz));
	return u && !u->ignored ? u : NULL;
}

static __always_inline struct unit *vm_unit(struct kvm *kvm)
{
	u64 key = (u64)kvm;
	struct unit *u = bpf_map_lookup_elem(&units, &key);

	if (!u)
		u = make_unit(key, kvm, -1, 0);
	return u && !u->ignored ? u : NULL;
}

static __noinline struct trace_stats *make_stats(u32 key)
{
	struct trace_stats *zero;
	u32 nil = 0;

	zero = bpf_map_lookup_elem(&zero_stats, &nil);
	if (zero)
		bpf_map_update_elem(&stats, &key, zero, BPF_NOEXIST);
	zero = bpf_map_lookup_elem(&stats, &key);
	if (!zero)
		__sync_fetch_and_add(&units_lost, 1);
	return zero;
}

static __always_inline struct trace_stats *stats_of(struct unit *u, u32 source)
{
	u32 key = TRACE_STATS_KEY(u->id, source);
	struct trace_stats *s = bpf_map_lookup_elem(&stats, &key);

	return s ? s : make_stats(key);
}

static __always_inline struct trace_clocks *clocks_of(struct unit *u)
{
	u32 id = u->id;
	struct trace_clocks *c = bpf_map_lookup_elem(&clocks, &id);
	struct trace_clocks zero = {};

	if (c)
		return c;
	bpf_map_update_elem(&clocks, &id, &zero, BPF_NOEXIST);
	return bpf_map_lookup_elem(&clocks, &id);
}

#define count(field, n) __sync_fetch_and_add(&(field), (n))

static __noinline void send_event(u32 unit, u32 what, s64 a, s64 b, s64 c)
{
	u32 kind = what & 0xffff, source = what >> 16;
	struct trace_event *ev;
	struct trace_info *info;

	if (!(cfg_kinds >> (kind & 31) & 1))
		return;
	if (source < TRACE_NR_SOURCES && !(cfg_sources >> (source & 31) & 1))
		return;
	if (cfg_vcpu >= 0) {
		info = bpf_map_lookup_elem(&infos, &unit);
		if (!info || (info->vcpu >= 0 && info->vcpu != cfg_vcpu))
			return;
	}
	ev = bpf_ringbuf_reserve(&ring, sizeof(*ev), 0);
	if (!ev) {
		__sync_fetch_and_add(&events_lost, 1);
		return;
	}
	ev->host_ns = bpf_ktime_get_ns();
	ev->unit = unit;
	ev->kind = kind;
	ev->source = source;
	ev->a = a;
	ev->b = b;
	ev->c = c;
	bpf_ringbuf_submit(ev, 0);
}

/* Costs nothing where nobody listens: cfg_events is known when programs are loaded */
#define event(u, kind, source, a, b, c)						\
	do {										\
		if (cfg_events)								\
			send_event((u)->id, (kind) | (u32)(source) << 16, a, b, c);	\
	} while (0)

/* Not static: the verifier goes through it once, and not for each way that leads here */
__noinline int hist_add(struct trace_hist *h, u64 v)
{
	u32 i = trace_bucket(v, cfg_linear_ns);

	if (!h)
		return 0;
	if (!h->count || v < h->min)
		h->min = v;
	if (v > h->max)
		h->max = v;
	count(h->count, 1);
	count(h->sum, v);
	if (i < TRACE_NR_BUCKETS)
		count(h->bucket[i], 1);
	return 0;
}

static __always_inline void note_lost(struct unit *u, u32 source, u64 n, u32 how)
{
	event(u, TRACE_EV_LOST, source, n, how, 0);
}

/* The guest has the tick: each part is the time behind what had to come before it */
static __always_inline void tick_delivered(struct unit *u, u32 source, const struct tick *t)
{
	u64 now = bpf_ktime_get_ns(), mark = t->deadline_ns, host = 0, inject = 0, entry = 0;
	struct trace_stats *s = stats_of(u, source);

	if (!s)
		return;
	if (t->fired_ns > mark) {
		host = t->fired_ns - mark;
		mark = t->fired_ns;
	}
	if (t->injected_ns > mark) {
		inject = t->injected_ns - mark;
		mark = t->injected_ns;
	}
	if (now > mark)
		entry = now - mark;
	count(s->delivered, 1);
	hist_add(&s->late[TRACE_HOST], host);
	hist_add(&s->late[TRACE_INJECT], inject);
	hist_add(&s->late[TRACE_ENTRY], entry);
	hist_add(&s->late[TRACE_TOTAL], host + inject + entry);
	if (cfg_events && host + inject + entry >= cfg_late_ns)
		event(u, TRACE_EV_DELIVERED, source, host, inject, entry);
}

/* What the host's TSC shows at a moment of CLOCK_MONOTONIC; 0 if it cannot be told */
extern const void tk_fast_mono __ksym __weak;

static __noinline u64 host_tsc_at(u64 ns)
{
	const struct tk_fast *fast = (const void *)&tk_fast_mono;
	u64 last, base, xtime;
	u32 mult, shift;

	if (!fast)
		return 0;
	last = BPF_CORE_READ(fast, base[0].cycle_last);
	base = BPF_CORE_READ(fast, base[0].base);
	xtime = BPF_CORE_READ(fast, base[0].xtime_nsec);
	mult = BPF_CORE_READ(fast, base[0].mult);
	shift = BPF_CORE_READ(fast, base[0].shift);
	if (!mult || shift > 40)
		return 0;
	return last + (s64)((((ns - base) << shift) - xtime) / mult);
}

static __always_inline u64 scale_tsc(struct kvm_vcpu *vcpu, u64 tsc)
{
	u64 ratio = BPF_CORE_READ(vcpu, arch.l1_tsc_scaling_ratio);

	if (!cfg_ratio_bits || ratio == 1ULL << (cfg_ratio_bits & 63))
		return tsc;
	return trace_mul_shr(tsc, ratio, cfg_ratio_bits & 63);
}

/* By how many ns a TSC deadline of the guest is past; negative if it is to come */
static __always_inline s64 tsc_past_ns(struct kvm_vcpu *vcpu, u64 deadline, u64 now)
{
	u64 tsc = host_tsc_at(now);

	if (!tsc)
		return 0;
	tsc = scale_tsc(vcpu, tsc) + BPF_CORE_READ(vcpu, arch.l1_tsc_offset);
	return trace_ticks_to_ns((s64)(tsc - deadline), BPF_CORE_READ(vcpu, arch.virtual_tsc_khz));
}

#endif /* TIMEWARP_TRACE_BPF_H */
