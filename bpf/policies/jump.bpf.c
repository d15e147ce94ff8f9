// SPDX-License-Identifier: GPL-2.0
/*
 * jump - move the guest forward, to a date or by a span
 *
 *	twctl jump   --vm my-guest +30d
 *	twctl jump   --vm my-guest 2038-01-19T03:14:00Z
 *	twctl attach --vm my-guest --policy jump --param to=30d --exit-when-done
 *
 * The guest goes in leaps, with a pause of host time after each for what has become due: a timer that
 * a leap passes fires once, at its end, however often it would have. A guest that reads kvmclock is
 * told of each leap by KVM, by the flag that a VMM sets after a pause, and its watchdogs start anew; it
 * bears leaps of minutes. One that does not would take a leap of 20 s for a lockup, and gets
 * leaps of 10 s.
 *
 * It ends at the moment asked for, to the nanosecond, if that lies ahead by more than what the last
 * pause takes; a moment that has passed is refused with ETIME. Backward is not to be had.
 */
#include "timewarp.bpf.h"

TIMEWARP_SUMMARY("move the guest forward, to a date or by a span");

TIMEWARP_PARAM_WHEN(to, "a date of the guest, or a span of its time");
TIMEWARP_PARAM(__u64, leap, 0, 0, 1800000000000ULL, "ns",
	       "how far it goes at once; 0 for 10 minutes, or 10 s if it cannot be told");
TIMEWARP_PARAM(__u64, pause, 5000000ULL, 1000000ULL, 60000000000ULL, "ns",
	       "host time after each leap");
TIMEWARP_PARAM_FACTOR(factor, 1, 1, "guest seconds per host second, between leaps and afterwards");

TIMEWARP_COUNTER(leaps, "", "how many it took so far");
TIMEWARP_COUNTER(arrived, "", "1 when it is there");
TIMEWARP_EVENTS();
TIMEWARP_EXIT_RECORD(jump_exit)

#define LEAP_TOLD_NS (600 * TIMEWARP_NS_PER_SEC)
#define LEAP_UNTOLD_NS (10 * TIMEWARP_NS_PER_SEC)

static volatile __u64 at_ns;

static __always_inline __u64 leap_of(const struct kvm_timewarp_ctx *ctx)
{
	if (leap)
		return leap;
	return ctx->state & KVM_TIMEWARP_TELLS ? LEAP_TOLD_NS : LEAP_UNTOLD_NS;
}

TIMEWARP_DECIDE(jump_decide, ctx)
{
	_Bool first = ctx->event <= KVM_TIMEWARP_PARAMS;
	__u64 kind = to.kind, at = at_ns, far;

	if (first) {
		/* where the host's clock will be is no place for the guest to go */
		if (kind == TIMEWARP_NEVER || timewarp_on_host(kind))
			return -EINVAL;
		at = timewarp_when_ns(kind, to.ns, ctx->host_ns, ctx->guest_ns);
		if (at == ~0ULL || at >> 62)
			return -EINVAL;
		if (at <= ctx->guest_ns)
			return -ETIME;
		at_ns = at;
		arrived = 0;
		leaps = 0;
	}
	ctx->factor_num = factor.num;
	ctx->factor_den = factor.den;
	if (ctx->guest_ns < at) {
		far = leap_of(ctx);
		ctx->leap_ns = at - ctx->guest_ns > far ? ctx->guest_ns + far : at;
		ctx->next_host_ns = ctx->host_ns + pause;
		leaps++;
	} else if (!arrived) {
		arrived = 1;
		timewarp_tell(ctx, TIMEWARP_EVENT_DONE, leaps);
	}
	return 0;
}

TIMEWARP_OPS(jump,
	     .decide = (void *)jump_decide,
	     .exit = (void *)jump_exit);
