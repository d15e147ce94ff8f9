// SPDX-License-Identifier: GPL-2.0
/*
 * freeze - the guest's time stands still, but for what it is granted
 *
 *	twctl attach --vm my-guest --policy freeze --pin
 *	twctl step   --vm my-guest 10ms		# lets exactly that much guest time pass
 *	twctl detach --vm my-guest		# and on it goes
 *
 * While guest time stands, no vCPU enters the guest, and no timer of it fires; the VMM's other
 * threads run. "budget" is the guest time granted since the attach, in all, and may only grow: who
 * sets it (twctl step, twctl set, or a program of yours) lets the guest run until there. The guest then
 * stands at attach + budget, to the nanosecond: the kernel has its clocks end there. Only where a
 * vCPU reads its TSC without KVM and could not be stopped in time, and so may have seen more, does it
 * stand where that was; that is counted as late, and missing from the next step, so that it does not
 * add up.
 *
 * A step runs at "factor", or slower: a step is to take 4 ms of the host, so that the guest gets
 * something done in it.
 */
#include "timewarp.bpf.h"

TIMEWARP_REFUSAL(SHRUNK, "'budget' is all that it was ever granted, and can only grow: see twctl step");
TIMEWARP_SUMMARY("guest time stands still, but for what it is granted");

TIMEWARP_PARAM(__u64, budget, 0, 0, 4611686018427387904ULL, "ns",
	       "guest time granted since the attach, in all; may only grow");
TIMEWARP_PARAM_FACTOR(factor, 1, 1, "guest seconds per host second while it runs, at most");

TIMEWARP_COUNTER(lived, "ns", "guest time that has passed since the attach, when it last stood");
TIMEWARP_COUNTER(stands, "", "how often it has come to stand");
TIMEWARP_COUNTER(late, "ns", "by how much it was stopped too late, at the worst");
TIMEWARP_EVENTS();
TIMEWARP_EXIT_RECORD(freeze_exit)

#define STEP_HOST_NS (4 * TIMEWARP_MIN_INTERVAL_NS)

/* start_ns is where guest time stood before it was first granted something */
static volatile __u64 start_ns, granted_ns;
static volatile _Bool runs;
static volatile struct timewarp_factor pace;

/* The factor for a step, or less if it is short */
static __always_inline void set_pace(__u64 left)
{
	__u64 least = STEP_HOST_NS / TIMEWARP_FACTOR_LIMIT;

	pace.num = factor.num;
	pace.den = factor.den;
	if (left >= kvm_timewarp_mul_div(STEP_HOST_NS, factor.num, factor.den))
		return;
	/* 1/10000 is the slowest that there is */
	pace.num = left > least ? left : least;
	pace.den = STEP_HOST_NS;
}

static __always_inline void stand(const struct kvm_timewarp_view *view,
				  struct kvm_timewarp_answer *answer, __u64 end)
{
	answer->flags = KVM_TIMEWARP_HOLD;
	if (!runs)
		return;
	runs = 0;
	lived = view->guest_ns - start_ns;
	if (view->guest_ns - end > late)
		late = view->guest_ns - end;
	stands++;
	timewarp_tell(view, TIMEWARP_EVENT_STEP, stands);
}

static __always_inline void run(const struct kvm_timewarp_view *view,
				struct kvm_timewarp_answer *answer, __u64 end)
{
	if (!runs || view->event <= KVM_TIMEWARP_PARAMS)
		set_pace(end - view->guest_ns);
	runs = 1;
	answer->factor_num = pace.num;
	answer->factor_den = pace.den;
	answer->next_guest_ns = end;
	answer->flags = KVM_TIMEWARP_HOLD_NEXT;
}

TIMEWARP_DECIDE(freeze_decide, view, answer)
{
	if (!factor.num || !factor.den || budget >> 62)
		return -ERANGE;
	if (view->event == KVM_TIMEWARP_ATTACH || view->event == KVM_TIMEWARP_SWAP) {
		granted_ns = 0;
		runs = 0;
		lived = 0;
		stands = 0;
		late = 0;
	}
	if (budget < granted_ns)
		return -SHRUNK;
	/* until something is granted, it begins where the guest stands */
	if (!granted_ns)
		start_ns = view->guest_ns;
	granted_ns = budget;
	if (view->guest_ns < start_ns + granted_ns)
		run(view, answer, start_ns + granted_ns);
	else
		stand(view, answer, start_ns + granted_ns);
	return 0;
}

TIMEWARP_OPS(freeze,
	     .decide = (void *)freeze_decide,
	     .exit = (void *)freeze_exit);
