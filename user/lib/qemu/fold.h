/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How the clocks that the VMM keeps are put back.
 *
 * Whatever QEMU's clocks are ahead by when the timeline has stopped is written into QEMU's own offsets, under its
 * own lock, and then the probes go. Each step is for whoever is there: the command that attached, the one that
 * detaches, or, if the first was killed, its keeper.
 */
#ifndef TW_QEMU_FOLD_H
#define TW_QEMU_FOLD_H

#include <stdbool.h>

#include "vm.h"

/**
 * tw_vmm_finish - let the VMM's clocks go on by themselves
 * @vm: a VM whose timeline has stopped; if it has not, or there are no probes, nothing happens
 *
 * Return: true if no probe rewrites a clock any more
 */
bool tw_vmm_finish(const struct tw_vm *vm);

#endif /* TW_QEMU_FOLD_H */
