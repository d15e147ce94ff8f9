// SPDX-License-Identifier: GPL-2.0
/*
 * A tracing program on a tracepoint inside the section in which KVM moves a VM's clock, that asks
 * for that very clock.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

volatile __u32 pid;
volatile __u64 calls, sum;

extern __u64 kvm_timewarp_clock(__u32 pid, __u32 clock) __ksym;
extern __u64 kvm_timewarp_host_delay(__u32 pid, __u64 guest_ns) __ksym;

SEC("tp_btf/kvm_update_master_clock")
int on_update(__u64 *ctx)
{
	calls++;
	sum += kvm_timewarp_clock(pid, 1);
	return 0;
}

SEC("tp_btf/kvm_update_master_clock")
int on_update_delay(__u64 *ctx)
{
	calls++;
	sum += kvm_timewarp_host_delay(pid, 1000);
	return 0;
}
