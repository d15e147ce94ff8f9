// SPDX-License-Identifier: GPL-2.0
/*
 * random - another factor of the list at a random moment, again and again
 *
 * The moments are random on the host's time, so that they fall anywhere in what the guest does.
 */
#include "timewarp.bpf.h"

char LICENSE[] SEC("license") = "GPL";

TIMEWARP_PARAM(__u64, seed, 1, 1, 1000000000, "", "where the random numbers start");
TIMEWARP_PARAM(__u64, changes, 100, 0, 1000000, "", "how many changes to make");
TIMEWARP_PARAM(__u64, shortest, 1000000, 1000000, 1000000000, "ns", "shortest time between two");
TIMEWARP_PARAM(__u64, longest, 10000000, 1000000, 1000000000, "ns", "longest time between two");
TIMEWARP_PARAM(_Bool, down, 1, 0, 1, "", "whether factors below 1 are in the list");

static volatile __u64 last;

TIMEWARP_EXIT_RECORD(random_exit)

static __always_inline __u64 next_random(void)
{
	__u64 x = seed;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	seed = x;
	return x >> 11;
}

TIMEWARP_DECIDE(random_decide, view, answer)
{
	__u64 span = longest > shortest ? longest - shortest : 1;
	__u64 which;

	if (!changes)
		return 0;
	changes--;
	/*
	 * Never the same twice: each decision is a change.  Not above 50: at 100x a busy guest
	 * at HZ=250 does nothing but ticks on a 1 GHz host.  The last one leaves it at leisure.
	 */
	which = (last + 1 + next_random() % 4) % 5;
	last = which;
	answer->factor_den = 1;
	if (!changes || (which == 0 && !down))
		answer->factor_num = 1;
	else if (which == 0)
		answer->factor_num = 1, answer->factor_den = 10;
	else if (which == 1)
		answer->factor_num = 1;
	else if (which == 2)
		answer->factor_num = 2;
	else if (which == 3)
		answer->factor_num = 10;
	else
		answer->factor_num = 50;
	answer->next_host_ns = view->host_ns + shortest + next_random() % span;
	return 0;
}

TIMEWARP_OPS(random,
	     .decide = (void *)random_decide,
	     .exit = (void *)random_exit);
