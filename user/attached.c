// SPDX-License-Identifier: GPL-2.0
#include "attached.h"

#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clocks.h"
#include "host.h"
#include "notify.h"
#include "parse.h"
#include "proc.h"
#include "qemu/cmdline.h"
#include "qemu/date.h"
#include "qemu/layout.h"
#include "when.h"

const char *tw_event_word(unsigned int kind)
{
	return kind == TIMEWARP_EVENT_DONE ? "done" : kind == TIMEWARP_EVENT_STEP ? "step" :
	       kind == TIMEWARP_EVENT_LEAPS ? "leaps-ms" : "event";
}

void tw_tell_event(const struct attachment *a, const struct timewarp_event *event)
{
	const char *word = tw_event_word(event->kind);
	uint64_t date_ns = event->guest_ns + (uint64_t)(tw_host_epoch_ns() + a->ahead_ns);
	struct tw_json j = { .f = stdout };
	char date[TW_DATE_MAX];

	tw_format_date(date, sizeof(date), date_ns);
	if (!a->args->json) {
		tw_printf("%s: %s tells: %s %u, guest at %s\n", a->name, a->policy, word,
			  event->number, date);
		fflush(stdout);
		return;
	}
	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "event", "policy");
	tw_json_vm(&j, a->t.vm);
	tw_json_str(&j, "policy", a->policy);
	tw_json_str(&j, "tells", word);
	tw_json_int(&j, "number", event->number);
	tw_json_u64(&j, "host_ns", event->host_ns);
	tw_json_u64(&j, "guest_ns", event->guest_ns);
	tw_json_str(&j, "guest_date", tw_format_date_ms(date, sizeof(date), date_ns));
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

static void write_date(const struct attachment *a, uint64_t date_ns)
{
	struct tw_json j = { .f = stdout };
	char date[TW_DATE_MAX];

	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "event", "date");
	tw_json_vm(&j, a->t.vm);
	tw_json_str(&j, "guest_date", tw_format_date_ms(date, sizeof(date), date_ns));
	tw_json_s64(&j, "rtc_ahead_ns", a->ahead_ns);
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

void tw_tell_date(const struct attachment *a)
{
	struct tw_err ignored = { 0 };
	struct tw_state st;
	size_t size = 0;
	void *data = a->made.p.data ? bpf_map__initial_value(a->made.p.data, &size) : NULL;
	char date[TW_DATE_MAX];
	uint64_t now;

	if (a->args->going || !tw_params_have_date(&a->made.p.params, data, size) ||
	    !a->t.vm->dir || tw_state_read(a->t.vm->dir, &st, &ignored)) {
		tw_err_free(&ignored);
		return;
	}
	now = tw_guest_date_ns(&st, a->ahead_ns);
	if (a->args->json)
		write_date(a, now);
	else
		tw_fprintf(stderr, "twctl: %s is taken to be at %s%s\n", a->name,
			   tw_format_date(date, sizeof(date), now),
			   a->ahead_ns > 0 ? ", by the date that its RTC was given" :
			   a->ahead_ns ? ", by its RTC, or as QEMU let it stand" : "");
}

static void report_vmm(const struct attachment *a, const struct tw_session *p)
{
	char of[TW_TARGET_NAME_MAX] = "";

	if (a->made.nr_vms > 1)
		snprintf(of, sizeof(of), " of %s", p->vm->id);
	if (!p->on)
		tw_printf("clocks of the VMM%s on host time (%s); ", of, p->look.why);
	else if (*p->look.why_rtc)
		tw_printf("RTC%s on host time (%s); ", of, p->look.why_rtc);
}

/* The first VMM whose clocks do not follow, or else whose RTC does not, or else the first */
static const struct tw_session *vmm_left_out(const struct attachment *a)
{
	unsigned int i;

	for (i = 0; i < a->made.nr_vms; i++)
		if (!a->made.session[i].on)
			return &a->made.session[i];
	for (i = 0; i < a->made.nr_vms; i++)
		if (*a->made.session[i].look.why_rtc)
			return &a->made.session[i];
	return &a->made.session[0];
}

static void report(const struct attachment *a, struct tw_state *st, bool known)
{
	char factor[48];
	unsigned int i;

	if (known)
		tw_format_factor(factor, sizeof(factor), st->force.num, st->force.den);
	tw_printf("attached %s to %s: ", a->policy, a->name);
	if (known)
		tw_printf("factor %s, TSC %s; ", factor, st->tsc_mode);
	for (i = 0; i < a->made.nr_vms; i++)
		report_vmm(a, &a->made.session[i]);
	tw_printf("%s: twctl detach --vm %s\n",
		  a->args->pin ? "pinned; undo" :
		  a->args->going ? "Ctrl-C shuts the guest down; undo" :
		  isatty(STDIN_FILENO) ? "undo with Ctrl-C or" : "undo with", a->t.vm->id);
	fflush(stdout);
}

