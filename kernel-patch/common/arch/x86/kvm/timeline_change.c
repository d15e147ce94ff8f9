// SPDX-License-Identifier: GPL-2.0-only
/*
 * The transaction that changes a VM's timeline.
 *
 * With all vCPUs held and their timers stopped, the segment is written, and
 * with it what vCPUs are to take over when they are let go.  Nothing here looks
 * at guest memory, or at hardware that is a vCPU's own.
 */

#include <linux/kvm_host.h>
#include <linux/timekeeping.h>

#include "hyperv.h"
#include "i8254.h"
#include "lapic.h"
#include "timeline.h"
#include "timewarp_trace.h"
#include "x86.h"
#include "xen.h"

/* A leap this long may look like a lockup to a guest. */
#define TIMELINE_STOPPED_NS		NSEC_PER_SEC

/* Where the host's clocks are: its TSC, and the time that guest clocks are made of. */
static u64 timeline_host_base(struct kvm *kvm, u64 *ns)
{
	u64 host_tsc;

	if (kvm->arch.use_master_clock) {
		/* What every page is made of already. */
		*ns = kvm->arch.master_kernel_ns;
		return kvm->arch.master_cycle_now;
	}

	*ns = kvm_get_host_base_ns(&host_tsc);
	return host_tsc;
}

/* Have TSC writes be matched by guest time, which is @ns ahead of what it was. */
static void timeline_move_tsc_writes(struct kvm *kvm, s64 ns)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm->arch.last_tsc_nsec += ns;
	kvm->arch.cur_tsc_nsec += ns;
	kvm_for_each_vcpu(i, vcpu, kvm)
		vcpu->arch.this_tsc_nsec += ns;
}

/* The rate of a vCPU's TSC at factor 1. */
static u64 timeline_guest_khz(struct kvm_vcpu *vcpu)
{
	return kvm_caps.has_tsc_control ?
	       kvm_scale_tsc(tsc_khz, vcpu->arch.timeline.base_tsc_ratio) : tsc_khz;
}

/* Anchor a timeline where the guest's clocks are: nothing moves, at factor 1. */
static void timeline_anchor(struct kvm_timeline *tl)
{
	struct kvm_vcpu *vcpu = kvm_get_vcpu(tl->kvm, 0);
	u64 host_tsc;

	host_tsc = timeline_host_base(tl->kvm, &tl->pv_ns);

	/* Guest time goes on from where the last attachment has left it. */
	tl->pv_ns += tl->lead_ns;
	tl->kvm->arch.kvmclock_offset -= tl->lead_ns;
	timeline_move_tsc_writes(tl->kvm, tl->lead_ns);

	tl->seg_host_tsc = 0;
	tl->base_ratio = vcpu->arch.timeline.base_tsc_ratio;
	tl->tsc_ratio = tl->base_ratio;
	tl->tsc_offset = vcpu->arch.l1_tsc_offset;
	tl->pv_tsc = kvm_scale_tsc(host_tsc, tl->tsc_ratio) + tl->tsc_offset;

	kvm_get_time_scale(NSEC_PER_SEC, max(timeline_guest_khz(vcpu), 1) * 1000LL,
			   &tl->base_shift, &tl->base_mul);
	tl->pv_mul = tl->base_mul;
	tl->pv_shift = tl->base_shift;
	tl->rate = (struct timeline_rate) { 1, 1 };

	tl->wall_ns = tl->wall_ahead_ns + kvm_get_host_wall_ns(&host_tsc);
	tl->wall_ns -= __kvm_timeline_ns(tl, host_tsc);
	/* The host's clock is read so that errors go forward: a VMM's clocks never step back. */
	tl->mono_ns = tl->mono_ahead_ns - __kvm_timeline_ns(tl, rdtsc());
	tl->mono_ns += ktime_to_ns(ktime_get());
	/* The later read is the minuend: deadlines move late, not early. */
	tl->timer_shift_ns = -ktime_to_ns(ktime_get());
	tl->timer_shift_ns += __kvm_timeline_ns(tl, rdtsc());
}

/* The last host TSC at which the segment, which begins at @host_tsc, has not passed its stop. */
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

