// SPDX-License-Identifier: GPL-2.0
/* Sums and differences of what the tracer counts: no system calls here, so that unit tests reach all of it. */
#include "tracer.h"
#include "trace_math.h"

static void hist_add(struct trace_hist *a, const struct trace_hist *b)
{
	unsigned int i;

	if (!b->count)
		return;
	if (!a->count || b->min < a->min)
		a->min = b->min;
	if (b->max > a->max)
		a->max = b->max;
	a->count += b->count;
	a->sum += b->sum;
	for (i = 0; i < TRACE_NR_BUCKETS; i++)
		a->bucket[i] += b->bucket[i];
}

static void hist_sub(struct trace_hist *now, const struct trace_hist *before, uint64_t linear)
{
	int lo = -1, hi = -1, i;
	uint64_t top;

	if (!before->count)
		return;
	now->count -= before->count;
	now->sum -= before->sum;
	for (i = 0; i < TRACE_NR_BUCKETS; i++) {
		now->bucket[i] -= before->bucket[i];
		if (now->bucket[i] && lo < 0)
			lo = i;
		if (now->bucket[i])
			hi = i;
	}
	if (lo < 0)
		return;
	if (trace_bucket_low(lo, linear) > now->min)
		now->min = trace_bucket_low(lo, linear);
	top = hi == TRACE_NR_BUCKETS - 1 ? now->max : trace_bucket_low(hi + 1, linear) - 1;
	if (top < now->max)
		now->max = top;
}

void tw_stats_add(struct trace_stats *a, const struct trace_stats *b)
{
	unsigned int p;

	a->armed += b->armed;
	a->fired += b->fired;
	a->overdue += b->overdue;
	a->injected += b->injected;
	a->delivered += b->delivered;
	a->lost_pending += b->lost_pending;
	a->lost_clamped += b->lost_clamped;
	a->coalesced += b->coalesced;
	a->dropped += b->dropped;
	a->reinjected += b->reinjected;
	a->backlog += b->backlog;
	if (b->backlog_max > a->backlog_max)
		a->backlog_max = b->backlog_max;
	if (b->period_ns)
		a->period_ns = b->period_ns;
	a->reinject |= b->reinject;
	a->policy |= b->policy;
	for (p = 0; p < TRACE_NR_PARTS; p++)
		hist_add(&a->late[p], &b->late[p]);
}

void tw_stats_sub(struct trace_stats *now, const struct trace_stats *before, uint64_t linear)
{
	unsigned int p;

	now->armed -= before->armed;
	now->fired -= before->fired;
	now->overdue -= before->overdue;
	now->injected -= before->injected;
	now->delivered -= before->delivered;
	now->lost_pending -= before->lost_pending;
	now->lost_clamped -= before->lost_clamped;
	now->coalesced -= before->coalesced;
	now->dropped -= before->dropped;
	now->reinjected -= before->reinjected;
	for (p = 0; p < TRACE_NR_PARTS; p++)
		hist_sub(&now->late[p], &before->late[p], linear);
}

static void jumps_add(struct trace_jumps *a, const struct trace_jumps *b)
{
	unsigned int i;

	a->back += b->back;
	a->forward += b->forward;
	if (b->back_max > a->back_max)
		a->back_max = b->back_max;
	if (b->forward_max > a->forward_max)
		a->forward_max = b->forward_max;
	a->sum += b->sum;
	for (i = 0; i < TRACE_NR_CAUSES; i++)
		a->by[i] += b->by[i];
}

void tw_clocks_add(struct trace_clocks *a, const struct trace_clocks *b)
{
	a->pvclock_updates += b->pvclock_updates;
	a->drift_ns += b->drift_ns;
	a->drift_over_ns += b->drift_over_ns;
	jumps_add(&a->kvmclock, &b->kvmclock);
	jumps_add(&a->tsc, &b->tsc);
	a->tsc_offset_writes += b->tsc_offset_writes;
	a->tsc_scaling_writes += b->tsc_scaling_writes;
	a->master_lost += b->master_lost;
	a->master_regained += b->master_regained;
	a->catchup |= b->catchup;
	/* Stable if all vCPUs' are that have a kvmclock */
	if (b->mul)
		a->stable = a->mul ? a->stable & b->stable : b->stable;
	if (b->mul)
		a->mul = b->mul;
}

uint64_t tw_stats_lost(const struct trace_stats *s)
{
	return s->lost_pending + s->lost_clamped + s->dropped +
	       (s->policy == TRACE_POLICY_CATCHUP ? 0 : s->coalesced);
}

uint64_t tw_clocks_jumps(const struct trace_clocks *c)
{
	return c->kvmclock.back + c->kvmclock.forward + c->tsc.back + c->tsc.forward;
}
