/* SPDX-License-Identifier: GPL-2.0 */
/* What keeps a guest awake whose idle time is to be skipped. */
#ifndef TW_AWAKE_H
#define TW_AWAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vm.h"

#define TW_AWAKE_VCPUS 64

/* For what its vCPUs left the guest, by KVM's statistics; together less than all */
enum { TW_EXITS, TW_EXITS_IO, TW_EXITS_MMIO, TW_EXITS_IRQ, TW_EXITS_HALT, TW_EXITS_CALL, TW_NR_EXITS };

struct tw_awake {
	uint64_t since_ns;		/* CLOCK_MONOTONIC; 0: not looked yet */
	uint64_t leaps;			/* by then */
	uint64_t ran_ns[TW_AWAKE_VCPUS];	/* by then, by each vCPU; those beyond are not looked at */
	uint64_t exits[TW_NR_EXITS];	/* by then; all 0 if they are not known */
	bool told;			/* of this time without a leap */
	uint64_t told_ns;		/* CLOCK_MONOTONIC, last */
};

/**
 * tw_awake_look - whether a guest has not leapt for ten seconds, and why
 * @a: all 0 at first, and when the policy has begun anew
 * @vm: the VM
 * @leaps: how often it has, of its state
 * @why: result, in words
 * @size: of @why
 *
 * To be called now and then. Return: true when there is something to tell: once until it leaps again, and not for ten
 * minutes after the last time
 */
bool tw_awake_look(struct tw_awake *a, const struct tw_vm *vm, uint64_t leaps, char *why, size_t size);

/* How often they leave it, and for what as a rule: ", 250 exits/s, mostly for interrupts"; empty if nothing is known */
const char *tw_awake_exits(const uint64_t before[TW_NR_EXITS], const uint64_t now[TW_NR_EXITS], uint64_t span_ns, char *buf,
			   size_t size);

#endif /* TW_AWAKE_H */
