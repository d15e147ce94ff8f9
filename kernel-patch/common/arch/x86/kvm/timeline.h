/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One timeline per VM.
 *
 * A timeline is a piecewise-linear function from the host's TSC to guest time.
 * Readers of a guest clock ask it what time it is, armers of a guest timer ask
 * it at which host time the guest's deadline falls.  A segment of it changes in
 * one transaction over the whole VM, with all vCPUs held.
 *
 * timeline.c has readers and armers, timeline_hold.c gets vCPUs out of the guest
 * and lets them go, timeline_change.c has the transaction, timeline_edge.c begins
 * and ends segments in time, timeline_load.c measures what a guest bears.
 */
#ifndef __KVM_X86_TIMELINE_H
#define __KVM_X86_TIMELINE_H

#include <linux/jump_label.h>
#include <linux/kvm_host.h>

#include "timeline_math.h"
#include "timewarp.h"

/*
 * A VM's timeline.
 *
 * Guest time is what the guest itself computes: guest TSC is @tsc_ratio and
 * @tsc_offset applied to the host's, and ns are the pvclock formula applied to
 * that.  TSC and kvmclock cannot drift apart, as they are one function.
 *
 * The segment (@active to @mono_ahead_ns) is written under kvm->arch.pvclock_sc, with
 * all vCPUs held and their timers stopped: vCPUs and timer callbacks need no
 * lock, anybody else reads under the seqcount.
 */
struct kvm_timeline {
	struct kvm *kvm;
	struct mutex lock;	/* changes, and calls of the policy; outside of kvm->lock */

	bool active;		/* guest time follows the timeline, else host time */
	bool keyed;		/* counted by the static key: active, or a vCPU has yet to leave */
	bool frozen;		/* no vCPU enters the guest, as guest time stands */
	enum kvm_timewarp_tsc_mode mode;
	struct timeline_rate asked;	/* factor that was asked for */
	struct timeline_rate rate;	/* factor in force, exact */
	u64 seg_host_tsc;	/* where the segment begins; guest time stands before it */
	/* Where guest time stands again, or U64_MAX; it moves if vCPUs are stopped late. */
	u64 end_tsc;
	u64 stop_ns;		/* guest time that this is meant to be, or 0 */
	u64 tsc_ratio;		/* of vCPUs whose ratio is @base_ratio at factor 1 */
	u64 base_ratio;		/* of the reference vCPU at factor 1 */
	u64 tsc_offset;		/* L1's, of a vCPU whose TSC nobody has moved since attach */
	u64 pv_tsc;		/* anchor: guest TSC */
	u64 pv_ns;		/* anchor: guest time */
	u32 pv_mul;
	s8 pv_shift;
	s8 base_shift;		/* at factor 1 */
	u32 base_mul;		/* at factor 1 */
	s64 lead_ns;		/* guest time minus host time where the last attachment ended */
	s64 wall_ns;		/* wall clock minus timeline */
	s64 wall_ahead_ns;	/* the same minus the host's, while the guest lives on host time */
	s64 mono_ns;		/* CLOCK_MONOTONIC as the timeline continues it, minus timeline */
	s64 mono_ahead_ns;	/* the same minus the host's, while the guest lives on host time */

	s64 timer_shift_ns;	/* what the last change adds to armed timers' deadlines */
	u64 from_tsc;		/* when clocks showed what the segment began with */
	s64 leap_cycles;	/* guest cycles that the last change left out, or went back by */
	s64 leap_ns;		/* guest time that it did */
	u64 leapt_ns;		/* guest time left out so far */
	bool passed_timers;	/* it has leapt with PAST_TIMERS, ever */
	u64 seq;		/* segments so far */
	u64 published;		/* the segment that pvclock pages show */
	struct mutex publish_lock;	/* taken by the vCPU that writes them */
	struct hrtimer edge;	/* lets vCPUs go at @seg_host_tsc, keeps them out at @end_tsc */

	u32 hold_seq;		/* odd while vCPUs are held */
	wait_queue_head_t waiters;	/* vCPUs that are held, or wait for guest time to go on */
	wait_queue_head_t holder;
	u64 held_last_ns;	/* how long the last change held the vCPUs */
	u64 held_max_ns;	/* how long the worst did */

	raw_spinlock_t idle_lock;	/* for the two below, and vCPUs' halted* */
	unsigned int idle_vcpus;	/* those that are halted */
	u64 idle_since_ns;	/* host time since when all of them are, or 0 */
	u64 late_limit_ns;	/* tell the policy of a timer so late, in guest ns; or 0 */
};

