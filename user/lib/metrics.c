// SPDX-License-Identifier: GPL-2.0
#include "metrics.h"

#include <stddef.h>
#include <string.h>

#include "text.h"
#include "trace_math.h"

/* Upper ends of the lateness' buckets: powers of two, which histograms have anyway, 1 us to 17 s */
#define FIRST_LE 10
#define LAST_LE 34

struct family {
	const char *name, *type, *help;
	void (*write)(FILE *f, const struct family *fam, const struct tw_metrics *m);
	size_t offset;			/* of a number in struct trace_stats, where that is all */
};

/* A label's value may hold any UTF-8; three characters are escaped */
static void write_value(FILE *f, const char *text)
{
	char safe[512], *s;

	tw_escape(safe, sizeof(safe), text ? text : "", "");
	for (s = safe; *s; s++) {
		if (*s == '"' || *s == '\\')
			putc('\\', f);
		putc(*s, f);
	}
}

/* NAME{vm="",name="",uuid="" and then @more, which is ours and ends the brace */
static void sample_of(FILE *f, const char *name, const char *suffix, const struct tw_metrics *m,
		      const char *id, const char *more)
{
	const struct tw_known *k = tw_roster_of(m->roster, id);

	fprintf(f, "%s%s{vm=\"", name, suffix);
	write_value(f, id);
	fputs("\",name=\"", f);
	write_value(f, k->name);
	fputs("\",uuid=\"", f);
	write_value(f, k->uuid);
	fprintf(f, "\"%s} ", more);
}

static void sample(FILE *f, const char *name, const char *suffix, const struct tw_metrics *m,
		   const struct tw_row *row, const char *more)
{
	sample_of(f, name, suffix, m, row->info.name, more);
}

/* Each live VM's each source */
#define for_each_source(m, row, s, k)							\
	for (row = (m)->rows->v; row < (m)->rows->v + (m)->rows->n; row++)		\
		for (k = 0; !row->gone && k < TRACE_NR_SOURCES; k++)			\
			if (!(s = row->stats[k]))					\
				continue;						\
			else

static void write_number(FILE *f, const struct family *fam, const struct tw_metrics *m)
{
	const struct trace_stats *s;
	const struct tw_row *row;
	unsigned long long v;
	char more[64];
	unsigned int k;

	for_each_source(m, row, s, k) {
		memcpy(&v, (const char *)s + fam->offset, sizeof(v));
		snprintf(more, sizeof(more), ",source=\"%s\"", tw_source_name(k));
		sample(f, fam->name, "", m, row, more);
		fprintf(f, "%llu\n", v);
	}
}

static void write_lost(FILE *f, const struct family *fam, const struct tw_metrics *m)
{
	const struct trace_stats *s;
	const struct tw_row *row;
	char more[64];
	unsigned int k;

	for_each_source(m, row, s, k) {
		snprintf(more, sizeof(more), ",source=\"%s\"", tw_source_name(k));
		sample(f, fam->name, "", m, row, more);
		fprintf(f, "%llu\n", (unsigned long long)tw_stats_lost(s));
	}
}

/* All values below @ns, which is the begin of a bucket */
static unsigned long long count_below(const struct trace_hist *h, uint64_t ns)
{
	unsigned long long n = 0;
	unsigned int i;

	for (i = 0; i < TRACE_NR_BUCKETS && trace_bucket_low(i, 0) < ns; i++)
		n += h->bucket[i];
	return n;
}

static void write_late(FILE *f, const struct family *fam, const struct tw_metrics *m)
{
	const struct trace_stats *s;
	const struct tw_row *row;
	unsigned int k, le;
	char more[96];

	for_each_source(m, row, s, k) {
		const struct trace_hist *h = &s->late[TRACE_TOTAL];

		for (le = FIRST_LE; le <= LAST_LE; le++) {
			snprintf(more, sizeof(more), ",source=\"%s\",le=\"%.9g\"", tw_source_name(k),
				 (1ULL << le) / 1e9);
			sample(f, fam->name, "_bucket", m, row, more);
			fprintf(f, "%llu\n", count_below(h, 1ULL << le));
		}
		snprintf(more, sizeof(more), ",source=\"%s\",le=\"+Inf\"", tw_source_name(k));
		sample(f, fam->name, "_bucket", m, row, more);
		fprintf(f, "%llu\n", h->count);
		snprintf(more, sizeof(more), ",source=\"%s\"", tw_source_name(k));
		sample(f, fam->name, "_sum", m, row, more);
		fprintf(f, "%.9f\n", h->sum / 1e9);
		sample(f, fam->name, "_count", m, row, more);
		fprintf(f, "%llu\n", h->count);
	}
}

static void write_jumps(FILE *f, const struct family *fam, const struct tw_metrics *m)
{
	const struct tw_row *row;
	char more[64];
	size_t k;

	for (row = m->rows->v; row < m->rows->v + m->rows->n; row++) {
		const struct trace_clocks *c = &row->clocks;
		const struct {
			const char *clock, *way;
			unsigned long long n;
		} v[] = { { "kvmclock", "backward", c->kvmclock.back },
			  { "kvmclock", "forward", c->kvmclock.forward },
			  { "tsc", "backward", c->tsc.back }, { "tsc", "forward", c->tsc.forward } };

		for (k = 0; !row->gone && k < sizeof(v) / sizeof(*v); k++) {
			snprintf(more, sizeof(more), ",clock=\"%s\",direction=\"%s\"", v[k].clock, v[k].way);
			sample(f, fam->name, "", m, row, more);
			fprintf(f, "%llu\n", v[k].n);
		}
	}
}

