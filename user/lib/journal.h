/* SPDX-License-Identifier: GPL-2.0 */
/* The host's journal: what twctl tells it is sent from here, and nothing waits for whoever reads it. */
#ifndef TW_JOURNAL_H
#define TW_JOURNAL_H

#include "state.h"
#include "vm.h"

/* Where it listens; another place for tests */
extern const char *tw_journal_path;

/* One line, of so much weight (LOG_WARNING); what others call themselves is escaped */
void tw_journal(int priority, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Somebody has changed how a VM's time passes */
struct tw_change {
	const char *verb;		/* how: attach, run, set, swap, jump, detach */
	const struct tw_vm *vm;
	const struct tw_state *before;	/* NULL: nothing was attached */
	const struct tw_state *after;	/* likewise */
	const char *given;		/* what was asked for, "factor=50"; or NULL */
};

/* One line: who (user, and the one who has logged in, if that is another), which VM, from what to what */
void tw_journal_change(const struct tw_change *change);

#endif /* TW_JOURNAL_H */
