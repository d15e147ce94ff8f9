// SPDX-License-Identifier: GPL-2.0
/* twctl detach: end an attachment, pinned or not, whoever made it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "group.h"
#include "readiness.h"
#include "parse.h"
#include "qemu/fold.h"
#include "session/dir.h"
#include "session/session.h"
#include "twctl.h"

static void report(const struct tw_args *args, const struct tw_target *t, int64_t ahead)
{
	char name[TW_TARGET_NAME_MAX], span[48];
	struct tw_json j = { .f = stdout };

	if (!args->json) {
		tw_printf("detached %s from %s: factor 1 from here on, the guest keeps its time "
			  "(guest - host: %s)\n", t->st.policy, tw_target_name(t, name, sizeof(name)),
			  tw_format_span(span, sizeof(span), ahead));
		return;
	}
	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "event", "detached");
	tw_json_vm(&j, t->vm);
	tw_json_str(&j, "policy", t->st.policy);
	tw_json_s64(&j, "guest_minus_host_ns", ahead);
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

static void report_swept(void *arg, const char *id)
{
	const struct tw_args *args = arg;
	struct tw_json j = { .f = stdout };

	if (!args->json) {
		tw_printf("%s: the VM is gone; removed what was pinned for it\n", id);
		return;
	}
	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "event", "swept");
	tw_json_str(&j, "vm", id);
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

/* What is pinned for VMs that are gone, or for one of them by its PID-FD; whether there was something */
static bool sweep_stale(const struct tw_args *args, const char *id)
{
	return tw_pins_sweep(id, report_swept, (void *)args);
}

static bool sweep_one(const struct tw_args *args)
{
	struct tw_selector sel;
	const char *why;

	return !tw_selector_parse(args->vm, &sel, &why) && sel.id && sweep_stale(args, sel.text);
}

/* A session whose policy the kernel has let go, with nobody there to see it */
static bool has_left(const struct tw_target *t)
{
	struct tw_vmm_found found;
	struct tw_holder keeper;
	bool probes;

	if (!t->vm)
		return false;
	probes = tw_vmm_find(t->vm, &found);
	if (probes) {
		/* the kernel takes its time to free what nobody holds any more */
		probes = !tw_fold_is_done(found.state);
		tw_vmm_found_close(&found);
	}
	return probes || tw_session_keeper(t->vm, &keeper);
}

static int finish(struct tw_session *s, struct tw_err *e)
{
	char why[TW_WHY_MAX];

	return tw_session_finish(s, why) ? TW_OK : tw_session_fail(s, why, e);
}

static void report_probes(const struct tw_args *args, const struct tw_target *t)
{
	char name[TW_TARGET_NAME_MAX];
	struct tw_json j = { .f = stdout };

	if (!args->json) {
		tw_printf("%s: its policy has ended already; the VMM's clocks go on by themselves now\n",
			  tw_target_name(t, name, sizeof(name)));
		return;
	}
	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "event", "probes_removed");
	tw_json_vm(&j, t->vm);
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

static int fail_detach(const struct tw_target *t, struct tw_err *e)
{
	char name[TW_TARGET_NAME_MAX];

	return tw_what(e, "cannot detach %s from %s", t->st.policy,
		       tw_target_name(t, name, sizeof(name)));
}

static int detach_one(const struct tw_args *args, struct tw_target *t, struct tw_err *e)
{
	int status;

	if (tw_live_detach(&t->st, e))
		return fail_detach(t, e);
	status = finish(&t->session, e);
	/* only now: to find a user's name may take long */
	tw_args_journal(args, t->vm, &t->st, NULL);
	return status;
}

/* One that has ended meanwhile is detached */
static int detach_member(const struct tw_args *args, const struct tw_target *t, const struct tw_vm *vm,
			 struct tw_err *e)
{
	struct tw_err ignored = { 0 };
	struct tw_state st;
	int status = TW_OK;
	bool attached = !tw_state_read(vm->dir, &st, &ignored) && st.attached;

