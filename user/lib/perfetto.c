// SPDX-License-Identifier: GPL-2.0
#include "perfetto.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "text.h"

#define BUFFER (1 << 20)
#define FLUSH_EVENTS 512		/* fit in the buffer: it is never flushed within one */

void tw_perfetto_begin(struct tw_perfetto *p, FILE *f)
{
	memset(p, 0, sizeof(*p));
	p->f = f;
	p->buffer = tw_grow(NULL, BUFFER, 1);
	setvbuf(f, p->buffer, _IOFBF, BUFFER);
	fputs("[\n", f);
}

int tw_perfetto_flush(struct tw_perfetto *p)
{
	return fflush(p->f) || ferror(p->f) ? -1 : 0;
}

int tw_perfetto_end(struct tw_perfetto *p)
{
	int ret;

	fputs("]\n", p->f);
	ret = tw_perfetto_flush(p);
	if (fclose(p->f))
		ret = -1;
	p->f = NULL;
	free(p->buffer);
	return ret;
}

/* Opens an event: what, when (us), whose */
static void open_event(struct tw_perfetto *p, struct tw_json *j, const char *phase, const char *name,
		       const struct tw_unit *u)
{
	if (p->events++)
		putc(',', p->f);
	*j = (struct tw_json){ .f = p->f, .unflushed = true, .foreign = true };
	tw_json_open(j, NULL, '{');
	tw_json_str(j, "ph", phase);
	tw_json_str(j, "name", name);
	tw_json_int(j, "pid", u->info.pid);
	tw_json_int(j, "tid", u->info.vcpu + 1);
}

static void close_event(struct tw_perfetto *p, struct tw_json *j)
{
	tw_json_close(j, '}');
	tw_json_end(j);
	if (p->events % FLUSH_EVENTS == 0)
		fflush(p->f);
}

static void name_unit(struct tw_perfetto *p, const struct tw_unit *u, const struct tw_known *who)
{
	struct tw_json j;
	char text[160];

	open_event(p, &j, "M", "process_name", u);
	tw_json_open(&j, "args", '{');
	if (who->name)
		snprintf(text, sizeof(text), "%.100s (%s)", who->name, u->info.name);
	else
		snprintf(text, sizeof(text), "VM %s", u->info.name);
	tw_json_str(&j, "name", text);
	tw_json_str(&j, "uuid", who->uuid);
	tw_json_close(&j, '}');
	close_event(p, &j);
	open_event(p, &j, "M", "thread_name", u);
	tw_json_open(&j, "args", '{');
	snprintf(text, sizeof(text), u->info.vcpu < 0 ? "VM" : "vCPU %d", u->info.vcpu);
	tw_json_str(&j, "name", text);
	tw_json_close(&j, '}');
	close_event(p, &j);
}

/* Something that happens at a moment, in a thread ("t"), a process ("p") or everywhere ("g") */
static void instant(struct tw_perfetto *p, struct tw_json *j, const char *name, const char *scope,
		    const struct tw_unit *u, double us)
{
	open_event(p, j, "i", name, u);
	tw_json_str(j, "s", scope);
	tw_json_decimal(j, "ts", us, 3);
	tw_json_open(j, "args", '{');
}

static void counter(struct tw_perfetto *p, const char *name, const char *of, double value, int decimals,
		    const struct tw_unit *u, double us)
{
	struct tw_json j;

	open_event(p, &j, "C", name, u);
	tw_json_decimal(&j, "ts", us, 3);
	tw_json_open(&j, "args", '{');
	tw_json_decimal(&j, of, value, decimals);
	tw_json_close(&j, '}');
	close_event(p, &j);
}

