/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How the clocks that the VMM keeps are put back: fold.c says how, and what each death leaves.
 */
#ifndef TW_QEMU_FOLD_H
#define TW_QEMU_FOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "vm.h"
#include "vmm_state.h"

#define TW_WHY_MAX 160

/* By what the VMM's clocks are ahead, and are to be for good */
struct tw_lead {
	int64_t mono_ns;
	int64_t wall_ns;
};

/**
 * tw_vmm_finish - let the VMM's clocks go on by themselves, if the timeline has stopped
 * @vm: the VM
 * @why: result, if not: what is in the way; NULL if nobody wants to know
 *
 * May be called at any moment, by whom and how often ever.  To be tried again after a moment, if it was in vain.
 *
 * Return: true if no probe rewrites a clock any more
 */
bool tw_vmm_finish(const struct tw_vm *vm, char why[TW_WHY_MAX]);

/* Whether nothing is left to be done */
bool tw_fold_is_done(const struct vmm_state *s);

/**
 * tw_fold - one try to put back what is not yet
 * @s: the probes' variables, shared with them
 * @lead: what its clocks show beside the host's
 * @why: result, if not
 *
 * Return: as tw_vmm_finish()
 */
bool tw_fold(struct vmm_state *s, const struct tw_lead *lead, char why[TW_WHY_MAX]);

/* The same, by this process itself: it should end soon, see hold.h */
bool tw_fold_here(struct vmm_state *s, const struct tw_lead *lead, char why[TW_WHY_MAX]);

/* The part of it for which the process is held, by the caller */
bool tw_fold_held(struct vmm_state *s, const struct tw_lead *lead, char why[TW_WHY_MAX]);

#endif /* TW_QEMU_FOLD_H */
