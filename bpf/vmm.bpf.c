// SPDX-License-Identifier: GPL-2.0
/*
 * vmm - clocks and timers that QEMU itself keeps follow the VM's timeline
 *
 * All of QEMU's virtual-clock devices (HPET, ACPI PM timer, a PIT or LAPIC in user space) read
 * CLOCK_MONOTONIC in one function, cpu_get_clock(), and its RTC reads CLOCK_REALTIME in
 * qemu_clock_get_ns(). The calls in there are probed, and no other readers of the host's clock:
 * the monitor, logging, migration, block jobs and displays (QEMU_CLOCK_REALTIME, GLib) stay on host time.
 *
 * The time is that of the timeline's segment, which a program on the segment's own tracepoint copies
 * within the kernel's transaction, so that there is no moment at which it is another than KVM's. Before
 * the first attachment and after the last it is what QEMU has read, plus what is left of the lead.
 *
 * While QEMU has the VM stopped, kvmclock and the virtual clock stand, and the RTC would go on, at the timeline's factor:
 * five seconds at 50x put it four minutes ahead of the guest. So it stands with them, see stood().
 *
 * The main loop sleeps in ppoll() for as long as its earliest timer has to wait. Each timer's wait
 * is converted here on its own, as some of them are in guest time and others in host time. When the
 * segment changes, a vCPU wakes the main loop, which then asks anew: at the checkpoint, which it passes if it
 * was in KVM, or else when it enters KVM again. Where vCPUs halt in user space (kernel-irqchip=off) they may do
 * neither for long: the main loop then sleeps for a bounded time, and twctl wakes it for each change of its own.
 *
 * It does not where none of the timers in guest time is due for a while even now, as the main loop
 * never sleeps longer than that at a time. Leaps come by the hundred a second, and an RTC has an alarm
 * a day. What is known here of the main loop's next timer is told to the policy, which may want to leap.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "reads.h"
#include "timewarp.h"
#include "trace.h"
#include "trace_math.h"
#include "vmm_state.h"

char LICENSE[] SEC("license") = "GPL";

#define NS_PER_SEC 1000000000ULL
#define NEVER (~0ULL >> 2)
/* The longest sleep, in host ns, for a timer in guest time */
#define LONGEST_WAIT NS_PER_SEC

/*
 * The longest sleep that QEMU's user network lets the main loop have, whether it has a use for it or not (libslirp,
 * slirp_pollfds_fill())
 */
#define NETWORK_CAP NS_PER_SEC
/* The same while it has connections: it then looks after them twice a second (TIMEOUT_SLOW) */
#define NETWORK_SLOW 499000000ULL
/* QEMU's main loop sleeps whole milliseconds */
#define POLL_NS 1000000ULL

/* A reader that has been overtaken so often by changes, a millisecond apart, does not read a segment */
#define TRIES 4

extern u64 kvm_timewarp_mul_div(u64 a, u64 b, u64 c) __ksym;
extern u64 kvm_timewarp_host_tsc(void) __ksym;

struct vmm_state vmm SEC(VMM_SECTION);
struct vmm_segments segments SEC(VMM_SEGMENTS_SECTION);

/* For the policy */
volatile struct timewarp_vmms vmms SEC(TIMEWARP_VMMS_SECTION);

/* Calls under way: where the result will stand */
struct vmm_call {
	u64 result;
	u32 site;
	u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, struct vmm_call);
} calls SEC(".maps");

/*
 * Whether a clock is that of the timeline. While it is being put back, it is until the word has its new value: a
 * reader of the virtual clock that began before that reads again (QEMU's own seqlock). That it has is noted here, as QEMU
 * may write the word next; whatever does, reads the clock first.
 */
static __always_inline bool following(u32 clock)
{
	volatile struct vmm_fold *f = &vmm.fold[clock & 1];
	u64 word = 0;

	if (f->phase == VMM_FOLLOW)
		return true;
	if (f->phase == VMM_FOLDED)
		return false;
	if (bpf_probe_read_user(&word, sizeof(word), (void *)f->word) || word != f->value)
		return true;
	f->phase = VMM_FOLDED;
	return false;
}

/*
 * What is not inline below is a global function, so that the verifier looks at it once, not on each of its
 * callers' paths: an attachment takes it 0.1 s so, and took 2 s.
 */

