/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The clocks that the VMM keeps: how probes on it make them follow the timeline, and how they are
 * put back.
 *
 * The probes are attached before the policy and outlive it by a moment. Whatever QEMU's clocks are
 * ahead by when the timeline has stopped is written into QEMU's own offsets, under its own lock, and
 * then the probes go. Each step is for whoever is there: the command that attached, the one that
 * detaches, or, if the first was killed, its keeper: a process that waits for nothing else.
 */
#ifndef TW_VMM_H
#define TW_VMM_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/types.h>
#include <sys/types.h>

#include "err.h"
#include "vm.h"
#include "vmm_state.h"

struct bpf_object;
struct bpf_link;

#define TW_VMM_MAX_SITES 32
#define TW_VMM_WAKES 3			/* programs that wake its main loop */

/* What there is to probe in a VMM */
struct tw_vmm_look {
	bool possible;
	char why[160];			/* if not: what was found */
	char why_rtc[160];		/* if the RTC's clock must stay the host's; else empty */
	bool rtc_virtual;		/* the RTC runs by the virtual clock (-rtc clock=vm) */
	unsigned int nr_sites;
	unsigned long offset[TW_VMM_MAX_SITES];
	__u64 cookie[TW_VMM_MAX_SITES];
	struct vmm_state state;
};

/**
 * tw_vmm_look - see whether a VMM's clocks can be made to follow
 * @vm: the VM
 * @look: result
 *
 * Reads the program and the process; changes nothing.
 */
void tw_vmm_look(const struct tw_vm *vm, struct tw_vmm_look *look);

/* Whether a process has an io_uring: QEMU's iothreads then wait by it, and not by ppoll() */
bool tw_vmm_uring(pid_t pid);

struct tw_vmm {
	struct bpf_object *obj;
	struct bpf_link *sites, *wake[TW_VMM_WAKES];
	int view_fd;			/* what a policy can know of it: TIMEWARP_VMMS_SECTION */
	pid_t keeper;			/* 0 if none */
	int keeper_pipe;
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

/* Starts the keeper; to be called before anything is open that only the caller may hold open */
void tw_vmm_keep(struct tw_vmm *v, const struct tw_vm *vm);

/* Pins the probes beside a policy; 0 or -errno */
int tw_vmm_pin(struct tw_vmm *v, const char *vm_id);

/* Removes what tw_vmm_pin() has made */
void tw_vmm_unpin(const char *vm_id);

/* Closes the probes, and ends the keeper */
void tw_vmm_close(struct tw_vmm *v);

/* The probes on a process, whoever attached them; false if there are none */
bool tw_vmm_find(pid_t pid, struct vmm_state *state);

/**
 * tw_vmm_finish - let the VMM's clocks go on by themselves
 * @vm: a VM whose timeline has stopped; if it has not, or there are no probes, nothing happens
 *
 * Return: true if no probe rewrites a clock any more
 */
bool tw_vmm_finish(const struct tw_vm *vm);

/* Has QEMU's main loop ask anew how long to sleep */
void tw_vmm_wake(pid_t pid);

/* Those of all VMMs that are probed; for whoever has just changed a timeline */
void tw_vmm_wake_all(void);

#endif /* TW_VMM_H */
