/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What timeline_math.h takes from the kernel, for programs on the host.
 *
 * mul_u64_u64_div_u64() is a bare MUL and DIV on x86-64: a divisor of 0 or a
 * quotient above 64 bits raises #DE, which takes the host down.  Here either
 * aborts, so that a test or the fuzzer that reaches it ends there.
 */
#ifndef TIMEWARP_TEST_KERNEL_SHIM_H
#define TIMEWARP_TEST_KERNEL_SHIM_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

typedef unsigned long long u64;
typedef unsigned int u32;
typedef signed char s8;

#define SHIM_BUG_ON(cond)							\
	do {									\
		if (cond) {							\
			fprintf(stderr, "%s: %s\n", __func__, #cond);		\
			abort();						\
		}								\
	} while (0)

static inline u64 mul_u64_u64_shr(u64 a, u64 mul, unsigned int shift)
{
	SHIM_BUG_ON(shift > 127);

	return (u64)(((unsigned __int128)a * mul) >> shift);
}

/* asm/pvclock.h: ns that a guest computes from its pvclock page */
static inline u64 pvclock_scale_delta(u64 delta, u32 mul, int shift)
{
	delta = shift < 0 ? delta >> -shift : delta << shift;

	return mul_u64_u64_shr(delta, mul, 32);
}

static inline u64 mul_u64_u64_div_u64(u64 a, u64 mul, u64 div)
{
	unsigned __int128 product = (unsigned __int128)a * mul;

	SHIM_BUG_ON(div == 0);
	SHIM_BUG_ON((u64)(product >> 64) >= div);

	return (u64)(product / div);
}

#endif /* TIMEWARP_TEST_KERNEL_SHIM_H */
