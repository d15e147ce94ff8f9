// SPDX-License-Identifier: GPL-2.0
/*
 * Did a clock jump?  Each time KVM gives the guest a new line for kvmclock, the old line and the
 * new one are compared at the same host TSC.  The TSC's own jumps are changes of its offset.
 */
#include "trace.bpf.h"

static __always_inline void note_jump(struct trace_jumps *j, s64 ns, u32 cause)
{
	u64 size = ns < 0 ? -ns : ns;

	if (ns < 0) {
		count(j->back, 1);
		if (size > j->back_max)
			j->back_max = size;
	} else {
		count(j->forward, 1);
		if (size > j->forward_max)
			j->forward_max = size;
	}
	count(j->sum, ns);
	if (cause < TRACE_NR_CAUSES)
		count(j->by[cause], 1);
}

/*
 * Runs on the vCPU, which holds no guest meanwhile.  A change of the TSC's offset since the last
 * record moves the place of "the same host TSC" on the old line.
 */
static __always_inline int clock_set(struct kvm_vcpu *vcpu, u32 version,
				     const struct pvclock_vcpu_time_info *p)
{
	u64 tsc = BPF_CORE_READ(p, tsc_timestamp), ns = BPF_CORE_READ(p, system_time);
	u32 mul = BPF_CORE_READ(p, tsc_to_system_mul), cause;
	/* In 6.1, struct kvm is larger than an instruction can reach */
	s64 offset_now = BPF_CORE_READ(vcpu, kvm, arch.kvmclock_offset), step, elapsed;
	u8 flags = BPF_CORE_READ(p, flags);
	u64 offset = vcpu->arch.l1_tsc_offset;
	struct trace_clocks *c;
	struct unit *u, *vm;
	u32 segments;
	bool master;

	u = vcpu_unit(vcpu);
	if (!u || version == u->old_version)
		return 0;
	c = clocks_of(u);
	vm = vm_unit(vcpu->kvm);
	if (!c || !vm)
		return 0;
	count(c->pvclock_updates, 1);
	c->stable = flags & 1;
	c->catchup = vcpu->arch.tsc_catchup;
	c->tsc_offset = offset;
	master = BPF_CORE_READ(vcpu, kvm, arch.use_master_clock);
	segments = vm->segments;
	step = 0;
	if (c->mul) {
		elapsed = (s64)(tsc - (offset - c->line_offset) - c->line_tsc);
		elapsed = trace_pvclock_ns(elapsed, c->mul, c->shift);
		step = (s64)(ns - (c->line_ns + elapsed));
		cause = segments != u->segments ? TRACE_BY_TIMELINE :
			offset_now != u->old_kvmclock_offset ? TRACE_BY_VMM :
			master != u->master ? TRACE_BY_MASTER : TRACE_BY_UPDATE;
		if ((u64)(step < 0 ? -step : step) >= cfg_jump_ns) {
			note_jump(&c->kvmclock, step, cause);
			event(u, TRACE_EV_KVMCLOCK, TRACE_NR_SOURCES, step, cause, 0);
		} else {
			c->drift_ns += step;
			if (elapsed > 0)
				c->drift_over_ns += elapsed;
		}
	}
	event(u, TRACE_EV_PVCLOCK, TRACE_NR_SOURCES, step, flags, 0);
	c->line_tsc = tsc;
	c->line_ns = ns;
	c->line_offset = offset;
	c->shift = BPF_CORE_READ(p, tsc_shift);
	c->mul = mul;
	u->segments = segments;
	u->old_version = version;
	u->old_kvmclock_offset = offset_now;
	u->master = master;
	return 0;
}

SEC("fexit/kvm:kvm_guest_time_update")
int BPF_PROG(clock_updated, struct kvm_vcpu *vcpu)
{
	if (!bpf_core_field_exists(struct kvm_vcpu_arch, hv_clock))
		return 0;
	return clock_set(vcpu, BPF_CORE_READ(vcpu, arch.hv_clock.version),
			 (void *)vcpu + bpf_core_field_offset(struct kvm_vcpu, arch.hv_clock));
}

