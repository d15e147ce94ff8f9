/* SPDX-License-Identifier: GPL-2.0 */
/* An attachment as the command knows that made it, and what is told of it: lines for people, objects for programs. */
#ifndef TW_ATTACHED_H
#define TW_ATTACHED_H

#include <stdbool.h>
#include <stdint.h>

#include "awake.h"
#include "session/attachment.h"
#include "twctl.h"

struct ring_buffer;

struct attachment {
	const struct tw_args *args;
	struct tw_target t;
	struct tw_attachment made;
	const struct tw_member *last;	/* of its members, to end */
	struct ring_buffer *events;	/* NULL if the policy tells none */
	int events_fd;			/* of a policy that was swapped in; else -1 */
	unsigned int map_id;		/* of the policy that is attached */
	char policy[32];		/* its name */
	int64_t ahead_ns;		/* of the guest's dates */
	uint64_t progress_ns;		/* when it was told last how far a jump has come */
	struct tw_awake awake;		/* whether it is for nothing, where it skips idle time */
	bool done;			/* it told that it is */
	char name[TW_TARGET_NAME_MAX + 16];
};

/* TIMEWARP_EVENT_* in a word, for people and programs: done, step, leaps-ms, event */
const char *tw_event_word(unsigned int kind);

/* What the policy tells */
void tw_tell_event(const struct attachment *a, const struct timewarp_event *event);

/* Where a date is asked for: which one it is taken to be there, before anything is moved */
void tw_tell_date(const struct attachment *a);

/* What would be attached, and how its clocks would go */
void tw_tell_planned(const struct attachment *a, unsigned int mode);

/* That it is attached, and which clocks do not follow; a service's manager hears that it is ready */
void tw_tell_attached(const struct attachment *a);

/* That another command has put a->policy in the place of the old one */
void tw_tell_swapped(const struct attachment *a, const char *old);

/* Where a guest is that jumps, if it has not been told for a while */
void tw_tell_progress(struct attachment *a);

/* That nothing is skipped, though that is what the policy is for */
void tw_tell_awake(const struct attachment *a, const char *why);

/* That it has ended */
void tw_tell_ended(const struct attachment *a, const struct timewarp_exit_record *rec, const char *text);

/* From here on it is told what the policy tells, by a descriptor of its ring */
void tw_attached_listen(struct attachment *a, int fd);

/* The policy's map, by its number, and the first VM that still has one: what one of a group has, all have. 0: none has */
unsigned int tw_attached_map(const struct attachment *a, const struct tw_vm **vm);

/* Stays until a signal, another command, the policy or the VM's end is the end of it; returns the status */
int tw_attached_stay(struct attachment *a, int signals, struct tw_err *e);

/* How its VMs stand; one that is not attached has nothing for the journal */
void tw_attached_states(const struct attachment *a, struct tw_state st[TIMEWARP_MAX_VMS]);

/*
 * Tells the journal that those are attached, or are no more, as they stood then. Once that is so, and no lock is held: to
 * find a user's name may take long.
 */
void tw_journal_attached(const struct attachment *a, const struct tw_state *st, bool begun);

#endif /* TW_ATTACHED_H */