/* Whether the anchor is to be moved: the formula wraps 2^64 guest cycles after it. */
bool timeline_far(struct kvm_timeline *tl)
{
	u64 tsc = kvm_scale_tsc(timeline_host_tsc(tl, rdtsc()), tl->tsc_ratio) + tl->tsc_offset;

	return tsc - tl->pv_tsc > U64_MAX / 4;
}

/* The guest's TSC goes its own way: kvmclock's page alone changes. */
static void timeline_segment_offset(struct kvm_timeline *tl, const struct timeline_next *next,
				    u64 ns, u64 host_tsc)
{
	tl->from_tsc = host_tsc;
	/* Round up by less than a ns rather than step back by it. */
	tl->pv_ns = tl->leap_ns ? next->leap_ns : ns + (rdtsc() < tl->end_tsc);
	tl->pv_tsc = kvm_scale_tsc(host_tsc, tl->tsc_ratio) + tl->tsc_offset;
	timeline_pvclock_mul(tl->base_mul, tl->base_shift, next->rate, &tl->pv_mul, &tl->pv_shift);
	tl->rate = timeline_pvclock_rate(tl->pv_mul, tl->pv_shift, tl->base_mul, tl->base_shift);
}

/* The anchor stays: the TSC carries all the change there is. */
static void timeline_segment_tsc(struct kvm_timeline *tl, const struct timeline_next *next,
				 u64 host_tsc)
{
	u64 tsc = kvm_scale_tsc(tl->from_tsc, tl->tsc_ratio) + tl->tsc_offset;

	if (timeline_far(tl))
		timeline_pvclock_advance(&tl->pv_tsc, &tl->pv_ns, tl->pv_mul, tl->pv_shift, tsc);

	if (tl->leap_ns < 0) {
		tl->leap_cycles = -timeline_pvclock_cycles(-tl->leap_ns, tl->pv_mul, tl->pv_shift);
		tsc += tl->leap_cycles;
		/* What is before the anchor cannot be computed from it. */
		tl->pv_tsc = tsc;
		tl->pv_ns = next->leap_ns;
	} else if (tl->leap_ns) {
		tl->leap_cycles = timeline_pvclock_cycles(next->leap_ns - tl->pv_ns,
							  tl->pv_mul, tl->pv_shift);
		tl->leap_cycles -= tsc - tl->pv_tsc;
		tsc += tl->leap_cycles;
	}

	tl->tsc_ratio = timeline_ratio(tl->base_ratio, next->rate, timeline_max_ratio(tl));
	tl->tsc_offset = tsc - kvm_scale_tsc(host_tsc, tl->tsc_ratio);
	tl->rate = (struct timeline_rate) { tl->tsc_ratio, tl->base_ratio };
}

/* Start a segment, now or at its moment, where the timeline is or leaps to. */
static u64 timeline_segment(struct kvm_timeline *tl, const struct timeline_next *next)
{
	u64 now = rdtsc(), ns = __kvm_timeline_ns(tl, now);
	u64 begin = next->start_tsc ?: now;

	tl->leap_ns = next->leap_ns - ns;
	if (!next->leap_ns || (tl->leap_ns < 0 && !next->back))
		tl->leap_ns = 0;
	tl->leapt_ns += tl->leap_ns;
	if (next->past_timers && tl->leap_ns > 0)
		tl->passed_timers = true;
	tl->leap_cycles = 0;
	/* Timers that count down are not concerned, those that wait for a time are. */
	if (tl->leap_ns < 0)
		tl->timer_shift_ns = tl->leap_ns;

	tl->from_tsc = timeline_host_tsc(tl, now);
	if (tl->mode == KVM_TIMEWARP_TSC_OFFSET)
		timeline_segment_offset(tl, next, ns, begin);
	else
		timeline_segment_tsc(tl, next, begin);

	tl->seg_host_tsc = begin;
	tl->end_tsc = next->freeze ? begin : U64_MAX;
	tl->stop_ns = next->freeze ? 0 : next->stop_ns;
	if (tl->stop_ns)
		tl->end_tsc = timeline_end(tl, begin);
	WRITE_ONCE(tl->frozen, next->freeze || begin > now);

	return begin;
}

