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
#include "trace_unit.h"

#define BPF_NOEXIST 1
#define BPF_RB_NO_WAKEUP 1
#define BPF_RB_FORCE_WAKEUP 2
#define BPF_RB_AVAIL_DATA 0
#define RING_SIZE (4 << 20)

/* An address as one of a type's, without a call for each load; not on 6.1 */
extern void *bpf_rdonly_cast(const void *obj, u32 type) __ksym __weak;

/* An interrupt that somebody is raising at this moment, by thread */
struct raise {
	u64 kvm;
	u32 source;
	u32 vector;			/* where it goes; 256: any */
	u32 accepted, coalesced;	/* by how many LAPICs */
	struct tick tick;
};

/* Settings, by twctl before loading.  It has these variables by a skeleton, which knows __u32, not u32. */
const volatile bool cfg_events = false;	/* fill the ring buffer */
const volatile bool cfg_wanted = false;	/* only VMs in the map "wanted" */
const volatile __u32 cfg_kinds = 0;		/* set of enum trace_kind */
const volatile __u32 cfg_sources = 0xffffffff;	/* set: events of these only */
const volatile __s32 cfg_vcpu = -1;		/* events of this vCPU only */
const volatile __u64 cfg_linear_ns = 0;	/* see trace_bucket() */
const volatile __u8 cfg_bucket[TRACE_BUCKET_TABLE] = {};	/* see trace_bucket_fill() */
const volatile bool cfg_apicv = false;	/* the CPU may deliver on its own */
const volatile bool cfg_parts = true;	/* count each part of the lateness, not only the sum */
const volatile __u64 cfg_jump_ns = 1000;	/* less is drift */
const volatile __u32 cfg_ratio_bits = 0;	/* fraction of the TSC ratio: 32, 48 */
const volatile __u64 cfg_tk_fast = 0;	/* where the kernel has tk_fast_mono */
/* Numbers of these types in vmlinux's BTF, for bpf_rdonly_cast() */
const volatile __u32 cfg_tk_fast_id = 0;
const volatile __u32 cfg_timespec64_id = 0;
const volatile bool cfg_irq_entry = false;	/* irqchips are given a route's entry (6.17) */

/* Set by twctl once all programs are attached: the beginning of what is counted */
__u32 running;

/* Counters, read by twctl */
__u32 next_unit;
__u32 next_stats;
__u32 raising;		/* how many threads raise an interrupt just now */
__u32 pic_waiting;	/* how many ticks a PIC has that no vCPU has taken */
__u64 events_lost;	/* the ring buffer was full */
__u64 units_lost;	/* a map was full: not counted at all */

/*
 * Every tick comes by here several times, and a look-up in a hash costs hundreds of instructions, in an
 * array that is a map some fifteen, in one that is a variable a handful.  So units have numbers, and in
 * front of the hash that knows the number of an address stands a cache of one word an entry: the low
 * 48 bits of the address, less a constant, then the number.
 */
#define IGNORED 0xffff		/* instead of a number: the user asked for others */
#define CACHE_BITS 13

__u64 cache[1 << CACHE_BITS] SEC(".bss.cache");
struct unit units[TRACE_MAX_UNITS] SEC(".bss.units");
struct trace_stats stats[TRACE_MAX_STATS] SEC(".bss.stats");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4 * TRACE_MAX_UNITS);
	__uint(map_flags, 1);			/* BPF_F_NO_PREALLOC */
	__type(key, u64);
	__type(value, u32);
} ids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TRACE_MAX_UNITS);
	__type(key, u32);
	__type(value, struct trace_info);
} infos SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TRACE_MAX_UNITS);
	__type(key, u32);
	__type(value, struct trace_clocks);
} clocks SEC(".maps");

/* Numbers of units and of their stats that twctl gives back, zeroed, once a VM has gone */
struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, TRACE_MAX_UNITS);
	__type(value, u32);
} free_units SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, TRACE_MAX_STATS);
	__type(value, u32);
} free_stats SEC(".maps");

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
	__uint(max_entries, RING_SIZE);
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

/*
 * An address as the cache has it.  The verifier allows no arithmetic on addresses, but the
 * difference of two is a number.
 */
static __always_inline u64 tag_of(void *p)
{
	u64 d = (u64)p;

	asm volatile("%0 -= %1" : "+r"(d) : "r"(&cache));
	return d << 16;
}

