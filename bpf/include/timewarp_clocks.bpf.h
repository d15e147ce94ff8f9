/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How far guest time may leap at once, for the clock that the guest goes by.
 *
 * A counter that wraps tells a guest no more than half of its range before it is read again: it loses the rest of a leap. The
 * HPET has 32 bits, at QEMU's 100 MHz 42.9 s, the ACPI PM timer 24 bits, 4.7 s. A leap takes less than half of that half, as two
 * may pass before the guest has read. Which of them it reads, the probes on the VMM see: each reading takes the guest
 * there. At first, it may be any; one that has run between leaps, three times, and has not read a counter, goes by
 * another clock. Where there are no probes, these two clocks are not led by the timeline at all.
 *
 * A guest that counts its ticks (clocksource=jiffies, and each Linux until it has found its clocks) loses all that a leap
 * is longer than a tick. Nothing outside shows that it counts. But it ticks while it idles, too: as long as no timer has been
 * seen further ahead of a guest that idles than the longest tick there is, no leap is to pass a timer.
 *
 * A leap past timers that was made on that evidence holds as such for the VM's later policies (PASSED_TIMERS), as after it a guest that
 * counts no ticks may tick for a while: Linux checks its clocksource each half second, where the TSC is not invariant, and makes up for
 * each check that was left out, one a tick.
 *
 * For a policy with TIMEWARP_VMMS(), which includes this after it.
 */
#ifndef TIMEWARP_CLOCKS_BPF_H
#define TIMEWARP_CLOCKS_BPF_H

#define TIMEWARP_HPET_BEARS_NS (10 * TIMEWARP_NS_PER_SEC)
#define TIMEWARP_PM_BEARS_NS TIMEWARP_NS_PER_SEC
/* The slowest are 64 a second, of Windows; Linux has 100 at least. Of a periodic timer 18.2, of a PC's firmware */
#define TIMEWARP_TICK_NS 16000000ULL
#define TIMEWARP_PERIOD_NS 60000000ULL
/* So often a guest runs between leaps and does not read a counter before it is taken not to go by it */
#define TIMEWARP_CLOCK_LOOKS 3

/* Readings of all VMs of the policy as they were last, and for how many leaps more each counter counts as read */
static volatile __u64 timewarp_hpet_was, timewarp_pm_was;
static volatile __u32 timewarp_hpet_counts, timewarp_pm_counts;
/* When the last leap was asked for, in host ns */
static volatile __u64 timewarp_leapt_ns;
/* A guest that idled was seen; and one that counts no ticks, by how far ahead its timer was then */
static volatile _Bool timewarp_idled, timewarp_tickless;

__timewarp_once __u64 timewarp_hpet_reads(void)
{
	__u64 sum = 0;

	for (int i = 0; i < TIMEWARP_MAX_VMS; i++)
		sum += timewarp_vmms.vm[i].hpet_reads;
	return sum;
}

__timewarp_once __u64 timewarp_pm_reads(void)
{
	__u64 sum = 0;

	for (int i = 0; i < TIMEWARP_MAX_VMS; i++)
		sum += timewarp_vmms.vm[i].pm_reads;
	return sum;
}

/* At the first decision, and whenever nothing of before is to count */
static __always_inline void timewarp_clocks_begin(const struct kvm_timewarp_view *view)
{
	timewarp_hpet_was = timewarp_hpet_reads();
	timewarp_pm_was = timewarp_pm_reads();
	timewarp_hpet_counts = timewarp_pm_counts = TIMEWARP_CLOCK_LOOKS;
	timewarp_leapt_ns = view->host_ns;
	timewarp_idled = 0;
	timewarp_tickless = !!(view->state & KVM_TIMEWARP_PASSED_TIMERS);
}

/* When the next timer is due that is known, in guest time: of KVM's, or of a VMM, @vmm being what timewarp_vmm_due_ns() says */
static __always_inline __u64 timewarp_next_timer_ns(const struct kvm_timewarp_view *view, __u64 vmm)
{
	return view->next_timer_ns < vmm ? view->next_timer_ns : vmm;
}

/* At each decision; @vmm as above */
static __always_inline void timewarp_clocks_look(const struct kvm_timewarp_view *view, __u64 vmm)
{
	__u64 timer = timewarp_next_timer_ns(view, vmm);

	/* What is due already, or a VMM that is awake, tells nothing of how long it will idle */
	if (timewarp_tickless || !view->idle_ns || timer <= view->guest_ns)
		return;
	timewarp_idled = 1;
	timewarp_tickless = timer - view->guest_ns > (view->state & KVM_TIMEWARP_ONE_SHOT ? TIMEWARP_TICK_NS : TIMEWARP_PERIOD_NS);
}

/* Whether no leap is to pass a timer, as far as is known */
static __always_inline _Bool timewarp_clocks_tick(void)
{
	return timewarp_idled && !timewarp_tickless;
}

/* For a counter that has been read so often: for how many leaps more it counts */
static __always_inline __u32 __timewarp_counts(__u64 is, __u64 was, __u32 counts, _Bool ran)
{
	if (is != was)
		return TIMEWARP_CLOCK_LOOKS;
	return counts - (ran && counts);
}

/* How far the leap may go that is about to be asked for, in guest ns; 0 for any length */
static __always_inline __u64 timewarp_clocks_bear_ns(const struct kvm_timewarp_view *view)
{
	__u64 hpet = timewarp_hpet_reads(), pm = timewarp_pm_reads();
	/* since the last leap: else it cannot have read anything */
	_Bool ran = view->host_ns - timewarp_leapt_ns > view->idle_ns;

	if (timewarp_vmm_kicks() == ~0ULL)
		return 0;
	timewarp_leapt_ns = view->host_ns;
	timewarp_hpet_counts = __timewarp_counts(hpet, timewarp_hpet_was, timewarp_hpet_counts, ran);
	timewarp_pm_counts = __timewarp_counts(pm, timewarp_pm_was, timewarp_pm_counts, ran);
	timewarp_hpet_was = hpet;
	timewarp_pm_was = pm;
	return timewarp_pm_counts ? TIMEWARP_PM_BEARS_NS : timewarp_hpet_counts ? TIMEWARP_HPET_BEARS_NS : 0;
}

#endif /* TIMEWARP_CLOCKS_BPF_H */
