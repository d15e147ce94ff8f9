// SPDX-License-Identifier: GPL-2.0-only
/*
 * Holding the vCPUs of one VM.
 *
 * A vCPU is held when its thread either is outside of any vCPU ioctl, and its
 * mutex taken, or waits at the checkpoint of its run loop.  Either way none of
 * its clocks' state is in use by anybody but the holder.  The guest sees
 * nothing: a halted vCPU stays halted, and KVM_RUN does not return.
 *
 * The holder touches neither guest memory nor hardware.  When a vCPU is let go,
 * it takes over by itself what the holder has changed.
 */

#include <linux/kvm_host.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#include "hyperv.h"
#include "lapic.h"
#include "timeline.h"
#include "x86.h"
#include "xen.h"

/* vCPUs that do not stop within this time fail the change: it is put off. */
#define TIMELINE_HOLD_TIMEOUT_NS	(250 * NSEC_PER_MSEC)

/* How often to look, at first, whether a vCPU's mutex is free. */
#define TIMELINE_HOLD_POLL_NS		(20 * NSEC_PER_USEC)
#define TIMELINE_HOLD_POLL_MAX_NS	NSEC_PER_MSEC

static bool timeline_parked(struct kvm_vcpu *vcpu, u32 seq)
{
	/* Pairs with the release in timeline_park(). */
	return smp_load_acquire(&vcpu->arch.timeline.parked_seq) == seq;
}

/* Wait to be let go, if anybody holds the vCPUs; returns whether somebody did. */
static bool timeline_park(struct kvm_vcpu *vcpu)
{
	struct kvm_timeline *tl = vcpu->kvm->arch.timeline;
	u32 seq = READ_ONCE(tl->hold_seq);

	if (!(seq & 1))
		return false;

	/* Something has come for it, so it halts no more. */
	if (kvm_arch_vcpu_runnable(vcpu))
		kvm_timeline_unhalt(vcpu);

	kvm_vcpu_srcu_read_unlock(vcpu);
	vcpu_put(vcpu);

	/* Pairs with the acquire in timeline_parked(). */
	smp_store_release(&vcpu->arch.timeline.parked_seq, seq);
	wake_up(&tl->holder);
	/* A hold is bounded, and waits for nobody who could wait for this vCPU. */
	wait_event_idle(tl->waiters, READ_ONCE(tl->hold_seq) != seq);

	vcpu_load(vcpu);
	kvm_vcpu_srcu_read_lock(vcpu);

	return true;
}

/* Take over what has changed of a vCPU's own clocks and timers; called with it loaded. */
static void timeline_apply(struct kvm_timeline *tl, struct kvm_vcpu *vcpu)
{
	kvm_vcpu_write_tsc_multiplier(vcpu, vcpu->arch.l1_tsc_scaling_ratio);
	kvm_vcpu_write_tsc_offset(vcpu, vcpu->arch.l1_tsc_offset);
	kvm_x86_call(update_tsc_exiting)(vcpu);

	if (vcpu->arch.timeline.timer_armed) {
		vcpu->arch.timeline.timer_armed = false;
		kvm_lapic_timer_resume(vcpu);
	}
	kvm_hv_stimers_resume(vcpu);
	if (IS_ENABLED(CONFIG_KVM_XEN))
		kvm_xen_timer_resume(vcpu);
	vcpu->arch.timeline.seq = tl->seq;
}

/*
 * Have all pvclock pages show the segment before any vCPU enters the guest: there,
 * each can read that of another.  The first one that comes writes them.  They are
 * guest memory, so this may take as long as the VMM likes, and can be interrupted.
 */
static void timeline_publish(struct kvm_timeline *tl)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	if (mutex_lock_interruptible(&tl->publish_lock))
		return;

	if (tl->published != tl->seq) {
		kvm_hv_request_tsc_page_update(tl->kvm);
		kvm_for_each_vcpu(i, vcpu, tl->kvm) {
			/* Recompute the multiplier, which offset mode replaces. */
			vcpu->arch.hw_tsc_khz = 0;
			kvm_guest_time_update(vcpu);
		}
		/* Whoever sees it enters the guest. */
		smp_store_release(&tl->published, tl->seq);
	}
	mutex_unlock(&tl->publish_lock);
}

