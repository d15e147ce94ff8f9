// SPDX-License-Identifier: GPL-2.0
/* Wants to go back, or too far, or what there is not, or TSCs apart: each is clamped, and 16 in a row eject it */
#include "timewarp.bpf.h"

TIMEWARP_SUMMARY("leaps to where the kernel lets nobody");
TIMEWARP_PARAM(__u64, crime, 0, 0, 3, "", "0 back, 1 too far, 2 unknown bits, 3 TSCs apart");
TIMEWARP_EXIT_RECORD(leapback_exit)

TIMEWARP_DECIDE(leapback_decide, ctx)
{
	ctx->next_host_ns = ctx->host_ns + 3000000;
	if (ctx->event == KVM_TIMEWARP_ATTACH)
		return 0;
	if (crime == 0)
		ctx->leap_ns = ctx->guest_ns - 1000000000;
	else if (crime == 1)
		ctx->leap_ns = ~0ULL;
	else if (crime == 2)
		ctx->answer = 1ULL << 63;
	else
		ctx->skew_ns = 1000;
	return 0;
}

/* As the user does not allow it, twctl takes that away */
TIMEWARP_OPS(leapback,
	     .flags = KVM_TIMEWARP_F_BACKWARD | KVM_TIMEWARP_F_SKEW,
	     .decide = (void *)leapback_decide,
	     .exit = (void *)leapback_exit);
