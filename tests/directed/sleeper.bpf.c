// SPDX-License-Identifier: GPL-2.0
/* sleeper - a decision that may sleep: the kernel has to refuse it */
#include "timewarp.bpf.h"

char LICENSE[] SEC("license") = "GPL";

SEC("struct_ops.s")
int sleeper_decide(unsigned long long *args)
{
	return 0;
}

TIMEWARP_OPS(sleeper, .decide = (void *)sleeper_decide);
