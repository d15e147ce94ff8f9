// SPDX-License-Identifier: GPL-2.0
/* A factor with a drift; refuses a span above a minute.  For the tests of live parameters. */
#include "timewarp.bpf.h"

char LICENSE[] SEC("license") = "GPL";

TIMEWARP_PARAM_FACTOR(factor, 1, 3, "guest seconds per host second");
TIMEWARP_PARAM(__u64, span, 5000000000ULL, 1000000, 3600000000000ULL, "ns", "time between calls");
TIMEWARP_PARAM(__s32, drift, -5, -1000, 1000, "ppm", "slope, in parts per million");

TIMEWARP_EXIT_RECORD(drift_exit)

TIMEWARP_DECIDE(drift_decide, view, answer)
{
	if (span > 60 * TIMEWARP_NS_PER_SEC)
		return -EINVAL;
	answer->factor_num = factor.num * (1000000 + drift);
	answer->factor_den = factor.den * 1000000;
	answer->next_host_ns = view->host_ns + span;
	return 0;
}

TIMEWARP_OPS(drift, .decide = (void *)drift_decide, .exit = (void *)drift_exit);