static void late_tick(struct tw_perfetto *p, const struct tw_unit *u, const struct trace_event *ev)
{
	double late = (ev->a + ev->b + ev->c) / 1e3;
	struct tw_json j;
	char name[64];

	snprintf(name, sizeof(name), "%s late", tw_source_name(ev->source));
	open_event(p, &j, "X", name, u);
	tw_json_decimal(&j, "ts", ev->host_ns / 1e3 - late, 3);
	tw_json_decimal(&j, "dur", late, 3);
	tw_json_open(&j, "args", '{');
	tw_json_int(&j, "host_late_ns", ev->a);
	tw_json_int(&j, "inject_late_ns", ev->b);
	tw_json_int(&j, "entry_late_ns", ev->c);
	tw_json_close(&j, '}');
	close_event(p, &j);
}

static void clock_jump(struct tw_perfetto *p, const struct tw_unit *u, const struct trace_event *ev)
{
	double us = ev->host_ns / 1e3;
	struct tw_json j;
	char name[64];

	snprintf(name, sizeof(name), "%s jump", tw_kind_name(ev->kind));
	instant(p, &j, name, "t", u, us);
	tw_json_int(&j, "jump_ns", ev->a);
	tw_json_str(&j, "by", tw_cause_name(ev->b));
	tw_json_close(&j, '}');
	close_event(p, &j);
	if (ev->kind != TRACE_EV_TSC)
		return;
	snprintf(name, sizeof(name), "vCPU %d TSC offset", u->info.vcpu);
	counter(p, name, "ticks", ev->c, 0, u, us);
}

static void segment(struct tw_perfetto *p, const struct tw_unit *u, const struct trace_event *ev)
{
	double us = ev->host_ns / 1e3, factor = ev->b ? (double)ev->a / ev->b : 0;
	struct tw_json j;
	char name[64];

	snprintf(name, sizeof(name), "timeline %s", tw_change_name(ev));
	instant(p, &j, name, "p", u, us);
	tw_json_decimal(&j, "factor", factor, 9);
	tw_json_int(&j, "held_ns", ev->c);
	tw_json_close(&j, '}');
	close_event(p, &j);
	counter(p, "factor", "factor", factor, 9, u, us);
}

void tw_perfetto_event(struct tw_perfetto *p, const struct tw_unit *u, const struct tw_known *who,
		       const struct trace_event *ev)
{
	double us = ev->host_ns / 1e3;
	struct tw_json j;
	char name[64];

	if (u->id < TRACE_MAX_UNITS && !p->named[u->id]++)
		name_unit(p, u, who);
	switch (ev->kind) {
	case TRACE_EV_DELIVERED:
		return late_tick(p, u, ev);
	case TRACE_EV_TSC:
	case TRACE_EV_KVMCLOCK:
		return clock_jump(p, u, ev);
	case TRACE_EV_SEGMENT:
		return segment(p, u, ev);
	case TRACE_EV_BACKLOG:
	case TRACE_EV_REINJECTED:
		snprintf(name, sizeof(name), "%s backlog", tw_source_name(ev->source));
		return counter(p, name, "ticks", ev->a, 0, u, us);
	case TRACE_EV_LOST:
		snprintf(name, sizeof(name), "lost %s tick", tw_source_name(ev->source));
		instant(p, &j, name, "t", u, us);
		tw_json_int(&j, "ticks", ev->a);
		tw_json_str(&j, "how", tw_loss_name(ev->b));
		break;
	case TRACE_EV_MASTER:
		instant(p, &j, ev->a ? "master clock regained" : "master clock lost", "p", u, us);
		break;
	case TRACE_EV_CLAMP:
	case TRACE_EV_EXIT:
		snprintf(name, sizeof(name), "policy %lld %s", ev->c,
			 ev->kind == TRACE_EV_CLAMP ? "clamped" : "ended");
		instant(p, &j, name, "g", u, us);
		snprintf(name, sizeof(name), "%.15s", ev->text);
		tw_json_str(&j, "text", name);
		break;
	default:
		return;
	}
	tw_json_close(&j, '}');
	close_event(p, &j);
}
