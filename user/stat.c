// SPDX-License-Identifier: GPL-2.0
/* twctl stat: a row for each VM and source of ticks, like vmstat. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"
#include "metrics.h"
#include "roster.h"
#include "rows.h"
#include "tracer.h"
#include "trace_math.h"
#include "twctl.h"
#include "whole.h"
#include "world.h"

static void look(struct tw_roster *r, const struct tw_rows *rows)
{
	size_t i;

	for (i = 0; i < rows->n; i++)
		if (!rows->v[i].gone)
			tw_roster_look(r, rows->v[i].info.name);
}

static void print_cpu_head(void)
{
	tw_printf("%-*s %5s %7s %7s %7s %7s %7s %8s\n", TW_ROW_VM, "VM", "VCPUS", "RUN%", "STEAL%",
		  "HALT%", "OTHER%", "POLL%", "IN-VAIN%");
}

static void print_cpu(struct tw_roster *r, const struct tw_row *row)
{
	const struct tw_known *k = tw_roster_of(r, row->info.name);
	struct tw_shares s = k->shares;
	char name[48];
	double all;

	tw_shares_sub(&s, &k->before);
	all = s.span_ns / 100.0;
	tw_known_suffix(k, name, sizeof(name));
	if (!s.span_ns) {
		tw_printf("%-*.*s %5s%s\n", TW_ROW_VM, TW_ROW_VM, row->info.name, "-", name);
		return;
	}
	tw_printf("%-*.*s %5u %7.2f %7.2f ", TW_ROW_VM, TW_ROW_VM, row->info.name, s.vcpus,
		     s.run_ns / all, s.steal_ns / all);
	if (s.stats)
		tw_printf("%7.2f %7.2f %7.2f %8.2f%s\n", s.halt_ns / all, s.other_ns / all,
			     (s.poll_ok_ns + s.poll_vain_ns) / all, s.poll_vain_ns / all, name);
	else
		tw_printf("%7s %7.2f %7s %8s%s\n", "-", s.other_ns / all, "-", "-", name);
}

static void print_head(void)
{
	char line[TW_ROW_MAX];

	tw_printf("%s\n", tw_rows_head(line, sizeof(line), TW_ROW_VM));
}

static void print_vm(const struct tw_row *row, const struct tw_rows *before, double seconds,
		     uint64_t linear, const struct tw_known *who)
{
	struct tw_lines lines = { 0 };
	char text[TW_ROW_MAX], name[48];
	size_t i;

	tw_lines_add(&lines, row, before, seconds, linear);
	for (i = 0; i < lines.n; i++)
		tw_printf("%s%s\n", tw_line_format(text, sizeof(text), &lines.v[i], row->info.name,
						      TW_ROW_VM), tw_known_suffix(who, name, sizeof(name)));
	tw_lines_free(&lines);
}

static void write_hist(struct tw_json *j, const char *key, const struct trace_hist *h,
		       uint64_t linear)
{
	tw_json_open(j, key, '{');
	tw_json_u64(j, "count", h->count);
	tw_json_u64(j, "min_ns", h->count ? h->min : 0);
	tw_json_u64(j, "avg_ns", h->count ? h->sum / h->count : 0);
	tw_json_u64(j, "p50_ns", trace_percentile(h, 500, linear));
	tw_json_u64(j, "p99_ns", trace_percentile(h, 990, linear));
	tw_json_u64(j, "p999_ns", trace_percentile(h, 999, linear));
	tw_json_u64(j, "max_ns", h->max);
	tw_json_close(j, '}');
}

static void write_jumps(struct tw_json *j, const char *key, const struct trace_jumps *c)
{
	int i;

	tw_json_open(j, key, '{');
	tw_json_u64(j, "backward", c->back);
	tw_json_u64(j, "backward_max_ns", c->back_max);
	tw_json_u64(j, "forward", c->forward);
	tw_json_u64(j, "forward_max_ns", c->forward_max);
	tw_json_s64(j, "sum_ns", c->sum);
	tw_json_open(j, "by", '{');
	for (i = 0; i < TRACE_NR_CAUSES; i++)
		tw_json_u64(j, tw_cause_name(i), c->by[i]);
	tw_json_close(j, '}');
	tw_json_close(j, '}');
}

static void write_source(struct tw_json *j, unsigned int source, const struct trace_stats *s,
			 uint64_t linear)
{
	unsigned int p;

	tw_json_open(j, NULL, '{');
	tw_json_str(j, "source", tw_source_name(source));
	tw_json_str(j, "policy", tw_lost_policy(source, s));
	tw_json_u64(j, "armed", s->armed);
	tw_json_u64(j, "fired", s->fired);
	tw_json_u64(j, "overdue", s->overdue);
	tw_json_u64(j, "injected", s->injected);
	tw_json_u64(j, "delivered", s->delivered);
	tw_json_u64(j, "lost", tw_stats_lost(s));
	tw_json_u64(j, "lost_pending", s->lost_pending);
	tw_json_u64(j, "lost_clamped", s->lost_clamped);
	tw_json_u64(j, "coalesced", s->coalesced);
	tw_json_u64(j, "dropped", s->dropped);
	tw_json_u64(j, "reinjected", s->reinjected);
	tw_json_u64(j, "backlog", s->backlog);
	tw_json_u64(j, "backlog_max", s->backlog_max);
	tw_json_u64(j, "backlog_max_ns", s->backlog_max * s->period_ns);
	tw_json_u64(j, "period_ns", s->period_ns);
	tw_json_open(j, "late", '{');
	for (p = 0; p < TRACE_NR_PARTS; p++)
		write_hist(j, tw_part_name(p), &s->late[p], linear);
	tw_json_close(j, '}');
	tw_json_close(j, '}');
}

/* What a vCPU's clock is told by its first record; without one, nothing is known */
static void write_known(struct tw_json *j, const char *key, bool known, bool value)
{
	if (known)
		tw_json_bool(j, key, value);
	else
		tw_json_null(j, key);
}

