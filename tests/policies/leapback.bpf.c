// SPDX-License-Identifier: GPL-2.0
/* Wants to go back, or too far, or what there is not: each is clamped, and 16 in a row eject it */
#include "timewarp.bpf.h"

TIMEWARP_SUMMARY("leaps to where the kernel lets nobody");
TIMEWARP_PARAM(__u64, crime, 0, 0, 2, "", "0 back, 1 too far, 2 unknown bits");
TIMEWARP_EXIT_RECORD(leapback_exit)

TIMEWARP_DECIDE(leapback_decide, view, answer)
{
	answer->next_host_ns = view->host_ns + 3000000;
	if (view->event == KVM_TIMEWARP_ATTACH)
		return 0;
	if (crime == 0)
		answer->leap_ns = view->guest_ns - 1000000000;
	else if (crime == 1)
		answer->leap_ns = ~0ULL;
	else
		answer->flags = 1ULL << 63;
	return 0;
}

/* As the user does not allow it, twctl takes that away */
TIMEWARP_OPS(leapback,
	     .flags = KVM_TIMEWARP_F_BACKWARD,
	     .decide = (void *)leapback_decide,
	     .exit = (void *)leapback_exit);
