/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Groups: several VMs under one policy, whose clocks stay together to the nanosecond.
 *
 * TIMEWARP_DECIDE() puts this around each policy. The kernel knows of one VM at a time, and calls each
 * one's copy of the program by itself; the copies share struct timewarp_group. For a VM alone,
 * timewarp_member is 0 and constant, and the verifier takes all of this out.
 *
 * The first living member leads. Its copy asks the policy, with what is known of all, and makes a plan of
 * the answer. The others carry it out:
 *
 *	stop	all come to stand at one guest time, far enough ahead that all are told before
 *	turn	the last to stand works out where they go on, at the latest place at which one stands
 *		(who was told late went on for a moment, and no other may go on before that), or at the leap's end
 *		if all are idle still; and when: at a TSC of the host's that is far enough ahead
 *	go	all go on from there, then
 *
 * Guest time is a function of the host's one TSC, so two VMs that are given the same three numbers are on
 * one line, however late either is told of the third; and while one goes on none has stopped short of it.
 * A member that dies is waited for by nobody.
 *
 * The verifier follows each way through a program, and what goes over all members has many ways. So functions here are
 * __timewarp_once, and what they are about is no argument of theirs: it lies in struct timewarp_call.
 */
#ifndef TIMEWARP_GROUP_BPF_H
#define TIMEWARP_GROUP_BPF_H

/* All members are told of a plan within that, if they may be called at once */
#define __TIMEWARP_STOP_NS 300000ULL
#define __TIMEWARP_GO_NS 200000ULL
/* What is known of a member is news for so long */
#define __TIMEWARP_NEWS_NS (3 * TIMEWARP_MIN_INTERVAL_NS)
#define __TIMEWARP_POLLS 3
/* Should a call be lost */
#define __TIMEWARP_RETRY_NS (2 * TIMEWARP_MIN_INTERVAL_NS)

/* A call of a member's */
struct timewarp_call {
	struct kvm_timewarp_view view;		/* what the kernel has told of the member */
	struct kvm_timewarp_answer answer;	/* what it is answered */
	struct kvm_timewarp_view sum;		/* what the policy is told of all */
	struct kvm_timewarp_answer said;	/* what it answers */
};

/* Members are called at once, so each has its own of timewarp_calls */
#ifdef TIMEWARP_UNIT
/* One for the policy and the test together */
__attribute__((weak)) __u32 timewarp_member;
__attribute__((weak)) volatile struct timewarp_group timewarp_group;
__attribute__((weak)) struct timewarp_call timewarp_calls[TIMEWARP_MAX_VMS];
#else
const volatile __u32 timewarp_member SEC(TIMEWARP_MEMBER_SECTION) = 0;
volatile struct timewarp_group timewarp_group SEC(TIMEWARP_GROUP_SECTION) = {};
static struct timewarp_call timewarp_calls[TIMEWARP_MAX_VMS];
#endif

static __always_inline struct timewarp_call *__timewarp_call(void)
{
	__u32 i = timewarp_member - 1;

	barrier_var(i);
	return &timewarp_calls[i & (TIMEWARP_MAX_VMS - 1)];
}

static __always_inline volatile struct timewarp_member *__timewarp_at(__u32 i)
{
	barrier_var(i);
	return &timewarp_group.member[i & (TIMEWARP_MAX_VMS - 1)];
}

static __always_inline volatile struct timewarp_member *__timewarp_me(void)
{
	return __timewarp_at(timewarp_member - 1);
}

static __always_inline _Bool __timewarp_lives(__u32 i)
{
	return __timewarp_at(i)->state == TIMEWARP_LIVES;
}

__timewarp_once __u32 __timewarp_leader(void)
{
	for (__u32 i = 0; i < TIMEWARP_MAX_VMS; i++)
		if (__timewarp_lives(i))
			return i + 1;
	return 0;
}

__timewarp_once int __timewarp_ask_others(void)
{
	for (__u32 i = 0; i < TIMEWARP_MAX_VMS; i++)
		if (__timewarp_lives(i) && i + 1 != timewarp_member)
			kvm_timewarp_ask(__timewarp_at(i)->id);
	return 0;
}

