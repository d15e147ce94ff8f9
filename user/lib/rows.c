// SPDX-License-Identifier: GPL-2.0
#include "rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "trace_math.h"

/* PID-FD is what a VM is called everywhere; info.pid is that of the thread that made it, where it is known */
static bool same_vm(const struct trace_info *a, const struct trace_info *b)
{
	return !strcmp(a->name, b->name);
}

static struct tw_row *row_of(struct tw_rows *r, const struct trace_info *info)
{
	struct tw_row *row;
	size_t i;

	for (i = 0; i < r->n; i++)
		if (same_vm(&r->v[i].info, info))
			return &r->v[i];
	r->v = tw_grow(r->v, r->n + 1, sizeof(*r->v));
	row = &r->v[r->n++];
	memset(row, 0, sizeof(*row));
	row->info = *info;
	return row;
}

static void add_unit(struct tw_row *row, const struct tw_unit *u, const struct tw_tracer_opts *o)
{
	unsigned int i;

	if (u->info.vcpu < 0) {
		/* One by that name may have gone before */
		row->gone = u->info.gone && (!row->seen || row->gone);
		row->seen = true;
		row->clocks.master = u->clocks.master;
	} else if (o->vcpu >= 0 && u->info.vcpu != o->vcpu) {
		return;
	}
	tw_clocks_add(&row->clocks, &u->clocks);
	for (i = 0; i < TRACE_NR_SOURCES; i++) {
		if (!u->stats[i] || !(o->sources >> i & 1))
			continue;
		if (!row->stats[i]) {
			row->stats[i] = tw_grow(NULL, 1, sizeof(*row->stats[i]));
			memset(row->stats[i], 0, sizeof(*row->stats[i]));
		}
		tw_stats_add(row->stats[i], u->stats[i]);
	}
}

static void compare_vcpus(struct tw_row *row, const struct tw_unit *u, size_t n)
{
	uint64_t host_tsc = 0, tsc0 = 0, ns0 = 0;
	int64_t tsc, ns, tsc_lo = 0, tsc_hi = 0, ns_lo = 0, ns_hi = 0;
	bool any_tsc = false, any_ns = false;
	size_t i;

	/* A time at which all of them had their clocks */
	for (i = 0; i < n; i++)
		if (u[i].info.vcpu >= 0 && u[i].clocks.mul &&
		    u[i].clocks.line_tsc - u[i].clocks.line_offset > host_tsc)
			host_tsc = u[i].clocks.line_tsc - u[i].clocks.line_offset;
	for (i = 0; i < n; i++) {
		const struct trace_clocks *c = &u[i].clocks;

		if (u[i].info.vcpu < 0 || !(c->tsc_offset || c->mul))
			continue;
		if (!any_tsc)
			tsc0 = c->tsc_offset;
		any_tsc = true;
		tsc = c->tsc_offset - tsc0;
		tsc_lo = tsc < tsc_lo ? tsc : tsc_lo;
		tsc_hi = tsc > tsc_hi ? tsc : tsc_hi;
		if (!c->mul)
			continue;
		ns = c->line_ns + trace_pvclock_ns(host_tsc + c->tsc_offset - c->line_tsc, c->mul,
						   c->shift);
		if (!any_ns)
			ns0 = ns;
		any_ns = true;
		ns -= ns0;
		ns_lo = ns < ns_lo ? ns : ns_lo;
		ns_hi = ns > ns_hi ? ns : ns_hi;
	}
	row->tsc_apart_ticks = tsc_hi - tsc_lo;
	row->kvmclock_apart_ns = ns_hi - ns_lo;
}

void tw_rows_collect(const struct tw_tracer *t, const struct tw_snapshot *s, struct tw_rows *r)
{
	size_t i, k;

	memset(r, 0, sizeof(*r));
	for (i = 0; i < t->vms.n; i++) {
		struct trace_info info = { .pid = t->vms.v[i].pid };

		snprintf(info.name, sizeof(info.name), "%s", t->vms.v[i].id);
		if (tw_tracer_wants(t, info.name))
			row_of(r, &info);
	}
	/* Units are in order, so a VM's are next to each other */
	for (i = 0; i < s->n; i = k) {
		struct tw_row *row = row_of(r, &s->v[i].info);

		for (k = i; k < s->n && same_vm(&s->v[i].info, &s->v[k].info); k++)
			add_unit(row, &s->v[k], &t->opts);
		compare_vcpus(row, &s->v[i], k - i);
	}
}

void tw_rows_free(struct tw_rows *r)
{
	size_t i, k;

	for (i = 0; i < r->n; i++)
		for (k = 0; k < TRACE_NR_SOURCES; k++)
			free(r->v[i].stats[k]);
	free(r->v);
	memset(r, 0, sizeof(*r));
}

static const struct tw_row *before_of(const struct tw_rows *before, const struct tw_row *row)
{
	size_t i;

	for (i = 0; i < before->n; i++)
		if (!strcmp(before->v[i].info.name, row->info.name))
			return &before->v[i];
	return NULL;
}

static struct tw_line *add_line(struct tw_lines *lines, const struct tw_row *row, int source)
{
	struct tw_line *line;

	lines->v = tw_grow(lines->v, lines->n + 1, sizeof(*lines->v));
	line = &lines->v[lines->n++];
	memset(line, 0, sizeof(*line));
	line->row = row;
	line->source = source;
	line->stats = tw_grow(NULL, 1, sizeof(*line->stats));
	if (source < 0)
		memset(line->stats, 0, sizeof(*line->stats));
	else
		*line->stats = *row->stats[source];
	return line;
}

