// SPDX-License-Identifier: GPL-2.0
/* twctl swap: put another policy in the place of the one attached, without a gap. */
#include <stdio.h>
#include <unistd.h>

#include "group.h"
#include "parse.h"
#include "qemu/date.h"
#include "qemu/probes.h"
#include "readiness.h"
#include "twctl.h"

/* What the probes tell that were there before it, it is told as well */
static int see_vmms(struct tw_policy *p, const struct tw_vm *vm, struct tw_err *e)
{
	int fd = tw_vmm_view(vm), status = TW_OK;

	if (fd >= 0) {
		status = tw_policy_see_vmms(p, fd, e);
		close(fd);
	}
	return status;
}

static int load_and_swap(struct tw_policy *p, struct tw_target *t, struct tw_live *live,
			 struct tw_err *e)
{
	int status, fd;

	fd = tw_vm_take_fd(t->vm, e);
	if (fd < 0)
		return e->status;
	/* the mode stays as it was demanded: a swap changes the policy and nothing else */
	status = tw_policy_load(p, fd, live->tsc_mode, e);
	if (!status)
		status = tw_policy_swap(p, live->link_fd, t->vm, e);
	tw_vmm_wake_all();
	close(fd);
	return status;
}

/* Each VM of a group has the policy's object for itself */
static int change_group(const struct tw_args *args, struct tw_target *t, struct tw_live *live,
			struct tw_err *e)
{
	struct tw_group g = { 0 };
	int i, status = TW_OK, n = tw_group_find(&g, live->group, &t->vms);

	for (i = 0; !status && i < n; i++)
		status = tw_args_policy(args, tw_epoch_now(tw_dates_ahead_ns(t->vm)), &g.m[i].policy, e);
	/* the others share its maps */
	if (!status && n)
		status = see_vmms(&g.m[0].policy, g.m[0].vm, e);
	if (!status)
		status = tw_group_load(&g, live->tsc_mode, live->group, e);
	if (!status)
		status = tw_group_swap(&g, live->group, e);
	tw_vmm_wake_all();
	tw_group_close(&g);
	return status;
}

static int change(const struct tw_args *args, struct tw_target *t, struct tw_live *live,
		  struct tw_err *e)
{
	struct tw_policy p = { 0 };
	int status;

	if (live->group)
		return change_group(args, t, live, e);
	status = tw_args_policy(args, tw_epoch_now(tw_dates_ahead_ns(t->vm)), &p, e);
	if (!status)
		status = see_vmms(&p, t->vm, e);
	if (!status)
		status = load_and_swap(&p, t, live, e);
	tw_policy_close(&p);
	return status;
}

static void report(const struct tw_args *args, const struct tw_target *t, const char *old)
{
	char force[48], name[TW_TARGET_NAME_MAX];
	struct tw_json j = { .f = stdout };

	if (!args->json) {
		tw_printf("%s: %s replaces %s, factor %s\n", tw_target_name(t, name, sizeof(name)),
			  t->st.policy, old,
			  tw_format_factor(force, sizeof(force), t->st.force.num, t->st.force.den));
		return;
	}
	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "event", "swapped");
	tw_json_vm(&j, t->vm);
	tw_json_str(&j, "policy", t->st.policy);
	tw_json_str(&j, "old_policy", old);
	tw_json_factor(&j, "factor_asked", &t->st.asked);
	tw_json_factor(&j, "factor_force", &t->st.force);
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

static int run(const struct tw_args *args, struct tw_err *e)
{
	struct tw_target t = { 0 };
	int status;

	if (!tw_args_factor_max(args) && tw_args_check_factor(args, e))
		return e->status;
	if (!args->factor && !args->policy) {
		tw_fail(e, TW_USAGE, "cannot swap");
		tw_fact(e, "neither a factor nor a policy is given");
		return tw_cure(e, "add --policy POLICY, or --factor F for the built-in one");
	}
	status = tw_host_require(TW_NEED_HOOK | TW_NEED_STATE, e);
	if (status)
		return tw_what(e, "cannot swap");
	status = tw_target_change(args, "swap the policy of", change, &t, e);
	if (!status) {
		tw_args_journal(args, t.vm, &t.before, &t.st);
		report(args, &t, t.before.policy);
	}
	tw_target_close(&t);
	return status;
}

static const struct tw_option options[] = {
	TW_OPTION_VM,
	TW_OPTION_POLICY,
	TW_OPTION_FACTOR,
	TW_OPTION_PARAM,
	TW_OPTION_CHAOS,
	{ 0 },
};

const struct tw_verb tw_verb_swap = {
	.name = "swap",
	.synopsis = "VM (--policy POLICY | --factor F)\n"
		    "                  [[--param] NAME=VALUE]... [--chaos]",
	.summary = "replace the policy that is attached, without a gap",
	.more = "The attachment stays whose it was: a 'twctl attach' in the foreground, or a\n"
		"pin. If the new policy refuses (status 5), the old one stays.\n",
	.options = options,
	.vm_operand = true,
	.params_from = 1,
	.run = run,
};
