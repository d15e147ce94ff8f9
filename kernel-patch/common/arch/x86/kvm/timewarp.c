// SPDX-License-Identifier: GPL-2.0-only
/*
 * Timewarp: BPF policies that decide the timeline of a VM.
 *
 * A policy is a struct_ops map, attached by a link to the VM that its vm_fd
 * names.  It is trusted to choose a factor, and with nothing else: each answer
 * is checked, and a policy that keeps giving bad ones is ejected.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bpf.h>
#include <linux/bpf_verifier.h>
#include <linux/btf.h>
#include <linux/btf_ids.h>
#include <linux/ctype.h>
#include <linux/debugfs.h>
#include <linux/file.h>
#include <linux/kvm_host.h>
#include <linux/sched/clock.h>
#include <linux/seq_file.h>

#include "lapic.h"
#include "timeline.h"
#include "timewarp.h"
#include "trace.h"
#include "x86.h"

/* A policy is not called more often than this, whatever it asks for. */
#define TIMEWARP_MIN_INTERVAL_NS	NSEC_PER_MSEC

/* A policy that needs longer than this to decide has misbehaved. */
#define TIMEWARP_MAX_DECIDE_NS		(20 * NSEC_PER_MSEC)

/* So many bad answers in a row eject a policy. */
#define TIMEWARP_MAX_BAD		16

/* How soon to try again to take a VM whose vCPUs do not stop off its timeline. */
#define TIMEWARP_RETRY_MS		100

/**
 * struct kvm_timewarp - what a VM has to do with policies
 * @node: in timewarp_list, from the first attach until the VM dies
 * @tl: the VM's timeline
 * @leader: whose policy the VM has, if it is another's; changed under the locks
 *	    of all timelines of the group
 * @id: unique for the life of the module
 * @ops: the policy; changed under timewarp_lock and the timeline's lock
 * @link: what attaches @ops
 * @gone: @ops has had its last call, and @link is being detached
 * @name: name of the policy, which stays when the policy has gone
 * @min: lowest factor allowed
 * @max: highest factor allowed
 * @since_host_ns: host time of the attach
 * @decisions: answers of policies
 * @bad: bad answers in a row
 * @alarm: when the policy wants to be called next
 * @alarm_event: what it will be told
 * @late: a timer was so late that it will be told that instead
 * @asked_host_ns: host time of the last call
 * @alarm_work: calls it
 * @idle_after_ns: how long all vCPUs must be halted for the policy to be called, or 0
 * @idle_told_ns: host time since when they are halted in the case that it was called last
 * @idle_alarm: when to look whether they are
 * @idle_work: looks, and calls it
 * @stop_work: tries again to stop the timeline
 * @exit: how the last policy ended
 */
struct kvm_timewarp {
	struct list_head node;
	struct kvm_timeline *tl;
	struct kvm_timewarp *leader;
	u32 id;
	struct kvm_timewarp_ops *ops;
	struct bpf_link *link;
	bool gone;
	char name[KVM_TIMEWARP_NAME_LEN];
	struct timeline_rate min;
	struct timeline_rate max;
	u64 since_host_ns;
	u64 decisions;
	unsigned int bad;
	struct hrtimer alarm;
	enum kvm_timewarp_event alarm_event;
	bool late;
	u64 asked_host_ns;
	struct work_struct alarm_work;
	u64 idle_after_ns;
	u64 idle_told_ns;
	struct hrtimer idle_alarm;
	struct work_struct idle_work;
	struct delayed_work stop_work;
	struct kvm_timewarp_exit exit;
};

/*
 * Protects who is attached to what; taken outside of a timeline's lock.
 * The list is read under RCU too.
 */
static DEFINE_MUTEX(timewarp_lock);
static LIST_HEAD(timewarp_list);
static u32 timewarp_next_id = 1;

static bool timewarp_enabled = true;

/* Detaching takes locks that are held around ->reg() and ->unreg(). */
struct timewarp_unlink {
	struct work_struct work;
	struct bpf_link *link;
};

static void timewarp_unlink_fn(struct work_struct *work)
{
	struct timewarp_unlink *u = container_of(work, struct timewarp_unlink, work);

	u->link->ops->detach(u->link);
	bpf_link_put(u->link);
	kfree(u);
}

/* Turn the link defunct, so that its owner gets to know. */
static void timewarp_unlink(struct bpf_link *link)
{
	struct timewarp_unlink *u;

	link = bpf_link_inc_not_zero(link);
	if (IS_ERR(link))
		return;

	u = kzalloc(sizeof(*u), GFP_KERNEL);
	if (!u) {
		bpf_link_put(link);
		return;
	}

	u->link = link;
	INIT_WORK(&u->work, timewarp_unlink_fn);
	queue_work(system_unbound_wq, &u->work);
}

/* Who has the policy of a VM: another one, in a group, or it itself. */
static struct kvm_timewarp *timewarp_leader(struct kvm_timewarp *tw)
{
	return READ_ONCE(tw->leader) ?: tw;
}

/* The locks of all timelines of a group, if @tw has one of its own. */
static bool timewarp_lock_leader(struct kvm_timewarp *tw)
{
	struct kvm_timeline *tl;

	mutex_lock(&tw->tl->lock);
	if (tw->leader) {
		mutex_unlock(&tw->tl->lock);
		return false;
	}
	list_for_each_entry(tl, &tw->tl->group, group)
		mutex_lock_nest_lock(&tl->lock, &tw->tl->lock);

	return true;
}

static void timewarp_unlock_group(struct kvm_timewarp *leader)
{
	struct kvm_timeline *tl;

	list_for_each_entry(tl, &leader->tl->group, group)
		mutex_unlock(&tl->lock);
	mutex_unlock(&leader->tl->lock);
}

/* The same for the group that a VM is in, whoever leads it; returns the leader. */
static struct kvm_timewarp *timewarp_lock_group(struct kvm_timewarp *tw)
{
	struct kvm_timewarp *leader;

	lockdep_assert_held(&timewarp_lock);

	for (;;) {
		leader = timewarp_leader(tw);
		if (!timewarp_lock_leader(leader))
			continue;
		if (leader == timewarp_leader(tw))
			return leader;
		timewarp_unlock_group(leader);
	}
}

/* Have each VM of a group go alone.  Their locks are held, and the leader's stays so. */
static void timewarp_disband(struct kvm_timewarp *leader)
{
	struct kvm_timeline *tl, *next;

	list_for_each_entry_safe(tl, next, &leader->tl->group, group) {
		struct kvm_timewarp *tw = tl->kvm->arch.timewarp;

		list_del_init(&tl->group);
		WRITE_ONCE(tw->leader, NULL);
		mutex_unlock(&tl->lock);
	}
}

static void timewarp_stop_timeline(struct kvm_timewarp *tw)
{
	if (tw->tl->active && kvm_timeline_stop(tw->tl))
		queue_delayed_work(system_unbound_wq, &tw->stop_work,
				   msecs_to_jiffies(TIMEWARP_RETRY_MS));
	else
		timewarp_disband(tw);
}

static void timewarp_stop_fn(struct work_struct *work)
{
	struct kvm_timewarp *tw = container_of(work, struct kvm_timewarp, stop_work.work);

	if (!timewarp_lock_leader(tw))
		return;

	if (!tw->ops || tw->gone)
		timewarp_stop_timeline(tw);
	timewarp_unlock_group(tw);
}

/* All vCPUs of a VM have just halted; called under its timeline's idle_lock. */
void kvm_timewarp_idle(struct kvm *kvm)
{
	struct kvm_timewarp *tw = READ_ONCE(kvm->arch.timewarp);
	u64 after_ns;

	if (!tw)
		return;

	/* A leader is not freed before this is over. */
	rcu_read_lock();
	tw = timewarp_leader(tw);
	after_ns = READ_ONCE(tw->idle_after_ns);
	if (after_ns)
		hrtimer_start(&tw->idle_alarm, ns_to_ktime(after_ns), HRTIMER_MODE_REL);
	rcu_read_unlock();
}

