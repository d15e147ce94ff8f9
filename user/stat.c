// SPDX-License-Identifier: GPL-2.0
/* twctl stat: a row for each VM and source of ticks, like vmstat. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "parse.h"
#include "rows.h"
#include "tracer.h"
#include "trace_math.h"
#include "twctl.h"
#include "world.h"

/* The guests' worlds: each VM's from when it was first seen on */
struct worlds {
	struct followed {
		char name[TRACE_NAME_LEN];
		struct tw_world first, before, now;	/* as they were read */
	} *v;
	size_t n;
	struct tw_vms later;		/* VMs that are younger than the tracer */
};

static struct followed *followed(struct worlds *w, const struct trace_info *info)
{
	size_t i;

	for (i = 0; i < w->n; i++)
		if (!strcmp(w->v[i].name, info->name))
			return &w->v[i];
	w->v = tw_grow(w->v, w->n + 1, sizeof(*w->v));
	memset(&w->v[w->n], 0, sizeof(*w->v));
	memcpy(w->v[w->n].name, info->name, sizeof(w->v->name));
	return &w->v[w->n++];
}

/* What a VM that has gone had last stays as it is */
static void follow(struct worlds *w, const struct tw_tracer *t, const struct tw_rows *rows)
{
	const struct tw_vm *vm;
	struct tw_world seen;
	struct followed *f;
	bool again = false;
	size_t i;

	for (i = 0; i < rows->n; i++) {
		f = followed(w, &rows->v[i].info);
		f->before = f->now;
		if (rows->v[i].gone)
			continue;
		vm = tw_vms_by_id(&t->vms, f->name);
		if (!vm && !tw_vms_by_id(&w->later, f->name) && !again) {
			tw_vms_free(&w->later);
			tw_vms_scan(&w->later);
			again = true;
		}
		vm = vm ? vm : tw_vms_by_id(&w->later, f->name);
		if (!vm)
			continue;
		tw_world_read(vm, &seen);
		if (!seen.vcpus)
			continue;
		f->now = seen;
		if (!f->first.vcpus)
			f->first = f->before = seen;
	}
}

static void follow_from_start(struct worlds *w, const struct tw_tracer *t)
{
	struct tw_snapshot none = { 0 };
	struct tw_rows rows;

	tw_rows_collect(t, &none, &rows);
	follow(w, t, &rows);
	tw_rows_free(&rows);
}

static void worlds_free(struct worlds *w)
{
	free(w->v);
	tw_vms_free(&w->later);
}

/* Since it was first seen, or in the last interval */
static struct tw_world world_of(struct worlds *w, const struct tw_row *row, bool interval,
				uint64_t *span)
{
	const struct followed *f = followed(w, &row->info);
	struct tw_world d = f->now;

	tw_world_sub(&d, interval ? &f->before : &f->first);
	*span = f->now.now_ns - (interval ? f->before.now_ns : f->first.now_ns);
	return d;
}

static void print_cpu_head(void)
{
	tw_printf("%-*s %5s %7s %7s %7s %7s %7s %8s\n", TW_ROW_VM, "VM", "VCPUS", "RUN%", "STEAL%",
	       "HALT%", "OTHER%", "POLL%", "IN-VAIN%");
}

static void print_cpu(struct worlds *w, const struct tw_row *row)
{
	uint64_t span;
	struct tw_world d = world_of(w, row, true, &span);
	double all = (double)span * d.vcpus / 100;

	if (!span || !d.vcpus) {
		tw_printf("%-*.*s %5s\n", TW_ROW_VM, TW_ROW_VM, row->info.name, "-");
		return;
	}
	tw_printf("%-*.*s %5u %7.2f %7.2f ", TW_ROW_VM, TW_ROW_VM, row->info.name, d.vcpus,
	       d.run_ns / all, d.steal_ns / all);
	if (d.stats)
		tw_printf("%7.2f %7.2f %7.2f %8.2f\n", d.halt_ns / all, tw_world_other_ns(&d, span) / all,
		       (d.poll_ok_ns + d.poll_vain_ns) / all, d.poll_vain_ns / all);
	else
		tw_printf("%7s %7.2f %7s %8s\n", "-", tw_world_other_ns(&d, span) / all, "-", "-");
}

