// SPDX-License-Identifier: GPL-2.0-only
/*
 * Timewarp: policies decide the timeline of a VM.
 *
 * A policy is trusted to choose a factor, and with nothing else: each answer is
 * checked, and a policy that keeps giving bad ones is ejected.
 */

#include <linux/kvm_host.h>

#include "timeline.h"
#include "timeline_line.h"
#include "timewarp_policy.h"
#include "x86.h"

#define CREATE_TRACE_POINTS
#include "timewarp_trace.h"

/* A policy that needs longer than this to decide has misbehaved. */
#define TIMEWARP_MAX_DECIDE_NS		(20 * NSEC_PER_MSEC)

/* So many bad answers in a row eject a policy. */
#define TIMEWARP_MAX_BAD		16

/* How long to leave a VM alone whose vCPUs do not stop: at first, and at most. */
#define TIMEWARP_PUT_OFF_NS		(100ULL * NSEC_PER_MSEC)
#define TIMEWARP_PUT_OFF_MAX_NS		(3200ULL * NSEC_PER_MSEC)

/* How often a timeline is looked after while there is a policy. */
#define TIMEWARP_UPKEEP_MS		10000

static void timewarp_upkeep_soon(struct kvm_timewarp *tw, unsigned int ms)
{
	if (!tw->dead)
		mod_delayed_work(timewarp_wq, &tw->upkeep, msecs_to_jiffies(ms));
}

/* What became of a change: if vCPUs could not be held, leave them alone for a while. */
static void timewarp_put_off(struct kvm_timewarp *tw, int r)
{
	if (r != -ETIMEDOUT && r != -EINTR)
		tw->put_off_ns = 0;
	else if (!tw->put_off_ns)
		tw->put_off_ns = TIMEWARP_PUT_OFF_NS;
	else
		tw->put_off_ns = min(2 * tw->put_off_ns, TIMEWARP_PUT_OFF_MAX_NS);
}

/* Go on at factor 1, and have the hooks leave the VM alone; if that is not at once, later. */
static void timewarp_take_leave(struct kvm_timewarp *tw)
{
	int r = tw->tl.active ? kvm_timeline_stop(&tw->tl) : 0;

	timewarp_put_off(tw, r);
	if (r || (tw->tl.keyed && !timeline_settle_vcpus(&tw->tl)))
		timewarp_upkeep_soon(tw, div_u64(tw->put_off_ns ?: TIMEWARP_PUT_OFF_NS,
						 NSEC_PER_MSEC));
	else
		timeline_unkey(&tw->tl);
}

/* The last call of a policy: say why, and have time go on at factor 1. */
void timewarp_end(struct kvm_timewarp *tw, enum kvm_timewarp_exit_kind kind, int code,
		  const char *reason, const char *fmt, ...)
{
	struct kvm_timewarp_exit exit = { .kind = kind, .code = code };
	va_list args;

	lockdep_assert_held(&tw->tl.lock);

	strscpy(exit.reason, reason);
	va_start(args, fmt);
	vscnprintf(exit.message, sizeof(exit.message), fmt, args);
	va_end(args);

	spin_lock(&tw->show_lock);
	tw->gone = true;
	tw->exit = exit;
	spin_unlock(&tw->show_lock);
	if (kind == KVM_TIMEWARP_EXIT_EJECTED)
		tw->tl.kvm->stat.timewarp_ejects++;

	WRITE_ONCE(tw->tl.late_limit_ns, 0);
	hrtimer_cancel(&tw->alarm);
	WRITE_ONCE(tw->idle_after_ns, 0);
	hrtimer_cancel(&tw->idle_alarm);
	if (kind != KVM_TIMEWARP_EXIT_VM_GONE)
		timewarp_take_leave(tw);

	trace_kvm_timewarp_exit(tw->id, tw->ops->name, &exit);
	if (tw->ops->exit)
		tw->ops->exit(&exit);
	if (kind != KVM_TIMEWARP_EXIT_UNREG)
		timewarp_unlink(tw);
}

/*
 * When to ask.
 */

