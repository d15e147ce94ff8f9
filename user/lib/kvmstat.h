/* SPDX-License-Identifier: GPL-2.0 */
/* KVM's statistics of a VM: binary where the VMM holds them open, else those of debugfs. */
#ifndef TW_KVMSTAT_H
#define TW_KVMSTAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vm.h"

/**
 * tw_kvmstat_value - find a number in a file of KVM_GET_STATS_FD
 * @file: its contents
 * @len: of @file
 * @name: the statistic's; a histogram's first value is taken
 * @value: result
 *
 * Return: false if it is not there
 */
bool tw_kvmstat_value(const void *file, size_t len, const char *name, uint64_t *value);

/* A VM's statistics, each vCPU's in a file of its own */
struct tw_kvmstats {
	struct tw_kvmstat_file {
		void *data;
		size_t len;
	} *v;
	size_t n;
	const char *dir;	/* in debugfs, where there is no such file; belongs to the VM */
};

/**
 * tw_kvmstats_open - take a VM's statistics
 * @vm: the VM
 * @s: result, to be freed
 *
 * KVM gives the descriptors (KVM_GET_STATS_FD) to the VMM alone; what it holds open can be read.  A
 * VMM that holds none has the same numbers in debugfs.
 */
void tw_kvmstats_open(const struct tw_vm *vm, struct tw_kvmstats *s);
void tw_kvmstats_free(struct tw_kvmstats *s);

/* The sum over the vCPUs of a statistic; false if it is not known */
bool tw_kvmstats_sum(const struct tw_kvmstats *s, const char *name, uint64_t *sum);

#endif /* TW_KVMSTAT_H */