static void write_vm(const struct tw_row *row, struct tw_roster *r, const struct tw_tracer *t,
		     uint64_t now)
{
	const struct tw_known *who = tw_roster_of(r, row->info.name);
	struct tw_json j = { .f = stdout };
	const struct trace_clocks *c = &row->clocks;
	int i;

	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "vm", row->info.name);
	tw_json_int(&j, "pid", row->info.pid);
	tw_json_str(&j, "name", who->name);
	tw_json_str(&j, "uuid", who->uuid);
	tw_json_bool(&j, "gone", row->gone);
	tw_json_u64(&j, "since_ns", t->start_ns);
	tw_json_u64(&j, "host_ns", now);
	tw_json_open(&j, "sources", '[');
	for (i = 0; i < TRACE_NR_SOURCES; i++)
		if (row->stats[i])
			write_source(&j, i, row->stats[i], t->opts.linear_ns);
	tw_json_close(&j, ']');
	tw_json_open(&j, "clocks", '{');
	write_jumps(&j, "kvmclock", &c->kvmclock);
	write_jumps(&j, "tsc", &c->tsc);
	tw_json_u64(&j, "pvclock_updates", c->pvclock_updates);
	tw_json_s64(&j, "drift_ns", c->drift_ns);
	tw_json_u64(&j, "drift_over_ns", c->drift_over_ns);
	tw_json_u64(&j, "tsc_offset_writes", c->tsc_offset_writes);
	tw_json_u64(&j, "tsc_scaling_writes", c->tsc_scaling_writes);
	tw_json_u64(&j, "master_lost", c->master_lost);
	tw_json_u64(&j, "master_regained", c->master_regained);
	write_known(&j, "master_clock", c->pvclock_updates, c->master);
	write_known(&j, "stable", c->pvclock_updates, c->stable);
	write_known(&j, "catchup", c->pvclock_updates, c->catchup);
	tw_json_u64(&j, "tsc_apart_ticks", row->tsc_apart_ticks);
	tw_json_u64(&j, "kvmclock_apart_ns", row->kvmclock_apart_ns);
	tw_json_close(&j, '}');
	tw_json_shares(&j, &who->shares);
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