/* Host time since when all vCPUs of a group are halted, or 0 if they are not. */
static u64 timewarp_idle_since(struct kvm_timewarp *tw)
{
	struct kvm_timeline *tl;
	unsigned long flags;
	u64 since = 0, one;

	for (tl = tw->tl; tl; tl = kvm_timeline_next(tl, tw->tl)) {
		raw_spin_lock_irqsave(&tl->idle_lock, flags);
		one = tl->idle_since_ns;
		raw_spin_unlock_irqrestore(&tl->idle_lock, flags);
		if (!one)
			return 0;
		since = max(since, one);
	}

	return since;
}

/*
 * Whether all vCPUs are halted for as long as the policy has asked for, in a
 * case that it was not told of.  If it may come to that, the alarm is armed.
 */
static bool timewarp_idle_due(struct kvm_timewarp *tw)
{
	u64 since = timewarp_idle_since(tw), idle_ns;

	lockdep_assert_held(&tw->tl->lock);

	if (!since || !tw->idle_after_ns || since == tw->idle_told_ns)
		return false;

	idle_ns = get_kvmclock_base_ns() - since;
	if (idle_ns >= tw->idle_after_ns)
		return true;

	hrtimer_start(&tw->idle_alarm, ns_to_ktime(tw->idle_after_ns - idle_ns), HRTIMER_MODE_REL);
	return false;
}

static enum hrtimer_restart timewarp_idle_alarm_fn(struct hrtimer *timer)
{
	struct kvm_timewarp *tw = container_of(timer, struct kvm_timewarp, idle_alarm);

	/* If not, it is armed again when it is. */
	if (READ_ONCE(tw->tl->idle_since_ns))
		queue_work(system_unbound_wq, &tw->idle_work);

	return HRTIMER_NORESTART;
}

static void timewarp_set_idle_alarm(struct kvm_timewarp *tw, u64 after_ns)
{
	WRITE_ONCE(tw->idle_after_ns, after_ns);
	/* They may be halted already. */
	if (timewarp_idle_due(tw))
		hrtimer_start(&tw->idle_alarm, 0, HRTIMER_MODE_REL);
}

/* The last call of a policy: say why, and have time go on at factor 1. */
static __printf(5, 6)
void timewarp_end(struct kvm_timewarp *tw, enum kvm_timewarp_exit_kind kind, int code,
		  const char *reason, const char *fmt, ...)
{
	struct kvm_timewarp_exit *exit = &tw->exit;
	struct kvm_timeline *tl;
	va_list args;

	lockdep_assert_held(&tw->tl->lock);

	memset(exit, 0, sizeof(*exit));
	exit->kind = kind;
	exit->code = code;
	strscpy(exit->reason, reason);
	va_start(args, fmt);
	vscnprintf(exit->message, sizeof(exit->message), fmt, args);
	va_end(args);

	tw->gone = true;
	for (tl = tw->tl; tl; tl = kvm_timeline_next(tl, tw->tl)) {
		WRITE_ONCE(tl->late_limit_ns, 0);
		tl->kvm->arch.timewarp->exit = *exit;
	}
	hrtimer_cancel(&tw->alarm);
	timewarp_set_idle_alarm(tw, 0);
	hrtimer_cancel(&tw->idle_alarm);
	if (kind != KVM_TIMEWARP_EXIT_VM_GONE)
		timewarp_stop_timeline(tw);

	trace_kvm_timewarp_exit(tw->id, tw->name, exit);
	if (tw->ops->exit) {
		struct kvm_timewarp_exit info = *exit;

		tw->ops->exit(&info);
	}
	if (kind != KVM_TIMEWARP_EXIT_UNREG)
		timewarp_unlink(tw->link);
}

static __printf(4, 5)
void timewarp_eject(struct kvm_timewarp *tw, int code, const char *reason, const char *fmt, ...)
{
	char message[sizeof(tw->exit.message)];
	va_list args;

	va_start(args, fmt);
	vscnprintf(message, sizeof(message), fmt, args);
	va_end(args);

	tw->tl->kvm->stat.timewarp_ejects++;
	timewarp_end(tw, KVM_TIMEWARP_EXIT_EJECTED, code, reason, "%s", message);
}

static void timewarp_clamp(struct kvm_timewarp *tw, const char *what, u64 asked, u64 given)
{
	tw->tl->kvm->stat.timewarp_clamps++;
	trace_kvm_timewarp_clamp(tw->id, what, asked, given);
}

/* Check a factor; returns whether it was fine as it is. */
static bool timewarp_check_rate(struct kvm_timewarp *tw, struct timeline_rate *rate)
{
	struct timeline_rate asked = *rate;

	if (!asked.num || !asked.den)
		*rate = tw->tl->asked;
	else if (timeline_rate_cmp(asked, tw->min) < 0)
		*rate = tw->min;
	else if (timeline_rate_cmp(asked, tw->max) > 0)
		*rate = tw->max;
	else
		return true;

	timewarp_clamp(tw, "factor_num", asked.num, rate->num);
	timewarp_clamp(tw, "factor_den", asked.den, rate->den);
	return false;
}

/* Arm the alarm for the earlier of two times; returns whether they were fine. */
static bool timewarp_set_alarm(struct kvm_timewarp *tw, const struct kvm_timewarp_ctx *ctx)
{
	u64 host_ns = get_kvmclock_base_ns();
	u64 delay = U64_MAX, d;
	bool fine = true;

	if (ctx->next_host_ns) {
		delay = ctx->next_host_ns > host_ns ? ctx->next_host_ns - host_ns : 0;
		tw->alarm_event = KVM_TIMEWARP_HOST_TIME;
		fine = ctx->next_host_ns > ctx->host_ns;
	}

	/* Whoever stops it there has the alarm go off. */
	if (ctx->next_guest_ns && !tw->tl->stop_ns && !tw->tl->frozen) {
		u64 guest_ns = __kvm_timeline_ns(tw->tl, rdtsc());

		d = ctx->next_guest_ns > guest_ns ?
			timeline_unscale(ctx->next_guest_ns - guest_ns, tw->tl->rate) : 0;
		if (d < delay) {
			delay = d;
			tw->alarm_event = KVM_TIMEWARP_GUEST_TIME;
		}
		fine &= ctx->next_guest_ns > ctx->guest_ns;
	}

	if (delay == U64_MAX) {
		hrtimer_cancel(&tw->alarm);
		return true;
	}

	if (delay < TIMEWARP_MIN_INTERVAL_NS) {
		/* What the change has taken of it meanwhile is not the policy's fault. */
		if (delay + host_ns - ctx->host_ns < TIMEWARP_MIN_INTERVAL_NS)
			timewarp_clamp(tw, "next", delay, TIMEWARP_MIN_INTERVAL_NS);
		delay = TIMEWARP_MIN_INTERVAL_NS;
	}
	hrtimer_start(&tw->alarm, ns_to_ktime(min(delay, (u64)KTIME_MAX >> 1)), HRTIMER_MODE_REL);

	return fine;
}

/* Host time for which a vCPU's thread was ready to run and did not, until now. */
static u64 timewarp_starved_ns(struct kvm_vcpu *vcpu)
{
	struct task_struct *task;
	u64 ns = 0, queued;

	rcu_read_lock();
	task = pid_task(rcu_dereference(vcpu->pid), PIDTYPE_PID);
	if (task) {
		ns = READ_ONCE(task->sched_info.run_delay);
		queued = READ_ONCE(task->sched_info.last_queued);
		if (queued)
			ns += max_t(s64, local_clock() - queued, 0);
	}
	rcu_read_unlock();

	return ns;
}

