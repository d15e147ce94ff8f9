// SPDX-License-Identifier: GPL-2.0
/* Who is there: the end of vCPUs and VMs. */
#include "trace.bpf.h"

char LICENSE[] SEC("license") = "GPL";

static __always_inline void forget(u64 tag, u32 id)
{
	if (*cache_of(tag) == (tag | id))
		*cache_of(tag) = 0;
}

/* As for unit_id(); lapic: the address of a vCPU's, by which it is known, too */
__noinline int end_unit(const u64 *at, u64 tag, u64 lapic)
{
	u64 key = at ? *at : 0;
	struct trace_info *info;
	struct unit *u;
	u32 *known, id;

	known = bpf_map_lookup_elem(&ids, &key);
	if (!known)
		return 0;
	id = *known;
	info = bpf_map_lookup_elem(&infos, &id);
	if (info)
		info->gone = 1;
	u = unit_numbered(id);
	if (u)
		event(u, TRACE_EV_GONE, TRACE_NR_SOURCES, 0, 0, 0);
	bpf_map_delete_elem(&ids, &key);
	forget(tag, id);
	if (lapic)
		forget(tag + ((lapic - key) << 16), id);
	return 0;
}

SEC("fentry/kvm:kvm_arch_vcpu_destroy")
int BPF_PROG(vcpu_gone, struct kvm_vcpu *vcpu)
{
	u64 key = (u64)vcpu, lapic = (u64)BPF_CORE_READ(vcpu, arch.apic);

	return end_unit(&key, tag_of(vcpu), lapic);
}

/*
 * A VM that had no timer yet, too, for whoever watches it waits for its end.  Later its name is gone
 * from debugfs.
 */
SEC("fentry/kvm:kvm_destroy_vm")
int BPF_PROG(vm_ending, struct kvm *kvm)
{
	vm_unit(kvm);
	return 0;
}

SEC("fentry/kvm:kvm_arch_destroy_vm")
int BPF_PROG(vm_gone, struct kvm *kvm)
{
	u64 key = (u64)kvm;

	return end_unit(&key, tag_of(kvm), 0);
}
