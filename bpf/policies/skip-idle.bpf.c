// SPDX-License-Identifier: GPL-2.0
/*
 * skip-idle - when all vCPUs wait, guest time leaps to the next timer
 *
 *	twctl attach --vm my-guest --policy skip-idle
 *	twctl attach --vm my-guest --policy skip-idle --param until=365d --exit-when-done
 *	twctl attach --vm my-guest --policy skip-idle --factor 10 --param idle=20ms --param max_skip=1s
 *
 * Busy phases run at "factor". A guest all of whose vCPUs are halted leaps to its next armed timer, of
 * any kind that KVM emulates, and that timer fires. The kernel looks again once the vCPUs are held: if
 * one of them has run, or an interrupt has come, nothing is skipped; and a leap ends at the next timer,
 * whatever the policy has worked out.
 *
 * It does not leap while something may be on its way from outside: a disk, the network, a person. When there was something
 * to do for a device (a vCPU has left KVM, a queue was kicked, the VMM's main loop was woken for a file or a timer of its own)
 * it leaps only once that is over for a while of the host's time; from then on, until there is again, at once. How
 * long a while, it learns: four times the longest pause that it has seen in a device's work, a millisecond at least and
 * "patience" at most, and at first. "idle" is a while of another's choice. What takes longer, the guest sees as having
 * taken until its next timer. KVM does not know of it.
 *
 * With "slack" a leap goes on that far past the timer, and what falls due until then fires together with
 * it: so many leaps fewer, each timer late by no more than it. Not while a timer is periodic, nor of a guest that may count
 * its ticks, as ticks would be lost; and no further than the clock bears that the guest goes by (timewarp_clocks.bpf.h).
 *
 * Timers that live in the VMM (RTC, HPET, a disk's throttle) count where its clocks follow (twctl
 * attach --vmm): no leap goes past one by more than the slack, nor happens while the VMM's main loop is awake. With --vmm
 * off they are on the host's time, as whatever else comes from outside, and nothing is known of devices:
 * it leaps only once all vCPUs have been halted for "idle", or 5 ms, each time.
 *
 * A guest without a timer has nowhere to go, and waits.
 */
#include "timewarp.bpf.h"

TIMEWARP_REFUSAL(OF_HOST, "'until' is a moment of the host's clock: give a date of the guest's, or a span");
TIMEWARP_REFUSAL(TOO_FAR, "'until' is more than 146 years of the guest away");
TIMEWARP_SUMMARY("when all vCPUs wait, guest time leaps to the next timer");

TIMEWARP_PARAM_FACTOR(factor, 1, 1, "guest seconds per host second while it does not skip");
TIMEWARP_PARAM(__u64, idle, 0ULL, 0ULL, 60000000000ULL, "ns",
	       "host time for which no device must have been used; 0: as learnt (--vmm off: all vCPUs halted; 0: 5ms)");
TIMEWARP_PARAM(__u64, patience, 200000000ULL, 1000000ULL, 60000000000ULL, "ns",
	       "the same at most, where it is learnt and devices are slow");
TIMEWARP_PARAM(__u64, slack, 0ULL, 0ULL, 10000000000ULL, "ns",
	       "guest time by which timers may be late, so that one leap serves several");
TIMEWARP_PARAM(__u64, max_skip, 1800000000000ULL, 1ULL, 1800000000000ULL, "ns",
	       "guest time that is skipped at once, at most");
TIMEWARP_PARAM(__u64, min_skip, 1000000ULL, 0ULL, 1800000000000ULL, "ns",
	       "guest time that is worth a skip");
TIMEWARP_PARAM_WHEN(until, "a date or span of the guest at which skipping ends");

TIMEWARP_COUNTER(skips, "", "how often it was skipped, or tried to");
TIMEWARP_COUNTER(ended, "", "1 when 'until' has come");
TIMEWARP_COUNTER(waited, "", "how often a VMM that was awake, or its timer, was waited for");
TIMEWARP_COUNTER(guarded, "", "how often it was waited, as a device had been used");
TIMEWARP_COUNTER(rate, "", "guest seconds per host second, of the last half a minute to a minute");
TIMEWARP_COUNTER(guard_ns, "ns", "host time for which that kept it from a skip");
TIMEWARP_COUNTER(quiet_ns, "ns", "host time for which no device must have been used, as it is now");
TIMEWARP_COUNTER(vmm_ns, "ns", "host time for which a VMM that was awake, or its timer, did");
TIMEWARP_VMMS();
TIMEWARP_EVENTS();
TIMEWARP_EXIT_RECORD(skip_exit)

