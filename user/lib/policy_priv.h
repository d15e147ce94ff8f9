/* SPDX-License-Identifier: GPL-2.0 */
/* Between policy.c and those of the library that load programs. */
#ifndef TW_POLICY_PRIV_H
#define TW_POLICY_PRIV_H

#include "policy.h"

/* Where a member of the ops table lies in the value of a struct_ops map; -1 if nowhere */
long tw_ops_offset(const char *member);

/* The number of the VM's descriptor that a struct_ops map names; -errno */
int tw_ops_vm_fd(int map_fd);

/* Completes an error with what an errno of the hook means: status, fact and cure */
int tw_explain_hook(struct tw_err *e, int code, const struct tw_vm *vm);

/* libbpf's last warning, without its prefix; "" if there was none */
const char *tw_bpf_last_warning(void);

/* Shows what the kernel says of a program, where libbpf's words are shown as well */
void tw_bpf_show(const char *log);

#endif /* TW_POLICY_PRIV_H */
