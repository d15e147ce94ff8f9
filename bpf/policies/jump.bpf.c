// SPDX-License-Identifier: GPL-2.0
/*
 * jump - move the guest forward, to a date or by a span
 *
 *	twctl jump   --vm my-guest +30d
 *	twctl jump   --vm my-guest 2038-01-19T03:14:00Z
 *	twctl attach --vm my-guest --policy jump --param to=30d --exit-when-done
 *
 * The guest goes in leaps, and after each does what has become due: a timer that a leap passes fires
 * once, at its end, however often it would have. The next leap comes as soon as all vCPUs wait again and no
 * device is at work for it. How long that must be so, it learns: four times the longest pause that it has seen in
 * a device's work, as that was how long a request took, at most "patience" and at least "idle". Until it has
 * seen any, "patience".
 *
 * No leap is longer than the clock bears that the guest goes by, and none passes a timer of a guest that may count its
 * ticks: timewarp_clocks.bpf.h says how that is known. One that is known to go by another clock, and ticks while it idles
 * (nohz=off), needs "leap" to go faster.
 *
 * A guest that reads kvmclock is told of each leap by KVM, by the flag that a VMM sets after a pause, and
 * its kernel's watchdogs start anew. Those of user space do not: 60 s are half of the shortest that is common. One
 * without would take a leap of 20 s for a lockup, and gets 10 s. So does one that works, or whose devices do for long:
 * Linux gives a disk 30 s for a request.
 *
 * It ends at the moment asked for, to the nanosecond, if that lies ahead by more than what the last
 * pause takes; a moment that has passed is refused with ETIME.
 *
 *	twctl jump   --vm my-guest --allow-backward -- -10s
 *
 * goes back, to see what the guest does about it. Nothing tells it. All its clocks go back together, and
 * with them what waits for a time of theirs, as a TSC deadline does; timers that count down, the
 * LAPIC's other ones and the PIT, go on as if nothing had happened.
 */
#include "timewarp.bpf.h"

TIMEWARP_REFUSAL(NEVER, "'to' is never: say where to, such as to=30d");
TIMEWARP_REFUSAL(OF_HOST, "'to' is a moment of the host's clock: give a date of the guest's, or a span");
TIMEWARP_REFUSAL(NOWHERE, "'to' is before the host was booted, or more than 146 years of the guest away");
TIMEWARP_SUMMARY("move the guest forward, to a date or by a span, or back if that is allowed");

TIMEWARP_PARAM_WHEN(to, "a date of the guest, or a span of its time");
TIMEWARP_PARAM(__u64, leap, 0, 0, 1800000000000ULL, "ns",
	       "how far it goes at once, at most; 0 for a minute, or 10 s if it cannot be told, or from tick to tick");
TIMEWARP_PARAM(__u64, pause, 5000000ULL, 1000000ULL, 60000000000ULL, "ns",
	       "host time after which a guest that works leaps as well");
TIMEWARP_PARAM(__u64, idle, 5000000ULL, 1000000ULL, 60000000000ULL, "ns",
	       "host time for which no device must have been used, at least");
TIMEWARP_PARAM(__u64, patience, 200000000ULL, 1000000ULL, 60000000000ULL, "ns",
	       "the same at most, where devices are slow");
TIMEWARP_PARAM(__u64, backward, 0, 0, 1, "", "1: 'to' is a date that has passed, or a span to go back by");
TIMEWARP_PARAM_FACTOR(factor, 1, 1, "guest seconds per host second, between leaps and afterwards");

TIMEWARP_COUNTER(leaps, "", "how many it took so far");
TIMEWARP_COUNTER(arrived, "", "1 when it is there");
TIMEWARP_COUNTER(quiet_ns, "ns", "host time for which no device must have been used, as it is now");
TIMEWARP_COUNTER(bears_ns, "ns", "how far the clock that the guest reads lets it leap; 0 for any length");
TIMEWARP_COUNTER(ticks, "", "1 while it goes from tick to tick, as the guest may count them");
TIMEWARP_VMMS();
TIMEWARP_EVENTS();
TIMEWARP_EXIT_RECORD(jump_exit)

#include "timewarp_devices.bpf.h"
#include "timewarp_clocks.bpf.h"

