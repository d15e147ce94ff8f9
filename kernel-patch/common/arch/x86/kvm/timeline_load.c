// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a guest on a timeline bears: late timers, vCPUs that cannot run.
 *
 * A policy that drives a guest as fast as it can needs it.
 */

#include <linux/kvm_host.h>
#include <linux/sched/clock.h>

#include "lapic.h"
#include "timeline.h"
#include "timeline_line.h"

void __kvm_timeline_delivered(struct kvm_timeline *tl, struct kvm_vcpu *vcpu, ktime_t due)
{
	s64 late_ns = ktime_to_ns(ktime_sub(__kvm_timer_now(tl), due));
	u64 limit_ns;

	if (late_ns <= 0)
		return;

	/* Whoever asks for it resets it; to lose one in that race does no harm. */
	if (late_ns > READ_ONCE(vcpu->arch.timeline.late_ns))
		WRITE_ONCE(vcpu->arch.timeline.late_ns, late_ns);

	limit_ns = READ_ONCE(tl->late_limit_ns);
	if (limit_ns && late_ns >= limit_ns &&
	    try_cmpxchg64(&tl->late_limit_ns, &limit_ns, 0))
		kvm_timewarp_soon(tl, KVM_TIMEWARP_LATE);
}

/* Host time for which a vCPU's thread was ready to run and did not, until now. */
static u64 timeline_starved_ns(struct kvm_vcpu *vcpu)
{
	struct task_struct *task;
	u64 ns, queued;

	guard(rcu)();
	task = timeline_vcpu_task(vcpu);
	if (!task)
		return 0;

	ns = READ_ONCE(task->sched_info.run_delay);
	queued = READ_ONCE(task->sched_info.last_queued);

	return queued ? ns + max_t(s64, local_clock() - queued, 0) : ns;
}

/* Host time for which a vCPU was halted, until now. */
static u64 timeline_halted_ns(struct kvm_timeline *tl, struct kvm_vcpu *vcpu)
{
	unsigned long flags;
	u64 ns;

	raw_spin_lock_irqsave(&tl->idle_lock, flags);
	ns = vcpu->arch.timeline.halted_ns;
	if (vcpu->arch.timeline.halted)
		ns += ktime_get_ns() - vcpu->arch.timeline.halted_since_ns;
	raw_spin_unlock_irqrestore(&tl->idle_lock, flags);

	return ns;
}

/* What the guest has borne in the @span_ns since the last call. */
void kvm_timeline_load(struct kvm_timeline *tl, u64 span_ns, struct kvm_timewarp_view *view)
{
	u64 late_ns, starved_ns, halted_ns, seen_ns;
	struct kvm_vcpu *vcpu;
	unsigned long i;

	view->halted_ns = span_ns;
	kvm_for_each_vcpu(i, vcpu, tl->kvm) {
		late_ns = READ_ONCE(vcpu->arch.timeline.late_ns);
		WRITE_ONCE(vcpu->arch.timeline.late_ns, 0);
		late_ns = max(late_ns, kvm_lapic_timer_late_ns(vcpu));
		view->late_ns = max(view->late_ns, late_ns);

		/* Read at different times, either may seem to have gone back. */
		starved_ns = timeline_starved_ns(vcpu);
		seen_ns = min(vcpu->arch.timeline.seen_starved_ns, starved_ns);
		view->starved_ns = max(view->starved_ns, starved_ns - seen_ns);
		vcpu->arch.timeline.seen_starved_ns = starved_ns;

		halted_ns = timeline_halted_ns(tl, vcpu);
		seen_ns = min(vcpu->arch.timeline.seen_halted_ns, halted_ns);
		view->halted_ns = min(view->halted_ns, halted_ns - seen_ns);
		vcpu->arch.timeline.seen_halted_ns = halted_ns;
	}
}