struct watch {
	const struct tw_args *args;
	uint64_t every, times;
	/* as it goes */
	struct tw_roster roster;
	struct tw_rows before, now;
	struct tw_warps warps;		/* as they were last written */
	uint64_t last_ns, lines;
};

static bool has_row(const struct tw_rows *rows, const char *id)
{
	size_t i;

	for (i = 0; i < rows->n; i++)
		if (!rows->v[i].gone && !strcmp(rows->v[i].info.name, id))
			return true;
	return false;
}

/* What makes the time of a VM is there also while nothing of it is traced; of those that are named alone, where some are */
static void read_warps(struct watch *h, const struct tw_tracer *t)
{
	struct tw_warps old = h->warps, *w = &h->warps;
	size_t i, k, n = 0;

	tw_warps_read(w);
	for (i = 0; i < w->n; i++)
		if (!t->nr_wanted || has_row(&h->now, w->v[i].id))
			w->v[n++] = w->v[i];
	w->n = n;
	for (i = 0; i < old.n; i++) {
		for (k = 0; k < n && strcmp(w->v[k].id, old.v[i].id); k++)
			;
		/* another may have its name next */
		if (k == n && !has_row(&h->now, old.v[i].id))
			tw_roster_forget(&h->roster, old.v[i].id);
	}
	tw_warps_free(&old);
}

static int write_prometheus(struct watch *h, const struct tw_tracer *t, struct tw_err *e)
{
	struct tw_metrics m = { .rows = &h->now, .roster = &h->roster, .warps = &h->warps };
	struct tw_whole w;
	int status = tw_whole_open(&w, h->args->prometheus, e);

	if (status)
		return status;
	read_warps(h, t);
	tw_tracer_losses(t, &m.events_lost, &m.units_lost);
	tw_metrics_write(w.f, &m);
	return tw_whole_commit(&w, e);
}

/* Until the interval is over; where it is the shares that are shown, more looks make them sharper */
static void wait_until(struct watch *h, uint64_t due)
{
	uint64_t next = tw_now_ns();

	while (h->args->cpu && !h->args->json && next + 100000000 < due && !tw_stop) {
		next += 100000000;
		tw_sleep_until(next);
		look(&h->roster, &h->now);
	}
	tw_sleep_until(due);
}

static void show_rows(struct watch *h, const struct tw_tracer *t, uint64_t now_ns)
{
	const struct tw_args *args = h->args;
	size_t i;

	if (!args->json && (!h->lines || h->lines + h->now.n > 20)) {
		if (args->cpu)
			print_cpu_head();
		else
			print_head();
		h->lines = 0;
	}
	for (i = 0; i < h->now.n; i++, h->lines++) {
		const struct tw_row *row = &h->now.v[i];

		if (args->json)
			write_vm(row, &h->roster, t, now_ns);
		else if (args->cpu)
			print_cpu(&h->roster, row);
		else
			print_vm(row, &h->before, (now_ns - h->last_ns) / 1e9, t->opts.linear_ns,
				 tw_roster_of(&h->roster, row->info.name));
	}
	fflush(stdout);
}

/* Those that have gone were shown for the last time; what they took is there for others */
static void forget_gone(struct watch *h, struct tw_tracer *t, struct tw_snapshot *s)
{
	size_t i;

	if (t->nr_wanted)
		return;
	for (i = 0; i < h->now.n; i++)
		if (h->now.v[i].gone)
			tw_roster_forget(&h->roster, h->now.v[i].info.name);
	tw_tracer_recycle(t, s);
}

