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

static __always_inline void factor(struct kvm_timewarp_ctx *ctx)
{
	__u64 f = below(12);

	ctx->factor_den = 1;
	if (f == 0)
		ctx->factor_num = 10000;
	else if (f == 1)
		ctx->factor_num = 1, ctx->factor_den = 10000;
	else if (f == 2)
		ctx->factor_num = 1 + below(1000000), ctx->factor_den = 1 + below(1000000);
	else if (f < 6)
		ctx->factor_num = 1 + below(100);
	else if (f < 8)
		ctx->factor_num = 1, ctx->factor_den = 1 + below(100);
	else
		ctx->factor_num = 1;
}

static __always_inline void leap(struct kvm_timewarp_ctx *ctx)
{
	__u64 far = below(4);

	ctx->leap_ns = ctx->guest_ns + (far == 0 ? below(1000) : far == 1 ? below(1000000) :
					far == 2 ? below(10000000000ULL) : below(TIMEWARP_MAX_LEAP_NS));
	if (below(2)) {
		ctx->answer |= KVM_TIMEWARP_IF_IDLE;
		if (ctx->next_timer_ns != ~0ULL && ctx->next_timer_ns > ctx->guest_ns &&
		    ctx->next_timer_ns - ctx->guest_ns < TIMEWARP_MAX_LEAP_NS)
			ctx->leap_ns = ctx->next_timer_ns;
	}
}

static __always_inline void rudeness(struct kvm_timewarp_ctx *ctx)
{
	switch (below(8)) {
	case 0: ctx->factor_num = 0; break;
	case 1: ctx->factor_den = 0; break;
	case 2: ctx->factor_num = next(); ctx->factor_den = next(); break;
	case 3: ctx->leap_ns = next(); break;
	case 4: ctx->answer = next(); break;
	case 5: ctx->next_host_ns = below(ctx->host_ns); break;
	case 6: ctx->skew_ns = next(); break;
	default: ctx->next_guest_ns = next();
	}
}

TIMEWARP_DECIDE(fuzz_decide, ctx)
{
	ctx->next_host_ns = ctx->host_ns + TIMEWARP_MIN_INTERVAL_NS + (below(4) ? 0 : below(20000000));
	factor(ctx);
	if (!below(4))
		leap(ctx);
	if (!below(6))
		ctx->answer |= KVM_TIMEWARP_HOLD;
	if (!below(3)) {
		ctx->next_guest_ns = ctx->guest_ns + 1 + (below(2) ? below(300000) : below(50000000));
		if (below(4) && !(ctx->answer & KVM_TIMEWARP_HOLD))
			ctx->answer |= KVM_TIMEWARP_HOLD_NEXT;
	}
	if (!below(3))
		ctx->next_idle_ns = TIMEWARP_MIN_INTERVAL_NS + below(5000000);
	if (!below(3))
		ctx->next_late_ns = 1 + below(1000000);
	/* Alone it may never be asked again: whoever attached it detaches it. */
	if (!below(256))
		ctx->next_host_ns = 0;
	if (!below(rude))
		rudeness(ctx);
	if (ctx->event == KVM_TIMEWARP_SWAP && !below(4))
		return -EINVAL;
	return 0;
}

TIMEWARP_OPS(fuzz, .decide = (void *)fuzz_decide, .exit = (void *)fuzz_exit,
	     .flags = KVM_TIMEWARP_F_BACKWARD | KVM_TIMEWARP_F_SKEW);
