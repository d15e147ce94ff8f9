// SPDX-License-Identifier: GPL-2.0
/*
 * vmm - clocks and timers that QEMU itself keeps follow the VM's timeline
 *
 * All of QEMU's virtual-clock devices (HPET, ACPI PM timer, a PIT or LAPIC in user space) read
 * CLOCK_MONOTONIC in one function, cpu_get_clock(), and its RTC reads CLOCK_REALTIME in
 * qemu_clock_get_ns(). The calls in there are probed, and no other readers of the host's clock:
 * the monitor, logging, migration, block jobs and displays (QEMU_CLOCK_REALTIME, GLib) stay on host time.
 *
 * The time comes from kvm_timewarp_clock(), which evaluates the very segment that KVM uses, under
 * the same sequence counter: there is no second copy that could tear or drift.
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
#include "timewarp.h"
#include "vmm_state.h"

char LICENSE[] SEC("license") = "GPL";

#define CLOCK_REALTIME 0
#define CLOCK_MONOTONIC 1
#define NS_PER_SEC 1000000000ULL
#define NEVER (~0ULL >> 2)
/* The longest sleep, in host ns, for a timer in guest time */
#define LONGEST_WAIT NS_PER_SEC

extern u64 kvm_timewarp_clock(u32 pid, u32 clock) __ksym;
extern u64 kvm_timewarp_host_delay(u32 pid, u64 guest_ns) __ksym;

struct vmm_state vmm SEC(VMM_SECTION);

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

static __always_inline bool following(void)
{
	u32 phase = *(volatile u32 *)&vmm.phase;
	u64 offset = 0;

	if (phase == VMM_FOLLOW)
		return true;
	if (phase == VMM_FOLDED)
		return false;
	/* A reader that began before the offset is written reads again: QEMU's own seqlock. */
	bpf_probe_read_user(&offset, sizeof(offset), (void *)vmm.offset);
	return offset != vmm.folded_offset;
}

static __always_inline u64 monotonic(void)
{
	u64 ns = kvm_timewarp_clock(vmm.pid, CLOCK_MONOTONIC);

	return ns ? ns - vmm.mono_base_ns : 0;
}

static __always_inline u64 realtime(void)
{
	u64 ns = kvm_timewarp_clock(vmm.pid, CLOCK_REALTIME);

	return ns ? ns - vmm.wall_base_ns : 0;
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

static __always_inline int returned(void)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct vmm_call *call = bpf_map_lookup_elem(&calls, &tid);
	u64 to, ns;
	u32 site;

	if (!call)
		return 0;
	to = call->result;
	site = call->site;
	bpf_map_delete_elem(&calls, &tid);
	if (site == VMM_CALL_MONOTONIC) {
		ns = following() ? monotonic() : 0;
		if (ns)
			rewrite(to, ns / NS_PER_SEC, ns % NS_PER_SEC);
	} else {
		ns = vmm.rtc && vmm.phase == VMM_FOLLOW ? realtime() : 0;
		if (ns)
			rewrite(to, ns / NS_PER_SEC, ns % NS_PER_SEC / 1000);
	}
	if (ns)
		__sync_fetch_and_add(&vmm.clocks, 1);
	return 0;
}

static __always_inline u64 host_delay(u64 guest_ns)
{
	return kvm_timewarp_host_delay(vmm.pid, guest_ns);
}

static __always_inline u64 read_user(u64 from)
{
	u64 value = 0;

	bpf_probe_read_user(&value, sizeof(value), (void *)from);
	return value;
}

