// SPDX-License-Identifier: GPL-2.0
/* A policy with a parameter of each kind, for params_test; it is never loaded. */
#include "timewarp.bpf.h"

char LICENSE[] SEC("license") = "GPL";

TIMEWARP_PARAM_FACTOR(factor, 1, 3, "guest seconds per host second");
TIMEWARP_PARAM(__u64, span, 5000000000ULL, 1, 3600000000000ULL, "ns", "how long");
TIMEWARP_PARAM(__s32, drift, -5, -1000, 1000, "ppm", "slope, in parts per million");
TIMEWARP_PARAM(__u8, small, 7, 0, 255, "", "a byte");
TIMEWARP_PARAM(__s64, offset, -250000, -86400000000000LL, 86400000000000LL, "ns", "lead, or lag");
TIMEWARP_PARAM(_Bool, loud, 1, 0, 1, "", "whether, or not");

TIMEWARP_COUNTER(asked, "", "how often it was");
TIMEWARP_COUNTER_SIGNED(off_ns, "ns", "ahead, or below 0 behind");
TIMEWARP_COUNTER_SIGNED(off_ppb, "ppb", "fast, or below 0 slow");

TIMEWARP_EXIT_RECORD(params_exit)

TIMEWARP_DECIDE(params_decide, view, answer)
{
	asked++;
	off_ns = offset;
	off_ppb = drift;
	answer->factor_num = factor.num + drift + small + loud + (offset < 0);
	answer->factor_den = factor.den;
	answer->next_host_ns = kvm_timewarp_mul_div(view->host_ns, span, TIMEWARP_NS_PER_SEC);
	return 0;
}

TIMEWARP_OPS(params, .decide = (void *)params_decide, .exit = (void *)params_exit);
