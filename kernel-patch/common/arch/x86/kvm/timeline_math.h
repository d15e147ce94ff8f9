/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Arithmetic of a VM's timeline.
 *
 * Pure functions on integers: nothing here knows of a VM, a vCPU or a lock, so
 * that unit tests and fuzzers can compile the file outside of the kernel.  All
 * results that do not fit saturate; nothing divides by zero; nothing wraps.
 */
#ifndef __KVM_X86_TIMELINE_MATH_H
#define __KVM_X86_TIMELINE_MATH_H

#ifdef __KERNEL__
#include <linux/math64.h>
#include <linux/types.h>
#endif

/* A factor is a fraction of two integers: guest seconds per host second. */
struct timeline_rate {
	u64 num;
	u64 den;
};

/* The widest range of factors that any TSC mode allows, 1/10000 to 10000. */
#define TIMELINE_FACTOR_LIMIT	10000ULL

/* a * b / c in 128 bits, rounded down; U64_MAX if it does not fit or if @c is 0. */
static inline u64 timeline_mul_div(u64 a, u64 b, u64 c)
{
	if (mul_u64_u64_shr(a, b, 64) >= c)
		return ~0ULL;

	return mul_u64_u64_div_u64(a, b, c);
}

/* The same, rounded up. */
static inline u64 timeline_mul_div_up(u64 a, u64 b, u64 c)
{
	u64 q = timeline_mul_div(a, b, c);

	/* The remainder is below @c, so the low halves tell whether it is 0. */
	if (q != ~0ULL && q * c != a * b)
		q++;

	return q;
}

/* A span, in any unit, times a factor, rounded down, saturated to U64_MAX. */
static inline u64 timeline_scale(u64 delta, struct timeline_rate rate)
{
	return timeline_mul_div(delta, rate.num, rate.den);
}

/*
 * A span, in any unit, divided by a factor, rounded up so that a timer armed with the
 * result is never early, saturated to S64_MAX / 2 so that a ktime_t of today can be
 * added to it.
 */
static inline u64 timeline_unscale(u64 delta, struct timeline_rate rate)
{
	u64 d = timeline_mul_div_up(delta, rate.den, rate.num);

	return d > (~0ULL >> 2) ? (~0ULL >> 2) : d;
}

/*
 * The reverse of pvclock_scale_delta(): the least number of cycles since a page's
 * tsc_timestamp at which the guest computes @ns or more, or U64_MAX if that does not
 * fit.  @mul is 2^31 or more, @shift -31 to 31, here and below.
 */
static inline u64 timeline_pvclock_cycles(u64 ns, u32 mul, s8 shift)
{
	u64 cycles = timeline_mul_div_up(ns, 1ULL << 32, mul);

	if (shift >= 0)
		return (cycles >> shift) + !!(cycles & ((1ULL << shift) - 1));

	return cycles >> (64 + shift) ? ~0ULL : cycles << -shift;
}

/*
 * The longest leap, in ns, of a TSC of @khz: three quarters of the 2^64 cycles after
 * which the formula wraps, so that there is time to move the anchor after it.
 */
static inline u64 timeline_leap_fits_ns(u64 khz)
{
	return timeline_mul_div(3ULL << 62, 1000000, khz);
}

/*
 * Move the anchor of a pvclock page, its @tsc and @ns, towards a later TSC, exactly.
 *
 * The formula wraps when 2^64 cycles have passed since the anchor.  It may move
 * by the least number of cycles that are a whole number of ns, times any: for
 * every later TSC the page then shows the same ns as before.
 */
static inline void timeline_pvclock_advance(u64 *tsc, u64 *ns, u32 mul, s8 shift, u64 now)
{
	int bits = 32 + (shift < 0 ? -shift : 0);
	u64 steps = (now - *tsc) >> bits;

	*tsc += steps << bits;
	*ns += steps * ((u64)mul << (shift > 0 ? shift : 0));
}

/*
 * The most host cycles in which a guest counts no more than so many of its own, wherever
 * they begin, saturated to U64_MAX.  @frac_bits is below 64.
 */
static inline u64 timeline_host_cycles(u64 cycles, u64 ratio, unsigned int frac_bits)
{
	return timeline_mul_div(cycles, 1ULL << frac_bits, ratio);
}

/* -1, 0 or 1 as @a is below, equal to or above @b. */
static inline int timeline_rate_cmp(struct timeline_rate a, struct timeline_rate b)
{
	u64 l = mul_u64_u64_shr(a.num, b.den, 64), r = mul_u64_u64_shr(b.num, a.den, 64);

	if (l == r) {
		l = a.num * b.den;
		r = b.num * a.den;
	}

	return l < r ? -1 : l > r;
}

/* The TSC ratio, 1 to @max, that comes nearest to a factor; @base is that at factor 1. */
static inline u64 timeline_ratio(u64 base, struct timeline_rate rate, u64 max)
{
	u64 ratio = timeline_mul_div(base, rate.num, rate.den);

	/* That includes what saturated. */
	if (ratio >= max)
		return max;

	/* Round to nearest: the remainder is exact modulo 2^64. */
	if (base * rate.num - ratio * rate.den > rate.den / 2)
		ratio++;

	return ratio ? ratio : 1;
}

/*
 * The pvclock multiplier, 2^31 or more, and shift for a factor, from those at factor 1.
 * Returns false, and changes nothing, if the shift would leave -31 to 31.
 */
static inline bool timeline_pvclock_mul(u32 base_mul, s8 base_shift, struct timeline_rate rate,
					u32 *mul, s8 *shift)
{
	int s = base_shift - 31;
	u64 m;

	/* 63 bits of quotient at most: @base_mul * 2^31 * 10000 needs more. */
	m = timeline_mul_div((u64)base_mul << 31, rate.num, rate.den);
	if (m == ~0ULL) {
		m = timeline_mul_div((u64)base_mul << 17, rate.num, rate.den);
		s += 14;
	}
	if (!m)
		return false;

	while (m >> 32) {
		/* Round to nearest by the last bit that falls off; 2^32 takes another turn. */
		if (m >> 33 == 0 && (m & 1))
			m++;
		m >>= 1;
		s++;
	}
	while (m < (1ULL << 31)) {
		m <<= 1;
		s--;
	}
	if (s < -31 || s > 31)
		return false;

	*mul = m;
	*shift = s;
	return true;
}

/* The exact factor between two pvclock pages, whose shifts differ by at most 30. */
static inline struct timeline_rate timeline_pvclock_rate(u32 mul, s8 shift, u32 base_mul,
							 s8 base_shift)
{
	struct timeline_rate rate = { .num = mul, .den = base_mul };

	if (shift >= base_shift)
		rate.num <<= shift - base_shift;
	else
		rate.den <<= base_shift - shift;

	return rate;
}

/* The least n for which n * @period >= @behind, or U64_MAX if there is none. */
static inline u64 timeline_periods(u64 behind, u64 period)
{
	if (!period)
		return behind ? ~0ULL : 0;

	return behind / period + !!(behind % period);
}

#endif /* __KVM_X86_TIMELINE_MATH_H */