/* The segment in force; one that is not active if it cannot be read. Returns whether it was. */
__noinline int read_segment(struct vmm_segment *seg __arg_nonnull)
{
	u64 seq;
	int i;

	for (i = 0; i < TRIES; i++) {
		seq = *(volatile u64 *)&segments.seq;
		barrier();
		*seg = segments.slot[seq & 1];
		barrier();
		if (seq == *(volatile u64 *)&segments.seq)
			return 1;
	}
	seg->active = 0;
	__sync_fetch_and_add(&vmm.failures, 1);
	return 0;
}

static __always_inline u64 scale_tsc(u64 tsc, u64 ratio)
{
	return vmm.tsc_frac_bits ? trace_mul_shr(tsc, ratio, vmm.tsc_frac_bits) : tsc * ratio;
}

/* The timeline now, of a segment that is active */
__noinline u64 guest_now(const struct vmm_segment *seg __arg_nonnull)
{
	u64 tsc = kvm_timewarp_host_tsc();

	if (tsc < seg->begin_tsc)
		tsc = seg->begin_tsc;
	if (tsc > seg->end_tsc)
		tsc = seg->end_tsc;
	tsc = scale_tsc(tsc, seg->tsc_ratio) + seg->tsc_offset;
	return seg->pv_ns + trace_pvclock_ns(tsc - seg->pv_tsc, seg->pv_mul, seg->pv_shift);
}

/* The VMM's CLOCK_MONOTONIC and CLOCK_REALTIME, of a segment that is active */
static __always_inline u64 monotonic(const struct vmm_segment *seg)
{
	return guest_now(seg) + seg->mono_ns - vmm.mono_base_ns;
}

/*
 * For how long QEMU has had the VM stopped, in guest time, since the probes are there: what its virtual clock has lost. The
 * offset is that clock itself while it stands, so that this is exact, and is so after a snapshot was loaded as well.
 */
__noinline s64 stood(u64 monotonic_ns)
{
	short enabled = 1;
	u64 offset = 0;

	if (!vmm.stands)
		return 0;
	/* The offset has its lead by then */
	if (!following(VMM_VIRTUAL) || bpf_probe_read_user(&enabled, sizeof(enabled), (void *)vmm.enabled) ||
	    bpf_probe_read_user(&offset, sizeof(offset), (void *)vmm.offset))
		return vmm.stood_ns;
	vmm.stood_ns = vmm.stood_from_ns - offset + (enabled ? 0 : monotonic_ns);
	return vmm.stood_ns;
}

static __always_inline u64 realtime(const struct vmm_segment *seg)
{
	u64 now = guest_now(seg);

	return now + seg->wall_ns - vmm.wall_base_ns - stood(now + seg->mono_ns - vmm.mono_base_ns);
}

/* struct timespec or struct timeval */
static __always_inline void rewrite(u64 to, u64 sec, u64 fraction)
{
	u64 value[2] = { sec, fraction };

	if (bpf_probe_write_user((void *)to, value, sizeof(value)))
		__sync_fetch_and_add(&vmm.failures, 1);
}

static __always_inline int called(u64 result, u32 site)
{
	struct vmm_call call = { .result = result, .site = site };
	u32 tid = bpf_get_current_pid_tgid();

	bpf_map_update_elem(&calls, &tid, &call, 0);
	return 0;
}

/* What is added to a clock while the timeline rests */
static __always_inline s64 rest_ahead(const struct vmm_segment *seg, u32 site)
{
	s64 mono_ns = seg->mono_ahead_ns - vmm.mono_base_ns;

	if (site == VMM_CALL_MONOTONIC)
		return mono_ns;
	return seg->wall_ahead_ns - vmm.wall_base_ns - stood(bpf_ktime_get_ns() + mono_ns);
}

/* What a clock of the VMM's is to show that read OWN; 0 to leave it alone */
static __always_inline u64 clock_value(u32 site, u64 own)
{
	struct vmm_segment seg;
	s64 ahead;

	if (site == VMM_CALL_MONOTONIC ? !following(VMM_VIRTUAL) : !vmm.rtc || !following(VMM_RTC))
		return 0;
	read_segment(&seg);
	if (seg.active)
		return site == VMM_CALL_MONOTONIC ? monotonic(&seg) : realtime(&seg);
	ahead = rest_ahead(&seg, site);
	return ahead ? own + ahead : 0;
}

