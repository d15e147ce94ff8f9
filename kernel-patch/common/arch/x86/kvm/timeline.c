// SPDX-License-Identifier: GPL-2.0-only
/*
 * One timeline per VM: guest time as a function of the host's TSC, and the
 * transaction that changes it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/kvm_host.h>
#include <linux/mmu_context.h>
#include <linux/sched/mm.h>
#include <linux/timekeeping.h>

#include <asm/pvclock.h>

#include "hyperv.h"
#include "i8254.h"
#include "lapic.h"
#include "timeline.h"
#include "trace.h"
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

/* vCPUs that do not stop within this time fail the change. */
#define TIMELINE_HOLD_TIMEOUT_NS	NSEC_PER_SEC

/* Poll for vCPUs whose mutex is held by an ioctl other than KVM_RUN. */
#define TIMELINE_HOLD_POLL_NS		(100 * NSEC_PER_USEC)

/*
 * Where a guest can read its TSC without KVM, its vCPUs are stopped this long
 * before guest time comes to stand.
 */
#define TIMELINE_STOP_MARGIN_NS		(50 * NSEC_PER_USEC)

/* Sooner than this, it is not worth another interrupt. */
#define TIMELINE_STOP_NEAR_NS		NSEC_PER_USEC

/* A leap this long may look like a lockup to a guest. */
#define TIMELINE_STOPPED_NS		NSEC_PER_SEC

/* On while any guest lives on its timeline. */
DEFINE_STATIC_KEY_FALSE(kvm_timeline_key);
EXPORT_SYMBOL_GPL(kvm_timeline_key);

u64 __kvm_timeline_ns(struct kvm_timeline *tl, u64 host_tsc)
{
	u64 tsc = kvm_scale_tsc(timeline_host_tsc(tl, host_tsc), tl->tsc_ratio) + tl->tsc_offset;

	return tl->pv_ns + timeline_pvclock_ns(tsc - tl->pv_tsc, tl->pv_mul, tl->pv_shift);
}

ktime_t __kvm_timer_now(struct kvm_timeline *tl)
{
	return ns_to_ktime(__kvm_timeline_ns(tl, rdtsc()));
}

u64 __kvm_timer_host_delay(struct kvm_timeline *tl, u64 guest_ns)
{
	u64 delay = timeline_unscale(guest_ns, tl->rate);
	u64 floor = READ_ONCE(timewarp_floor_ns);

	/* As far as the host's clock goes with room for today; it is armed anew at the thaw. */
	if (tl->frozen || rdtsc() >= READ_ONCE(tl->end_tsc))
		return TIMELINE_NEVER_NS;

	/* At factor 1 and below a timer is no closer than without a timeline. */
	if (tl->rate.num > tl->rate.den && delay < floor) {
		tl->kvm->stat.timewarp_floors++;
		delay = floor;
	}

	return delay;
}
EXPORT_SYMBOL_GPL(__kvm_timer_host_delay);

ktime_t __kvm_timer_to_host(struct kvm_timeline *tl, ktime_t expires)
{
	s64 guest_ns = ktime_sub(expires, __kvm_timer_now(tl));

	/* Read the host's clock last: being interrupted makes a timer late, not early. */
	return ktime_add_ns(ktime_get(), __kvm_timer_host_delay(tl, max(guest_ns, 0)));
}

/**
 * kvm_timeline_skip_periods - the next deadline of a periodic timer
 * @kvm: the VM, on its timeline
 * @now: guest time
 * @target: the deadline that follows the last one
 * @period: the timer's period, in guest ns
 *
 * Deadlines that are in the past, or nearer than the floor, are lost rather
 * than replayed one by one, and counted.
 *
 * Return: the first deadline, in phase, that a host timer may be armed for.
 */
ktime_t kvm_timeline_skip_periods(struct kvm *kvm, ktime_t now, ktime_t target, s64 period)
{
	struct kvm_timeline *tl = kvm->arch.timeline;
	ktime_t first = now;
	u64 lost;

	if (tl->rate.num > tl->rate.den)
		first = ktime_add_ns(now, timeline_scale(READ_ONCE(timewarp_floor_ns), tl->rate));

	if (!ktime_before(target, first))
		return target;

	lost = timeline_periods(ktime_sub(first, target), period);
	kvm->stat.timewarp_lost_ticks += lost;

	return ktime_add_ns(target, lost * period);
}

/**
 * kvm_timeline_owe_periods - the next deadline of a timer whose ticks can be owed
 * @kvm: the VM, on its timeline
 * @now: guest time
 * @target: the deadline that follows the last one
 * @period: the timer's period, in guest ns
 * @most: how many ticks the guest may be owed
 * @owed: result: how many it is owed for deadlines that were skipped
 *
 * As kvm_timeline_skip_periods(), but only what exceeds @most is lost.
 *
 * Return: the first deadline, in phase, that a host timer may be armed for.
 */
ktime_t kvm_timeline_owe_periods(struct kvm *kvm, ktime_t now, ktime_t target, s64 period,
				 u64 most, u64 *owed)
{
	ktime_t next = kvm_timeline_skip_periods(kvm, now, target, period);

	*owed = min(most, div64_u64(ktime_sub(next, target), period));
	kvm->stat.timewarp_lost_ticks -= *owed;

	return next;
}

/*
 * Part of the wait may have been in an earlier segment: as no more is stolen than
 * has elapsed since, it does not matter.
 */
