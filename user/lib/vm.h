/* SPDX-License-Identifier: GPL-2.0 */
/* The VMs of this host, found through /proc and KVM's debugfs, and how to name one. */
#ifndef TW_VM_H
#define TW_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "err.h"
#include "qemu/cmdline.h"

struct tw_vm {
	pid_t pid;
	int fd;				/* the VM's file descriptor in that process */
	char id[32];			/* "PID-FD" */
	unsigned long long start;	/* of the process, in ticks since boot: tells PIDs apart */
	struct tw_guest_names names;
	char comm[64];
	uid_t uid;			/* who runs the process; names are what he says they are */
	int vcpus;			/* -1 if unknown */
	char *dir;			/* in KVM's debugfs; NULL if not found */
};

struct tw_vms {
	struct tw_vm *v;
	size_t n;
	size_t *by_file;		/* indexes into v, in the order in which kcmp() has their files */
	size_t hidden;			/* processes whose descriptors we may not look at */
};

/**
 * tw_vms_scan - find all VMs of this host
 *
 * A VM that several processes hold open, or one process twice, is listed once: under the process
 * which has its vCPUs. One whose memory does not answer has no names: see tw_is_mute().
 */
void tw_vms_scan(struct tw_vms *vms);

/* How many VMs a process holds open, each counted once: 0, or -errno if that cannot be known */
int tw_vms_of(pid_t pid, size_t *n);

void tw_vms_free(struct tw_vms *vms);

/* Forgets one that has gone; nothing may be added afterwards */
void tw_vms_drop(struct tw_vms *vms, const char *id);

/* The one called "PID-FD", NULL if it is not among them */
const struct tw_vm *tw_vms_by_id(const struct tw_vms *vms, const char *id);

/* What "--vm" was given; see tw_selector_parse() */
struct tw_selector {
	const char *text;		/* without the prefix */
	bool pid, name, uuid, id;	/* what it may mean */
	pid_t pid_value;		/* where pid */
	char uuid_value[37];		/* where uuid */
};

/**
 * tw_selector_parse - understand the name of a VM
 * @text: a PID, which is what digits alone always are, a guest's name, PID-FD, or a UUID; "pid:",
 *	  "name:", "uuid:" or "id:" in front says which, for a guest whose name looks like another
 * @sel: result; points into @text
 * @why: what is wrong
 *
 * Return: 0 or -1
 */
int tw_selector_parse(const char *text, struct tw_selector *sel, const char **why);

/* True if the VM is one that the selector names: in full, never by a part of its name */
bool tw_selector_matches(const struct tw_selector *sel, const struct tw_vm *vm);

/**
 * tw_vm_find - find the one VM that "--vm" names
 * @vms: all VMs
 * @text: the selector
 * @doing: what it is wanted for, such as "attach to", for the error
 * @vm: result, in @vms
 * @e: error: none, or several, in which case they are listed ready to paste
 *
 * Return: 0 or an exit status
 */
int tw_vm_find(const struct tw_vms *vms, const char *text, const char *doing, struct tw_vm **vm,
	       struct tw_err *e);

/**
 * tw_vm_take_fd - get a file descriptor of a VM
 *
 * The right to take it (ptrace) is the right to warp.  The PID cannot be reused between look-up
 * and here unnoticed.  A VM lives as long as the descriptor: close it soon.
 *
 * Return: the descriptor, or -1 with the error filled
 */
int tw_vm_take_fd(const struct tw_vm *vm, struct tw_err *e);

/* Whether any of its vCPUs has ever run; true where KVM's state files are not to be seen */
bool tw_vm_has_run(const struct tw_vm *vm);

/* Whether it has ended: its process has, or KVM knows it no more, as far as that can be seen */
bool tw_vm_is_gone(const struct tw_vm *vm);

/* The name to show for a VM: the guest's, else the VMM's */
const char *tw_vm_title(const struct tw_vm *vm);

#endif /* TW_VM_H */
