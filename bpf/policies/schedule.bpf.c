// SPDX-License-Identifier: GPL-2.0
/*
 * schedule - factors one after the other, each until a date or for a span
 *
 *	twctl attach --vm my-guest --policy schedule --param 'plan=100 until 2038-01-19T03:13:00, 1'
 *	twctl attach --vm my-guest --policy schedule --param 'plan=10 for 1h, 50 for 30s host, 1/2 until 2030-01-01, 1'
 *
 * A span counts from the planned end of the piece before it where both are on one clock, so that
 * lateness does not add up, and from its actual end where they are not. A piece whose end has
 * passed is skipped: with dates, a schedule that is attached again goes on where it has to.
 * Pieces shorter than a millisecond of host time are run through, late. A change of the plan starts
 * it anew.
 */
#include "timewarp.bpf.h"

TIMEWARP_REFUSAL(EMPTY, "'plan' is empty: say one, such as plan='50 for 1h, 1'");
TIMEWARP_SUMMARY("factors one after the other, each until a date or for a span");

TIMEWARP_PARAM_SCHEDULE(plan, "FACTOR [until DATE | for SPAN] [host], ...");

TIMEWARP_COUNTER(piece, "", "the piece in force, counted from 0");
TIMEWARP_EVENTS();
TIMEWARP_EXIT_RECORD(schedule_exit)

static volatile __u64 from_host, from_guest;

/* Whether piece i has ended; if so, where the next one begins */
static __always_inline _Bool ended(const struct kvm_timewarp_view *view,
				   struct kvm_timewarp_answer *answer, __u64 i)
{
	const volatile struct timewarp_when *end = &plan.piece[timewarp_piece_nr(i)].end;
	__u64 kind = end->kind;
	__u64 at = timewarp_when_ns(kind, end->ns, from_host, from_guest);

	if (!timewarp_reached(view, answer, kind, at))
		return 0;
	from_host = timewarp_on_host(kind) ? at : view->host_ns;
	from_guest = timewarp_on_host(kind) ? view->guest_ns : at;
	return 1;
}

TIMEWARP_DECIDE(schedule_decide, view, answer)
{
	const volatile struct timewarp_factor *f;
	__u64 n = plan.n, i = piece, was = i;

	if (!n)
		return -EMPTY;
	if (n > TIMEWARP_PIECES)
		return -EINVAL;
	if (view->event <= KVM_TIMEWARP_PARAMS) {
		from_host = view->host_ns;
		from_guest = view->guest_ns;
		i = 0;
		was = ~0ULL;
	}
	for (int passed = 0; passed < TIMEWARP_PIECES; passed++) {
		if (i + 1 >= n || !ended(view, answer, i))
			break;
		i++;
	}
	piece = i;
	f = &plan.piece[timewarp_piece_nr(i)].factor;
	answer->factor_num = f->num;
	answer->factor_den = f->den;
	if (i != was)
		timewarp_tell(view, i + 1 == n ? TIMEWARP_EVENT_DONE : TIMEWARP_EVENT_STEP, i);
	return 0;
}

TIMEWARP_OPS(schedule,
	     .decide = (void *)schedule_decide,
	     .exit = (void *)schedule_exit);
