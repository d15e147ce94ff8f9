// SPDX-License-Identifier: GPL-2.0
/* Who is there: the end of vCPUs and VMs. */
#include "trace.bpf.h"

char LICENSE[] SEC("license") = "GPL";

static __always_inline void end_unit(u64 key, u64 tag)
{
	u32 *known = bpf_map_lookup_elem(&ids, &key), id;
	struct trace_info *info;
	struct unit *u;

	if (!known)
		return;
	id = *known;
	info = bpf_map_lookup_elem(&infos, &id);
	if (info)
		info->gone = 1;
	u = bpf_map_lookup_elem(&units, &id);
	if (u)
		event(u, TRACE_EV_GONE, TRACE_NR_SOURCES, 0, 0, 0);
	bpf_map_delete_elem(&ids, &key);
	if (*cache_of(tag) == (tag | id))
		*cache_of(tag) = 0;
}

SEC("fentry/kvm_arch_vcpu_destroy")
int BPF_PROG(vcpu_gone, struct kvm_vcpu *vcpu)
{
	end_unit((u64)vcpu, tag_of(vcpu));
	return 0;
}

/*
 * A VM that had no timer yet, too, for whoever watches it waits for its end.  Later its name is gone
 * from debugfs.
 */
SEC("fentry/kvm_destroy_vm")
int BPF_PROG(vm_ending, struct kvm *kvm)
{
	vm_unit(kvm);
	return 0;
}

SEC("fentry/kvm_arch_destroy_vm")
int BPF_PROG(vm_gone, struct kvm *kvm)
{
	end_unit((u64)kvm, tag_of(kvm));
	return 0;
}