/*
 * Since 6.15 a vCPU keeps no copy of its record: it is passed to each of the pages where the guest
 * wants it, the same one, without a version of its own.
 */
SEC("fentry/kvm:kvm_setup_guest_pvclock")
int BPF_PROG(clock_written, struct pvclock_vcpu_time_info *record, struct kvm_vcpu *vcpu)
{
	u32 version;

	if (bpf_core_field_exists(struct kvm_vcpu_arch, hv_clock))
		return 0;
	version = BPF_CORE_READ(record, tsc_timestamp) ^ BPF_CORE_READ(record, tsc_timestamp) >> 32;
	return clock_set(vcpu, version | 1, record);
}

static __always_inline int offset_written(struct kvm_vcpu *vcpu, u64 offset)
{
	s64 ticks = offset - vcpu->arch.l1_tsc_offset, ns;
	struct trace_clocks *c;
	u32 cause;
	struct unit *u;

	/* Before its first entry, a vCPU has no clock that could jump */
	if (!ticks || (bpf_core_field_exists(vcpu->arch.last_vmentry_cpu) &&
		       vcpu->arch.last_vmentry_cpu == -1))
		return 0;
	u = vcpu_unit(vcpu);
	c = u ? clocks_of(u) : NULL;
	/* Both programs below may see one write */
	if (!c || (c->tsc_offset_writes && c->tsc_offset == offset))
		return 0;
	cause = TRACE_BY_VMM;
	if (bpf_core_field_exists(vcpu->wants_to_run) && vcpu->wants_to_run)
		cause = vcpu->arch.tsc_catchup ? TRACE_BY_CATCHUP : TRACE_BY_GUEST;
	ns = trace_ticks_to_ns(ticks, vcpu->arch.virtual_tsc_khz);
	count(c->tsc_offset_writes, 1);
	c->tsc_offset = offset;
	if ((u64)(ns < 0 ? -ns : ns) < cfg_jump_ns && ticks != 0 && cause == TRACE_BY_CATCHUP)
		return 0;
	note_jump(&c->tsc, ns, cause);
	event(u, TRACE_EV_TSC, TRACE_NR_SOURCES, ns, cause, offset);
	return 0;
}

SEC("fentry/kvm:kvm_vcpu_write_tsc_offset")
int BPF_PROG(tsc_offset_written, struct kvm_vcpu *vcpu, u64 offset)
{
	return offset_written(vcpu, offset);
}

/* In 7.3 the compiler has made the call of the above a part of this */
SEC("fentry/kvm:__kvm_synchronize_tsc")
int BPF_PROG(tsc_synchronized, struct kvm_vcpu *vcpu, u64 offset)
{
	return offset_written(vcpu, offset);
}

SEC("fentry/kvm:kvm_vcpu_write_tsc_multiplier")
int BPF_PROG(tsc_ratio_written, struct kvm_vcpu *vcpu, u64 ratio)
{
	struct trace_clocks *c;
	struct unit *u;

	if (ratio == vcpu->arch.l1_tsc_scaling_ratio || !vcpu->arch.l1_tsc_scaling_ratio)
		return 0;
	u = vcpu_unit(vcpu);
	c = u ? clocks_of(u) : NULL;
	if (c)
		count(c->tsc_scaling_writes, 1);
	return 0;
}

SEC("fexit/kvm:pvclock_update_vm_gtod_copy")
int BPF_PROG(master_updated, struct kvm *kvm)
{
	bool master = BPF_CORE_READ(kvm, arch.use_master_clock);
	struct trace_clocks *c;
	struct unit *u;

	u = vm_unit(kvm);
	c = u ? clocks_of(u) : NULL;
	if (!c)
		return 0;
	c->master = master;
	if (u->master_valid && master != u->master) {
		if (master)
			count(c->master_regained, 1);
		else
			count(c->master_lost, 1);
		event(u, TRACE_EV_MASTER, TRACE_NR_SOURCES, master, 0, 0);
	}
	u->master = master;
	u->master_valid = true;
	return 0;
}
