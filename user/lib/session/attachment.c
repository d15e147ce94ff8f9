// SPDX-License-Identifier: GPL-2.0
#include "session/attachment.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host.h"
#include "policy_priv.h"
#include "session/dir.h"
#include "state.h"

void tw_attachment_add(struct tw_attachment *a, const struct tw_vm *vm)
{
	tw_session_open(&a->session[a->nr_vms++], vm);
}

/* ---- making one */

static int fail_pin(const struct tw_attachment *a, int err, struct tw_err *e)
{
	tw_fail(e, TW_FAILED, "cannot pin the policy of %s", a->name);
	e->code = -err;
	tw_fact(e, "%s", strerror(-err));
	return tw_cure(e, "attach without --pin, or make room for it");
}

static int no_probes(struct tw_attachment *a, struct tw_session *s, struct tw_err *e)
{
	return a->pin ? tw_session_plain(s, e) : TW_OK;
}

static int cannot_follow(const struct tw_attachment *a, const struct tw_session *s, struct tw_err *e)
{
	tw_fail(e, TW_UNSUPPORTED, "cannot attach to %s", a->name);
	tw_fact(e, "the clocks of VMM %s cannot follow: %s", s->vm->id, s->look.why);
	return tw_cure(e, "leave them on host time: --vmm auto, --vmm off");
}

/*
 * The VMM's probes come before the policy, so that no clock is left behind for a moment.  Whether the VM has a
 * policy already is for the kernel to say, later; its session is not touched then.
 */
static int begin_session(struct tw_attachment *a, struct tw_session *s, struct tw_err *e)
{
	struct tw_err reason = { 0 };

	if (tw_session_lock(s, &a->wait, e) || tw_session_clear(s, e))
		return e->status;
	if (tw_session_is_others(s))
		return TW_OK;
	if (a->wish == TW_WISH_OFF) {
		snprintf(s->look.why, sizeof(s->look.why), "--vmm off");
		return no_probes(a, s, e);
	}
	tw_vmm_look(s->vm, a->wish == TW_WISH_ON, &s->look);
	if (!s->look.possible) {
		if (a->wish == TW_WISH_AUTO)
			return no_probes(a, s, e);
		return cannot_follow(a, s, e);
	}
	if (!tw_session_probe(s, s - a->session, a->nr_on ? a->view_fd : -1, a->pin, &reason)) {
		a->view_fd = s->vmm.view_fd;
		a->nr_on++;
		return TW_OK;
	}
	if (a->wish == TW_WISH_AUTO) {
		snprintf(s->look.why, sizeof(s->look.why), "%.159s", reason.fact);
		tw_err_free(&reason);
		return no_probes(a, s, e);
	}
	*e = reason;
	return e->status;
}

/* The copy of the VM's descriptor lives no longer than this: else the VM could not die */
static int attach_one(struct tw_attachment *a, unsigned int mode, struct tw_err *e)
{
	const struct tw_vm *vm = a->session[0].vm;
	int fd = tw_vm_take_fd(vm, e), status;

	if (fd < 0)
		return e->status;
	status = tw_policy_load(&a->p, fd, mode, e);
	if (!status)
		status = a->loaded(a->arg, e);
	if (!status)
		status = a->begin ? a->begin(a->arg, fd, mode, e) : tw_policy_attach(&a->p, vm, &a->link, e);
	close(fd);
	return status;
}

/* Each VM has the policy's object for itself; the first one's is that of all */
static int load_group(struct tw_attachment *a, unsigned int mode, struct tw_err *e)
{
	struct tw_group *g = &a->group;
	unsigned int i;
	int status = TW_OK;

	g->m[0].policy = a->p;
	g->m[0].vm = a->session[0].vm;
	for (g->n = i = 1; !status && i < a->nr_vms; i++) {
		g->m[i].vm = a->session[i].vm;
		g->n++;
		status = a->open_policy(a->arg, &g->m[i].policy, e);
	}
	if (!status)
		status = tw_group_load(g, mode, NULL, e);
	if (!status)
		status = a->loaded(a->arg, e);
	return status;
}

static int attach_group(struct tw_attachment *a, unsigned int mode, struct tw_err *e)
{
	int status = load_group(a, mode, e);

	return status ? status : tw_group_attach(&a->group, e);
}

static int load_and_attach(struct tw_attachment *a, unsigned int mode, struct tw_err *e)
{
	int status = TW_OK;

	if (a->nr_on)
		status = tw_policy_see_vmms(&a->p, a->view_fd, e);
	if (!status)
		status = a->nr_vms > 1 ? attach_group(a, mode, e) : attach_one(a, mode, e);
	if (status && *e->what)
		tw_what(e, "cannot attach %s to %s", a->p.name, a->name);
	tw_vmm_wake_all();
	return status;
}

static int pin_all(struct tw_attachment *a, struct tw_err *e)
{
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < a->nr_vms; i++)
		err = tw_pin_link(a->session[i].vm, tw_attachment_link(a, i), TW_PIN_POLICY);
	return err ? fail_pin(a, err, e) : TW_OK;
}

int tw_attachment_make(struct tw_attachment *a, unsigned int mode, struct tw_err *e)
{
	unsigned int i;
	int status = TW_OK;

	for (i = 0; !status && i < a->nr_vms; i++)
		status = begin_session(a, &a->session[i], e);
	if (!status)
		status = load_and_attach(a, mode, e);
	if (!status && a->pin)
		status = pin_all(a, e);
	return status;
}