static int watch(struct tw_tracer *t, void *arg, struct tw_err *e)
{
	struct watch *h = arg;
	struct tw_snapshot s = { 0 };
	uint64_t due = t->start_ns, times = h->times;
	bool gone = false;
	int status = TW_OK;

	h->last_ns = t->start_ns;
	tw_rows_collect(t, &s, &h->now);
	look(&h->roster, &h->now);
	while (!status && !gone && !tw_stop && times--) {
		tw_roster_interval(&h->roster);
		due += h->every;
		/* after Ctrl-Z what was missed stays so: one line, and on from here */
		if (due < tw_now_ns())
			due = tw_now_ns() + h->every;
		wait_until(h, due);
		tw_tracer_read(t, &s);
		tw_rows_free(&h->before);
		h->before = h->now;
		tw_rows_collect(t, &s, &h->now);
		look(&h->roster, &h->now);
		show_rows(h, t, s.now_ns);
		if (h->args->prometheus)
			status = write_prometheus(h, t, e);
		h->last_ns = s.now_ns;
		gone = tw_tracer_all_gone(t, &s);
		forget_gone(h, t, &s);
		tw_snapshot_free(&s);
	}
	tw_rows_free(&h->before);
	tw_rows_free(&h->now);
	tw_warps_free(&h->warps);
	tw_roster_free(&h->roster);
	return status ? status : tw_tell_end(t, gone, e);
}

static int run(const struct tw_args *args, struct tw_err *e)
{
	struct watch how = { .args = args };
	struct tw_tracer_opts opts;

	if (tw_args_tracer(args, "stat", &opts, e) ||
	    tw_args_interval(args, "stat", &how.every, &how.times, e))
		return e->status;
	if (!args->operands.n && !args->every && !args->count)
		how.times = 1;
	opts.armed = args->json || args->prometheus;
	opts.parts = args->json;
	/* A service of the host's, which has none at its boot */
	opts.none_yet = args->prometheus;
	return tw_watch(&opts, watch, &how, e);
}

static const struct tw_option options[] = {
	TW_OPTION_VMS,
	TW_OPTION_VCPU,
	TW_OPTION_SOURCE,
	TW_OPTION_JUMP,
	TW_OPTIONS_INTERVAL,
	TW_OPTION("cpu", 0, TW_FLAG, cpu, NULL,
		  "where the vCPUs' time went instead: run, steal, halt, poll", NULL),
	TW_OPTION("prometheus", 0, TW_TEXT, prometheus, "FILE",
		  "write totals there too, for node_exporter's textfile collector", "@file"),
	{ 0 },
};

const struct tw_verb tw_verb_stat = {
	.name = "stat",
	.synopsis = "[VM|(--vm VM)...] [INTERVAL [COUNT]]",
	.summary = "show ticks late, lost and owed, a row for each VM and source",
	.more = "Works on a stock kernel. Like vmstat: every INTERVAL (1s; a bare number is\n"
		"seconds), COUNT times, or until Ctrl-C; without both, once after a second.\n"
		"RATE, lateness, LOST, REINJ and JUMPS are the interval's, OWED is now, and its\n"
		"MAX is since the start. With -j, and in the Prometheus file, all is since the\n"
		"start. Lateness is from the guest's deadline to the entry that carries the tick.\n"
		"--cpu: shares of the vCPUs' time on the host. RUN has a CPU, POLL is the part of\n"
		"it spent polling for a halted vCPU, IN-VAIN of that without success; STEAL is\n"
		"waiting for a CPU, and what KVM tells the guest; HALT is halted; OTHER stopped,\n"
		"or waiting in the VMM. -j and the Prometheus file have it always.\n"
		"Status 4 when all VMs named with --vm have gone.\n",
	.options = options,
	.max_operands = 2,
	.vm_operand = true,
	.own = tw_is_interval,
	.run = run,
};
