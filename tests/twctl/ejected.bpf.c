// SPDX-License-Identifier: GPL-2.0
/* A good first answer, then a factor of 0 each millisecond, until the kernel has had enough. */
#include "timewarp.bpf.h"

char LICENSE[] SEC("license") = "GPL";

TIMEWARP_EXIT_RECORD(ejected_exit)

TIMEWARP_DECIDE(ejected_decide, view, answer)
{
	answer->factor_num = view->event == KVM_TIMEWARP_ATTACH || view->event == KVM_TIMEWARP_SWAP ? 2 : 0;
	answer->factor_den = 1;
	answer->next_host_ns = view->host_ns + 1000000;
	return 0;
}

TIMEWARP_OPS(ejected, .decide = (void *)ejected_decide, .exit = (void *)ejected_exit);