u64 __kvm_timeline_steal(struct kvm_timeline *tl, struct kvm_vcpu *vcpu, u64 steal_ns)
{
	u64 now, elapsed;

	if (!tl->active && vcpu->arch.timeline.steal_seq == tl->seq)
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
static u64 timeline_max_ratio(struct kvm_timeline *tl)
{
	return tl->mode == KVM_TIMEWARP_TSC_SCALED ? kvm_caps.max_tsc_scaling_ratio : U64_MAX;
}

u64 __kvm_timeline_tsc_ratio(struct kvm_timeline *tl, u64 base_ratio)
{
	if (tl->mode == KVM_TIMEWARP_TSC_OFFSET)
		return base_ratio;

	if (base_ratio == tl->base_ratio)
		return tl->tsc_ratio;

	return timeline_ratio(base_ratio, tl->rate, timeline_max_ratio(tl));
}

/* Called with kvm->arch.pvclock_sc read or with the vCPUs held. */
void __kvm_timeline_pvclock(struct kvm_vcpu *vcpu, struct pvclock_vcpu_time_info *pv)
{
	struct kvm_timeline *tl = vcpu->kvm->arch.timeline;

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
 * For how long a vCPU was halted, in host ns of 63 bits: one number, so that it
 * can be read without a lock.  Bit 0 is set while the vCPU is halted, and the
 * rest is then what it was before, minus the time at which that began.
 */
void __kvm_timeline_halt_time(struct kvm_vcpu *vcpu, bool halted)
{
	u64 was = READ_ONCE(vcpu->arch.timeline.halt_time);
	u64 now = ktime_get_ns() << 1;

	/* It may have begun before the timeline did. */
	if (halted == (was & 1))
		return;

	WRITE_ONCE(vcpu->arch.timeline.halt_time, halted ? was - now + 1 : was + now - 1);
}

u64 kvm_timeline_halted_ns(struct kvm_vcpu *vcpu)
{
	u64 halted = READ_ONCE(vcpu->arch.timeline.halt_time);

	if (halted & 1)
		halted += ktime_get_ns() << 1;

	return halted >> 1;
}

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
	    cmpxchg(&tl->late_limit_ns, limit_ns, 0) == limit_ns)
		kvm_timewarp_late(vcpu->kvm);
}

/*
 * Holding vCPUs.
 *
 * A vCPU is held when its thread either is outside of any vCPU ioctl, and its
 * mutex taken, or waits at a checkpoint of its run loop.  Either way none of
 * its clocks' state is in use by anybody but the holder.  The guest sees
 * nothing: a halted vCPU stays halted, and KVM_RUN does not return.
 */
static bool timeline_parked(struct kvm_vcpu *vcpu, u32 seq)
{
	/* Pairs with the release in __kvm_timeline_checkpoint(). */
	return smp_load_acquire(&vcpu->arch.timeline.parked_seq) == seq;
}

void __kvm_timeline_checkpoint(struct kvm_vcpu *vcpu)
{
	struct kvm_timeline *tl = READ_ONCE(vcpu->kvm->arch.timeline);
	u32 seq;

	if (!tl)
		return;

	seq = READ_ONCE(tl->hold_seq);
	if (!(seq & 1))
		return;

	kvm_vcpu_srcu_read_unlock(vcpu);
	vcpu_put(vcpu);

	/* Pairs with the acquire in timeline_parked(). */
	smp_store_release(&vcpu->arch.timeline.parked_seq, seq);
	wake_up_all(&tl->waiters);
	wait_event(tl->waiters, READ_ONCE(tl->hold_seq) != seq);

	vcpu_load(vcpu);
	kvm_vcpu_srcu_read_lock(vcpu);
}

/**
 * kvm_timeline_wait_thaw - keep a vCPU out of the guest while guest time stands still
 * @vcpu: the vCPU, at its checkpoint
 *
 * Not a hold: signals, and with them the VMM's ioctls, get through.
 *
 * Return: 1, for the run loop to look at what has come.
 */
int kvm_timeline_wait_thaw(struct kvm_vcpu *vcpu)
{
	struct kvm_timeline *tl = vcpu->kvm->arch.timeline;

	kvm_vcpu_srcu_read_unlock(vcpu);
	/* A signal is for the run loop to handle. */
	(void)wait_event_interruptible(tl->waiters, !kvm_timeline_frozen(vcpu->kvm) ||
				       kvm_timeline_checkpoint_pending(vcpu));
	kvm_vcpu_srcu_read_lock(vcpu);

	return 1;
}

/*
 * Stopping at a given guest time.
 *
 * The segment ends there, so that whoever asks KVM for the time sees no later
 * one, however long it takes until the next segment begins.  vCPUs are kept
 * out of the guest by a timer's interrupt, as a thread would come too late on
 * a busy host.  Where a guest reads its TSC without KVM, that is a little
 * earlier than the end.
 */
static u64 timeline_stop_delay(struct kvm_timeline *tl)
{
	u64 now = rdtsc(), end = READ_ONCE(tl->end_tsc), ns = 0, margin = 0;

	if (end > now)
		ns = timeline_mul_div(end - now, NSEC_PER_MSEC, tsc_khz);
	if (!kvm_timeline_tsc_trapped(tl->kvm))
		margin = TIMELINE_STOP_MARGIN_NS;

	if (ns <= margin + TIMELINE_STOP_NEAR_NS)
		return 0;

	/* The timer's clock is disciplined and the TSC is not: it is neared step by step. */
	ns = min(ns - margin, TIMELINE_NEVER_NS);
	return ns - (ns >> 10);
}

static enum hrtimer_restart timeline_stop_fn(struct hrtimer *timer)
{
	struct kvm_timeline *tl = container_of(timer, struct kvm_timeline, stop_timer);
	u64 delay = timeline_stop_delay(tl);
	struct kvm_vcpu *vcpu;
	unsigned long i;

	if (delay) {
		hrtimer_set_expires(timer, ktime_add_ns(hrtimer_cb_get_time(timer), delay));
		return HRTIMER_RESTART;
	}

	WRITE_ONCE(tl->frozen, true);
	kvm_for_each_vcpu(i, vcpu, tl->kvm) {
		/* To pass the checkpoint, and come to where it waits for the thaw. */
		kvm_make_request(KVM_REQ_TIMELINE, vcpu);
		kvm_vcpu_kick(vcpu);
	}
	kvm_timewarp_stopped(tl->kvm);

	return HRTIMER_NORESTART;
}

/* With all vCPUs held. */
static void timeline_arm_stop(struct kvm_timeline *tl)
{
	u64 delay;

	if (!tl->stop_ns)
		return;

	delay = timeline_stop_delay(tl);
	/* Not even released, if it is that soon. */
	if (!delay)
		WRITE_ONCE(tl->frozen, true);
	hrtimer_start(&tl->stop_timer, ns_to_ktime(delay), HRTIMER_MODE_REL_HARD);
}

void __kvm_timeline_left_guest(struct kvm_timeline *tl)
{
	u64 now = rdtsc(), end = READ_ONCE(tl->end_tsc);

	/* It was not stopped in time, and what it has seen must not come again. */
	while (now > end && !try_cmpxchg64(&tl->end_tsc, &end, now))
		;
}