/* The segment to come. */
struct timeline_next {
	struct timeline_rate rate;
	u64 leap_ns;		/* guest time to begin with; where that has passed, or 0, now */
	bool back;		/* @leap_ns has passed, and guest time is to go back to it */
	bool freeze;		/* guest time stands still, vCPUs are kept out of the guest */
	u64 start_tsc;		/* host TSC at which it begins, or 0; until then time stands */
	u64 stop_ns;		/* guest time at which it comes to stand, or 0 */
	u64 idle_since_ns;	/* leap only if vCPUs are halted since then, past no timer; or 0 */
	bool past_timers;	/* and past timers as well */
};

/* What a change makes of the timeline. */
enum timeline_change {
	TIMELINE_START,
	TIMELINE_RATE,
	TIMELINE_STOP,
	TIMELINE_LEAP,
	TIMELINE_FREEZE,
};

/* What timeline_unscale() saturates to. */
#define TIMELINE_NEVER_NS	(U64_MAX >> 2)

/* Guest time goes no further: beyond, KVM's own sums of deadlines could wrap. */
#define TIMELINE_LAST_NS	((u64)KTIME_MAX / 2)

DECLARE_STATIC_KEY_FALSE(kvm_timeline_key);

/* What KVM calls without a look at the timeline. */
#ifdef CONFIG_KVM_TIMEWARP
void kvm_timeline_pvclock(struct kvm_vcpu *vcpu, struct pvclock_vcpu_time_info *pv);
u64 kvm_timeline_tsc_ratio(struct kvm *kvm, u64 base_ratio);
u64 kvm_timeline_steal(struct kvm_vcpu *vcpu, u64 steal_ns);
bool kvm_timeline_held_uninitialized(struct kvm_vcpu *vcpu);
void kvm_timeline_host_tsc_lost(struct kvm *kvm, u64 delta_cyc);
#else
static inline void kvm_timeline_pvclock(struct kvm_vcpu *vcpu,
					struct pvclock_vcpu_time_info *pv) {}
static inline u64 kvm_timeline_tsc_ratio(struct kvm *kvm, u64 base_ratio) { return base_ratio; }
static inline u64 kvm_timeline_steal(struct kvm_vcpu *vcpu, u64 steal_ns) { return steal_ns; }
static inline bool kvm_timeline_held_uninitialized(struct kvm_vcpu *vcpu) { return false; }
static inline void kvm_timeline_host_tsc_lost(struct kvm *kvm, u64 delta_cyc) {}
#endif

/* timeline.c */
u64 __kvm_timeline_ns(struct kvm_timeline *tl, u64 host_tsc);
ktime_t __kvm_timer_now(struct kvm_timeline *tl);
ktime_t __kvm_timer_to_host(struct kvm_timeline *tl, ktime_t expires);
u64 __kvm_timer_host_delay(struct kvm_timeline *tl, u64 guest_ns);
ktime_t kvm_timeline_owe_periods(struct kvm *kvm, ktime_t now, ktime_t target, s64 period,
				 u64 most, u64 *owed);
u64 timeline_max_ratio(const struct kvm_timeline *tl);
u64 kvm_timeline_next_timer_ns(struct kvm_timeline *tl, bool *ticks);
int kvm_timeline_limits(struct kvm *kvm, enum kvm_timewarp_tsc_mode *mode,
			struct timeline_rate *min, struct timeline_rate *max);

/* timeline_hold.c */
void timeline_ask(struct kvm_vcpu *vcpu);
int timeline_hold(struct kvm_timeline *tl);
void timeline_release(struct kvm_timeline *tl);
int kvm_timeline_wait(struct kvm_vcpu *vcpu);
bool timeline_settle_vcpus(struct kvm_timeline *tl);
void __kvm_timeline_halt(struct kvm_vcpu *vcpu);
void __kvm_timeline_unhalt(struct kvm_vcpu *vcpu);
u64 kvm_timeline_idle_since(struct kvm_timeline *tl);

/* timeline_edge.c */
void timeline_init_edge(struct kvm_timeline *tl);
void timeline_arm_edge(struct kvm_timeline *tl);
void __kvm_timeline_left_guest(struct kvm_timeline *tl);

/* timeline_change.c */
void timeline_init(struct kvm_timeline *tl, struct kvm *kvm);
int kvm_timeline_start(struct kvm_timeline *tl, enum kvm_timewarp_tsc_mode mode,
		       struct timeline_rate rate);