static __always_inline int returned(void)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct vmm_call *call = bpf_map_lookup_elem(&calls, &tid);
	/* of a unit of the fraction: of struct timespec, and of struct timeval */
	u64 to, ns, own[2], unit;
	u32 site;

	if (!call)
		return 0;
	to = call->result;
	site = call->site;
	unit = site == VMM_CALL_MONOTONIC ? 1 : 1000;
	bpf_map_delete_elem(&calls, &tid);
	if (bpf_probe_read_user(own, sizeof(own), (void *)to))
		return 0;
	ns = clock_value(site, own[0] * NS_PER_SEC + own[1] * unit);
	if (!ns)
		return 0;
	rewrite(to, ns / NS_PER_SEC, ns % NS_PER_SEC / unit);
	__sync_fetch_and_add(&vmm.clocks, 1);
	return 0;
}

/* How long a span of guest time takes the host, rounded up */
__noinline u64 host_delay(const struct vmm_segment *seg __arg_nonnull, u64 guest_ns)
{
	u64 ns;

	if (seg->frozen || kvm_timewarp_host_tsc() >= seg->end_tsc)
		return NEVER;
	ns = kvm_timewarp_mul_div(guest_ns, seg->den, seg->num);
	return ns < NEVER ? ns + 1 : NEVER;
}

static __always_inline u64 read_user(u64 from)
{
	u64 value = 0;

	bpf_probe_read_user(&value, sizeof(value), (void *)from);
	return value;
}

/* When the first timer of one of the main loop's lists is due, in that clock's ns; NEVER if none is */
__noinline u64 list_wait(const struct vmm_segment *seg __arg_nonnull, u32 clock)
{
	u64 list = read_user(vmm.timerlists + 8 * clock);
	u64 timer = list ? read_user(list + VMM_LIST_ACTIVE) : 0;
	s64 wait;
	u64 now;

	if (!timer)
		return NEVER;
	if (clock == VMM_CLOCK_REALTIME) {
		now = bpf_ktime_get_ns();
	} else if (clock == VMM_CLOCK_HOST) {
		if (!vmm.rtc)
			return 0;
		now = realtime(seg);
	} else {
		short enabled = 0;

		bpf_probe_read_user(&enabled, sizeof(enabled), (void *)vmm.enabled);
		if (!enabled)
			return NEVER;
		now = monotonic(seg) + read_user(vmm.offset);
	}
	wait = read_user(timer) - now;
	return wait > 0 ? wait : 0;
}

static __always_inline u64 smaller(u64 a, u64 b)
{
	return a < b ? a : b;
}

static __always_inline bool is_main_loop(void)
{
	u64 id = bpf_get_current_pid_tgid();

	return (u32)id == id >> 32;
}

/* Whether a clock of the main loop's is one that the timeline moves */
static __always_inline bool in_guest_time(u32 clock)
{
	return clock != VMM_CLOCK_REALTIME && (clock != VMM_CLOCK_HOST || vmm.rtc);
}

/* When a timer is due that has to wait for so long, as the policy is told it */
static __always_inline u64 due_after(const struct vmm_segment *seg, u64 guest_ns)
{
	return guest_ns >= NEVER ? ~0ULL : guest_now(seg) + seg->mono_ns + guest_ns;
}

/* Tell the policy when the next timer in guest time is due: 0 while the main loop is awake */
static __always_inline void tell_due(u64 due_ns)
{
	u32 nr = vmm.nr;

	if (nr < TIMEWARP_MAX_VMS)
		vmms.vm[nr].due_ns = due_ns;
}

/* There may be something to do for a device of the VMM's, and be under way for a while */
static __always_inline void count_kick(void)
{
	u32 nr = vmm.nr;

	if (nr < TIMEWARP_MAX_VMS)
		__sync_fetch_and_add(&vmms.vm[nr].kicks, 1);
}

/* How often there was */
static __always_inline u64 kicks(void)
{
	u32 nr = vmm.nr;

	return nr < TIMEWARP_MAX_VMS ? vmms.vm[nr].kicks : 0;
}