static __always_inline void __timewarp_ask_leader(void)
{
	__u32 leader = __timewarp_leader();

	if (leader && leader != timewarp_member)
		kvm_timewarp_ask(__timewarp_at(leader - 1)->id);
}

/* Whether all have gone on by the plan */
__timewarp_once _Bool __timewarp_settled(void)
{
	__u32 nr = timewarp_group.plan.nr;

	if (timewarp_group.plan.phase != TIMEWARP_RUNS && timewarp_group.plan.phase != TIMEWARP_GOES)
		return 0;
	for (__u32 i = 0; i < TIMEWARP_MAX_VMS; i++)
		if (__timewarp_lives(i) && __timewarp_at(i)->went != nr)
			return 0;
	return 1;
}

/* Whether all stand, as far as is known */
__timewarp_once _Bool __timewarp_all_stand(void)
{
	for (__u32 i = 0; i < TIMEWARP_MAX_VMS; i++)
		if (__timewarp_lives(i) && !(__timewarp_at(i)->bits & KVM_TIMEWARP_HELD))
			return 0;
	return 1;
}

/* From what host time on all but this one may be called again */
__timewarp_once __u64 __timewarp_callable_ns(__u64 host_ns)
{
	__u64 ns = host_ns, one;

	for (__u32 i = 0; i < TIMEWARP_MAX_VMS; i++) {
		if (!__timewarp_lives(i) || i + 1 == timewarp_member)
			continue;
		one = __timewarp_at(i)->called_ns + TIMEWARP_MIN_INTERVAL_NS;
		ns = one > ns ? one : ns;
	}
	return ns;
}

__timewarp_once int __timewarp_record(void)
{
	const struct kvm_timewarp_view *view = &__timewarp_call()->view;
	volatile struct timewarp_member *m = __timewarp_me();
	__u64 timer = view->next_timer_ns;

	m->called_ns = view->host_ns;
	m->nr_vcpus = view->nr_vcpus;
	m->idle_ns = view->idle_ns;
	m->next_timer_ns = timer == ~0ULL ? timer : timer - m->shift_ns;
	m->lost_ticks = view->lost_ticks;
	m->floors = view->floors;
	if (view->late_ns > m->late_ns)
		m->late_ns = view->late_ns;
	m->starved_ns += view->starved_ns;
	m->halted_ns += view->halted_ns;
	m->stood_ns = view->guest_ns - m->shift_ns;
	barrier();
	/* one that waits for its start goes on by itself */
	m->bits = view->host_tsc < timewarp_group.plan.start_tsc ?
		  view->state & ~KVM_TIMEWARP_HELD : view->state;
	return 0;
}

static __always_inline __u64 __timewarp_later(__u64 a, __u64 b)
{
	return a > b ? a : b;
}

static __always_inline __u64 __timewarp_earlier(__u64 a, __u64 b)
{
	return a < b ? a : b;
}

/*
 * Whether it has been told to go on, and its time to do so has not come. Any answer would have it begin at
 * once, or, if the moment passes meanwhile, count the time since twice: there must be none.
 */
static __always_inline _Bool __timewarp_waits(void)
{
	return __timewarp_call()->view.host_tsc < timewarp_group.plan.start_tsc && !timewarp_group.plan.holds &&
	       __timewarp_me()->went == timewarp_group.plan.nr;
}

