// SPDX-License-Identifier: GPL-2.0
/*
 * fuzz - answers anything, each millisecond: factors, leaps, holds, stops, calls when idle or late; what is
 * allowed most of the time, and what is not now and then
 */
#include "timewarp.bpf.h"

char LICENSE[] SEC("license") = "GPL";

TIMEWARP_PARAM(__u64, seed, 1, 0, 18446744073709551615ULL, "", "where the random numbers start");
TIMEWARP_PARAM(__u64, rude, 64, 1, 1000000, "", "one answer in so many is one that is not allowed");

TIMEWARP_EXIT_RECORD(fuzz_exit)

static __always_inline __u64 next(void)
{
	__u64 z = (seed += 0x9e3779b97f4a7c15ULL);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static __always_inline __u64 below(__u64 n)
{
	return next() % n;
}

static __always_inline void factor(struct kvm_timewarp_answer *answer)
{
	__u64 f = below(12);

	answer->factor_den = 1;
	if (f == 0)
		answer->factor_num = 10000;
	else if (f == 1)
		answer->factor_num = 1, answer->factor_den = 10000;
	else if (f == 2)
		answer->factor_num = 1 + below(1000000), answer->factor_den = 1 + below(1000000);
	else if (f < 6)
		answer->factor_num = 1 + below(100);
	else if (f < 8)
		answer->factor_num = 1, answer->factor_den = 1 + below(100);
	else
		answer->factor_num = 1;
}

static __always_inline void leap(const struct kvm_timewarp_view *view, struct kvm_timewarp_answer *answer)
{
	__u64 far = below(4);

	answer->leap_ns = view->guest_ns + (far == 0 ? below(1000) : far == 1 ? below(1000000) :
					far == 2 ? below(10000000000ULL) : below(TIMEWARP_MAX_LEAP_NS));
	if (below(2))
		answer->flags |= KVM_TIMEWARP_PAST_TIMERS;
	if (below(2)) {
		answer->flags |= KVM_TIMEWARP_IF_IDLE;
		if (view->next_timer_ns != ~0ULL && view->next_timer_ns > view->guest_ns &&
		    view->next_timer_ns - view->guest_ns < TIMEWARP_MAX_LEAP_NS)
			answer->leap_ns = view->next_timer_ns;
	}
}

static __always_inline void rudeness(const struct kvm_timewarp_view *view, struct kvm_timewarp_answer *answer)
{
	switch (below(8)) {
	case 0: answer->factor_num = 0; break;
	case 1: answer->factor_den = 0; break;
	case 2: answer->factor_num = next(); answer->factor_den = next(); break;
	case 3: answer->leap_ns = next(); break;
	case 4: answer->flags = next(); break;
	case 5: answer->next_host_ns = below(view->host_ns); break;
	case 6: answer->start_tsc = next(); break;
	default: answer->next_guest_ns = next();
	}
}

TIMEWARP_DECIDE(fuzz_decide, view, answer)
{
	answer->next_host_ns = view->host_ns + TIMEWARP_MIN_INTERVAL_NS + (below(4) ? 0 : below(20000000));
	factor(answer);
	if (!below(4))
		leap(view, answer);
	if (!below(6))
		answer->flags |= KVM_TIMEWARP_HOLD;
	if (!below(3)) {
		answer->next_guest_ns = view->guest_ns + 1 + (below(2) ? below(300000) : below(50000000));
		if (below(4) && !(answer->flags & KVM_TIMEWARP_HOLD))
			answer->flags |= KVM_TIMEWARP_HOLD_NEXT;
	}
	if (!below(3))
		answer->next_idle_ns = TIMEWARP_MIN_IDLE_NS + below(below(2) ? 200000 : 5000000);
	if (!below(3))
		answer->next_late_ns = 1 + below(1000000);
	if (!below(8))
		answer->start_tsc = view->host_tsc + below(2) * 100000 + below(5000000);
	/* Alone it may never be asked again: whoever attached it detaches it. */
	if (!below(256))
		answer->next_host_ns = 0;
	if (!below(rude))
		rudeness(view, answer);
	if (view->event == KVM_TIMEWARP_SWAP && !below(4))
		return -EINVAL;
	return 0;
}

TIMEWARP_OPS(fuzz, .decide = (void *)fuzz_decide, .exit = (void *)fuzz_exit,
	     .flags = KVM_TIMEWARP_F_BACKWARD);
