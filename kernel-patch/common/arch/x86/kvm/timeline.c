// SPDX-License-Identifier: GPL-2.0-only
/*
 * One timeline per VM: those who read a guest clock or arm a guest timer.
 */

#include <linux/kvm_host.h>
#include <linux/timekeeping.h>

#include <asm/pvclock.h>

#include "hyperv.h"
#include "i8254.h"
#include "lapic.h"
#include "timeline.h"
#include "timeline_line.h"
#include "x86.h"
#include "xen.h"

/*
 * Guest timers can be no closer to each other, in host time, than this while
 * the guest's time runs faster than the host's: a warped guest must not be able
 * to flood the host with timer interrupts.
 */
static unsigned int timewarp_floor_ns = 10 * NSEC_PER_USEC;
module_param(timewarp_floor_ns, uint, 0644);
MODULE_PARM_DESC(timewarp_floor_ns, "Least host ns to a timer of a guest that runs fast (default: 10000)");

/* On while any guest lives on its timeline. */
DEFINE_STATIC_KEY_FALSE(kvm_timeline_key);
EXPORT_SYMBOL_FOR_KVM_INTERNAL(kvm_timeline_key);

u64 __kvm_timeline_ns(struct kvm_timeline *tl, u64 host_tsc)
{
	u64 tsc = kvm_scale_tsc(timeline_host_tsc(tl, host_tsc), tl->tsc_ratio) + tl->tsc_offset;

	return tl->pv_ns + pvclock_scale_delta(tsc - tl->pv_tsc, tl->pv_mul, tl->pv_shift);
}

ktime_t __kvm_timer_now(struct kvm_timeline *tl)
{
	return ns_to_ktime(__kvm_timeline_ns(tl, rdtsc()));
}

u64 __kvm_timer_host_delay(struct kvm_timeline *tl, u64 guest_ns)
{
	u64 delay = timeline_unscale(guest_ns, tl->rate);
	u64 floor = READ_ONCE(timewarp_floor_ns), now = rdtsc();

	/* As far as the host's clock goes with room for today; it is armed anew at the thaw. */
	if (now >= READ_ONCE(tl->end_tsc))
		return TIMELINE_NEVER_NS;

	delay += timeline_begin_ns(tl, now);

	/* At factor 1 and below a timer is no closer than without a timeline. */
	if (tl->rate.num > tl->rate.den && delay < floor) {
		tl->kvm->stat.timewarp_floors++;
		delay = floor;
	}

	return min(delay, TIMELINE_NEVER_NS);
}
EXPORT_SYMBOL_FOR_KVM_INTERNAL(__kvm_timer_host_delay);

ktime_t __kvm_timer_to_host(struct kvm_timeline *tl, ktime_t expires)
{
	s64 guest_ns = ktime_sub(expires, __kvm_timer_now(tl));

	/* Read the host's clock last: being interrupted makes a timer late, not early. */
	return ktime_add_ns(ktime_get(), __kvm_timer_host_delay(tl, max(guest_ns, 0)));
}

/*
 * The next deadline of a periodic timer that a host timer may be armed for, in phase;
 * @target is the one that follows the last.  Those that are in the past, or nearer
 * than the floor, are not replayed one by one: the guest is owed @most of these, and
 * gets to know by @owed if that is not NULL.  Others are lost, and counted.
 */
ktime_t kvm_timeline_owe_periods(struct kvm *kvm, ktime_t now, ktime_t target, s64 period,
				 u64 most, u64 *owed)
{
	struct kvm_timeline *tl = kvm->arch.timeline;
	ktime_t first = now;
	u64 skipped, owes;

	if (tl->rate.num > tl->rate.den)
		first = ktime_add_ns(now, timeline_scale(READ_ONCE(timewarp_floor_ns), tl->rate));

	if (owed)
		*owed = 0;
	if (!ktime_before(target, first))
		return target;

	skipped = timeline_periods(ktime_sub(first, target), period);
	owes = owed ? min(most, skipped) : 0;
	kvm->stat.timewarp_lost_ticks += skipped - owes;
	if (owed)
		*owed = owes;

	return ktime_add_ns(target, skipped * period);
}

/*
 * Host time for which a vCPU has waited since it was last asked, in guest time.  Part
 * of the wait may have been in an earlier segment, also if the timeline has stopped:
 * as no more is stolen than has elapsed since, it does not matter.
 */
u64 kvm_timeline_steal(struct kvm_vcpu *vcpu, u64 steal_ns)
{
	struct kvm_timeline *tl = READ_ONCE(vcpu->kvm->arch.timeline);
	u64 now, elapsed;

	if (!tl || (!tl->active && vcpu->arch.timeline.steal_seq == tl->seq))
		return steal_ns;

	now = __kvm_timeline_ns(tl, rdtsc());
	if (vcpu->arch.timeline.steal_seq != tl->seq) {
		vcpu->arch.timeline.steal_seq = tl->seq;
		vcpu->arch.timeline.steal_ns = __kvm_timeline_ns(tl, tl->seg_host_tsc);
	}

	elapsed = now - vcpu->arch.timeline.steal_ns;
	vcpu->arch.timeline.steal_ns = now;

	return min(timeline_scale(steal_ns, tl->rate), elapsed);
}

/* Software takes any ratio, hardware has reserved bits. */
u64 timeline_max_ratio(const struct kvm_timeline *tl)
{
	return tl->mode == KVM_TIMEWARP_TSC_SCALED ? kvm_caps.max_tsc_scaling_ratio : U64_MAX;
}