static void timeline_release(struct kvm_timeline *tl)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	/* Whoever sees the new number sees all that was written under the old. */
	smp_store_release(&tl->hold_seq, tl->hold_seq + 1);
	wake_up_all(&tl->waiters);

	kvm_for_each_vcpu(i, vcpu, tl->kvm) {
		/* Nobody else would clear it on a vCPU that was not running. */
		kvm_clear_request(KVM_REQ_TIMELINE, vcpu);
		if (vcpu->arch.timeline.locked) {
			vcpu->arch.timeline.locked = false;
			mutex_unlock(&vcpu->mutex);
		}
	}
}

static int timeline_hold(struct kvm_timeline *tl)
{
	struct kvm *kvm = tl->kvm;
	struct kvm_vcpu *vcpu;
	unsigned long i;
	ktime_t end;
	u32 seq;

	lockdep_assert_held(&kvm->lock);

	seq = tl->hold_seq + 1;
	/* Before the requests, whose receivers look at it. */
	smp_store_release(&tl->hold_seq, seq);

	kvm_for_each_vcpu(i, vcpu, kvm) {
		kvm_make_request(KVM_REQ_TIMELINE, vcpu);
		kvm_vcpu_kick(vcpu);
	}
	/* Those that wait for the thaw. */
	wake_up_all(&tl->waiters);

	end = ktime_add_ns(ktime_get(), TIMELINE_HOLD_TIMEOUT_NS);
	kvm_for_each_vcpu(i, vcpu, kvm) {
		while (!timeline_parked(vcpu, seq)) {
			if (mutex_trylock(&vcpu->mutex)) {
				vcpu->arch.timeline.locked = true;
				break;
			}
			if (ktime_after(ktime_get(), end)) {
				timeline_release(tl);
				return -ETIMEDOUT;
			}
			wait_event_hrtimeout(tl->waiters, timeline_parked(vcpu, seq),
					     TIMELINE_HOLD_POLL_NS);
		}
	}

	return 0;
}

/*
 * Idleness.
 *
 * A VM is idle when each of its vCPUs waits in the kernel for an interrupt.  One
 * whose thread is in user space is not: the VMM is doing something for it.
 */
static u64 timeline_exits(struct kvm_timeline *tl)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;
	u64 exits = 0;

	kvm_for_each_vcpu(i, vcpu, tl->kvm)
		exits += READ_ONCE(vcpu->stat.exits);

	return exits;
}

void __kvm_timeline_halt(struct kvm_vcpu *vcpu)
{
	struct kvm_timeline *tl = vcpu->kvm->arch.timeline;
	unsigned long flags;

	raw_spin_lock_irqsave(&tl->idle_lock, flags);
	vcpu->arch.timeline.halted = true;
	if (++tl->idle_vcpus == atomic_read(&vcpu->kvm->online_vcpus)) {
		tl->idle_since_ns = get_kvmclock_base_ns();
		kvm_timewarp_idle(vcpu->kvm);
	}
	raw_spin_unlock_irqrestore(&tl->idle_lock, flags);
}

void __kvm_timeline_unhalt(struct kvm_vcpu *vcpu)
{
	struct kvm_timeline *tl = vcpu->kvm->arch.timeline;
	unsigned long flags;

	raw_spin_lock_irqsave(&tl->idle_lock, flags);
	vcpu->arch.timeline.halted = false;
	tl->idle_vcpus--;
	tl->idle_since_ns = 0;
	raw_spin_unlock_irqrestore(&tl->idle_lock, flags);
}

/**
 * kvm_timeline_idle_ns - for how long all vCPUs have been halted
 * @tl: the timeline
 *
 * Return: host ns, or 0 if they are not.
 */
u64 kvm_timeline_idle_ns(struct kvm_timeline *tl)
{
	unsigned long flags;
	u64 idle_ns = 0;

	raw_spin_lock_irqsave(&tl->idle_lock, flags);
	if (tl->idle_since_ns) {
		idle_ns = get_kvmclock_base_ns() - tl->idle_since_ns;
		tl->idle_exits = timeline_exits(tl);
	}
	raw_spin_unlock_irqrestore(&tl->idle_lock, flags);

	return idle_ns;
}

/* Guest pages are looked at and written by a worker, which borrows the VM's address space. */
static bool timeline_use_mm(struct kvm *kvm)
{
	if (!mmget_not_zero(kvm->mm))
		return false;

	kthread_use_mm(kvm->mm);
	return true;
}

static void timeline_unuse_mm(struct kvm *kvm)
{
	kthread_unuse_mm(kvm->mm);
	mmput_async(kvm->mm);
}

/*
 * Whether the VM is as idle as kvm_timeline_idle_ns() found it.  To be held,
 * vCPUs had to leave their wait, but none may have run or be about to.
 */
static bool timeline_still_idle(struct kvm_timeline *tl)
{
	struct kvm *kvm = tl->kvm;
	struct kvm_vcpu *vcpu;
	unsigned long i;
	bool idle = true;
	int idx;

	if (tl->idle_exits != timeline_exits(tl) || !timeline_use_mm(kvm))
		return false;

	idx = srcu_read_lock(&kvm->srcu);
	kvm_for_each_vcpu(i, vcpu, kvm) {
		/* It waits for another one to start it. */
		if (vcpu->arch.mp_state == KVM_MP_STATE_UNINITIALIZED &&
		    !kvm_apic_has_pending_init_or_sipi(vcpu))
			continue;

		vcpu_load(vcpu);
		idle = !vcpu->arch.timeline.locked && !kvm_arch_vcpu_runnable(vcpu) &&
		       !kvm_cpu_has_pending_timer(vcpu);
		vcpu_put(vcpu);
		if (!idle)
			break;
	}
	srcu_read_unlock(&kvm->srcu, idx);
	timeline_unuse_mm(kvm);

	return idle;
}

/**
 * kvm_timeline_next_timer_ns - when the next timer of a guest is due
 * @tl: the timeline, started
 *
 * Of all that KVM emulates.  While vCPUs run it may be out of date by the time
 * that it returns.
 *
 * Return: guest time, or U64_MAX if no timer is armed.
 */