/* What the plan says of being called again, and of standing; the rest of an answer keeps what there is */
__timewarp_once int __timewarp_keep(void)
{
	const struct kvm_timewarp_view *view = &__timewarp_call()->view;
	struct kvm_timewarp_answer *answer = &__timewarp_call()->answer;
	volatile struct timewarp_plan *plan = &timewarp_group.plan;
	__u64 shift = __timewarp_me()->shift_ns, now = view->guest_ns - shift;
	__u64 soon = view->host_ns + TIMEWARP_MIN_INTERVAL_NS;
	_Bool leads = __timewarp_leader() == timewarp_member;

	answer->next_idle_ns = plan->next_idle_ns;
	answer->next_late_ns = plan->next_late_ns;
	if (leads && plan->next_host_ns)
		answer->next_host_ns = __timewarp_later(plan->next_host_ns, soon);
	if (plan->holds) {
		answer->flags = KVM_TIMEWARP_HOLD;
		return 0;
	}
	if (plan->hold_next_ns && plan->hold_next_ns <= now) {
		answer->flags = KVM_TIMEWARP_HOLD;
		/* the leader sees to it that it hears of the others */
		if (!(view->state & KVM_TIMEWARP_HELD))
			answer->next_host_ns = soon;
		else if (leads)
			answer->next_host_ns = view->host_ns + __TIMEWARP_RETRY_NS;
		return 0;
	}
	if (plan->hold_next_ns) {
		answer->next_guest_ns = plan->hold_next_ns + shift;
		answer->flags = KVM_TIMEWARP_HOLD_NEXT;
	} else if (leads && plan->next_guest_ns > now) {
		answer->next_guest_ns = plan->next_guest_ns + shift;
	} else if (leads && plan->next_guest_ns) {
		answer->next_host_ns = soon;
	}
	return 0;
}

/* The place at which all go on: none has come further, and all are idle yet if they are to leap as such */
__timewarp_once __u64 __timewarp_place(void)
{
	volatile struct timewarp_plan *plan = &timewarp_group.plan;
	__u64 go = 0, leap = plan->leap_ns, idle = ~0ULL, timer = ~0ULL;

	for (__u32 i = 0; i < TIMEWARP_MAX_VMS; i++) {
		volatile struct timewarp_member *m = __timewarp_at(i);

		if (!__timewarp_lives(i))
			continue;
		go = __timewarp_later(m->stood_ns, go);
		idle = __timewarp_earlier(m->idle_ns, idle);
		timer = __timewarp_earlier(m->next_timer_ns, timer);
	}
	if (plan->if_idle && !plan->past_timers)
		leap = __timewarp_earlier(timer, leap);
	if (!leap || (plan->if_idle && !idle))
		return go;
	return leap > go || plan->leaps_back ? leap : go;
}

/* All stand: says where and when they go on. One of them gets here, once. */
__timewarp_once int __timewarp_turn(void)
{
	const struct kvm_timewarp_view *view = &__timewarp_call()->view;
	volatile struct timewarp_plan *plan = &timewarp_group.plan;
	__u64 ns;

	plan->go_ns = __timewarp_place();
	ns = __timewarp_callable_ns(view->host_ns) - view->host_ns + __TIMEWARP_GO_NS;
	plan->start_tsc = plan->holds ? 0 : view->host_tsc +
		kvm_timewarp_mul_div(ns, view->host_tsc - timewarp_group.host_tsc,
				     view->host_ns - timewarp_group.host_ns);
	barrier();
	plan->phase = TIMEWARP_GOES;
	__timewarp_ask_others();
	return 0;
}

__timewarp_once int __timewarp_stop(void)
{
	const struct kvm_timewarp_view *view = &__timewarp_call()->view;
	struct kvm_timewarp_answer *answer = &__timewarp_call()->answer;
	__u64 at = timewarp_group.plan.stop_ns + __timewarp_me()->shift_ns;

	answer->next_host_ns = view->host_ns + __TIMEWARP_RETRY_NS;
	if (view->state & KVM_TIMEWARP_HELD || at <= view->guest_ns) {
		answer->flags = KVM_TIMEWARP_HOLD;
		if (!(view->state & KVM_TIMEWARP_HELD))
			answer->next_host_ns = view->host_ns + TIMEWARP_MIN_INTERVAL_NS;
		return 0;
	}
	answer->next_guest_ns = at;
	answer->flags = KVM_TIMEWARP_HOLD_NEXT;
	return 0;
}

