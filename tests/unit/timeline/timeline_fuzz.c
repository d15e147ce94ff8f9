// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer target: the properties of the timeline's arithmetic, at whatever
 * arguments the fuzzer comes up with.  Each input goes through all functions.
 *
 *	build/tests/fuzz/timeline_fuzz -max_total_time=60
 */
#include <stdint.h>
#include <string.h>

#include "properties.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *data;
	size_t left;
};

static void take(struct input *in, void *to, size_t size)
{
	size_t n = size < in->left ? size : in->left;

	memset(to, 0, size);
	memcpy(to, in->data, n);
	in->data += n;
	in->left -= n;
}

static u32 take_byte(struct input *in)
{
	uint8_t byte;

	take(in, &byte, sizeof(byte));

	return byte;
}

/* One byte tells the magnitude and whether it is a power of two, or next to one. */
static u64 take_u64(struct input *in)
{
	u32 form = take_byte(in);
	u64 x;

	take(in, &x, sizeof(x));

	switch (form >> 6) {
	case 0:
		return x >> (form & 63);
	case 1:
		return (1ULL << (form & 63)) + (x & 3) - 1;
	case 2:
		return ~(x >> (form & 63));
	default:
		return x;
	}
}

/* A factor from 1/10000 to 10000, the limits included. */
static struct timeline_rate take_factor(struct input *in)
{
	u64 den = take_u64(in), num = take_u64(in);
	struct wide most, least;

	den += !den;
	num += !num;

	/* Bring what is outside to the nearest limit. */
	most = wide_mul64(den, LIMIT);
	least = wide_mul64(num, LIMIT);
	if (wide_cmp(wide(num), most) > 0)
		num = wide_bits(most, 0);
	else if (wide_cmp(wide(den), least) > 0)
		den = wide_bits(least, 0);

	return (struct timeline_rate){ .num = num, .den = den };
}

static s8 take_shift(struct input *in)
{
	return (s8)(take_byte(in) % (2 * SHIFT_MAX + 1)) - SHIFT_MAX;
}

/* A failure names the sentence that does not hold and its arguments. */
#define EXPECT(sentence, fmt, ...)						\
	do {									\
		const char *broken = (sentence);				\
										\
		if (broken) {							\
			fprintf(stderr, "not so: %s; " fmt "\n", broken, __VA_ARGS__); \
			abort();						\
		}								\
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { .data = data, .left = size };
	struct timeline_rate rate = take_factor(&in), any;
	u64 a = take_u64(&in), b = take_u64(&in), c = take_u64(&in);
	u32 mul = (u32)take_u64(&in), base_mul = mul | 1U << 31;
	s8 base_shift = take_shift(&in), shift = take_shift(&in);

	/* What no function sees is not worth a place in the corpus. */
	if (in.left)
		return -1;

	EXPECT(factor_valid(rate) ? NULL : "a clamped factor is valid", "%llu/%llu",
	       rate.num, rate.den);
	EXPECT(must_mul_div(a, b, c), "%llu * %llu / %llu", a, b, c);

	/* Any factor at all: most are invalid, some have a zero. */
	any = (struct timeline_rate){ .num = b, .den = c };
	EXPECT(must_unscale(a, any), "%llu by %llu/%llu", a, b, c);
	if (c)
		EXPECT(must_scale(a, any), "%llu by %llu/%llu", a, b, c);

	EXPECT(must_rate_cmp(rate, any), "%llu/%llu, %llu/%llu", rate.num, rate.den, b, c);
	any = (struct timeline_rate){ .num = rate.num + 1, .den = rate.den + 1 };
	EXPECT(must_rate_cmp(rate, any), "%llu/%llu, one more", rate.num, rate.den);

	EXPECT(must_scale(a, rate), "%llu by %llu/%llu", a, rate.num, rate.den);
	EXPECT(must_unscale(a, rate), "%llu by %llu/%llu", a, rate.num, rate.den);

	if (b)
		EXPECT(must_ratio(a, rate, b), "%llu by %llu/%llu, max %llu", a, rate.num,
		       rate.den, b);
	EXPECT(must_ratio(a, rate, U64_MAX), "%llu by %llu/%llu, no max", a, rate.num, rate.den);
	/* The limit right below, at and above the ratio */
	for (u64 near = timeline_mul_div(a, rate.num, rate.den), i = 0; i < 3; i++)
		if (near + i - 1)
			EXPECT(must_ratio(a, rate, near + i - 1), "%llu by %llu/%llu, max %llu",
			       a, rate.num, rate.den, near + i - 1);

	EXPECT(must_pvclock_mul(base_mul, base_shift, rate), "%u, %d by %llu/%llu", base_mul,
	       base_shift, rate.num, rate.den);
	if (abs(shift - base_shift) <= 30)
		EXPECT(must_pvclock_rate(mul, shift, base_mul, base_shift), "%u, %d over %u, %d",
		       mul, shift, base_mul, base_shift);

	if (b)
		EXPECT(must_host_cycles(a, b, 32, c), "%llu cycles, ratio %llu, from %llu", a, b, c);
	if (b)
		EXPECT(must_periods(a, b), "%llu behind, period %llu", a, b);

	return 0;
}
