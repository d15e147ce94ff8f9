// SPDX-License-Identifier: GPL-2.0
/* twctl status: how a VM's time stands, from the kernel's state file. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apart.h"
#include "clocks.h"
#include "group.h"
#include "host.h"
#include "looks.h"
#include "parse.h"
#include "qemu/date.h"
#include "qemu/layout.h"
#include "rate.h"
#include "twctl.h"
#include "when.h"

/* The parameters of the attached policy; they cost a look into the kernel's BTF */
static bool open_live(const struct tw_vm *vm, const struct tw_state *st, struct tw_live *l)
{
	struct tw_err ignored = { 0 };
	bool ok = st->attached && !tw_live_open(l, st, &ignored);

	tw_err_free(&ignored);
	if (ok && tw_params_have_date(&l->params, l->data, l->size))
		tw_params_epoch(&l->params, tw_epoch_now(tw_dates_ahead_ns(vm)));
	return ok;
}

/* With --every: a VM as it was seen last, by this command */
struct seen {
	char id[32];
	unsigned int link_id;
	struct tw_rate_look look;
	bool again;			/* in this round */
};

struct round {
	const struct tw_args *args;
	bool stream;			/* a line a VM */
	bool silent;			/* seen, and not shown */
	struct seen *v;
	size_t n;
};

static struct seen *seen_before(const struct round *round, const struct tw_vm *vm, const struct tw_state *st)
{
	size_t i;

	for (i = 0; i < round->n; i++)
		if (!strcmp(round->v[i].id, vm->id) && round->v[i].link_id == st->link_id)
			return &round->v[i];
	return NULL;
}

/* Since the look before: with --every this command's own, if it has had one */
static void rate_of(struct round *round, const struct tw_vm *vm, const struct tw_state *st, const struct tw_live *l,
		    struct tw_rate *r)
{
	struct seen *before = seen_before(round, vm, st);
	struct tw_rate_look now, from;
	bool known = true;

	tw_rate_look(st, l ? &l->counters : NULL, l ? l->counts : NULL, l ? l->counts_size : 0, &now);
	if (before)
		from = before->look;
	else
		known = tw_looks_from(vm->id, st, &now, l, &from);
	tw_rate_judge(st, known ? &from : NULL, &now, r);
	if (!round->stream)
		return;
	if (!before) {
		round->v = tw_grow(round->v, round->n + 1, sizeof(*round->v));
		before = &round->v[round->n++];
		snprintf(before->id, sizeof(before->id), "%s", vm->id);
		before->link_id = st->link_id;
	}
	before->look = now;
	before->again = true;
}

/* Those that were not seen in it have gone */
static void end_round(struct round *round)
{
	size_t i, n = 0;

	for (i = 0; i < round->n; i++) {
		if (!round->v[i].again)
			continue;
		round->v[n] = round->v[i];
		round->v[n++].again = false;
	}
	round->n = n;
}

static void print_rate(const struct tw_rate *r)
{
	char span[48];

	tw_printf("%.5g guest seconds a host second %s %s", r->rate, r->since_attach ? "since it was attached, for" : "over the last",
		  tw_format_span(span, sizeof(span), r->span_ns) + 1);
}

static void print_params(struct round *round, const struct tw_vm *vm, const struct tw_state *st)
{
	struct tw_rate r;
	struct tw_live l;

	if (!open_live(vm, st, &l))
		return;
	rate_of(round, vm, st, &l, &r);
	tw_printf("  %-13s ", "rate");
	print_rate(&r);
	tw_printf(", bounded %s\n", tw_rate_bound_text(r.bound));
	if (l.group)
		tw_printf("  %-13s of %u VMs\n", "group", tw_group_count(l.group));
	tw_print_values("parameters", &l.params, l.data, l.size);
	tw_print_values("its counters", &l.counters, l.counts, l.counts_size);
	tw_live_close(&l);
}

static void print_exit(const struct tw_state *st)
{
	if (st->exit_kind == KVM_TIMEWARP_EXIT_NONE)
		return;
	tw_printf("  %-13s %s (%s, code %d): %s\n", "last exit", tw_exit_kind_name(st->exit_kind),
		  st->exit_reason, st->exit_code, st->exit_message);
}