__timewarp_once int __timewarp_go(void)
{
	const struct kvm_timewarp_view *view = &__timewarp_call()->view;
	struct kvm_timewarp_answer *answer = &__timewarp_call()->answer;
	volatile struct timewarp_plan *plan = &timewarp_group.plan;
	volatile struct timewarp_member *m = __timewarp_me();
	__u64 go = plan->go_ns + m->shift_ns;
	_Bool leads = __timewarp_leader() == timewarp_member;

	answer->factor_num = plan->num;
	answer->factor_den = plan->den;
	if (go > view->guest_ns || plan->leaps_back)
		answer->leap_ns = go;
	if (answer->leap_ns && plan->past_timers)
		answer->flags |= KVM_TIMEWARP_PAST_TIMERS;
	answer->next_idle_ns = plan->next_idle_ns;
	answer->next_late_ns = plan->next_late_ns;
	if (plan->holds || (plan->hold_next_ns && plan->hold_next_ns <= plan->go_ns)) {
		answer->flags |= KVM_TIMEWARP_HOLD;
	} else {
		answer->start_tsc = plan->start_tsc;
		/* where it stood is no news any more */
		m->bits &= ~KVM_TIMEWARP_HELD;
		if (plan->hold_next_ns) {
			answer->next_guest_ns = plan->hold_next_ns + m->shift_ns;
			answer->flags |= KVM_TIMEWARP_HOLD_NEXT;
		} else if (leads && plan->next_guest_ns > plan->go_ns) {
			answer->next_guest_ns = plan->next_guest_ns + m->shift_ns;
		}
	}
	if (leads && plan->next_host_ns)
		answer->next_host_ns = __timewarp_later(plan->next_host_ns,
							view->host_ns + TIMEWARP_MIN_INTERVAL_NS);
	/* who leads looks after it soon, where the policy wants to be asked of what has come by now */
	if (leads && ((plan->next_guest_ns && plan->next_guest_ns <= plan->go_ns) ||
		      (plan->hold_next_ns && plan->hold_next_ns <= plan->go_ns) ||
		      timewarp_group.quits))
		answer->next_host_ns = view->host_ns + TIMEWARP_MIN_INTERVAL_NS;
	barrier();
	m->went = plan->nr;
	if (__timewarp_settled()) {
		__sync_val_compare_and_swap(&plan->phase, TIMEWARP_GOES, TIMEWARP_RUNS);
		/* what has been waited for */
		if (timewarp_group.quits)
			__timewarp_ask_leader();
	}
	return 0;
}

/* A step of the plan that is under way; what is to be done depends on how far it is, not on the event */
__timewarp_once int __timewarp_follow(void)
{
	const struct kvm_timewarp_view *view = &__timewarp_call()->view;
	struct kvm_timewarp_answer *answer = &__timewarp_call()->answer;
	volatile struct timewarp_plan *plan = &timewarp_group.plan;

	/* it has waited for the others for long: one may have been asked while it answered, and not heard */
	if (view->event == KVM_TIMEWARP_HOST_TIME)
		__timewarp_ask_others();
	if (plan->phase == TIMEWARP_STOPS && __timewarp_all_stand() &&
	    __sync_val_compare_and_swap(&plan->phase, TIMEWARP_STOPS, TIMEWARP_TURNS) ==
	    TIMEWARP_STOPS)
		__timewarp_turn();
	if (plan->phase == TIMEWARP_STOPS || plan->phase == TIMEWARP_TURNS)
		__timewarp_stop();
	else if (__timewarp_me()->went != plan->nr)
		__timewarp_go();
	else
		__timewarp_keep();
	if (__timewarp_leader() == timewarp_member && !__timewarp_settled() &&
	    (!answer->next_host_ns || answer->next_host_ns > view->host_ns + __TIMEWARP_RETRY_NS))
		answer->next_host_ns = view->host_ns + __TIMEWARP_RETRY_NS;
	return 0;
}

/* ---- what the leader does */

