// SPDX-License-Identifier: GPL-2.0
/*
 * backoff - the highest factor that the guest bears
 *
 *	twctl attach --vm my-guest --factor max
 *	twctl attach --vm my-guest --policy backoff --factor 200 --param margin=20
 *
 * A guest at factor F sees a host that is F times as slow. What it does not bear is a CPU that does
 * nothing for 20 s of its time (soft lockup) or 21 s (RCU stall), and ticks that take all of its CPUs'
 * time, and programs that do not get their turn: a service that is to say each 4 s that it lives (WatchdogSec=4) is
 * killed if it waits for 2. So this policy looks, each interval or sooner, at five burdens, each as a share of what is
 * allowed:
 *
 *	late	how late the latest timer was, in guest time: of min(lockup, stall) / margin
 *	starved	how long a vCPU was ready and did not run, times F: of the same; intervals in which it
 *		hardly ran at all add up
 *	lost	ticks lost in a guest second: of the parameter lost
 *	floors	timers too close for the host, in a host second: of the parameter floors. The guest that
 *		spends all of its time on ticks has these: by when one is done, the next is due
 *	turn	guest time since the busiest vCPU was last idle: of the parameter turn. Until it is, some
 *		program may be waiting; once it is, each has had its turn
 *
 * Of turn: the factor is halved, until it is idle again. A guest that is not, down to a sixteenth, works by itself and
 * not for its ticks: it gets back the factor that it had, and is not asked for turns until it has been idle.
 *
 * Above 1 the factor goes down at once: by a fifth, or by what is too late or starved if that is more,
 * though by no more than three quarters. Each quarter of a host second and guest second, whichever is
 * longer, it goes up if all were below 1/2: by a quarter while no factor was too high, or if the busiest
 * vCPU was idle for a fifth of that time; else by a twentieth. Between 1/2 and 1 it stays.
 *
 * A factor that was too high is remembered as the ceiling: up to 4/5 of it the factor goes as it did
 * before, and there it stays for the time called patience; then it tries again. If that fails, it waits
 * twice as long before the next try, up to 64 times; if it comes to a quarter above, patience is as at
 * first. So a steady guest sees a steady factor, and ever rarer tries.
 *
 * A guest that idles without exits (idle=poll, or -overcommit cpu-pm=on) always looks busy, and timers
 * other than the LAPIC's (PIT, Hyper-V, Xen) are not seen late.
 */
#include "timewarp.bpf.h"

TIMEWARP_REFUSAL(UPSIDE_DOWN, "'least' is above 'factor'");
TIMEWARP_SUMMARY("the highest factor that the guest bears");

TIMEWARP_PARAM_FACTOR(factor, 10000, 1, "never go above this");
TIMEWARP_PARAM_FACTOR(least, 1, 1, "never go below this");
TIMEWARP_PARAM_FACTOR(start, 1, 1, "where to start");
TIMEWARP_PARAM(__u64, lockup, 20000000000ULL, 1000000ULL, 3600000000000ULL, "ns",
	       "guest time after which its soft-lockup watchdog speaks");
TIMEWARP_PARAM(__u64, stall, 21000000000ULL, 1000000ULL, 3600000000000ULL, "ns",
	       "guest time after which it calls an RCU grace period stalled");
TIMEWARP_PARAM(__u64, turn, 2000000000ULL, 0ULL, 3600000000000ULL, "ns",
	       "guest time for which a program may wait for its turn, such as half of a WatchdogSec=; 0: any");
TIMEWARP_PARAM(__u64, margin, 10, 1, 1000, "", "stay this many times below the two");
TIMEWARP_PARAM(__u64, lost, 10, 1, 100000, "/s", "ticks that may be lost in a guest second");
TIMEWARP_PARAM(__u64, floors, 10000, 1, 1000000, "/s", "timers too close in a host second");
TIMEWARP_PARAM(__u64, interval, 20000000ULL, 2000000ULL, 10000000000ULL, "ns",
	       "host time between two looks, at most");
TIMEWARP_PARAM(__u64, patience, 10000000000ULL, 100000000ULL, 3600000000000ULL, "ns",
	       "host time before the first try to pass a factor that was too high");

TIMEWARP_COUNTER(raised, "", "how often the factor went up");
TIMEWARP_COUNTER(lowered, "", "how often it went down");
TIMEWARP_COUNTER(for_late, "", "of these: for timers that were late");
TIMEWARP_COUNTER(for_starved, "", "of these: for a vCPU that did not get to run");
TIMEWARP_COUNTER(for_lost, "", "of these: for lost ticks");
TIMEWARP_COUNTER(for_floors, "", "of these: for timers too close");
TIMEWARP_COUNTER(for_turn, "", "of these: for programs that did not get their turn");
TIMEWARP_COUNTER(tries, "", "how often it tried to pass a factor that had been too high");
TIMEWARP_COUNTER(ceiling_ppm, "", "the factor that was too high last, in millionths; 0 for none");
TIMEWARP_COUNTER(late_max_ns, "ns", "how late the latest timer was, in guest time");
TIMEWARP_EXIT_RECORD(backoff_exit)

