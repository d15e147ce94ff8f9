// SPDX-License-Identifier: GPL-2.0
/*
 * chaos - a bad clock, to see what the guest does about it
 *
 *	twctl attach --vm my-guest --policy chaos --chaos --param ppm=300 --param jitter=50
 *	twctl attach --vm my-guest --policy chaos --chaos --param stalls=5 --param stall=200ms
 *	twctl attach --vm my-guest --policy chaos --chaos --param away=1h
 *
 * The guest's clocks are bad together, for it is their timeline that is bad. Once a "step" of host
 * time its factor is chosen anew, as 1 plus:
 *
 *	drift	as a quartz that gets warm and cold: by up to "ppm", fast and slow, once in a "period"
 *	jitter	at random up to "jitter" ppm to either side
 *	away	a clock that runs away: what it is fast by doubles each "away", from "ppm" on, up to "fastest"
 *
 * Of a thousand steps, "backs" begin with a jump backwards by "back", and "skips" with one forward by
 * "skip", in which ticks are lost. "stalls" are stalls: for the span "stall" of host time the guest gets
 * next to none (1/10000); then it rushes at "fastest" until it has back what it lost. 0 switches each off.
 *
 * The counter off_ns is the guest's time minus the host's, since the attach.
 */
#include "timewarp.bpf.h"

TIMEWARP_REFUSAL(TOO_MUCH, "'ppm' and 'jitter' are more than 750000 together");
TIMEWARP_REFUSAL(NOT_FAST, "'fastest' is not 2 to 10000");
TIMEWARP_CHAOS_SUMMARY("a bad clock: drift, jitter, stalls and rushes, or one that runs away");

TIMEWARP_PARAM(__u64, ppm, 100, 0, 500000, "ppm", "drift at the worst");
TIMEWARP_PARAM(__u64, period, 600000000000ULL, 1000000000ULL, 86400000000000ULL, "ns", "of the drift");
TIMEWARP_PARAM(__u64, jitter, 10, 0, 250000, "ppm", "random, at each step");
TIMEWARP_PARAM(__u64, step, 100000000ULL, 2000000ULL, 60000000000ULL, "ns", "host time between two factors");
TIMEWARP_PARAM(__u64, stalls, 0, 0, 1000, "", "of a thousand steps");
TIMEWARP_PARAM(__u64, stall, 100000000ULL, 2000000ULL, 10000000000ULL, "ns", "host time that one takes");
TIMEWARP_PARAM(__u64, backs, 0, 0, 1000, "", "of a thousand steps");
TIMEWARP_PARAM(__u64, back, 1000000ULL, 1, 60000000000ULL, "ns", "guest time by which one goes back");
TIMEWARP_PARAM(__u64, skips, 0, 0, 1000, "", "of a thousand steps");
TIMEWARP_PARAM(__u64, skip, 20000000ULL, 1, 60000000000ULL, "ns", "guest time that one leaves out");
TIMEWARP_PARAM(__u64, away, 0, 0, 86400000000000ULL, "ns", "host time in which a clock that runs away doubles");
TIMEWARP_PARAM_FACTOR(fastest, 10, 1, "of a rush, and of a clock that runs away; 2 to 10000");

TIMEWARP_COUNTER(steps, "", "factors chosen");
TIMEWARP_COUNTER(stalled, "", "stalls");
TIMEWARP_COUNTER(went_back, "", "jumps backwards");
TIMEWARP_COUNTER(skipped, "", "jumps forward");
TIMEWARP_COUNTER_SIGNED(off_ppb, "ppb", "how far off the clock is now: fast, or below 0 slow");
TIMEWARP_COUNTER_SIGNED(off_ns, "ns", "guest time minus host time since the attach");
TIMEWARP_EXIT_RECORD(chaos_exit)

#define BILLION 1000000000ULL
#define LEAST_NS (2 * TIMEWARP_MIN_INTERVAL_NS)	/* a change takes some of it */

static volatile __u64 start, lead;
static volatile __u64 before;	/* off_ns as the stall began that is now under way */
static volatile _Bool stalling;