u64 kvm_timeline_next_timer_ns(struct kvm_timeline *tl)
{
	u64 next = kvm_pit_timer_target_ns(tl->kvm);
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, tl->kvm) {
		next = min(next, kvm_lapic_timer_target_ns(vcpu));
		next = min(next, kvm_hv_stimers_target_ns(vcpu));
		next = min(next, kvm_xen_timer_target_ns(vcpu));
	}

	return next;
}

/* What a change makes of the timeline. */
enum timeline_change {
	TIMELINE_START,
	TIMELINE_RATE,
	TIMELINE_STOP,
	TIMELINE_LEAP,
	TIMELINE_FREEZE,
};

/* Anchor a timeline where the guest's clocks are: nothing moves, at factor 1. */
static void timeline_anchor(struct kvm_timeline *tl)
{
	struct kvm_vcpu *vcpu = kvm_get_vcpu(tl->kvm, 0);
	struct kvm_arch *ka = &tl->kvm->arch;
	u64 khz = tsc_khz, host_tsc;

	if (ka->use_master_clock) {
		/* What every page is made of already. */
		host_tsc = ka->master_cycle_now;
		tl->pv_ns = ka->master_kernel_ns;
	} else {
		host_tsc = rdtsc();
		tl->pv_ns = get_kvmclock_base_ns();
	}

	tl->base_ratio = vcpu->arch.timeline.base_tsc_ratio;
	tl->tsc_ratio = tl->base_ratio;
	tl->tsc_offset = vcpu->arch.l1_tsc_offset;
	tl->pv_tsc = kvm_read_l1_tsc(vcpu, host_tsc);

	if (kvm_caps.has_tsc_control)
		khz = kvm_scale_tsc(khz, tl->base_ratio);
	kvm_get_time_scale(NSEC_PER_SEC, khz * 1000LL, &tl->base_shift, &tl->base_mul);
	tl->pv_mul = tl->base_mul;
	tl->pv_shift = tl->base_shift;
	tl->rate = (struct timeline_rate) { 1, 1 };
}

/* The last host TSC at which a segment that begins at @host_tsc has not passed its stop. */
static u64 timeline_end(struct kvm_timeline *tl, u64 host_tsc)
{
	u64 tsc = kvm_scale_tsc(host_tsc, tl->tsc_ratio) + tl->tsc_offset;
	u64 cycles;

	if (tl->stop_ns <= __kvm_timeline_ns(tl, host_tsc))
		return host_tsc;

	cycles = timeline_pvclock_cycles(tl->stop_ns - tl->pv_ns, tl->pv_mul, tl->pv_shift);
	/* One less, as at that many the guest may compute more. */
	cycles = timeline_host_cycles(cycles - (tsc - tl->pv_tsc) - 1, tl->tsc_ratio,
				      kvm_caps.tsc_scaling_ratio_frac_bits);

	return cycles < U64_MAX - host_tsc ? host_tsc + cycles : U64_MAX;
}

/* Start a segment at @host_tsc, where the timeline is by then or leaps to. */
static void timeline_segment(struct kvm_timeline *tl, const struct timeline_next *next,
			     u64 host_tsc)
{
	u64 ns = __kvm_timeline_ns(tl, host_tsc);
	s64 leap_ns = next->leap_ns - ns;
	struct timeline_rate rate = next->rate;
	u64 tsc;

	if (!next->leap_ns || (leap_ns < 0 && !next->back))
		leap_ns = 0;

	tl->from_tsc = timeline_host_tsc(tl, host_tsc);
	tl->leap_cycles = 0;
	tl->leap_ns = leap_ns;
	tl->leapt_ns += leap_ns;
	/* Timers that count down are not concerned, those that wait for a time are. */
	if (leap_ns < 0)
		tl->timer_shift_ns = leap_ns;

	if (tl->mode == KVM_TIMEWARP_TSC_OFFSET) {
		tl->from_tsc = host_tsc;
		/* Round up by less than a ns rather than step back by it. */
		tl->pv_ns = leap_ns ? next->leap_ns : ns + !tl->frozen;
		tl->pv_tsc = kvm_scale_tsc(host_tsc, tl->tsc_ratio) + tl->tsc_offset;
		timeline_pvclock_mul(tl->base_mul, tl->base_shift, rate,
				     &tl->pv_mul, &tl->pv_shift);
		tl->rate = timeline_pvclock_rate(tl->pv_mul, tl->pv_shift,
						 tl->base_mul, tl->base_shift);
	} else {
		/* The anchor stays: the TSC carries all the change there is. */
		tsc = kvm_scale_tsc(tl->from_tsc, tl->tsc_ratio) + tl->tsc_offset;
		if (leap_ns < 0) {
			tl->leap_cycles = -timeline_pvclock_cycles(-leap_ns, tl->pv_mul,
								   tl->pv_shift);
			tsc += tl->leap_cycles;
			/* What is before the anchor cannot be computed from it. */
			tl->pv_tsc = tsc;
			tl->pv_ns = next->leap_ns;
		} else if (leap_ns) {
			tl->leap_cycles = timeline_pvclock_cycles(next->leap_ns - tl->pv_ns,
								  tl->pv_mul, tl->pv_shift);
			tl->leap_cycles -= tsc - tl->pv_tsc;
			tsc += tl->leap_cycles;
		}
		tl->tsc_ratio = timeline_ratio(tl->base_ratio, rate, timeline_max_ratio(tl));
		tl->tsc_offset = tsc - kvm_scale_tsc(host_tsc, tl->tsc_ratio);
		tl->rate = (struct timeline_rate) { tl->tsc_ratio, tl->base_ratio };
	}

	tl->seg_host_tsc = host_tsc;
	tl->end_tsc = next->freeze ? host_tsc : U64_MAX;
	tl->stop_ns = next->freeze ? 0 : next->stop_ns;
	if (tl->stop_ns)
		tl->end_tsc = timeline_end(tl, host_tsc);
	WRITE_ONCE(tl->frozen, next->freeze);
}

