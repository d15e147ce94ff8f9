/* SPDX-License-Identifier: GPL-2.0 */
/* Where the host time of a VM's vCPUs went: the guest's world. Without BPF. */
#ifndef TW_WORLD_H
#define TW_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vm.h"

/* What the scheduler has counted of the thread that runs a vCPU, in ns since it was made */
struct tw_vcpu_time {
	int tid;
	uint64_t run_ns;		/* on a CPU: guest, KVM and VMM, halt polling included */
	uint64_t steal_ns;		/* ready to run, and another had the CPU; what KVM tells the guest */
};

/* One look */
struct tw_world {
	struct tw_vcpu_time *v;
	unsigned int vcpus;		/* whose threads are known; 0: nothing is known */
	bool stats;			/* KVM's statistics are known, sums over the vCPUs: */
	uint64_t halt_ns;		/* halts that are over, each until awake and on a CPU again */
	uint64_t poll_ok_ns;		/* polled before a halt, and what was waited for came */
	uint64_t poll_vain_ns;		/* ... in vain */
	uint64_t blocking;		/* vCPUs that are in a halt now */
	uint64_t now_ns;		/* CLOCK_MONOTONIC, when it was read */
};

/* What lay between looks; run, steal, halt and other are together the whole, span */
struct tw_shares {
	unsigned int vcpus;		/* at the last look */
	bool stats;			/* halt is known; else other holds it, too */
	uint64_t span_ns;		/* of time, for each vCPU: one that has gone counts no more */
	uint64_t run_ns, steal_ns;
	uint64_t halt_ns;
	uint64_t other_ns;		/* stopped, or the VMM waited in user space */
	uint64_t poll_ok_ns, poll_vain_ns;	/* parts of run */
	uint64_t owed_ns;		/* of halt: taken for one that KVM has not counted yet */
};

/**
 * tw_world_read - look where the time of a VM's vCPUs went
 * @vm: the VM
 * @w: result, to be freed; all 0 but now_ns if it is not to be seen, or gone
 */
void tw_world_read(const struct tw_vm *vm, struct tw_world *w);
void tw_world_free(struct tw_world *w);

/* What a thread's schedstat says: false if it makes no sense */
bool tw_world_parse(const char *schedstat, uint64_t *run_ns, uint64_t *wait_ns);

/**
 * tw_shares_add - add what lay between two looks
 * @s: zeroed at first; only grows, whatever vCPUs come and go
 * @before: the former look
 * @now: the latter
 *
 * KVM counts a halt when it is over, with the wait for a CPU that follows it.  So what was slept is the
 * most that can be halts, and what was slept and not counted is a halt if a vCPU is in one now: to
 * catch a VM that is stopped in between, look often.
 */
void tw_shares_add(struct tw_shares *s, const struct tw_world *before, const struct tw_world *now);

/* Takes what was before out of it: an interval */
void tw_shares_sub(struct tw_shares *now, const struct tw_shares *before);

#endif /* TW_WORLD_H */