#include "timewarp_devices.bpf.h"
#include "timewarp_clocks.bpf.h"

/* How long to wait at least where the last leap has woken the VMM's main loop as well: about what that needs */
#define SOON_NS 250000ULL

/*
 * How long to wait at least where the last halt has led to no leap, as a device is at work, or the next timer is near: each
 * call takes something of the guest's
 */
#define WORK_NS 100000ULL

static volatile __u64 until_ns;
/* No device is waited for less, as it takes about that to be asked for something; and where nothing is known of them */
#define LEAST_IDLE_NS 1000000ULL
#define BLIND_IDLE_NS 5000000ULL
/* The last time that the guest was found halted, it leapt */
static volatile _Bool leaps;
/* The last leap went as far as a timer of the VMM's */
static volatile _Bool leapt_to_vmm;
/* What timewarp_vmm_wakes() said at the last leap, and how long to wait after it */
static volatile __u64 leap_wakes, soon_ns = SOON_NS;

/* What kept it from a leap when it last was to: 0 for nothing, and since when, in host ns */
enum keeper { NOBODY, GUARD, VMM };
static volatile __u64 kept_by, kept_since_ns;
/* Of the rate: two moments, half a minute or more apart */
#define RATE_NS 30000000000ULL
static volatile __u64 from_host_ns, from_guest_ns, then_host_ns, then_guest_ns;

static __always_inline __u64 earlier(__u64 a, __u64 b)
{
	return a < b ? a : b;
}

/* It is kept from a leap, or is not; what it was kept by until now has taken that long */
static __always_inline void keep(const struct kvm_timewarp_view *view, enum keeper keeper)
{
	if (kept_by == GUARD)
		guard_ns += view->host_ns - kept_since_ns;
	else if (kept_by == VMM)
		vmm_ns += view->host_ns - kept_since_ns;
	kept_by = keeper;
	kept_since_ns = view->host_ns;
}

static __always_inline void measure(const struct kvm_timewarp_view *view)
{
	/* At the attach; and a guest whose clock somebody has set back */
	if (!then_host_ns || view->guest_ns < from_guest_ns) {
		from_host_ns = then_host_ns = view->host_ns;
		from_guest_ns = then_guest_ns = view->guest_ns;
	}
	if (view->host_ns > from_host_ns)
		rate = (view->guest_ns - from_guest_ns) / (view->host_ns - from_host_ns);
	if (view->host_ns - then_host_ns >= RATE_NS) {
		from_host_ns = then_host_ns;
		from_guest_ns = then_guest_ns;
		then_host_ns = view->host_ns;
		then_guest_ns = view->guest_ns;
	}
}

/* How much longer it is waited, in host ns, as something may be on its way */
static __always_inline __u64 guard(const struct kvm_timewarp_view *view)
{
	__u64 blind_ns = idle ? idle : BLIND_IDLE_NS;

	/* as timewarp_devices_look() has just found it */
	if (timewarp_device_kicks == ~0ULL)
		return view->idle_ns < blind_ns ? blind_ns - view->idle_ns : 0;
	quiet_ns = idle ? idle : timewarp_devices_quiet_ns(LEAST_IDLE_NS, patience);
	/* A guest that merely runs, as at its tick, has asked for nothing */
	return timewarp_devices_wait_ns(view, quiet_ns);
}

/* A VMM's main loop is awake, or has a timer about to be due: looks again soon */
static __always_inline void wait_for_vmm(const struct kvm_timewarp_view *view,
					 struct kvm_timewarp_answer *answer)
{
	waited++;
	keep(view, VMM);
	answer->next_host_ns = view->host_ns + TIMEWARP_MIN_INTERVAL_NS;
}