static __always_inline u64 *cache_of(u64 tag)
{
	return &cache[tag * 0x9e3779b97f4a7c15ULL >> (64 - CACHE_BITS)];
}

/*
 * An element of an array that is a variable.  The compiler likes to compute the address before it
 * compares the index, and the verifier then knows no bound; so it is given one that it must compute.
 * Both arrays' sizes are powers of two.
 */
#define element(array, index, size)						\
	({									\
		u64 index_ = (index);						\
										\
		barrier_var(index_);						\
		&(array)[index_ & ((size) - 1)];				\
	})

static __always_inline struct unit *unit_numbered(u32 id)
{
	return id && id < TRACE_MAX_UNITS ? element(units, id, TRACE_MAX_UNITS) : NULL;
}

/*
 * The number of the unit whose address is at *at, a new one if need be; 0 if there is none.  Through
 * memory an address becomes a number.  Functions of this kind, not static, the verifier goes
 * through once, and not for each way that leads here.
 */
__noinline int unit_id(const u64 *at, u64 tag, bool is_vcpu)
{
	u64 key = at ? *at : 0;
	struct kvm_vcpu *vcpu = (void *)key;
	struct kvm *kvm = is_vcpu ? BPF_CORE_READ(vcpu, kvm) : (void *)key;
	struct trace_info info = { .kvm = (u64)kvm, .vcpu = -1 }, *i;
	const unsigned char *name;
	struct unit *u;
	u32 id, *known;

	known = bpf_map_lookup_elem(&ids, &key);
	if (!known) {
		info.pid = BPF_CORE_READ(kvm, userspace_pid);
		name = BPF_CORE_READ(kvm, debugfs_dentry, d_name.name);
		/* A VM that is just being made has no name yet, and nothing that could happen to it */
		if (!info.pid || !name)
			return 0;
		bpf_probe_read_kernel_str(info.name, sizeof(info.name), name);
		if (is_vcpu) {
			info.vcpu = BPF_CORE_READ(vcpu, vcpu_id);
			info.tsc_khz = BPF_CORE_READ(vcpu, arch.virtual_tsc_khz);
		}
		id = IGNORED;
		if (!cfg_wanted || bpf_map_lookup_elem(&wanted, info.name)) {
			if (bpf_map_pop_elem(&free_units, &id))
				id = __sync_fetch_and_add(&next_unit, 1) + 1;
			if (id >= TRACE_MAX_UNITS) {
				__sync_fetch_and_add(&units_lost, 1);
				id = IGNORED;
			}
		}
		u = unit_numbered(id);
		if (u)
			u->id = id;
		/* Two at a time: the other one's number is as good, and this one stays without a name */
		if (!bpf_map_update_elem(&ids, &key, &id, BPF_NOEXIST)) {
			i = bpf_map_lookup_elem(&infos, &id);
			if (i)
				*i = info;
		}
		known = bpf_map_lookup_elem(&ids, &key);
		if (!known) {
			__sync_fetch_and_add(&units_lost, 1);
			return 0;
		}
	}
	id = *known;
	if (tag)
		*cache_of(tag) = tag | id;
	return id;
}

static __always_inline struct unit *unit_at(u64 key, u64 tag, bool is_vcpu)
{
	return running ? unit_numbered(unit_id(&key, tag, is_vcpu)) : NULL;
}

/*
 * The unit of a vCPU that a program was given, NULL if it is nobody's business.  Before "running",
 * nothing is in the cache.
 */
static __always_inline struct unit *vcpu_unit(struct kvm_vcpu *vcpu)
{
	u64 tag = tag_of(vcpu), hit = *cache_of(tag) ^ tag;

	if (hit < TRACE_MAX_UNITS)
		return element(units, hit, TRACE_MAX_UNITS);
	return hit > IGNORED ? unit_at((u64)vcpu, tag, true) : NULL;
}

/* The same, by its LAPIC: that saves the way to the vCPU */
static __always_inline struct unit *lapic_unit(struct kvm_lapic *apic)
{
	u64 tag = tag_of(apic), hit = *cache_of(tag) ^ tag;

	if (hit < TRACE_MAX_UNITS)
		return element(units, hit, TRACE_MAX_UNITS);
	return hit > IGNORED ? unit_at((u64)apic->vcpu, tag, true) : NULL;
}