/* What a VM has borne since the last call. */
static void timewarp_load_vm(struct kvm_timeline *tl, struct kvm_timewarp_ctx *ctx)
{
	u64 late_ns, starved_ns, halted_ns, seen_ns;
	struct kvm_vcpu *vcpu;
	unsigned long i;

	ctx->lost_ticks += tl->kvm->stat.timewarp_lost_ticks;
	ctx->floors += tl->kvm->stat.timewarp_floors;

	kvm_for_each_vcpu(i, vcpu, tl->kvm) {
		late_ns = xchg(&vcpu->arch.timeline.late_ns, 0);
		if (tl->active)
			late_ns = max(late_ns, kvm_lapic_timer_late_ns(vcpu));
		ctx->late_ns = max(ctx->late_ns, late_ns);

		/* Read at different times, either may seem to have gone back. */
		starved_ns = timewarp_starved_ns(vcpu);
		if (starved_ns > vcpu->arch.timeline.seen_starved_ns)
			ctx->starved_ns = max(ctx->starved_ns, starved_ns -
					      vcpu->arch.timeline.seen_starved_ns);
		vcpu->arch.timeline.seen_starved_ns = starved_ns;

		halted_ns = kvm_timeline_halted_ns(vcpu);
		seen_ns = vcpu->arch.timeline.seen_halted_ns;
		ctx->halted_ns = min(ctx->halted_ns, halted_ns > seen_ns ? halted_ns - seen_ns : 0);
		vcpu->arch.timeline.seen_halted_ns = halted_ns;
	}
}

static void timewarp_load(struct kvm_timewarp *tw, struct kvm_timewarp_ctx *ctx)
{
	struct kvm_timeline *tl;

	ctx->halted_ns = ctx->host_ns - tw->asked_host_ns;
	for (tl = tw->tl; tl; tl = kvm_timeline_next(tl, tw->tl)) {
		ctx->nr_vcpus += atomic_read(&tl->kvm->online_vcpus);
		timewarp_load_vm(tl, ctx);
	}

	/* Without a timeline, or a call before this one, there is no span to speak of. */
	if (!tw->tl->active) {
		ctx->late_ns = 0;
		ctx->starved_ns = 0;
		ctx->halted_ns = 0;
	}
	WRITE_ONCE(tw->asked_host_ns, ctx->host_ns);
}

/* Check where to leap to, or 0; returns whether it was fine as it is. */
static bool timewarp_check_leap(struct kvm_timewarp *tw, const struct kvm_timewarp_ops *ops,
				const struct kvm_timewarp_ctx *ctx, struct timeline_next *next)
{
	u64 most = min(ctx->guest_ns + KVM_TIMEWARP_MAX_LEAP_NS, (u64)KTIME_MAX / 2);
	u64 least = ctx->guest_ns;

	if (!ctx->leap_ns)
		return true;

	/* 0 would be none. */
	if (ops->flags & KVM_TIMEWARP_F_BACKWARD)
		least -= min(least - 1, KVM_TIMEWARP_MAX_LEAP_NS);
	next->leap_ns = clamp(ctx->leap_ns, least, most);
	next->back = next->leap_ns < ctx->guest_ns;
	if (next->leap_ns == ctx->leap_ns)
		return true;

	timewarp_clamp(tw, "leap_ns", ctx->leap_ns, next->leap_ns);
	return false;
}

/* Check by how much to set TSCs apart; returns whether it was fine as it is. */
static bool timewarp_check_skew(struct kvm_timewarp *tw, const struct kvm_timewarp_ops *ops,
				const struct kvm_timewarp_ctx *ctx, struct timeline_next *next)
{
	s64 most = ops->flags & KVM_TIMEWARP_F_SKEW ? KVM_TIMEWARP_MAX_SKEW_NS : 0;

	next->skew_ns = clamp(ctx->skew_ns, -most, most);
	if (next->skew_ns == ctx->skew_ns)
		return true;

	timewarp_clamp(tw, "skew_ns", ctx->skew_ns, next->skew_ns);
	return false;
}

