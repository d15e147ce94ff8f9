// SPDX-License-Identifier: GPL-2.0-only
/*
 * The edges of a segment.
 *
 * Whoever asks KVM for the time sees none before the segment begins or after it
 * ends, however late the host is.  vCPUs are let go, and kept out of the guest, by
 * a timer's interrupt, as a thread would come too late on a busy host.
 */

#include <linux/kvm_host.h>

#include "timeline.h"
#include "timeline_line.h"
#include "x86.h"

/*
 * Where a guest can read its TSC without KVM, its vCPUs are stopped this long
 * before guest time comes to stand.
 */
#define TIMELINE_STOP_MARGIN_NS		(50 * NSEC_PER_USEC)

/* Sooner than this, it is not worth another interrupt. */
#define TIMELINE_EDGE_NEAR_NS		NSEC_PER_USEC

static u64 timeline_edge_delay(struct kvm_timeline *tl)
{
	u64 now = rdtsc(), at = READ_ONCE(tl->end_tsc), ns = 0, margin = 0;

	if (now < tl->seg_host_tsc)
		at = tl->seg_host_tsc;
	else if (!kvm_timeline_tsc_trapped(tl->kvm))
		margin = TIMELINE_STOP_MARGIN_NS;

	if (at > now)
		ns = timeline_mul_div(at - now, NSEC_PER_MSEC, tsc_khz);
	if (ns <= margin + TIMELINE_EDGE_NEAR_NS)
		return 0;

	/* The timer's clock is disciplined and the TSC is not: it is neared step by step. */
	ns = min(ns - margin, TIMELINE_NEVER_NS);
	return ns - (ns >> 10);
}

/* Guest time goes on, to the end of the segment if it has one. */
static void timeline_let_go(struct kvm_timeline *tl)
{
	while (rdtsc() < tl->seg_host_tsc)
		cpu_relax();

	WRITE_ONCE(tl->frozen, false);
	wake_up_all(&tl->waiters);
}

static void timeline_keep_out(struct kvm_timeline *tl)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	WRITE_ONCE(tl->frozen, true);
	kvm_for_each_vcpu(i, vcpu, tl->kvm)
		timeline_ask(vcpu);
	kvm_timewarp_soon(tl, KVM_TIMEWARP_GUEST_TIME);
}

static enum hrtimer_restart timeline_edge_fn(struct hrtimer *timer)
{
	struct kvm_timeline *tl = container_of(timer, struct kvm_timeline, edge);
	u64 delay = timeline_edge_delay(tl);

	/* It waits to begin: by now, within a microsecond, or not yet. */
	if (tl->frozen && !timeline_has_ended(tl) &&
	    (!delay || rdtsc() >= tl->seg_host_tsc)) {
		timeline_let_go(tl);
		if (!tl->stop_ns)
			return HRTIMER_NORESTART;
		delay = timeline_edge_delay(tl);
	}

	if (delay) {
		hrtimer_set_expires(timer, ktime_add_ns(hrtimer_cb_get_time(timer), delay));
		return HRTIMER_RESTART;
	}

	timeline_keep_out(tl);
	return HRTIMER_NORESTART;
}

/* Have the segment begin and end in time; vCPUs are about to be released. */
void timeline_arm_edge(struct kvm_timeline *tl)
{
	u64 delay;

	if (!tl->active || (!tl->stop_ns && !(tl->frozen && tl->end_tsc == U64_MAX)))
		return;

	delay = timeline_edge_delay(tl);
	/* Not even let go, if it is that soon. */
	if (!delay && tl->stop_ns)
		WRITE_ONCE(tl->frozen, true);
	hrtimer_start(&tl->edge, ns_to_ktime(delay), HRTIMER_MODE_REL);
}

void __kvm_timeline_left_guest(struct kvm_timeline *tl)
{
	u64 now = rdtsc(), end = READ_ONCE(tl->end_tsc);

	/* It was not stopped in time, and what it has seen must not come again. */
	while (now > end && !try_cmpxchg64(&tl->end_tsc, &end, now))
		;
}

void timeline_init_edge(struct kvm_timeline *tl)
{
	timeline_hrtimer_setup(&tl->edge, timeline_edge_fn, HRTIMER_MODE_REL);
}