/* Have the guest's clocks go on from where they are, on host time. */
static u64 timeline_leave(struct kvm_timeline *tl)
{
	struct kvm_arch *ka = &tl->kvm->arch;
	u64 host_tsc, base_ns, tsc, now;

	pvclock_update_vm_gtod_copy(tl->kvm);
	host_tsc = timeline_host_base(tl->kvm, &base_ns);
	tl->from_tsc = tl->mode == KVM_TIMEWARP_TSC_OFFSET ? host_tsc :
							     timeline_host_tsc(tl, host_tsc);
	tsc = kvm_scale_tsc(tl->from_tsc, tl->tsc_ratio) + tl->tsc_offset;

	tl->lead_ns = __kvm_timeline_ns(tl, host_tsc) + 1 - base_ns;
	ka->kvmclock_offset += tl->lead_ns;
	timeline_move_tsc_writes(tl->kvm, -tl->lead_ns);

	tl->leap_cycles = 0;
	tl->leap_ns = 0;
	tl->seg_host_tsc = 0;
	tl->end_tsc = U64_MAX;
	tl->stop_ns = 0;
	WRITE_ONCE(tl->frozen, false);
	tl->tsc_ratio = tl->base_ratio;
	tl->tsc_offset = tsc - kvm_scale_tsc(host_tsc, tl->base_ratio);
	tl->pv_tsc = tsc;
	tl->pv_ns = base_ns + tl->lead_ns;
	tl->pv_mul = tl->base_mul;
	tl->pv_shift = tl->base_shift;
	tl->rate = (struct timeline_rate) { 1, 1 };

	/* At the host's rate by now, so it does not matter how long this takes. */
	tl->wall_ahead_ns = tl->wall_ns - kvm_get_host_wall_ns(&now);
	tl->wall_ahead_ns += __kvm_timeline_ns(tl, now);
	tl->mono_ahead_ns = tl->mono_ns - ktime_to_ns(ktime_get());
	tl->mono_ahead_ns += __kvm_timeline_ns(tl, rdtsc());
	tl->timer_shift_ns = -__kvm_timeline_ns(tl, rdtsc());
	tl->timer_shift_ns += ktime_to_ns(ktime_get());
	tl->seg_host_tsc = host_tsc;

	return host_tsc;
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

/* Write what a vCPU is to take over; @host_tsc is when the segment begins. */
static void timeline_write_vcpu(struct kvm_timeline *tl, struct kvm_vcpu *vcpu, u64 host_tsc)
{
	struct kvm_vcpu_arch *arch = &vcpu->arch;
	u64 tsc = kvm_scale_tsc(tl->from_tsc, arch->l1_tsc_scaling_ratio) + arch->l1_tsc_offset;

	tsc += timeline_own_cycles(tl, vcpu, tl->leap_cycles);
	arch->l1_tsc_scaling_ratio = kvm_timeline_tsc_ratio(tl->kvm,
							    arch->timeline.base_tsc_ratio);
	arch->l1_tsc_offset = tsc - kvm_scale_tsc(host_tsc, arch->l1_tsc_scaling_ratio);

	/* A guest that has kvmclock asks it whether it was stopped before it speaks of a lockup. */
	if (tl->leap_ns >= (s64)TIMELINE_STOPPED_NS && arch->pv_time.active)
		arch->pvclock_set_guest_stopped_request = true;

	kvm_lapic_timer_shift(vcpu, tl->timer_shift_ns);
}

/* Write the segment; all vCPUs are held, and their timers do not run. */
static void timeline_write(struct kvm_timeline *tl, enum timeline_change change,
			   const struct timeline_next *next)
{
	struct kvm_arch *ka = &tl->kvm->arch;
	struct kvm_vcpu *vcpu;
	u64 old_offset, begin;
	unsigned long flags, i;

	raw_spin_lock_irqsave(&ka->tsc_write_lock, flags);
	write_seqcount_begin(&ka->pvclock_sc);

	tl->timer_shift_ns = 0;
	if (change == TIMELINE_START)
		timeline_anchor(tl);
	old_offset = tl->tsc_offset;
	begin = change == TIMELINE_STOP ? timeline_leave(tl) : timeline_segment(tl, next);
	/* A vCPU that is plugged in later gets these. */
	ka->cur_tsc_offset += tl->tsc_offset - old_offset;
	ka->last_tsc_offset += tl->tsc_offset - old_offset;
	WRITE_ONCE(tl->active, change != TIMELINE_STOP);
	kvm_for_each_vcpu(i, vcpu, tl->kvm)
		timeline_write_vcpu(tl, vcpu, begin);
	WRITE_ONCE(tl->seq, tl->seq + 1);

	write_seqcount_end(&ka->pvclock_sc);
	raw_spin_unlock_irqrestore(&ka->tsc_write_lock, flags);
}

static void timeline_pause_timers(struct kvm_timeline *tl)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	hrtimer_cancel(&tl->edge);
	kvm_for_each_vcpu(i, vcpu, tl->kvm) {
		/* One that was paused before may not have been armed again yet. */
		if (kvm_lapic_timer_pause(vcpu))
			vcpu->arch.timeline.timer_armed = true;
		kvm_hv_stimers_pause(vcpu);
		if (IS_ENABLED(CONFIG_KVM_XEN))
			kvm_xen_timer_pause(vcpu);
	}
	kvm_pit_timer_pause(tl->kvm);
}

