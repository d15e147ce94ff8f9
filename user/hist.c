// SPDX-License-Identifier: GPL-2.0
/* twctl hist: how late ticks are, by source and part. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "roster.h"
#include "tracer.h"
#include "trace_math.h"
#include "twctl.h"
#include "whole.h"

#define BAR 40

/* A VM's vCPUs together, or one vCPU's */
struct group {
	const struct trace_info *info;
	int source;
	struct trace_stats st;
};

struct groups {
	struct group *v;
	size_t n;
};

static void collect(const struct tw_tracer *t, const struct tw_snapshot *s, struct groups *g)
{
	size_t i, k;
	int src;

	memset(g, 0, sizeof(*g));
	for (src = 0; src < TRACE_NR_SOURCES; src++)
		for (i = 0; i < s->n; i++) {
			const struct tw_unit *u = &s->v[i];

			if (!u->stats[src] || !(t->opts.sources >> src & 1) ||
			    (t->opts.vcpu >= 0 && u->info.vcpu != t->opts.vcpu))
				continue;
			for (k = 0; k < g->n; k++)
				if (g->v[k].source == src &&
				    !strcmp(g->v[k].info->name, u->info.name))
					break;
			if (k == g->n) {
				g->v = tw_grow(g->v, g->n + 1, sizeof(*g->v));
				memset(&g->v[k], 0, sizeof(*g->v));
				g->v[k].info = &u->info;
				g->v[k].source = src;
				g->n++;
			}
			tw_stats_add(&g->v[k].st, u->stats[src]);
		}
}

static void print_buckets(const struct trace_hist *h, uint64_t linear)
{
	unsigned long long n, most = 0, low[TRACE_NR_BUCKETS], count[TRACE_NR_BUCKETS];
	unsigned int i, rows = 0;
	char from[16], to[16];

	/* Log2: a line for each power of two, though the percentiles know quarters of it */
	for (i = 0; i < TRACE_NR_BUCKETS; i++) {
		if (!linear && i >= 4 && (i & 3)) {
			count[rows - 1] += h->bucket[i];
			continue;
		}
		low[rows] = trace_bucket_low(i, linear);
		count[rows++] = h->bucket[i];
	}
	for (i = 0; i < rows; i++)
		if (count[i] > most)
			most = count[i];
	for (i = 0; i < rows; i++) {
		if (!count[i])
			continue;
		n = (count[i] * BAR + most - 1) / most;
		tw_printf("  %6s ..%6s %10llu |%.*s\n", tw_short_ns(from, sizeof(from), low[i]),
			  i + 1 < rows ? tw_short_ns(to, sizeof(to), low[i + 1]) : "",
			  count[i], (int)n, "****************************************");
	}
}

static void print_group(const struct group *g, uint64_t linear, const struct tw_known *who)
{
	char text[6][16], name[48];
	int p;

	tw_printf("%s %s: delivered %llu, lost %llu%s\n", g->info->name, tw_source_name(g->source),
		     g->st.delivered, (unsigned long long)tw_stats_lost(&g->st),
		     tw_known_suffix(who, name, sizeof(name)));
	tw_printf("  %-7s %8s %7s %7s %7s %7s %7s %7s\n", "PART", "COUNT", "MIN", "AVG", "P50", "P99",
		  "P99.9", "MAX");
	for (p = 0; p < TRACE_NR_PARTS; p++) {
		const struct trace_hist *h = &g->st.late[p];

		tw_printf("  %-7s %8llu %7s %7s %7s %7s %7s %7s\n", tw_part_name(p), h->count,
			  tw_short_ns(text[0], 16, h->count ? h->min : 0),
			  tw_short_ns(text[1], 16, h->count ? h->sum / h->count : 0),
			  tw_short_ns(text[2], 16, trace_percentile(h, 500, linear)),
			  tw_short_ns(text[3], 16, trace_percentile(h, 990, linear)),
			  tw_short_ns(text[4], 16, trace_percentile(h, 999, linear)),
			  tw_short_ns(text[5], 16, h->max));
	}
	print_buckets(&g->st.late[TRACE_TOTAL], linear);
}