/* Have the guest's clocks go on from where they are, on host time. */
static u64 timeline_leave(struct kvm_timeline *tl)
{
	struct kvm_arch *ka = &tl->kvm->arch;
	u64 host_tsc, base_ns, tsc, ns, now;
	struct kvm_vcpu *vcpu;
	unsigned long i;
	s64 ahead_ns;

	pvclock_update_vm_gtod_copy(tl->kvm);
	if (ka->use_master_clock) {
		host_tsc = ka->master_cycle_now;
		base_ns = ka->master_kernel_ns;
	} else {
		host_tsc = rdtsc();
		base_ns = get_kvmclock_base_ns();
	}

	ns = __kvm_timeline_ns(tl, host_tsc) + 1;
	ahead_ns = ns - base_ns;
	ka->kvmclock_offset += ahead_ns;

	/* TSC writes are matched by the time that passed since the last one. */
	ka->last_tsc_nsec -= ahead_ns;
	ka->cur_tsc_nsec -= ahead_ns;
	kvm_for_each_vcpu(i, vcpu, tl->kvm)
		vcpu->arch.this_tsc_nsec -= ahead_ns;

	tl->from_tsc = tl->mode == KVM_TIMEWARP_TSC_OFFSET ? host_tsc :
							     timeline_host_tsc(tl, host_tsc);
	tl->leap_cycles = 0;
	tl->leap_ns = 0;
	tl->end_tsc = U64_MAX;
	tl->stop_ns = 0;
	WRITE_ONCE(tl->frozen, false);

	tsc = kvm_scale_tsc(tl->from_tsc, tl->tsc_ratio) + tl->tsc_offset;
	tl->tsc_ratio = tl->base_ratio;
	tl->tsc_offset = tsc - kvm_scale_tsc(host_tsc, tl->base_ratio);
	tl->pv_tsc = tsc;
	tl->pv_ns = base_ns;
	tl->pv_mul = tl->base_mul;
	tl->pv_shift = tl->base_shift;
	tl->rate = (struct timeline_rate) { 1, 1 };
	tl->seg_host_tsc = host_tsc;

	/* At the host's rate by now, so it does not matter how long this takes. */
	tl->wall_ahead_ns = tl->wall_ns + ahead_ns - kvm_get_host_wall_ns(&now);
	tl->wall_ahead_ns += __kvm_timeline_ns(tl, now);
	/* kvmclock_offset has the rest. */
	tl->boot_ahead_ns = tl->boot_ns - kvm_get_host_boot_ns(&now);
	tl->boot_ahead_ns += __kvm_timeline_ns(tl, now);
	tl->mono_ahead_ns = tl->mono_ns + ahead_ns - ktime_to_ns(ktime_get());
	tl->mono_ahead_ns += __kvm_timeline_ns(tl, rdtsc());
	tl->timer_shift_ns = -ahead_ns - __kvm_timeline_ns(tl, rdtsc());
	tl->timer_shift_ns += ktime_to_ns(ktime_get());

	return host_tsc;
}

/* What comes before the moment of the change; called as the writer of kvm->arch.pvclock_sc. */
static void timeline_prepare(struct kvm_timeline *tl, enum timeline_change change)
{
	u64 host_tsc;

	tl->timer_shift_ns = 0;
	if (change == TIMELINE_START) {
		timeline_anchor(tl);
		tl->wall_ns = tl->wall_ahead_ns + kvm_get_host_wall_ns(&host_tsc);
		tl->wall_ns -= __kvm_timeline_ns(tl, host_tsc);
		tl->boot_ns = tl->boot_ahead_ns + kvm_get_host_boot_ns(&host_tsc);
		tl->boot_ns -= __kvm_timeline_ns(tl, host_tsc);
		/* Here and below the host's clock is read so that errors go forward. */
		tl->mono_ns = tl->mono_ahead_ns - __kvm_timeline_ns(tl, rdtsc());
		tl->mono_ns += ktime_to_ns(ktime_get());
		/* The later read is the minuend: deadlines move late, not early. */
		tl->timer_shift_ns = -ktime_to_ns(ktime_get());
		tl->timer_shift_ns += __kvm_timeline_ns(tl, rdtsc());
	}
}

/*
 * Write what vCPUs share; called as the writer of kvm->arch.pvclock_sc.  The
 * segments of a group begin at @host_tsc.
 */
static void timeline_write(struct kvm_timeline *tl, enum timeline_change change,
			   const struct timeline_next *next, u64 host_tsc)
{
	u64 from_tsc, old_offset = tl->tsc_offset;
	struct kvm_arch *ka = &tl->kvm->arch;

	if (change == TIMELINE_STOP && list_empty(&tl->group)) {
		host_tsc = timeline_leave(tl);
	} else if (change == TIMELINE_STOP) {
		/* To be at host time's rate from one moment on, all go to factor 1 first. */
		timeline_segment(tl, next, host_tsc);
		from_tsc = tl->from_tsc;
		timeline_leave(tl);
		tl->from_tsc = from_tsc;
	} else {
		timeline_segment(tl, next, host_tsc);
	}

	/* A vCPU that is plugged in later gets these. */
	ka->cur_tsc_offset += tl->tsc_offset - old_offset;
	ka->last_tsc_offset += tl->tsc_offset - old_offset;

	tl->skew_ns = next->skew_ns;
	tl->seq++;
	tl->write_host_tsc = host_tsc;
	WRITE_ONCE(tl->active, change != TIMELINE_STOP);
}

/* Cycles of the VM's TSC as those of a vCPU whose TSC may have another frequency. */
static s64 timeline_own_cycles(const struct kvm_timeline *tl, const struct kvm_vcpu *vcpu,
			       s64 cycles)
{
	u64 ratio = vcpu->arch.timeline.base_tsc_ratio;

	if (ratio == tl->base_ratio)
		return cycles;
	if (cycles < 0)
		return -timeline_mul_div(-cycles, ratio, tl->base_ratio);

	return timeline_mul_div(cycles, ratio, tl->base_ratio);
}

/* By how many of its own cycles a vCPU's TSC is to be ahead of the timeline's. */
static s64 timeline_skew_cycles(const struct kvm_timeline *tl, const struct kvm_vcpu *vcpu)
{
	s64 ns = tl->skew_ns * vcpu->vcpu_idx;
	s64 cycles = timeline_pvclock_cycles(abs(ns), tl->base_mul, tl->base_shift);

	return timeline_own_cycles(tl, vcpu, ns < 0 ? -cycles : cycles);
}

