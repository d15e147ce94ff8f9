// SPDX-License-Identifier: GPL-2.0
/* flags - asks for a feature that the kernel does not have: refused */
#include "timewarp.bpf.h"

char LICENSE[] SEC("license") = "GPL";

TIMEWARP_DECIDE(flags_decide, view, answer)
{
	return 0;
}

TIMEWARP_OPS(flags, .decide = (void *)flags_decide, .flags = 1ULL << 63);
