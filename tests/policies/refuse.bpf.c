// SPDX-License-Identifier: GPL-2.0
/* refuse - refuses to be attached, with an errno of its own */
#include "timewarp.bpf.h"

char LICENSE[] SEC("license") = "GPL";

TIMEWARP_DECIDE(refuse_decide, view, answer)
{
	return -64;	/* ENONET, which nobody else uses */
}

TIMEWARP_OPS(refuse, .decide = (void *)refuse_decide);
