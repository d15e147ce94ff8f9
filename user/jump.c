// SPDX-License-Identifier: GPL-2.0
/* twctl jump: move a guest forward, or back.  The policy 'jump', attached until it has arrived. */
#include <stdio.h>
#include <stdlib.h>

#include "parse.h"
#include "readiness.h"
#include "twctl.h"
#include "when.h"

static int refuse(struct tw_err *e, int status, const char *fact, const char *cure)
{
	tw_fail(e, status, "cannot jump");
	tw_fact(e, "%s", fact);
	return tw_cure(e, "%s", cure);
}

/* A plus before a span says the same as none, a minus that it is to go back */
static const char *moment(const struct tw_args *args)
{
	const char *word = args->operands.v[0];

	return *word == '+' || (*word == '-' && args->allow_backward) ? word + 1 : word;
}

static int check(const struct tw_args *args, struct tw_err *e)
{
	struct timewarp_when when;
	const char *why;

	if (args->operands.n != 1)
		return refuse(e, TW_USAGE, "it is not said where to",
			      "add a span or a date: +30d, 2038-01-19T03:14:00Z");
	/* with the host booted at the epoch, every date lies ahead: this is about words */
	if (tw_parse_when(moment(args), (struct tw_epoch) { 0 }, &when, &why) ||
	    when.kind == TIMEWARP_NEVER) {
		tw_fail(e, TW_USAGE, "cannot jump to %s", TW_QUOTE(args->operands.v[0]));
		tw_fact(e, "it is %s", when.kind == TIMEWARP_NEVER ? "no moment" : why);
		return tw_cure(e, "give a span or a date: +30d, 2038-01-19T03:14:00Z");
	}
	if (when.kind == TIMEWARP_AT_HOST || when.kind == TIMEWARP_AFTER_HOST)
		return refuse(e, TW_USAGE, "a guest cannot jump by the host's clock",
			      "leave out 'host'");
	if (args->allow_backward && when.kind == TIMEWARP_AFTER_GUEST && *args->operands.v[0] != '-')
		return refuse(e, TW_USAGE, "that is forward",
			      "back by a span: --allow-backward -- -10s; or leave out --allow-backward");
	return TW_OK;
}

/* Back by a span: no further than its time goes; and what that means for whoever sleeps */
static int check_back(const struct tw_args *args, const struct tw_vm *vm, struct tw_err *e)
{
	struct timewarp_when when;
	struct tw_state st;
	const char *why;
	char span[48];

	if (!args->allow_backward || *args->operands.v[0] != '-' || !vm->dir)
		return TW_OK;
	tw_parse_when(moment(args), (struct tw_epoch) { 0 }, &when, &why);
	if (tw_state_read(vm->dir, &st, e))
		return e->status;
	if (when.ns >= st.guest_ns) {
		tw_fail(e, TW_REFUSED, "cannot jump back by %s", TW_QUOTE(moment(args)));
		tw_fact(e, "the guest's time began %s ago, with its host's boot",
			tw_format_span(span, sizeof(span), st.guest_ns) + 1);
		return tw_cure(e, "go back by less");
	}
	if (!args->json)
		tw_fprintf(stderr, "twctl: Linux shows no time twice: its clocks stand, and who sleeps in it sleeps, %s longer\n",
			   tw_format_span(span, sizeof(span), when.ns) + 1);
	return TW_OK;
}

/* Whether it can go there */
static int look(const struct tw_args *args, struct tw_err *e)
{
	struct tw_target t;
	int status = tw_target_find(args, "jump with", &t, e);

	if (!status)
		status = check_back(args, t.vm, e);
	tw_target_close(&t);
	return status;
}

static int run(const struct tw_args *args, struct tw_err *e)
{
	struct tw_args attach = *args;
	const char *params[2];
	bool done = false, gone = false;
	size_t n = 0;
	char *to;
	int status;

	if (check(args, e))
		return e->status;
	if (tw_host_require(TW_NEED_HOOK, e))
		return tw_what(e, "cannot jump");
	if (look(args, e))
		return e->status;
	to = tw_asprintf("to=%s", moment(args));
	params[n++] = to;
	if (args->allow_backward)
		params[n++] = "backward=1";
	attach.policy = "jump";
	attach.params = (struct tw_strings){ .v = params, .n = n };
	attach.operands = (struct tw_strings){ 0 };
	attach.exit_when_done = true;
	attach.was_done = &done;
	attach.was_gone = &gone;
	status = tw_find_verb("attach")->run(&attach, e);
	free(to);
	if (!status && !done && gone)
		return refuse(e, TW_NO_VM, "the VM has gone before it was there", "start it, and jump again");
	if (!status && !done)
		return refuse(e, TW_FAILED, "it ended before the guest was there",
			      "twctl list shows what there is; jump again");
	return status;
}

static const struct tw_option options[] = {
	TW_OPTION_VM,
	TW_OPTION("tsc", 0, TW_TEXT, tsc, "MODE", "auto, scaled, trapped or offset",
		  "auto scaled trapped offset"),
	TW_OPTION("allow-backward", 0, TW_FLAG, allow_backward, NULL,
		  "also to a date that has passed, or back by a span", NULL),
	{ 0 },
};

const struct tw_verb tw_verb_jump = {
	.name = "jump",
	.synopsis = "VM +SPAN|DATE [--tsc MODE] [--allow-backward] [-- -SPAN]",
	.summary = "move a guest forward, by a span or to a date",
	.more = "The guest goes in leaps that watchdogs bear, its own and those of its services:\n"
		"of a minute if it has kvmclock, by which it is told of them, else of 10 seconds.\n"
		"One that reads its HPET bears 10 seconds, too, one that reads its ACPI PM timer\n"
		"a second, and one that ticks while it idles, and so may count its ticks, no more\n"
		"than a tick: it tells so, and the policy's parameter 'leap' lets the last go\n"
		"faster. A timer that lies on the way fires once, late. After each leap the guest\n"
		"does what has become due; the next one comes when all its vCPUs wait and no\n"
		"device is at work for it, so that none is given up that answers in ordinary\n"
		"time. How long they take is learnt; one that takes more than 200 ms needs the\n"
		"policy's parameter 'patience'. A guest or device that never rests goes in\n"
		"leaps of 10 seconds, with pauses. While QEMU has the VM stopped it waits.\n"
		"Then its clocks go on at the host's rate. Ctrl-C leaves it where it is by then;\n"
		"each five seconds it is told where that is.\n"
		"\n"
		"    twctl jump --vm my-guest +30d\n"
		"    twctl jump --vm my-guest 2038-01-19T03:14:00Z\n"
		"\n"
		"It is the policy 'jump', attached until it is there, so no other may be; for its\n"
		"parameters: twctl attach --policy jump --param to=30d --exit-when-done. With\n"
		"--param leap=30m a year is 30 times as fast, where nothing in the guest has a\n"
		"watchdog to pet.\n"
		"\n"
		"Status 5 if the moment has passed, unless --allow-backward is given, to see what\n"
		"the guest does when its clocks go back:\n"
		"\n"
		"    twctl jump --vm my-guest --allow-backward -- -10s\n",
	.options = options,
	.max_operands = 1,
	.vm_operand = true,
	.run = run,
};