/* The TSC ratio that gives a guest the timeline on top of @base_ratio. */
u64 kvm_timeline_tsc_ratio(struct kvm *kvm, u64 base_ratio)
{
	struct kvm_timeline *tl = kvm_timeline(kvm);

	if (!tl || tl->mode == KVM_TIMEWARP_TSC_OFFSET)
		return base_ratio;

	if (base_ratio == tl->base_ratio)
		return tl->tsc_ratio;

	return timeline_ratio(base_ratio, tl->rate, timeline_max_ratio(tl));
}

/* Have @pv follow the timeline, with pvclock_sc read or where no change can come between. */
void kvm_timeline_pvclock(struct kvm_vcpu *vcpu, struct pvclock_vcpu_time_info *pv)
{
	struct kvm_timeline *tl = kvm_timeline(vcpu->kvm);

	if (!tl)
		return;

	if (vcpu->arch.timeline.base_tsc_ratio == tl->base_ratio) {
		/* The anchor, as the vCPU's own TSC shows it: never re-sampled. */
		pv->tsc_timestamp = tl->pv_tsc + vcpu->arch.l1_tsc_offset - tl->tsc_offset;
		pv->system_time = tl->pv_ns;
		pv->tsc_to_system_mul = tl->pv_mul;
		pv->tsc_shift = tl->pv_shift;
	} else {
		u64 host_tsc = rdtsc();

		pv->tsc_timestamp = kvm_read_l1_tsc(vcpu, host_tsc);
		pv->system_time = __kvm_timeline_ns(tl, host_tsc);
		if (tl->mode == KVM_TIMEWARP_TSC_OFFSET)
			timeline_pvclock_mul(pv->tsc_to_system_mul, pv->tsc_shift, tl->rate,
					     &pv->tsc_to_system_mul, &pv->tsc_shift);
	}

	pv->system_time += vcpu->kvm->arch.kvmclock_offset;
}

/*
 * When the next timer of a guest is due, of all that KVM emulates; U64_MAX if none is
 * armed.  @ticks is whether any of them is periodic: to pass it loses ticks.  Those of
 * Hyper-V are all taken for such.  While vCPUs run it may be out of date by the time
 * that it returns.
 */
u64 kvm_timeline_next_timer_ns(struct kvm_timeline *tl, bool *ticks)
{
	u64 next, lapic, stimer;
	struct kvm_vcpu *vcpu;
	unsigned long i;

	*ticks = false;
	next = kvm_pit_timer_target_ns(tl->kvm, ticks);
	kvm_for_each_vcpu(i, vcpu, tl->kvm) {
		lapic = kvm_lapic_timer_target_ns(vcpu);
		stimer = kvm_hv_stimers_target_ns(vcpu);
		*ticks |= stimer != U64_MAX ||
			  (lapic != U64_MAX && vcpu->arch.apic->lapic_timer.timer_mode ==
			   APIC_LVT_TIMER_PERIODIC);
		next = min3(next, lapic, stimer);
		if (IS_ENABLED(CONFIG_KVM_XEN))
			next = min(next, kvm_xen_timer_target_ns(vcpu));
	}

	return next;
}

/*
 * The lowest and highest factor that a VM can have in a TSC mode; AUTO is resolved.
 * Returns -EOPNOTSUPP if the mode is not possible; -EACCES if the guest's clocks are
 * protected from KVM; -ENODEV if the host's TSC cannot carry a timeline; -ENXIO if there
 * is no vCPU.
 */
int kvm_timeline_limits(struct kvm *kvm, enum kvm_timewarp_tsc_mode *mode,
			struct timeline_rate *min, struct timeline_rate *max)
{
	struct kvm_vcpu *first = kvm_get_vcpu(kvm, 0), *vcpu;
	unsigned long i;
	u64 base, ratio;

	if (!first)
		return -ENXIO;

	if (check_tsc_unstable() || kvm->arch.backwards_tsc_observed)
		return -ENODEV;

	/* SEV-ES, SNP and TDX. */
	if (kvm->arch.vm_type != KVM_X86_DEFAULT_VM)
		return -EACCES;
	kvm_for_each_vcpu(i, vcpu, kvm) {
		if (vcpu->arch.guest_state_protected)
			return -EACCES;
		if (vcpu->arch.tsc_always_catchup || !vcpu->arch.timeline.base_tsc_ratio)
			return -EOPNOTSUPP;
	}

	if (*mode == KVM_TIMEWARP_TSC_AUTO)
		*mode = kvm_caps.has_tsc_control ? KVM_TIMEWARP_TSC_SCALED :
						   KVM_TIMEWARP_TSC_TRAPPED;

	if (*mode == KVM_TIMEWARP_TSC_SCALED && !kvm_caps.has_tsc_control)
		return -EOPNOTSUPP;

	*min = (struct timeline_rate) { 1, TIMELINE_FACTOR_LIMIT };
	*max = (struct timeline_rate) { TIMELINE_FACTOR_LIMIT, 1 };

	if (*mode == KVM_TIMEWARP_TSC_SCALED) {
		base = first->arch.timeline.base_tsc_ratio;
		ratio = timeline_mul_div(base, TIMELINE_FACTOR_LIMIT, 1);
		if (ratio >= kvm_caps.max_tsc_scaling_ratio)
			*max = (struct timeline_rate) { kvm_caps.max_tsc_scaling_ratio, base };
	}

	return 0;
}
