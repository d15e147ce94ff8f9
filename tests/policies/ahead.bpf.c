// SPDX-License-Identifier: GPL-2.0
/* ahead - swapped in, it leaps ahead once, as far as the kernel lets it: a guest that has not run yet to any date */
#include "timewarp.bpf.h"

TIMEWARP_SUMMARY("leaps ahead once, when it is swapped in");

TIMEWARP_PARAM(__u64, by, 86400000000000ULL, 1ULL, 3155760000000000000ULL, "ns", "so far");

TIMEWARP_EXIT_RECORD(ahead_exit)

TIMEWARP_DECIDE(ahead_decide, view, answer)
{
	answer->factor_num = 1;
	answer->factor_den = 1;
	if (view->event == KVM_TIMEWARP_SWAP)
		answer->leap_ns = view->guest_ns + by;
	return 0;
}

TIMEWARP_OPS(ahead, .decide = (void *)ahead_decide, .exit = (void *)ahead_exit);
