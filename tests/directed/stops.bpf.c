// SPDX-License-Identifier: GPL-2.0
/*
 * stops - guest time stops at each multiple of a period, to the nanosecond, stands, and goes on
 */
#include "timewarp.bpf.h"

TIMEWARP_SUMMARY("guest time stops at each multiple of a period, stands for a while and goes on");

TIMEWARP_PARAM_FACTOR(factor, 1, 1, "guest seconds per host second between two stops");
TIMEWARP_PARAM(__u64, period, 10000000, 1000, 3600000000000ULL, "ns", "guest time from one stop to the next");
TIMEWARP_PARAM(__u64, held, 1000000, 1000000, 3600000000000ULL, "ns", "host time for which it stands");

TIMEWARP_COUNTER(stops, "", "how often it stood");
TIMEWARP_COUNTER(stop_ns, "ns", "the guest time of the next stop, or of that at which it stands");
TIMEWARP_COUNTER(missed, "", "how many stops were passed: by when the answer was in force, that was past");
TIMEWARP_COUNTER(missed_ns, "ns", "by how much a stop was passed, at the worst");
TIMEWARP_EXIT_RECORD(stops_exit)

TIMEWARP_DECIDE(stops_decide, view, answer)
{
	if (!period || !factor.num || !factor.den)
		return -ERANGE;
	answer->factor_num = factor.num;
	answer->factor_den = factor.den;
	if (stop_ns && view->event == KVM_TIMEWARP_GUEST_TIME && view->guest_ns >= stop_ns) {
		if (view->guest_ns - stop_ns > missed_ns)
			missed_ns = view->guest_ns - stop_ns;
		if (view->guest_ns != stop_ns)
			missed++;
		stops++;
		answer->flags = KVM_TIMEWARP_HOLD;
		answer->next_host_ns = view->host_ns + held;
		return 0;
	}
	stop_ns = (view->guest_ns / period + 1) * period;
	answer->next_guest_ns = stop_ns;
	answer->flags = KVM_TIMEWARP_HOLD_NEXT;
	return 0;
}

TIMEWARP_OPS(stops, .decide = (void *)stops_decide, .exit = (void *)stops_exit);
