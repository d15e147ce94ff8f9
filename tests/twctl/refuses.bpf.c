// SPDX-License-Identifier: GPL-2.0
/* Refuses to be attached, with an errno of its own. */
#include "timewarp.bpf.h"

char LICENSE[] SEC("license") = "GPL";

TIMEWARP_DECIDE(refuses_decide, view, answer)
{
	return -5; /* EIO */
}

TIMEWARP_OPS(refuses, .decide = (void *)refuses_decide);