/* Whether a vCPU has ever entered the guest; by the field, as 7.3 has no kvm_vcpu_has_run(). */
static bool timeline_has_run(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		if (vcpu->arch.last_vmentry_cpu != -1)
			return true;
	}

	return false;
}

/* How far guest time leaps ahead: before a guest has run, no clock of it has been read. */
u64 timeline_leap_max(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu = kvm_get_vcpu(kvm, 0);

	if (!vcpu || timeline_has_run(kvm))
		return KVM_TIMEWARP_MAX_LEAP_NS;

	return min(KVM_TIMEWARP_MAX_START_NS, timeline_leap_fits_ns(timeline_guest_khz(vcpu)));
}

/* The PIT's ticks that a leap leaves out are lost, but to a guest that has not run yet. */
static void timeline_resume_pit(struct kvm_timeline *tl)
{
	struct kvm_vm_stat *stat = &tl->kvm->stat;
	u64 lost = stat->timewarp_lost_ticks;

	kvm_pit_timer_resume(tl->kvm, tl->timer_shift_ns, tl->leap_ns > 0);
	if (!tl->leap_ns)
		return;

	stat->timewarp_leaps++;
	if (!timeline_has_run(tl->kvm))
		stat->timewarp_lost_ticks = lost;
}

/* With all vCPUs held: where a leap of an idle VM can go, or 0 if it is not idle any more. */
static u64 timeline_idle_leap(struct kvm_timeline *tl, const struct timeline_next *next)
{
	bool ticks;

	if (kvm_timeline_idle_since(tl) != next->idle_since_ns)
		return 0;

	return next->past_timers ? next->leap_ns :
				   min(next->leap_ns, kvm_timeline_next_timer_ns(tl, &ticks));
}

/* Whether a segment would be no other than the one in force. */
bool timeline_is(struct kvm_timeline *tl, const struct timeline_next *next)
{
	return !next->leap_ns && !next->start_tsc && !next->stop_ns && !tl->stop_ns &&
	       next->freeze == timeline_has_ended(tl) && !timeline_rate_cmp(next->rate, tl->asked);
}

static int timeline_change(struct kvm_timeline *tl, enum timeline_change change,
			   struct timeline_next next)
{
	struct kvm *kvm = tl->kvm;
	ktime_t start, held;
	int r;

	lockdep_assert_held(&tl->lock);

	start = ktime_get();
	if (mutex_lock_killable(&kvm->lock))
		return -EINTR;

	r = timeline_hold(tl);
	if (r)
		goto out_unlock;
	held = ktime_get();

	if (next.idle_since_ns && next.leap_ns) {
		next.leap_ns = timeline_idle_leap(tl, &next);
		/* Too late, and nothing else to do. */
		if (!next.leap_ns && timeline_is(tl, &next))
			goto out_release;
	}

	/* The guest may have begun to run since it was asked how far it can go. */
	next.leap_ns = min(next.leap_ns, __kvm_timeline_ns(tl, rdtsc()) + timeline_leap_max(kvm));

