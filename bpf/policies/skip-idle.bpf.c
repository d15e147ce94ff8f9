// SPDX-License-Identifier: GPL-2.0
/*
 * skip-idle - when all vCPUs wait, guest time leaps to the next timer
 *
 *	twctl attach --vm my-guest --policy skip-idle
 *	twctl attach --vm my-guest --policy skip-idle --param until=365d --exit-when-done
 *	twctl attach --vm my-guest --policy skip-idle --factor 10 --param idle=20ms --param max_skip=1s
 *
 * Busy phases run at "factor". A guest all of whose vCPUs have been halted for "idle" of the
 * host's time leaps to its next armed timer, of any kind that KVM emulates, and that timer fires. The
 * kernel looks again once the vCPUs are held: if one of them has run, or an interrupt has
 * come, nothing is skipped; and a leap ends at the next timer, whatever the policy has worked out.
 *
 * "idle" is the guard for what is on its way from outside: a disk, the network, a person. What takes
 * longer than that, the guest sees as having taken until its next timer. KVM does not know of it.
 *
 * Timers that live in the VMM (RTC, HPET, a disk's throttle) count where its clocks follow (twctl
 * attach --vmm): no leap goes past one, nor happens while the VMM's main loop is awake. With --vmm
 * off they are on the host's time, as whatever else comes from outside.
 *
 * A guest without a timer has nowhere to go, and waits.
 */
#include "timewarp.bpf.h"

TIMEWARP_SUMMARY("when all vCPUs wait, guest time leaps to the next timer");

TIMEWARP_PARAM_FACTOR(factor, 1, 1, "guest seconds per host second while it does not skip");
TIMEWARP_PARAM(__u64, idle, 5000000ULL, 1000000ULL, 60000000000ULL, "ns",
	       "host time for which all vCPUs must have been halted");
TIMEWARP_PARAM(__u64, max_skip, 1800000000000ULL, 1ULL, 1800000000000ULL, "ns",
	       "guest time that is skipped at once, at most");
TIMEWARP_PARAM(__u64, min_skip, 1000000ULL, 0ULL, 1800000000000ULL, "ns",
	       "guest time that is worth a skip");
TIMEWARP_PARAM_WHEN(until, "a date or span of the guest at which skipping ends");

TIMEWARP_COUNTER(skips, "", "how often it was skipped, or tried to");
TIMEWARP_COUNTER(ended, "", "1 when 'until' has come");
TIMEWARP_COUNTER(waited, "", "how often a VMM that was awake, or its timer, was waited for");
TIMEWARP_VMMS();
TIMEWARP_EVENTS();
TIMEWARP_EXIT_RECORD(skip_exit)

static volatile __u64 until_ns;

static __always_inline __u64 earlier(__u64 a, __u64 b)
{
	return a < b ? a : b;
}

static __always_inline void skip(const struct kvm_timewarp_view *view,
				 struct kvm_timewarp_answer *answer, __u64 end)
{
	__u64 vmm = timewarp_vmm_due_ns(view), timer = earlier(view->next_timer_ns, vmm);
	__u64 to = earlier(timer, end);

	if (timer == ~0ULL)
		return;
	to = earlier(to, view->guest_ns + earlier(max_skip, TIMEWARP_MAX_LEAP_NS));
	/*
	 * KVM tells but once that the vCPUs have halted, and they may go on waiting when this is over.
	 * A timer wakes somebody as a rule, and when he halts again, that is told.
	 */
	answer->next_host_ns = view->host_ns + 2 * idle;
	if (to <= view->guest_ns || to - view->guest_ns < min_skip) {
		if (to == vmm) {
			waited++;
			answer->next_host_ns = view->host_ns + idle;
		}
		return;
	}
	answer->leap_ns = to;
	answer->flags = KVM_TIMEWARP_IF_IDLE;
	skips++;
	if (to != timer)
		answer->next_host_ns = view->host_ns + TIMEWARP_MIN_INTERVAL_NS;
}

TIMEWARP_DECIDE(skip_decide, view, answer)
{
	__u64 kind = until.kind, end = until_ns;

	if (view->event <= KVM_TIMEWARP_PARAMS) {
		end = timewarp_when_ns(kind, until.ns, view->host_ns, view->guest_ns);
		if (kind != TIMEWARP_NEVER && (timewarp_on_host(kind) || end == ~0ULL))
			return -EINVAL;
		if (end <= view->guest_ns)
			return -ETIME;
		until_ns = end;
		ended = 0;
	}
	answer->factor_num = factor.num;
	answer->factor_den = factor.den;
	if (timewarp_reached(view, answer, kind, end)) {
		if (!ended) {
			ended = 1;
			timewarp_tell(view, TIMEWARP_EVENT_DONE, skips);
		}
		return 0;
	}
	answer->next_idle_ns = idle;
	/* That they wait already was told, under another 'until', and is not told again */
	if (view->event <= KVM_TIMEWARP_PARAMS)
		answer->next_host_ns = view->host_ns + idle;
	if (view->event == KVM_TIMEWARP_IDLE ||
	    (view->event == KVM_TIMEWARP_HOST_TIME && view->idle_ns >= idle))
		skip(view, answer, end);
	return 0;
}

TIMEWARP_OPS_NAMED(skip_idle, "skip-idle",
	     .decide = (void *)skip_decide,
	     .exit = (void *)skip_exit);
