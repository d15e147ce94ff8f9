// SPDX-License-Identifier: GPL-2.0
/* Writes what a policy may only read: the verifier refuses it. */
#include "timewarp.bpf.h"

char LICENSE[] SEC("license") = "GPL";

TIMEWARP_DECIDE(unverified_decide, view, answer)
{
	((struct kvm_timewarp_view *)view)->host_ns = 0;
	return 0;
}

TIMEWARP_OPS(unverified, .decide = (void *)unverified_decide);
