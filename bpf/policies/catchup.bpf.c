// SPDX-License-Identifier: GPL-2.0
/*
 * catchup - a guest that fell behind host time, or ran ahead of it, comes level with it again
 *
 *	twctl swap   --vm my-guest --policy catchup
 *	twctl attach --vm my-guest --policy catchup --param behind=20s --param fast=1.1 --exit-when-done
 *
 * Swapped in for another policy, it takes the guest to be off by what its time lacks to the host's, over
 * all attachments that it has had. At an attach it takes it to be level, so "behind" (or "ahead") has to say
 * how far off it is. Modes, by the names that QEMU and libvirt have for lost ticks:
 *
 *	0 delay		the guest stays as far off as it is, at factor 1
 *	1 catchup	it goes at "fast" while it is behind, at "slow" while it is ahead, until it is level
 *	2 merge		what it lacks passes in some hundredths of a second, its ticks merged into few;
 *			ahead, it goes at "slow"
 *	3 discard	what it lacks is given up: the guest is taken to be level
 *
 * Off by no more than "threshold" it is left alone; further behind than "give_up" too (60 s, as VMware
 * has it), which is counted. It ends level within "near": each step aims at level, and it is done when the
 * guest is found to be level at factor 1.
 */
#include "timewarp.bpf.h"

TIMEWARP_REFUSAL(NOT_FAST, "'fast' is not above 1");
TIMEWARP_REFUSAL(NOT_SLOW, "'slow' is not below 1");
TIMEWARP_SUMMARY("a guest that fell behind host time, or ran ahead, comes level with it again");

TIMEWARP_PARAM(__u32, mode, 1, 0, 3, "", "0 delay, 1 catchup, 2 merge, 3 discard");
TIMEWARP_PARAM(__u64, behind, 0, 0, 31536000000000000ULL, "ns", "beside what is known, it is so far behind");
TIMEWARP_PARAM(__u64, ahead, 0, 0, 31536000000000000ULL, "ns", "or so far ahead");
TIMEWARP_PARAM_FACTOR(fast, 2, 1, "while behind; above 1");
TIMEWARP_PARAM_FACTOR(slow, 1, 2, "while ahead; below 1");
TIMEWARP_PARAM(__u64, threshold, 10000000ULL, 0, 3600000000000ULL, "ns", "leave less than that alone");
TIMEWARP_PARAM(__u64, near, 1000000ULL, 1000ULL, 3600000000000ULL, "ns", "is level");
TIMEWARP_PARAM(__u64, give_up, 60000000000ULL, 0, 31536000000000000ULL, "ns", "further behind: let it be");

TIMEWARP_COUNTER(level, "", "1 when there is nothing left to do");
TIMEWARP_COUNTER(behind_ns, "ns", "how far behind the guest was when last looked");
TIMEWARP_COUNTER(ahead_ns, "ns", "or ahead");
TIMEWARP_COUNTER(gave_up, "", "how often it was too far behind");
TIMEWARP_COUNTER(given_up_ns, "ns", "what was given up, by that or by discard");
TIMEWARP_EVENTS();
TIMEWARP_EXIT_RECORD(catchup_exit)

#define MERGE_NS 10000000ULL	/* what merge takes, for all but a 64th of the rest */
#define LEAST_NS (2 * TIMEWARP_MIN_INTERVAL_NS)	/* a change takes some of it */
#define MOST_LEAST_NS 1000000000ULL
#define MOST (1ULL << 62)

enum { DELAY, CATCHUP, MERGE, DISCARD };

/* guest_ns is to be host_ns + lead */
static volatile __s64 lead;
static volatile _Bool working;
/* The least that a step takes: longer each time that it ended too late for the guest to be level */
static volatile __u64 least;

static __always_inline _Bool unusable(void)
{
	return mode > DISCARD || !fast.num || !fast.den || !slow.num || !slow.den;
}