/* How far past the next timer a leap may go on */
static __always_inline __u64 slack_of(const struct kvm_timewarp_view *view, __u64 timer)
{
	__u64 bears, most;

	if (!slack || !(view->state & KVM_TIMEWARP_ONE_SHOT) || !timewarp_tickless || timer + slack < timer)
		return 0;
	bears = timewarp_clocks_bear_ns(view);
	if (!bears)
		return slack;
	/* Up to its timer a guest knows itself how long it may sleep */
	most = view->guest_ns + bears;
	return timer < most ? earlier(slack, most - timer) : 0;
}

static __always_inline void skip(const struct kvm_timewarp_view *view,
				 struct kvm_timewarp_answer *answer, __u64 end, __u64 vmm)
{
	__u64 timer = timewarp_next_timer_ns(view, vmm), late, wait = guard(view), wakes, to;

	keep(view, NOBODY);
	if (timer == ~0ULL)
		return;
	if (wait) {
		guarded++;
		keep(view, GUARD);
		answer->next_host_ns = view->host_ns + wait;
		return;
	}
	if (!vmm) {
		wait_for_vmm(view, answer);
		return;
	}
	late = slack_of(view, timer);
	to = earlier(timer + late, end);
	to = earlier(to, view->guest_ns + earlier(max_skip, TIMEWARP_MAX_LEAP_NS));
	/*
	 * KVM tells but once that the vCPUs have halted, and they may go on waiting when this is over.
	 * A timer wakes somebody as a rule, and when he halts again, that is told.
	 */
	answer->next_host_ns = view->host_ns + 2 * (idle ? idle : BLIND_IDLE_NS);
	if (to <= view->guest_ns || to - view->guest_ns < min_skip) {
		if (to == vmm)
			wait_for_vmm(view, answer);
		return;
	}
	answer->leap_ns = to;
	answer->flags = KVM_TIMEWARP_IF_IDLE;
	if (late)
		answer->flags |= KVM_TIMEWARP_PAST_TIMERS;
	leapt_to_vmm = to >= vmm;
	skips++;
	wakes = timewarp_vmm_wakes();
	/* The next leap wakes the main loop as a rule if this one's forerunner did */
	soon_ns = wakes == leap_wakes ? TIMEWARP_MIN_IDLE_NS : SOON_NS;
	leap_wakes = wakes;
	if (to < view->next_timer_ns)
		answer->next_host_ns = view->host_ns + TIMEWARP_MIN_INTERVAL_NS;
}

TIMEWARP_DECIDE(skip_decide, view, answer)
{
	__u64 kind = until.kind, end = until_ns, vmm = timewarp_vmm_due_ns(view);

	if (view->event <= KVM_TIMEWARP_PARAMS) {
		end = timewarp_when_ns(kind, until.ns, view->host_ns, view->guest_ns);
		if (timewarp_on_host(kind))
			return -OF_HOST;
		if (kind != TIMEWARP_NEVER && end == ~0ULL)
			return -TOO_FAR;
		if (end <= view->guest_ns)
			return -ETIME;
		until_ns = end;
		ended = 0;
		if (view->event != KVM_TIMEWARP_PARAMS)
			timewarp_devices_begin(view, patience);
		timewarp_clocks_begin(view);
	}
	/* While a vCPU runs, it is that which takes the time */
	timewarp_devices_look(view, view->halted_ns, leapt_to_vmm, patience);
	timewarp_clocks_look(view, vmm);
	measure(view);
	answer->factor_num = factor.num;
	answer->factor_den = factor.den;
	if (timewarp_reached(view, answer, kind, end)) {
		if (!ended) {
			ended = 1;
			timewarp_tell(view, TIMEWARP_EVENT_DONE, skips);
		}
		return 0;
	}
	/* That they wait already was told, under another 'until', and is not told again */
	if (view->event <= KVM_TIMEWARP_PARAMS)
		answer->next_host_ns = view->host_ns + TIMEWARP_MIN_INTERVAL_NS;
	if (view->event == KVM_TIMEWARP_IDLE ||
	    (view->event == KVM_TIMEWARP_HOST_TIME && view->idle_ns >= soon_ns)) {
		skip(view, answer, end, vmm);
		leaps = !!answer->leap_ns;
	}
	answer->next_idle_ns = leaps || soon_ns > WORK_NS ? soon_ns : WORK_NS;
	return 0;
}

TIMEWARP_OPS_NAMED(skip_idle, "skip-idle",
	     .decide = (void *)skip_decide,
	     .exit = (void *)skip_exit);
