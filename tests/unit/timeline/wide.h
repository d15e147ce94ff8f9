/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * 256-bit integers, long-hand: what the timeline's arithmetic is judged by.
 *
 * Nothing but additions and products of 32-bit digits.  There is no division: a
 * quotient is judged by multiplying back, a fraction by cross-multiplying.
 * Whatever would leave 256 bits, or go below 0, aborts.
 */
#ifndef TIMEWARP_TEST_WIDE_H
#define TIMEWARP_TEST_WIDE_H

#include "kernel_shim.h"

#define WIDE_DIGITS 8

struct wide {
	u32 digit[WIDE_DIGITS];	/* least significant first */
};

static inline struct wide wide(u64 x)
{
	return (struct wide){ .digit = { (u32)x, (u32)(x >> 32) } };
}

static inline struct wide wide_add(struct wide a, struct wide b)
{
	u64 carry = 0;

	for (int i = 0; i < WIDE_DIGITS; i++) {
		carry += (u64)a.digit[i] + b.digit[i];
		a.digit[i] = (u32)carry;
		carry >>= 32;
	}
	SHIM_BUG_ON(carry);

	return a;
}

static inline int wide_cmp(struct wide a, struct wide b)
{
	for (int i = WIDE_DIGITS - 1; i >= 0; i--)
		if (a.digit[i] != b.digit[i])
			return a.digit[i] < b.digit[i] ? -1 : 1;

	return 0;
}

/* a - b, for a >= b */
static inline struct wide wide_sub(struct wide a, struct wide b)
{
	u64 borrow = 0;

	for (int i = 0; i < WIDE_DIGITS; i++) {
		u64 d = (u64)a.digit[i] - b.digit[i] - borrow;

		a.digit[i] = (u32)d;
		borrow = d >> 63;
	}
	SHIM_BUG_ON(borrow);

	return a;
}

static inline struct wide wide_dist(struct wide a, struct wide b)
{
	return wide_cmp(a, b) < 0 ? wide_sub(b, a) : wide_sub(a, b);
}

static inline struct wide wide_mul32(struct wide a, u32 b)
{
	u64 carry = 0;

	for (int i = 0; i < WIDE_DIGITS; i++) {
		carry += (u64)a.digit[i] * b;
		a.digit[i] = (u32)carry;
		carry >>= 32;
	}
	SHIM_BUG_ON(carry);

	return a;
}

static inline struct wide wide_shl(struct wide a, unsigned int n)
{
	for (; n >= 31; n -= 31)
		a = wide_mul32(a, 1U << 31);

	return wide_mul32(a, 1U << n);
}

static inline struct wide wide_mul(struct wide a, u64 b)
{
	return wide_add(wide_mul32(a, (u32)b), wide_shl(wide_mul32(a, (u32)(b >> 32)), 32));
}

static inline struct wide wide_mul64(u64 a, u64 b)
{
	return wide_mul(wide(a), b);
}

/* Bits @n to @n + 63 */
static inline u64 wide_bits(struct wide a, unsigned int n)
{
	u64 bits = 0;

	for (unsigned int i = 0; i < 64 && n + i < 32 * WIDE_DIGITS; i++)
		bits |= (u64)((a.digit[(n + i) / 32] >> ((n + i) % 32)) & 1) << i;

	return bits;
}

/* q = a / b rounded down, for b > 0: q b <= a < (q + 1) b */
static inline bool wide_is_floor(u64 q, struct wide a, u64 b)
{
	struct wide low = wide_mul64(q, b);

	return wide_cmp(low, a) <= 0 && wide_cmp(a, wide_add(low, wide(b))) < 0;
}

/* q = a / b rounded up, for b > 0: (q - 1) b < a <= q b */
static inline bool wide_is_ceil(u64 q, struct wide a, u64 b)
{
	struct wide high = wide_mul64(q, b);

	return wide_cmp(a, high) <= 0 && wide_cmp(high, wide_add(a, wide(b))) < 0;
}

#endif /* TIMEWARP_TEST_WIDE_H */