static void report_json(const struct attachment *a, struct tw_state *st, bool known)
{
	const struct tw_session *left_out = vmm_left_out(a);
	struct tw_json j = { .f = stdout };
	char undo[64];

	snprintf(undo, sizeof(undo), "twctl detach --vm %s", a->t.vm->id);
	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "event", "attached");
	tw_json_vm(&j, a->t.vm);
	tw_json_str(&j, "policy", a->policy);
	if (a->made.nr_vms > 1) {
		tw_json_open(&j, "group", '[');
		for (unsigned int i = 1; i < a->made.nr_vms; i++)
			tw_json_str(&j, NULL, a->made.session[i].vm->id);
		tw_json_close(&j, ']');
	}
	tw_json_bool(&j, "pinned", a->args->pin);
	tw_json_bool(&j, "vmm_clocks", left_out->on);
	if (!left_out->on)
		tw_json_str(&j, "vmm_why_not", left_out->look.why);
	else if (*left_out->look.why_rtc)
		tw_json_str(&j, "rtc_why_not", left_out->look.why_rtc);
	if (known) {
		tw_json_str(&j, "tsc_mode", st->tsc_mode);
		tw_json_factor(&j, "factor_asked", &st->asked);
		tw_json_factor(&j, "factor_force", &st->force);
		tw_json_int(&j, "link_id", st->link_id);
	}
	tw_json_str(&j, "undo", undo);
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

/* ---- what would be attached */

static const char *planned_mode(unsigned int mode)
{
	static const char *const names[] = {
		[KVM_TIMEWARP_TSC_SCALED] = "scaled", [KVM_TIMEWARP_TSC_TRAPPED] = "trapped",
		[KVM_TIMEWARP_TSC_OFFSET] = "offset",
	};

	if (mode == KVM_TIMEWARP_TSC_AUTO)
		return tw_host_scales_tsc() ? "scaled" : "trapped";
	return names[mode];
}

static void print_planned(const struct attachment *a, unsigned int mode)
{
	const struct tw_params *params = &a->made.p.params;
	struct tw_clock clocks[TW_CLOCKS_MAX];
	size_t size = 0;
	void *data = a->made.p.data ? bpf_map__initial_value(a->made.p.data, &size) : NULL;
	unsigned int i;

	tw_printf("would attach %s to %s%s; nothing was done\n", a->made.p.name, a->name, a->args->pin ? ", pinned" : "");
	tw_print_values("parameters", params, data, size);
	tw_printf("  %-13s %s%s\n", "TSC mode", planned_mode(mode), mode == KVM_TIMEWARP_TSC_AUTO ? ", as this CPU can" : "");
	for (i = 0; i < a->made.nr_vms; i++) {
		const struct tw_session *s = &a->made.session[i];

		if (a->made.nr_vms > 1)
			tw_printf("%s\n", s->vm->id);
		if (s->look.possible)
			tw_printf("  %-13s %u, on its VMM\n", "probes", s->look.nr_sites);
		else
			tw_printf("  %-13s none (%s)\n", "probes", s->look.why);
		tw_print_clocks(clocks, tw_clocks_planned(s->vm, mode == KVM_TIMEWARP_TSC_OFFSET, &s->look, clocks));
	}
}

static void write_planned(const struct attachment *a, unsigned int mode)
{
	struct tw_clock clocks[TW_CLOCKS_MAX];
	struct tw_json j = { .f = stdout };
	size_t size = 0;
	void *data = a->made.p.data ? bpf_map__initial_value(a->made.p.data, &size) : NULL;
	unsigned int i;

	for (i = 0; i < a->made.nr_vms; i++) {
		const struct tw_session *s = &a->made.session[i];

		tw_json_open(&j, NULL, '{');
		tw_json_str(&j, "event", "would_attach");
		tw_json_vm(&j, s->vm);
		tw_json_str(&j, "policy", a->made.p.name);
		tw_json_bool(&j, "pinned", a->args->pin);
		tw_json_str(&j, "tsc_mode", planned_mode(mode));
		tw_json_int(&j, "probes", s->look.possible ? s->look.nr_sites : 0);
		tw_json_bool(&j, "vmm_clocks", s->look.possible);
		if (!s->look.possible)
			tw_json_str(&j, "vmm_why_not", s->look.why);
		else if (*s->look.why_rtc)
			tw_json_str(&j, "rtc_why_not", s->look.why_rtc);
		tw_json_values(&j, "parameters", &a->made.p.params, data, size);
		tw_json_clocks(&j, clocks, tw_clocks_planned(s->vm, mode == KVM_TIMEWARP_TSC_OFFSET, &s->look, clocks));
		tw_json_close(&j, '}');
		tw_json_end(&j);
	}
}

void tw_tell_planned(const struct attachment *a, unsigned int mode)
{
	if (a->args->json)
		write_planned(a, mode);
	else
		print_planned(a, mode);
	fflush(stdout);
}

/* By which what keeps a guest's clock right can reach the host's time; whether there is such a thing cannot be seen */
static bool has_network(const struct tw_vm *vm)
{
	struct tw_qemu_time q = { 0 };
	size_t len;
	char *argv = tw_read_cmdline(vm->pid, &len);
	bool is_qemu = argv && tw_is_qemu(argv, vm->comm);

	if (is_qemu)
		tw_qemu_time_parse(argv, len, &q);
	free(argv);
	return is_qemu && q.network;
}

