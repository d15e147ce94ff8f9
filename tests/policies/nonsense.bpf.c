// SPDX-License-Identifier: GPL-2.0
/*
 * nonsense - a policy that answers what no policy should
 *
 * With early=1 it does so at the attach, else it behaves there and begins a millisecond later.
 */
#include "timewarp.bpf.h"

char LICENSE[] SEC("license") = "GPL";

enum {
	ZERO,		/* a factor of 0 / 0 */
	ONES,		/* all bits set, everywhere */
	ALTERNATING,	/* the least and the greatest factor in turn, each millisecond */
	HUGE,		/* a factor far above every limit */
	TINY,		/* a factor far below */
	LOOP,		/* eight million iterations before the answer */
	AT_ONCE,	/* call me again at once, for ever */
	PAST,		/* call me again yesterday, for ever */
	ERRNO,		/* an error each time */
	POSITIVE,	/* a return value that is no errno */
};

TIMEWARP_PARAM(__u32, kind, 0, 0, 9, "", "which nonsense");
TIMEWARP_PARAM(_Bool, early, 0, 0, 1, "", "at the attach already");
volatile __u64 calls, sum;

TIMEWARP_EXIT_RECORD(nonsense_exit)

static long step(__u32 i, __attribute__((unused)) void *arg)
{
	sum += i;
	return 0;
}

TIMEWARP_DECIDE(nonsense_decide, view, answer)
{
	calls++;
	answer->next_host_ns = view->host_ns + 1000000;
	if (view->event == KVM_TIMEWARP_ATTACH && !early) {
		answer->factor_num = 2;
		answer->factor_den = 1;
		return 0;
	}
	switch (kind) {
	case ZERO:
		answer->factor_num = 0;
		answer->factor_den = 0;
		break;
	case ONES:
		answer->factor_num = ~0ULL;
		answer->factor_den = ~0ULL;
		answer->next_host_ns = ~0ULL;
		answer->next_guest_ns = ~0ULL;
		break;
	case ALTERNATING:
		answer->factor_num = calls & 1 ? 1 : 10000;
		answer->factor_den = calls & 1 ? 10000 : 1;
		break;
	case HUGE:
		answer->factor_num = ~0ULL;
		answer->factor_den = 1;
		break;
	case TINY:
		answer->factor_num = 1;
		answer->factor_den = ~0ULL;
		break;
	case LOOP:
		bpf_loop(8000000, step, NULL, 0);
		break;
	case AT_ONCE:
		answer->next_host_ns = view->host_ns + 1;
		answer->next_guest_ns = view->guest_ns + 1;
		break;
	case PAST:
		answer->next_host_ns = 1;
		break;
	case ERRNO:
		return -EINVAL;
	case POSITIVE:
		return 1;
	}
	return 0;
}

TIMEWARP_OPS(nonsense,
	     .decide = (void *)nonsense_decide,
	     .exit = (void *)nonsense_exit);