static void print_factor(const struct tw_state *st)
{
	char asked[48], force[48], lo[48], hi[48];

	tw_printf("  %-13s %s asked, %s in force (limits %s to %s)\n", "factor",
		  tw_format_factor(asked, sizeof(asked), st->asked.num, st->asked.den),
		  tw_format_factor(force, sizeof(force), st->force.num, st->force.den),
		  tw_format_factor(lo, sizeof(lo), st->min.num, st->min.den),
		  tw_format_factor(hi, sizeof(hi), st->max.num, st->max.den));
}

/* What it is ahead by, over all attachments that it has had */
static void print_lead(const struct tw_state *st)
{
	int64_t ahead = (int64_t)(st->guest_ns - st->host_ns);
	char span[48];

	tw_printf("  %-13s %s (%" PRId64 " ns)\n", "guest - host",
		  tw_format_span(span, sizeof(span), ahead), ahead);
}

/* While QEMU has stopped it, it is not known since when its date stands */
static void print_date(const struct tw_vm *vm, const struct tw_state *st, bool stopped)
{
	char date[TW_DATE_MAX], span[48];
	struct tw_date_look d;
	const char *what;
	int64_t behind;

	if (stopped)
		return;
	tw_date_look(vm, st, &d);
	behind = tw_date_behind_what(&d, &what);
	tw_printf("  %-13s %s", "guest's date",
		  tw_format_date(date, sizeof(date), tw_guest_date_ns(st, tw_date_ahead_ns(&d))));
	if (behind)
		tw_printf(", %s behind %s, as QEMU let it stand; see twctl doctor",
			  tw_format_span(span, sizeof(span), behind) + 1, what);
	tw_printf("\n");
}

static void print_attached(const struct tw_vm *vm, const struct tw_state *st, bool stopped)
{
	char span[48], held[48], link[40];

	/* the kernel gives its link a number once the attach is through */
	if (st->link_id)
		snprintf(link, sizeof(link), "link %u, attached", st->link_id);
	tw_printf("  %-13s %s, %s for %s\n", "policy", st->policy, st->link_id ? link : "being attached",
	       tw_format_span(span, sizeof(span), st->host_ns - st->since_host_ns) + 1);
	print_factor(st);
	tw_printf("  %-13s %s\n", "TSC mode", st->tsc_mode);
	if (st->held)
		tw_printf("  %-13s stands still\n", "guest time");
	print_lead(st);
	print_date(vm, st, stopped);
	tw_printf("  %-13s %s at the last change, %s at the worst\n", "vCPUs held",
		  tw_format_span(span, sizeof(span), st->held_last_ns) + 1,
		  tw_format_span(held, sizeof(held), st->held_max_ns) + 1);
	/* The VM's own, since its first policy: another policy may have been to blame. */
	tw_printf("  %-13s decisions %" PRIu64 ", changes %" PRIu64 ", clamps %" PRIu64 ", floors %"
		  PRIu64 ", lost ticks %" PRIu64 " (of the VM, ever)\n", "counters", st->decisions,
		  st->changes, st->clamps, st->floors, st->lost_ticks);
	if (st->leaps)
		tw_printf("  %-13s %" PRIu64 ", by %s in all (of the VM, ever)\n", "leaps", st->leaps,
			  tw_format_span(span, sizeof(span), st->leapt_ns) + 1);
}

static void print_stuck(const struct tw_vm *vm)
{
	char why[TW_WHY_MAX];

	if (tw_session_stuck(vm, why))
		tw_printf("  %-13s %s\n", "left over", why);
}

static void print_vm(struct round *round, const struct tw_vm *vm, const struct tw_state *st)
{
	int64_t ahead = (int64_t)(st->guest_ns - st->host_ns);
	char title[40], span[48], factor[48];
	struct tw_clock clocks[TW_CLOCKS_MAX];
	struct tw_rate r;
	bool stopped;

	tw_printable(title, sizeof(title), tw_vm_title(vm));
	if (round->stream && st->attached) {
		rate_of(round, vm, st, NULL, &r);
		tw_printf("%s (%s): factor %s, guest - host %s (%" PRId64 " ns), clamps %" PRIu64 ", ", vm->id, title,
			  tw_format_factor(factor, sizeof(factor), st->force.num, st->force.den),
			  tw_format_span(span, sizeof(span), ahead), ahead, st->clamps);
		print_rate(&r);
		tw_printf("\n");
		return;
	}
	stopped = tw_vmm_is_stopped(vm);
	tw_printf("%s (%s): ", vm->id, title);
	if (!st->attached) {
		tw_printf("not attached%s\n", stopped ? ", and QEMU has stopped it" : "");
		if (!round->stream) {
			print_lead(st);
			print_date(vm, st, stopped);
			print_exit(st);
			print_stuck(vm);
		}
		return;
	}
	tw_printf("attached%s\n", stopped ? ", and QEMU has stopped it: its clocks part by that time" : "");
	print_stuck(vm);
	print_attached(vm, st, stopped);
	print_params(round, vm, st);
	tw_print_clocks(clocks, tw_clocks_list(vm, st, clocks));
}