	if (attached && tw_live_detach(&st, &ignored) && ignored.status != TW_NO_VM)
		status = tw_live_detach(&st, e) ? fail_detach(t, e) : TW_OK;
	if (attached && !status)
		tw_args_journal(args, vm, &st, NULL);
	tw_err_free(&ignored);
	return status;
}

static int finish_member(const struct tw_vm *vm, struct tw_err *e)
{
	struct tw_wait wait = { .verb = "detach", .over = true, .tell = tw_tell_wait };
	struct tw_session s;
	int status;

	tw_session_open(&s, vm);
	status = tw_session_lock(&s, &wait, e);
	if (!status)
		status = finish(&s, e);
	tw_session_close(&s);
	return status;
}

static int fail_together(const struct tw_target *t, struct tw_err *e)
{
	tw_fail(e, TW_FAILED, "cannot detach the group of VM %s at one moment", t->vm->id);
	tw_fact(e, "its VMs did not come to factor 1 together; each is detached, at a moment of its own");
	return tw_cure(e, "see how far each is ahead: twctl status --all");
}

/*
 * All go to factor 1 at one moment, and are detached then. It gets through also where they do not: one whose QEMU is
 * held, or a host that is too busy, keeps no guest at its factor.
 */
static int detach_group(const struct tw_args *args, struct tw_target *t, volatile struct timewarp_group *map, struct tw_err *e)
{
	struct tw_group g = { 0 };
	int i, n = tw_group_find(&g, map, &t->vms);
	int status = tw_group_quit(map) ? TW_OK : fail_together(t, e);

	for (i = 0; i < n; i++)
		if (detach_member(args, t, g.m[i].vm, e))
			status = e->status;
	/* one lock at a time: another detach may begin with another of them */
	if (finish(&t->session, e))
		status = e->status;
	tw_session_unlock(&t->session);
	for (i = 0; i < n; i++)
		if (g.m[i].vm != t->vm && finish_member(g.m[i].vm, e))
			status = e->status;
	return status;
}

static int detach_whole(const struct tw_args *args, struct tw_target *t, struct tw_err *e)
{
	struct tw_err ignored = { 0 };
	struct tw_live live;
	int status;

	if (tw_live_open(&live, &t->st, &ignored)) {
		tw_err_free(&ignored);
		return detach_one(args, t, e);
	}
	status = live.group ? detach_group(args, t, live.group, e) : detach_one(args, t, e);
	tw_live_close(&live);
	return status;
}

/* How far the guest is ahead for good: as it is told now, unless the VM has gone meanwhile. */
static int64_t ahead_for_good(const struct tw_target *t)
{
	struct tw_err ignored = { 0 };
	struct tw_state after;
	bool known = !tw_state_read(t->vm->dir, &after, &ignored);

	tw_err_free(&ignored);
	if (known && !strcmp(after.tsc_mode, "-"))
		return (int64_t)(after.guest_ns - after.host_ns);
	return (int64_t)(t->st.guest_ns - t->st.host_ns);
}

static int detach(const struct tw_args *args, struct tw_target *t, struct tw_err *e)
{
	int status;

	status = tw_target_find(args, "detach from", t, e);
	if (status == TW_NO_VM && sweep_one(args))
		return TW_OK;
	if (status || tw_target_lock(t, "detach", true, e))
		return e->status;
	status = tw_target_attached(t, "detach from", e);
	if (status == TW_FAILED && has_left(t)) {
		tw_err_free(e);
		if (finish(&t->session, e))
			return e->status;
		report_probes(args, t);
		return TW_OK;
	}
	if (!status)
		status = detach_whole(args, t, e);
	if (status)
		return status;
	report(args, t, ahead_for_good(t));
	return TW_OK;
}

static bool is_attached(const struct tw_vm *vm, struct tw_state *st)
{
	struct tw_err ignored = { 0 };
	bool attached = vm->dir && !tw_state_read(vm->dir, st, &ignored) && st->attached;

	tw_err_free(&ignored);
	return attached;
}

