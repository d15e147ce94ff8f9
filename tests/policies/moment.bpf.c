// SPDX-License-Identifier: GPL-2.0
/*
 * moment - at one factor, and notes what it was told of the time when it was asked the second time
 *
 * To be held against the state file, which tells the same of other moments.
 */
#include "timewarp.bpf.h"

TIMEWARP_SUMMARY("notes what it was told of the time");

TIMEWARP_PARAM_FACTOR(factor, 100, 1, "guest seconds per host second");
TIMEWARP_PARAM(__u64, after, 300000000ULL, 1000000ULL, 10000000000ULL, "ns", "host time until it is asked again");

TIMEWARP_COUNTER(host_tsc, "", "as it was told");
TIMEWARP_COUNTER(host_ns, "", "as it was told");
TIMEWARP_COUNTER(guest_ns, "", "as it was told");

TIMEWARP_EXIT_RECORD(moment_exit)

TIMEWARP_DECIDE(moment_decide, view, answer)
{
	answer->factor_num = factor.num;
	answer->factor_den = factor.den;
	if (view->event == KVM_TIMEWARP_ATTACH) {
		answer->next_host_ns = view->host_ns + after;
		return 0;
	}
	host_tsc = view->host_tsc;
	host_ns = view->host_ns;
	guest_ns = view->guest_ns;
	return 0;
}

TIMEWARP_OPS(moment, .decide = (void *)moment_decide, .exit = (void *)moment_exit);
