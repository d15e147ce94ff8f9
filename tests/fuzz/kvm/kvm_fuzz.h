/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of the KVM fuzzer share. kvm_fuzz.c says what it is. */
#ifndef KVM_FUZZ_H
#define KVM_FUZZ_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define FUZZ_VMMS	3	/* alive at a time */
#define FUZZ_VCPUS	6	/* of one VM, at most */
#define FUZZ_OPS	96	/* kinds of operation */
#define FUZZ_ERRNOS	140	/* Linux has 133 */

/* In memory that all processes of a run map */
struct fuzz_shared {
	volatile bool stop;
	/* Operations of the attacker: what the life of a VMM is counted in, however slow the host is */
	volatile uint64_t attacks;
	/* A VMM's process and its VM's descriptor; 0 and -1 while there is none */
	volatile pid_t pid[FUZZ_VMMS];
	volatile int vm_fd[FUZZ_VMMS];
	struct fuzz_count {
		char name[32];
		volatile uint64_t tried, worked;
		volatile uint64_t failed[FUZZ_ERRNOS];	/* by errno */
	} op[FUZZ_OPS];
};

struct fuzz_rng { uint64_t s; };

static inline uint64_t fuzz_next(struct fuzz_rng *r)
{
	uint64_t z = (r->s += 0x9e3779b97f4a7c15ULL);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

/* 0 to n - 1 */
static inline unsigned int fuzz_below(struct fuzz_rng *r, unsigned int n)
{
	return fuzz_next(r) % n;
}

static inline bool fuzz_one_in(struct fuzz_rng *r, unsigned int n)
{
	return !fuzz_below(r, n);
}

/* The generator of a part of the run, by the run's seed and the part's number */
static inline struct fuzz_rng fuzz_part(uint64_t seed, uint64_t part)
{
	struct fuzz_rng r = { seed ^ part * 0xd1342543de82ef95ULL };

	fuzz_next(&r);
	return r;
}

/* Numbers that are at an edge more often than not */
uint64_t fuzz_number(struct fuzz_rng *r);
void fuzz_sleep_us(unsigned int us);
void fuzz_count(struct fuzz_shared *sh, unsigned int op, const char *name, bool worked);

/* A VM that is being fuzzed. Its threads race with each other on purpose: nothing here is locked. */
struct fuzz_vm {
	struct fuzz_shared *sh;
	int kvm, fd;
	char *mem;
	unsigned int vcpu_flags;
	/* The highest rate that its TSC is asked for: above that of the host KVM catches up at each entry, where the
	 * host has no scaling, and no policy can be attached to that VM any more */
	unsigned int most_khz;
	volatile unsigned int nr;
	struct fuzz_vcpu {
		volatile int fd;
		struct kvm_run *run;
		pthread_t runner;
		volatile bool running;
	} vcpu[FUZZ_VCPUS];
	volatile bool stop;
	uint64_t seed;
};

/* One operation of those in kvm_fuzz_ops.c, on a VM or one of its vCPUs */
void fuzz_vm_op(struct fuzz_vm *vm, struct fuzz_rng *r);
int fuzz_add_vcpu(struct fuzz_vm *vm, struct fuzz_rng *r);
/* The life of a VMM's process, in slot @slot; does not return */
void fuzz_vmm(struct fuzz_shared *sh, unsigned int slot, uint64_t seed) __attribute__((noreturn));

/* Numbers of the operations that are not in kvm_fuzz_ops.c's table */
enum {
	FUZZ_OP_RUN = 56, FUZZ_OP_SIGNAL, FUZZ_OP_LIFE,
	FUZZ_OP_STOP_VMM, FUZZ_OP_KILL_VMM, FUZZ_OP_STOP_ATTACKER, FUZZ_OP_KILL_ATTACKER,
	FUZZ_OP_SWITCH, FUZZ_OP_READ_STATE, FUZZ_OP_ATTACK,	/* and those after it: kvm_fuzz_attack.c */
};

#endif