/* Write what is a vCPU's own; @host_tsc is when the segment began. */
static void timeline_write_vcpu(struct kvm_timeline *tl, struct kvm_vcpu *vcpu, u64 host_tsc)
{
	struct kvm_vcpu_arch *arch = &vcpu->arch;
	u64 ratio = kvm_timeline_tsc_ratio(tl->kvm, arch->timeline.base_tsc_ratio);
	u64 tsc = kvm_scale_tsc(tl->from_tsc, arch->l1_tsc_scaling_ratio) + arch->l1_tsc_offset;
	s64 skew = timeline_skew_cycles(tl, vcpu);
	u64 offset;

	tsc += timeline_own_cycles(tl, vcpu, tl->leap_cycles);
	tsc += skew - arch->timeline.skew_cycles;
	arch->timeline.skew_cycles = skew;
	offset = tsc - kvm_scale_tsc(host_tsc, ratio);
	if (ratio != arch->l1_tsc_scaling_ratio)
		kvm_vcpu_write_tsc_multiplier(vcpu, ratio);
	if (offset != arch->l1_tsc_offset)
		kvm_vcpu_write_tsc_offset(vcpu, offset);
	kvm_x86_call(update_tsc_exiting)(vcpu);

	/* Recompute the multiplier, which offset mode replaces. */
	arch->hw_tsc_khz = 0;
	kvm_guest_time_update(vcpu);
}

/* A guest that has kvmclock asks it whether it was stopped before it speaks of a lockup. */
static void timeline_tell_stopped(struct kvm_vcpu *vcpu)
{
	if (vcpu->arch.pv_time.active)
		vcpu->arch.pvclock_set_guest_stopped_request = true;
}

/* kvm->lock of all VMs of a group; others take two of them in an order of their own. */
static int timeline_lock_vms(struct kvm_timeline *first)
{
	ktime_t end = ktime_add_ns(ktime_get(), TIMELINE_HOLD_TIMEOUT_NS);
	struct kvm_timeline *tl, *busy;

	for (;;) {
		busy = NULL;
		mutex_lock(&first->kvm->lock);
		list_for_each_entry(tl, &first->group, group) {
			if (!mutex_trylock(&tl->kvm->lock)) {
				busy = tl;
				break;
			}
		}
		if (!busy)
			return 0;

		for (tl = first; tl; tl = kvm_timeline_next(tl, first)) {
			if (tl == busy)
				break;
			mutex_unlock(&tl->kvm->lock);
		}
		if (ktime_after(ktime_get(), end))
			return -ETIMEDOUT;
		usleep_range(50, 200);
	}
}

static void timeline_unlock_vms(struct kvm_timeline *first)
{
	struct kvm_timeline *tl;

	for (tl = first; tl; tl = kvm_timeline_next(tl, first))
		mutex_unlock(&tl->kvm->lock);
}

static int timeline_hold_all(struct kvm_timeline *first)
{
	struct kvm_timeline *tl, *held;
	int r;

	for (tl = first; tl; tl = kvm_timeline_next(tl, first)) {
		r = timeline_hold(tl);
		if (!r)
			continue;

		/* The one that failed has let its own go. */
		for (held = first; held; held = kvm_timeline_next(held, first)) {
			if (held == tl)
				return r;
			timeline_release(held);
		}
	}

	return 0;
}

static void timeline_pause_timers(struct kvm_timeline *tl)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, tl->kvm) {
		vcpu->arch.timeline.timer_armed = kvm_lapic_timer_pause(vcpu);
		kvm_hv_stimers_pause(vcpu);
		kvm_xen_timer_pause(vcpu);
	}
	kvm_pit_timer_pause(tl->kvm);
}

/* Write what is the vCPUs' own, into the guest's memory too, and arm their timers. */
static void timeline_write_vcpus(struct kvm_timeline *tl, enum timeline_change change)
{
	struct kvm *kvm = tl->kvm;
	bool use_mm = timeline_use_mm(kvm);
	struct kvm_vcpu *vcpu;
	unsigned long i;
	int idx;

	if (tl->leap_ns)
		kvm->stat.timewarp_leaps++;

	idx = srcu_read_lock(&kvm->srcu);
	kvm_for_each_vcpu(i, vcpu, kvm) {
		/* Not halted now; one that was when the last timeline stopped has not told. */
		if (change == TIMELINE_START)
			vcpu->arch.timeline.halt_time = 0;
		vcpu_load(vcpu);
		if (tl->leap_ns >= (s64)TIMELINE_STOPPED_NS)
			timeline_tell_stopped(vcpu);
		timeline_write_vcpu(tl, vcpu, tl->write_host_tsc);
		kvm_lapic_timer_resume(vcpu, vcpu->arch.timeline.timer_armed,
				       tl->timer_shift_ns);
		kvm_hv_stimers_resume(vcpu);
		kvm_xen_timer_resume(vcpu);
		vcpu_put(vcpu);
	}
	srcu_read_unlock(&kvm->srcu, idx);
	if (tl->leap_ns)
		kvm_pit_timer_leap(kvm);
	kvm_pit_timer_resume(kvm, tl->timer_shift_ns);

	if (use_mm)
		timeline_unuse_mm(kvm);
}

/* With all vCPUs held: one moment at which the segments of all of the group's VMs begin. */
static void timeline_write_all(struct kvm_timeline *first, enum timeline_change change,
			       const struct timeline_next *next)
{
	struct timeline_next all = *next;
	struct kvm_timeline *tl;
	u64 host_tsc;

	local_irq_disable();
	for (tl = first; tl; tl = kvm_timeline_next(tl, first)) {
		raw_spin_lock_nest_lock(&tl->kvm->arch.tsc_write_lock, &first->lock);
		write_seqcount_begin(&tl->kvm->arch.pvclock_sc);
		timeline_prepare(tl, change);
	}

	host_tsc = rdtsc();
	/* They come to stand at one guest time, that of the one which is ahead by some ns. */
	if (next->freeze && !next->back) {
		for (tl = first; tl; tl = kvm_timeline_next(tl, first))
			all.leap_ns = max(all.leap_ns, __kvm_timeline_ns(tl, host_tsc));
	}

	for (tl = first; tl; tl = kvm_timeline_next(tl, first))
		timeline_write(tl, change, &all, host_tsc);

	for (tl = first; tl; tl = kvm_timeline_next(tl, first)) {
		write_seqcount_end(&tl->kvm->arch.pvclock_sc);
		raw_spin_unlock(&tl->kvm->arch.tsc_write_lock);
	}
	local_irq_enable();
}

