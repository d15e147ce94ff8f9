/* SPDX-License-Identifier: GPL-2.0 */
/* A policy with the VMs that it is attached to, one or several, each with its session: without a word to anybody. */
#ifndef TW_SESSION_ATTACHMENT_H
#define TW_SESSION_ATTACHMENT_H

#include <stdbool.h>

#include "err.h"
#include "group.h"
#include "policy.h"
#include "session/session.h"
#include "vm.h"

/* Whether the VMMs' clocks are to follow too */
enum tw_wish { TW_WISH_AUTO, TW_WISH_ON, TW_WISH_OFF };

struct tw_attachment {
	const char *name;		/* of the VM, or of the group, for errors */
	bool pin;
	enum tw_wish wish;
	struct tw_wait wait;
	/* what is known in between: the policies of the others of a group; that the first is loaded */
	int (*open_policy)(void *arg, struct tw_policy *p, struct tw_err *e);
	int (*loaded)(void *arg, struct tw_err *e);
	/* how a guest that has not run yet comes to the loaded policy p, with link as result; NULL: it has run */
	int (*begin)(void *arg, int vm_fd, unsigned int mode, struct tw_err *e);
	void *arg;

	struct tw_policy p;		/* opened by the caller; a group's first */
	struct bpf_link *link;		/* NULL for a group */
	struct tw_group group;		/* n is 0 for a VM alone; its first policy is p then */
	unsigned int nr_vms, nr_on;	/* of them, those whose VMM's clocks follow */
	int view_fd;			/* what the policy can know of these */
	struct tw_session session[TIMEWARP_MAX_VMS];	/* the first is the one that the others follow */
};

/* One more of its VMs, which must outlive it */
void tw_attachment_add(struct tw_attachment *a, const struct tw_vm *vm);

/**
 * tw_attachment_make - attach the policy to all of them, or to none
 * @a: with all that the caller gives
 * @mode: enum kvm_timewarp_tsc_mode
 * @e: error
 *
 * The locks are held until tw_attachment_unlock().
 *
 * Return: 0 or an exit status; to be ended and closed in each case
 */
int tw_attachment_make(struct tw_attachment *a, unsigned int mode, struct tw_err *e);

/**
 * tw_attachment_try - see whether it could be made, and leave nothing
 * @a: likewise
 * @mode: likewise
 * @e: error, as tw_attachment_make() would have it
 *
 * No lock is taken, nothing of an earlier session is cleared away. The policy is loaded, so the verifier has its say, and not
 * attached: it has none.
 *
 * Return: 0 or an exit status; to be closed in each case
 */
int tw_attachment_try(struct tw_attachment *a, unsigned int mode, struct tw_err *e);

void tw_attachment_unlock(struct tw_attachment *a);

/* Link number N, NULL if there are no more */
struct bpf_link *tw_attachment_link(const struct tw_attachment *a, unsigned int n);

/* Detaches the policy */
void tw_attachment_detach(struct tw_attachment *a);

/**
 * tw_attachment_end - put the VMMs' clocks back, once the policy has gone
 * @a: not pinned, or not made
 * @e: error: whose clocks are not yet, and why
 *
 * Return: 0 or an exit status
 */
int tw_attachment_end(struct tw_attachment *a, struct tw_err *e);

/**
 * tw_attachment_reason - why the kernel let the policy go
 * @a: it has
 * @last: the member of its group that ended last; NULL where there is none
 * @rec: result
 *
 * The state file knows, also of a policy that was swapped in by another process; when the VM is gone, so is the file, and
 * the policy's own record remains.
 */
void tw_attachment_reason(const struct tw_attachment *a, const struct tw_member *last,
			  struct timewarp_exit_record *rec);

/* What is pinned stays */
void tw_attachment_close(struct tw_attachment *a);

#endif /* TW_SESSION_ATTACHMENT_H */