static void timewarp_alarm_soon(struct kvm_timewarp *tw)
{
	s64 since_ns = get_kvmclock_base_ns() - READ_ONCE(tw->asked_host_ns);
	s64 least_ns = max(TIMEWARP_MIN_INTERVAL_NS, READ_ONCE(tw->put_off_ns));

	if (!READ_ONCE(tw->dead))
		hrtimer_start(&tw->alarm, ns_to_ktime(max_t(s64, least_ns - since_ns, 0)),
			      HRTIMER_MODE_REL);
}

/* Have the policy be told as soon as it may be called; from any context but NMI. */
void kvm_timewarp_soon(struct kvm_timeline *tl, enum kvm_timewarp_event event)
{
	struct kvm_timewarp *tw = to_timewarp(tl);

	set_bit(event, &tw->events);
	timewarp_alarm_soon(tw);
}

static void timewarp_ask_fn(struct irq_work *work)
{
	struct kvm_timewarp *tw = container_of(work, struct kvm_timewarp, ask_irq_work);

	kvm_timewarp_soon(&tw->tl, KVM_TIMEWARP_ASKED);
}

static enum hrtimer_restart timewarp_alarm_fn(struct hrtimer *timer)
{
	struct kvm_timewarp *tw = container_of(timer, struct kvm_timewarp, alarm);

	if (!READ_ONCE(tw->events))
		set_bit(READ_ONCE(tw->alarm_event), &tw->events);
	queue_work(timewarp_wq, &tw->work);

	return HRTIMER_NORESTART;
}

/* All vCPUs of a VM have just halted; called under its timeline's idle_lock. */
void kvm_timewarp_idle(struct kvm_timeline *tl)
{
	struct kvm_timewarp *tw = to_timewarp(tl);
	u64 after_ns = READ_ONCE(tw->idle_after_ns);

	if (after_ns && !READ_ONCE(tw->dead))
		hrtimer_start(&tw->idle_alarm, ns_to_ktime(after_ns), HRTIMER_MODE_REL);
}

static enum hrtimer_restart timewarp_idle_alarm_fn(struct hrtimer *timer)
{
	struct kvm_timewarp *tw = container_of(timer, struct kvm_timewarp, idle_alarm);

	/* If not, it is armed again when it is. */
	if (READ_ONCE(tw->tl.idle_since_ns)) {
		set_bit(KVM_TIMEWARP_IDLE, &tw->events);
		queue_work(timewarp_wq, &tw->work);
	}

	return HRTIMER_NORESTART;
}

/*
 * Whether all vCPUs are halted for as long as the policy has asked for, in a
 * case that it was not told of.  If it may come to that, the alarm is armed.
 */
static bool timewarp_idle_due(struct kvm_timewarp *tw)
{
	u64 since = kvm_timeline_idle_since(&tw->tl), idle_ns;

	if (!since || !tw->idle_after_ns || since == tw->idle_told_ns)
		return false;

	idle_ns = get_kvmclock_base_ns() - since;
	if (idle_ns >= tw->idle_after_ns)
		return true;

	hrtimer_start(&tw->idle_alarm, ns_to_ktime(tw->idle_after_ns - idle_ns), HRTIMER_MODE_REL);
	return false;
}

static void timewarp_set_idle_alarm(struct kvm_timewarp *tw, u64 after_ns)
{
	WRITE_ONCE(tw->idle_after_ns, after_ns);
	/* They may be halted already. */
	if (timewarp_idle_due(tw))
		hrtimer_start(&tw->idle_alarm, 0, HRTIMER_MODE_REL);
}

/* Of what has come, what the policy is told; 0 if nothing. */
static enum kvm_timewarp_event timewarp_pick(struct kvm_timewarp *tw, unsigned long events)
{
	static const enum kvm_timewarp_event order[] = {
		KVM_TIMEWARP_GUEST_TIME, KVM_TIMEWARP_HOST_TIME,
		KVM_TIMEWARP_ASKED, KVM_TIMEWARP_LATE,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(order); i++) {
		if (events & BIT(order[i]))
			return order[i];
	}
	if (!(events & BIT(KVM_TIMEWARP_IDLE)) || !timewarp_idle_due(tw))
		return 0;

	tw->idle_told_ns = kvm_timeline_idle_since(&tw->tl);
	return KVM_TIMEWARP_IDLE;
}