u64 timeline_leap_max(struct kvm *kvm);
int kvm_timeline_set(struct kvm_timeline *tl, const struct timeline_next *next);
int kvm_timeline_settle(struct kvm_timeline *tl);
int kvm_timeline_stop(struct kvm_timeline *tl);
bool timeline_is(struct kvm_timeline *tl, const struct timeline_next *next);
bool timeline_far(struct kvm_timeline *tl);
void timeline_unkey(struct kvm_timeline *tl);

/* timeline_load.c */
void __kvm_timeline_delivered(struct kvm_timeline *tl, struct kvm_vcpu *vcpu, ktime_t due);
void kvm_timeline_load(struct kvm_timeline *tl, u64 span_ns, struct kvm_timewarp_view *view);

/* kvmclock minus the timeline; while that is at rest, KVM's own offset has the lead in it. */
static inline s64 kvm_timeline_kvmclock_offset(const struct kvm_timeline *tl)
{
	return tl->kvm->arch.kvmclock_offset - (tl->active ? 0 : tl->lead_ns);
}

/* The VM's timeline if its guest lives on one, else NULL. */
static inline struct kvm_timeline *kvm_timeline(struct kvm *kvm)
{
	struct kvm_timeline *tl;

	if (!IS_ENABLED(CONFIG_KVM_TIMEWARP) || !static_branch_unlikely(&kvm_timeline_key))
		return NULL;

	tl = READ_ONCE(kvm->arch.timeline);
	return tl && READ_ONCE(tl->active) ? tl : NULL;
}

/*
 * Whether RDTSC must exit because only software can scale the guest's TSC.  At
 * factor 1 there is nothing to scale: the offset, which hardware adds, does.
 * But a guest that is to stop at a given time may not read a later one.
 * Changes with the segment only, while all vCPUs are held.
 */
static inline bool kvm_timeline_tsc_trapped(struct kvm *kvm)
{
	struct kvm_timeline *tl = kvm_timeline(kvm);

	return tl && tl->mode == KVM_TIMEWARP_TSC_TRAPPED &&
	       (tl->tsc_ratio != tl->base_ratio || tl->stop_ns);
}

/* Whether guest time follows the timeline while the guest's TSC does not. */
static inline bool kvm_timeline_tsc_is_host(struct kvm *kvm)
{
	struct kvm_timeline *tl = kvm_timeline(kvm);

	return tl && tl->mode == KVM_TIMEWARP_TSC_OFFSET;
}

/* How far the guest's wall clock is ahead of the host's since its timeline has stopped. */
static inline s64 kvm_timeline_wall_ahead_ns(struct kvm *kvm)
{
	struct kvm_timeline *tl = READ_ONCE(kvm->arch.timeline);

	return IS_ENABLED(CONFIG_KVM_TIMEWARP) && tl ? READ_ONCE(tl->wall_ahead_ns) : 0;
}

/* The host TSC that guest clocks go by: it stands while guest time does. */
static inline u64 timeline_host_tsc(const struct kvm_timeline *tl, u64 host_tsc)
{
	return clamp(host_tsc, tl->seg_host_tsc, READ_ONCE(tl->end_tsc));
}

/* Whether guest time stands, and does not only wait for the segment to begin. */
static inline bool timeline_has_ended(const struct kvm_timeline *tl)
{
	return rdtsc() >= READ_ONCE(tl->end_tsc);
}

/* How long the host must wait until the segment begins. */
static inline u64 timeline_begin_ns(const struct kvm_timeline *tl, u64 host_tsc)
{
	return host_tsc < tl->seg_host_tsc ?
	       timeline_mul_div_up(tl->seg_host_tsc - host_tsc, NSEC_PER_MSEC, tsc_khz) : 0;
}

/* The same for a guest's TSC, where that follows the timeline. */
static inline u64 kvm_timeline_host_tsc(struct kvm *kvm, u64 host_tsc)
{
	struct kvm_timeline *tl = kvm_timeline(kvm);

	return tl && tl->mode != KVM_TIMEWARP_TSC_OFFSET ? timeline_host_tsc(tl, host_tsc) :
							   host_tsc;
}

/* A vCPU has just left the guest, where it may have seen what time it is. */
static inline void kvm_timeline_left_guest(struct kvm_vcpu *vcpu)
{
	struct kvm_timeline *tl = kvm_timeline(vcpu->kvm);

	/* Who has to ask KVM for the time sees it stand. */
	if (tl && tl->stop_ns && !kvm_timeline_tsc_trapped(vcpu->kvm))
		__kvm_timeline_left_guest(tl);
}

