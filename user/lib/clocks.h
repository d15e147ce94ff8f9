/* SPDX-License-Identifier: GPL-2.0 */
/* Each clock and timer that a guest may have, and whose time it shows. */
#ifndef TW_CLOCKS_H
#define TW_CLOCKS_H

#include <stdbool.h>
#include <stddef.h>

#include "state.h"
#include "vm.h"

enum tw_clock_by {
	TW_CLOCK_BY_KVM,		/* KVM has it follow the timeline */
	TW_CLOCK_BY_VMM,		/* the probes on the VMM do */
	TW_CLOCK_HOST,			/* nobody does: it is the host's */
};

struct tw_clock {
	const char *name;
	enum tw_clock_by by;
	const char *why;		/* for TW_CLOCK_HOST; lives as long as the program, or NULL */
};

#define TW_CLOCKS_MAX 16

/**
 * tw_clocks_list - list the clocks of a VM
 * @vm: the VM
 * @st: its state
 * @clocks: result
 *
 * Return: how many there are
 */
size_t tw_clocks_list(const struct tw_vm *vm, const struct tw_state *st,
		      struct tw_clock clocks[TW_CLOCKS_MAX]);

/* "KVM", "VMM" or "host" */
const char *tw_clock_by_name(enum tw_clock_by by);

#endif /* TW_CLOCKS_H */