/*
 * The checkpoint of a vCPU's run loop, where it must wait.  Returns 1, for the run loop
 * to look at what has come, signals above all.
 */
int kvm_timeline_wait(struct kvm_vcpu *vcpu)
{
	struct kvm_timeline *tl = vcpu->kvm->arch.timeline;

	if (kvm_check_request(KVM_REQ_TIMELINE, vcpu) && timeline_park(vcpu))
		return 1;

	if (READ_ONCE(tl->frozen)) {
		/* No hold: signals, and with them the VMM's ioctls, get through. */
		kvm_vcpu_srcu_read_unlock(vcpu);
		(void)wait_event_interruptible(tl->waiters, !READ_ONCE(tl->frozen) ||
					       kvm_test_request(KVM_REQ_TIMELINE, vcpu));
		kvm_vcpu_srcu_read_lock(vcpu);
		return 1;
	}

	if (vcpu->arch.timeline.seq != tl->seq)
		timeline_apply(tl, vcpu);
	/* Pairs with the release in there. */
	if (smp_load_acquire(&tl->published) != tl->seq)
		timeline_publish(tl);

	return 1;
}

/*
 * The same for a vCPU whose wait for its INIT has just ended.  Returns whether that was
 * for the timeline's sake: what else has come ends the next wait.
 */
bool kvm_timeline_held_uninitialized(struct kvm_vcpu *vcpu)
{
	if (!static_branch_unlikely(&kvm_timeline_key) ||
	    !kvm_check_request(KVM_REQ_TIMELINE, vcpu))
		return false;

	timeline_park(vcpu);
	return true;
}

/* lockdep cannot keep as many locks as a VM has vCPUs. */
static bool timeline_trylock(struct kvm_vcpu *vcpu)
{
	if (!mutex_trylock(&vcpu->mutex))
		return false;

	mutex_release(&vcpu->mutex.dep_map, _THIS_IP_);
	vcpu->arch.timeline.locked = true;
	return true;
}

static void timeline_unlock(struct kvm_vcpu *vcpu)
{
	vcpu->arch.timeline.locked = false;
	mutex_acquire(&vcpu->mutex.dep_map, 0, 1, _THIS_IP_);
	mutex_unlock(&vcpu->mutex);
}

static int timeline_hold_vcpu(struct kvm_timeline *tl, struct kvm_vcpu *vcpu, ktime_t end)
{
	u64 poll_ns = TIMELINE_HOLD_POLL_NS;
	u32 seq = tl->hold_seq;

	while (!timeline_parked(vcpu, seq) && !timeline_trylock(vcpu)) {
		/* One that dies has its policy's end to see through. */
		if (fatal_signal_pending(current) && !(current->flags & PF_EXITING))
			return -EINTR;
		if (ktime_after(ktime_get(), end)) {
			vcpu->arch.timeline.slow = true;
			return -ETIMEDOUT;
		}
		wait_event_hrtimeout(tl->holder, timeline_parked(vcpu, seq), poll_ns);
		poll_ns = min(2 * poll_ns, TIMELINE_HOLD_POLL_MAX_NS);
	}
	vcpu->arch.timeline.slow = false;

	return 0;
}

/* Have a vCPU come to its checkpoint, from the guest or from its halt. */
void timeline_ask(struct kvm_vcpu *vcpu)
{
	kvm_make_request(KVM_REQ_TIMELINE, vcpu);
	kvm_make_request(KVM_REQ_UNBLOCK, vcpu);
	kvm_vcpu_kick(vcpu);
}

/*
 * Hold all vCPUs of a VM.  Returns -ETIMEDOUT if one did not stop in time, or -EINTR if
 * the caller was killed: none is held then.
 */
int timeline_hold(struct kvm_timeline *tl)
{
	ktime_t end = ktime_add_ns(ktime_get(), TIMELINE_HOLD_TIMEOUT_NS);
	struct kvm_vcpu *vcpu;
	unsigned long i;
	int slow, r = 0;

	lockdep_assert_held(&tl->kvm->lock);

	/* Before the requests, whose receivers look at it. */
	smp_store_release(&tl->hold_seq, tl->hold_seq + 1);

	/* One that did not stop the last time comes first, lest all others wait for it. */
	for (slow = 1; slow >= 0 && !r; slow--) {
		kvm_for_each_vcpu(i, vcpu, tl->kvm) {
			if (vcpu->arch.timeline.slow == slow)
				timeline_ask(vcpu);
		}
		/* Those that wait for guest time to go on. */
		wake_up_all(&tl->waiters);

		kvm_for_each_vcpu(i, vcpu, tl->kvm) {
			if (vcpu->arch.timeline.locked ||
			    timeline_parked(vcpu, tl->hold_seq))
				continue;
			if (slow && !vcpu->arch.timeline.slow)
				continue;
			r = timeline_hold_vcpu(tl, vcpu, end);
			if (r)
				break;
		}
	}

	if (r) {
		tl->kvm->stat.timewarp_put_off++;
		timeline_release(tl);
	}

	return r;
}

