/* SPDX-License-Identifier: GPL-2.0 */
/* The session of a VM: session.c states the protocol between the processes that take part in it. */
#ifndef TW_SESSION_H
#define TW_SESSION_H

#include <stdbool.h>

#include "err.h"
#include "qemu/fold.h"
#include "qemu/keeper.h"
#include "qemu/probes.h"
#include "session/lock.h"
#include "vm.h"

/* As one process takes part in it */
struct tw_session {
	const struct tw_vm *vm;
	struct tw_lock lock;
	struct tw_vmm_look look;	/* what there is to probe in the VMM, or why it is not */
	struct tw_vmm vmm;
	struct tw_keeper keeper;
	bool on;			/* the VMM's clocks follow, by our probes */
	bool ours;			/* what is pinned is of this session */
	bool others;			/* there is one already */
};

/* How a verb waits for a lock */
struct tw_wait {
	const char *verb;		/* who it is, for others that wait */
	bool over;			/* it gets through, whoever holds it */
	void (*tell)(const struct tw_vm *vm, const struct tw_holder *holder);	/* that it waits, once */
	volatile int *stop;		/* no longer, once this is set; or NULL */
	long long patience_ns;		/* for so long; 0: ten seconds */
};

/* Nothing of it is there yet; @vm must outlive it, and it is to be closed */
void tw_session_open(struct tw_session *s, const struct tw_vm *vm);

/**
 * tw_session_lock - take the lock of a VM
 * @s: the session
 * @wait: how
 * @e: error: that somebody has it, and who
 *
 * Return: 0 or an exit status
 */
int tw_session_lock(struct tw_session *s, const struct tw_wait *wait, struct tw_err *e);
void tw_session_unlock(struct tw_session *s);

/**
 * tw_session_clear - complete what an earlier session of the VM has left, with the lock held
 *
 * Nothing is touched where a policy is attached: that is for the kernel to refuse.
 *
 * Return: 0 or an exit status
 */
int tw_session_clear(struct tw_session *s, struct tw_err *e);

/* After that: whether there is a session, of another process's making */
bool tw_session_is_others(const struct tw_session *s);

/**
 * tw_session_probe - have the VMM's clocks follow, before the policy is attached
 * @s: cleared
 * @nr: which VM it is of those that the policy will have
 * @view_fd: @s->vmm.view_fd of another of them, or -1
 * @pin: the session is to outlive this process
 * @e: error
 *
 * Return: 0 or an exit status; nothing is left then
 */
int tw_session_probe(struct tw_session *s, unsigned int nr, int view_fd, bool pin, struct tw_err *e);

/* The same without probes: there is what is to be pinned, and somebody to remove it when the VM has ended, or an error */
int tw_session_plain(struct tw_session *s, struct tw_err *e);

/* Starts the keeper again, if it was killed; false if that cannot be */
bool tw_session_keep(struct tw_session *s);

/**
 * tw_session_finish - put the VMM's clocks back and remove all that was pinned, once the policy has gone
 * @s: with the lock held; who began the session does not matter
 * @why: result, if it cannot be yet: the keeper goes on trying
 */
bool tw_session_finish(struct tw_session *s, char why[TW_WHY_MAX]);

/* Whether a keeper cannot do what it is for, that of a VM, or of any (NULL): which one, and why */
bool tw_session_stuck(const struct tw_vm *vm, char why[TW_WHY_MAX]);

/* Completes an error: that it could not, and who goes on; returns the status */
int tw_session_fail(struct tw_session *s, const char *why, struct tw_err *e);

/* Nothing is undone: the session is pinned, or another process's */
void tw_session_close(struct tw_session *s);

/* The keeper of a VM, whoever started it; false if there is none */
bool tw_session_keeper(const struct tw_vm *vm, struct tw_holder *keeper);

#endif /* TW_SESSION_H */