static void write_cpu(struct tw_json *j, struct worlds *w, const struct tw_row *row)
{
	uint64_t span;
	struct tw_world d = world_of(w, row, false, &span);

	tw_json_world(j, &d, span);
}

static void print_head(void)
{
	char line[TW_ROW_MAX];

	tw_printf("%s\n", tw_rows_head(line, sizeof(line), TW_ROW_VM));
}

static void print_vm(const struct tw_row *row, const struct tw_rows *before, double seconds,
		     uint64_t linear)
{
	struct tw_lines lines = { 0 };
	char text[TW_ROW_MAX];
	size_t i;

	tw_lines_add(&lines, row, before, seconds, linear);
	for (i = 0; i < lines.n; i++)
		tw_printf("%s\n", tw_line_format(text, sizeof(text), &lines.v[i], row->info.name,
						  TW_ROW_VM));
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

static void write_vm(const struct tw_row *row, struct worlds *w, const struct tw_tracer *t,
		     uint64_t now)
{
	struct tw_json j = { .f = stdout };
	const struct trace_clocks *c = &row->clocks;
	int i;

	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "vm", row->info.name);
	tw_json_int(&j, "pid", row->info.pid);
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
	tw_json_bool(&j, "master_clock", c->master);
	tw_json_bool(&j, "stable", c->stable);
	tw_json_bool(&j, "catchup", c->catchup);
	tw_json_u64(&j, "tsc_apart_ticks", row->tsc_apart_ticks);
	tw_json_u64(&j, "kvmclock_apart_ns", row->kvmclock_apart_ns);
	tw_json_close(&j, '}');
	write_cpu(&j, w, row);
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

static const struct {
	const char *name, *type, *help;
	size_t offset;
} metrics[] = {
#define METRIC(name, type, help, field) { name, type, help, offsetof(struct trace_stats, field) }
	METRIC("armed_total", "counter", "Deadlines set by the guest.", armed),
	METRIC("fired_total", "counter", "Deadlines that the host's timer came to.", fired),
	METRIC("delivered_total", "counter", "Ticks that went into the guest.", delivered),
	METRIC("reinjected_total", "counter", "Ticks delivered later for lost ones.", reinjected),
	METRIC("backlog", "gauge", "Ticks owed now.", backlog),
	METRIC("backlog_max", "gauge", "Ticks owed at the worst.", backlog_max),
};

static void print_label(FILE *f, const struct tw_row *row)
{
	const char *s;

	fputs("{vm=\"", f);
	for (s = row->info.name; *s; s++)
		fputc(*s == '"' || *s == '\\' || *s < ' ' ? '_' : *s, f);
}

static void write_cpu_metrics(FILE *f, const struct tw_rows *r, struct worlds *w)
{
	size_t i, k;

	fputs("# HELP timewarp_vcpu_seconds_total Where the vCPUs' time on the host went.\n"
	      "# TYPE timewarp_vcpu_seconds_total counter\n", f);
	for (i = 0; i < r->n; i++) {
		uint64_t span;
		struct tw_world d = world_of(w, &r->v[i], false, &span);
		const struct {
			const char *state;
			uint64_t ns;
			bool known;
		} v[] = { { "run", d.run_ns, true }, { "steal", d.steal_ns, true },
			  { "halt", d.halt_ns, d.stats },
			  { "poll_success", d.poll_ok_ns, d.stats },
			  { "poll_fail", d.poll_vain_ns, d.stats } };

		for (k = 0; d.vcpus && k < sizeof(v) / sizeof(*v); k++) {
			if (!v[k].known)
				continue;
			fputs("timewarp_vcpu_seconds_total", f);
			print_label(f, &r->v[i]);
			fprintf(f, "\",state=\"%s\"} %.9f\n", v[k].state, v[k].ns / 1e9);
		}
	}
}

static void write_metrics(FILE *f, const struct tw_rows *r, struct worlds *w)
{
	static const unsigned int quantile[] = { 500, 990, 999 };
	size_t m, i, k, q;

	for (m = 0; m < sizeof(metrics) / sizeof(*metrics); m++) {
		fprintf(f, "# HELP timewarp_ticks_%s %s\n# TYPE timewarp_ticks_%s %s\n",
			metrics[m].name, metrics[m].help, metrics[m].name, metrics[m].type);
		for (i = 0; i < r->n; i++)
			for (k = 0; k < TRACE_NR_SOURCES; k++) {
				unsigned long long v;

				if (!r->v[i].stats[k])
					continue;
				memcpy(&v, (char *)r->v[i].stats[k] + metrics[m].offset, sizeof(v));
				fprintf(f, "timewarp_ticks_%s", metrics[m].name);
				print_label(f, &r->v[i]);
				fprintf(f, "\",source=\"%s\"} %llu\n", tw_source_name(k), v);
			}
	}
	fputs("# HELP timewarp_ticks_lost_total Ticks that the guest will not get.\n"
	      "# TYPE timewarp_ticks_lost_total counter\n", f);
	for (i = 0; i < r->n; i++)
		for (k = 0; k < TRACE_NR_SOURCES; k++)
			if (r->v[i].stats[k]) {
				fputs("timewarp_ticks_lost_total", f);
				print_label(f, &r->v[i]);
				fprintf(f, "\",source=\"%s\"} %llu\n", tw_source_name(k),
					(unsigned long long)tw_stats_lost(r->v[i].stats[k]));
			}
	fputs("# HELP timewarp_tick_late_seconds From the deadline to the entry that carries it.\n"
	      "# TYPE timewarp_tick_late_seconds summary\n", f);
	for (i = 0; i < r->n; i++)
		for (k = 0; k < TRACE_NR_SOURCES; k++) {
			const struct trace_hist *h;

			if (!r->v[i].stats[k])
				continue;
			h = &r->v[i].stats[k]->late[TRACE_TOTAL];
			for (q = 0; q < 3; q++) {
				fputs("timewarp_tick_late_seconds", f);
				print_label(f, &r->v[i]);
				fprintf(f, "\",source=\"%s\",quantile=\"%g\"} %.9f\n",
					tw_source_name(k), quantile[q] / 1000.0,
					trace_percentile(h, quantile[q], 0) / 1e9);
			}
			fputs("timewarp_tick_late_seconds_sum", f);
			print_label(f, &r->v[i]);
			fprintf(f, "\",source=\"%s\"} %.9f\n", tw_source_name(k), h->sum / 1e9);
			fputs("timewarp_tick_late_seconds_count", f);
			print_label(f, &r->v[i]);
			fprintf(f, "\",source=\"%s\"} %llu\n", tw_source_name(k), h->count);
		}
	fputs("# HELP timewarp_clock_jumps_total Steps of a guest's clock.\n"
	      "# TYPE timewarp_clock_jumps_total counter\n", f);
	for (i = 0; i < r->n; i++) {
		const struct trace_clocks *c = &r->v[i].clocks;
		const struct {
			const char *clock, *way;
			unsigned long long n;
		} v[] = { { "kvmclock", "backward", c->kvmclock.back },
			  { "kvmclock", "forward", c->kvmclock.forward },
			  { "tsc", "backward", c->tsc.back }, { "tsc", "forward", c->tsc.forward } };

		for (k = 0; k < 4; k++) {
			fputs("timewarp_clock_jumps_total", f);
			print_label(f, &r->v[i]);
			fprintf(f, "\",clock=\"%s\",direction=\"%s\"} %llu\n", v[k].clock, v[k].way,
				v[k].n);
		}
	}
	write_cpu_metrics(f, r, w);
}

/* A reader sees the old file or the new one, never a part */
static int write_prometheus(const char *path, const struct tw_rows *r, struct worlds *w,
			    struct tw_err *e)
{
	char *tmp = tw_asprintf("%s.%d.tmp", path, getpid());
	FILE *f = fopen(tmp, "we");
	int err = f ? 0 : errno;

	if (f) {
		write_metrics(f, r, w);
		if (fflush(f) || ferror(f))
			err = errno;
		if (fclose(f) && !err)
			err = errno;
		if (!err && rename(tmp, path))
			err = errno;
		if (err)
			unlink(tmp);
	}
	free(tmp);
	if (!err)
		return TW_OK;
	e->code = err;
	tw_fail(e, TW_FAILED, "cannot write %s", TW_QUOTE(path));
	tw_fact(e, "%s", strerror(err));
	return tw_cure(e, "name a file in a directory that may be written");
}

struct watch {
	const struct tw_args *args;
	uint64_t every, times;
};

static int watch(struct tw_tracer *t, void *arg, struct tw_err *e)
{
	const struct watch *how = arg;
	const struct tw_args *args = how->args;
	uint64_t times = how->times;
	struct tw_rows before = { 0 }, now;
	struct worlds w = { 0 };
	struct tw_snapshot s;
	uint64_t due = t->start_ns, last = t->start_ns, lines = 0;
	bool gone = false;
	int status = TW_OK;
	size_t i;

	follow_from_start(&w, t);
	while (!status && !gone && !tw_stop && times--) {
		due += how->every;
		tw_sleep_until(due);
		tw_tracer_read(t, &s);
		tw_rows_collect(t, &s, &now);
		follow(&w, t, &now);
		if (!args->json && (!lines || lines + now.n > 20)) {
			if (args->cpu)
				print_cpu_head();
			else
				print_head();
			lines = 0;
		}
		for (i = 0; i < now.n; i++, lines++) {
			if (args->json)
				write_vm(&now.v[i], &w, t, s.now_ns);
			else if (args->cpu)
				print_cpu(&w, &now.v[i]);
			else
				print_vm(&now.v[i], &before, (s.now_ns - last) / 1e9,
					 t->opts.linear_ns);
		}
		fflush(stdout);
		if (args->prometheus)
			status = write_prometheus(args->prometheus, &now, &w, e);
		last = s.now_ns;
		gone = tw_tracer_all_gone(t, &s);
		tw_rows_free(&before);
		before = now;
		tw_snapshot_free(&s);
	}
	tw_rows_free(&before);
	worlds_free(&w);
	return status ? status : tw_tell_end(t, gone, e);
}

static int run(const struct tw_args *args, struct tw_err *e)
{
	struct watch how = { .args = args };
	struct tw_tracer_opts opts;

	if (tw_args_tracer(args, "stat", &opts, e) ||
	    tw_args_interval(args, "stat", &how.every, &how.times, e))
		return e->status;
	if (!args->operands.n)
		how.times = 1;
	opts.armed = args->json || args->prometheus;
	opts.parts = args->json;
	return tw_watch(&opts, watch, &how, e);
}

static const struct tw_option options[] = {
	TW_OPTION_VMS,
	TW_OPTION_VCPU,
	TW_OPTION_SOURCE,
	TW_OPTION_JUMP,
	TW_OPTION("cpu", 0, TW_FLAG, cpu, NULL,
		  "where the vCPUs' time went instead: run, steal, halt, poll", NULL),
	TW_OPTION("prometheus", 0, TW_TEXT, prometheus, "FILE",
		  "write totals there too, for node_exporter's textfile collector", "@file"),
	{ 0 },
};

const struct tw_verb tw_verb_stat = {
	.name = "stat",
	.synopsis = "[--vm VM]... [INTERVAL [COUNT]]",
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
	.run = run,
};
