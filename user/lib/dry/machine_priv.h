/* SPDX-License-Identifier: GPL-2.0 */
/* Between the object's reader and the interpreter. */
#ifndef TW_DRY_MACHINE_PRIV_H
#define TW_DRY_MACHINE_PRIV_H

#include <stdint.h>

/* An address of code: an instruction's number with that bit, which no address of data has */
#define TW_DRY_CODE (1ULL << 63)
#define TW_DRY_MAX_SECTION (16UL << 20)

/* The number of a kernel function that the interpreter knows; -1 for others, which are faults when they are called */
int tw_dry_kfunc(const char *name);

#endif /* TW_DRY_MACHINE_PRIV_H */