/* What all members are in sum. A time of the past is what one that has died leaves. */
__timewarp_once int __timewarp_sum(void)
{
	struct kvm_timewarp_view *sum = &__timewarp_call()->sum;
	__u64 halted = ~0ULL, idle = ~0ULL, timer = ~0ULL;
	__u32 bits = KVM_TIMEWARP_HELD | KVM_TIMEWARP_TELLS | KVM_TIMEWARP_ONE_SHOT |
		     KVM_TIMEWARP_PASSED_TIMERS;

	for (__u32 i = 0; i < TIMEWARP_MAX_VMS; i++) {
		volatile struct timewarp_member *m = __timewarp_at(i);

		sum->lost_ticks += m->lost_ticks;
		sum->floors += m->floors;
		if (!__timewarp_lives(i))
			continue;
		sum->nr_vcpus += m->nr_vcpus;
		bits &= m->bits;
		if (m->called_ns + __TIMEWARP_NEWS_NS < sum->host_ns)
			idle = 0;
		idle = __timewarp_earlier(m->idle_ns, idle);
		timer = __timewarp_earlier(m->next_timer_ns, timer);
		sum->late_ns = __timewarp_later(m->late_ns, sum->late_ns);
		sum->starved_ns = __timewarp_later(m->starved_ns, sum->starved_ns);
		halted = __timewarp_earlier(m->halted_ns, halted);
	}
	sum->state = bits;
	sum->idle_ns = idle;
	sum->next_timer_ns = timer;
	sum->halted_ns = halted;
	return 0;
}

__timewarp_once int __timewarp_forget_load(void)
{
	for (__u32 i = 0; i < TIMEWARP_MAX_VMS; i++) {
		volatile struct timewarp_member *m = __timewarp_at(i);

		m->late_ns = 0;
		m->starved_ns = 0;
		m->halted_ns = 0;
	}
	return 0;
}

/* Whether there is news of all members; those of which there is none are asked for it */
__timewarp_once _Bool __timewarp_has_news(__u64 host_ns)
{
	_Bool all = 1;

	for (__u32 i = 0; i < TIMEWARP_MAX_VMS; i++) {
		if (!__timewarp_lives(i) || __timewarp_at(i)->called_ns + __TIMEWARP_NEWS_NS >= host_ns)
			continue;
		all = 0;
		kvm_timewarp_ask(__timewarp_at(i)->id);
	}
	return all;
}

/* As what the policy is to be asked, if it is */
__timewarp_once __u32 __timewarp_event(void)
{
	const struct kvm_timewarp_view *view = &__timewarp_call()->view, *sum = &__timewarp_call()->sum;
	volatile struct timewarp_plan *plan = &timewarp_group.plan;

	if (!timewarp_group.begun)
		return timewarp_group.first;
	if (view->event == KVM_TIMEWARP_PARAMS)
		return KVM_TIMEWARP_PARAMS;
	/* it may come a little early */
	if (plan->next_host_ns && (view->host_ns >= plan->next_host_ns ||
				   (view->event == KVM_TIMEWARP_HOST_TIME &&
				    plan->next_host_ns - view->host_ns < TIMEWARP_MIN_INTERVAL_NS)))
		return KVM_TIMEWARP_HOST_TIME;
	/* and to stand somewhere is over when all do */
	if (plan->hold_next_ns ? sum->state & KVM_TIMEWARP_HELD :
	    plan->next_guest_ns && !plan->holds && (sum->guest_ns >= plan->next_guest_ns ||
						    view->event == KVM_TIMEWARP_GUEST_TIME))
		return KVM_TIMEWARP_GUEST_TIME;
	if (plan->next_late_ns && sum->late_ns >= plan->next_late_ns)
		return KVM_TIMEWARP_LATE;
	if (plan->next_idle_ns && sum->idle_ns >= plan->next_idle_ns)
		return KVM_TIMEWARP_IDLE;
	return 0;
}

/* What the kernel would count against a policy is left to it, without the others doing it too */
__timewarp_once _Bool __timewarp_is_bad(void)
{
	const struct kvm_timewarp_answer *said = &__timewarp_call()->said;
	const struct kvm_timewarp_view *sum = &__timewarp_call()->sum;
	__u64 limit = TIMEWARP_FACTOR_LIMIT;

	return !said->factor_num || !said->factor_den ||
	       kvm_timewarp_mul_div(said->factor_num, 1, said->factor_den) > limit ||
	       kvm_timewarp_mul_div(said->factor_den, 1, said->factor_num) > limit ||
	       said->flags & ~15ULL ||
	       (said->next_host_ns && said->next_host_ns <= sum->host_ns) ||
	       (said->next_guest_ns && said->next_guest_ns <= sum->guest_ns) ||
	       (said->leap_ns > sum->guest_ns &&
		said->leap_ns - sum->guest_ns > TIMEWARP_MAX_LEAP_NS);
}

