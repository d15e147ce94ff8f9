// SPDX-License-Identifier: GPL-2.0
/*
 * kick - tell a timeline that its policy's parameters have changed, or have the policy called
 *
 * Not a policy: twctl runs it once (BPF_PROG_RUN) after it has written parameters.  It returns
 * what the policy, or the kernel, made of them: 0 or a negative errno.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "timewarp.h"

char LICENSE[] SEC("license") = "GPL";

extern int kvm_timewarp_kick(__u32 id) __ksym;

extern int kvm_timewarp_ask(__u32 id) __ksym;

SEC("syscall")
int kick(struct timewarp_kick_args *args)
{
	return kvm_timewarp_kick(args->id);
}

/* The same without waiting for it, for one whose group is to look what there is to do */
SEC("syscall")
int ask(struct timewarp_kick_args *args)
{
	return kvm_timewarp_ask(args->id);
}