/* Check what else there is of an answer; returns whether it was fine as it is. */
static bool timewarp_check_answer(struct kvm_timewarp *tw, const struct kvm_timewarp_ctx *ctx,
				  u64 *stop_ns)
{
	u64 known = KVM_TIMEWARP_HOLD | KVM_TIMEWARP_IF_IDLE;
	bool fine = true;

	if (ctx->next_guest_ns > ctx->guest_ns && !(ctx->answer & KVM_TIMEWARP_HOLD))
		known |= KVM_TIMEWARP_HOLD_NEXT;
	if (ctx->answer & ~known) {
		timewarp_clamp(tw, "answer", ctx->answer, ctx->answer & known);
		fine = false;
	}
	if (ctx->answer & known & KVM_TIMEWARP_HOLD_NEXT)
		*stop_ns = ctx->next_guest_ns;
	if (ctx->next_idle_ns && ctx->next_idle_ns < TIMEWARP_MIN_INTERVAL_NS)
		timewarp_clamp(tw, "next_idle_ns", ctx->next_idle_ns, TIMEWARP_MIN_INTERVAL_NS);

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

/* What a policy is told of the state of its VMs. */
static void timewarp_look(struct kvm_timewarp *tw, struct kvm_timewarp_ctx *ctx)
{
	u64 idle_ns = U64_MAX;
	struct kvm_timeline *tl;

	ctx->next_timer_ns = U64_MAX;
	ctx->state = KVM_TIMEWARP_TELLS;
	for (tl = tw->tl; tl; tl = kvm_timeline_next(tl, tw->tl)) {
		if (!timewarp_tells(tl->kvm))
			ctx->state &= ~KVM_TIMEWARP_TELLS;
		if (!tl->active)
			continue;
		idle_ns = min(idle_ns, kvm_timeline_idle_ns(tl));
		ctx->next_timer_ns = min(ctx->next_timer_ns, kvm_timeline_next_timer_ns(tl));
	}

	if (!tw->tl->active)
		return;

	ctx->idle_ns = idle_ns;
	if (tw->tl->frozen)
		ctx->state |= KVM_TIMEWARP_HELD;
}

/* Have the timeline go on as a policy has answered. */
static int timewarp_apply(struct kvm_timeline *tl, enum kvm_timewarp_tsc_mode mode,
			  const struct timeline_next *next)
{
	int r;

	if (!tl->active) {
		r = kvm_timeline_start(tl, mode, next->rate);
		if (r || (!next->leap_ns && !next->freeze && !next->stop_ns && !next->skew_ns))
			return r;

		r = kvm_timeline_set(tl, next);
		/* If that fails as well, it goes on at the factor asked for. */
		return r && !kvm_timeline_stop(tl) ? r : 0;
	}

	if (next->leap_ns || next->stop_ns || tl->stop_ns || next->freeze != tl->frozen ||
	    next->skew_ns != tl->skew_ns || timeline_rate_cmp(next->rate, tl->asked))
		return kvm_timeline_set(tl, next);

	return 0;
}

/*
 * Ask a policy, and do as it says.  A policy that attaches or is swapped in is
 * refused where one that is in place would have its answer clamped.
 */
static int timewarp_decide(struct kvm_timewarp *tw, struct kvm_timewarp_ops *ops,
			   enum kvm_timewarp_event event, enum kvm_timewarp_tsc_mode mode)
{
	bool first = event == KVM_TIMEWARP_ATTACH || event == KVM_TIMEWARP_SWAP;
	struct kvm_timeline *m, *tl = tw->tl;
	struct kvm_timewarp_ctx ctx = {
		.event = event,
		.host_ns = get_kvmclock_base_ns(),
		.factor_num = tl->rate.num,
		.factor_den = tl->rate.den,
		/* One that may not set it finds none, and so ends that of the one before it. */
		.skew_ns = ops->flags & KVM_TIMEWARP_F_SKEW ? tl->skew_ns : 0,
	};
	struct timeline_next next = {};
	bool fine, in_time;
	u64 took_ns;
	int r;

	lockdep_assert_held(&tl->lock);

	if (check_tsc_unstable()) {
		if (!first)
			timewarp_end(tw, KVM_TIMEWARP_EXIT_HOST, -ENODEV, "tsc",
				     "the host's TSC has become unstable");
		return -ENODEV;
	}

	/* The policy sees guest time stand where it had asked for. */
	r = kvm_timeline_settle(tl);
	if (r) {
		hrtimer_start(&tw->alarm, ms_to_ktime(TIMEWARP_RETRY_MS), HRTIMER_MODE_REL);
		return r;
	}

	for (m = tl; m; m = kvm_timeline_next(m, tl))
		WRITE_ONCE(m->late_limit_ns, 0);
	timewarp_look(tw, &ctx);
	ctx.guest_ns = tl->active ? __kvm_timeline_ns(tl, rdtsc()) : ctx.host_ns;
	timewarp_load(tw, &ctx);

	r = ops->decide(&ctx);
	took_ns = get_kvmclock_base_ns() - ctx.host_ns;
	in_time = took_ns <= TIMEWARP_MAX_DECIDE_NS;
	tw->decisions++;

	if (r > 0 || r < -MAX_ERRNO)
		r = -EINVAL;
	if (r) {
		fine = true;
		goto out;
	}

	next.rate = (struct timeline_rate) { ctx.factor_num, ctx.factor_den };
	next.freeze = ctx.answer & KVM_TIMEWARP_HOLD;
	next.if_idle = ctx.answer & KVM_TIMEWARP_IF_IDLE;
	fine = timewarp_check_rate(tw, &next.rate);
	fine &= timewarp_check_leap(tw, ops, &ctx, &next);
	fine &= timewarp_check_skew(tw, ops, &ctx, &next);
	fine &= timewarp_check_answer(tw, &ctx, &next.stop_ns);
	if (!fine && first)
		return -ERANGE;

	r = timewarp_apply(tl, mode, &next);
	if (r && first)
		return r;

	fine &= timewarp_set_alarm(tw, &ctx);
	/* It may stand by now, before there was an alarm to go off. */
	for (m = tl; m; m = kvm_timeline_next(m, tl)) {
		if (m->stop_ns && READ_ONCE(m->frozen))
			kvm_timewarp_stopped(m->kvm);
	}
	for (m = tl; m; m = kvm_timeline_next(m, tl))
		WRITE_ONCE(m->late_limit_ns, ctx.next_late_ns);
	timewarp_set_idle_alarm(tw, ctx.next_idle_ns ?
				max(ctx.next_idle_ns, TIMEWARP_MIN_INTERVAL_NS) : 0);
out:
	if (!in_time)
		timewarp_clamp(tw, "decide_ns", took_ns, TIMEWARP_MAX_DECIDE_NS);
	if (fine && in_time) {
		tw->bad = 0;
	} else if (++tw->bad >= TIMEWARP_MAX_BAD && !first) {
		r = in_time ? -ERANGE : -ETIME;
		timewarp_eject(tw, r, in_time ? "answer" : "slow", in_time ?
			       "%u unusable answers in a row, last factor %llu/%llu" :
			       "%u slow answers in a row, last factor %llu/%llu",
			       tw->bad, ctx.factor_num, ctx.factor_den);
	}

	return r;
}

static enum hrtimer_restart timewarp_alarm_fn(struct hrtimer *timer)
{
	struct kvm_timewarp *tw = container_of(timer, struct kvm_timewarp, alarm);

	queue_work(system_unbound_wq, &tw->alarm_work);
	return HRTIMER_NORESTART;
}

static void timewarp_alarm_work_fn(struct work_struct *work)
{
	struct kvm_timewarp *tw = container_of(work, struct kvm_timewarp, alarm_work);
	bool late = xchg(&tw->late, false);

	if (!timewarp_lock_leader(tw))
		return;

	if (tw->ops && !tw->gone)
		timewarp_decide(tw, tw->ops, late ? KVM_TIMEWARP_LATE : tw->alarm_event,
				tw->tl->mode);
	timewarp_unlock_group(tw);
}

/* The policy is to be called as soon as it may. */
static void timewarp_alarm_soon(struct kvm_timewarp *tw)
{
	s64 since_ns = get_kvmclock_base_ns() - READ_ONCE(tw->asked_host_ns);

	hrtimer_start(&tw->alarm, ns_to_ktime(max_t(s64, TIMEWARP_MIN_INTERVAL_NS - since_ns, 0)),
		      HRTIMER_MODE_REL);
}

/**
 * kvm_timewarp_late - a timer was as late as the policy wants to know
 * @kvm: the VM, which lives on its timeline
 *
 * Called once for each time that the policy asks, from any context.  A policy
 * that ends meanwhile is not asked.
 */
void kvm_timewarp_late(struct kvm *kvm)
{
	struct kvm_timewarp *tw;

	/* A leader is not freed before this is over. */
	rcu_read_lock();
	tw = timewarp_leader(kvm->arch.timewarp);
	WRITE_ONCE(tw->late, true);
	timewarp_alarm_soon(tw);
	rcu_read_unlock();
}

/**
 * kvm_timewarp_stopped - guest time comes to stand where the policy had asked for
 * @kvm: the VM, which lives on its timeline
 *
 * Called from any context.
 */
void kvm_timewarp_stopped(struct kvm *kvm)
{
	struct kvm_timewarp *tw;

	/* A leader is not freed before this is over, and a VM that dies has none. */
	rcu_read_lock();
	tw = READ_ONCE(kvm->arch.timewarp);
	if (tw) {
		tw = timewarp_leader(tw);
		WRITE_ONCE(tw->alarm_event, KVM_TIMEWARP_GUEST_TIME);
		timewarp_alarm_soon(tw);
	}
	rcu_read_unlock();
}

static void timewarp_idle_work_fn(struct work_struct *work)
{
	struct kvm_timewarp *tw = container_of(work, struct kvm_timewarp, idle_work);

	if (!timewarp_lock_leader(tw))
		return;

	if (tw->ops && !tw->gone && timewarp_idle_due(tw)) {
		tw->idle_told_ns = timewarp_idle_since(tw);
		timewarp_decide(tw, tw->ops, KVM_TIMEWARP_IDLE, tw->tl->mode);
	}
	timewarp_unlock_group(tw);
}

static struct kvm_timewarp *timewarp_get(struct kvm *kvm)
{
	struct kvm_timewarp *tw = kvm->arch.timewarp;

	lockdep_assert_held(&timewarp_lock);

	if (tw)
		return tw;

	tw = kzalloc(sizeof(*tw), GFP_KERNEL_ACCOUNT);
	if (!tw)
		return NULL;

	tw->tl = kvm_timeline_create(kvm);
	if (!tw->tl) {
		kfree(tw);
		return NULL;
	}

	tw->id = timewarp_next_id++;
	hrtimer_init(&tw->alarm, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	tw->alarm.function = timewarp_alarm_fn;
	INIT_WORK(&tw->alarm_work, timewarp_alarm_work_fn);
	hrtimer_init(&tw->idle_alarm, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	tw->idle_alarm.function = timewarp_idle_alarm_fn;
	INIT_WORK(&tw->idle_work, timewarp_idle_work_fn);
	INIT_DELAYED_WORK(&tw->stop_work, timewarp_stop_fn);
	list_add_rcu(&tw->node, &timewarp_list);
	kvm->arch.timewarp = tw;

	return tw;
}

static struct kvm_timewarp *timewarp_find_ops(struct kvm_timewarp_ops *ops)
{
	struct kvm_timewarp *tw;

	lockdep_assert_held(&timewarp_lock);

	list_for_each_entry(tw, &timewarp_list, node) {
		if (tw->ops == ops)
			return tw;
	}

	return NULL;
}

/* The VM behind a descriptor of the current task, with a reference. */
static struct kvm *timewarp_get_kvm(int fd)
{
	struct file *file = fget(fd);
	struct kvm *kvm;

	if (!file)
		return ERR_PTR(-EBADF);

	if (file_is_kvm(file)) {
		kvm = file->private_data;
		kvm_get_kvm(kvm);
	} else {
		kvm = ERR_PTR(-ENOTTY);
	}
	fput(file);

	return kvm;
}

/* The VMs that a policy names, each with a reference; the leader first. */
struct timewarp_vms {
	struct kvm *kvm[1 + KVM_TIMEWARP_MAX_PEERS];
	unsigned int nr;
};

static void timewarp_put_vms(struct timewarp_vms *vms)
{
	while (vms->nr)
		kvm_put_kvm(vms->kvm[--vms->nr]);
}

static int timewarp_get_vms(struct timewarp_vms *vms, struct kvm_timewarp_ops *ops)
{
	struct kvm *kvm;
	unsigned int i;

	for (vms->nr = 0; vms->nr <= ops->nr_peers; ) {
		kvm = timewarp_get_kvm(vms->nr ? ops->peer_fd[vms->nr - 1] : ops->vm_fd);
		if (IS_ERR(kvm)) {
			timewarp_put_vms(vms);
			return PTR_ERR(kvm);
		}
		vms->kvm[vms->nr++] = kvm;

		for (i = 0; i < vms->nr - 1; i++) {
			if (vms->kvm[i] == kvm) {
				timewarp_put_vms(vms);
				return -EEXIST;
			}
		}
	}

	return 0;
}

/* Whether a VM can be in the leader's group; what that permits is narrowed to what all can. */
static int timewarp_check_member(struct kvm_timewarp *leader, struct kvm_timewarp *tw,
				 enum kvm_timewarp_tsc_mode *mode)
{
	enum kvm_timewarp_tsc_mode its = *mode;
	struct timeline_rate min, max;
	struct kvm *kvm = tw->tl->kvm;
	int r;

	/* One that is still being taken off its timeline is busy as well. */
	if (tw->ops || tw->leader || tw->tl->active)
		return -EBUSY;

	r = kvm_timeline_limits(kvm, &its, &min, &max);
	if (r)
		return r;

	if (tw == leader) {
		*mode = its;
		tw->min = min;
		tw->max = max;
		return 0;
	}

	/* TSCs of different rates could not be given the same factor exactly. */
	if (kvm_get_vcpu(kvm, 0)->arch.timeline.base_tsc_ratio !=
	    kvm_get_vcpu(leader->tl->kvm, 0)->arch.timeline.base_tsc_ratio)
		return -EXDEV;

	if (timeline_rate_cmp(min, leader->min) > 0)
		leader->min = min;
	if (timeline_rate_cmp(max, leader->max) < 0)
		leader->max = max;

	return 0;
}

static int timewarp_attach(struct timewarp_vms *vms, struct kvm_timewarp_ops *ops,
			   struct bpf_link *link)
{
	enum kvm_timewarp_tsc_mode mode = ops->tsc_mode;
	struct kvm_timewarp *tw, *leader;
	unsigned int i;
	int r = 0;

	if (!timewarp_enabled)
		return -EPERM;

	for (i = 0; i < vms->nr; i++) {
		if (!timewarp_get(vms->kvm[i]))
			return -ENOMEM;
	}

	leader = vms->kvm[0]->arch.timewarp;
	if (!timewarp_lock_leader(leader))
		return -EBUSY;

	r = timewarp_check_member(leader, leader, &mode);
	for (i = 1; i < vms->nr && !r; i++) {
		tw = vms->kvm[i]->arch.timewarp;
		mutex_lock_nest_lock(&tw->tl->lock, &leader->tl->lock);
		r = timewarp_check_member(leader, tw, &mode);
		if (r) {
			mutex_unlock(&tw->tl->lock);
			continue;
		}
		list_add_tail(&tw->tl->group, &leader->tl->group);
		WRITE_ONCE(tw->leader, leader);
	}
	if (r)
		goto out;

	leader->bad = 0;
	leader->gone = false;
	leader->since_host_ns = get_kvmclock_base_ns();
	r = timewarp_decide(leader, ops, KVM_TIMEWARP_ATTACH, mode);
	if (r)
		goto out;

	leader->ops = ops;
	leader->link = link;
	memcpy(leader->name, ops->name, sizeof(leader->name));
out:
	/* Nobody but this attach can have made it what it is, unless the leader was busy. */
	if (r && !leader->ops && !leader->tl->active)
		timewarp_disband(leader);
	timewarp_unlock_group(leader);
	return r;
}

static int kvm_timewarp_reg(void *kdata, struct bpf_link *link)
{
	struct kvm_timewarp_ops *ops = kdata;
	struct timewarp_vms vms;
	int r;

	/* Without a link nobody would know when to stop. */
	if (!link)
		return -EINVAL;

	r = timewarp_get_vms(&vms, ops);
	if (r)
		return r;

	mutex_lock(&timewarp_lock);
	r = timewarp_attach(&vms, ops, link);
	mutex_unlock(&timewarp_lock);
	timewarp_put_vms(&vms);

	return r;
}

static void kvm_timewarp_unreg(void *kdata, struct bpf_link *link)
{
	struct kvm_timewarp *tw;

	mutex_lock(&timewarp_lock);
	tw = timewarp_find_ops(kdata);
	if (tw) {
		timewarp_lock_group(tw);
		if (!tw->gone)
			timewarp_end(tw, KVM_TIMEWARP_EXIT_UNREG, 0, "detached",
				     "the policy's link was closed or detached");
		tw->ops = NULL;
		tw->link = NULL;
		timewarp_unlock_group(tw);
		cancel_work_sync(&tw->alarm_work);
		cancel_work_sync(&tw->idle_work);
	}
	mutex_unlock(&timewarp_lock);
}

static int timewarp_swap(struct kvm_timewarp *tw, struct kvm_timewarp_ops *ops,
			 struct kvm_timewarp_ops *old)
{
	struct kvm_timewarp_exit info = {
		.kind = KVM_TIMEWARP_EXIT_UNREG,
		.reason = "swapped",
		.message = "another policy has taken over",
	};
	int r;

	lockdep_assert_held(&tw->tl->lock);

	if (tw->gone)
		return -ENXIO;

	r = timewarp_decide(tw, ops, KVM_TIMEWARP_SWAP, tw->tl->mode);
	if (r)
		return r;

	tw->bad = 0;
	tw->ops = ops;
	memcpy(tw->name, ops->name, sizeof(tw->name));
	tw->exit = info;
	if (old->exit)
		old->exit(&info);

	return 0;
}

static int kvm_timewarp_update(void *kdata, void *old_kdata, struct bpf_link *link)
{
	struct kvm_timewarp_ops *ops = kdata;
	struct kvm_timewarp *tw;
	struct kvm *kvm;
	int r;

	/* A group stays as it is, and any of its VMs does to name it. */
	if (ops->nr_peers)
		return -EINVAL;

	kvm = timewarp_get_kvm(ops->vm_fd);
	if (IS_ERR(kvm))
		return PTR_ERR(kvm);

	mutex_lock(&timewarp_lock);
	tw = timewarp_find_ops(old_kdata);
	if (!tw) {
		r = -ENXIO;
	} else if (!kvm->arch.timewarp || timewarp_leader(kvm->arch.timewarp) != tw) {
		r = -EXDEV;
	} else {
		timewarp_lock_group(tw);
		r = timewarp_swap(tw, ops, old_kdata);
		timewarp_unlock_group(tw);
	}
	mutex_unlock(&timewarp_lock);
	kvm_put_kvm(kvm);

	return r;
}

static bool timewarp_name_valid(const char *name)
{
	size_t i, len = strnlen(name, KVM_TIMEWARP_NAME_LEN);

	if (!len || len == KVM_TIMEWARP_NAME_LEN)
		return false;

	for (i = 0; i < len; i++) {
		if (!isalnum(name[i]) && !strchr("_.-", name[i]))
			return false;
	}

	return true;
}

/* Members that are data are taken here, or refused. */
static int kvm_timewarp_init_member(const struct btf_type *t, const struct btf_member *member,
				    void *kdata, const void *udata)
{
	const struct kvm_timewarp_ops *uops = udata;
	struct kvm_timewarp_ops *ops = kdata;

	switch (__btf_member_bit_offset(t, member) / 8) {
	case offsetof(struct kvm_timewarp_ops, vm_fd):
		ops->vm_fd = uops->vm_fd;
		return 1;
	case offsetof(struct kvm_timewarp_ops, tsc_mode):
		if (uops->tsc_mode > KVM_TIMEWARP_TSC_OFFSET)
			return -EINVAL;
		ops->tsc_mode = uops->tsc_mode;
		return 1;
	case offsetof(struct kvm_timewarp_ops, flags):
		if (uops->flags & ~(KVM_TIMEWARP_F_BACKWARD | KVM_TIMEWARP_F_SKEW))
			return -EINVAL;
		ops->flags = uops->flags;
		return 1;
	case offsetof(struct kvm_timewarp_ops, name):
		if (!timewarp_name_valid(uops->name))
			return -EINVAL;
		memcpy(ops->name, uops->name, sizeof(ops->name));
		return 1;
	case offsetof(struct kvm_timewarp_ops, nr_peers):
		if (uops->nr_peers > KVM_TIMEWARP_MAX_PEERS)
			return -EINVAL;
		ops->nr_peers = uops->nr_peers;
		return 1;
	case offsetof(struct kvm_timewarp_ops, peer_fd):
		memcpy(ops->peer_fd, uops->peer_fd, sizeof(ops->peer_fd));
		return 1;
	}

	return 0;
}

static int kvm_timewarp_validate(void *kdata)
{
	struct kvm_timewarp_ops *ops = kdata;

	return ops->decide ? 0 : -EINVAL;
}

static int kvm_timewarp_init_btf(struct btf *btf)
{
	return 0;
}

/* The type of ->decide()'s argument, as the verifier knows it. */
static const struct btf *kvm_timewarp_ctx_btf;
static u32 kvm_timewarp_ctx_btf_id;

static bool timewarp_within(int off, int size, size_t first, size_t end)
{
	return off >= first && off + size <= end;
}

/* A policy may write its answer, and nothing else. */
static int kvm_timewarp_btf_struct_access(struct bpf_verifier_log *log,
					  const struct bpf_reg_state *reg, int off, int size)
{
	if (reg->btf == READ_ONCE(kvm_timewarp_ctx_btf) &&
	    reg->btf_id == READ_ONCE(kvm_timewarp_ctx_btf_id) &&
	    (timewarp_within(off, size, offsetof(struct kvm_timewarp_ctx, factor_num),
			     offsetofend(struct kvm_timewarp_ctx, next_late_ns)) ||
	     timewarp_within(off, size, offsetof(struct kvm_timewarp_ctx, next_idle_ns),
			     offsetofend(struct kvm_timewarp_ctx, skew_ns))))
		return 0;

	bpf_log(log, "a policy may write only the answers in struct kvm_timewarp_ctx\n");
	return -EACCES;
}

static bool kvm_timewarp_is_valid_access(int off, int size, enum bpf_access_type type,
					 const struct bpf_prog *prog,
					 struct bpf_insn_access_aux *info)
{
	if (!bpf_tracing_btf_ctx_access(off, size, type, prog, info))
		return false;

	/* ->decide() is the first member.  It is always the same type that is found. */
	if (prog->expected_attach_type == 0 && !off) {
		WRITE_ONCE(kvm_timewarp_ctx_btf_id, info->btf_id);
		WRITE_ONCE(kvm_timewarp_ctx_btf, info->btf);
	}

	return true;
}

static const struct bpf_verifier_ops kvm_timewarp_verifier_ops = {
	.get_func_proto = bpf_base_func_proto,
	.is_valid_access = kvm_timewarp_is_valid_access,
	.btf_struct_access = kvm_timewarp_btf_struct_access,
};

/* Stubs give the ops their types for control-flow integrity. */
static int kvm_timewarp_decide_stub(struct kvm_timewarp_ctx *ctx)
{
	return 0;
}

static void kvm_timewarp_exit_stub(struct kvm_timewarp_exit *info)
{
}

static struct kvm_timewarp_ops kvm_timewarp_cfi_stubs = {
	.decide = kvm_timewarp_decide_stub,
	.exit = kvm_timewarp_exit_stub,
};

static struct bpf_struct_ops bpf_kvm_timewarp_ops = {
	.verifier_ops = &kvm_timewarp_verifier_ops,
	.init = kvm_timewarp_init_btf,
	.init_member = kvm_timewarp_init_member,
	.validate = kvm_timewarp_validate,
	.reg = kvm_timewarp_reg,
	.unreg = kvm_timewarp_unreg,
	.update = kvm_timewarp_update,
	.cfi_stubs = &kvm_timewarp_cfi_stubs,
	.name = "kvm_timewarp_ops",
	.owner = THIS_MODULE,
};

__bpf_kfunc_start_defs();

/**
 * kvm_timewarp_mul_div - a * b / c in 128 bits
 * @a: factor
 * @b: factor
 * @c: divisor
 *
 * Return: the quotient rounded down, or U64_MAX if it does not fit or @c is 0.
 */
__bpf_kfunc u64 kvm_timewarp_mul_div(u64 a, u64 b, u64 c)
{
	return timeline_mul_div(a, b, c);
}

/**
 * kvm_timewarp_kick - have the policy of a VM decide anew
 * @id: the "id" in the VM's state file
 *
 * For user space that has changed the policy's parameters.  Returns when the
 * decision is in force.
 *
 * Return: 0; -ENOENT if no policy has this id; else what the policy returned,
 * or -ETIMEDOUT if the vCPUs could not be held.
 */
__bpf_kfunc int kvm_timewarp_kick(u32 id)
{
	struct kvm_timewarp *tw;
	int r = -ENOENT;

	mutex_lock(&timewarp_lock);
	list_for_each_entry(tw, &timewarp_list, node) {
		if (tw->id != id || !tw->ops)
			continue;

		timewarp_lock_group(tw);
		if (!tw->gone)
			r = timewarp_decide(tw, tw->ops, KVM_TIMEWARP_PARAMS, tw->tl->mode);
		timewarp_unlock_group(tw);
		break;
	}
	mutex_unlock(&timewarp_lock);

	return r;
}

/* The only VM of a process that has ever been on a timeline, else NULL. */
static struct kvm_timewarp *timewarp_of_process(pid_t pid)
{
	struct kvm_timewarp *tw, *found = NULL;

	list_for_each_entry_rcu(tw, &timewarp_list, node) {
		if (tw->tl->kvm->userspace_pid != pid)
			continue;
		if (found)
			return NULL;
		found = tw;
	}

	return found;
}

/**
 * kvm_timewarp_clock - a clock of the host as the timeline of a VM continues it
 * @pid: the process that created the VM
 * @clock: CLOCK_MONOTONIC or CLOCK_REALTIME
 *
 * It is the host's clock until the first attach, goes with the guest's time
 * while that follows the timeline, and keeps what it is ahead by afterwards,
 * so that it never steps.  For devices that the VMM emulates.
 *
 * Return: the clock in ns; 0 if the process has no such VM, or several.
 */
__bpf_kfunc u64 kvm_timewarp_clock(u32 pid, u32 clock)
{
	struct kvm_timewarp *tw;
	struct kvm_timeline *tl;
	unsigned int seq;
	u64 ns = 0;

	if (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME)
		return 0;

	rcu_read_lock();
	tw = timewarp_of_process(pid);
	if (!tw)
		goto out;

	tl = tw->tl;
	do {
		seq = read_seqcount_begin(&tl->kvm->arch.pvclock_sc);
		if (tl->active)
			ns = __kvm_timeline_ns(tl, rdtsc()) +
			     (clock == CLOCK_REALTIME ? tl->wall_ns : tl->mono_ns);
		else if (clock == CLOCK_REALTIME)
			ns = ktime_get_real_ns() + tl->wall_ahead_ns;
		else
			ns = ktime_get_ns() + tl->mono_ahead_ns;
	} while (read_seqcount_retry(&tl->kvm->arch.pvclock_sc, seq));
out:
	rcu_read_unlock();
	return ns;
}

/**
 * kvm_timewarp_host_delay - how long a span of guest time takes the host
 * @pid: the process that created the VM
 * @guest_ns: guest time from now
 *
 * Return: host ns, rounded up, at the factor in force; as good as never while
 * guest time stands still; @guest_ns if the process has no VM on a timeline.
 */
__bpf_kfunc u64 kvm_timewarp_host_delay(u32 pid, u64 guest_ns)
{
	struct kvm_timewarp *tw;
	struct kvm_timeline *tl;
	struct timeline_rate rate = { 1, 1 };
	bool active, frozen = false;
	unsigned int seq;

	rcu_read_lock();
	tw = timewarp_of_process(pid);
	if (tw) {
		tl = tw->tl;
		do {
			seq = read_seqcount_begin(&tl->kvm->arch.pvclock_sc);
			active = tl->active;
			frozen = active && tl->frozen;
			rate = tl->rate;
		} while (read_seqcount_retry(&tl->kvm->arch.pvclock_sc, seq));
		if (!active)
			rate = (struct timeline_rate) { 1, 1 };
	}
	rcu_read_unlock();

	return frozen ? TIMELINE_NEVER_NS : timeline_unscale(guest_ns, rate);
}

__bpf_kfunc_end_defs();

BTF_KFUNCS_START(kvm_timewarp_kfunc_ids)
BTF_ID_FLAGS(func, kvm_timewarp_mul_div)
BTF_ID_FLAGS(func, kvm_timewarp_clock)
BTF_KFUNCS_END(kvm_timewarp_kfunc_ids)

static const struct btf_kfunc_id_set kvm_timewarp_kfunc_set = {
	.owner = THIS_MODULE,
	.set = &kvm_timewarp_kfunc_ids,
};

BTF_KFUNCS_START(kvm_timewarp_syscall_kfunc_ids)
BTF_ID_FLAGS(func, kvm_timewarp_mul_div)
BTF_ID_FLAGS(func, kvm_timewarp_kick, KF_SLEEPABLE)
BTF_KFUNCS_END(kvm_timewarp_syscall_kfunc_ids)

static const struct btf_kfunc_id_set kvm_timewarp_syscall_kfunc_set = {
	.owner = THIS_MODULE,
	.set = &kvm_timewarp_syscall_kfunc_ids,
};

/* Probes on a VMM, and on KVM for its sake. */
BTF_KFUNCS_START(kvm_timewarp_kprobe_kfunc_ids)
BTF_ID_FLAGS(func, kvm_timewarp_clock)
BTF_ID_FLAGS(func, kvm_timewarp_host_delay)
BTF_KFUNCS_END(kvm_timewarp_kprobe_kfunc_ids)

static const struct btf_kfunc_id_set kvm_timewarp_kprobe_kfunc_set = {
	.owner = THIS_MODULE,
	.set = &kvm_timewarp_kprobe_kfunc_ids,
};

/* Switching the feature off takes every VM off its timeline. */
static int timewarp_param_set(const char *val, const struct kernel_param *kp)
{
	struct kvm_timewarp *tw;
	int r;

	mutex_lock(&timewarp_lock);
	r = param_set_bool(val, kp);
	if (!r && !timewarp_enabled) {
		list_for_each_entry(tw, &timewarp_list, node) {
			if (!tw->ops)
				continue;
			timewarp_lock_group(tw);
			if (!tw->gone)
				timewarp_end(tw, KVM_TIMEWARP_EXIT_DISABLED, -EPERM, "disabled",
					     "kvm.timewarp was switched off");
			timewarp_unlock_group(tw);
		}
	}
	mutex_unlock(&timewarp_lock);

	return r;
}

static const struct kernel_param_ops timewarp_param_ops = {
	.set = timewarp_param_set,
	.get = param_get_bool,
};
module_param_cb(timewarp, &timewarp_param_ops, &timewarp_enabled, 0644);
MODULE_PARM_DESC(timewarp, "Let BPF policies decide the time of VMs (default: on)");

static const char *timewarp_mode_name(struct kvm_timeline *tl)
{
	if (!tl || !tl->active)
		return "-";

	switch (tl->mode) {
	case KVM_TIMEWARP_TSC_SCALED:
		return "scaled";
	case KVM_TIMEWARP_TSC_TRAPPED:
		return "trapped";
	case KVM_TIMEWARP_TSC_OFFSET:
		return "offset";
	default:
		return "-";
	}
}

static void timewarp_show_policy(struct seq_file *m, struct kvm_timewarp *tw)
{
	bool attached = tw && tw->ops && !tw->gone;
	struct kvm_timeline *tl;
	unsigned int nr = 0;

	if (tw) {
		for (tl = tw->tl; tl; tl = kvm_timeline_next(tl, tw->tl))
			nr++;
	}

	seq_printf(m, "abi %d\n", KVM_TIMEWARP_ABI);
	seq_printf(m, "attached %d\n", attached);
	seq_printf(m, "id %u\n", tw ? tw->id : 0);
	seq_printf(m, "policy %s\n", attached ? tw->name : "-");
	seq_printf(m, "link_id %u\n", attached && tw->link ? tw->link->id : 0);
	seq_printf(m, "vms %u\n", attached ? nr : 0);
}

static void timewarp_show_timeline(struct seq_file *m, struct kvm *kvm, struct kvm_timewarp *tw)
{
	static const struct timeline_rate one = { 1, 1 };
	struct kvm_timeline *tl = kvm->arch.timeline;
	struct kvm_timeline s = {};
	u64 host_ns, host_tsc, guest_ns;
	unsigned int seq;

	do {
		seq = read_seqcount_begin(&kvm->arch.pvclock_sc);
		if (tl)
			s = *tl;
		host_tsc = rdtsc();
		host_ns = get_kvmclock_base_ns();
		/* On a timeline that has stopped that is host time, to its last sample. */
		guest_ns = s.seq ? __kvm_timeline_ns(&s, host_tsc) : host_ns;
	} while (read_seqcount_retry(&kvm->arch.pvclock_sc, seq));

	if (!s.active) {
		s.rate = one;
		s.asked = one;
	}

	seq_printf(m, "tsc_mode %s\n", timewarp_mode_name(tl));
	seq_printf(m, "factor_asked %llu/%llu\n", s.asked.num, s.asked.den);
	seq_printf(m, "factor_force %llu/%llu\n", s.rate.num, s.rate.den);
	seq_printf(m, "factor_min %llu/%llu\n", tw ? tw->min.num : 0, tw ? tw->min.den : 0);
	seq_printf(m, "factor_max %llu/%llu\n", tw ? tw->max.num : 0, tw ? tw->max.den : 0);
	seq_printf(m, "since_host_ns %llu\n", s.active ? tw->since_host_ns : 0);
	seq_printf(m, "host_ns %llu\n", host_ns);
	seq_printf(m, "guest_ns %llu\n", guest_ns);
	seq_printf(m, "host_tsc %llu\n", host_tsc);
	seq_printf(m, "guest_tsc %llu\n", timeline_tsc(timeline_host_tsc(&s, host_tsc), s.tsc_ratio,
						       kvm_caps.tsc_scaling_ratio_frac_bits,
						       s.tsc_offset));
	seq_printf(m, "held %d\n", s.active && s.frozen);
	seq_printf(m, "leapt_ns %llu\n", s.leapt_ns);
	seq_printf(m, "skew_ns %lld\n", s.skew_ns);
	seq_printf(m, "idle_vcpus %u\n", s.idle_vcpus);
	seq_printf(m, "seq %llu\n", s.seq);
	seq_printf(m, "seg_host_tsc %llu\n", s.seg_host_tsc);
	seq_printf(m, "tsc_ratio %llu\n", s.tsc_ratio);
	seq_printf(m, "tsc_frac_bits %u\n", kvm_caps.tsc_scaling_ratio_frac_bits);
	seq_printf(m, "tsc_offset %lld\n", (s64)s.tsc_offset);
	seq_printf(m, "pv_tsc %llu\n", s.pv_tsc);
	seq_printf(m, "pv_ns %llu\n", s.pv_ns);
	seq_printf(m, "pv_mul %u\n", s.pv_mul);
	seq_printf(m, "pv_shift %d\n", s.pv_shift);
	seq_printf(m, "kvmclock_offset %lld\n", (s64)kvm->arch.kvmclock_offset);
	seq_printf(m, "mono_ahead_ns %lld\n", s.mono_ahead_ns);
	seq_printf(m, "wall_ahead_ns %lld\n", s.wall_ahead_ns);
	seq_printf(m, "held_last_ns %llu\n", s.held_last_ns);
	seq_printf(m, "held_max_ns %llu\n", s.held_max_ns);
}

static int timewarp_show(struct seq_file *m, void *v)
{
	struct kvm_timewarp_exit info = {};
	struct kvm *kvm = m->private;
	struct kvm_timewarp *tw;

	mutex_lock(&timewarp_lock);
	tw = kvm->arch.timewarp;
	if (tw) {
		info = tw->exit;
		tw = timewarp_lock_group(tw);
	}
	timewarp_show_policy(m, tw);
	timewarp_show_timeline(m, kvm, tw);
	seq_printf(m, "decisions %llu\n", tw ? tw->decisions : 0);
	seq_printf(m, "changes %llu\n", kvm->stat.timewarp_changes);
	seq_printf(m, "clamps %llu\n", kvm->stat.timewarp_clamps);
	seq_printf(m, "floors %llu\n", kvm->stat.timewarp_floors);
	seq_printf(m, "lost_ticks %llu\n", kvm->stat.timewarp_lost_ticks);
	seq_printf(m, "leaps %llu\n", kvm->stat.timewarp_leaps);
	seq_printf(m, "exit_kind %u\n", info.kind);
	seq_printf(m, "exit_code %d\n", info.code);
	seq_printf(m, "exit_reason %s\n", info.kind ? info.reason : "-");
	seq_printf(m, "exit_message %s\n", info.kind ? info.message : "-");
	if (tw)
		timewarp_unlock_group(tw);
	mutex_unlock(&timewarp_lock);

	return 0;
}

static int timewarp_open(struct inode *inode, struct file *file)
{
	struct kvm *kvm = inode->i_private;
	int r;

	if (!kvm_get_kvm_safe(kvm))
		return -ENOENT;

	r = single_open(file, timewarp_show, kvm);
	if (r < 0)
		kvm_put_kvm(kvm);

	return r;
}

static int timewarp_release(struct inode *inode, struct file *file)
{
	struct kvm *kvm = inode->i_private;

	kvm_put_kvm(kvm);

	return single_release(inode, file);
}

static const struct file_operations timewarp_fops = {
	.owner = THIS_MODULE,
	.open = timewarp_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = timewarp_release,
};

void kvm_timewarp_create_vm_debugfs(struct kvm *kvm)
{
	debugfs_create_file("timewarp", 0444, kvm->debugfs_dentry, kvm, &timewarp_fops);
}

/* The leader dies: another of its group takes over what it had. */
static void timewarp_succeed(struct kvm_timewarp *tw)
{
	struct kvm_timeline *first = list_next_entry(tw->tl, group), *tl;
	struct kvm_timewarp *heir = first->kvm->arch.timewarp;
	ktime_t left = hrtimer_get_remaining(&tw->alarm);

	list_del_init(&tw->tl->group);
	for (tl = first; tl; tl = kvm_timeline_next(tl, first))
		WRITE_ONCE(tl->kvm->arch.timewarp->leader, tl == first ? NULL : heir);

	heir->ops = tw->ops;
	heir->link = tw->link;
	heir->gone = tw->gone;
	heir->min = tw->min;
	heir->max = tw->max;
	heir->bad = tw->bad;
	heir->since_host_ns = tw->since_host_ns;
	heir->asked_host_ns = tw->asked_host_ns;
	heir->decisions = tw->decisions;
	heir->alarm_event = tw->alarm_event;
	memcpy(heir->name, tw->name, sizeof(heir->name));

	/* A call that is due, or under way, is made by the heir. */
	if (hrtimer_cancel(&tw->alarm) || work_busy(&tw->alarm_work))
		hrtimer_start(&heir->alarm, max(left, TIMEWARP_MIN_INTERVAL_NS), HRTIMER_MODE_REL);
	heir->idle_told_ns = tw->idle_told_ns;
	timewarp_set_idle_alarm(heir, tw->idle_after_ns);
	if (!heir->ops || heir->gone)
		queue_delayed_work(system_unbound_wq, &heir->stop_work, 0);
}

/* Leave the group; the last one ends the policy. */
static void timewarp_leave(struct kvm_timewarp *tw)
{
	struct kvm_timewarp *leader = timewarp_lock_group(tw);
	bool last = list_empty(&tw->tl->group);

	if (last) {
		if (tw->ops && !tw->gone)
			timewarp_end(tw, KVM_TIMEWARP_EXIT_VM_GONE, 0, "vm_gone",
				     "the VM was destroyed");
	} else if (tw == leader) {
		leader = list_next_entry(tw->tl, group)->kvm->arch.timewarp;
		timewarp_succeed(tw);
	} else {
		list_del_init(&tw->tl->group);
		WRITE_ONCE(tw->leader, NULL);
		/* Those that stay may all be halted. */
		timewarp_set_idle_alarm(leader, leader->idle_after_ns);
	}
	WRITE_ONCE(tw->idle_after_ns, 0);
	tw->ops = NULL;
	tw->link = NULL;

	if (!last) {
		WRITE_ONCE(tw->tl->late_limit_ns, 0);
		mutex_unlock(&tw->tl->lock);
	}
	timewarp_unlock_group(leader);
}

/*
 * The VM dies first: its link turns defunct, unless there are others in its
 * group, and its vCPUs run no more.
 */
void kvm_timewarp_destroy_vm(struct kvm *kvm)
{
	struct kvm_timewarp *tw;

	mutex_lock(&timewarp_lock);
	tw = kvm->arch.timewarp;
	if (tw) {
		timewarp_leave(tw);
		list_del_rcu(&tw->node);
		WRITE_ONCE(kvm->arch.timewarp, NULL);
	}
	mutex_unlock(&timewarp_lock);

	if (tw) {
		/*
		 * A VMM's probes may still be looking at the timeline, and a timer
		 * that is being delivered may be about to arm the alarm.
		 */
		synchronize_rcu();
		hrtimer_cancel(&tw->tl->stop_timer);
		hrtimer_cancel(&tw->alarm);
		hrtimer_cancel(&tw->idle_alarm);
		cancel_work_sync(&tw->alarm_work);
		cancel_work_sync(&tw->idle_work);
		cancel_delayed_work_sync(&tw->stop_work);
		kfree(tw);
	}
}

/* KVM works without: a kernel that has no BTF is no reason not to load. */
void __init kvm_timewarp_init(void)
{
	int r;

	r = register_btf_kfunc_id_set(BPF_PROG_TYPE_STRUCT_OPS, &kvm_timewarp_kfunc_set);
	r = r ?: register_btf_kfunc_id_set(BPF_PROG_TYPE_SYSCALL, &kvm_timewarp_syscall_kfunc_set);
	r = r ?: register_btf_kfunc_id_set(BPF_PROG_TYPE_KPROBE, &kvm_timewarp_kprobe_kfunc_set);
	r = r ?: register_btf_kfunc_id_set(BPF_PROG_TYPE_TRACING, &kvm_timewarp_kprobe_kfunc_set);
	r = r ?: register_bpf_struct_ops(&bpf_kvm_timewarp_ops, kvm_timewarp_ops);
	if (r)
		pr_warn("timewarp is not available: cannot register with BPF (%d)\n", r);

	/* Keeps the enum in the module's BTF, where user space looks for it. */
	BTF_TYPE_EMIT_ENUM(KVM_TIMEWARP_ABI);
}