static void timewarp_work_fn(struct work_struct *work)
{
	struct kvm_timewarp *tw = container_of(work, struct kvm_timewarp, work);
	enum kvm_timewarp_event event;

	guard(mutex)(&tw->tl.lock);
	event = timewarp_pick(tw, xchg(&tw->events, 0));
	if (event && tw->ops && !tw->gone)
		timewarp_decide(tw, tw->ops, event, tw->tl.mode);
}

/*
 * Answers.
 */
static void timewarp_clamp(struct kvm_timewarp *tw, const char *what, u64 asked, u64 given)
{
	tw->tl.kvm->stat.timewarp_clamps++;
	trace_kvm_timewarp_clamp(tw->id, what, asked, given);
}

/* The same where it is the policy's fault; returns false. */
static bool timewarp_blame(struct kvm_timewarp *tw, const char *what, u64 asked, u64 given)
{
	tw->blamed = what;
	tw->blamed_value = asked;
	timewarp_clamp(tw, what, asked, given);
	return false;
}

/* Check a factor; returns whether it was fine as it is. */
static bool timewarp_check_rate(struct kvm_timewarp *tw, struct timeline_rate *rate)
{
	struct timeline_rate asked = *rate;

	if (!asked.num || !asked.den)
		*rate = tw->tl.asked;
	else if (timeline_rate_cmp(asked, tw->min) < 0)
		*rate = tw->min;
	else if (timeline_rate_cmp(asked, tw->max) > 0)
		*rate = tw->max;
	else
		return true;

	timewarp_clamp(tw, "factor_den", asked.den, rate->den);
	return timewarp_blame(tw, "factor_num", asked.num, rate->num);
}

/* Check a number against its bounds; returns whether it was fine as it is. */
static bool timewarp_check(struct kvm_timewarp *tw, const char *what, u64 asked, u64 least,
			   u64 most, u64 *given)
{
	*given = clamp(asked, least, max(least, most));
	return *given == asked || timewarp_blame(tw, what, asked, *given);
}

/* Make a segment of an answer; returns whether it was fine as it is. */
static bool timewarp_next(struct kvm_timewarp *tw, const struct kvm_timewarp_ops *ops,
			  const struct kvm_timewarp_view *view,
			  const struct kvm_timewarp_answer *answer, struct timeline_next *next)
{
	u64 known = KVM_TIMEWARP_HOLD | KVM_TIMEWARP_IF_IDLE, ahead = tsc_khz * 1000ULL;
	u64 least = view->guest_ns, flags;
	bool fine;

	next->rate = (struct timeline_rate) { answer->factor_num, answer->factor_den };
	fine = timewarp_check_rate(tw, &next->rate);

	if (answer->next_guest_ns > view->guest_ns && !(answer->flags & KVM_TIMEWARP_HOLD))
		known |= KVM_TIMEWARP_HOLD_NEXT;
	if (answer->flags & KVM_TIMEWARP_IF_IDLE || answer->leap_ns)
		known |= KVM_TIMEWARP_PAST_TIMERS;
	flags = answer->flags & known;
	if (flags != answer->flags)
		fine = timewarp_blame(tw, "flags", answer->flags, flags);
	next->freeze = flags & KVM_TIMEWARP_HOLD;
	if (flags & KVM_TIMEWARP_HOLD_NEXT)
		next->stop_ns = answer->next_guest_ns;

	if (answer->leap_ns) {
		/* 0 would be none. */
		if (ops->flags & KVM_TIMEWARP_F_BACKWARD)
			least -= min(least - 1, KVM_TIMEWARP_MAX_LEAP_NS);
		fine &= timewarp_check(tw, "leap_ns", answer->leap_ns, least,
				       min(view->guest_ns + timeline_leap_max(tw->tl.kvm),
					   TIMELINE_LAST_NS), &next->leap_ns);
		next->back = next->leap_ns < view->guest_ns;
	}
	/* Not since ever, which would be no condition at all. */
	if (flags & KVM_TIMEWARP_IF_IDLE)
		next->idle_since_ns = view->host_ns - view->idle_ns ?: 1;
	next->past_timers = flags & KVM_TIMEWARP_PAST_TIMERS;

	if (answer->start_tsc)
		fine &= timewarp_check(tw, "start_tsc", answer->start_tsc,
				       next->freeze ? 0 : max(view->host_tsc, ahead) - ahead,
				       next->freeze ? 0 : view->host_tsc + ahead,
				       &next->start_tsc);

	return fine;
}

