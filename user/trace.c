// SPDX-License-Identifier: GPL-2.0
/* twctl trace: what happens to a VM's ticks and clocks, as it happens. */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exec.h"
#include "host.h"
#include "parse.h"
#include "perfetto.h"
#include "roster.h"
#include "threshold.h"
#include "tracer.h"
#include "twctl.h"
#include "whole.h"

struct tracing {
	const struct tw_args *args;
	struct tw_tracer *t;
	uint64_t span;			/* 0: until it is ended */
	struct tw_thresholds when;
	struct tw_snapshot units;	/* who is who; read again when a new unit turns up */
	struct policy {
		uint32_t number;
		struct tw_unit vm;
	} *policies;
	size_t nr_policies;
	struct tw_perfetto perfetto;	/* has a file where it is wanted */
	struct tw_roster roster;
	FILE *save;
	const char *command;		/* for exec: */
	bool stop_on_hit, stopped;
	uint64_t shown, hits, lines;
	bool all_gone;
	size_t gone_wanted;
};

/*
 * Which VM a policy is attached to.  The kernel tells a policy's number alone; each VM's state file has
 * the number of its policy.  Looked at whenever a timeline starts, as the file has the last one alone; those
 * before are kept, as their last events may still come.
 */
static void learn_policies(struct tracing *r)
{
	struct tw_err ignored = { 0 };
	struct tw_state st;
	struct tw_vms vms;
	struct policy *p;
	size_t i;

	tw_vms_scan(&vms);
	for (i = 0; i < vms.n; i++) {
		if (!vms.v[i].dir || tw_state_read(vms.v[i].dir, &st, &ignored) || !st.id)
			continue;
		for (p = r->policies; p < r->policies + r->nr_policies; p++)
			if (p->number == st.id && !strcmp(p->vm.info.name, vms.v[i].id))
				break;
		if (p < r->policies + r->nr_policies)
			continue;
		r->policies = tw_grow(r->policies, r->nr_policies + 1, sizeof(*r->policies));
		p = &r->policies[r->nr_policies++];
		memset(p, 0, sizeof(*p));
		p->number = st.id;
		p->vm.info.vcpu = -1;
		p->vm.info.pid = vms.v[i].pid;
		memcpy(p->vm.info.name, vms.v[i].id, sizeof(p->vm.info.name));
	}
	tw_err_free(&ignored);
	tw_vms_free(&vms);
}

/* A policy of several VMs has no VM of its own */
static const struct tw_unit *policy_vm(struct tracing *r, uint32_t id)
{
	static const struct tw_unit none = { .info = { .vcpu = -1, .name = "-" } };
	const struct tw_unit *found = NULL;
	size_t i;
	int again;

	for (again = 0; again < 2 && !found; again++) {
		if (again)
			learn_policies(r);
		for (i = 0; i < r->nr_policies; i++) {
			if (r->policies[i].number != id)
				continue;
			if (found && strcmp(found->info.name, r->policies[i].vm.info.name))
				return &none;
			found = &r->policies[i].vm;
		}
	}
	return found ? found : &none;
}

static const struct tw_unit *unit_of(struct tracing *r, const struct trace_event *ev)
{
	uint32_t id = ev->unit;
	size_t i;
	int again;

	if (!id)
		return policy_vm(r, ev->c);
	for (again = 0; again < 2; again++) {
		for (i = 0; i < r->units.n; i++)
			if (r->units.v[i].id == id)
				return &r->units.v[i];
		tw_snapshot_free(&r->units);
		tw_tracer_read(r->t, &r->units);
	}
	return NULL;
}