/* Whether a sleep is as long as QEMU's user network has it by rote */
static __always_inline bool is_networks(u64 wait)
{
	return wait == NETWORK_CAP || wait == NETWORK_SLOW;
}

/*
 * Whether a sleep of the main loop's is no longer only because its user network polls: it has asked for that length for
 * as long, and the guest for nothing meanwhile. A timer that far away would have fired by now, or be nearer.
 */
static __always_inline bool is_capped(const struct vmm_segment *seg, u64 wait)
{
	u64 now = guest_now(seg);

	if (wait != vmm.capped_wait_ns || vmm.capped_kicks != kicks()) {
		vmm.capped_wait_ns = is_networks(wait) ? wait : 0;
		vmm.capped_ns = now;
		vmm.capped_kicks = kicks();
		return false;
	}
	return now - vmm.capped_ns >= wait;
}

/* How long to sleep instead, in host ns, for whose sake, and how long it is in guest ns */
static __always_inline u64 new_wait(const struct vmm_segment *seg, u64 wait, u32 *awaits,
				    u64 *guest_ns)
{
	u64 asked = NEVER, host = NEVER, guest = NEVER, w;
	u32 clock;

	*awaits = VMM_AWAITS_UNKNOWN;
	*guest_ns = NEVER;
	/* Other event loops: whose timer it is cannot be told, so too early rather than late. */
	if (!is_main_loop() || !vmm.timerlists)
		return smaller(wait, host_delay(seg, wait));
	for (clock = 0; clock < VMM_NR_CLOCKS; clock++) {
		w = list_wait(seg, clock);
		/* A wall clock that stays the host's: what was asked covers it. */
		if (clock == VMM_CLOCK_HOST && !vmm.rtc)
			w = w == NEVER ? NEVER : wait;
		asked = smaller(asked, w);
		if (!in_guest_time(clock))
			host = smaller(host, w);
		else if (w != NEVER) {
			guest = smaller(guest, smaller(host_delay(seg, w), LONGEST_WAIT));
			*guest_ns = smaller(*guest_ns, w);
		}
	}
	*awaits = guest == NEVER ? VMM_AWAITS_NOTHING : VMM_AWAITS_TIMERS;
	host = smaller(host, guest);
	/* None of these asked for so short a sleep: a block device's timer did, on either clock. */
	if (wait < asked && !is_capped(seg, wait)) {
		host = smaller(host, smaller(wait, host_delay(seg, wait)));
		*awaits = VMM_AWAITS_UNKNOWN;
		*guest_ns = wait;
	}
	if (host == NEVER)
		host = wait;
	return vmm.longest_ns ? smaller(host, vmm.longest_ns) : host;
}

/* How long the first of the main loop's timers in guest time has to wait, in guest ns; NEVER if there is none */
static __always_inline u64 first_wait(const struct vmm_segment *seg)
{
	u64 first = NEVER;
	u32 clock;

	for (clock = 0; clock < VMM_NR_CLOCKS; clock++)
		if (in_guest_time(clock))
			first = smaller(first, list_wait(seg, clock));
	return first;
}

/* Tell it whether the VM is stopped: the main loop is where that is done, and ended, before it sleeps again */
static __always_inline void tell_stopped(void)
{
	u32 nr = vmm.nr;
	short enabled = 1;

	if (nr < TIMEWARP_MAX_VMS && vmm.enabled && !bpf_probe_read_user(&enabled, sizeof(enabled), (void *)vmm.enabled))
		vmms.vm[nr].stopped = !enabled;
}

static __always_inline int sleeps(u64 timeout)
{
	u64 value[2], wait, guest_ns;
	struct vmm_segment seg;
	u32 awaits;

	if (is_main_loop())
		tell_stopped();
	if (timeout && is_main_loop()) {
		vmm.awaits = VMM_AWAITS_NOTHING;
		/* A change from here on wakes it, whatever this comes to; a barrier as well. */
		__sync_fetch_and_add(&vmm.awaits, VMM_AWAITS_UNKNOWN);
	}
	if (!timeout || !following(VMM_VIRTUAL) || bpf_probe_read_user(value, sizeof(value), (void *)timeout))
		return 0;
	/* However far: what is told of it below bounds the leaps of a policy, which makes none without */
	wait = value[0] < NEVER / NS_PER_SEC ? value[0] * NS_PER_SEC + value[1] : NEVER;
	if (!wait)
		return 0;
	read_segment(&seg);
	/* At the host's rate, what was asked is right, until that changes. */
	if (!seg.active)
		return 0;
	if (is_main_loop()) {
		vmm.network = is_networks(wait);
		vmm.woken = 0;
	}
	wait = new_wait(&seg, wait, &awaits, &guest_ns);
	if (is_main_loop()) {
		vmm.awaits = awaits;
		tell_due(due_after(&seg, guest_ns));
	}
	rewrite(timeout, wait / NS_PER_SEC, wait % NS_PER_SEC);
	__sync_fetch_and_add(&vmm.waits, 1);
	return 0;
}

