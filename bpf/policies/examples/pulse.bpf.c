// SPDX-License-Identifier: GPL-2.0
/*
 * pulse - first example: fast and at factor 1 by turns, a period of guest time each
 *
 * It shows how to be called again, and that a policy asks the clock where it stands rather than
 * count its calls: one may come late, and over a whole period late if the host was suspended.
 */
#include "timewarp.bpf.h"

TIMEWARP_SUMMARY("fast and at factor 1 by turns, a period of guest time each");

TIMEWARP_PARAM_FACTOR(factor, 10, 1, "the fast one");
TIMEWARP_PARAM(__u64, period, 1000000000ULL, 100000000ULL, 86400000000000ULL, "ns", "of guest time");

TIMEWARP_EXIT_RECORD(pulse_exit)

static volatile __u64 start;

TIMEWARP_DECIDE(pulse_decide, view, answer)
{
	__u64 turn, p = period;

	if (!p)
		return -EINVAL;
	if (view->event <= KVM_TIMEWARP_PARAMS)
		start = view->guest_ns;
	turn = (view->guest_ns - start) / p;
	answer->factor_num = turn % 2 ? 1 : factor.num;
	answer->factor_den = turn % 2 ? 1 : factor.den;
	answer->next_guest_ns = start + (turn + 1) * p;
	return 0;
}

TIMEWARP_OPS(pulse, .decide = (void *)pulse_decide, .exit = (void *)pulse_exit);
