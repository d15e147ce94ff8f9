/* SPDX-License-Identifier: GPL-2.0 */
/* Where the host time of a VM's vCPUs went: the guest's world. Without BPF. */
#ifndef TW_WORLD_H
#define TW_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "vm.h"

/* Sums over the vCPUs, in ns of the host's, since they were made */
struct tw_world {
	unsigned int vcpus;		/* whose threads are known; 0: nothing is known */
	uint64_t run_ns;		/* on a CPU: guest, KVM and VMM, halt polling included */
	uint64_t steal_ns;		/* ready to run, and another had the CPU; what KVM tells the guest */
	bool stats;			/* KVM's statistics are known: */
	uint64_t halt_ns;		/* halted, until awake and on a CPU again */
	uint64_t poll_ok_ns;		/* polled before a halt, and what was waited for came */
	uint64_t poll_vain_ns;		/* ... in vain */
	uint64_t now_ns;		/* CLOCK_MONOTONIC, when it was read */
};

/**
 * tw_world_read - look where the time of a VM's vCPUs went
 * @vm: the VM
 * @w: result; all 0 but now_ns if it is not to be seen, or gone
 */
void tw_world_read(const struct tw_vm *vm, struct tw_world *w);

/* What a thread's schedstat says: false if it makes no sense */
bool tw_world_parse(const char *schedstat, uint64_t *run_ns, uint64_t *wait_ns);

/*
 * Takes what was before out of it.  Statistics that are known to one of the two alone are known no
 * more.
 */
void tw_world_sub(struct tw_world *now, const struct tw_world *before);

/*
 * What of @span_ns neither ran, was stolen nor halted: stopped, or the VMM waited in user space. Not
 * below 0; without statistics it holds the halts, too.
 */
uint64_t tw_world_other_ns(const struct tw_world *w, uint64_t span_ns);

#endif /* TW_WORLD_H */