/* Have the timeline go on as a policy has answered. */
static int timewarp_apply(struct kvm_timeline *tl, enum kvm_timewarp_tsc_mode mode,
			  const struct timeline_next *next)
{
	int r;

	if (!tl->active) {
		r = kvm_timeline_start(tl, mode, next->rate);
		if (r || timeline_is(tl, next))
			return r;

		r = kvm_timeline_set(tl, next);
		/* If that fails as well, it goes on at the factor asked for. */
		return r && !kvm_timeline_stop(tl) ? r : 0;
	}

	return timeline_is(tl, next) ? 0 : kvm_timeline_set(tl, next);
}

/* Arm the alarm for the earlier of two times; returns whether they were fine. */
static bool timewarp_set_alarm(struct kvm_timewarp *tw, const struct kvm_timewarp_view *view,
			       const struct kvm_timewarp_answer *answer)
{
	u64 host_ns = get_kvmclock_base_ns(), tsc = rdtsc(), guest_ns;
	u64 least = max(TIMEWARP_MIN_INTERVAL_NS, tw->put_off_ns);
	u64 delay = U64_MAX, d;
	bool fine = true;

	if (answer->next_host_ns) {
		delay = max(answer->next_host_ns, host_ns) - host_ns;
		tw->alarm_event = KVM_TIMEWARP_HOST_TIME;
		fine = timewarp_check(tw, "next_host_ns", answer->next_host_ns,
				      view->host_ns + 1, U64_MAX, &d);
	}

	/* Whoever stops it there has the alarm go off. */
	if (answer->next_guest_ns && !tw->tl.stop_ns && !timeline_has_ended(&tw->tl)) {
		guest_ns = __kvm_timeline_ns(&tw->tl, tsc);
		d = timeline_unscale(max(answer->next_guest_ns, guest_ns) - guest_ns, tw->tl.rate);
		d += timeline_begin_ns(&tw->tl, tsc);
		if (d < delay) {
			delay = d;
			tw->alarm_event = KVM_TIMEWARP_GUEST_TIME;
		}
		fine &= timewarp_check(tw, "next_guest_ns", answer->next_guest_ns,
				       view->guest_ns + 1, U64_MAX, &d);
	}

	if (delay == U64_MAX) {
		hrtimer_cancel(&tw->alarm);
		return true;
	}

	/* What the change has taken of it meanwhile is not the policy's fault. */
	if (delay + host_ns - view->host_ns < TIMEWARP_MIN_INTERVAL_NS)
		timewarp_clamp(tw, "next", delay, TIMEWARP_MIN_INTERVAL_NS);
	hrtimer_start(&tw->alarm, ns_to_ktime(clamp(delay, least, (u64)KTIME_MAX >> 1)),
		      HRTIMER_MODE_REL);

	return fine;
}

/* Have the policy be called when it wants to be; returns whether that was fine. */
static bool timewarp_arm(struct kvm_timewarp *tw, const struct kvm_timewarp_view *view,
			 const struct kvm_timewarp_answer *answer, u64 took_ns)
{
	bool fine = timewarp_set_alarm(tw, view, answer);
	u64 idle_ns = answer->next_idle_ns;

	/* It may stand by now, before there was an alarm to go off. */
	if (tw->tl.stop_ns && READ_ONCE(tw->tl.frozen) && timeline_has_ended(&tw->tl))
		kvm_timewarp_soon(&tw->tl, KVM_TIMEWARP_GUEST_TIME);

	WRITE_ONCE(tw->tl.late_limit_ns, answer->next_late_ns);
	if (idle_ns) {
		timewarp_check(tw, "next_idle_ns", idle_ns, TIMEWARP_MIN_IDLE_NS, U64_MAX,
			       &idle_ns);
		/* Calls and changes take half of a CPU, about; a slow one delays only the next. */
		idle_ns = max(idle_ns, min_t(u64, took_ns + tw->tl.held_last_ns,
					     TIMEWARP_MIN_INTERVAL_NS));
	}
	timewarp_set_idle_alarm(tw, idle_ns);
	/* What came while it was asked has armed an alarm that is another's by now. */
	if (READ_ONCE(tw->events))
		timewarp_alarm_soon(tw);

	return fine;
}

