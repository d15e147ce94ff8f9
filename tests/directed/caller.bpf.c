// SPDX-License-Identifier: GPL-2.0
/* caller - a decision that another program may make, which may sleep: the kernel has to refuse it */
#include "timewarp.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* vmlinux.h is the toolkit's own, and has no more than that needs. */
enum { BPF_MAP_TYPE_PROG_ARRAY = 3 };

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, unsigned int);
	__type(value, unsigned int);
} others SEC(".maps");

SEC("struct_ops")
int caller_decide(unsigned long long *args)
{
	bpf_tail_call(args, &others, 0);
	return 0;
}

TIMEWARP_OPS(caller, .decide = (void *)caller_decide);