/* Those whose address was read from somewhere, and so is no longer one for the verifier */
static __always_inline struct unit *vcpu_unit_at(struct kvm_vcpu *vcpu)
{
	return unit_at((u64)vcpu, 0, true);
}

static __always_inline struct unit *vm_unit(struct kvm *kvm)
{
	return unit_at((u64)kvm, 0, false);
}

__noinline int make_stats(u32 id, u32 source)
{
	struct unit *u = unit_numbered(id);
	struct trace_info *info = bpf_map_lookup_elem(&infos, &id);
	struct trace_stats *s;
	u32 i, part;

	if (!u || !info || source >= TRACE_NR_SOURCES)
		return 0;
	if (bpf_map_pop_elem(&free_stats, &i))
		i = __sync_fetch_and_add(&next_stats, 1) + 1;
	if (i >= TRACE_MAX_STATS) {
		__sync_fetch_and_add(&units_lost, 1);
		i = TRACE_MAX_STATS;
	}
	s = i < TRACE_MAX_STATS ? element(stats, i, TRACE_MAX_STATS) : NULL;
	for (part = 0; s && part < TRACE_NR_PARTS; part++)
		s->late[part].min = ~0ULL;
	__sync_val_compare_and_swap(&u->stats[source], 0, i);
	info->stats[source] = u->stats[source];
	return info->stats[source];
}

static __always_inline struct trace_stats *stats_of(struct unit *u, u32 source)
{
	u32 i = u->stats[source];

	if (!i)
		i = make_stats(u->id, source);
	return i && i < TRACE_MAX_STATS ? element(stats, i, TRACE_MAX_STATS) : NULL;
}

static __always_inline struct trace_clocks *clocks_of(struct unit *u)
{
	u32 id = u->id;

	return bpf_map_lookup_elem(&clocks, &id);
}

#define count(field, n) __sync_fetch_and_add(&(field), (n))

static __always_inline bool is_in(const u32 *set, u32 source)
{
	return *(volatile const u32 *)set >> source & 1;
}

/* Atomic: a vCPU's thread, its timer and who raises its interrupts may meet */
static __always_inline void put_in(u32 *set, u32 source)
{
	__sync_fetch_and_or(set, 1U << source);
}

static __always_inline void take_out(u32 *set, u32 source)
{
	__sync_fetch_and_and(set, ~(1U << source));
}

static __always_inline bool event_wanted(u32 unit, u32 kind, u32 source)
{
	struct trace_info *info;

	if (!(cfg_kinds >> (kind & 31) & 1))
		return false;
	if (source < TRACE_NR_SOURCES && !(cfg_sources >> (source & 31) & 1))
		return false;
	if (cfg_vcpu < 0)
		return true;
	info = bpf_map_lookup_elem(&infos, &unit);
	return info && (info->vcpu < 0 || info->vcpu == cfg_vcpu);
}

static __always_inline struct trace_event *new_event(u32 unit, u32 kind, u32 source)
{
	struct trace_event *ev = bpf_ringbuf_reserve(&ring, sizeof(*ev), 0);

	if (!ev) {
		__sync_fetch_and_add(&events_lost, 1);
		return NULL;
	}
	__builtin_memset(ev, 0, sizeof(*ev));
	ev->host_ns = bpf_ktime_get_ns();
	ev->unit = unit;
	ev->kind = kind;
	ev->source = source;
	return ev;
}

/*
 * To wake twctl for each event costs as much as many events: it looks ten times a second on its
 * own, and is woken when a quarter of the room is taken.
 */
static __always_inline void submit(struct trace_event *ev)
{
	bpf_ringbuf_submit(ev, bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) < RING_SIZE / 4 ?
			   BPF_RB_NO_WAKEUP : BPF_RB_FORCE_WAKEUP);
}

__noinline int send_event(u32 unit, u32 what, s64 a, s64 b, s64 c)
{
	u32 kind = what & 0xffff, source = what >> 16;
	struct trace_event *ev;

	ev = event_wanted(unit, kind, source) ? new_event(unit, kind, source) : NULL;
	if (!ev)
		return 0;
	ev->a = a;
	ev->b = b;
	ev->c = c;
	submit(ev);
	return 0;
}

/* Costs nothing where nobody listens: cfg_events is known when programs are loaded */
#define event(u, kind, source, a, b, c)						\
	do {										\
		if (cfg_events)								\
			send_event((u)->id, (kind) | (u32)(source) << 16, a, b, c);	\
	} while (0)