/* Has all stop, or go on if they stand */
__timewarp_once int __timewarp_begin(void)
{
	const struct kvm_timewarp_view *view = &__timewarp_call()->view;
	volatile struct timewarp_plan *plan = &timewarp_group.plan;
	__u64 ns = __timewarp_callable_ns(view->host_ns) - view->host_ns + __TIMEWARP_STOP_NS;

	plan->stop_ns = view->guest_ns - __timewarp_me()->shift_ns + 1 +
		kvm_timewarp_mul_div(ns, view->factor_num, view->factor_den);
	plan->nr++;
	barrier();
	plan->phase = TIMEWARP_STOPS;
	if (!__timewarp_all_stand())
		__timewarp_ask_others();
	return 0;
}

/* Makes a plan of an answer; whether there is anything to do about it but to ask again */
__timewarp_once _Bool __timewarp_plan(void)
{
	const struct kvm_timewarp_answer *said = &__timewarp_call()->said;
	const struct kvm_timewarp_view *sum = &__timewarp_call()->sum;
	volatile struct timewarp_plan *plan = &timewarp_group.plan;
	__u32 holds = said->flags & KVM_TIMEWARP_HOLD;
	__u64 hold_next = said->flags & KVM_TIMEWARP_HOLD_NEXT ? said->next_guest_ns : 0;
	_Bool stands = sum->state & KVM_TIMEWARP_HELD;
	_Bool moves = said->leap_ns || holds != stands || plan->num != said->factor_num ||
		      plan->den != said->factor_den;
	_Bool news = plan->hold_next_ns != hold_next || plan->next_idle_ns != said->next_idle_ns ||
		     plan->next_late_ns != said->next_late_ns;

	plan->next_host_ns = said->next_host_ns;
	plan->next_guest_ns = said->next_guest_ns;
	plan->next_idle_ns = said->next_idle_ns;
	plan->next_late_ns = said->next_late_ns;
	plan->hold_next_ns = hold_next;
	plan->num = said->factor_num;
	plan->den = said->factor_den;
	plan->leap_ns = said->leap_ns;
	plan->leaps_back = said->leap_ns && said->leap_ns < sum->guest_ns;
	plan->if_idle = !!(said->flags & KVM_TIMEWARP_IF_IDLE);
	plan->past_timers = !!(said->flags & KVM_TIMEWARP_PAST_TIMERS);
	plan->holds = holds;
	if (!moves && news)
		__timewarp_ask_others();
	return moves;
}

/* What the policy is told whatever the others are: of the moment, and of the group's time */
static __always_inline struct kvm_timewarp_view *__timewarp_begin_sum(const struct kvm_timewarp_view *view)
{
	struct kvm_timewarp_view *sum = &__timewarp_call()->sum;

	__builtin_memset(sum, 0, sizeof(*sum));
	sum->id = view->id;
	sum->host_tsc = view->host_tsc;
	sum->host_ns = view->host_ns;
	sum->guest_ns = view->guest_ns - __timewarp_me()->shift_ns;
	sum->factor_num = view->factor_num;
	sum->factor_den = view->factor_den;
	return sum;
}

