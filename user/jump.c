// SPDX-License-Identifier: GPL-2.0
/* twctl jump: move a guest forward, or back.  The policy 'jump', attached until it has arrived. */
#include <stdio.h>
#include <stdlib.h>

#include "parse.h"
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
	if (tw_parse_when(moment(args), 0, &when, &why) ||
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

static int run(const struct tw_args *args, struct tw_err *e)
{
	struct tw_args attach = *args;
	const char *params[2];
	bool done = false;
	char *to;
	int status;

	if (check(args, e))
		return e->status;
	to = tw_asprintf("to=%s", moment(args));
	params[0] = to;
	params[1] = "backward=1";
	attach.policy = "jump";
	attach.params = (struct tw_strings){ .v = params, .n = args->allow_backward ? 2 : 1 };
	attach.operands = (struct tw_strings){ 0 };
	attach.exit_when_done = true;
	attach.was_done = &done;
	status = tw_find_verb("attach")->run(&attach, e);
	free(to);
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
	.synopsis = "--vm VM +SPAN|DATE [--tsc MODE] [--allow-backward] [-- -SPAN]",
	.summary = "move a guest forward, by a span or to a date",
	.more = "The guest goes in leaps that its watchdogs bear, with 5 ms of the host between\n"
		"them: of 10 minutes if it has kvmclock, by which it is told of them, else of\n"
		"10 seconds. A timer that lies on the way fires once, late. Then its clocks\n"
		"go on at the host's rate. A year takes some five minutes; Ctrl-C leaves the\n"
		"guest where it is by then.\n"
		"\n"
		"    twctl jump --vm my-guest +30d\n"
		"    twctl jump --vm my-guest 2038-01-19T03:14:00Z\n"
		"\n"
		"It is the policy 'jump', attached until it is there, so no other may be. Status\n"
		"5 if the moment has passed, unless --allow-backward is given, to see what the\n"
		"guest does when its clocks go back:\n"
		"\n"
		"    twctl jump --vm my-guest --allow-backward -- -10s\n",
	.options = options,
	.max_operands = 1,
	.vm_operand = true,
	.run = run,
};