/* Whether KVM can tell the guest of a leap. */
static bool timewarp_tells(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		if (!vcpu->arch.pv_time.active &&
		    vcpu->arch.mp_state != KVM_MP_STATE_UNINITIALIZED)
			return false;
	}

	return true;
}

/* What a policy is told. */
static void timewarp_look(struct kvm_timewarp *tw, enum kvm_timewarp_event event,
			  struct kvm_timewarp_view *view)
{
	struct kvm_timeline *tl = &tw->tl;
	u64 since = kvm_timeline_idle_since(tl);
	bool ticks;

	view->event = event;
	view->id = tw->id;
	view->nr_vcpus = atomic_read(&tl->kvm->online_vcpus);
	view->state = timewarp_tells(tl->kvm) ? KVM_TIMEWARP_TELLS : 0;
	if (tl->passed_timers)
		view->state |= KVM_TIMEWARP_PASSED_TIMERS;
	view->next_timer_ns = U64_MAX;
	view->host_ns = kvm_get_host_base_ns(&view->host_tsc);
	view->guest_ns = view->host_ns + tl->lead_ns;
	view->factor_num = tl->rate.num;
	view->factor_den = tl->rate.den;
	view->lost_ticks = tl->kvm->stat.timewarp_lost_ticks;
	view->floors = tl->kvm->stat.timewarp_floors;
	if (!tl->active)
		return;

	if (timeline_has_ended(tl))
		view->state |= KVM_TIMEWARP_HELD;
	view->next_timer_ns = kvm_timeline_next_timer_ns(tl, &ticks);
	if (!ticks)
		view->state |= KVM_TIMEWARP_ONE_SHOT;
	view->guest_ns = __kvm_timeline_ns(tl, view->host_tsc);
	if (since)
		view->idle_ns = max_t(s64, view->host_ns - since, 1);
}

/* What a bad answer, or a slow one, leads to. */
static void timewarp_judge(struct kvm_timewarp *tw, bool fine, bool in_time)
{
	tw->bad = fine && in_time ? 0 : tw->bad + 1;
	if (tw->bad < TIMEWARP_MAX_BAD)
		return;

	timewarp_end(tw, KVM_TIMEWARP_EXIT_EJECTED, in_time ? -ERANGE : -ETIME,
		     in_time ? "answer" : "slow",
		     "%u %s answers in a row, the last for its %s of %llu", tw->bad,
		     in_time ? "unusable" : "slow", tw->blamed, tw->blamed_value);
}

/* Whether the host, and the guest's time, can still carry a timeline; if not, the policy ends. */
static int timewarp_check_host(struct kvm_timewarp *tw, bool end)
{
	if (check_tsc_unstable() || tw->tl.kvm->arch.backwards_tsc_observed) {
		if (end)
			timewarp_end(tw, KVM_TIMEWARP_EXIT_HOST, -ENODEV, "tsc",
				     "the host's TSC has become unstable");
		return -ENODEV;
	}
	if (tw->tl.active && __kvm_timeline_ns(&tw->tl, rdtsc()) >= TIMELINE_LAST_NS) {
		if (end)
			timewarp_end(tw, KVM_TIMEWARP_EXIT_EJECTED, -ERANGE, "range",
				     "guest time has come to where deadlines would overflow");
		return -ERANGE;
	}

	return 0;
}

/*
 * Ask, and do as it says.  A policy that attaches or is swapped in is refused where
 * one that is in place would have its answer clamped, and leaves all as it was.
 */
int timewarp_decide(struct kvm_timewarp *tw, struct kvm_timewarp_ops *ops,
		    enum kvm_timewarp_event event, enum kvm_timewarp_tsc_mode mode)
{
	bool first = event == KVM_TIMEWARP_ATTACH || event == KVM_TIMEWARP_SWAP;
	struct kvm_timewarp_answer answer = {};
	struct kvm_timewarp_view view = {};
	struct timeline_next next = {};
	bool fine = true, in_time;
	u64 took_ns;
	int r;

	lockdep_assert_held(&tw->tl.lock);

	r = timewarp_check_host(tw, !first);
	if (r)
		return r;