/* What an event says beyond its columns */
static const char *details(char *buf, size_t size, const struct trace_event *ev)
{
	char a[16], b[16], c[16];

	switch (ev->kind) {
	case TRACE_EV_ARMED:
		if (ev->a < 0)
			snprintf(buf, size, "due %s ago", tw_short_ns(a, sizeof(a), -ev->a));
		else
			snprintf(buf, size, "due in %s", tw_short_ns(a, sizeof(a), ev->a));
		break;
	case TRACE_EV_DELIVERED:
		snprintf(buf, size, "%s+%s+%s", tw_short_ns(a, sizeof(a), ev->a),
			 tw_short_ns(b, sizeof(b), ev->b), tw_short_ns(c, sizeof(c), ev->c));
		break;
	case TRACE_EV_LOST:
		snprintf(buf, size, "%lld %s", ev->a, tw_loss_name(ev->b));
		break;
	case TRACE_EV_REINJECTED:
	case TRACE_EV_BACKLOG:
		snprintf(buf, size, "%lld owed", ev->a);
		break;
	case TRACE_EV_KVMCLOCK:
	case TRACE_EV_TSC:
		snprintf(buf, size, "%+lldns %s", ev->a, tw_cause_name(ev->b));
		break;
	case TRACE_EV_MASTER:
		snprintf(buf, size, "%s", ev->a ? "regained" : "lost");
		break;
	case TRACE_EV_PVCLOCK:
		snprintf(buf, size, "%+lldns%s", ev->a, ev->b & 1 ? " stable" : "");
		break;
	case TRACE_EV_SEGMENT:
		snprintf(buf, size, ev->b == 1 ? "%s %lldx" : "%s %lld/%lld", tw_change_name(ev), ev->a,
			 ev->b);
		break;
	case TRACE_EV_CLAMP:
		snprintf(buf, size, "%.15s %llu", ev->text, (unsigned long long)ev->a);
		break;
	case TRACE_EV_EXIT:
		snprintf(buf, size, "%.15s %lld", ev->text, ev->b);
		break;
	default:
		*buf = 0;
	}
	return buf;
}

static uint64_t late_of(const struct trace_event *ev)
{
	return ev->kind == TRACE_EV_DELIVERED ? ev->a + ev->b + ev->c : 0;
}

static void print_text(struct tracing *r, const struct tw_unit *u, const struct trace_event *ev)
{
	uint64_t since = ev->host_ns > r->t->start_ns ? ev->host_ns - r->t->start_ns : 0;
	char more[64], late[16] = "", vcpu[12] = "-", name[48];

	if (!(r->lines++ % 40))
		tw_printf("%14s %-11s %4s %-8s %-10s %6s  %s\n", "TIME/s", "VM", "VCPU", "SOURCE",
			  "EVENT", "LATE", "DETAILS");
	if (u->info.vcpu >= 0)
		snprintf(vcpu, sizeof(vcpu), "%d", u->info.vcpu);
	if (ev->kind == TRACE_EV_DELIVERED)
		tw_short_ns(late, sizeof(late), late_of(ev));
	details(more, sizeof(more), ev);
	tw_printf("%4llu.%09llu %-11.11s %4s %-8s %-10s %6s  %.20s%s\n",
		     (unsigned long long)since / 1000000000, (unsigned long long)since % 1000000000,
		     u->info.name, vcpu, tw_source_name(ev->source), tw_kind_name(ev->kind), late, more,
		     tw_known_suffix(tw_roster_of(&r->roster, u->info.name), name, sizeof(name)));
}

/* In quotes, those within it twice */
static const char *csv_field(char *buf, size_t size, const char *text)
{
	size_t n = 0;

	if (text)
		buf[n++] = '"';
	for (; text && *text && n + 4 < size; text++) {
		if (*text == '"')
			buf[n++] = '"';
		buf[n++] = *text;
	}
	if (text)
		buf[n++] = '"';
	buf[n] = 0;
	return buf;
}