/* With all vCPUs held: where a leap that depends on it can go, or 0 if not all VMs are idle. */
static u64 timeline_idle_leap(struct kvm_timeline *first, u64 leap_ns)
{
	struct kvm_timeline *tl;

	for (tl = first; tl; tl = kvm_timeline_next(tl, first)) {
		if (!timeline_still_idle(tl))
			return 0;
		leap_ns = min(leap_ns, kvm_timeline_next_timer_ns(tl));
	}

	return leap_ns;
}

static int timeline_change(struct kvm_timeline *first, enum timeline_change change,
			   struct timeline_next *next)
{
	struct kvm_timeline *tl;
	ktime_t start, held;
	s64 wait_ns;
	int r;

	lockdep_assert_held(&first->lock);

	start = ktime_get();
	r = timeline_lock_vms(first);
	if (r)
		return r;

	r = timeline_hold_all(first);
	if (r)
		goto out_unlock;
	held = ktime_get();
	wait_ns = ktime_to_ns(ktime_sub(held, start));

	if (next->if_idle && next->leap_ns) {
		next->leap_ns = timeline_idle_leap(first, next->leap_ns);

		/* Too late, and nothing else to do. */
		if (!next->leap_ns && !next->freeze && !first->frozen &&
		    !next->stop_ns && !first->stop_ns &&
		    next->skew_ns == first->skew_ns &&
		    !timeline_rate_cmp(next->rate, first->asked)) {
			for (tl = first; tl; tl = kvm_timeline_next(tl, first))
				timeline_release(tl);
			goto out_unlock;
		}
	}

	for (tl = first; tl; tl = kvm_timeline_next(tl, first)) {
		hrtimer_cancel(&tl->stop_timer);
		timeline_pause_timers(tl);
		kvm_hv_request_tsc_page_update(tl->kvm);
	}

	timeline_write_all(first, change, next);

	for (tl = first; tl; tl = kvm_timeline_next(tl, first))
		timeline_write_vcpus(tl, change);

	for (tl = first; tl; tl = kvm_timeline_next(tl, first)) {
		timeline_arm_stop(tl);
		timeline_release(tl);
		tl->held_last_ns = ktime_to_ns(ktime_sub(ktime_get(), held));
		tl->held_max_ns = max(tl->held_max_ns, tl->held_last_ns);
		tl->kvm->stat.timewarp_changes++;
		trace_kvm_timewarp_segment(tl, change, wait_ns);
	}
out_unlock:
	timeline_unlock_vms(first);
	return r;
}

/* See timeline_use_mm(). */
struct timeline_work {
	struct work_struct work;
	struct kvm_timeline *tl;
	enum timeline_change change;
	struct timeline_next next;
	int r;
};

static void timeline_change_fn(struct work_struct *work)
{
	struct timeline_work *w = container_of(work, struct timeline_work, work);

	w->r = timeline_change(w->tl, w->change, &w->next);
}

static int timeline_do_change(struct kvm_timeline *tl, enum timeline_change change,
			      const struct timeline_next *next)
{
	struct timeline_work w = { .tl = tl, .change = change, .next = *next };

	INIT_WORK_ONSTACK(&w.work, timeline_change_fn);
	queue_work(system_unbound_wq, &w.work);
	flush_work(&w.work);
	destroy_work_on_stack(&w.work);

	return w.r;
}

/**
 * kvm_timeline_limits - what a TSC mode can do for a VM
 * @kvm: the VM
 * @mode: in: the mode asked for, out: the mode meant by AUTO
 * @min: lowest factor
 * @max: highest factor
 *
 * Return: 0; -EOPNOTSUPP if the mode is not possible; -ENODEV if the host's TSC
 * cannot carry a timeline; -ENXIO if the VM has no vCPU.
 */
int kvm_timeline_limits(struct kvm *kvm, enum kvm_timewarp_tsc_mode *mode,
			struct timeline_rate *min, struct timeline_rate *max)
{
	struct kvm_vcpu *vcpu = kvm_get_vcpu(kvm, 0);
	u64 ratio;

	if (!vcpu)
		return -ENXIO;

	if (check_tsc_unstable())
		return -ENODEV;

	/* KVM cannot see or set the clocks of a guest that is protected from it. */
	if (kvm->arch.vm_type != KVM_X86_DEFAULT_VM || vcpu->arch.guest_state_protected ||
	    vcpu->arch.tsc_always_catchup)
		return -EOPNOTSUPP;

	if (*mode == KVM_TIMEWARP_TSC_AUTO)
		*mode = kvm_caps.has_tsc_control ? KVM_TIMEWARP_TSC_SCALED :
						   KVM_TIMEWARP_TSC_TRAPPED;

	if (*mode == KVM_TIMEWARP_TSC_SCALED && !kvm_caps.has_tsc_control)
		return -EOPNOTSUPP;

	*min = (struct timeline_rate) { 1, TIMELINE_FACTOR_LIMIT };
	*max = (struct timeline_rate) { TIMELINE_FACTOR_LIMIT, 1 };

	if (*mode == KVM_TIMEWARP_TSC_SCALED) {
		ratio = timeline_mul_div(vcpu->arch.timeline.base_tsc_ratio,
					 TIMELINE_FACTOR_LIMIT, 1);
		if (ratio >= kvm_caps.max_tsc_scaling_ratio)
			*max = (struct timeline_rate) { kvm_caps.max_tsc_scaling_ratio,
							vcpu->arch.timeline.base_tsc_ratio };
	}

	return 0;
}

/**
 * kvm_timeline_create - a VM's timeline, at rest
 * @kvm: the VM
 *
 * Once created it stays until the VM dies, so that readers need not count
 * references.
 *
 * Return: the timeline, or NULL.
 */
struct kvm_timeline *kvm_timeline_create(struct kvm *kvm)
{
	struct kvm_timeline *tl;

	if (kvm->arch.timeline)
		return kvm->arch.timeline;

	tl = kzalloc(sizeof(*tl), GFP_KERNEL_ACCOUNT);
	if (!tl)
		return NULL;