#define ONE 1000000ULL		/* factors are in millionths */
#define FULL 1000ULL		/* burdens are in thousandths of what is allowed */
#define MOST_WAIT 64
#define COUNT_NS 250000000ULL	/* of the host, and a guest second, are looked at as a whole */

/* A guest that at such a part of a factor is not idle either works by itself */
#define WORKS_PART 16

enum cause { LATE, STARVED, LOST, FLOORS, TURN };

static volatile __u64 now_at;		/* the factor asked for last */
static volatile __u64 was_at;		/* and the one before */
static volatile __u64 hardware;		/* what the CPU can, once that is known */
static volatile __u64 try_at, wait;	/* host time of the next try; what to wait after it */
static volatile __u64 ceiling;
/* since the factor was changed, or it was last asked whether to go up */
static volatile __u64 from_host, from_guest, from_lost, from_floors, idle, worst;
static volatile __u64 last_host, starving;
/* when it was last idle, or got a lower factor to be so, in guest time; and that it works by itself */
static volatile __u64 rested_guest;
static volatile _Bool works;
/* what was before the factor was halved for turns; before_at is 0 when it was not */
static volatile __u64 before_at, before_ceiling, before_wait;

static __always_inline __u64 least_of(__u64 a, __u64 b)
{
	return a < b ? a : b;
}

static __always_inline __u64 most_of(__u64 a, __u64 b)
{
	return a > b ? a : b;
}

static __always_inline __u64 millionths(__u64 num, __u64 den)
{
	return kvm_timewarp_mul_div(num, ONE, den);
}

static __always_inline __u64 highest(void)
{
	__u64 max = millionths(factor.num, factor.den);

	return hardware ? least_of(max, hardware) : max;
}

static __always_inline __u64 within(__u64 f)
{
	return least_of(most_of(f, millionths(least.num, least.den)), highest());
}

/* For how long, in guest ns, a CPU of the guest may seem dead */
static __always_inline __u64 bearable(void)
{
	return least_of(lockup, stall) / (margin ? margin : 1) + 1;
}

/* Twice, in host ns, before a CPU that does not run at all becomes a burden */
static __always_inline __u64 look_again(void)
{
	__u64 soon = kvm_timewarp_mul_div(bearable() / 2, ONE, now_at);

	return most_of(least_of(soon, interval), TIMEWARP_MIN_INTERVAL_NS * 2);
}

static __always_inline void count_anew(const struct kvm_timewarp_view *view)
{
	from_host = view->host_ns;
	from_guest = view->guest_ns;
	from_lost = view->lost_ticks;
	from_floors = view->floors;
	idle = 0;
	worst = 0;
}

static __always_inline void begin(const struct kvm_timewarp_view *view)
{
	__u64 force = millionths(view->factor_num, view->factor_den);

	if (view->event == KVM_TIMEWARP_ATTACH)
		now_at = millionths(start.num, start.den);
	else if (view->event == KVM_TIMEWARP_SWAP)
		now_at = force;
	now_at = within(now_at);
	was_at = now_at;
	ceiling = 0;
	ceiling_ppm = 0;
	wait = patience;
	starving = 0;
	rested_guest = view->guest_ns;
	works = 0;
	before_at = 0;
	count_anew(view);
}

/* The kernel clamps what the CPU cannot do, and takes it amiss if asked again */
static __always_inline void learn_limit(const struct kvm_timewarp_view *view)
{
	__u64 force = millionths(view->factor_num, view->factor_den);

	if (force + now_at / 1000 + 1 >= now_at)
		return;
	/* or the vCPUs could not be held, and all is as it was */
	if (force > was_at + was_at / 1000 + 1)
		hardware = force;
	now_at = force;
}

static __always_inline __u64 burden_of(__u64 is, __u64 allowed)
{
	return least_of(kvm_timewarp_mul_div(is, FULL, allowed), 1000 * FULL);
}

/* The same of a number in a span, where so many are allowed in a second */
static __always_inline __u64 share(__u64 number, __u64 span, __u64 allowed)
{
	return burden_of(kvm_timewarp_mul_div(number, TIMEWARP_NS_PER_SEC * FULL, span),
			 allowed * FULL);
}

static __always_inline void lower(const struct kvm_timewarp_view *view, __u64 burden,
				  enum cause cause)
{
	__u64 f = now_at, to = kvm_timewarp_mul_div(f, FULL, burden);