/* When the first timer of one of the main loop's lists is due, in that clock's ns; NEVER if none is */
static __always_inline u64 list_wait(u32 clock)
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
		now = realtime();
	} else {
		short enabled = 0;

		bpf_probe_read_user(&enabled, sizeof(enabled), (void *)vmm.enabled);
		if (!enabled)
			return NEVER;
		now = monotonic() + read_user(vmm.offset);
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

/* Tell the policy when the next timer in guest time is due: 0 while the main loop is awake */
static __always_inline void tell_due(u64 due_ns)
{
	u32 nr = vmm.nr;

	if (nr > TIMEWARP_MAX_PEERS)
		return;
	vmms.vm[nr].due_ns = due_ns;
	vmms.vm[nr].pid = vmm.pid;
}

/* How long to sleep instead, in host ns, for whose sake, and how long it is in guest ns */
static __always_inline u64 new_wait(u64 wait, u32 *awaits, u64 *guest_ns)
{
	u64 asked = NEVER, host = NEVER, guest = NEVER, w;
	u32 clock;

	*awaits = VMM_AWAITS_UNKNOWN;
	*guest_ns = NEVER;
	/* Other event loops: whose timer it is cannot be told, so too early rather than late. */
	if (!is_main_loop() || !vmm.timerlists)
		return smaller(wait, host_delay(wait));
	for (clock = 0; clock < VMM_NR_CLOCKS; clock++) {
		w = list_wait(clock);
		/* A wall clock that stays the host's: what was asked covers it. */
		if (clock == VMM_CLOCK_HOST && !vmm.rtc)
			w = w == NEVER ? NEVER : wait;
		asked = smaller(asked, w);
		if (!in_guest_time(clock))
			host = smaller(host, w);
		else if (w != NEVER) {
			guest = smaller(guest, smaller(host_delay(w), LONGEST_WAIT));
			*guest_ns = smaller(*guest_ns, w);
		}
	}
	*awaits = guest == NEVER ? VMM_AWAITS_NOTHING : VMM_AWAITS_TIMERS;
	host = smaller(host, guest);
	/* None of these asked for so short a sleep: a block device's timer did, on either clock. */
	if (wait < asked) {
		host = smaller(host, smaller(wait, host_delay(wait)));
		*awaits = VMM_AWAITS_UNKNOWN;
		*guest_ns = wait;
	}
	if (host == NEVER)
		host = wait;
	return vmm.longest_ns ? smaller(host, vmm.longest_ns) : host;
}

/* Whether the main loop, which sleeps, may have to do something before it wakes by itself */
static __always_inline bool is_due_soon(void)
{
	u64 host = NEVER, w;
	u32 clock;

	for (clock = 0; clock < VMM_NR_CLOCKS; clock++) {
		if (!in_guest_time(clock))
			continue;
		w = list_wait(clock);
		if (w != NEVER)
			host = smaller(host, host_delay(w));
	}
	return host < LONGEST_WAIT;
}

static __always_inline int sleeps(u64 timeout)
{
	u64 value[2], wait, guest_ns;
	u32 awaits;

	if (timeout && is_main_loop()) {
		vmm.awaits = VMM_AWAITS_NOTHING;
		/* A change from here on wakes it, whatever this comes to; a barrier as well. */
		__sync_fetch_and_add(&vmm.awaits, VMM_AWAITS_UNKNOWN);
	}
	if (!timeout || !following() || bpf_probe_read_user(value, sizeof(value), (void *)timeout))
		return 0;
	/* Beyond a year nobody waits for it */
	if (value[0] > 31536000)
		return 0;
	wait = value[0] * NS_PER_SEC + value[1];
	if (!wait)
		return 0;
	wait = new_wait(wait, &awaits, &guest_ns);
	if (is_main_loop()) {
		vmm.awaits = awaits;
		tell_due(guest_ns >= NEVER ? ~0ULL :
			 kvm_timewarp_clock(vmm.pid, CLOCK_MONOTONIC) + guest_ns);
	}
	rewrite(timeout, wait / NS_PER_SEC, wait % NS_PER_SEC);
	__sync_fetch_and_add(&vmm.waits, 1);
	return 0;
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
		}
		return 0;
	case VMM_POLLED:
		if (is_main_loop())
			tell_due(0);
		return 0;
	}
	return 0;
}

static __always_inline int wake_main_loop(void)
{
	u32 changes = *(volatile u32 *)&vmm.changes, awaits;

	if (bpf_get_current_pid_tgid() >> 32 != vmm.pid || vmm.phase != VMM_FOLLOW ||
	    vmm.told == changes)
		return 0;
	vmm.told = changes;
	awaits = *(volatile u32 *)&vmm.awaits;
	if (awaits == VMM_AWAITS_NOTHING || (awaits == VMM_AWAITS_TIMERS && !is_due_soon()))
		return 0;
	bpf_send_signal(VMM_WAKE_SIGNAL);
	__sync_fetch_and_add(&vmm.wakes, 1);
	return 0;
}

/* Called for each VM of a change while its vCPUs are held: none passes by before it counts */
SEC("fexit/kvm_hv_request_tsc_page_update")
int BPF_PROG(vmm_change, struct kvm *kvm)
{
	if ((u32)BPF_CORE_READ(kvm, userspace_pid) == vmm.pid)
		__sync_fetch_and_add(&vmm.changes, 1);
	return 0;
}

SEC("fexit/__kvm_timeline_checkpoint")
int vmm_wake(void *ctx)
{
	return wake_main_loop();
}

SEC("fentry/kvm_arch_vcpu_ioctl_run")
int vmm_enter(void *ctx)
{
	return wake_main_loop();
}
