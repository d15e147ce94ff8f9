// SPDX-License-Identifier: GPL-2.0
/*
 * start - a guest that has not run yet stands at a date, until another policy takes its place
 *
 *	twctl run --date 2038-01-18 --factor 50 -- qemu-system-x86_64 ...
 *
 * attaches it while QEMU is stopped, has QEMU start the guest, whose vCPUs are kept out, and swaps in
 * the policy that was asked for. So the guest's first instruction is at that date and at that
 * policy's rate, however long the host took for all this.
 *
 * As none of the guest's clocks has been read by then, it gets to the date in one leap. Of a guest
 * that has run the kernel lets it leap half an hour at most.
 */
#include "timewarp.bpf.h"

TIMEWARP_REFUSAL(OF_HOST, "'at' is a moment of the host's clock: give a date of the guest's");
TIMEWARP_REFUSAL(TOO_FAR, "'at' is more than 146 years of the guest away");
TIMEWARP_SUMMARY("a guest that has not run yet stands at a date, until another policy takes its place");

TIMEWARP_PARAM_WHEN(at, "the guest's date to begin at; never: where it is");

TIMEWARP_EXIT_RECORD(start_exit)

TIMEWARP_DECIDE(start_decide, view, answer)
{
	__u64 kind = at.kind, ns;

	answer->flags = KVM_TIMEWARP_HOLD;
	if (kind == TIMEWARP_NEVER || view->event != KVM_TIMEWARP_ATTACH)
		return 0;
	if (timewarp_on_host(kind))
		return -OF_HOST;
	ns = timewarp_when_ns(kind, at.ns, view->host_ns, view->guest_ns);
	if (ns >> 62)
		return -TOO_FAR;
	if (ns <= view->guest_ns)
		return -ETIME;
	answer->leap_ns = ns;
	return 0;
}

TIMEWARP_OPS(start,
	     .decide = (void *)start_decide,
	     .exit = (void *)start_exit);