void tw_tell_attached(const struct attachment *a)
{
	unsigned int i;

	struct tw_err ignored = { 0 };
	struct tw_state st;
	bool known = a->t.vm->dir && !tw_state_read(a->t.vm->dir, &st, &ignored);

	tw_err_free(&ignored);
	for (i = 0; i < a->made.nr_vms; i++)
		if (a->made.session[i].on && a->made.session[i].look.foreign)
			tw_fprintf(stderr, "twctl: the program of VM %s is not root's alone; --vmm on trusts it\n",
				   a->made.session[i].vm->id);
	if (a->args->json)
		report_json(a, &st, known);
	else
		report(a, &st, known);
	tw_notify_ready("attached %s to %s", a->policy, a->name);
	for (i = 0; known && st.asked.num != st.asked.den && i < a->made.nr_vms; i++)
		if (has_network(a->made.session[i].vm))
			tw_fprintf(stderr, "twctl: VM %s has a network: an NTP client in it works against the factor; "
				   "stop chrony, ntpd or systemd-timesyncd there\n", a->made.session[i].vm->id);
}

void tw_tell_swapped(const struct attachment *a, const char *old)
{
	struct tw_json j = { .f = stdout };

	if (!a->args->json) {
		tw_printf("%s: %s replaces %s\n", a->name, a->policy, old);
		fflush(stdout);
		return;
	}
	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "event", "swapped");
	tw_json_vm(&j, a->t.vm);
	tw_json_str(&j, "policy", a->policy);
	tw_json_str(&j, "old_policy", old);
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

/* So often, where a jump takes longer; a program asks status */
#define PROGRESS_NS 5000000000ULL

/* As the policy itself has it: one that told so before may have another task by now, by set or by swap */
static bool is_under_way(const struct tw_state *st)
{
	struct tw_err ignored = { 0 };
	struct tw_live live;
	bool under_way;

	if (!st->attached || tw_live_open(&live, st, &ignored)) {
		tw_err_free(&ignored);
		return false;
	}
	under_way = !tw_live_is_done(&live);
	tw_live_close(&live);
	return under_way;
}

void tw_tell_progress(struct attachment *a)
{
	bool jumps = !strcmp(a->policy, "jump") && !a->args->json && a->t.vm->dir;
	struct tw_err ignored = { 0 };
	uint64_t now = tw_now_ns();
	char date[TW_DATE_MAX];
	struct tw_state st;

	if (!jumps || !a->progress_ns)
		a->progress_ns = jumps ? now : 0;
	if (!jumps || now - a->progress_ns < PROGRESS_NS)
		return;
	a->progress_ns = now;
	if (!tw_state_read(a->t.vm->dir, &st, &ignored) && is_under_way(&st))
		tw_fprintf(stderr, "twctl: %s is at %s%s\n", a->name,
			   tw_format_date(date, sizeof(date), tw_guest_date_ns(&st, a->ahead_ns)),
			   tw_vmm_is_stopped(a->t.vm) ? "; QEMU has stopped it, and it goes on after cont, or virsh resume" : "");
	tw_err_free(&ignored);
}

void tw_tell_awake(const struct attachment *a, const char *why)
{
	struct tw_json j = { .f = stdout };

	if (!a->args->json) {
		tw_printf("%s: %s\n", a->name, why);
		fflush(stdout);
		return;
	}
	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "event", "awake");
	tw_json_vm(&j, a->t.vm);
	tw_json_str(&j, "why", why);
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

void tw_tell_ended(const struct attachment *a, const struct timewarp_exit_record *rec, const char *text)
{
	struct tw_json j = { .f = stdout };

	if (!a->args->json) {
		tw_printf("%s: %s\n", a->name, text);
		fflush(stdout);
		return;
	}
	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "event", "ended");
	tw_json_vm(&j, a->t.vm);
	tw_json_str(&j, "kind", tw_exit_kind_name(rec->kind));
	tw_json_int(&j, "code", rec->code);
	tw_json_str(&j, "reason", rec->reason);
	tw_json_str(&j, "message", rec->message);
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

void tw_attached_states(const struct attachment *a, struct tw_state st[TIMEWARP_MAX_VMS])
{
	struct tw_err ignored = { 0 };
	unsigned int i;

	for (i = 0; i < a->made.nr_vms; i++) {
		const struct tw_vm *vm = a->made.session[i].vm;

		if (!vm->dir || tw_state_read(vm->dir, &st[i], &ignored))
			st[i].attached = 0;
		tw_err_free(&ignored);
	}
}

void tw_journal_attached(const struct attachment *a, const struct tw_state *st, bool begun)
{
	struct tw_args detach = *a->args;
	unsigned int i;

	detach.verb = "detach";
	for (i = 0; i < a->made.nr_vms; i++)
		if (st[i].attached)
			tw_args_journal(begun ? a->args : &detach, a->made.session[i].vm, begun ? NULL : &st[i],
					begun ? &st[i] : NULL);
}