/* Let all vCPUs go. */
void timeline_release(struct kvm_timeline *tl)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	/* Nobody else would clear it on a vCPU that was not running; not after they are let go. */
	kvm_for_each_vcpu(i, vcpu, tl->kvm)
		kvm_clear_request(KVM_REQ_TIMELINE, vcpu);

	timeline_arm_edge(tl);

	/* Whoever sees the new number sees all that was written under the old. */
	smp_store_release(&tl->hold_seq, tl->hold_seq + 1);
	wake_up_all(&tl->waiters);

	kvm_for_each_vcpu(i, vcpu, tl->kvm) {
		if (vcpu->arch.timeline.locked)
			timeline_unlock(vcpu);
	}
}

/*
 * Have vCPUs that do not run take over the last change.  Returns whether all of them
 * have, and pages show it.
 */
bool timeline_settle_vcpus(struct kvm_timeline *tl)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;
	bool settled;

	/* Without an address space, none runs again. */
	if (!mmget_not_zero(tl->kvm->mm))
		return true;

	/* Pages are for a vCPU to write. */
	settled = READ_ONCE(tl->published) == tl->seq;
	kvm_for_each_vcpu(i, vcpu, tl->kvm) {
		if (!settled || READ_ONCE(vcpu->arch.timeline.seq) == tl->seq)
			continue;
		settled = mutex_trylock(&vcpu->mutex);
		if (!settled)
			continue;
		vcpu_load(vcpu);
		timeline_apply(tl, vcpu);
		vcpu_put(vcpu);
		mutex_unlock(&vcpu->mutex);
	}
	mmput_async(tl->kvm->mm);

	return settled;
}

/*
 * Idleness.
 *
 * A VM is idle when each of its vCPUs waits in the kernel for an interrupt.  One
 * whose thread is in user space is not: the VMM is doing something for it.  To be
 * held is to stay halted.
 */
void __kvm_timeline_halt(struct kvm_vcpu *vcpu)
{
	struct kvm_timeline *tl = vcpu->kvm->arch.timeline;
	unsigned long flags;

	if (vcpu->arch.timeline.halted)
		return;

	raw_spin_lock_irqsave(&tl->idle_lock, flags);
	vcpu->arch.timeline.halted = true;
	vcpu->arch.timeline.halted_since_ns = ktime_get_ns();
	if (++tl->idle_vcpus == atomic_read(&vcpu->kvm->online_vcpus)) {
		tl->idle_since_ns = get_kvmclock_base_ns();
		kvm_timewarp_idle(tl);
	}
	raw_spin_unlock_irqrestore(&tl->idle_lock, flags);
}

void __kvm_timeline_unhalt(struct kvm_vcpu *vcpu)
{
	struct kvm_timeline *tl = vcpu->kvm->arch.timeline;
	unsigned long flags;

	raw_spin_lock_irqsave(&tl->idle_lock, flags);
	vcpu->arch.timeline.halted = false;
	vcpu->arch.timeline.halted_ns += ktime_get_ns() - vcpu->arch.timeline.halted_since_ns;
	tl->idle_vcpus--;
	tl->idle_since_ns = 0;
	raw_spin_unlock_irqrestore(&tl->idle_lock, flags);
}

/* Since when all vCPUs are halted, as of get_kvmclock_base_ns(); 0 if they are not. */
u64 kvm_timeline_idle_since(struct kvm_timeline *tl)
{
	unsigned long flags;
	u64 since;

	raw_spin_lock_irqsave(&tl->idle_lock, flags);
	since = tl->idle_since_ns;
	raw_spin_unlock_irqrestore(&tl->idle_lock, flags);

	return since;
}