static void write_rate(struct tw_json *j, const struct tw_rate *r)
{
	char text[32];

	snprintf(text, sizeof(text), "%.6g", r->rate);
	tw_json_str(j, "guest_per_host", text);
	tw_json_u64(j, "rate_span_ns", r->span_ns);
}

static void write_params(struct tw_json *j, struct round *round, const struct tw_vm *vm, const struct tw_state *st)
{
	struct tw_rate r;
	struct tw_live l;

	if (!open_live(vm, st, &l))
		return;
	rate_of(round, vm, st, &l, &r);
	write_rate(j, &r);
	tw_json_str(j, "bounded_by", tw_rate_bound_name(r.bound));
	tw_json_int(j, "group_vms", l.group ? tw_group_count(l.group) : 1);
	tw_json_values(j, "parameters", &l.params, l.data, l.size);
	tw_json_values(j, "counters", &l.counters, l.counts, l.counts_size);
	tw_live_close(&l);
}

static void write_exit(struct tw_json *j, const struct tw_state *st)
{
	tw_json_open(j, "last_exit", '{');
	tw_json_str(j, "kind", tw_exit_kind_name(st->exit_kind));
	tw_json_int(j, "code", st->exit_code);
	tw_json_str(j, "reason", st->exit_reason);
	tw_json_str(j, "message", st->exit_message);
	tw_json_close(j, '}');
}

static void write_attached(struct tw_json *j, const struct tw_state *st)
{
	tw_json_int(j, "id", st->id);
	tw_json_str(j, "policy", st->policy);
	if (st->link_id)
		tw_json_int(j, "link_id", st->link_id);
	else
		tw_json_null(j, "link_id");
	tw_json_str(j, "tsc_mode", st->tsc_mode);
	tw_json_factor(j, "factor_asked", &st->asked);
	tw_json_factor(j, "factor_force", &st->force);
	tw_json_factor(j, "factor_min", &st->min);
	tw_json_factor(j, "factor_max", &st->max);
	tw_json_u64(j, "since_host_ns", st->since_host_ns);
	tw_json_u64(j, "host_tsc_ticks", st->host_tsc);
	tw_json_u64(j, "guest_tsc_ticks", st->guest_tsc);
	tw_json_u64(j, "segments", st->seq);
	tw_json_u64(j, "held_last_ns", st->held_last_ns);
	tw_json_u64(j, "held_max_ns", st->held_max_ns);
	tw_json_u64(j, "decisions", st->decisions);
	tw_json_u64(j, "changes", st->changes);
	tw_json_u64(j, "clamps", st->clamps);
	tw_json_u64(j, "floors", st->floors);
	tw_json_u64(j, "lost_ticks", st->lost_ticks);
	tw_json_bool(j, "held", st->held);
	tw_json_u64(j, "leaps", st->leaps);
	tw_json_u64(j, "leapt_ns", st->leapt_ns);
}

static void write_date(struct tw_json *j, const struct tw_vm *vm, const struct tw_state *st, bool stopped)
{
	struct tw_date_look d;
	char date[TW_DATE_MAX];

	tw_date_look(vm, st, &d);
	tw_json_str(j, "guest_date", stopped ? NULL :
		    tw_format_date_ms(date, sizeof(date), tw_guest_date_ns(st, tw_date_ahead_ns(&d))));
	tw_json_s64(j, "behind_rtc_ns", tw_date_behind_ns(&d));
}

