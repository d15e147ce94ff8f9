/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The probes by which the clocks that the VMM keeps follow the timeline.
 *
 * They are attached before the policy and outlive it by a moment: see fold.h.
 */
#ifndef TW_QEMU_PROBES_H
#define TW_QEMU_PROBES_H

#include <stdbool.h>
#include <sys/types.h>

#include "err.h"
#include "qemu/layout.h"
#include "vm.h"
#include "vmm_state.h"

struct bpf_object;
struct bpf_link;

#define TW_VMM_WAKES 3			/* programs that wake its main loop */

struct tw_vmm {
	struct bpf_object *obj;
	struct bpf_link *sites, *wake[TW_VMM_WAKES];
	int view_fd;			/* what a policy can know of it: TIMEWARP_VMMS_SECTION */
};

/**
 * tw_vmm_attach - have the VMM's clocks follow the timeline, which must be at rest
 * @v: result
 * @vm: the VM
 * @look: what tw_vmm_look() found
 * @nr: which VM it is of those that the policy will have
 * @view_fd: @view_fd of another of them, or -1
 * @e: error
 *
 * Return: 0 or an exit status
 */
int tw_vmm_attach(struct tw_vmm *v, const struct tw_vm *vm, const struct tw_vmm_look *look,
		  unsigned int nr, int view_fd, struct tw_err *e);

/* Pins the probes beside a policy; 0 or -errno */
int tw_vmm_pin(struct tw_vmm *v, const char *vm_id);

/* Removes what tw_vmm_pin() has made */
void tw_vmm_unpin(const char *vm_id);

void tw_vmm_close(struct tw_vmm *v);

/* The probes on a process, whoever attached them; false if there are none */
bool tw_vmm_find(pid_t pid, struct vmm_state *state);

/* The same, with the map behind it: a descriptor, or -1 */
int tw_vmm_map(pid_t pid, struct vmm_state *state);
bool tw_vmm_get_state(int map, struct vmm_state *state);
void tw_vmm_set_state(int map, const struct vmm_state *state);

/* Has QEMU's main loop ask anew how long to sleep */
void tw_vmm_wake(pid_t pid);

/* Those of all VMMs that are probed; for whoever has just changed a timeline */
void tw_vmm_wake_all(void);

#endif /* TW_QEMU_PROBES_H */