	to = within(least_of(most_of(to, f / 4), f / 5 * 4));
	if (to >= f)
		return;
	/* a try that failed, or else the guest bears less than it did */
	if (ceiling && f > ceiling / 5 * 4)
		wait = least_of(wait * 2, patience * MOST_WAIT);
	else
		wait = patience;
	ceiling = f;
	ceiling_ppm = f;
	try_at = view->host_ns + wait;
	was_at = f;
	now_at = to;
	lowered++;
	if (cause == LATE)
		for_late++;
	else if (cause == STARVED)
		for_starved++;
	else if (cause == LOST)
		for_lost++;
	else if (cause == FLOORS)
		for_floors++;
	else
		for_turn++;
	count_anew(view);
}

/* What share of turn has gone by without a rest; a guest that works by itself is not asked */
static __always_inline __u64 unrested(const struct kvm_timewarp_view *view)
{
	if (view->halted_ns || view->idle_ns || view->guest_ns < rested_guest) {
		rested_guest = view->guest_ns;
		works = 0;
		before_at = 0;
	}
	return turn && !works ? burden_of(view->guest_ns - rested_guest, turn) : 0;
}

/* It was not idle for too long: is that the factor, or what it does? */
static __always_inline void give_turns(const struct kvm_timewarp_view *view)
{
	__u64 f = now_at;

	rested_guest = view->guest_ns;
	if (!before_at) {
		before_at = f;
		before_ceiling = ceiling;
		before_wait = wait;
	}
	if (f > before_at / WORKS_PART)
		lower(view, 2 * FULL, TURN);
	if (now_at < f)
		return;
	works = 1;
	ceiling = ceiling_ppm = before_ceiling;
	wait = before_wait;
	try_at = view->host_ns + wait;
	if (before_at > now_at) {
		was_at = now_at;
		now_at = within(before_at);
		raised++;
		tries++;
	}
	before_at = 0;
	count_anew(view);
}

static __always_inline void raise(const struct kvm_timewarp_view *view)
{
	_Bool big = !ceiling || idle >= (view->host_ns - from_host) / 5;
	__u64 f = now_at, to = f + (big ? f / 4 : f / 20);
	__u64 top = ceiling / 5 * 4;

	if (ceiling && f > ceiling / 4 * 5)
		ceiling = 0;
	if (ceiling && to > top && view->host_ns < try_at)
		to = top;
	to = within(to);
	/* a change is not for nothing: it holds the vCPUs */
	if (to <= f + f / 100)
		return;
	if (ceiling && f <= top && to > top)
		tries++;
	was_at = f;
	now_at = to;
	raised++;
}

static __always_inline void look_at_counts(const struct kvm_timewarp_view *view, __u64 burden)
{
	__u64 host = most_of(view->host_ns - from_host, COUNT_NS);
	__u64 guest = most_of(view->guest_ns - from_guest, TIMEWARP_NS_PER_SEC);
	__u64 of_lost = share(view->lost_ticks - from_lost, guest, lost);
	__u64 of_floors = share(view->floors - from_floors, host, floors);

	if (of_lost > FULL && of_lost >= of_floors) {
		lower(view, FULL, LOST);
	} else if (of_floors > FULL) {
		lower(view, FULL, FLOORS);
	} else if (view->host_ns - from_host >= COUNT_NS &&
		   view->guest_ns - from_guest >= TIMEWARP_NS_PER_SEC) {
		/* what was seen was all seen at this factor */
		if (most_of(most_of(of_lost, of_floors), burden) < FULL / 2)
			raise(view);
		count_anew(view);
	}
}

static __always_inline void look(const struct kvm_timewarp_view *view)
{
	__u64 allowed = bearable();
	__u64 span = view->host_ns - last_host;
	__u64 of_late, of_starved, of_turn;

	learn_limit(view);
	late_max_ns = most_of(late_max_ns, view->late_ns);
	starving = view->starved_ns + (view->starved_ns >= span / 10 * 9 ? starving : 0);
	idle += view->halted_ns;
	of_late = burden_of(view->late_ns, allowed);
	of_starved = burden_of(kvm_timewarp_mul_div(starving, now_at, ONE), allowed);
	of_turn = unrested(view);
	worst = most_of(worst, most_of(of_turn, most_of(of_late, of_starved)));
	if (of_late > FULL && of_late >= of_starved)
		lower(view, of_late, LATE);
	else if (of_starved > FULL)
		lower(view, of_starved, STARVED);
	else if (of_turn > FULL)
		give_turns(view);
	else
		look_at_counts(view, worst);
}

TIMEWARP_DECIDE(backoff_decide, view, answer)
{
	if (view->event <= KVM_TIMEWARP_PARAMS) {
		if (millionths(least.num, least.den) > millionths(factor.num, factor.den))
			return -UPSIDE_DOWN;
		begin(view);
	} else {
		look(view);
	}
	last_host = view->host_ns;
	answer->factor_num = now_at;
	answer->factor_den = ONE;
	answer->next_host_ns = view->host_ns + look_again();
	answer->next_late_ns = bearable();
	return 0;
}

TIMEWARP_OPS(backoff,
	     .decide = (void *)backoff_decide,
	     .exit = (void *)backoff_exit);
