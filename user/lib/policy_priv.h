/* SPDX-License-Identifier: GPL-2.0 */
/* Between those alone that make and change attachments. */
#ifndef TW_POLICY_PRIV_H
#define TW_POLICY_PRIV_H

#include "policy.h"

/* Where a member of the ops table lies in the value of a struct_ops map; -1 if nowhere */
long tw_ops_offset(const char *member);

/* The number of the VM's descriptor that a struct_ops map names; -errno */
int tw_ops_vm_fd(int map_fd);

/* What a policy that is open and not loaded may do: its table says so, and the user has not withheld it; enum kvm_timewarp_flags */
uint64_t tw_policy_flags(const struct tw_policy *p);

/* Completes an error: the table lacks what a policy is for */
int tw_explain_no_decide(struct tw_err *e);

/* Completes an error with what an errno of the hook means: status, fact and cure; false if it is none of the kernel's */
bool tw_explain_code(struct tw_err *e, int code);

/* A policy's own refusal */
struct tw_refused {
	const char *title;		/* what "twctl policy inspect" takes */
	const char *given;		/* "a=1 b=2"; NULL if nothing was */
	const struct btf *btf;		/* of the policy, with its own words; may be NULL */
	bool live;			/* it was attached before, with other values, and is */
};

int tw_explain_refusal(struct tw_err *e, int code, const struct tw_refused *r);

/* Either, of a policy that this process has loaded, and of the VM */
int tw_explain_attach(struct tw_err *e, int code, const struct tw_policy *p, const struct tw_vm *vm);

/* libbpf's last warning, without its prefix; "" if there was none */
const char *tw_bpf_last_warning(void);

/* Shows what the kernel says of a program, where libbpf's words are shown as well */
void tw_bpf_show(const char *log);

#endif /* TW_POLICY_PRIV_H */