/* One of those that --all found attached, by their states then; 0 too if it has gone or ended by itself meanwhile */
static int detach_next(const struct tw_args *args, struct tw_vm *vm, const struct tw_state *before)
{
	char *id = tw_asprintf("id:%s", vm->id);
	struct tw_args one = *args;
	struct tw_target t = { .vm = vm, .st = *before };
	struct tw_state now;
	struct tw_err e = { 0 };
	int status;

	one.vm = id;
	if (before->attached && !tw_vm_is_gone(vm) && !is_attached(vm, &now)) {
		/* with another one of its group */
		report(args, &t, ahead_for_good(&t));
		free(id);
		return TW_OK;
	}
	memset(&t, 0, sizeof(t));
	status = detach(&one, &t, &e);
	if (status == TW_NO_VM)
		status = TW_OK;
	else if (status)
		tw_err_print(&e, args->json);
	tw_err_free(&e);
	tw_target_close(&t);
	free(id);
	return status;
}

static int detach_all(const struct tw_args *args, struct tw_err *e)
{
	struct tw_state *before;
	size_t i, found = 0;
	struct tw_vms vms;
	int worst = TW_OK;

	if (tw_host_require(TW_NEED_HOOK | TW_NEED_STATE, e))
		return tw_what(e, "cannot detach");
	tw_vms_scan(&vms);
	before = tw_grow(NULL, vms.n + 1, sizeof(*before));
	for (i = 0; i < vms.n; i++)
		if (!is_attached(&vms.v[i], &before[i]))
			before[i].attached = false;
	for (i = 0; i < vms.n; i++) {
		struct tw_target left = { .vm = &vms.v[i] };
		int status;

		if (!before[i].attached && !has_left(&left))
			continue;
		found++;
		status = detach_next(args, &vms.v[i], &before[i]);
		if (status > worst)
			worst = status;
		fflush(stdout);
	}
	if (!found && !args->json)
		tw_printf("no VM has a policy\n");
	free(before);
	tw_vms_free(&vms);
	return worst;
}

static int run(const struct tw_args *args, struct tw_err *e)
{
	struct tw_target t = { 0 };
	int status;

	if (!!args->vm + args->stale + args->all > 1) {
		tw_fail(e, TW_USAGE, "cannot detach");
		tw_fact(e, "a VM is about one that is there, --all about all of these, --stale about VMs that are gone");
		return tw_cure(e, "leave in one of them");
	}
	if (args->all)
		return detach_all(args, e);
	if (args->stale) {
		if (!sweep_stale(args, NULL) && !args->json)
			tw_printf("nothing is left of VMs that are gone\n");
		return TW_OK;
	}
	status = detach(args, &t, e);
	tw_target_close(&t);
	return status;
}

static const struct tw_option options[] = {
	TW_OPTION_VM,
	TW_OPTION("all", 0, TW_FLAG, all, NULL, "all VMs that have a policy", NULL),
	TW_OPTION("stale", 0, TW_FLAG, stale, NULL, "remove what is pinned for VMs that are gone", NULL),
	{ 0 },
};

const struct tw_verb tw_verb_detach = {
	.name = "detach",
	.synopsis = "VM | --all | --stale",
	.summary = "let a VM's clocks run at the host's rate again",
	.more = "The guest keeps the time it has. A 'twctl attach' that waits in the\n"
		"foreground ends. Of a group all VMs are detached.\n"
		"\n"
		"--all detaches every VM that has a policy, and tells of each. One that cannot be\n"
		"is told of, and keeps no other: the status is the highest of them, 0 if all are\n"
		"detached, and where there was none.\n"
		"\n"
		"It gets through: another twctl that is at the VM is waited for, some ten\n"
		"seconds, and then ended.\n"
		"\n"
		"What is pinned for a VM goes with it, as a rule. Where it did not, list and\n"
		"probe name it; --stale removes it, and so does the next attach.\n",
	.options = options,
	.vm_operand = true,
	.run = run,
};
