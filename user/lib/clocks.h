/* SPDX-License-Identifier: GPL-2.0 */
/* Each clock and timer that a guest may have, and whose time it shows. */
#ifndef TW_CLOCKS_H
#define TW_CLOCKS_H

#include <stdbool.h>
#include <stddef.h>

#include "qemu/cmdline.h"
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

/* What decides */
struct tw_clocks_look {
	bool is_qemu;			/* else, what there is of devices and of the CPU's cannot be told */
	struct tw_qemu_time q;
	bool offset;			/* TSC mode offset */
	bool backdoor;			/* kvm.enable_vmware_backdoor */
	bool follows;			/* probes have the VMM's clocks follow */
	bool rtc_follows;
	bool uring;			/* an event loop of the VMM waits by io_uring */
	const char *why, *why_rtc;	/* they do not; live as long as the program */
};

/**
 * tw_clocks_judge - list the clocks that are there
 * @look: what decides
 * @clocks: result
 *
 * Return: how many there are
 */
size_t tw_clocks_judge(const struct tw_clocks_look *look, struct tw_clock clocks[TW_CLOCKS_MAX]);

/* The same of a VM in its state */
size_t tw_clocks_list(const struct tw_vm *vm, const struct tw_state *st,
		      struct tw_clock clocks[TW_CLOCKS_MAX]);

struct tw_vmm_look;

/* Likewise, as they would be: of a VM whose VMM was looked at, and whose TSC keeps the host's rate (offset) or not */
size_t tw_clocks_planned(const struct tw_vm *vm, bool offset, const struct tw_vmm_look *look,
			 struct tw_clock clocks[TW_CLOCKS_MAX]);

/* "KVM", "VMM" or "host" */
const char *tw_clock_by_name(enum tw_clock_by by);

#endif /* TW_CLOCKS_H */
