// SPDX-License-Identifier: GPL-2.0
/* Where the kernel has a variable: twctl runs it once (BPF_PROG_RUN), as the tracer needs to know one before it is loaded. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

char name[32];			/* with zero bytes to its end */
__u64 address;

SEC("syscall")
int find(void *ctx)
{
	(void)ctx;
	return bpf_kallsyms_lookup_name(name, sizeof(name), 0, &address);
}
