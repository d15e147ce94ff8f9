// SPDX-License-Identifier: GPL-2.0
/* A factor that is fine, and each millisecond a wish to be asked at a guest time that has passed. */
#include "timewarp.bpf.h"

TIMEWARP_SUMMARY("wishes to be asked at a time that has passed");

TIMEWARP_DECIDE(past_decide, view, answer)
{
	answer->factor_num = 2;
	answer->factor_den = 1;
	answer->next_guest_ns = view->event == KVM_TIMEWARP_ATTACH ? 0 : 1;
	answer->next_host_ns = view->host_ns + 1000000;
	return 0;
}

TIMEWARP_OPS(past, .decide = (void *)past_decide);
