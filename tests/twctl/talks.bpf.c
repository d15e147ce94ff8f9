// SPDX-License-Identifier: GPL-2.0
/* Tells 300 steps, one a decision, more than anybody has room for; then that it is done. */
#include "timewarp.bpf.h"

TIMEWARP_SUMMARY("tells 300 steps, then that it is done");
TIMEWARP_EVENTS();

static volatile __u32 told;

TIMEWARP_DECIDE(talks_decide, view, answer)
{
	if (told < 300) {
		timewarp_tell(view, TIMEWARP_EVENT_STEP, told++);
		answer->next_host_ns = view->host_ns + TIMEWARP_MIN_INTERVAL_NS;
	} else if (told == 300) {
		timewarp_tell(view, TIMEWARP_EVENT_DONE, told++);
	}
	return 0;
}

TIMEWARP_OPS(talks, .decide = (void *)talks_decide);
