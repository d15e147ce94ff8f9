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

struct bpf_link;

#define TW_VMM_LINKS 7

struct tw_vmm {
	struct tw_vmm_bpf *skel;	/* its programs, variables and links */
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

void tw_vmm_close(struct tw_vmm *v);

/* One of TW_VMM_LINKS links, and its program's name; NULL if it is not attached */
struct bpf_link *tw_vmm_link(const struct tw_vmm *v, unsigned int i, const char **name);

/* Probes that are attached, by whichever process: their variables, shared with them */
struct tw_vmm_found {
	struct vmm_state *state;
	struct vmm_segments *segments;
	unsigned int prog;		/* one of their programs */
};

/* The probes on a VM's process, to be closed; false if there are none */
bool tw_vmm_find(const struct tw_vm *vm, struct tw_vmm_found *found);
void tw_vmm_found_close(struct tw_vmm_found *found);

/* Whether there are some that rewrite clocks, with a copy of their variables */
bool tw_vmm_follows(const struct tw_vm *vm, struct vmm_state *state);

/* A descriptor of what a policy can know of the VMM, for one that comes later than the probes; -1 if there are none */
int tw_vmm_view(const struct tw_vm *vm);

/* Whether the timeline has stopped; by how much the VMM's clocks are ahead then */
bool tw_vmm_at_rest(const struct tw_vmm_found *found, int64_t *mono_ns, int64_t *wall_ns);

/* Has QEMU's main loop ask anew how long to sleep */
void tw_vmm_wake(const struct vmm_state *state);

/* Those of all VMMs that are probed; for whoever has just changed a timeline */
void tw_vmm_wake_all(void);

#endif /* TW_QEMU_PROBES_H */
