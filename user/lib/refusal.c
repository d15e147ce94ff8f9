// SPDX-License-Identifier: GPL-2.0
/* What a refusal of the kernel's hook, or of a policy, means: each has its own sentence. */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host.h"
#include "parse.h"
#include "policy_priv.h"

static int explain_busy(struct tw_err *e, const struct tw_vm *vm)
{
	struct tw_err ignored = { 0 };
	struct tw_state st;

	e->status = TW_REFUSED;
	tw_kind(e, "attached");
	tw_fact(e, "the VM has a policy already");
	if (vm->dir && !tw_state_read(vm->dir, &st, &ignored) && st.attached)
		tw_fact(e, "the VM has a policy already (%s, link %u)", st.policy, st.link_id);
	tw_err_free(&ignored);
	return tw_cure(e, "change it: twctl set --vm %s; or end it: twctl detach --vm %s", vm->id,
		       vm->id);
}

static int explain_perm(struct tw_err *e)
{
	if (tw_host_switched_on()) {
		e->status = TW_FAILED;
		tw_fact(e, "the kernel does not permit it");
		return tw_cure(e, "run twctl as root");
	}
	e->status = TW_UNSUPPORTED;
	tw_fact(e, "switched off by the module parameter kvm.timewarp");
	return tw_cure(e, "echo 1 > " TW_SWITCH);
}

/* Limits narrower than any mode's come from the CPU; else it was the policy's answer. */
static int explain_range(struct tw_err *e, const struct tw_policy *p, const struct tw_vm *vm)
{
	struct tw_err ignored = { 0 };
	struct tw_state st = { 0 };
	char lo[48], hi[48];
	int r = -1;

	if (vm->dir)
		r = tw_state_read(vm->dir, &st, &ignored);
	tw_err_free(&ignored);

	if (r || !st.max.num || (st.max.num == 10000 && st.max.den == 1)) {
		e->status = TW_REFUSED;
		tw_fact(e, "what the policy answers is out of range, as a factor beyond 0.0001 to 10000 is%s%s",
			p->given ? "; it was given " : "", p->given ? p->given : "");
		return tw_cure(e, "see its parameters, their defaults and ranges: twctl policy inspect %s", p->title);
	}

	e->status = TW_UNSUPPORTED;
	tw_fact(e, "the factor is outside %s to %s, which the CPU's TSC scaling permits",
		tw_format_factor(lo, sizeof(lo), st.min.num, st.min.den),
		tw_format_factor(hi, sizeof(hi), st.max.num, st.max.den));
	return tw_cure(e, "take one within them, or another mode: --tsc trapped, --tsc offset");
}

static const struct {
	int code;
	int status;
	const char *fact, *cure;
} hook_errors[] = {
	{ EBADF, TW_FAILED, "its descriptor is not open", "try again" },
	{ ENOTTY, TW_NO_VM, "its descriptor is not a KVM VM", "see what there is: twctl list" },
	{ EOPNOTSUPP, TW_UNSUPPORTED, "that TSC mode is not possible on this CPU or VM",
	  "leave the choice to the kernel: --tsc auto" },
	{ EACCES, TW_UNSUPPORTED, "the guest is a confidential one (SEV-ES, SEV-SNP or TDX), whose clocks are protected from KVM",
	  "start it without confidential-guest-support" },
	{ ENODEV, TW_UNSUPPORTED, "the host's TSC is unstable",
	  "look for 'clocksource' and 'TSC' in the kernel log" },
	{ ETIMEDOUT, TW_FAILED, "the VM's vCPUs could not be stopped within a second",
	  "try again when the host is less busy" },
	{ ENXIO, TW_NO_VM, "the VM has no vCPU yet or is going away", "try again" },
	{ ETIME, TW_REFUSED, "the guest is past the moment that the policy was given",
	  "give one that lies ahead; twctl status shows guest minus host time" },
	{ ENOLINK, TW_NO_VM, "it was detached meanwhile", "see what there is: twctl status" },
	{ EXDEV, TW_REFUSED, "a policy stays on its VM", "attach it to the other one" },
	{ ENOENT, TW_NO_VM, "it was detached meanwhile", "see what there is: twctl status" },
	{ EINTR, TW_FAILED, "it was interrupted while it waited for the VM's vCPUs to stop", "try again" },
	{ ENOMEM, TW_FAILED, "the kernel has no memory left for it", "try again when there is more" },
};

bool tw_explain_code(struct tw_err *e, int code)
{
	size_t i;

	e->code = code;
	for (i = 0; i < sizeof(hook_errors) / sizeof(*hook_errors); i++) {
		if (hook_errors[i].code != code)
			continue;
		e->status = hook_errors[i].status;
		tw_fact(e, "%s", hook_errors[i].fact);
		tw_cure(e, "%s", hook_errors[i].cure);
		return true;
	}
	return false;
}

/*
 * What the policy itself says of it; NULL if that is an error of Linux. One whose object has no words for it, as
 * TIMEWARP_REFUSAL() stands behind TIMEWARP_SUMMARY(), is told by its number.
 */
static const char *words_of(const struct btf *btf, int code, char *none, size_t size)
{
	const char *words = NULL;
	char key[32];

	if (code < TIMEWARP_REFUSAL_FIRST || code > TIMEWARP_REFUSAL_LAST)
		return NULL;
	snprintf(key, sizeof(key), TIMEWARP_TAG_REFUSAL "%d=", code - TIMEWARP_REFUSAL_FIRST);
	snprintf(none, size, "reason %d, for which its object has no words", code - TIMEWARP_REFUSAL_FIRST);
	if (btf)
		words = tw_btf_tag(btf, key);
	return words ? words : none;
}

int tw_explain_refusal(struct tw_err *e, int code, const struct tw_refused *r)
{
	char none[64];
	const char *words = words_of(r->btf, code, none, sizeof(none));

	/* a policy's own number is nobody else's business */
	e->code = words ? 0 : code;
	e->status = TW_REFUSED;
	if (words)
		tw_fact(e, "the policy refuses%s%s: %s", r->given ? " what it was given, " : "", r->given ? r->given : "", words);
	else if (r->given)
		tw_fact(e, "the policy refuses what it was given (%s): %s", strerror(code), r->given);
	else
		tw_fact(e, "the policy refuses (%s)", strerror(code));
	return tw_cure(e, r->live ? "the old values are in force again; see its parameters: twctl policy inspect %s" :
		       "see its parameters, their defaults and ranges: twctl policy inspect %s", r->title);
}

int tw_explain_attach(struct tw_err *e, int code, const struct tw_policy *p, const struct tw_vm *vm)
{
	struct tw_refused r = { .title = p->title, .given = p->given, .btf = p->obj ? bpf_object__btf(p->obj) : NULL };

	e->code = code;
	if (code == EBUSY)
		return explain_busy(e, vm);
	if (code == EPERM)
		return explain_perm(e);
	if (code == ERANGE)
		return explain_range(e, p, vm);
	if (tw_explain_code(e, code))
		return e->status;
	return tw_explain_refusal(e, code, &r);
}