/* From 0 to BILLION and back in the course of a period */
static __always_inline __u64 triangle(__u64 x)
{
	__u64 p = kvm_timewarp_mul_div(x % period, 2 * BILLION, period);

	return p <= BILLION ? p : 2 * BILLION - p;
}

static __always_inline __u64 top_ppb(void)
{
	return kvm_timewarp_mul_div(BILLION, fastest.num, fastest.den);
}

/* The factor in billionths */
static __always_inline __u64 drifting(__u64 x)
{
	__u64 worst = ppm * 1000, noise = jitter * 1000;
	__u64 rate = BILLION - worst + kvm_timewarp_mul_div(2 * worst, triangle(x), BILLION);

	if (noise)
		rate += bpf_get_prandom_u32() % (2 * noise + 1) - noise;
	return rate;
}

static __always_inline __u64 running_away(__u64 x)
{
	__u64 doublings = x / away, extra = ppm ? ppm * 1000 : 1000;
	__u64 part = kvm_timewarp_mul_div(x % away, BILLION, away);
	__u64 top = top_ppb() - BILLION;

	/* between two doublings on a straight line */
	if (doublings > 40 || extra > top >> doublings)
		return top + BILLION;
	extra <<= doublings;
	extra += kvm_timewarp_mul_div(extra, part, BILLION);
	return BILLION + (extra < top ? extra : top);
}

static __always_inline __u64 at_random(__u64 x)
{
	if (stalls && bpf_get_prandom_u32() % 1000 < stalls) {
		stalled++;
		stalling = 1;
		before = off_ns;
		return BILLION / TIMEWARP_FACTOR_LIMIT;
	}
	return away ? running_away(x) : drifting(x);
}

static __always_inline void jump(const struct kvm_timewarp_view *view,
				 struct kvm_timewarp_answer *answer)
{
	if (backs && bpf_get_prandom_u32() % 1000 < backs && view->guest_ns > back) {
		answer->leap_ns = view->guest_ns - back;
		went_back++;
	} else if (skips && bpf_get_prandom_u32() % 1000 < skips) {
		answer->leap_ns = view->guest_ns + skip;
		skipped++;
	}
}

static __always_inline _Bool unusable(void)
{
	return !fastest.num || !fastest.den || !period || step < LEAST_NS || stall < LEAST_NS;
}

TIMEWARP_DECIDE(chaos_decide, view, answer)
{
	__u64 rate, span = step, lost;
	_Bool back = stalling && view->event > KVM_TIMEWARP_PARAMS;

	if (unusable())
		return -ERANGE;
	if (ppm * 1000 + jitter * 1000 > BILLION / 4 * 3)
		return -TOO_MUCH;
	if (top_ppb() < 2 * BILLION || top_ppb() > TIMEWARP_FACTOR_LIMIT * BILLION)
		return -NOT_FAST;
	if (view->event == KVM_TIMEWARP_ATTACH || view->event == KVM_TIMEWARP_SWAP) {
		start = view->host_ns;
		lead = view->guest_ns - view->host_ns;
	}
	off_ns = view->guest_ns - view->host_ns - lead;
	stalling = 0;
	lost = before - off_ns;
	if (back && lost >> 63 == 0) {
		/* what the stall took comes back */
		rate = top_ppb();
		span = kvm_timewarp_mul_div(lost, BILLION, rate - BILLION);
		if (span < LEAST_NS) {
			span = LEAST_NS;
			rate = BILLION + kvm_timewarp_mul_div(lost, BILLION, span);
		}
	} else {
		rate = at_random(view->host_ns - start);
		if (stalling)
			span = stall;
		else
			jump(view, answer);
	}
	steps++;
	off_ppb = rate - BILLION;
	answer->factor_num = rate;
	answer->factor_den = BILLION;
	answer->next_host_ns = view->host_ns + span;
	return 0;
}

TIMEWARP_OPS(chaos,
	     .flags = KVM_TIMEWARP_F_BACKWARD,
	     .decide = (void *)chaos_decide,
	     .exit = (void *)chaos_exit);
