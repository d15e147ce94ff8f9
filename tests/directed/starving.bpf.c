// SPDX-License-Identifier: GPL-2.0
/* starving - adds up for how long the VM's worst off vCPU has starved, asked each millisecond */
#include "timewarp.bpf.h"

TIMEWARP_SUMMARY("adds up how long a vCPU has starved");

TIMEWARP_COUNTER(starved, "ns", "host time for which a vCPU was ready and did not run");
TIMEWARP_COUNTER(asked, "", "how often it was asked");
TIMEWARP_EXIT_RECORD(starving_exit)

TIMEWARP_DECIDE(starving_decide, view, answer)
{
	if (view->event != KVM_TIMEWARP_ATTACH)
		starved += view->starved_ns;
	asked++;
	answer->factor_num = 2;
	answer->factor_den = 1;
	answer->next_host_ns = view->host_ns + 1000000;
	return 0;
}

TIMEWARP_OPS(starving, .decide = (void *)starving_decide, .exit = (void *)starving_exit);
