// SPDX-License-Identifier: GPL-2.0
/* writer - writes what a policy may only read: the verifier refuses */
#include "timewarp.bpf.h"

char LICENSE[] SEC("license") = "GPL";

TIMEWARP_DECIDE(writer_decide, view, answer)
{
	((struct kvm_timewarp_view *)view)->guest_ns = 0;
	return 0;
}

TIMEWARP_OPS(writer, .decide = (void *)writer_decide);