#define LEAP_TOLD_NS (60 * TIMEWARP_NS_PER_SEC)
#define LEAP_UNTOLD_NS (10 * TIMEWARP_NS_PER_SEC)
/* A guest that has halted for no longer may have somebody who is about to wake it */
#define HALTED_NS 100000ULL
/* Of a guest that is at work, or has a device at work */
#define LEAP_AT_WORK_NS (10 * TIMEWARP_NS_PER_SEC)
/* A VM that QEMU has stopped is waited for: whether it goes on is looked so often, in host time */
#define LOOK_STOPPED_NS (50 * TIMEWARP_MIN_INTERVAL_NS)

static volatile __u64 at_ns;
static volatile _Bool back, back_there, told;
/* Where the last leap was to end, and when in host ns it was asked for */
static volatile __u64 leap_end_ns, leapt_ns;
/* Where the timeline was when it saw last that QEMU has the VM stopped; 0 if it has not */
static volatile __u64 stopped_ns;
/* When it looked last at what devices do, in host ns */
static volatile __u64 looked_ns;

static __always_inline __u64 leap_of(const struct kvm_timewarp_view *view)
{
	__u64 ns = leap ? leap : view->state & KVM_TIMEWARP_TELLS ? LEAP_TOLD_NS : LEAP_UNTOLD_NS;

	return bears_ns && bears_ns < ns ? bears_ns : ns;
}

/* Where to, or 0 if there is no such moment */
static __always_inline __u64 target(const struct kvm_timewarp_view *view, __u64 kind)
{
	__u64 ns = to.ns, at;

	if (backward && kind == TIMEWARP_AFTER_GUEST)
		return ns < view->guest_ns ? view->guest_ns - ns : 0;
	at = timewarp_when_ns(kind, ns, view->host_ns, view->guest_ns);
	return at >> 62 ? 0 : at;
}

/* At first something may be under way, and nothing is known of how long that takes */
static __always_inline void begin_to_learn(const struct kvm_timewarp_view *view)
{
	timewarp_devices_begin(view, patience);
	leapt_ns = looked_ns = view->host_ns;
	leap_end_ns = 0;
	quiet_ns = timewarp_devices_quiet_ns(idle, patience);
}

/* Whether no device has been at work for so long that none is taken to be */
static __always_inline _Bool is_quiet(const struct kvm_timewarp_view *view, __u64 vmm)
{
	__u64 waited_ns = view->host_ns - looked_ns;
	_Bool used, quiet;

	/* Nothing is known of them */
	if (timewarp_vmm_kicks() == ~0ULL)
		return view->host_ns - leapt_ns >= pause;
	looked_ns = view->host_ns;
	used = timewarp_devices_look(view, waited_ns, 0, patience);
	quiet_ns = timewarp_devices_quiet_ns(idle, patience);
	if (used || !vmm)
		return 0;
	quiet = !timewarp_devices_wait_ns(view, quiet_ns);
	quiet_ns = timewarp_devices_quiet_ns(idle, patience);
	return quiet;
}

static __always_inline void leap_to(const struct kvm_timewarp_view *view,
				    struct kvm_timewarp_answer *answer, __u64 at, __u64 far)
{
	__u64 now = view->guest_ns;

	if (at > now)
		answer->leap_ns = at - now > far ? now + far : at;
	else
		answer->leap_ns = now - at > far ? now - far : at;
	leap_end_ns = answer->leap_ns;
	leapt_ns = view->host_ns;
}

/* Backward nothing is awaited but the pause */
static __always_inline void go_back(const struct kvm_timewarp_view *view,
				    struct kvm_timewarp_answer *answer, __u64 at)
{
	if (view->host_ns - leapt_ns >= pause || !leap_end_ns) {
		leap_to(view, answer, at, leap_of(view));
		/* it is behind the guest for ever, so having been there is what counts */
		back_there = answer->leap_ns == at;
		leaps++;
	}
	answer->next_host_ns = leapt_ns + pause;
}

