// SPDX-License-Identifier: GPL-2.0
/* twctl set: change the parameters of the policy that is attached, whoever attached it. */
#include <stdio.h>
#include <stdlib.h>

#include "parse.h"
#include "qemu/date.h"
#include "readiness.h"
#include "twctl.h"

static int assign_all(const struct tw_args *args, struct tw_live *l, struct tw_err *e)
{
	char *assignment;
	int status = TW_OK;
	size_t i;

	if (args->factor) {
		assignment = tw_asprintf("factor=%s", args->factor);
		status = tw_live_assign(l, assignment, e);
		free(assignment);
	}
	for (i = 0; !status && i < args->params.n; i++)
		status = tw_live_assign(l, args->params.v[i], e);
	/* what is none is told there */
	for (i = 0; !status && i < args->operands.n; i++)
		status = tw_live_assign(l, args->operands.v[i], e);
	return status;
}

static int change(const struct tw_args *args, struct tw_target *t, struct tw_live *l,
		  struct tw_err *e)
{
	char name[TW_TARGET_NAME_MAX];
	int status;

	tw_params_epoch(&l->params, tw_epoch_now(tw_dates_ahead_ns(t->vm)));
	status = assign_all(args, l, e);
	if (status)
		return status;
	status = tw_live_update(l, t->st.id, e);
	if (status)
		tw_what(e, "cannot change the parameters of %s on %s", t->st.policy,
			tw_target_name(t, name, sizeof(name)));
	return status;
}

static void report(const struct tw_args *args, const struct tw_target *t)
{
	char asked[48], force[48], name[TW_TARGET_NAME_MAX];
	struct tw_json j = { .f = stdout };

	if (!args->json) {
		tw_printf("%s: %s, factor %s asked, %s in force\n",
			  tw_target_name(t, name, sizeof(name)), t->st.policy,
			  tw_format_factor(asked, sizeof(asked), t->st.asked.num, t->st.asked.den),
			  tw_format_factor(force, sizeof(force), t->st.force.num, t->st.force.den));
		return;
	}
	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "event", "set");
	tw_json_vm(&j, t->vm);
	tw_json_str(&j, "policy", t->st.policy);
	tw_json_factor(&j, "factor_asked", &t->st.asked);
	tw_json_factor(&j, "factor_force", &t->st.force);
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

static int run(const struct tw_args *args, struct tw_err *e)
{
	struct tw_target t = { 0 };
	int status;

	if (tw_args_check_factor(args, e))
		return e->status;
	if (!args->factor && !args->params.n && !args->operands.n) {
		tw_fail(e, TW_USAGE, "cannot set");
		tw_fact(e, "there is nothing to set");
		return tw_cure(e, "add --factor F or name=value");
	}
	status = tw_host_require(TW_NEED_HOOK | TW_NEED_STATE, e);
	if (status)
		return tw_what(e, "cannot set");
	status = tw_target_change(args, "set parameters of", change, &t, e);
	if (!status) {
		tw_args_journal(args, t.vm, &t.before, &t.st);
		report(args, &t);
	}
	tw_target_close(&t);
	return status;
}

static const struct tw_option options[] = {
	TW_OPTION_VM,
	TW_OPTION_FACTOR,
	TW_OPTION_PARAM,
	{ 0 },
};

const struct tw_verb tw_verb_set = {
	.name = "set",
	.synopsis = "VM [--factor F] [[--param] NAME=VALUE]...",
	.summary = "change a policy's parameters while it is attached",
	.more = "The change is in force when the command returns. If the policy refuses it\n"
		"(status 5), the old values are back. A VM that QEMU has stopped is refused\n"
		"(status 5), as by attach, swap, step and jump. 'twctl status --vm VM' shows the\n"
		"parameters there are. NAME=VALUE is the same as --param NAME=VALUE, as with\n"
		"attach and swap.\n",
	.options = options,
	.max_operands = 64,
	.vm_operand = true,
	.params_from = 1,
	.run = run,
};