/* ---- trying one */

static int try_session(struct tw_attachment *a, struct tw_session *s, struct tw_err *e)
{
	struct tw_state st;

	if (s->vm->dir && tw_state_read(s->vm->dir, &st, e))
		return e->status;
	if (s->vm->dir && st.attached) {
		tw_fail(e, TW_REFUSED, "cannot attach %s to %s", a->p.name, a->name);
		return tw_explain_attach(e, EBUSY, &a->p, s->vm);
	}
	if (a->wish == TW_WISH_OFF) {
		snprintf(s->look.why, sizeof(s->look.why), "--vmm off");
		return TW_OK;
	}
	tw_vmm_look(s->vm, a->wish == TW_WISH_ON, &s->look);
	return s->look.possible || a->wish == TW_WISH_AUTO ? TW_OK : cannot_follow(a, s, e);
}

static int load_alone(struct tw_attachment *a, unsigned int mode, struct tw_err *e)
{
	int fd = tw_vm_take_fd(a->session[0].vm, e), status;

	if (fd < 0)
		return e->status;
	status = tw_policy_load(&a->p, fd, mode, e);
	close(fd);
	return status ? status : a->loaded(a->arg, e);
}

int tw_attachment_try(struct tw_attachment *a, unsigned int mode, struct tw_err *e)
{
	unsigned int i;
	int status = TW_OK;

	for (i = 0; !status && i < a->nr_vms; i++)
		status = try_session(a, &a->session[i], e);
	if (status)
		return status;
	status = a->nr_vms > 1 ? load_group(a, mode, e) : load_alone(a, mode, e);
	if (status && *e->what)
		tw_what(e, "cannot attach %s to %s", a->p.name, a->name);
	return status;
}

void tw_attachment_unlock(struct tw_attachment *a)
{
	unsigned int i;

	for (i = 0; i < a->nr_vms; i++)
		tw_session_unlock(&a->session[i]);
}

struct bpf_link *tw_attachment_link(const struct tw_attachment *a, unsigned int n)
{
	if (a->group.n)
		return n < a->group.n ? a->group.m[n].link : NULL;
	return n ? NULL : a->link;
}

/* ---- ending it */

void tw_attachment_detach(struct tw_attachment *a)
{
	struct bpf_link *link;
	unsigned int i;

	/* whether or not all came to factor 1 together, this is the end of it */
	if (a->group.map)
		tw_group_quit(a->group.map);
	for (i = 0; (link = tw_attachment_link(a, i)); i++)
		tw_link_detach(bpf_link__fd(link));
}

static int end_session(struct tw_attachment *a, struct tw_session *s, struct tw_err *e)
{
	char why[TW_WHY_MAX];
	bool done;

	if (!s->on && !s->ours)
		return TW_OK;
	if (s->lock.fd < 0 && tw_session_lock(s, &a->wait, e))
		return e->status;
	done = tw_session_finish(s, why);
	if (!done)
		tw_session_fail(s, why, e);
	tw_session_unlock(s);
	return done ? TW_OK : e->status;
}

int tw_attachment_end(struct tw_attachment *a, struct tw_err *e)
{
	struct tw_err first = { 0 };
	unsigned int i;

	for (i = 0; i < a->nr_vms; i++) {
		if (end_session(a, &a->session[i], e) && !first.status)
			first = *e;
	}
	if (first.status)
		*e = first;
	return first.status;
}

void tw_attachment_reason(const struct tw_attachment *a, const struct tw_member *last,
			  struct timewarp_exit_record *rec)
{
	const struct tw_policy *policy = last ? &last->policy : &a->p;
	const struct tw_vm *vm = last ? last->vm : a->session[0].vm;
	struct tw_err ignored = { 0 };
	struct tw_state st;
	bool known = vm->dir && !tw_state_read(vm->dir, &st, &ignored);

	tw_err_free(&ignored);
	if (known && !st.attached && st.exit_kind != KVM_TIMEWARP_EXIT_NONE) {
		memset(rec, 0, sizeof(*rec));
		rec->kind = st.exit_kind;
		rec->code = st.exit_code;
		memcpy(rec->reason, st.exit_reason, sizeof(rec->reason));
		memcpy(rec->message, st.exit_message, sizeof(rec->message));
		return;
	}
	if (tw_policy_exit_record(policy, rec) && (known || rec->kind == KVM_TIMEWARP_EXIT_VM_GONE))
		return;
	memset(rec, 0, sizeof(*rec));
	rec->kind = KVM_TIMEWARP_EXIT_VM_GONE;
	snprintf(rec->reason, sizeof(rec->reason), "vm-gone");
	snprintf(rec->message, sizeof(rec->message), "the VM has ended");
}

void tw_attachment_close(struct tw_attachment *a)
{
	unsigned int i;

	/* closing the last descriptor of a link that is not pinned detaches */
	bpf_link__destroy(a->link);
	if (a->group.n)
		tw_group_close(&a->group);
	else
		tw_policy_close(&a->p);
	for (i = 0; i < a->nr_vms; i++)
		tw_session_close(&a->session[i]);
}