/* That it takes long, once it is known why */
static __always_inline void tell(const struct kvm_timewarp_view *view)
{
	if (told || leaps <= TIMEWARP_CLOCK_LOOKS || !(ticks || bears_ns))
		return;
	told = 1;
	timewarp_tell(view, TIMEWARP_EVENT_LEAPS, ticks ? 0 : bears_ns / 1000000);
}

/* Whether a leap may be made, and how: if one of the vCPUs runs by then, it may ask something of a device */
static __always_inline _Bool may_leap(const struct kvm_timewarp_view *view, struct kvm_timewarp_answer *answer,
				      __u64 vmm)
{
	__u64 since_ns = view->host_ns - leapt_ns;
	_Bool quiet = is_quiet(view, vmm);
	/*
	 * Not if something is due, as after the last leap: whoever has been woken waits for a CPU of the host yet. One who
	 * would pet a watchdog by then misses his turn, and the next leap is the one too many.
	 */
	_Bool waits = view->idle_ns && timewarp_next_timer_ns(view, vmm) > view->guest_ns;

	/* Whoever says how far it may go knows that it counts no ticks */
	ticks = !leap && timewarp_clocks_tick();
	if (quiet && waits) {
		answer->flags = KVM_TIMEWARP_IF_IDLE | (ticks ? 0 : KVM_TIMEWARP_PAST_TIMERS);
		return 1;
	}
	return !ticks && ((quiet && since_ns >= pause) || since_ns >= pause + 4 * quiet_ns);
}

static __always_inline void go_on(const struct kvm_timewarp_view *view,
				  struct kvm_timewarp_answer *answer, __u64 at, __u64 vmm)
{
	__u64 far, timer;

	answer->next_host_ns = view->host_ns + TIMEWARP_MIN_INTERVAL_NS;
	answer->next_idle_ns = HALTED_NS;
	if (!may_leap(view, answer, vmm))
		return;
	bears_ns = timewarp_clocks_bear_ns(view);
	far = leap_of(view);
	if (!answer->flags && far > LEAP_AT_WORK_NS)
		far = LEAP_AT_WORK_NS;
	if (ticks) {
		timer = timewarp_next_timer_ns(view, vmm) - view->guest_ns;
		far = far < timer ? far : timer;
	}
	leap_to(view, answer, at, far);
	tell(view);
}

TIMEWARP_DECIDE(jump_decide, view, answer)
{
	_Bool first = view->event <= KVM_TIMEWARP_PARAMS;
	__u64 at = at_ns, vmm = timewarp_vmm_due_ns(view);

	if (first) {
		if (to.kind == TIMEWARP_NEVER)
			return -NEVER;
		if (timewarp_on_host(to.kind))
			return -OF_HOST;
		at = target(view, to.kind);
		if (!at)
			return -NOWHERE;
		if (at <= view->guest_ns && !backward)
			return -ETIME;
		at_ns = at;
		back = at < view->guest_ns;
		back_there = 0;
		arrived = told = 0;
		leaps = 0;
		begin_to_learn(view);
		timewarp_clocks_begin(view);
	}
	timewarp_clocks_look(view, vmm);
	/* The guest's clocks stand while QEMU has it stopped, and the timeline does not: it has that much further to go */
	if (!first && stopped_ns)
		at = at_ns += view->guest_ns - stopped_ns;
	stopped_ns = timewarp_vmm_stopped() ? view->guest_ns : 0;
	answer->factor_num = factor.num;
	answer->factor_den = factor.den;
	/* One that was to be made if the vCPUs wait has not been made if they did not */
	if (!back && leap_end_ns && view->guest_ns >= leap_end_ns) {
		leaps++;
		leap_end_ns = 0;
	}
	if (back ? !back_there : view->guest_ns < at) {
		if (stopped_ns)
			answer->next_host_ns = view->host_ns + LOOK_STOPPED_NS;
		else if (back)
			go_back(view, answer, at);
		else
			go_on(view, answer, at, vmm);
	} else if (!arrived) {
		arrived = 1;
		timewarp_tell(view, TIMEWARP_EVENT_DONE, leaps);
	}
	return 0;
}

TIMEWARP_OPS(jump,
	     .flags = KVM_TIMEWARP_F_BACKWARD,
	     .decide = (void *)jump_decide,
	     .exit = (void *)jump_exit);
