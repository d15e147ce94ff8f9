// SPDX-License-Identifier: GPL-2.0
/*
 * until - one factor until a moment, then another
 *
 *	twctl attach --vm my-guest --policy until --factor 100 --param until=2038-01-19T03:13:00
 *	twctl attach --vm my-guest --policy until --factor 1000 --param until=30d --exec 'virsh suspend my-guest'
 *
 * The moment is a date or a span, on the guest's clock or the host's; see TIMEWARP_PARAM_WHEN().
 * The guest gets there late, never early: by the time that the host takes to wake the policy, some
 * tens of microseconds when it is idle, and up to a millisecond where the host's clock is being
 * disciplined; times the factor. The counter late_ns tells how much it was, in that clock.
 *
 * A moment that has passed already is refused with ETIME.
 */
#include "timewarp.bpf.h"

TIMEWARP_REFUSAL(NEVER, "'until' is never: say when, such as until=30d");
TIMEWARP_SUMMARY("one factor until a date or for a span, then another");

TIMEWARP_PARAM_FACTOR(factor, 1, 1, "guest seconds per host second, until then");
TIMEWARP_PARAM_FACTOR(after, 1, 1, "the factor from then on");
TIMEWARP_PARAM_WHEN(until, "a date that the guest reaches, or a span of its time");

TIMEWARP_COUNTER(reached, "", "1 when the moment has come");
TIMEWARP_COUNTER(late_ns, "ns", "by how much it was missed");
TIMEWARP_EVENTS();
TIMEWARP_EXIT_RECORD(until_exit)

static volatile __u64 at_ns;

TIMEWARP_DECIDE(until_decide, view, answer)
{
	__u64 kind = until.kind;
	__u64 at = at_ns;
	_Bool first = view->event <= KVM_TIMEWARP_PARAMS;

	if (first) {
		at = timewarp_when_ns(kind, until.ns, view->host_ns, view->guest_ns);
		if (kind == TIMEWARP_NEVER)
			return -NEVER;
	}
	if (timewarp_reached(view, answer, kind, at)) {
		if (first)
			return -ETIME;
		answer->factor_num = after.num;
		answer->factor_den = after.den;
		if (!reached) {
			reached = 1;
			late_ns = (timewarp_on_host(kind) ? view->host_ns : view->guest_ns) - at;
			timewarp_tell(view, TIMEWARP_EVENT_DONE, 0);
		}
		return 0;
	}
	if (first) {
		at_ns = at;
		reached = 0;
	}
	answer->factor_num = factor.num;
	answer->factor_den = factor.den;
	return 0;
}

TIMEWARP_OPS(until,
	     .decide = (void *)until_decide,
	     .exit = (void *)until_exit);
