// SPDX-License-Identifier: GPL-2.0
/*
 * jump - move the guest forward, to a date or by a span
 *
 *	twctl jump   --vm my-guest +30d
 *	twctl jump   --vm my-guest 2038-01-19T03:14:00Z
 *	twctl attach --vm my-guest --policy jump --param to=30d --exit-when-done
 *
 * The guest goes in leaps, with a pause of host time after each for what has become due: a timer that
 * a leap passes fires once, at its end, however often it would have. A guest that reads kvmclock is
 * told of each leap by KVM, by the flag that a VMM sets after a pause, and its watchdogs start anew; it
 * bears leaps of minutes. One that does not would take a leap of 20 s for a lockup, and gets
 * leaps of 10 s.
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

TIMEWARP_SUMMARY("move the guest forward, to a date or by a span, or back if that is allowed");

TIMEWARP_PARAM_WHEN(to, "a date of the guest, or a span of its time");
TIMEWARP_PARAM(__u64, leap, 0, 0, 1800000000000ULL, "ns",
	       "how far it goes at once; 0 for 10 minutes, or 10 s if it cannot be told");
TIMEWARP_PARAM(__u64, pause, 5000000ULL, 1000000ULL, 60000000000ULL, "ns",
	       "host time after each leap");
TIMEWARP_PARAM(__u64, backward, 0, 0, 1, "", "1: 'to' is a date that has passed, or a span to go back by");
TIMEWARP_PARAM_FACTOR(factor, 1, 1, "guest seconds per host second, between leaps and afterwards");

TIMEWARP_COUNTER(leaps, "", "how many it took so far");
TIMEWARP_COUNTER(arrived, "", "1 when it is there");
TIMEWARP_EVENTS();
TIMEWARP_EXIT_RECORD(jump_exit)

#define LEAP_TOLD_NS (600 * TIMEWARP_NS_PER_SEC)
#define LEAP_UNTOLD_NS (10 * TIMEWARP_NS_PER_SEC)

static volatile __u64 at_ns;
static volatile _Bool back, back_there;

static __always_inline __u64 leap_of(const struct kvm_timewarp_view *view)
{
	if (leap)
		return leap;
	return view->state & KVM_TIMEWARP_TELLS ? LEAP_TOLD_NS : LEAP_UNTOLD_NS;
}

/* Where to, or 0 if there is no such moment */
static __always_inline __u64 target(const struct kvm_timewarp_view *view, __u64 kind)
{
	__u64 ns = to.ns, at;

	/* where the host's clock will be is no place for the guest to go */
	if (kind == TIMEWARP_NEVER || timewarp_on_host(kind))
		return 0;
	if (backward && kind == TIMEWARP_AFTER_GUEST)
		return ns < view->guest_ns ? view->guest_ns - ns : 0;
	at = timewarp_when_ns(kind, ns, view->host_ns, view->guest_ns);
	return at >> 62 ? 0 : at;
}

static __always_inline void leap_to(const struct kvm_timewarp_view *view,
				    struct kvm_timewarp_answer *answer, __u64 at)
{
	__u64 now = view->guest_ns, far = leap_of(view);

	if (at > now)
		answer->leap_ns = at - now > far ? now + far : at;
	else
		answer->leap_ns = now - at > far ? now - far : at;
	/* it is behind the guest for ever, so having been there is what counts */
	back_there = answer->leap_ns == at;
	answer->next_host_ns = view->host_ns + pause;
	leaps++;
}

TIMEWARP_DECIDE(jump_decide, view, answer)
{
	_Bool first = view->event <= KVM_TIMEWARP_PARAMS;
	__u64 at = at_ns;

	if (first) {
		at = target(view, to.kind);
		if (!at)
			return -EINVAL;
		if (at <= view->guest_ns && !backward)
			return -ETIME;
		at_ns = at;
		back = at < view->guest_ns;
		back_there = 0;
		arrived = 0;
		leaps = 0;
	}
	answer->factor_num = factor.num;
	answer->factor_den = factor.den;
	if (back ? !back_there : view->guest_ns < at) {
		leap_to(view, answer, at);
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
