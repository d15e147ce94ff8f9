/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What must hold of each function of timeline_math.h, whatever its arguments.
 *
 * The unit tests ask it at chosen arguments, the fuzzer at all others.  Each
 * function returns NULL, or the sentence that does not hold.
 */
#ifndef TIMEWARP_TEST_PROPERTIES_H
#define TIMEWARP_TEST_PROPERTIES_H

#include <stddef.h>

#include "kernel_shim.h"
#include "timeline_math.h"
#include "wide.h"

#define U64_MAX		(~0ULL)
#define HOST_SPAN_MAX	(U64_MAX >> 2)	/* where timeline_unscale() saturates */
#define LIMIT		10000ULL	/* by design, so not TIMELINE_FACTOR_LIMIT */
#define SHIFT_MAX	31

#define MUST(sentence, cond)		\
	do {				\
		if (!(cond))		\
			return sentence;\
	} while (0)

static inline const char *must_mul_div(u64 a, u64 b, u64 c)
{
	u64 down = timeline_mul_div(a, b, c), up = timeline_mul_div_up(a, b, c);
	struct wide product = wide_mul64(a, b);

	if (!c) {
		MUST("mul_div by 0 is U64_MAX", down == U64_MAX);
		MUST("mul_div_up by 0 is U64_MAX", up == U64_MAX);
		return NULL;
	}

	if (wide_cmp(product, wide_shl(wide(c), 64)) >= 0)
		MUST("mul_div saturates to U64_MAX", down == U64_MAX);
	else
		MUST("mul_div is the quotient rounded down", wide_is_floor(down, product, c));

	if (wide_cmp(product, wide_mul64(U64_MAX, c)) > 0)
		MUST("mul_div_up saturates to U64_MAX", up == U64_MAX);
	else
		MUST("mul_div_up is the quotient rounded up", wide_is_ceil(up, product, c));

	return NULL;
}

static inline const char *must_scale(u64 delta, struct timeline_rate rate)
{
	u64 t = timeline_scale(delta, rate);
	struct wide product = wide_mul64(delta, rate.num);

	if (wide_cmp(product, wide_shl(wide(rate.den), 64)) >= 0)
		MUST("scale saturates to U64_MAX", t == U64_MAX);
	else
		MUST("scale is delta times the factor rounded down",
		     wide_is_floor(t, product, rate.den));
	MUST("scale never goes back as delta grows",
	     !delta || timeline_scale(delta - 1, rate) <= t);

	return NULL;
}

static inline const char *must_unscale(u64 delta, struct timeline_rate rate)
{
	u64 t = timeline_unscale(delta, rate);
	struct wide product = wide_mul64(delta, rate.den);

	if (!rate.num || wide_cmp(product, wide_mul64(HOST_SPAN_MAX, rate.num)) > 0) {
		MUST("unscale saturates to S64_MAX / 2", t == HOST_SPAN_MAX);
		return NULL;
	}
	MUST("unscale is delta by the factor rounded up", wide_is_ceil(t, product, rate.num));
	MUST("a timer armed with unscale is never early", timeline_scale(t, rate) >= delta);
	MUST("a timer armed with unscale is not late either",
	     !t || timeline_scale(t - 1, rate) < delta);
	MUST("unscale never goes back as delta grows",
	     !delta || timeline_unscale(delta - 1, rate) <= t);

	return NULL;
}

/* Whether a factor is within what any TSC mode allows, as what is checked lets no other through */
static inline bool factor_valid(struct timeline_rate r)
{
	return r.num && r.den &&
	       wide_cmp(wide(r.num), wide_mul64(r.den, LIMIT)) <= 0 &&
	       wide_cmp(wide(r.den), wide_mul64(r.num, LIMIT)) <= 0;
}

static inline const char *must_rate_cmp(struct timeline_rate a, struct timeline_rate b)
{
	int want = wide_cmp(wide_mul64(a.num, b.den), wide_mul64(b.num, a.den));

	MUST("rate_cmp orders factors as their cross products", timeline_rate_cmp(a, b) == want);
	MUST("rate_cmp is the opposite the other way round", timeline_rate_cmp(b, a) == -want);

	return NULL;
}