static void write_group(const struct group *g, uint64_t linear, const struct tw_known *who)
{
	struct tw_json j = { .f = stdout };
	unsigned int i;
	int p;

	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "vm", g->info->name);
	tw_json_str(&j, "name", who->name);
	tw_json_str(&j, "uuid", who->uuid);
	tw_json_str(&j, "source", tw_source_name(g->source));
	tw_json_u64(&j, "delivered", g->st.delivered);
	tw_json_u64(&j, "lost", tw_stats_lost(&g->st));
	tw_json_str(&j, "buckets", linear ? "linear" : "log2");
	tw_json_open(&j, "late", '{');
	for (p = 0; p < TRACE_NR_PARTS; p++) {
		const struct trace_hist *h = &g->st.late[p];

		tw_json_open(&j, tw_part_name(p), '{');
		tw_json_u64(&j, "count", h->count);
		tw_json_u64(&j, "min_ns", h->count ? h->min : 0);
		tw_json_u64(&j, "avg_ns", h->count ? h->sum / h->count : 0);
		tw_json_u64(&j, "p50_ns", trace_percentile(h, 500, linear));
		tw_json_u64(&j, "p99_ns", trace_percentile(h, 990, linear));
		tw_json_u64(&j, "p999_ns", trace_percentile(h, 999, linear));
		tw_json_u64(&j, "max_ns", h->max);
		tw_json_open(&j, "buckets", '[');
		for (i = 0; i < TRACE_NR_BUCKETS; i++) {
			if (!h->bucket[i])
				continue;
			tw_json_open(&j, NULL, '{');
			tw_json_u64(&j, "from_ns", trace_bucket_low(i, linear));
			tw_json_u64(&j, "count", h->bucket[i]);
			tw_json_close(&j, '}');
		}
		tw_json_close(&j, ']');
		tw_json_close(&j, '}');
	}
	tw_json_close(&j, '}');
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

/* For gnuplot: only what means nothing to it */
static void plot_text(FILE *f, const char *s)
{
	static const char plain[] = "0123456789-.abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

	for (; *s; s++)
		fputc(strchr(plain, *s) ? *s : ' ', f);
}

static void plot(FILE *f, const struct groups *g, uint64_t linear, struct tw_roster *roster)
{
	unsigned int i, lo = TRACE_NR_BUCKETS, hi = 0;
	time_t now = time(NULL);
	char date[32];
	size_t k;

	/* What there is, with an empty bucket on each side; log2: a logarithm has no 0 */
	for (k = 0; k < g->n; k++)
		for (i = 0; i < TRACE_NR_BUCKETS; i++)
			if (g->v[k].st.late[TRACE_TOTAL].bucket[i]) {
				lo = i < lo ? i : lo;
				hi = i > hi ? i : hi;
			}
	lo = lo > hi ? 1 : lo ? lo - 1 : 0;
	if (!linear && !lo)
		lo = 1;
	hi = hi < TRACE_NR_BUCKETS - 1 ? hi + 1 : hi;
	strftime(date, sizeof(date), "%Y-%m-%d %H.%M UTC", gmtime(&now));
	fprintf(f, "set terminal svg size 900,500\nset title 'How late ticks were, %s'\n", date);
	fprintf(f, "set xlabel 'late by, deadline to entry'\nset ylabel 'ticks'\n"
		"set grid\nset key outside\nset format x '%%.0s%%cs'\n%s",
		linear ? "" : "set logscale x\n");
	fputs("plot ", f);
	for (k = 0; k < g->n; k++) {
		const struct tw_known *who = tw_roster_of(roster, g->v[k].info->name);

		fprintf(f, "%s'-' using 1:2 with steps lw 2 title '", k ? ", " : "");
		plot_text(f, g->v[k].info->name);
		fputs(" ", f);
		plot_text(f, who->name ? who->name : "");
		fprintf(f, " %s'", tw_source_name(g->v[k].source));
	}
	fputs("\n", f);
	for (k = 0; k < g->n; k++) {
		for (i = lo; i <= hi; i++)
			fprintf(f, "%.9f %llu\n", trace_bucket_low(i, linear) / 1e9,
				g->v[k].st.late[TRACE_TOTAL].bucket[i]);
		fputs("e\n", f);
	}
}