static __always_inline void settle(const struct kvm_timewarp_view *view,
				   struct kvm_timewarp_answer *answer)
{
	answer->factor_num = 1;
	answer->factor_den = 1;
	working = 0;
	if (!level) {
		level = 1;
		timewarp_tell(view, TIMEWARP_EVENT_DONE, 0);
	}
}

/*
 * On a busy host it takes milliseconds until factor 1 is in force: the guest is level
 * when it is found level at that factor.
 */
static __always_inline void stop_and_look(const struct kvm_timewarp_view *view,
					  struct kvm_timewarp_answer *answer)
{
	answer->factor_num = 1;
	answer->factor_den = 1;
	answer->next_host_ns = view->host_ns + LEAST_NS;
}

static __always_inline void go(const struct kvm_timewarp_view *view,
			       struct kvm_timewarp_answer *answer, __u64 num, __u64 den, __u64 off)
{
	__u64 per = num > den ? num - den : den - num;
	/* the host time in which a guest at num/den makes up for off */
	__u64 span = kvm_timewarp_mul_div(off, den, per);

	if (span < least) {
		/* too little for that factor: a milder one */
		span = least;
		if (least < MOST_LEAST_NS)
			least *= 2;
		num = num > den ? span + off :
		      off < span - span / 5000 ? span - off : span / 5000;
		den = span;
	}
	working = 1;
	answer->factor_num = num;
	answer->factor_den = den;
	answer->next_host_ns = view->host_ns + (span < MOST ? span : MOST);
}

static __always_inline void merge(const struct kvm_timewarp_view *view,
				  struct kvm_timewarp_answer *answer, __u64 off)
{
	__u64 span = off / (TIMEWARP_FACTOR_LIMIT / 2);

	if (span < MERGE_NS)
		span = MERGE_NS;
	go(view, answer, span + off, span, off);
}

static __always_inline void come_level(const struct kvm_timewarp_view *view,
				       struct kvm_timewarp_answer *answer)
{
	__s64 lacks = view->host_ns + lead - view->guest_ns;
	__u64 off = lacks < 0 ? -lacks : lacks;

	behind_ns = lacks > 0 ? off : 0;
	ahead_ns = lacks < 0 ? off : 0;
	if (lacks > 0 && (mode == DISCARD || off > give_up)) {
		gave_up += mode != DISCARD;
		given_up_ns += off;
		lead -= lacks;
		settle(view, answer);
		return;
	}
	if (mode == DELAY || mode == DISCARD || off <= (working ? near : threshold) || off <= near) {
		if (working && view->factor_num != view->factor_den)
			stop_and_look(view, answer);
		else
			settle(view, answer);
		return;
	}
	level = 0;
	if (lacks < 0)
		go(view, answer, slow.num, slow.den, off);
	else if (mode == MERGE)
		/* a call comes late by a part of that: aim short, and again */
		merge(view, answer, off - off / 64);
	else
		go(view, answer, fast.num, fast.den, off);
}

TIMEWARP_DECIDE(catchup_decide, view, answer)
{
	if (unusable())
		return -EINVAL;
	if (fast.num <= fast.den)
		return -NOT_FAST;
	if (slow.num >= slow.den)
		return -NOT_SLOW;
	if (view->event == KVM_TIMEWARP_ATTACH || view->event == KVM_TIMEWARP_SWAP) {
		/* at an attach the guest is where it should be, whatever it was put ahead by before */
		lead = behind - ahead;
		if (view->event == KVM_TIMEWARP_ATTACH)
			lead += view->guest_ns - view->host_ns;
		level = 0;
	}
	if (view->event <= KVM_TIMEWARP_PARAMS) {
		working = 0;
		least = LEAST_NS;
	}
	come_level(view, answer);
	return 0;
}

TIMEWARP_OPS(catchup,
	     .decide = (void *)catchup_decide,
	     .exit = (void *)catchup_exit);
