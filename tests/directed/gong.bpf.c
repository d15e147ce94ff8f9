// SPDX-License-Identifier: GPL-2.0
/* gong - another factor at each multiple of 100 ms of the host's time, the same moments for all VMs */
#include "timewarp.bpf.h"

TIMEWARP_SUMMARY("another factor at each multiple of 100 ms of host time");

TIMEWARP_COUNTER(calls, "", "how often it was asked");
TIMEWARP_EXIT_RECORD(gong_exit)

#define PERIOD_NS 100000000ULL

TIMEWARP_DECIDE(gong_decide, view, answer)
{
	calls++;
	answer->factor_num = calls & 1 ? 2 : 1;
	answer->factor_den = 1;
	answer->next_host_ns = (view->host_ns / PERIOD_NS + 1) * PERIOD_NS;
	return 0;
}

TIMEWARP_OPS(gong, .decide = (void *)gong_decide, .exit = (void *)gong_exit);