void tw_lines_add(struct tw_lines *lines, const struct tw_row *row, const struct tw_rows *before,
		  double seconds, uint64_t linear_ns)
{
	const struct tw_row *old = before_of(before, row);
	size_t first = lines->n;
	int i;

	for (i = 0; i < TRACE_NR_SOURCES; i++) {
		if (!row->stats[i])
			continue;
		add_line(lines, row, i);
		if (old && old->stats[i])
			tw_stats_sub(lines->v[lines->n - 1].stats, old->stats[i], linear_ns);
	}
	if (lines->n == first)
		add_line(lines, row, -1);
	for (; first < lines->n; first++) {
		lines->v[first].jumps = tw_clocks_jumps(&row->clocks) -
					(old ? tw_clocks_jumps(&old->clocks) : 0);
		lines->v[first].seconds = seconds > 0 ? seconds : 1;
		lines->v[first].linear_ns = linear_ns;
	}
}

void tw_lines_free(struct tw_lines *lines)
{
	size_t i;

	for (i = 0; i < lines->n; i++)
		free(lines->v[i].stats);
	free(lines->v);
	memset(lines, 0, sizeof(*lines));
}

const char *tw_order_name(enum tw_order order)
{
	static const char *const names[] = {
		[TW_BY_WORST] = "worst", [TW_BY_LOST] = "lost", [TW_BY_OWED] = "owed",
		[TW_BY_JUMPS] = "jumps", [TW_BY_MAX] = "max", [TW_BY_P99] = "p99",
		[TW_BY_AVG] = "avg", [TW_BY_RATE] = "rate", [TW_BY_NAME] = "VM",
	};

	return order < TW_NR_ORDERS ? names[order] : "?";
}

static uint64_t order_key(const struct tw_line *l, enum tw_order order)
{
	const struct trace_hist *late = &l->stats->late[TRACE_TOTAL];

	switch (order) {
	case TW_BY_LOST:
		return tw_stats_lost(l->stats);
	case TW_BY_OWED:
		return l->stats->backlog;
	case TW_BY_JUMPS:
		return l->jumps;
	case TW_BY_MAX:
		return late->count ? late->max : 0;
	case TW_BY_P99:
		return late->count ? trace_percentile(late, 990, l->linear_ns) : 0;
	case TW_BY_AVG:
		return late->count ? late->sum / late->count : 0;
	case TW_BY_RATE:
		return l->stats->delivered;
	default:
		return 0;
	}
}

static int by_name(const struct tw_line *a, const struct tw_line *b)
{
	int r = a->row->info.pid - b->row->info.pid;

	if (!r)
		r = strcmp(a->row->info.name, b->row->info.name);
	return r ? r : a->source - b->source;
}

static int in_order(const void *pa, const void *pb, void *arg)
{
	static const enum tw_order worst[] = { TW_BY_LOST, TW_BY_OWED, TW_BY_JUMPS, TW_BY_MAX };
	const struct tw_line *a = pa, *b = pb;
	enum tw_order order = *(enum tw_order *)arg;
	size_t i, n = order == TW_BY_WORST ? sizeof(worst) / sizeof(*worst) : 1;

	for (i = 0; i < n; i++) {
		uint64_t x = order_key(a, order == TW_BY_WORST ? worst[i] : order);
		uint64_t y = order_key(b, order == TW_BY_WORST ? worst[i] : order);

		if (x != y)
			return x > y ? -1 : 1;
	}
	return by_name(a, b);
}

void tw_lines_sort(struct tw_lines *lines, enum tw_order order)
{
	if (lines->n)
		qsort_r(lines->v, lines->n, sizeof(*lines->v), in_order, &order);
}

const char *tw_rows_head(char *buf, size_t size, int width)
{
	snprintf(buf, size, "%-*s %-8s %6s %6s %6s %6s %6s %5s %9s %5s", width, "VM", "SOURCE",
		 "RATE/s", "AVG", "P99", "MAX", "LOST", "REINJ", "OWED/MAX", "JUMPS");
	return buf;
}

const char *tw_line_format(char *buf, size_t size, const struct tw_line *line, const char *name,
			   int width)
{
	const struct trace_stats *s = line->stats;
	const struct trace_hist *h = &s->late[TRACE_TOTAL];
	char avg[16], p99[16], max[16], lost[16], reinj[16], owed[16], most[16], both[40], rate[16];
	char jump[16];

	snprintf(rate, sizeof(rate), "%.1f", s->delivered / line->seconds);
	if (s->delivered / line->seconds > 9999)
		tw_short_count(rate, sizeof(rate), s->delivered / line->seconds, 6);
	snprintf(both, sizeof(both), "%s/%s", tw_short_count(owed, sizeof(owed), s->backlog, 4),
		 tw_short_count(most, sizeof(most), s->backlog_max, 4));
	snprintf(buf, size, "%-*.*s %-8s %6s %6s %6s %6s %6s %5s %9s %5s", width, width, name,
		 line->source < 0 ? "-" : tw_source_name(line->source), rate,
		 h->count ? tw_short_ns(avg, sizeof(avg), h->sum / h->count) : "-",
		 h->count ? tw_short_ns(p99, sizeof(p99),
					trace_percentile(h, 990, line->linear_ns)) : "-",
		 h->count ? tw_short_ns(max, sizeof(max), h->max) : "-",
		 tw_short_count(lost, sizeof(lost), tw_stats_lost(s), 6),
		 tw_short_count(reinj, sizeof(reinj), s->reinjected, 5), both,
		 tw_short_count(jump, sizeof(jump), line->jumps, 5));
	return buf;
}