static void write_vm(struct round *round, const struct tw_vm *vm, const struct tw_state *st)
{
	bool stopped = tw_vmm_is_stopped(vm);
	struct tw_clock clocks[TW_CLOCKS_MAX];
	struct tw_json j = { .f = stdout };
	bool stream = round->stream;
	char why[TW_WHY_MAX];
	struct tw_rate r;

	tw_json_open(&j, NULL, '{');
	tw_json_vm(&j, vm);
	tw_json_bool(&j, "attached", st->attached);
	tw_json_bool(&j, "stopped", stopped);
	tw_json_u64(&j, "host_ns", st->host_ns);
	tw_json_u64(&j, "guest_ns", st->guest_ns);
	tw_json_s64(&j, "guest_minus_host_ns", (int64_t)(st->guest_ns - st->host_ns));
	if (!stream)
		write_date(&j, vm, st, stopped);
	if (!stream && tw_session_stuck(vm, why))
		tw_json_str(&j, "left_over", why);
	if (st->attached) {
		write_attached(&j, st);
		if (stream) {
			rate_of(round, vm, st, NULL, &r);
			write_rate(&j, &r);
		} else {
			write_params(&j, round, vm, st);
			tw_json_clocks(&j, clocks, tw_clocks_list(vm, st, clocks));
		}
	}
	if (st->exit_kind != KVM_TIMEWARP_EXIT_NONE)
		write_exit(&j, st);
	tw_json_bool(&j, "mute", tw_is_mute(vm->pid));
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

static int show(struct round *round, const struct tw_vm *vm, const struct tw_state *st)
{
	struct tw_rate r;

	if (round->silent && st->attached)
		rate_of(round, vm, st, NULL, &r);
	if (round->silent)
		return TW_OK;
	if (round->args->json)
		write_vm(round, vm, st);
	else
		print_vm(round, vm, st);
	if (fflush(stdout))
		return TW_FAILED;
	if (!round->args->json)
		tw_tell_mute(vm);
	return TW_OK;
}

/* On a stock kernel there is a plain answer: no VM of it can be attached */
static int show_stock(const struct tw_args *args, const struct tw_vm *vm)
{
	struct tw_json j = { .f = stdout };
	char title[40];

	if (!args->json) {
		tw_printf("%s (%s): not attached: the kernel lacks the timewarp hook\n", vm->id,
			  tw_printable(title, sizeof(title), tw_vm_title(vm)));
		fflush(stdout);
		tw_tell_mute(vm);
		return TW_OK;
	}
	tw_json_open(&j, NULL, '{');
	tw_json_vm(&j, vm);
	tw_json_bool(&j, "attached", false);
	tw_json_str(&j, "why", "the kernel lacks the timewarp hook");
	tw_json_bool(&j, "mute", tw_is_mute(vm->pid));
	tw_json_close(&j, '}');
	tw_json_end(&j);
	return TW_OK;
}

/* Reads a VM's state; 4 if the VM has gone meanwhile */
static int read_state(const struct tw_vm *vm, struct tw_state *st, struct tw_err *e)
{
	int status;

	if (!vm->dir) {
		tw_fail(e, TW_FAILED, "cannot tell the status of %s", vm->id);
		tw_fact(e, "KVM's state files are not to be seen");
		return tw_cure(e, "run twctl as root; mount -t debugfs debugfs /sys/kernel/debug");
	}
	status = tw_state_read(vm->dir, st, e);
	return status == TW_NO_VM ? tw_what(e, "cannot tell the status of %s", vm->id) : status;
}

static int show_vm(struct round *round, const struct tw_vm *vm, struct tw_err *e)
{
	struct tw_state st;

	if (!tw_host_has_hook())
		return round->silent ? TW_OK : show_stock(round->args, vm);
	if (read_state(vm, &st, e))
		return e->status;
	return show(round, vm, &st);
}

/* None to show is told as well: a line of JSON each time, whatever there is */
static void show_none(const struct tw_args *args, size_t others)
{
	struct tw_json j = { .f = stdout };

	if (!args->json) {
		if (!args->all)
			tw_printf("nothing is attached%s\n",
				  tw_host_has_hook() ? "" : ": the kernel lacks the timewarp hook");
		return;
	}
	tw_json_open(&j, NULL, '{');
	tw_json_bool(&j, "hook", tw_host_has_hook());
	tw_json_open(&j, "vms", '[');
	tw_json_close(&j, ']');
	tw_json_int(&j, "not_attached", others);
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

/* One that goes, or that cannot be read, hides no other: told at the end, the first of them */
static int show_all(struct round *round, struct tw_err *e)
{
	const struct tw_args *args = round->args;
	size_t i, shown = 0, others = 0;
	struct tw_err first = { 0 };
	struct tw_vms vms;

	tw_vms_scan(&vms);
	for (i = 0; i < vms.n; i++) {
		struct tw_state st = { 0 };

		if (!tw_host_has_hook()) {
			others++;
			shown += args->all;
			if (args->all && !round->silent)
				show_stock(args, &vms.v[i]);
		} else if (read_state(&vms.v[i], &st, e)) {
			if (!first.status && e->status != TW_NO_VM)
				first = *e;
		} else if (st.attached || args->all) {
			shown++;
			show(round, &vms.v[i], &st);
		} else {
			others++;
		}
	}
	if (!shown && !first.status && !round->silent)
		show_none(args, others);
	if (!args->json && !args->all && others && !round->silent)
		tw_printf("%zu VM%s not attached: twctl status --all\n", others, others == 1 ? " is" : "s are");
	fflush(stdout);
	tw_vms_free(&vms);
	*e = first;
	return first.status;
}

static int show_one(struct round *round, struct tw_err *e)
{
	struct tw_target t;
	int status = tw_target_find(round->args, "show the status of", &t, e);

	if (!status)
		status = show_vm(round, t.vm, e);
	tw_target_close(&t);
	return status;
}

static int one_round(struct round *round, struct tw_err *e)
{
	int status = round->args->vm ? show_one(round, e) : show_all(round, e);

	end_round(round);
	return status;
}

/* Until it is to be shown again. Where that is long, there is a look a minute before, for the rate */
static int sleep_long(struct round *round, uint64_t due, uint64_t every, struct tw_err *e)
{
	int status = TW_OK;

	if (every > TW_LOOKS_SPAN_NS) {
		tw_sleep_until(due - TW_LOOKS_SPAN_NS);
		round->silent = true;
		if (!tw_stop)
			status = one_round(round, e);
		round->silent = false;
	}
	if (!status)
		tw_sleep_until(due);
	return status;
}

static int run(const struct tw_args *args, struct tw_err *e)
{
	struct round round = { .args = args, .stream = args->every };
	uint64_t every, times = UINT64_MAX, due;
	int status;

	if (tw_args_duration("show the status", "--every", args->every, &every, e) ||
	    tw_args_count("show the status", "--count", args->count, &times, e))
		return e->status;
	if (!every)
		times = 1;
	else
		tw_catch_stop();
	due = tw_now_ns();
	for (;;) {
		status = one_round(&round, e);
		if (status || !--times || tw_stop)
			break;
		due = due + every > tw_now_ns() ? due + every : tw_now_ns() + every;
		status = sleep_long(&round, due, every, e);
		if (status || tw_stop)
			break;
	}
	free(round.v);
	return status;
}

static const struct tw_option options[] = {
	TW_OPTION_VM,
	TW_OPTIONS_INTERVAL,
	TW_OPTION("all", 0, TW_FLAG, all, NULL, "without a VM: those that are not attached, too", NULL),
	{ 0 },
};

const struct tw_verb tw_verb_status = {
	.name = "status",
	.synopsis = "[VM | --all] [--every TIME [--count N]]",
	.summary = "show how the time of one VM, or of all attached ones, stands",
	.more = "Shows guest minus host time, over all attachments that the VM has had, and the\n"
		"date that the guest shows; of an attached one its rate and what bounds that, the\n"
		"factor asked and the factor in force to 12 digits, the TSC mode, since when, how\n"
		"long vCPUs were held, and what the kernel had to clamp; and for each clock that\n"
		"is there, whether KVM warps it, the probes on the VMM do, or it is on host time,\n"
		"and why.\n"
		"\n"
		"The rate is of the time since an earlier look within the last minute. Where\n"
		"nobody had one, it is of all the time since the policy was attached. It is told\n"
		"which of both, and how long that is.\n"
		"\n"
		"In JSON, nanoseconds and ticks are decimal strings, and each VM is an object on\n"
		"a line of its own. With --every, a VM is one line of text, and the rate is of\n"
		"the time since the line before, at most a minute.\n",
	.options = options,
	.vm_operand = true,
	.run = run,
};