static void print_csv(struct tracing *r, const struct tw_unit *u, const struct trace_event *ev)
{
	const struct tw_known *who = tw_roster_of(&r->roster, u->info.name);
	char name[256];

	if (!r->lines++)
		tw_printf("host_ns,vm,vcpu,source,event,a,b,c,name,uuid\n");
	tw_printf("%llu,%s,%d,%s,%s,%lld,%lld,%lld,%s,%s\n", ev->host_ns, u->info.name, u->info.vcpu,
		     tw_source_name(ev->source), tw_kind_name(ev->kind), ev->a, ev->b, ev->c,
		     csv_field(name, sizeof(name), who->name), who->uuid ? who->uuid : "");
}

static void write_json(struct tracing *r, FILE *f, const struct tw_unit *u, const struct trace_event *ev)
{
	const struct tw_known *who = tw_roster_of(&r->roster, u->info.name);
	struct tw_json j = { .f = f, .unflushed = true };

	tw_json_open(&j, NULL, '{');
	tw_json_u64(&j, "host_ns", ev->host_ns);
	tw_json_str(&j, "vm", u->info.name);
	tw_json_str(&j, "name", who->name);
	tw_json_str(&j, "uuid", who->uuid);
	if (u->info.vcpu >= 0)
		tw_json_int(&j, "vcpu", u->info.vcpu);
	else
		tw_json_null(&j, "vcpu");
	tw_json_str(&j, "source", ev->source < TRACE_NR_SOURCES ? tw_source_name(ev->source) : NULL);
	tw_json_str(&j, "event", tw_kind_name(ev->kind));
	switch (ev->kind) {
	case TRACE_EV_ARMED:
		tw_json_s64(&j, "due_in_ns", ev->a);
		break;
	case TRACE_EV_DELIVERED:
		tw_json_u64(&j, "late_ns", late_of(ev));
		tw_json_u64(&j, "host_late_ns", ev->a);
		tw_json_u64(&j, "inject_late_ns", ev->b);
		tw_json_u64(&j, "entry_late_ns", ev->c);
		break;
	case TRACE_EV_LOST:
		tw_json_u64(&j, "ticks", ev->a);
		tw_json_str(&j, "how", tw_loss_name(ev->b));
		break;
	case TRACE_EV_REINJECTED:
	case TRACE_EV_BACKLOG:
		tw_json_u64(&j, "owed_ticks", ev->a);
		break;
	case TRACE_EV_KVMCLOCK:
	case TRACE_EV_TSC:
		tw_json_s64(&j, "jump_ns", ev->a);
		tw_json_str(&j, "by", tw_cause_name(ev->b));
		if (ev->kind == TRACE_EV_TSC)
			tw_json_s64(&j, "tsc_offset_ticks", ev->c);
		break;
	case TRACE_EV_MASTER:
		tw_json_bool(&j, "master_clock", ev->a);
		break;
	case TRACE_EV_PVCLOCK:
		tw_json_s64(&j, "correction_ns", ev->a);
		tw_json_bool(&j, "stable", ev->b & 1);
		break;
	case TRACE_EV_SEGMENT:
		tw_json_str(&j, "change", tw_change_name(ev));
		tw_json_u64(&j, "factor_num", ev->a);
		tw_json_u64(&j, "factor_den", ev->b);
		tw_json_u64(&j, "held_ns", ev->c);
		break;
	case TRACE_EV_CLAMP:
		tw_json_u64(&j, "policy", ev->c);
		tw_json_str(&j, "what", ev->text);
		tw_json_u64(&j, "asked", ev->a);
		tw_json_u64(&j, "given", ev->b);
		break;
	case TRACE_EV_EXIT:
		tw_json_u64(&j, "policy", ev->c);
		tw_json_int(&j, "kind", ev->a);
		tw_json_int(&j, "code", ev->b);
		tw_json_str(&j, "reason", ev->text);
		break;
	}
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

/* The policy that its VM has by now, "" for none */
static void read_policy(const char *id, char *policy, size_t size)
{
	char *dir = tw_asprintf(TW_KVM_DEBUGFS "/%s", id);
	struct tw_err ignored = { 0 };
	struct tw_state st;

	*policy = 0;
	if (!tw_state_read(dir, &st, &ignored) && st.attached)
		snprintf(policy, size, "%s", st.policy);
	tw_err_free(&ignored);
	free(dir);
}

static void run_command(struct tracing *r, const struct tw_unit *u, const struct trace_event *ev)
{
	const struct tw_known *who = tw_roster_of(&r->roster, u->info.name);
	char late[32], vcpu[16], policy[32];
	const struct tw_exec about = {
		.vm = u->info.name, .name = who->name, .uuid = who->uuid, .policy = policy,
		.event = tw_kind_name(ev->kind), .vcpu = vcpu, .source = tw_source_name(ev->source), .late_ns = late,
		/* one at a time: there may be thousands of hits a second */
		.wait = true, .to_stderr = r->args->json || r->args->csv,
	};
	int code;

	read_policy(u->info.name, policy, sizeof(policy));
	snprintf(late, sizeof(late), "%llu", (unsigned long long)late_of(ev));
	snprintf(vcpu, sizeof(vcpu), "%d", u->info.vcpu);
	code = tw_exec_run(r->command, &about);
	if (code)
		tw_fprintf(stderr, "twctl: cannot run %s: %s\n", r->command, strerror(code));
}

static void on_hit(struct tracing *r, const struct tw_unit *u, const struct trace_event *ev)
{
	r->hits++;
	if (r->save) {
		write_json(r, r->save, u, ev);
		fflush(r->save);
	}
	if (r->command)
		run_command(r, u, ev);
	if (r->stop_on_hit)
		r->stopped = true;
}

static int on_event(void *ctx, void *data, size_t size)
{
	const struct trace_event *ev = data;
	struct tracing *r = ctx;
	const struct tw_unit *u;

	if (r->stopped || size < sizeof(*ev))
		return 0;
	if (ev->kind == TRACE_EV_SEGMENT && !ev->text[0])
		learn_policies(r);
	u = unit_of(r, ev);
	if (!u || (*u->info.name != '-' && !tw_tracer_wants(r->t, u->info.name)))
		return 0;
	if (ev->kind == TRACE_EV_GONE && u->info.vcpu < 0) {
		r->gone_wanted++;
		if (r->t->nr_wanted && r->gone_wanted >= r->t->nr_wanted)
			r->all_gone = true;
	}
	if (r->perfetto.f)
		tw_perfetto_event(&r->perfetto, u, tw_roster_of(&r->roster, u->info.name), ev);
	else if (r->args->csv)
		print_csv(r, u, ev);
	else if (r->args->json)
		write_json(r, stdout, u, ev);
	else
		print_text(r, u, ev);
	r->shown++;
	if (tw_threshold_hit(&r->when, ev))
		on_hit(r, u, ev);
	return 0;
}

static const struct what {
	const char *word;
	uint32_t kinds;
} whats[] = {
	{ "armed", 1 << TRACE_EV_ARMED },
	{ "delivered", 1 << TRACE_EV_DELIVERED },
	{ "lost", 1 << TRACE_EV_LOST | 1 << TRACE_EV_REINJECTED | 1 << TRACE_EV_BACKLOG },
	{ "clock", 1 << TRACE_EV_KVMCLOCK | 1 << TRACE_EV_TSC | 1 << TRACE_EV_MASTER },
	{ "pvclock", 1 << TRACE_EV_PVCLOCK },
	{ "timeline", 1 << TRACE_EV_SEGMENT | 1 << TRACE_EV_CLAMP | 1 << TRACE_EV_EXIT },
	{ "all", ~0U },
};

static const struct what *find_what(const char *word)
{
	size_t i;

	for (i = 0; i < sizeof(whats) / sizeof(*whats); i++)
		if (!strcmp(whats[i].word, word))
			return &whats[i];
	return NULL;
}

static bool is_what(const char *word)
{
	return find_what(word);
}

/* What to see, by words; without any, all that is not mere traffic */
static int parse_what(const struct tw_args *args, uint32_t *kinds, struct tw_err *e)
{
	const struct what *what;
	size_t i;

	*kinds = args->operands.n ? 0 : ~(1U << TRACE_EV_PVCLOCK);
	for (i = 0; i < args->operands.n; i++) {
		what = find_what(args->operands.v[i]);
		if (!what) {
			tw_fail(e, TW_USAGE, "cannot trace %s", TW_QUOTE(args->operands.v[i]));
			tw_fact(e, "there is no such kind of event");
			return tw_cure(e, "use: armed, delivered, lost, clock, pvclock, timeline, all");
		}
		*kinds |= what->kinds;
	}
	*kinds |= 1 << TRACE_EV_GONE;
	return TW_OK;
}

static int parse_action(struct tracing *r, struct tw_err *e)
{
	const char *a = r->args->action;

	if (a && r->args->exec) {
		tw_fail(e, TW_USAGE, "cannot trace");
		tw_fact(e, "--exec is an action, and --action names one, too");
		return tw_cure(e, "leave one of them out");
	}
	r->command = r->args->exec;
	if (r->command)
		return TW_OK;
	if (!a || !strcmp(a, "stop")) {
		r->stop_on_hit = true;
		return TW_OK;
	}
	if (!strncmp(a, "exec:", 5) && a[5]) {
		r->command = a + 5;
		return TW_OK;
	}
	if (!strncmp(a, "save:", 5) && a[5])
		return tw_stream_open(a + 5, &r->save, e);
	tw_fail(e, TW_USAGE, "cannot trace");
	tw_fact(e, "there is no action %s", TW_QUOTE(a));
	return tw_cure(e, "use: stop, exec:COMMAND, save:FILE");
}

static void loop(struct tracing *r, struct ring_buffer *rb, uint64_t end)
{
	uint64_t asked = 0;

	while (!tw_stop && !r->stopped && !r->all_gone) {
		uint64_t now = tw_now_ns();

		/* VMs that nobody knows yet are looked for once a second */
		if (now - asked > 1000000000) {
			tw_roster_interval(&r->roster);
			asked = now;
		}

		if (now >= end)
			break;
		ring_buffer__poll(rb, end - now < 100000000 ? (end - now) / 1000000 + 1 : 100);
		ring_buffer__consume(rb);
		/* What stands in the terminal, and in the file, is what has happened */
		if (fflush(stdout) || ferror(stdout) ||
		    (r->perfetto.f && tw_perfetto_flush(&r->perfetto)))
			break;
	}
	/* What came until Ctrl-C belongs to it */
	ring_buffer__consume(rb);
}

static int finish(struct tracing *r, struct tw_err *e)
{
	uint64_t events, units;
	int status = TW_OK;

	if (r->perfetto.f && tw_perfetto_end(&r->perfetto)) {
		tw_fail(e, TW_FAILED, "cannot write %s", TW_QUOTE(r->args->perfetto));
		tw_fact(e, "%s", strerror(errno));
		status = tw_cure(e, "look for room on that file system");
	}
	fflush(stdout);
	tw_tracer_losses(r->t, &events, &units);
	tw_fprintf(stderr, "twctl: %llu events, %llu lost\n", (unsigned long long)r->shown,
		   (unsigned long long)(events + units));
	if (status)
		return status;
	if (r->hits)
		return TW_THRESHOLD;
	return r->all_gone ? tw_tell_end(r->t, true, e) : TW_OK;
}

static int watch(struct tw_tracer *t, void *arg, struct tw_err *e)
{
	struct tracing *r = arg;
	struct ring_buffer *rb;
	int status;

	r->t = t;
	learn_policies(r);
	rb = ring_buffer__new(tw_tracer_ring_fd(t), on_event, r, NULL);
	if (!rb) {
		tw_fail(e, TW_FAILED, "cannot trace");
		tw_fact(e, "the ring buffer cannot be mapped: %s", strerror(errno));
		return tw_cure(e, "-v shows more");
	}
	loop(r, rb, r->span ? t->start_ns + r->span : UINT64_MAX);
	status = finish(r, e);
	ring_buffer__free(rb);
	return status;
}

static int run(const struct tw_args *args, struct tw_err *e)
{
	struct tracing r = { .args = args };
	struct tw_tracer_opts opts;
	FILE *perfetto;
	size_t i;
	int status;

	if (tw_args_tracer(args, "trace", &opts, e) || parse_what(args, &opts.kinds, e) ||
	    tw_args_duration("trace", "--duration", args->duration, &r.span, e))
		return e->status;
	for (i = 0; i < args->thresholds.n; i++)
		if (tw_threshold_parse(&r.when, args->thresholds.v[i], e))
			return e->status;
	if (parse_action(&r, e))
		return e->status;
	opts.kinds |= tw_threshold_kinds(&r.when);
	opts.events = true;
	opts.armed = opts.kinds >> TRACE_EV_ARMED & 1;
	opts.parts = true;
	if (args->perfetto) {
		if (tw_stream_open(args->perfetto, &perfetto, e))
			return e->status;
		tw_perfetto_begin(&r.perfetto, perfetto);
	}
	status = tw_watch(&opts, watch, &r, e);
	tw_snapshot_free(&r.units);
	free(r.policies);
	tw_roster_free(&r.roster);
	if (r.perfetto.f)
		tw_perfetto_end(&r.perfetto);
	if (r.save)
		fclose(r.save);
	return status;
}

static const struct tw_option options[] = {
	TW_OPTION_VMS,
	TW_OPTION_DURATION,
	TW_OPTION_VCPU,
	TW_OPTION_SOURCE,
	TW_OPTION_JUMP,
	TW_OPTION("csv", 0, TW_FLAG, csv, NULL, "comma-separated values", NULL),
	TW_OPTION("perfetto", 0, TW_TEXT, perfetto, "FILE",
		  "write a trace for the Perfetto UI, and no lines", "@file"),
	TW_OPTION("on-threshold", 0, TW_LIST, thresholds, "COND",
		  "late>1ms, lost, lost>5, backward: then act; may be repeated", NULL),
	TW_OPTION("action", 0, TW_TEXT, action, "ACT",
		  "stop (default), exec:COMMAND or save:FILE", NULL),
	TW_OPTION("exec", 0, TW_TEXT, exec, "COMMAND", "run it then: the same as --action exec:COMMAND", NULL),
	{ 0 },
};

const struct tw_verb tw_verb_trace = {
	.name = "trace",
	.synopsis = "[VM|(--vm VM)...] [-d TIME]\n"
		    "                   [armed|delivered|lost|clock|pvclock|timeline|all]...",
	.summary = "show what happens to ticks and clocks, a line each",
	.more = "Works on a stock kernel. TIME/s counts from the start. DETAILS of a delivered\n"
		"tick are the parts of LATE: host timer + vCPU not running + guest not ready.\n"
		"Runs until Ctrl-C, TIME, or a threshold whose action is stop. How many events\n"
		"were lost comes last, on stderr, always.\n"
		"\n"
		"--exec runs a command in a shell, and waits for it. It finds in its environment\n"
		"what attach --exec does, TIMEWARP_VM, TIMEWARP_NAME, TIMEWARP_UUID,\n"
		"TIMEWARP_POLICY and TIMEWARP_EVENT, and of the tick TIMEWARP_VCPU,\n"
		"TIMEWARP_SOURCE and TIMEWARP_LATE_NS. With -j or --csv what it prints goes to\n"
		"standard error.\n"
		"\n"
		"Status 10 if a threshold was hit, 4 when all VMs named with --vm have gone.\n",
	.options = options,
	.max_operands = 8,
	.vm_operand = true,
	.own = is_what,
	.run = run,
};
