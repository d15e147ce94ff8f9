/* SPDX-License-Identifier: GPL-2.0 */
/* A process that waits for the end of the one that attached, to put QEMU's clocks back then. */
#ifndef TW_QEMU_KEEPER_H
#define TW_QEMU_KEEPER_H

#include <sys/types.h>

#include "vm.h"

struct tw_keeper {
	pid_t pid;			/* 0 if none */
	int pipe;
};

/* Starts it; to be called before anything is open that only the caller may hold open */
void tw_keeper_start(struct tw_keeper *k, const struct tw_vm *vm);

void tw_keeper_end(struct tw_keeper *k);

#endif /* TW_QEMU_KEEPER_H */
