/* SPDX-License-Identifier: GPL-2.0 */
/* Which of QEMU's clocks a guest goes by, seen by its readings. */
#ifndef TW_CLOCK_READS_H
#define TW_CLOCK_READS_H

#include "err.h"
#include "reads.h"
#include "vm.h"

struct tw_clock_reads {
	struct tw_reads_bpf *skel;	/* its programs and variables */
};

/* Begins to count; 0 or an exit status. To be ended in each case */
int tw_clock_reads_begin(struct tw_clock_reads *r, const struct tw_vm *vm, struct tw_err *e);

/* What was read since; all 0 if it has not begun */
void tw_clock_reads_take(const struct tw_clock_reads *r, struct tw_reads *reads);

void tw_clock_reads_end(struct tw_clock_reads *r);

#endif /* TW_CLOCK_READS_H */