/* Each instruction counts here: a tick comes by four times.  See struct trace_hist. */
static __always_inline void hist_add(struct trace_hist *h, u64 v, u64 linear)
{
	u64 i = linear ? trace_bucket(v, linear) : trace_bucket_by(cfg_bucket, v);

	if (v < h->min)
		h->min = v;
	if (v > h->max)
		h->max = v;
	count(h->sum, v);
	if (i < TRACE_NR_BUCKETS)
		count(h->bucket[i], 1);
}

static __always_inline void note_lost(struct unit *u, u32 source, u64 n, u32 how)
{
	event(u, TRACE_EV_LOST, source, n, how, 0);
}

static __always_inline u64 later(u64 a, u64 b)
{
	return a > b ? a : b;
}

/*
 * The guest has the tick that stands in injected_tick[]: each part is the time behind what had to
 * come before it.
 */
static __always_inline int deliver_tick(struct unit *u, u32 source)
{
	u64 now = bpf_ktime_get_ns(), due, fired, injected, linear;
	struct trace_stats *s;
	struct tick *t;

	if (!u || source >= TRACE_NR_SOURCES)
		return 0;
	s = stats_of(u, source);
	if (!s)
		return 0;
	t = &u->injected_tick[source];
	due = t->deadline_ns;
	fired = later(t->fired_ns, due);
	injected = later(t->injected_ns, fired);
	now = later(now, injected);
	linear = cfg_linear_ns;
	if (cfg_parts) {
		hist_add(&s->late[TRACE_HOST], fired - due, linear);
		hist_add(&s->late[TRACE_INJECT], injected - fired, linear);
		hist_add(&s->late[TRACE_ENTRY], now - injected, linear);
	}
	hist_add(&s->late[TRACE_TOTAL], now - due, linear);
	if (cfg_events)
		event(u, TRACE_EV_DELIVERED, source, fired - due, injected - fired, now - injected);
	return 0;
}

__noinline int deliver(struct unit *u, u32 source)
{
	return deliver_tick(u, source);
}

/* What the host's TSC shows at a moment of CLOCK_MONOTONIC; 0 if it cannot be told */
static __noinline u64 host_tsc_at(u64 ns)
{
	const struct tk_fast *fast = (const void *)cfg_tk_fast;
	u64 last, base, xtime;
	u32 mult, shift;

	if (!fast)
		return 0;
	if (bpf_ksym_exists(bpf_rdonly_cast) && cfg_tk_fast_id) {
		fast = bpf_rdonly_cast(fast, cfg_tk_fast_id);
		last = fast->base[0].cycle_last;
		base = fast->base[0].base;
		xtime = fast->base[0].xtime_nsec;
		mult = fast->base[0].mult;
		shift = fast->base[0].shift;
	} else {
		last = BPF_CORE_READ(fast, base[0].cycle_last);
		base = BPF_CORE_READ(fast, base[0].base);
		xtime = BPF_CORE_READ(fast, base[0].xtime_nsec);
		mult = BPF_CORE_READ(fast, base[0].mult);
		shift = BPF_CORE_READ(fast, base[0].shift);
	}
	if (!mult || shift > 40)
		return 0;
	return last + (s64)((((ns - base) << shift) - xtime) / mult);
}

static __always_inline u64 scale_tsc(struct kvm_vcpu *vcpu, u64 tsc)
{
	u64 ratio;

	if (!cfg_ratio_bits)
		return tsc;
	ratio = vcpu->arch.l1_tsc_scaling_ratio;
	if (ratio == 1ULL << (cfg_ratio_bits & 63))
		return tsc;
	return trace_mul_shr(tsc, ratio, cfg_ratio_bits & 63);
}

/* By how many ns a TSC deadline of the guest is past; negative if it is to come */
static __always_inline s64 tsc_past_ns(struct kvm_vcpu *vcpu, u64 deadline, u64 now)
{
	u64 tsc = host_tsc_at(now);

	if (!tsc)
		return 0;
	tsc = scale_tsc(vcpu, tsc) + vcpu->arch.l1_tsc_offset;
	return trace_ticks_to_ns((s64)(tsc - deadline), vcpu->arch.virtual_tsc_khz);
}

#endif /* TIMEWARP_TRACE_BPF_H */