static void write_cpu(FILE *f, const struct family *fam, const struct tw_metrics *m)
{
	const struct tw_row *row;
	char more[64];
	size_t k;

	for (row = m->rows->v; row < m->rows->v + m->rows->n; row++) {
		const struct tw_shares *s = &tw_roster_of(m->roster, row->info.name)->shares;
		const struct {
			const char *state;
			uint64_t ns;
			bool known;
		} v[] = { { "run", s->run_ns, true }, { "steal", s->steal_ns, true },
			  { "halt", s->halt_ns, s->stats }, { "other", s->other_ns, true } };

		for (k = 0; !row->gone && s->span_ns && k < sizeof(v) / sizeof(*v); k++) {
			if (!v[k].known)
				continue;
			snprintf(more, sizeof(more), ",state=\"%s\"", v[k].state);
			sample(f, fam->name, "", m, row, more);
			fprintf(f, "%.9f\n", v[k].ns / 1e9);
		}
	}
}

static void write_poll(FILE *f, const struct family *fam, const struct tw_metrics *m)
{
	const struct tw_row *row;

	for (row = m->rows->v; row < m->rows->v + m->rows->n; row++) {
		const struct tw_shares *s = &tw_roster_of(m->roster, row->info.name)->shares;

		if (row->gone || !s->span_ns || !s->stats)
			continue;
		sample(f, fam->name, "", m, row, ",result=\"success\"");
		fprintf(f, "%.9f\n", s->poll_ok_ns / 1e9);
		sample(f, fam->name, "", m, row, ",result=\"fail\"");
		fprintf(f, "%.9f\n", s->poll_vain_ns / 1e9);
	}
}

static void write_attached(FILE *f, const struct family *fam, const struct tw_metrics *m)
{
	const struct tw_warp *w;

	for (w = m->warps->v; w < m->warps->v + m->warps->n; w++) {
		sample_of(f, fam->name, "", m, w->id, "");
		fprintf(f, "%d\n", w->attached);
	}
}

static void write_factor(FILE *f, const struct family *fam, const struct tw_metrics *m)
{
	const struct tw_warp *w;

	for (w = m->warps->v; w < m->warps->v + m->warps->n; w++) {
		sample_of(f, fam->name, "", m, w->id, "");
		fprintf(f, "%.12g\n", w->attached && w->force.den ? (double)w->force.num / w->force.den : 1);
	}
}

static void write_losses(FILE *f, const struct family *fam, const struct tw_metrics *m)
{
	fprintf(f, "%s{what=\"event\"} %llu\n", fam->name, (unsigned long long)m->events_lost);
	fprintf(f, "%s{what=\"unit\"} %llu\n", fam->name, (unsigned long long)m->units_lost);
}

static const struct family families[] = {
#define NUMBER(name, type, help, field)							\
	{ "timewarp_ticks_" name, type, help, write_number, offsetof(struct trace_stats, field) }
	NUMBER("armed_total", "counter", "Deadlines set by the guest.", armed),
	NUMBER("fired_total", "counter", "Deadlines that the host's timer came to.", fired),
	NUMBER("delivered_total", "counter", "Ticks that went into the guest.", delivered),
	NUMBER("reinjected_total", "counter", "Ticks delivered later for lost ones.", reinjected),
	NUMBER("backlog", "gauge", "Ticks owed now.", backlog),
	NUMBER("backlog_max", "gauge", "Ticks owed at the worst.", backlog_max),
	{ "timewarp_ticks_lost_total", "counter", "Ticks that the guest will not get.", write_lost, 0 },
	{ "timewarp_tick_late_seconds", "histogram",
	  "From the deadline to the entry that carries it.", write_late, 0 },
	{ "timewarp_clock_jumps_total", "counter", "Steps of a guest's clock.", write_jumps, 0 },
	{ "timewarp_vcpu_seconds_total", "counter",
	  "Where the vCPUs' time on the host went; the states add up to the time.", write_cpu, 0 },
	{ "timewarp_vcpu_poll_seconds_total", "counter",
	  "What of the state run was polling before a halt.", write_poll, 0 },
	{ "timewarp_vm_attached", "gauge", "Whether a policy makes the time of the VM.", write_attached, 0 },
	{ "timewarp_vm_factor", "gauge",
	  "Guest seconds per host second in force; 1 where no policy is attached.", write_factor, 0 },
	{ "timewarp_not_counted_total", "counter",
	  "Events, and vCPUs or their sources, that there was no room to count.", write_losses, 0 },
};

void tw_metrics_write(FILE *f, const struct tw_metrics *m)
{
	size_t i;

	for (i = 0; i < sizeof(families) / sizeof(*families); i++) {
		fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", families[i].name, families[i].help,
			families[i].name, families[i].type);
		families[i].write(f, &families[i], m);
	}
}
