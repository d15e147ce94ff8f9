/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The timeline as the state file shows it, and what it says the guest must
 * see: 128-bit arithmetic, written from the file's description and not from
 * the kernel's code.
 */
#ifndef TIMEWARP_VMM_MODEL_H
#define TIMEWARP_VMM_MODEL_H

#include <stdbool.h>
#include <stdint.h>

struct model {
	bool valid;		/* the file was there and holds a timeline */
	int attached;
	char mode[16];
	uint64_t force_num, force_den;
	uint64_t host_ns, guest_ns, host_tsc, guest_tsc;
	uint64_t seq;
	uint64_t ratio;
	unsigned int frac;
	int64_t offset;
	uint64_t pv_tsc, pv_ns;
	uint32_t mul;
	int8_t shift;
	int64_t kvmclock_offset;
	uint64_t changes, clamps, lost_ticks;
	char missing[32];	/* a key that is not in the file */
};

bool model_read(struct model *m, const char *path);
bool model_same_segment(const struct model *a, const struct model *b);
uint64_t model_tsc(const struct model *m, uint64_t host_tsc);
uint64_t model_guest_ns(const struct model *m, uint64_t guest_tsc);
uint64_t model_kvmclock(const struct model *m, uint64_t guest_tsc);
uint64_t pv_scale(uint64_t delta, uint32_t mul, int8_t shift);

#endif