/* Whether the leader is to ask its policy, and as what; what it is told then */
__timewarp_once __u32 __timewarp_look(void)
{
	const struct kvm_timewarp_view *view = &__timewarp_call()->view;
	struct kvm_timewarp_view *sum = __timewarp_begin_sum(view);
	volatile struct timewarp_plan *plan = &timewarp_group.plan;
	__u32 event;

	__timewarp_sum();
	event = __timewarp_event();
	sum->event = event;
	if (!event && view->event == KVM_TIMEWARP_HOST_TIME && plan->hold_next_ns)
		__timewarp_ask_others();
	if (event == KVM_TIMEWARP_PARAMS || (!event && view->event != KVM_TIMEWARP_IDLE &&
					     view->event != KVM_TIMEWARP_ASKED))
		return event;
	/* A policy that looks at the load, or waits for idleness, is to know of all of them */
	if ((plan->next_idle_ns || plan->next_late_ns) && timewarp_group.polls < __TIMEWARP_POLLS &&
	    !__timewarp_has_news(view->host_ns)) {
		timewarp_group.polls++;
		__timewarp_call()->answer.next_host_ns = view->host_ns + TIMEWARP_MIN_INTERVAL_NS;
		return 0;
	}
	timewarp_group.polls = 0;
	return event;
}

/* The end of a group: all at factor 1, and nobody is asked */
__timewarp_once int __timewarp_quit(void)
{
	struct timewarp_call *call = __timewarp_call();

	__builtin_memset(&call->sum, 0, sizeof(call->sum));
	__builtin_memset(&call->said, 0, sizeof(call->said));
	call->sum.guest_ns = call->view.guest_ns;
	call->said.factor_num = call->said.factor_den = 1;
	__timewarp_sum();
	if (__timewarp_plan())
		__timewarp_begin();
	return __timewarp_follow();
}

/* The first call for a VM. It changes nothing, as there may be a VM among the others that cannot be had. */
__timewarp_once int __timewarp_join(void)
{
	const struct kvm_timewarp_view *view = &__timewarp_call()->view;
	volatile struct timewarp_member *m = __timewarp_me();

	m->id = view->id;
	m->went = timewarp_group.plan.nr;
	__timewarp_record();
	if (!timewarp_group.first) {
		timewarp_group.first = view->event;
		timewarp_group.host_ns = view->host_ns;
		timewarp_group.host_tsc = view->host_tsc;
	}
	if (view->state & KVM_TIMEWARP_HELD)
		__timewarp_call()->answer.flags = KVM_TIMEWARP_HOLD;
	barrier();
	m->state = TIMEWARP_LIVES;
	return 0;
}

/* For the exit program: nobody waits for a VM that is gone, and who is next leads */
__timewarp_once int __timewarp_leave(void)
{
	__timewarp_me()->state = TIMEWARP_GONE;
	return __timewarp_ask_others();
}

/* ---- a call */

#define __TIMEWARP_ASK 1

/* What is asked of the first VM to come: whether the policy would have it. What that answers waits for the others. */
__timewarp_once int __timewarp_look_first(void)
{
	const struct kvm_timewarp_view *view = &__timewarp_call()->view;
	struct kvm_timewarp_answer *said = &__timewarp_call()->said;
	struct kvm_timewarp_view *sum = __timewarp_begin_sum(view);

	sum->event = view->event;
	sum->nr_vcpus = view->nr_vcpus;
	sum->state = view->state;
	sum->next_timer_ns = ~0ULL;
	__builtin_memset(said, 0, sizeof(*said));
	said->factor_num = view->factor_num;
	said->factor_den = view->factor_den;
	return __TIMEWARP_ASK;
}

/* The leader's, while all go by the plan */
__timewarp_once int __timewarp_lead(void)
{
	struct timewarp_call *call = __timewarp_call();

	if (!__timewarp_look()) {
		__u64 soon = call->answer.next_host_ns;

		__timewarp_keep();
		if (soon)
			call->answer.next_host_ns = soon;
		return 0;
	}
	__builtin_memset(&call->said, 0, sizeof(call->said));
	call->said.factor_num = timewarp_group.plan.num;
	call->said.factor_den = timewarp_group.plan.den;
	return __TIMEWARP_ASK;
}