/* For @rate valid and @max not 0 */
static inline const char *must_ratio(u64 base, struct timeline_rate rate, u64 max)
{
	u64 ratio = timeline_ratio(base, rate, max);
	struct wide twice = wide_shl(wide_mul64(base, rate.num), 1), den = wide(rate.den);
	struct wide twice_max = wide_shl(wide_mul64(max, rate.den), 1);

	MUST("ratio is 1 to max", ratio >= 1 && ratio <= max);
	if (wide_cmp(twice, twice_max) >= 0)
		MUST("ratio is max if the factor is above it", ratio == max);
	else if (wide_cmp(twice, den) < 0)
		MUST("ratio is 1 if the nearest is 0", ratio == 1);
	else
		MUST("ratio is the nearest to the factor",
		     wide_cmp(wide_dist(wide_shl(wide_mul64(ratio, rate.den), 1), twice),
			      den) <= 0);

	return NULL;
}

/* For @base_mul normalised, @base_shift in [-31, 31] and @rate valid */
static inline const char *must_pvclock_mul(u32 base_mul, s8 base_shift, struct timeline_rate rate)
{
	/* The rational wanted is want / den: both times 2^31, to have no negative shift. */
	struct wide want = wide_shl(wide_mul64(base_mul, rate.num), SHIFT_MAX + base_shift);
	struct wide den = wide_shl(wide(rate.den), SHIFT_MAX);
	struct wide half_ulp, dist;
	u32 mul = 0xdeadbeef;
	s8 shift = 99;

	if (!timeline_pvclock_mul(base_mul, base_shift, rate, &mul, &shift)) {
		/* The greatest mul is 2^32 - 1/2 before rounding: at shifts -32 and 31. */
		MUST("pvclock_mul fails only if the shift would leave -31 to 31",
		     wide_cmp(wide_shl(want, 33), wide_mul(den, (1ULL << 33) - 1)) < 0 ||
			     wide_cmp(wide_shl(want, 1),
				      wide_mul(wide_shl(den, 31), (1ULL << 33) - 1)) >= 0);
		MUST("pvclock_mul that fails leaves the results alone",
		     mul == 0xdeadbeef && shift == 99);
		return NULL;
	}
	MUST("pvclock_mul's multiplier is normalised", mul >> 31);
	MUST("pvclock_mul's shift is in -31 to 31", shift >= -SHIFT_MAX && shift <= SHIFT_MAX);

	half_ulp = wide_shl(wide(rate.den), SHIFT_MAX + shift);
	dist = wide_dist(wide_mul(half_ulp, mul), want);
	MUST("pvclock_mul is the nearest to the factor",
	     wide_cmp(wide_shl(dist, 1), half_ulp) <= 0);
	MUST("pvclock_mul is within 0.5 ppb of the factor",
	     wide_cmp(wide_mul(dist, 2000000000), want) <= 0);

	return NULL;
}

/* For @base_mul not 0 and shifts that differ by at most 30 */
static inline const char *must_pvclock_rate(u32 mul, s8 shift, u32 base_mul, s8 base_shift)
{
	struct timeline_rate rate = timeline_pvclock_rate(mul, shift, base_mul, base_shift);

	MUST("pvclock_rate does not divide by zero", rate.den);
	MUST("pvclock_rate is exact",
	     wide_cmp(wide_shl(wide_mul64(rate.num, base_mul), SHIFT_MAX + base_shift),
		      wide_shl(wide_mul64(rate.den, mul), SHIFT_MAX + shift)) == 0);

	return NULL;
}

/* For @period not 0 */
static inline const char *must_host_cycles(u64 cycles, u64 ratio, unsigned int frac, u64 host)
{
	u64 n = timeline_host_cycles(cycles, ratio, frac);
	struct wide have = wide_shl(wide(cycles), frac);

	if (n == U64_MAX) {
		MUST("it saturates only where it does not fit", wide_cmp(wide_mul64(n, ratio), have) <= 0);
		return NULL;
	}
	MUST("they are the most", wide_is_floor(n, have, ratio));
	MUST("the guest counts no more", host > U64_MAX - n ||
	     mul_u64_u64_shr(host + n, ratio, frac) - mul_u64_u64_shr(host, ratio, frac) <=
	     cycles);

	return NULL;
}

static inline const char *must_periods(u64 behind, u64 period)
{
	MUST("periods is the least that is not behind",
	     wide_is_ceil(timeline_periods(behind, period), wide(behind), period));

	return NULL;
}

#endif /* TIMEWARP_TEST_PROPERTIES_H */