/*
 * The main loop wakes up, with so many files that are ready. It may start something for the guest: if one of them is not
 * our signal, or a timer of its own is due.
 */
static __always_inline void wakes_up(s32 ready)
{
	struct vmm_segment seg;
	u32 nr = vmm.nr;
	u64 due;

	if (nr >= TIMEWARP_MAX_VMS)
		return;
	due = vmms.vm[nr].due_ns;
	read_segment(&seg);
	if (ready > (vmm.woken ? 1 : 0) ||
	    (!vmm.network && due && due != ~0ULL && seg.active && due <= guest_now(&seg) + seg.mono_ns + POLL_NS)) {
		count_kick();
		__sync_fetch_and_add(&vmms.vm[nr].own_kicks, 1);
	}
	tell_due(0);
}

SEC("uprobe.multi")
int vmm_site(struct pt_regs *ctx)
{
	switch (bpf_get_attach_cookie(ctx)) {
	case VMM_CALL_MONOTONIC:
		return called(ctx->si, VMM_CALL_MONOTONIC);
	case VMM_CALL_REALTIME:
		return called(ctx->di, VMM_CALL_REALTIME);
	case VMM_RETURNED:
		return returned();
	case VMM_CALL_PPOLL:
		return sleeps(ctx->dx);
	case VMM_POLLS:
		/* It has no timer. What it calls ppoll() with then may be no call but a jump. */
		if ((s64)ctx->dx < 0 && is_main_loop()) {
			vmm.awaits = VMM_AWAITS_NOTHING;
			tell_due(~0ULL);
			tell_stopped();
		}
		return 0;
	case VMM_POLLED:
		if (is_main_loop())
			wakes_up(ctx->ax);
		return 0;
	}
	return 0;
}

/*
 * Whether the main loop, which sleeps, may have to do something before it wakes by itself; or what it sleeps for has come, as
 * far as the policy knows, and nothing is due. A vCPU's thread has put that timer off then, behind another or for ever, which
 * QEMU does not tell the main loop: only when it looks anew the policy is told another time, and waits for it until then.
 */
static __always_inline bool sleeps_too_long(u32 awaits)
{
	u64 due = ~0ULL, wait, now;
	struct vmm_segment seg;
	u32 nr = vmm.nr;

	if (awaits != VMM_AWAITS_TIMERS)
		return awaits != VMM_AWAITS_NOTHING;
	read_segment(&seg);
	if (!seg.active)
		return true;
	if (nr < TIMEWARP_MAX_VMS)
		due = vmms.vm[nr].due_ns;
	now = guest_now(&seg) + seg.mono_ns;
	wait = first_wait(&seg);
	return (due && due <= now) || (wait != NEVER && host_delay(&seg, wait) < LONGEST_WAIT);
}

static __always_inline int wake_main_loop(void)
{
	u32 changes = *(volatile u32 *)&vmm.changes, nr = vmm.nr;

	if (bpf_get_current_pid_tgid() >> 32 != vmm.pid || vmm.fold[VMM_VIRTUAL].phase != VMM_FOLLOW ||
	    vmm.told == changes)
		return 0;
	vmm.told = changes;
	if (!sleeps_too_long(*(volatile u32 *)&vmm.awaits))
		return 0;
	vmm.woken = 1;
	if (nr < TIMEWARP_MAX_VMS)
		__sync_fetch_and_add(&vmms.vm[nr].wakes, 1);
	bpf_send_signal(VMM_WAKE_SIGNAL);
	return 0;
}