/* What is done at a call: __TIMEWARP_ASK if the policy is to be asked, else what decide() returns */
__timewarp_once int __timewarp_called(void)
{
	const struct kvm_timewarp_view *view = &__timewarp_call()->view;
	_Bool leads;

	if (__timewarp_me()->state != TIMEWARP_LIVES)
		return timewarp_group.first ? __timewarp_join() : __timewarp_look_first();
	__timewarp_record();
	if (__timewarp_waits()) {
		kvm_timewarp_ask(view->id);
		return -EAGAIN;
	}
	leads = __timewarp_leader() == timewarp_member;
	if (!timewarp_group.ready || !__timewarp_settled())
		/* user space tries again */
		return view->event == KVM_TIMEWARP_PARAMS ? -EAGAIN : __timewarp_follow();
	if (!leads) {
		__timewarp_keep();
		__timewarp_ask_leader();
		return view->event == KVM_TIMEWARP_PARAMS ? -EAGAIN : 0;
	}
	return timewarp_group.quits ? __timewarp_quit() : __timewarp_lead();
}

/* The policy has been asked, and has returned this: what decide() returns */
__timewarp_once int __timewarp_heard(int r)
{
	struct kvm_timewarp_answer *answer = &__timewarp_call()->answer;
	_Bool first = !timewarp_group.begun, bad = __timewarp_is_bad();

	if (!r && first && bad)
		r = -ERANGE;
	if (__timewarp_me()->state != TIMEWARP_LIVES)
		return r ? r : __timewarp_join();
	__timewarp_forget_load();
	if (r) {
		if (first)
			timewarp_group.refused = r;
		return r;
	}
	timewarp_group.begun = 1;
	if (bad) {
		__timewarp_keep();
		if (!answer->next_host_ns)
			answer->next_host_ns = __timewarp_call()->view.host_ns + __TIMEWARP_RETRY_NS;
		answer->factor_num = 0;
		return 0;
	}
	if (__timewarp_plan())
		__timewarp_begin();
	return __timewarp_follow();
}

static __always_inline void __timewarp_take(const struct kvm_timewarp_view *from, const struct kvm_timewarp_answer *answer)
{
	struct kvm_timewarp_answer *to_answer = &__timewarp_call()->answer;
	struct kvm_timewarp_view *to = &__timewarp_call()->view;

	to->event = from->event;
	to->id = from->id;
	to->nr_vcpus = from->nr_vcpus;
	to->state = from->state;
	to->host_tsc = from->host_tsc;
	to->host_ns = from->host_ns;
	to->guest_ns = from->guest_ns;
	to->factor_num = from->factor_num;
	to->factor_den = from->factor_den;
	to->idle_ns = from->idle_ns;
	to->next_timer_ns = from->next_timer_ns;
	to->lost_ticks = from->lost_ticks;
	to->floors = from->floors;
	to->late_ns = from->late_ns;
	to->starved_ns = from->starved_ns;
	to->halted_ns = from->halted_ns;
	__builtin_memset(to_answer, 0, sizeof(*to_answer));
	to_answer->factor_num = answer->factor_num;
	to_answer->factor_den = answer->factor_den;
}

static __always_inline void __timewarp_give(struct kvm_timewarp_answer *to)
{
	const struct kvm_timewarp_answer *from = &__timewarp_call()->answer;

	to->factor_num = from->factor_num;
	to->factor_den = from->factor_den;
	to->next_host_ns = from->next_host_ns;
	to->next_guest_ns = from->next_guest_ns;
	to->next_idle_ns = from->next_idle_ns;
	to->next_late_ns = from->next_late_ns;
	to->leap_ns = from->leap_ns;
	to->start_tsc = from->start_tsc;
	to->flags = from->flags;
}

/* The decision function of a member; a macro, as it asks the policy */
#define __TIMEWARP_GROUP_DECIDE(fn)							\
	__timewarp_once int fn##_asked(void)						\
	{										\
		return fn##_body(&__timewarp_call()->sum, &__timewarp_call()->said);	\
	}										\
	static __always_inline int fn##_member(const struct kvm_timewarp_view *view,	\
					       struct kvm_timewarp_answer *answer)	\
	{										\
		int r;									\
											\
		__timewarp_take(view, answer);						\
		r = __timewarp_called();						\
		if (r == __TIMEWARP_ASK)						\
			r = __timewarp_heard(fn##_asked());				\
		__timewarp_give(answer);						\
		return r;								\
	}

#endif /* TIMEWARP_GROUP_BPF_H */
