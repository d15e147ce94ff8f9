// SPDX-License-Identifier: GPL-2.0
/*
 * lead - second example: bring the guest ahead of the host by a span, then keep it there
 *
 * It shows how to refuse parameters that make no sense, how to work out when something will be
 * reached, and how to tell "twctl attach" that it has been. guest_ns - host_ns is what the guest has gained,
 * under this policy and all that it has had before.
 */
#include "timewarp.bpf.h"

TIMEWARP_REFUSAL(NOT_FAST, "'factor' is not above 1: the guest would never get there");

TIMEWARP_SUMMARY("brings the guest ahead of the host by a span, then keeps it there");

TIMEWARP_PARAM_FACTOR(factor, 2, 1, "the factor until then; above 1");
TIMEWARP_PARAM(__u64, lead, 60000000000ULL, 1000000ULL, 3153600000000000000ULL, "ns", "how far ahead");

TIMEWARP_COUNTER(there, "", "1 when the guest is where it should be");
TIMEWARP_EVENTS();
TIMEWARP_EXIT_RECORD(lead_exit)

TIMEWARP_DECIDE(lead_decide, view, answer)
{
	__u64 gained = view->guest_ns > view->host_ns ? view->guest_ns - view->host_ns : 0;
	__u64 missing = lead > gained ? lead - gained : 0;
	__u64 wait;

	/* refused: at the attach that ends it, later the old values come back */
	if (factor.num <= factor.den)
		return -NOT_FAST;
	if (view->event <= KVM_TIMEWARP_PARAMS)
		there = 0;
	if (!missing) {
		answer->factor_num = 1;
		answer->factor_den = 1;
		if (!there) {
			there = 1;
			timewarp_tell(view, TIMEWARP_EVENT_DONE, 0);
		}
		return 0;
	}
	answer->factor_num = factor.num;
	answer->factor_den = factor.den;
	/* each host second gains factor - 1; 64 bits do not hold the product, so the kernel helps */
	wait = kvm_timewarp_mul_div(missing, factor.den, factor.num - factor.den);
	if (wait < TIMEWARP_MIN_INTERVAL_NS)
		wait = TIMEWARP_MIN_INTERVAL_NS;
	/* where it is for ever, it is not asked for */
	if (view->host_ns + wait > view->host_ns && wait >> 62 == 0)
		answer->next_host_ns = view->host_ns + wait;
	return 0;
}

TIMEWARP_OPS(lead, .decide = (void *)lead_decide, .exit = (void *)lead_exit);