/* By its name: PIDs are those of whichever thread made the VM, and another VM may have the address later */
static __always_inline bool is_ours(struct kvm *kvm)
{
	const unsigned char *name = BPF_CORE_READ(kvm, debugfs_dentry, d_name.name);
	char is[VMM_NAME_LEN] = {};
	int i;

	if (!name || bpf_probe_read_kernel_str(is, sizeof(is), name) < 0)
		return false;
	for (i = 0; i < VMM_NAME_LEN; i++)
		if (is[i] != vmm.vm[i])
			return false;
	return true;
}

static __always_inline void copy_segment(struct vmm_segment *to, struct kvm_timeline *tl)
{
	to->active = BPF_CORE_READ(tl, active);
	to->frozen = BPF_CORE_READ(tl, frozen);
	to->num = BPF_CORE_READ(tl, rate.num);
	to->den = BPF_CORE_READ(tl, rate.den);
	to->begin_tsc = BPF_CORE_READ(tl, seg_host_tsc);
	to->end_tsc = BPF_CORE_READ(tl, end_tsc);
	to->tsc_ratio = BPF_CORE_READ(tl, tsc_ratio);
	to->tsc_offset = BPF_CORE_READ(tl, tsc_offset);
	to->pv_tsc = BPF_CORE_READ(tl, pv_tsc);
	to->pv_ns = BPF_CORE_READ(tl, pv_ns);
	to->pv_mul = BPF_CORE_READ(tl, pv_mul);
	to->pv_shift = BPF_CORE_READ(tl, pv_shift);
	to->mono_ns = BPF_CORE_READ(tl, mono_ns);
	to->wall_ns = BPF_CORE_READ(tl, wall_ns);
	to->mono_ahead_ns = BPF_CORE_READ(tl, mono_ahead_ns);
	to->wall_ahead_ns = BPF_CORE_READ(tl, wall_ahead_ns);
}

/* Called for each change while the vCPUs are held, before any of them goes on */
SEC("tp_btf/kvm:kvm_timewarp_segment")
int BPF_PROG(vmm_change, struct kvm_timeline *tl)
{
	u64 next = segments.seq + 1;
	u32 nr = vmm.nr;

	if (!tl || !is_ours(BPF_CORE_READ(tl, kvm)))
		return 0;
	copy_segment(&segments.slot[next & 1], tl);
	if (nr < TIMEWARP_MAX_VMS) {
		vmms.vm[nr].mono_ns = segments.slot[next & 1].mono_ns;
		vmms.vm[nr].pid = vmm.pid;
	}
	barrier();
	*(volatile u64 *)&segments.seq = next;
	__sync_fetch_and_add(&vmm.changes, 1);
	return 0;
}

SEC("fexit/kvm:kvm_timeline_wait")
int vmm_wake(void *ctx)
{
	return wake_main_loop();
}

/* A vCPU comes back from the VMM, which has done something for the guest. What wakes the main loop is none's to take */
SEC("fentry/kvm:kvm_arch_vcpu_ioctl_run")
int vmm_enter(void *ctx)
{
	if (bpf_get_current_pid_tgid() >> 32 == vmm.pid)
		count_kick();
	return wake_main_loop();
}

/* What a device is told without the vCPU leaving KVM: that there is work in a queue */
SEC("fentry/kvm:ioeventfd_write")
int vmm_kick(void *ctx)
{
	if (bpf_get_current_pid_tgid() >> 32 == vmm.pid)
		count_kick();
	return 0;
}

/* The clocks that wrap, of those that the guest may go by: each reading comes here */
SEC("raw_tp/kvm_mmio")
int vmm_mmio(const __u64 *args)
{
	u32 nr = vmm.nr;

	if (tw_reads_hpet(args) && bpf_get_current_pid_tgid() >> 32 == vmm.pid && nr < TIMEWARP_MAX_VMS)
		__sync_fetch_and_add(&vmms.vm[nr].hpet_reads, 1);
	return 0;
}

SEC("raw_tp/kvm_pio")
int vmm_pio(const __u64 *args)
{
	u32 nr = vmm.nr;

	if (tw_reads_pm_timer(args) && bpf_get_current_pid_tgid() >> 32 == vmm.pid && nr < TIMEWARP_MAX_VMS)
		__sync_fetch_and_add(&vmms.vm[nr].pm_reads, 1);
	return 0;
}