	tl->kvm = kvm;
	mutex_init(&tl->lock);
	INIT_LIST_HEAD(&tl->group);
	init_waitqueue_head(&tl->waiters);
	raw_spin_lock_init(&tl->idle_lock);
	tl->rate = (struct timeline_rate) { 1, 1 };
	tl->asked = tl->rate;
	tl->end_tsc = U64_MAX;
	hrtimer_init(&tl->stop_timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_HARD);
	tl->stop_timer.function = timeline_stop_fn;
	/* kvm_timeline() reads it without a lock. */
	smp_store_release(&kvm->arch.timeline, tl);

	return tl;
}

/**
 * kvm_timeline_free - free the timeline of a VM that has no vCPUs any more
 * @kvm: the VM
 */
void kvm_timeline_free(struct kvm *kvm)
{
	if (!kvm->arch.timeline)
		return;

	if (kvm->arch.timeline->active)
		static_branch_dec(&kvm_timeline_key);
	kfree(kvm->arch.timeline);
	kvm->arch.timeline = NULL;
}

/**
 * kvm_timeline_host_tsc_lost - the host's TSC has gone back
 * @kvm: the VM
 * @delta_cyc: host cycles by which it did
 *
 * The offsets of vCPUs make up for it when they are loaded, and the timeline
 * is a function of the guest's TSC.
 */
void kvm_timeline_host_tsc_lost(struct kvm *kvm, u64 delta_cyc)
{
	struct kvm_timeline *tl = kvm_timeline(kvm);

	if (!tl)
		return;

	tl->tsc_offset += kvm_scale_tsc(delta_cyc, tl->tsc_ratio);
	if (tl->end_tsc != U64_MAX)
		tl->end_tsc -= delta_cyc;
}

/**
 * kvm_timeline_sync - keep the anchor within reach
 * @kvm: the VM
 *
 * Called every few minutes.  The pvclock formula wraps when 2^64 guest cycles
 * have passed since the anchor, which at a high factor takes mere days.
 */
void kvm_timeline_sync(struct kvm *kvm)
{
	struct kvm_timeline *tl = kvm_timeline(kvm);
	u64 tsc;

	if (!tl)
		return;

	mutex_lock(&tl->lock);
	tsc = kvm_scale_tsc(timeline_host_tsc(tl, rdtsc()), tl->tsc_ratio) + tl->tsc_offset;
	if (tl->active && tsc - tl->pv_tsc > U64_MAX / 4) {
		kvm_start_pvclock_update(kvm);
		timeline_pvclock_advance(&tl->pv_tsc, &tl->pv_ns, tl->pv_mul, tl->pv_shift, tsc);
		kvm_end_pvclock_update(kvm);
	}
	mutex_unlock(&tl->lock);
}

/**
 * kvm_timeline_start - have the guests of a group live on their timelines
 * @first: one of them, at rest as all are
 * @mode: TSC mode, AUTO resolved
 * @rate: factor, within the mode's limits for all
 *
 * Return: 0, or -ETIMEDOUT if the vCPUs could not be held; nothing has changed then.
 */
int kvm_timeline_start(struct kvm_timeline *first, enum kvm_timewarp_tsc_mode mode,
		       struct timeline_rate rate)
{
	struct timeline_next next = { .rate = rate };
	struct kvm_timeline *tl;
	int r;

	lockdep_assert_held(&first->lock);

	for (tl = first; tl; tl = kvm_timeline_next(tl, first)) {
		static_branch_inc(&kvm_timeline_key);
		tl->mode = mode;
		tl->asked = rate;
	}

	r = timeline_do_change(first, TIMELINE_START, &next);
	if (r) {
		for (tl = first; tl; tl = kvm_timeline_next(tl, first))
			static_branch_dec(&kvm_timeline_key);
	}

	return r;
}

/**
 * kvm_timeline_set - start a segment in all timelines of a group, at one moment
 * @first: one of them, started as all are
 * @next: the segment, its factor within the mode's limits for all
 *
 * Return: 0, or -ETIMEDOUT if the vCPUs could not be held; nothing has changed then.
 */
int kvm_timeline_set(struct kvm_timeline *first, const struct timeline_next *next)
{
	enum timeline_change change = TIMELINE_RATE;
	struct kvm_timeline *tl;
	int r;

	lockdep_assert_held(&first->lock);

	if (next->freeze)
		change = TIMELINE_FREEZE;
	else if (next->leap_ns)
		change = TIMELINE_LEAP;

	r = timeline_do_change(first, change, next);
	if (r)
		return r;

	for (tl = first; tl; tl = kvm_timeline_next(tl, first))
		tl->asked = next->rate;

	return 0;
}

/**
 * kvm_timeline_settle - have guest time stand where it was to stop, if it has come to that
 * @first: one of the timelines, started as all are
 *
 * Return: 0, or -ETIMEDOUT if the vCPUs could not be held; guest time does not
 * go on then.
 */
int kvm_timeline_settle(struct kvm_timeline *first)
{
	struct timeline_next next = { .rate = first->asked, .freeze = true,
				      .skew_ns = first->skew_ns };
	struct kvm_timeline *tl;
	bool stopped = false;

	for (tl = first; tl; tl = kvm_timeline_next(tl, first)) {
		if (!tl->stop_ns)
			continue;
		next.leap_ns = tl->stop_ns;
		stopped |= READ_ONCE(tl->frozen) || rdtsc() >= READ_ONCE(tl->end_tsc);
	}

	return stopped ? kvm_timeline_set(first, &next) : 0;
}

/**
 * kvm_timeline_stop - have the guests of a group live on host time, from where they are
 * @first: one of the timelines, started as all are
 *
 * Return: 0, or -ETIMEDOUT if the vCPUs could not be held; guest time then
 * still follows the timelines.
 */
int kvm_timeline_stop(struct kvm_timeline *first)
{
	struct timeline_next next = { .rate = { 1, 1 } };
	struct kvm_timeline *tl;
	int r;

	lockdep_assert_held(&first->lock);

	r = timeline_do_change(first, TIMELINE_STOP, &next);
	if (r)
		return r;

	for (tl = first; tl; tl = kvm_timeline_next(tl, first)) {
		tl->asked = tl->rate;
		static_branch_dec(&kvm_timeline_key);
	}

	return 0;
}