	timeline_pause_timers(tl);
	timeline_write(tl, change, &next);
	timeline_resume_pit(tl);
	kvm->stat.timewarp_changes++;
	tl->held_last_ns = ktime_to_ns(ktime_sub(ktime_get(), held));
	tl->held_max_ns = max(tl->held_max_ns, tl->held_last_ns);
	tl->asked = next.rate;
	trace_kvm_timewarp_segment(tl, change, ktime_to_ns(ktime_sub(held, start)));
out_release:
	timeline_release(tl);
out_unlock:
	mutex_unlock(&kvm->lock);
	return r;
}

/* A VM's timeline, zeroed, is at rest. */
void timeline_init(struct kvm_timeline *tl, struct kvm *kvm)
{
	tl->kvm = kvm;
	mutex_init(&tl->lock);
	mutex_init(&tl->publish_lock);
	init_waitqueue_head(&tl->waiters);
	init_waitqueue_head(&tl->holder);
	raw_spin_lock_init(&tl->idle_lock);
	tl->rate = (struct timeline_rate) { 1, 1 };
	tl->asked = tl->rate;
	tl->end_tsc = U64_MAX;
	timeline_init_edge(tl);
}

/*
 * The host's TSC has gone back.  The offsets of vCPUs make up for it when they are
 * loaded, and the timeline is a function of the guest's TSC.  The policy ends soon.
 */
void kvm_timeline_host_tsc_lost(struct kvm *kvm, u64 delta_cyc)
{
	struct kvm_timeline *tl = kvm_timeline(kvm);

	if (!tl)
		return;

	tl->tsc_offset += kvm_scale_tsc(delta_cyc, tl->tsc_ratio);
	tl->seg_host_tsc -= min(tl->seg_host_tsc, delta_cyc);
	if (tl->end_tsc != U64_MAX)
		tl->end_tsc -= delta_cyc;
	kvm_timewarp_host_clock(kvm);
}

/*
 * Have the guest live on its timeline, at a factor within the limits of the mode, which
 * is not AUTO.  Returns -ETIMEDOUT or -EINTR if the vCPUs could not be held; nothing has
 * changed then.  So do the others.
 */
int kvm_timeline_start(struct kvm_timeline *tl, enum kvm_timewarp_tsc_mode mode,
		       struct timeline_rate rate)
{
	struct timeline_next next = { .rate = rate };
	bool keyed = tl->keyed;
	int r;

	lockdep_assert_held(&tl->lock);

	if (!keyed)
		static_branch_inc(&kvm_timeline_key);
	tl->keyed = true;
	tl->mode = mode;

	r = timeline_change(tl, TIMELINE_START, next);
	if (r && !keyed)
		timeline_unkey(tl);

	return r;
}

/* Start a segment, its factor within the mode's limits. */
int kvm_timeline_set(struct kvm_timeline *tl, const struct timeline_next *next)
{
	enum timeline_change change = TIMELINE_RATE;

	if (next->freeze)
		change = TIMELINE_FREEZE;
	else if (next->leap_ns)
		change = TIMELINE_LEAP;

	return timeline_change(tl, change, *next);
}

/* Have guest time stand where it was to stop, if it has come to that; it does anyhow. */
int kvm_timeline_settle(struct kvm_timeline *tl)
{
	struct timeline_next next = {
		.rate = tl->asked,
		.leap_ns = tl->stop_ns,
		.freeze = true,
	};

	if (!tl->active || !tl->stop_ns || !timeline_has_ended(tl))
		return 0;

	return kvm_timeline_set(tl, &next);
}

/* Have the guest live on host time, from where it is; the key stays until timeline_unkey(). */
int kvm_timeline_stop(struct kvm_timeline *tl)
{
	struct timeline_next next = { .rate = { 1, 1 } };

	return timeline_change(tl, TIMELINE_STOP, next);
}

/* The hooks have nothing more to do for a VM, whose timeline is at rest. */
void timeline_unkey(struct kvm_timeline *tl)
{
	if (tl->keyed)
		static_branch_dec(&kvm_timeline_key);
	tl->keyed = false;
}
