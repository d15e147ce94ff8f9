/* SPDX-License-Identifier: GPL-2.0 */
/* What keeps a guest awake whose idle time is to be skipped. */
#ifndef TW_AWAKE_H
#define TW_AWAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vm.h"

#define TW_AWAKE_VCPUS 64

struct tw_awake {
	uint64_t since_ns;		/* CLOCK_MONOTONIC; 0: not looked yet */
	uint64_t leaps;			/* by then */
	uint64_t ran_ns[TW_AWAKE_VCPUS];	/* by then, by each vCPU; those beyond are not looked at */
	bool told;
};

/**
 * tw_awake_look - whether a guest has not leapt for ten seconds, and why
 * @a: all 0 at first, and when the policy has begun anew
 * @vm: the VM
 * @leaps: how often it has, of its state
 * @why: result, in words
 * @size: of @why
 *
 * To be called now and then. Return: true once, when there is something to tell
 */
bool tw_awake_look(struct tw_awake *a, const struct tw_vm *vm, uint64_t leaps, char *why, size_t size);

#endif /* TW_AWAKE_H */
