// SPDX-License-Identifier: GPL-2.0
/*
 * ramp - the factor goes evenly from one to another, over a span of host or of guest time
 *
 *	twctl attach --vm my-guest --policy ramp --param to=50 --param span=10s
 *	twctl attach --vm my-guest --policy ramp --param from=50 --param to=1 --param span=1h --param guest=yes
 *
 * The factor f is from + (to - from) * x / span, x being the host's (or the guest's) time since the
 * start. A timeline has pieces of constant factor, so this one is made of steps of h = span / steps,
 * a millisecond at least. With A = |to - from|, S = span, and L the time from the moment at which a
 * step was due until its factor is in force, all in the clock that the span is in:
 *
 *   - at each moment the factor is within A * (h + 2L) / S of f, and between from and to;
 *   - on the host's clock, guest time is within A * (h^2 / 8 + L * (h + L)) / S + 4 ns of what f
 *     adds up to from the second step on, however many there have been: each step aims at the
 *     curve's next point from where the guest is, so that lateness does not add up. What the
 *     guest lost or won at the old factor, while the attach took its time, is not made up for.
 *
 * A change of a parameter starts the ramp anew, at "from".
 */
#include "timewarp.bpf.h"

TIMEWARP_REFUSAL(TOO_LONG, "in 'span' at these factors more than 146 years of the guest pass");
TIMEWARP_SUMMARY("the factor goes evenly from one to another, over a span of host or guest time");

TIMEWARP_PARAM_FACTOR(from, 1, 1, "factor at the start");
TIMEWARP_PARAM_FACTOR(to, 1, 1, "factor at the end, and from there on");
TIMEWARP_PARAM(__u64, span, 10000000000ULL, 1000000, 315360000000000000ULL, "ns",
	       "how long it takes");
TIMEWARP_PARAM(__u64, steps, 100, 1, 1000000, "", "into how many steps it is cut");
TIMEWARP_PARAM(_Bool, guest, 0, 0, 1, "", "whether the span is one of guest time");

TIMEWARP_COUNTER(done, "", "1 when the ramp has come to its end");
TIMEWARP_EVENTS();
TIMEWARP_EXIT_RECORD(ramp_exit)

/* Factors as fixed point: 10000 takes 62 bits, 1/10000 is exact to 4e-11 */
#define ONE (1ULL << 48)

static volatile __u64 start_host, start_guest;
static volatile _Bool settled;

static __always_inline __u64 fixed(__u64 num, __u64 den)
{
	return kvm_timewarp_mul_div(ONE, num, den);
}

/* f at x */
static __always_inline __u64 factor_at(__u64 x)
{
	__u64 s = span;

	return kvm_timewarp_mul_div(fixed(from.num, from.den), s - x, s) +
	       kvm_timewarp_mul_div(fixed(to.num, to.den), x, s);
}

/* What f adds up to over x of host time: the mean of its ends, weighed */
static __always_inline __u64 guest_at(__u64 x)
{
	__u64 s2 = span * 2;

	return kvm_timewarp_mul_div(kvm_timewarp_mul_div(x, from.num, from.den), s2 - x, s2) +
	       kvm_timewarp_mul_div(kvm_timewarp_mul_div(x, to.num, to.den), x, s2);
}

/* Nonsense by another hand than twctl's */
static __always_inline _Bool unusable(void)
{
	return !from.num || !from.den || !to.num || !to.den || !steps || !span || span >> 62;
}

/* Its guest time does not fit 62 bits */
static __always_inline _Bool too_long(void)
{
	return !guest && (kvm_timewarp_mul_div(span, from.num, from.den) >> 62 ||
			  kvm_timewarp_mul_div(span, to.num, to.den) >> 62);
}

static __always_inline __u64 step_ns(void)
{
	__u64 h = span / (steps ? steps : 1);

	return h < TIMEWARP_MIN_INTERVAL_NS ? TIMEWARP_MIN_INTERVAL_NS : h;
}

static __always_inline void clamp_to_ends(struct kvm_timewarp_answer *answer)
{
	__u64 f = fixed(answer->factor_num, answer->factor_den);
	__u64 a = fixed(from.num, from.den), b = fixed(to.num, to.den);

	if ((a < b && f < a) || (a > b && f > a)) {
		answer->factor_num = from.num;
		answer->factor_den = from.den;
	} else if ((a < b && f > b) || (a > b && f < b) || a == b) {
		answer->factor_num = to.num;
		answer->factor_den = to.den;
	}
}

/* To the point of the curve that is a step away */
static __always_inline void go_by_host(const struct kvm_timewarp_view *view,
				       struct kvm_timewarp_answer *answer, __u64 x)
{
	__u64 next = x + step_ns();
	__u64 now, target;

	/* the curve begins where the first step, which came into force late, has led */
	if (view->event > KVM_TIMEWARP_PARAMS && !settled) {
		settled = 1;
		start_guest = view->guest_ns - guest_at(x);
	}
	now = view->guest_ns - start_guest;
	if (next > span)
		next = span;
	if (next - x < TIMEWARP_MIN_INTERVAL_NS)
		next = x + TIMEWARP_MIN_INTERVAL_NS;
	target = next <= span ? guest_at(next) :
		 guest_at(span) + kvm_timewarp_mul_div(next - span, to.num, to.den);
	answer->factor_num = target > now ? target - now : 1;
	answer->factor_den = next - x;
	answer->next_host_ns = start_host + next;
}

/* At what the curve shows in the middle of the step */
static __always_inline void go_by_guest(const struct kvm_timewarp_view *view,
					struct kvm_timewarp_answer *answer, __u64 x)
{
	__u64 h = step_ns(), middle, f;
	/* a step is no shorter than what the kernel allows, which counts host time */
	__u64 least = kvm_timewarp_mul_div(TIMEWARP_MIN_INTERVAL_NS * 2, factor_at(x), ONE);

	if (h < least)
		h = least;
	middle = x + h / 2 < span ? x + h / 2 : span;
	f = factor_at(middle);
	answer->factor_num = f ? f : 1;
	answer->factor_den = ONE;
	answer->next_guest_ns = view->guest_ns + h;
}

TIMEWARP_DECIDE(ramp_decide, view, answer)
{
	__u64 x;

	if (unusable())
		return -ERANGE;
	if (too_long())
		return -TOO_LONG;
	if (view->event <= KVM_TIMEWARP_PARAMS) {
		start_host = view->host_ns;
		start_guest = view->guest_ns;
		settled = 0;
		done = 0;
	}
	x = guest ? view->guest_ns - start_guest : view->host_ns - start_host;
	if (x >= span) {
		answer->factor_num = to.num;
		answer->factor_den = to.den;
		if (!done) {
			done = 1;
			timewarp_tell(view, TIMEWARP_EVENT_DONE, 0);
		}
		return 0;
	}
	if (guest)
		go_by_guest(view, answer, x);
	else
		go_by_host(view, answer, x);
	clamp_to_ends(answer);
	return 0;
}

TIMEWARP_OPS(ramp,
	     .decide = (void *)ramp_decide,
	     .exit = (void *)ramp_exit);