	/* The policy sees guest time stand where it had asked for. */
	r = kvm_timeline_settle(&tw->tl);
	timewarp_put_off(tw, r);
	if (r) {
		WRITE_ONCE(tw->asked_host_ns, get_kvmclock_base_ns());
		if (!first)
			kvm_timewarp_soon(&tw->tl, event);
		return r;
	}

	timewarp_look(tw, event, &view);
	answer.factor_num = view.factor_num;
	answer.factor_den = view.factor_den;
	if (!first) {
		WRITE_ONCE(tw->tl.late_limit_ns, 0);
		kvm_timeline_load(&tw->tl, view.host_ns - tw->asked_host_ns, &view);
		WRITE_ONCE(tw->asked_host_ns, view.host_ns);
	}

	r = ops->decide(&view, &answer);
	took_ns = get_kvmclock_base_ns() - view.host_ns;
	in_time = took_ns <= TIMEWARP_MAX_DECIDE_NS;
	tw->decisions++;
	if (r > 0 || r < -MAX_ERRNO)
		r = -EINVAL;
	if (!r) {
		fine = timewarp_next(tw, ops, &view, &answer, &next);
		r = !fine && first ? -ERANGE : timewarp_apply(&tw->tl, mode, &next);
		timewarp_put_off(tw, r);
		if (first && r)
			return r;
		fine &= timewarp_arm(tw, &view, &answer, took_ns);
	}
	if (!in_time)
		timewarp_blame(tw, "decide_ns", took_ns, TIMEWARP_MAX_DECIDE_NS);

	if (first) {
		kvm_timeline_load(&tw->tl, 0, &view);
		WRITE_ONCE(tw->asked_host_ns, view.host_ns);
	} else {
		timewarp_judge(tw, fine, in_time);
	}

	return r;
}

static void timewarp_upkeep_fn(struct work_struct *work)
{
	struct kvm_timewarp *tw = container_of(work, struct kvm_timewarp, upkeep.work);
	struct kvm_timeline *tl = &tw->tl;
	struct timeline_next next = {};

	guard(mutex)(&tl->lock);
	if (tw->dead) {
		/* Its vCPUs run no more. */
	} else if (!tw->ops || tw->gone) {
		timewarp_take_leave(tw);
	} else if (!timewarp_check_host(tw, true)) {
		next.rate = tl->asked;
		next.stop_ns = tl->stop_ns;
		/* Within reach of the anchor's formula: at 10000x, 2^64 cycles take but days. */
		if (!READ_ONCE(tl->frozen) && timeline_far(tl))
			kvm_timeline_set(tl, &next);
		timewarp_upkeep_soon(tw, TIMEWARP_UPKEEP_MS);
	}
}

/* The host's clock has changed, and may be no good any more. */
void kvm_timewarp_host_clock(struct kvm *kvm)
{
	struct kvm_timeline *tl = READ_ONCE(kvm->arch.timeline);

	if (tl && READ_ONCE(tl->active))
		timewarp_upkeep_soon(to_timewarp(tl), 0);
}

/* What a VM gets with its first policy. */
void timewarp_setup(struct kvm_timewarp *tw, struct kvm *kvm)
{
	timeline_init(&tw->tl, kvm);
	kref_init(&tw->ref);
	timeline_hrtimer_setup(&tw->alarm, timewarp_alarm_fn, HRTIMER_MODE_REL);
	timeline_hrtimer_setup(&tw->idle_alarm, timewarp_idle_alarm_fn, HRTIMER_MODE_REL);
	init_irq_work(&tw->ask_irq_work, timewarp_ask_fn);
	INIT_WORK(&tw->work, timewarp_work_fn);
	INIT_DELAYED_WORK(&tw->upkeep, timewarp_upkeep_fn);
	INIT_WORK(&tw->unlink, timewarp_unlink_fn);
	spin_lock_init(&tw->show_lock);
}

/* Nobody arms or queues anything any more: the VM is dead. */
void timewarp_shutdown(struct kvm_timewarp *tw)
{
	hrtimer_cancel(&tw->tl.edge);
	irq_work_sync(&tw->ask_irq_work);
	hrtimer_cancel(&tw->alarm);
	hrtimer_cancel(&tw->idle_alarm);
	cancel_work_sync(&tw->work);
	cancel_delayed_work_sync(&tw->upkeep);
}