/* Now, on the clock that the deadlines of guest timers are kept in. */
static inline ktime_t kvm_timer_now(struct kvm *kvm)
{
	struct kvm_timeline *tl = kvm_timeline(kvm);

	return tl ? __kvm_timer_now(tl) : ktime_get();
}

/* The host time, never too early, at which a guest timer's deadline falls. */
static inline ktime_t kvm_timer_to_host(struct kvm *kvm, ktime_t expires)
{
	struct kvm_timeline *tl = kvm_timeline(kvm);

	return tl ? __kvm_timer_to_host(tl, expires) : expires;
}

/*
 * The host time at which a guest timer that has fired is to fire again because
 * it is early, or 0 if it is not.  It can be, as the hrtimer's clock is
 * disciplined and the TSC is not.
 */
static inline ktime_t kvm_timer_early(struct kvm *kvm, ktime_t expires)
{
	struct kvm_timeline *tl = kvm_timeline(kvm);

	return tl && ktime_before(__kvm_timer_now(tl), expires) ?
	       __kvm_timer_to_host(tl, expires) : 0;
}

/* How long the host must wait, rounded up, for @guest_ns to pass in the guest. */
static inline u64 kvm_timer_host_delay(struct kvm *kvm, u64 guest_ns)
{
	struct kvm_timeline *tl = kvm_timeline(kvm);

	return tl ? __kvm_timer_host_delay(tl, guest_ns) : guest_ns;
}

/* Whether guest time stands, or has yet to begin. */
static inline bool kvm_timeline_stands(struct kvm *kvm)
{
	struct kvm_timeline *tl = kvm_timeline(kvm);
	u64 now = rdtsc();

	return tl && now != timeline_host_tsc(tl, now);
}

/*
 * A span of guest time, in cycles or ns, as what a guest at factor 1 would count,
 * rounded up, in the same host time.
 */
static inline u64 kvm_timeline_unscale_span(struct kvm *kvm, u64 cycles)
{
	struct kvm_timeline *tl = kvm_timeline(kvm);

	return tl ? timeline_unscale(cycles, tl->rate) : cycles;
}

/* The reverse, rounded down. */
static inline u64 kvm_timeline_scale_span(struct kvm *kvm, u64 cycles)
{
	struct kvm_timeline *tl = kvm_timeline(kvm);

	return tl ? timeline_scale(cycles, tl->rate) : cycles;
}

/* A vCPU's timer, which was @due in guest time, is being delivered. */
static inline void kvm_timeline_delivered(struct kvm_vcpu *vcpu, ktime_t due)
{
	struct kvm_timeline *tl = kvm_timeline(vcpu->kvm);

	if (tl && due)
		__kvm_timeline_delivered(tl, vcpu, due);
}

/* Ticks of a timer that the guest does not get. */
static inline void kvm_timeline_ticks_lost(struct kvm *kvm, u64 ticks)
{
	if (kvm_timeline(kvm))
		kvm->stat.timewarp_lost_ticks += ticks;
}

/*
 * Whether a vCPU may not enter the guest, nor halt, yet: it is asked to stop,
 * guest time stands, or clocks do not show the segment that is in force.
 */
static inline bool kvm_timeline_must_wait(struct kvm_vcpu *vcpu)
{
	struct kvm_timeline *tl;

	if (!IS_ENABLED(CONFIG_KVM_TIMEWARP) || !static_branch_unlikely(&kvm_timeline_key))
		return false;

	tl = READ_ONCE(vcpu->kvm->arch.timeline);
	return tl && (READ_ONCE(tl->frozen) || kvm_test_request(KVM_REQ_TIMELINE, vcpu) ||
		      vcpu->arch.timeline.seq != READ_ONCE(tl->seq) ||
		      READ_ONCE(tl->published) != READ_ONCE(tl->seq));
}

/* The vCPU is about to halt: until kvm_timeline_unhalt(), it waits for an interrupt. */
static inline void kvm_timeline_halt(struct kvm_vcpu *vcpu)
{
	if (kvm_timeline(vcpu->kvm))
		__kvm_timeline_halt(vcpu);
}

/* The vCPU runs on, or returns to the VMM. */
static inline void kvm_timeline_unhalt(struct kvm_vcpu *vcpu)
{
	/* The timeline may have stopped meanwhile. */
	if (IS_ENABLED(CONFIG_KVM_TIMEWARP) && unlikely(vcpu->arch.timeline.halted))
		__kvm_timeline_unhalt(vcpu);
}

#endif /* __KVM_X86_TIMELINE_H */