/* Has gnuplot read a script and write a picture, both open files; its status, -1 if it did not end */
static int run_gnuplot(FILE *script, FILE *picture)
{
	int status;
	pid_t pid;

	fflush(NULL);
	rewind(script);
	pid = fork();
	if (!pid) {
		if (dup2(fileno(script), 0) < 0 || dup2(fileno(picture), 1) < 0)
			_exit(126);
		execlp("gnuplot", "gnuplot", (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static int write_svg(const char *path, const struct groups *g, uint64_t linear,
		     struct tw_roster *roster, struct tw_err *e)
{
	struct tw_whole w;
	FILE *script;
	int rc;

	if (!g->n) {
		tw_fail(e, TW_FAILED, "cannot draw %s", TW_QUOTE(path));
		tw_fact(e, "no tick was seen");
		return tw_cure(e, "watch for longer: -d 30s");
	}
	if (tw_whole_open(&w, path, e))
		return e->status;
	script = tmpfile();
	if (script)
		plot(script, g, linear, roster);
	rc = script ? run_gnuplot(script, w.f) : -1;
	if (script)
		fclose(script);
	if (!rc)
		return tw_whole_commit(&w, e);
	tw_whole_drop(&w);
	tw_fail(e, TW_FAILED, "cannot draw %s", TW_QUOTE(path));
	tw_fact(e, rc == 127 ? "gnuplot is not installed" : "gnuplot does not draw it");
	return tw_cure(e, "apt install gnuplot-nox");
}

static int show(const struct tw_args *args, const struct tw_tracer *t, bool *gone,
		struct tw_err *e)
{
	struct tw_roster roster = { 0 };
	struct tw_snapshot s;
	struct groups g;
	int status = TW_OK;
	size_t i;

	tw_tracer_read(t, &s);
	collect(t, &s, &g);
	*gone = tw_tracer_all_gone(t, &s);
	for (i = 0; i < g.n; i++) {
		if (args->json)
			write_group(&g.v[i], t->opts.linear_ns, tw_roster_of(&roster, g.v[i].info->name));
		else
			print_group(&g.v[i], t->opts.linear_ns, tw_roster_of(&roster, g.v[i].info->name));
	}
	if (!g.n && !args->json)
		tw_printf("no tick was seen\n");
	if (args->svg)
		status = write_svg(args->svg, &g, t->opts.linear_ns, &roster, e);
	free(g.v);
	tw_roster_free(&roster);
	tw_snapshot_free(&s);
	return status;
}

/* Until time is up, or Ctrl-C, or the VMs have gone */
static void wait_for(const struct tw_tracer *t, uint64_t end)
{
	struct tw_snapshot s;
	bool gone = false;

	/* Whoever was not named is not waited for */
	if (!t->nr_wanted)
		return tw_sleep_until(end);
	while (!tw_stop && !gone && tw_now_ns() < end) {
		uint64_t next = tw_now_ns() + 500000000;

		tw_sleep_until(next < end ? next : end);
		tw_tracer_read(t, &s);
		gone = tw_tracer_all_gone(t, &s);
		tw_snapshot_free(&s);
	}
}

struct watch {
	const struct tw_args *args;
	uint64_t span;
};

static int watch(struct tw_tracer *t, void *arg, struct tw_err *e)
{
	const struct watch *w = arg;
	bool gone = false;
	int status;

	wait_for(t, w->span ? t->start_ns + w->span : UINT64_MAX);
	status = show(w->args, t, &gone, e);
	return status ? status : tw_tell_end(t, gone, e);
}

static int run(const struct tw_args *args, struct tw_err *e)
{
	struct watch w = { .args = args };
	struct tw_tracer_opts opts;

	if (tw_args_tracer(args, "hist", &opts, e) ||
	    tw_args_duration("hist", "--duration", args->duration, &w.span, e) ||
	    tw_args_duration("hist", "--linear", args->linear, &opts.linear_ns, e))
		return e->status;
	opts.parts = true;
	return tw_watch(&opts, watch, &w, e);
}

static const struct tw_option options[] = {
	TW_OPTION_VMS,
	TW_OPTION_DURATION,
	TW_OPTION_VCPU,
	TW_OPTION_SOURCE,
	TW_OPTION("linear", 0, TW_TEXT, linear, "WIDTH",
		  "buckets of one width, 10us, instead of powers of two", NULL),
	TW_OPTION("svg", 0, TW_TEXT, svg, "FILE", "draw it, with gnuplot", "@file"),
	{ 0 },
};

const struct tw_verb tw_verb_hist = {
	.name = "hist",
	.synopsis = "[VM|(--vm VM)...] [-d TIME]",
	.summary = "show histograms of how late ticks are, and whose fault it is",
	.more = "Works on a stock kernel. Counts until TIME is over, or Ctrl-C, then prints, for\n"
		"each VM and source, the parts of the lateness and the distribution of the sum:\n"
		"host    from the deadline until the host's timer fired\n"
		"inject  until KVM had made it an interrupt (the vCPU was not running)\n"
		"entry   until the entry that carries it (the guest had interrupts off)\n"
		"Percentiles take the ticks of a bucket as spread evenly over it: they are off\n"
		"by a quarter (log2) or by WIDTH (linear) at most. Without -d nothing is shown\n"
		"before Ctrl-C.\n",
	.options = options,
	.vm_operand = true,
	.run = run,
};
