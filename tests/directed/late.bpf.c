// SPDX-License-Identifier: GPL-2.0
/* late - waits for late timers and for nothing else */
#include "timewarp.bpf.h"

TIMEWARP_SUMMARY("counts late timers");

TIMEWARP_COUNTER(lates, "", "how often a timer was late by a millisecond");
TIMEWARP_EXIT_RECORD(late_exit)

TIMEWARP_DECIDE(late_decide, view, answer)
{
	if (view->event == KVM_TIMEWARP_LATE)
		lates++;
	answer->factor_num = 1;
	answer->factor_den = 1;
	answer->next_late_ns = 1000000;
	return 0;
}

TIMEWARP_OPS(late, .decide = (void *)late_decide, .exit = (void *)late_exit);
