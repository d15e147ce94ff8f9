// SPDX-License-Identifier: GPL-2.0
/* The VM that a verb is about. */
#include "twctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apart.h"
#include "group.h"
#include "host.h"
#include "journal.h"
#include "parse.h"
#include "qemu/layout.h"

int tw_target_find(const struct tw_args *args, const char *doing, struct tw_target *t,
		   struct tw_err *e)
{
	memset(t, 0, sizeof(*t));
	if (!args->vm) {
		tw_fail(e, TW_USAGE, "cannot %s a VM", doing);
		tw_fact(e, "none is named");
		return tw_cure(e, "name it behind the verb, or with --vm; twctl list shows what there is");
	}
	tw_vms_scan(&t->vms);
	if (tw_vm_find(&t->vms, args->vm, doing, &t->vm, e))
		return e->status;
	tw_session_open(&t->session, t->vm);
	return TW_OK;
}

void tw_tell_wait(const struct tw_vm *vm, const struct tw_holder *holder)
{
	tw_fprintf(stderr, "twctl: waiting for twctl %s, process %d, which is at VM %s\n",
		   *holder->verb ? holder->verb : "?", holder->pid, vm->id);
}

int tw_target_lock(struct tw_target *t, const char *doing, bool over, struct tw_err *e)
{
	char verb[32];
	struct tw_wait wait = { .verb = verb, .over = over, .tell = tw_tell_wait, .stop = &tw_stop };

	snprintf(verb, sizeof(verb), "%.*s", (int)strcspn(doing, " "), doing);
	return tw_session_lock(&t->session, &wait, e);
}

void tw_target_unlock(struct tw_target *t)
{
	tw_session_unlock(&t->session);
}

static int not_attached(const struct tw_target *t, const char *doing, struct tw_err *e)
{
	char name[TW_TARGET_NAME_MAX];

	tw_fail(e, TW_FAILED, "cannot %s %s", doing, tw_target_name(t, name, sizeof(name)));
	if (!tw_host_has_hook()) {
		e->status = TW_UNSUPPORTED;
		tw_fact(e, "not attached: the kernel lacks the timewarp hook");
		return tw_cure(e, "see twctl probe");
	}
	if (!t->vm->dir) {
		tw_fact(e, "KVM's state files are not to be seen");
		return tw_cure(e, "run twctl as root; mount -t debugfs debugfs /sys/kernel/debug");
	}
	tw_kind(e, "not-attached");
	tw_fact(e, "no policy is attached to it");
	return tw_cure(e, "attach one: twctl attach --vm %s --factor F", t->vm->id);
}

int tw_target_attached(struct tw_target *t, const char *doing, struct tw_err *e)
{
	char name[TW_TARGET_NAME_MAX];

	if (!t->vm->dir || !tw_host_has_hook())
		return not_attached(t, doing, e);
	if (tw_state_read(t->vm->dir, &t->st, e))
		return tw_what(e, "cannot %s %s", doing, tw_target_name(t, name, sizeof(name)));
	return t->st.attached ? TW_OK : not_attached(t, doing, e);
}

int tw_check_runs(const struct tw_vm *vm, const char *doing, struct tw_err *e)
{
	if (!tw_vmm_is_stopped(vm))
		return TW_OK;
	tw_fail(e, TW_REFUSED, "cannot %s VM %s", doing, vm->id);
	tw_kind(e, "stopped");
	tw_fact(e, "QEMU has stopped it");
	return tw_cure(e, "let it go on first: virsh resume, or cont in QEMU's monitor");
}

/* Each VM that a change concerns */
static int check_all_run(struct tw_target *t, const struct tw_live *live, const char *doing, struct tw_err *e)
{
	struct tw_group g = { 0 };
	int i, n, status = TW_OK;

	if (!live->group)
		return tw_check_runs(t->vm, doing, e);
	n = tw_group_find(&g, live->group, &t->vms);
	for (i = 0; !status && i < n; i++)
		status = tw_check_runs(g.m[i].vm, doing, e);
	tw_group_close(&g);
	return status;
}

int tw_target_change(const struct tw_args *args, const char *doing, tw_change_fn change,
		     struct tw_target *t, struct tw_err *e)
{
	struct tw_live live;
	int status;

	status = tw_target_find(args, doing, t, e);
	if (!status && t->vm->dir && tw_host_has_hook())
		status = tw_target_lock(t, doing, false, e);
	if (!status)
		status = tw_target_attached(t, doing, e);
	if (!status)
		status = tw_live_open(&live, &t->st, e);
	if (status)
		return status;
	t->before = t->st;
	status = check_all_run(t, &live, doing, e);
	if (!status)
		status = change(args, t, &live, e);
	tw_live_close(&live);
	return status ? status : tw_state_read(t->vm->dir, &t->st, e);
}

static void add_given(char **given, const char *key, const char *word)
{
	char *longer = tw_asprintf("%s%s%s%s", *given, **given ? " " : "", key, word);

	free(*given);
	*given = longer;
}

void tw_args_journal(const struct tw_args *args, const struct tw_vm *vm, const struct tw_state *before,
		     const struct tw_state *after)
{
	char *given = tw_strdup("");
	struct tw_change change = { .verb = args->verb, .vm = vm, .before = before, .after = after };
	size_t i;

	if (args->factor)
		add_given(&given, "factor=", args->factor);
	for (i = 0; i < args->params.n; i++)
		add_given(&given, "", args->params.v[i]);
	for (i = 0; i < args->operands.n && !args->going; i++)
		add_given(&given, "", args->operands.v[i]);
	change.given = after ? given : NULL;
	tw_journal_change(&change);
	free(given);
}

void tw_target_close(struct tw_target *t)
{
	if (t->session.vm)
		tw_session_unlock(&t->session);
	tw_vms_free(&t->vms);
}

const char *tw_target_name(const struct tw_target *t, char *buf, size_t size)
{
	char title[40];

	tw_printable(title, sizeof(title), tw_vm_title(t->vm));
	snprintf(buf, size, "%s (%s)", t->vm->id, title);
	return buf;
}

void tw_tell_mute(const struct tw_vm *vm)
{
	if (tw_is_mute(vm->pid))
		tw_fprintf(stderr, "twctl: VM %s's name, date or clocks cannot be read: its memory does not answer; "
			   "end process %d, or the file system that this lies in\n", vm->id, vm->pid);
}

void tw_json_vm(struct tw_json *j, const struct tw_vm *vm)
{
	tw_json_str(j, "vm", vm->id);
	tw_json_int(j, "pid", vm->pid);
	tw_json_str(j, "name", vm->names.name);
	tw_json_str(j, "uuid", vm->names.uuid);
	tw_json_str(j, "vmm", vm->comm);
	if (vm->vcpus >= 0)
		tw_json_int(j, "vcpus", vm->vcpus);
	else
		tw_json_null(j, "vcpus");
}

void tw_json_factor(struct tw_json *j, const char *key, const struct timewarp_factor *f)
{
	char decimal[48];

	tw_json_open(j, key, '{');
	tw_json_u64(j, "num", f->num);
	tw_json_u64(j, "den", f->den);
	tw_json_str(j, "decimal", tw_format_factor(decimal, sizeof(decimal), f->num, f->den));
	tw_json_close(j, '}');
}
