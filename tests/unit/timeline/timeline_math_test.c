// SPDX-License-Identifier: GPL-2.0-only
/*
 * The arithmetic of the timeline, function by function.
 *
 * Figures worked out by hand come first, then the properties of properties.h at
 * edges, at every whole factor from 1/10000 to 10000, and at random arguments
 * that are the same in each run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "properties.h"

#define RATE(n, d)	((struct timeline_rate){ .num = (n), .den = (d) })
#define NSEC_PER_SEC	1000000000ULL
#define YEARS_292	(292 * 31557600ULL * NSEC_PER_SEC)	/* below 2^63 by 0.1 % */
#define S64_MAX		(U64_MAX >> 1)
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define RANDOM_RUNS	200000

#define expect(sentence, fmt, ...)						\
	do {									\
		const char *broken = (sentence);				\
										\
		if (broken)							\
			fail_msg("not so: %s; " fmt, broken, __VA_ARGS__);	\
	} while (0)
#define expect_eq(a, b)								\
	do {									\
		u64 got = (a), wanted = (b);					\
										\
		if (got != wanted)						\
			fail_msg("%s is %llu, not %llu", #a, got, wanted);	\
	} while (0)

static const u64 edges[] = {
	0, 1, 2, 3, 5, 9999, 10000, 10001, NSEC_PER_SEC, (1ULL << 31) - 1, 1ULL << 31,
	U64_MAX >> 32, 1ULL << 32, (1ULL << 32) + 1, (1ULL << 40) - 1, 1ULL << 48,
	HOST_SPAN_MAX - 1, HOST_SPAN_MAX, HOST_SPAN_MAX + 1, YEARS_292, S64_MAX, S64_MAX + 1,
	U64_MAX / 3, U64_MAX - 1, U64_MAX,
};

#define NR_EDGES ARRAY_SIZE(edges)

/* Fixed point of the TSC ratio, as the hardware has it. */
static const struct tsc_hw {
	unsigned int frac_bits;
	u64 max;
} tsc_hw[] = {
	{ 48, U64_MAX },		/* VMX */
	{ 32, (1ULL << 40) - 1 },	/* SVM */
};

#define NR_TSC_HW ARRAY_SIZE(tsc_hw)

/* What kvm_get_time_scale() finds for a TSC, and the corners. */
static const struct page {
	u32 mul;
	s8 shift;
} pages[] = {
	{ 3435973837, -1 },	/* 2.5 GHz */
	{ 2863311531, -1 },	/* 3 GHz */
	{ 2147483648, 1 },	/* 1 GHz */
	{ 4294967295, -2 }, { 2147483649, 0 }, { 3000000001, 17 },
	{ 2147483648, -31 }, { 4294967295, -31 }, { 2147483648, 31 }, { 4294967295, 31 },
};

#define NR_PAGES ARRAY_SIZE(pages)

static u64 seed;

static u64 random64(void)
{
	/* xorshift64* */
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;

	return seed * 2685821657736338717ULL;
}

/* Of any magnitude, and now and then at an edge. */
static u64 random_any(void)
{
	u64 r = random64();

	return r % 8 ? random64() >> (r >> 8) % 64 : edges[(r >> 8) % NR_EDGES];
}

/* A valid factor, of any magnitude of its numerator and denominator. */
static struct timeline_rate random_factor(void)
{
	struct timeline_rate rate;

	do {
		u64 r = random64(), k = 1 + (r >> 16) % LIMIT;

		rate.den = 1 + (random64() >> 14) / (1 + (random64() >> (r & 63)) % (1ULL << 50));
		rate.num = r & 64 ? rate.den / k : rate.den * k;
		rate.num += (random64() % (1 + rate.num / 8));
	} while (!factor_valid(rate));

	return rate;
}

typedef void (*with_factor)(struct timeline_rate rate);

/* Every whole factor and its reciprocal, ten-thousandths, and the limits at 64 bits. */
static void for_each_factor(with_factor fn)
{
	for (u64 k = 1; k <= LIMIT; k++) {
		fn(RATE(k, 1));
		fn(RATE(1, k));
		fn(RATE(k, LIMIT));
		fn(RATE(k * 7 + 1, k * 3 + 2));
	}
	fn(RATE(U64_MAX, U64_MAX / LIMIT + 1));
	fn(RATE(U64_MAX / LIMIT + 1, U64_MAX));
	fn(RATE(U64_MAX, U64_MAX));
	fn(RATE(U64_MAX - 1, U64_MAX));
	fn(RATE(U64_MAX, U64_MAX - 1));
}

static int with_seed(void **state)
{
	(void)state;
	seed = 0x74696d6577617270ULL;

	return 0;
}

/* The shim and the reference */

static int signal_of_div(u64 a, u64 b, u64 c)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		volatile u64 q;

		signal(SIGABRT, SIG_DFL);
		close(STDERR_FILENO);
		q = mul_u64_u64_div_u64(a, b, c);
		(void)q;
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);

	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void shim_dies_where_the_cpu_would(void **state)
{
	(void)state;
	expect_eq(signal_of_div(1, 1, 0), SIGABRT);
	expect_eq(signal_of_div(0, 0, 0), SIGABRT);
	expect_eq(signal_of_div(U64_MAX, 2, 1), SIGABRT);
	expect_eq(signal_of_div(1ULL << 32, 1ULL << 32, 1), SIGABRT);
	expect_eq(signal_of_div(U64_MAX, U64_MAX, U64_MAX), 0);
	expect_eq(signal_of_div(U64_MAX, 1, 1), 0);
	expect_eq(signal_of_div(0, 0, 1), 0);
}

static void reference_agrees_with_the_compiler(void **state)
{
	(void)state;
	for (int i = 0; i < RANDOM_RUNS; i++) {
		u64 a = random_any(), b = random_any(), c = random_any() | 1;
		unsigned __int128 p = (unsigned __int128)a * b;
		struct wide w = wide_mul64(a, b);

		expect_eq(wide_bits(w, 0), (u64)p);
		expect_eq(wide_bits(w, 64), (u64)(p >> 64));
		expect_eq(wide_bits(wide_shl(w, c % 128), c % 128 + 64), (u64)(p >> 64));
		if ((u64)(p >> 64) < c) {
			u64 q = (u64)(p / c), up = q + !!(p % c);

			assert_true(wide_is_floor(q, w, c));
			assert_false(wide_is_floor(q + 1, w, c) ||
				     (q && wide_is_floor(q - 1, w, c)));
			assert_true(!up || wide_is_ceil(up, w, c));
			assert_false(wide_is_ceil(up + 1, w, c) ||
				     (up && wide_is_ceil(up - 1, w, c)));
		}
	}
}

/* timeline_mul_div, timeline_mul_div_up */

static void mul_div_by_hand(void **state)
{
	(void)state;
	expect_eq(timeline_mul_div(7, 3, 2), 10);
	expect_eq(timeline_mul_div_up(7, 3, 2), 11);
	expect_eq(timeline_mul_div_up(8, 3, 2), 12);
	expect_eq(timeline_mul_div(U64_MAX, U64_MAX, U64_MAX), U64_MAX);
	expect_eq(timeline_mul_div(U64_MAX, U64_MAX - 1, U64_MAX), U64_MAX - 1);
	expect_eq(timeline_mul_div(U64_MAX, 1, 2), S64_MAX);
	expect_eq(timeline_mul_div_up(U64_MAX, 1, 2), S64_MAX + 1);
	expect_eq(timeline_mul_div(U64_MAX, 2, 1), U64_MAX);
	expect_eq(timeline_mul_div_up(U64_MAX, 2, 1), U64_MAX);
	expect_eq(timeline_mul_div(0, 0, 0), U64_MAX);
	expect_eq(timeline_mul_div(5, 5, 0), U64_MAX);
	expect_eq(timeline_mul_div_up(5, 5, 0), U64_MAX);
	expect_eq(timeline_mul_div(0, 5, 1), 0);
	expect_eq(timeline_mul_div_up(0, 5, 1), 0);
	/* 2^64 - 1/2: down fits, up does not */
	expect_eq(timeline_mul_div(S64_MAX, 4, 2), U64_MAX - 1);
	expect_eq(timeline_mul_div_up(S64_MAX / 2 * 4 + 3, 3, 3), U64_MAX);
	expect_eq(timeline_mul_div(10000000000000000000ULL, 7777777777ULL, 4294967296ULL),
		  18109050060156732797ULL);
}

static void mul_div_at_all_edges(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < NR_EDGES; i++)
		for (unsigned int j = 0; j < NR_EDGES; j++)
			for (unsigned int k = 0; k < NR_EDGES; k++)
				expect(must_mul_div(edges[i], edges[j], edges[k]),
				       "%llu * %llu / %llu", edges[i], edges[j], edges[k]);
}

static void mul_div_at_random(void **state)
{
	(void)state;
	for (int i = 0; i < RANDOM_RUNS; i++) {
		u64 a = random_any(), b = random_any(), c = random_any();

		expect(must_mul_div(a, b, c), "%llu * %llu / %llu", a, b, c);
		/* Products that divide evenly, and by one less and more */
		a >>= 32;
		b >>= 32;
		expect(must_mul_div(a * b, c, b), "%llu * %llu / %llu", a * b, c, b);
		expect(must_mul_div(a * b - 1, c, b), "%llu * %llu / %llu", a * b - 1, c, b);
		expect(must_mul_div(a * b + 1, c, b), "%llu * %llu / %llu", a * b + 1, c, b);
	}
}

/* timeline_scale, timeline_unscale */

static void scale_by_hand(void **state)
{
	(void)state;
	expect_eq(timeline_scale(3600 * NSEC_PER_SEC, RATE(50, 1)), 180000 * NSEC_PER_SEC);
	expect_eq(timeline_scale(10, RATE(1, 3)), 3);
	expect_eq(timeline_scale(11, RATE(1, 3)), 3);
	expect_eq(timeline_scale(12, RATE(1, 3)), 4);
	expect_eq(timeline_scale(YEARS_292, RATE(1, 1)), 9214819200000000000ULL);
	expect_eq(timeline_scale(YEARS_292 / 10000, RATE(10000, 1)), 9214819200000000000ULL);
	expect_eq(timeline_scale(YEARS_292, RATE(10000, 1)), U64_MAX);
	expect_eq(timeline_scale(YEARS_292, RATE(1, 10000)), 921481920000000ULL);
	expect_eq(timeline_scale(U64_MAX, RATE(1, 0)), U64_MAX);
	expect_eq(timeline_scale(U64_MAX, RATE(0, 1)), 0);
}

static void unscale_by_hand(void **state)
{
	(void)state;
	expect_eq(timeline_unscale(NSEC_PER_SEC, RATE(50, 1)), 20000000);
	expect_eq(timeline_unscale(NSEC_PER_SEC, RATE(3, 10000)), 3333333333334ULL);
	expect_eq(timeline_unscale(1, RATE(10000, 1)), 1);
	expect_eq(timeline_unscale(10000, RATE(10000, 1)), 1);
	expect_eq(timeline_unscale(10001, RATE(10000, 1)), 2);
	expect_eq(timeline_unscale(0, RATE(10000, 1)), 0);
	expect_eq(timeline_unscale(0, RATE(1, 10000)), 0);
}

static void unscale_saturates_where_a_ktime_of_today_fits_above(void **state)
{
	const u64 top = S64_MAX / 2;

	(void)state;
	expect_eq(timeline_unscale(top - 1, RATE(1, 1)), top - 1);
	expect_eq(timeline_unscale(top, RATE(1, 1)), top);
	expect_eq(timeline_unscale(top + 1, RATE(1, 1)), top);
	expect_eq(timeline_unscale(U64_MAX, RATE(1, 1)), top);
	expect_eq(timeline_unscale(U64_MAX, RATE(4, 1)), top);
	expect_eq(timeline_unscale(U64_MAX - 3, RATE(4, 1)), top);
	expect_eq(timeline_unscale(U64_MAX - 4, RATE(4, 1)), top);
	expect_eq(timeline_unscale(U64_MAX - 7, RATE(4, 1)), top - 1);
	/* KTIME_MAX, which means never, and 106 guest-days at 0.001 */
	expect_eq(timeline_unscale(S64_MAX, RATE(1, 1000)), top);
	expect_eq(timeline_unscale(107 * 86400 * NSEC_PER_SEC, RATE(1, 1000)), top);
	expect_eq(timeline_unscale(1, RATE(0, 1)), top);
	expect_eq(timeline_unscale(0, RATE(0, 0)), top);
	/* 50 years after 1970, it still is a positive ktime_t */
	assert_true(top + 50 * 31557600 * NSEC_PER_SEC <= S64_MAX);
}

static void scale_and_unscale_at_all_edges(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < NR_EDGES; i++)
		for (unsigned int j = 0; j < NR_EDGES; j++)
			for (unsigned int k = 0; k < NR_EDGES; k++) {
				struct timeline_rate rate = RATE(edges[j], edges[k]);

				if (rate.den)
					expect(must_scale(edges[i], rate), "%llu by %llu/%llu",
					       edges[i], rate.num, rate.den);
				expect(must_unscale(edges[i], rate), "%llu by %llu/%llu", edges[i],
				       rate.num, rate.den);
			}
}

static void spans_up_to_292_years(struct timeline_rate rate)
{
	static const u64 spans[] = {
		1, 4999, 1000000, NSEC_PER_SEC, 20 * NSEC_PER_SEC + 1, 86400 * NSEC_PER_SEC,
		YEARS_292 / 10000, YEARS_292 / 2, YEARS_292, S64_MAX,
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(spans); i++) {
		expect(must_scale(spans[i], rate), "%llu by %llu/%llu", spans[i], rate.num,
		       rate.den);
		expect(must_unscale(spans[i], rate), "%llu by %llu/%llu", spans[i], rate.num,
		       rate.den);
	}
}

static void scale_and_unscale_at_all_factors(void **state)
{
	(void)state;
	for_each_factor(spans_up_to_292_years);
}

static void scale_and_unscale_at_random(void **state)
{
	(void)state;
	for (int i = 0; i < RANDOM_RUNS; i++) {
		struct timeline_rate rate = random_factor();
		u64 delta = random_any();

		expect(must_scale(delta, rate), "%llu by %llu/%llu", delta, rate.num, rate.den);
		expect(must_unscale(delta, rate), "%llu by %llu/%llu", delta, rate.num, rate.den);
	}
}

/* 64 changes of factor over 292 guest-years, each from where the last one ended. */
static void segments_add_up_to_292_years(void **state)
{
	(void)state;
	for (int run = 0; run < 2000; run++) {
		u64 guest = 0;

		for (int i = 64; i > 0; i--) {
			struct timeline_rate rate = random_factor();
			u64 span = (YEARS_292 - guest) / i, host, end;

			host = timeline_unscale(span, rate);
			if (host == HOST_SPAN_MAX)
				continue;
			end = guest + timeline_scale(host, rate);
			/* One host nanosecond more than needed is at most a factor, rounded up */
			assert_true(end >= guest + span);
			assert_true(end - guest - span <= LIMIT);
			guest = end;
		}
		assert_true(guest <= YEARS_292 + 64 * LIMIT);
	}
}

static void limit_is_the_designs(void **state)
{
	(void)state;
	assert_int_equal(TIMELINE_FACTOR_LIMIT, LIMIT);
}

/* timeline_rate_cmp */

static void rate_cmp_by_hand(void **state)
{
	(void)state;
	assert_int_equal(timeline_rate_cmp(RATE(1, 3), RATE(1, 2)), -1);
	assert_int_equal(timeline_rate_cmp(RATE(50, 1), RATE(49, 1)), 1);
	assert_int_equal(timeline_rate_cmp(RATE(2, 4), RATE(3, 6)), 0);
	assert_int_equal(timeline_rate_cmp(RATE(U64_MAX, U64_MAX), RATE(1, 1)), 0);
	/* Apart by 1 / 2^128, with equal upper halves of the cross products */
	assert_int_equal(timeline_rate_cmp(RATE(U64_MAX - 1, U64_MAX),
					   RATE(U64_MAX - 2, U64_MAX - 1)), 1);
	assert_int_equal(timeline_rate_cmp(RATE(U64_MAX - 2, U64_MAX - 1),
					   RATE(U64_MAX - 1, U64_MAX)), -1);
}

static void rate_cmp_at_random(void **state)
{
	(void)state;
	for (int i = 0; i < RANDOM_RUNS; i++) {
		struct timeline_rate a = random_factor(), b = random_factor();

		/* Two of no relation, then one that is next to @a */
		expect(must_rate_cmp(a, b), "%llu/%llu, %llu/%llu", a.num, a.den, b.num, b.den);
		b = RATE(a.num + i % 3 - 1, a.den + i / 3 % 3 - 1);
		expect(must_rate_cmp(a, b), "%llu/%llu, %llu/%llu", a.num, a.den, b.num, b.den);
		expect(must_rate_cmp(a, a), "%llu/%llu, itself", a.num, a.den);
	}
}

/* timeline_ratio */

static void ratio_by_hand(void **state)
{
	const u64 svm = 1ULL << 32, svm_max = (1ULL << 40) - 1, vmx = 1ULL << 48;

	(void)state;
	expect_eq(timeline_ratio(svm, RATE(50, 1), svm_max), 214748364800ULL);
	expect_eq(timeline_ratio(svm, RATE(1, 1000), svm_max), 4294967);	/* .296 */
	expect_eq(timeline_ratio(svm, RATE(1, 10000), svm_max), 429497);	/* 429496.7 */
	expect_eq(timeline_ratio(vmx, RATE(1, 10000), U64_MAX), 28147497671ULL);
	expect_eq(timeline_ratio(vmx, RATE(1, 3), U64_MAX), 93824992236885ULL);	/* .333 */
	expect_eq(timeline_ratio(vmx, RATE(10000, 9999), U64_MAX), 281503127023358ULL);
	expect_eq(timeline_ratio(vmx, RATE(1, 1), U64_MAX), vmx);
	expect_eq(timeline_ratio(vmx, RATE(10000, 1), U64_MAX), 10000 * vmx);
	/* Denominators that are odd, even and 1 */
	expect_eq(timeline_ratio(100, RATE(1, 3), 1000), 33);
	expect_eq(timeline_ratio(101, RATE(1, 3), 1000), 34);
	expect_eq(timeline_ratio(101, RATE(1, 4), 1000), 25);
	expect_eq(timeline_ratio(103, RATE(1, 4), 1000), 26);
	expect_eq(timeline_ratio(7, RATE(3, 1), 1000), 21);
}

static void ratio_has_an_upper_end(void **state)
{
	const u64 svm = 1ULL << 32, svm_max = (1ULL << 40) - 1;

	(void)state;
	expect_eq(timeline_ratio(svm, RATE(255, 1), svm_max), 255ULL << 32);
	expect_eq(timeline_ratio(svm, RATE(256, 1), svm_max), svm_max);
	expect_eq(timeline_ratio(svm, RATE(svm_max, svm), svm_max), svm_max);
	expect_eq(timeline_ratio(1000, RATE(1, 1), 1000), 1000);
	expect_eq(timeline_ratio(1001, RATE(1, 1), 1000), 1000);
	/* 999.75, 1000.25 and 1000.75 */
	expect_eq(timeline_ratio(3999, RATE(1, 4), 1000), 1000);
	expect_eq(timeline_ratio(4001, RATE(1, 4), 1000), 1000);
	expect_eq(timeline_ratio(4003, RATE(1, 4), 1000), 1000);
	/* 10 * 10000 is more than VMX's 16 bits of integer hold */
	expect_eq(timeline_ratio(10ULL << 48, RATE(10000, 1), U64_MAX), U64_MAX);
	expect_eq(timeline_ratio(10ULL << 48, RATE(10000, 1), U64_MAX - 1), U64_MAX - 1);
	expect_eq(timeline_ratio(10ULL << 48, RATE(U64_MAX, 10ULL << 48), U64_MAX), U64_MAX);
	expect_eq(timeline_ratio(U64_MAX, RATE(3, 2), U64_MAX), U64_MAX);
	expect_eq(timeline_ratio((1ULL << 63) + 1, RATE(3ULL << 62, (1ULL << 62) + 1), U64_MAX),
		  U64_MAX);
}

static void ratio_has_a_lower_end(void **state)
{
	(void)state;
	expect_eq(timeline_ratio(1, RATE(1, 10000), U64_MAX), 1);
	expect_eq(timeline_ratio(4999, RATE(1, 10000), U64_MAX), 1);
	expect_eq(timeline_ratio(5001, RATE(1, 10000), U64_MAX), 1);
	expect_eq(timeline_ratio(15001, RATE(1, 10000), U64_MAX), 2);
	expect_eq(timeline_ratio(0, RATE(10000, 1), U64_MAX), 1);
}

static void ratios_of_all_hardware(struct timeline_rate rate)
{
	for (unsigned int i = 0; i < NR_TSC_HW; i++) {
		u64 one = 1ULL << tsc_hw[i].frac_bits;
		/* Factor 1, guests that ask for a TSC of their own, and one next to the limit */
		const u64 bases[] = { one, one / 3, one * 2 + 1, one * 65535 / 10000, 1 };

		for (unsigned int k = 0; k < ARRAY_SIZE(bases); k++)
			expect(must_ratio(bases[k], rate, tsc_hw[i].max),
			       "%llu by %llu/%llu, max %llu", bases[k], rate.num, rate.den,
			       tsc_hw[i].max);
	}
}

static void ratio_is_nearest_at_all_factors(void **state)
{
	(void)state;
	for_each_factor(ratios_of_all_hardware);
}

static void ratio_is_nearest_at_random(void **state)
{
	(void)state;
	for (int i = 0; i < RANDOM_RUNS; i++) {
		struct timeline_rate rate = random_factor();
		u64 base = random_any(), max = random_any(), near;

		max += !max;
		expect(must_ratio(base, rate, max), "%llu by %llu/%llu, max %llu", base, rate.num,
		       rate.den, max);
		expect(must_ratio(base, rate, U64_MAX), "%llu by %llu/%llu, no max", base, rate.num,
		       rate.den);
		/* The limit right below, at and above the ratio */
		near = timeline_mul_div(base, rate.num, rate.den);
		for (int k = -1; k <= 1; k++) {
			max = near + k;
			if (max)
				expect(must_ratio(base, rate, max), "%llu by %llu/%llu, max %llu",
				       base, rate.num, rate.den, max);
		}
	}
}

/* timeline_pvclock_mul, timeline_pvclock_rate */

static void expect_page(u32 base_mul, s8 base_shift, struct timeline_rate rate, u32 mul, s8 shift)
{
	u32 got_mul = 0;
	s8 got_shift = 0;

	if (!timeline_pvclock_mul(base_mul, base_shift, rate, &got_mul, &got_shift))
		fail_msg("no page for %u, %d by %llu/%llu", base_mul, base_shift, rate.num,
			 rate.den);
	if (got_mul != mul || got_shift != shift)
		fail_msg("%u, %d by %llu/%llu is %u, %d, not %u, %d", base_mul, base_shift,
			 rate.num, rate.den, got_mul, got_shift, mul, shift);
}

static void pvclock_mul_by_hand(void **state)
{
	const u32 mul = 3435973837;	/* 2.5 GHz */

	(void)state;
	expect_page(mul, -1, RATE(1, 1), mul, -1);
	expect_page(mul, -1, RATE(2, 1), mul, 0);
	expect_page(mul, -1, RATE(1, 2), mul, -2);
	expect_page(mul, -1, RATE(3, 2), 2576980378, 0);
	expect_page(mul, -1, RATE(50, 1), 2684354560, 5);
	expect_page(mul, -1, RATE(1, 50), 2199023256, -6);
	expect_page(mul, -1, RATE(1, 3), 2290649225, -2);
	expect_page(mul, -1, RATE(10000, 1), 4194304000, 12);
	expect_page(mul, -1, RATE(1, 10000), 2814749767, -14);
}

static void pvclock_mul_rounds_into_the_next_shift(void **state)
{
	(void)state;
	/* 2^31 * (2^33 - 1) / 2^32 = 2^32 - 1/2 rounds up to 2^32: 2^31 at a shift more */
	expect_page(1U << 31, 0, RATE((1ULL << 33) - 1, 1ULL << 32), 1U << 31, 1);
	/* A quarter less rounds down */
	expect_page(1U << 31, 0, RATE((1ULL << 34) - 3, 1ULL << 33), 4294967295, 0);
	expect_page(4294967295, 0, RATE(1, 1), 4294967295, 0);
	expect_page(4294967295, 0, RATE(10000, 1), 2621439999, 14);
}

static void pvclock_mul_fails_outside_31(void **state)
{
	u32 mul;
	s8 shift;

	(void)state;
	expect_page(1U << 31, 31, RATE(1, 1), 1U << 31, 31);
	expect_page(1U << 31, -31, RATE(1, 1), 1U << 31, -31);
	assert_false(timeline_pvclock_mul(1U << 31, 31, RATE(2, 1), &mul, &shift));
	assert_false(timeline_pvclock_mul(1U << 31, -31, RATE(1, 2), &mul, &shift));
	assert_false(timeline_pvclock_mul(1U << 31, -18, RATE(1, 10000), &mul, &shift));
	expect_page(1U << 31, -17, RATE(1, 10000), 3518437209, -31);
	assert_false(timeline_pvclock_mul(1U << 31, 19, RATE(10000, 1), &mul, &shift));
	expect_page(1U << 31, 18, RATE(10000, 1), 2621440000, 31);
	/* The last half of the last bit at shift 31 */
	assert_false(timeline_pvclock_mul(1U << 31, 31, RATE((1ULL << 33) - 1, 1ULL << 32), &mul,
					  &shift));
}

static void pages_of_all_clocks(struct timeline_rate rate)
{
	for (unsigned int i = 0; i < NR_PAGES; i++)
		expect(must_pvclock_mul(pages[i].mul, pages[i].shift, rate), "%u, %d by %llu/%llu",
		       pages[i].mul, pages[i].shift, rate.num, rate.den);
}

static void pvclock_mul_is_nearest_at_all_factors(void **state)
{
	(void)state;
	for_each_factor(pages_of_all_clocks);
}

static void pvclock_mul_is_nearest_at_random(void **state)
{
	(void)state;
	for (int i = 0; i < RANDOM_RUNS; i++) {
		struct timeline_rate rate = random_factor();
		u32 mul = (u32)random64() | 1U << 31;
		s8 shift = (s8)(i % 63 - SHIFT_MAX);

		expect(must_pvclock_mul(mul, shift, rate), "%u, %d by %llu/%llu", mul, shift,
		       rate.num, rate.den);
	}
}

static void rates_of_all_clocks(struct timeline_rate rate)
{
	for (unsigned int i = 0; i < NR_PAGES; i++) {
		const struct page *base = &pages[i];
		u32 mul;
		s8 shift;

		if (!timeline_pvclock_mul(base->mul, base->shift, rate, &mul, &shift))
			continue;
		expect(must_pvclock_rate(mul, shift, base->mul, base->shift), "%u, %d over %u, %d",
		       mul, shift, base->mul, base->shift);
	}
}

static void pvclock_rate_is_exact_at_all_factors(void **state)
{
	(void)state;
	for_each_factor(rates_of_all_clocks);
}

static void pvclock_rate_is_exact_at_shifts_up_to_30(void **state)
{
	(void)state;
	for (int s = -SHIFT_MAX; s <= SHIFT_MAX; s++)
		for (int b = -SHIFT_MAX; b <= SHIFT_MAX; b++) {
			u32 mul = (u32)random64(), base = (u32)random64() | 1;

			if (abs(s - b) > 30)
				continue;
			expect(must_pvclock_rate(mul, (s8)s, base, (s8)b), "%u, %d over %u, %d",
			       mul, s, base, b);
			expect(must_pvclock_rate(U64_MAX >> 32, (s8)s, U64_MAX >> 32, (s8)b),
			       "shifts %d, %d", s, b);
		}
	expect_eq(timeline_pvclock_rate(2684354560, 5, 3435973837, -1).num, 2684354560ULL << 6);
	expect_eq(timeline_pvclock_rate(2684354560, 5, 3435973837, -1).den, 3435973837ULL);
}

/*
 * In offset mode the page alone warps: cycles of the host, over 292 guest-years
 * or to the end of the TSC's 64 bits, must come out as guest time to 1 ppb.
 */
static void a_page_carries_292_years(struct timeline_rate rate)
{
	static const struct {
		u64 hz;
		struct page page;
	} clocks[] = {
		{ 1000000000, { 2147483648, 1 } },
		{ 2500000000, { 3435973837, -1 } },
		{ 5000000000, { 3435973837, -2 } },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(clocks); i++) {
		u64 host = timeline_unscale(YEARS_292, rate);
		u64 cycles = timeline_mul_div(host, clocks[i].hz, NSEC_PER_SEC);
		u64 guest, want, last = 0;
		u32 mul = 0;
		s8 shift = 0;

		assert_true(timeline_pvclock_mul(clocks[i].page.mul, clocks[i].page.shift, rate,
						 &mul, &shift));
		if (cycles == U64_MAX)
			cycles--;
		for (int k = 7; k >= 0; k--) {
			guest = pvclock_scale_delta(cycles >> k, mul, shift);
			want = timeline_mul_div(cycles >> k, NSEC_PER_SEC, clocks[i].hz);
			want = timeline_scale(want, rate);
			if (guest < last || (guest > want ? guest - want : want - guest) >
						    want / NSEC_PER_SEC + rate.num / rate.den + 3)
				fail_msg("%llu cycles of %llu Hz by %llu/%llu are %llu, not %llu",
					 cycles >> k, clocks[i].hz, rate.num, rate.den, guest,
					 want);
			last = guest;
		}
	}
}

static void pvclock_does_not_wrap_in_292_years(void **state)
{
	(void)state;
	for_each_factor(a_page_carries_292_years);
}

/* timeline_periods */

static void periods_by_hand(void **state)
{
	(void)state;
	expect_eq(timeline_periods(0, 7), 0);
	expect_eq(timeline_periods(1, 7), 1);
	expect_eq(timeline_periods(7, 7), 1);
	expect_eq(timeline_periods(8, 7), 2);
	expect_eq(timeline_periods(U64_MAX, 1), U64_MAX);
	expect_eq(timeline_periods(U64_MAX, 2), S64_MAX + 1);
	expect_eq(timeline_periods(U64_MAX, U64_MAX), 1);
	expect_eq(timeline_periods(U64_MAX, U64_MAX - 1), 2);
	expect_eq(timeline_periods(1, U64_MAX), 1);
	expect_eq(timeline_periods(0, 0), 0);
	expect_eq(timeline_periods(1, 0), U64_MAX);
}

static void advance_at_random(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 200000; i++) {
		u32 mul = random64() | (1U << 31);
		s8 shift = (s8)(random64() % 63) - SHIFT_MAX;
		u64 tsc = random64(), ns = random64(), now = tsc + (random64() >> (random64() % 64));
		u64 tsc2 = tsc, ns2 = ns, later;

		timeline_pvclock_advance(&tsc2, &ns2, mul, shift, now);
		/* Not beyond now, and as near to it as a whole step allows */
		assert_true(now - tsc2 < (1ULL << (32 + (shift < 0 ? -shift : 0))));
		/* At any later TSC that neither formula wraps at, the same ns */
		later = now + (random64() >> 40);
		if (shift > 0 && (later - tsc) >> (63 - shift))
			continue;
		expect_eq(ns2 + pvclock_scale_delta(later - tsc2, mul, shift),
			  ns + pvclock_scale_delta(later - tsc, mul, shift));
	}
}

static const char *must_not_show(u64 ns, u32 mul, s8 shift)
{
	MUST("64 bits of cycles show less", shift < 0 && pvclock_scale_delta(U64_MAX, mul, shift) < ns);

	return NULL;
}

static const char *must_be_fewest(u64 cycles, u64 ns, u32 mul, s8 shift)
{
	MUST("so many cycles show it", pvclock_scale_delta(cycles, mul, shift) >= ns);
	MUST("one fewer do not", !cycles || pvclock_scale_delta(cycles - 1, mul, shift) < ns);

	return NULL;
}

static void pvclock_cycles_at_random(void **state)
{
	(void)state;
	for (int i = 0; i < RANDOM_RUNS; i++) {
		u32 mul = (1U << 31) | (u32)random64();
		s8 shift = (s8)(random64() % 63) - 31;
		u64 ns = random64() >> (1 + random64() % 63);
		u64 cycles = timeline_pvclock_cycles(ns, mul, shift);

		if (cycles == ~0ULL) {
			expect(must_not_show(ns, mul, shift), "%llu ns, mul %u, shift %d", ns, mul, shift);
			continue;
		}
		/* The formula itself wraps where the shifted cycles do */
		if (shift > 0 && cycles >> (64 - shift))
			continue;
		expect(must_be_fewest(cycles, ns, mul, shift), "%llu ns, mul %u, shift %d: %llu cycles",
		       ns, mul, shift, cycles);
	}
	/* At 1 GHz and 2.5 GHz each ns can be met exactly */
	for (u64 ns = 1; ns < 1000; ns++) {
		expect_eq(pvclock_scale_delta(timeline_pvclock_cycles(ns, 1U << 31, 1), 1U << 31, 1), ns);
		expect_eq(pvclock_scale_delta(timeline_pvclock_cycles(ns, 3435973837U, -1), 3435973837U, -1), ns);
	}
}

/* A guest that has not run yet may begin a hundred years ahead, on a TSC of 8 GHz too */
static void longest_leap_fits_the_tsc(void **state)
{
	static const struct { u64 khz; u32 mul; s8 shift; } page[] = {
		{ 1000000, 1U << 31, 1 }, { 2000000, 1U << 31, 0 }, { 4000000, 1U << 31, -1 },
		{ 6400000, 2684354560U, -2 }, { 8000000, 1U << 31, -2 }, { 64000000, 1U << 31, -5 },
	};
	const u64 century_ns = 36525ULL * 86400 * NSEC_PER_SEC, most = 3ULL << 62;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(page); i++) {
		u64 ns = timeline_leap_fits_ns(page[i].khz);
		u64 cycles = timeline_pvclock_cycles(ns < century_ns ? ns : century_ns, page[i].mul, page[i].shift);

		if (cycles > most)
			fail_msg("%llu kHz: %llu cycles, more than %llu", page[i].khz, cycles, most);
		/* Nor shorter than it must be */
		if (ns < century_ns && most - cycles > page[i].khz)
			fail_msg("%llu kHz, %llu ns: only %llu cycles of %llu", page[i].khz, ns, cycles, most);
		if ((ns < century_ns) != (page[i].khz > 4000000))
			fail_msg("%llu kHz: %llu ns", page[i].khz, ns);
	}
	/* What it is there for */
	expect_eq(timeline_pvclock_cycles(century_ns, 1U << 31, -2), ~0ULL);
	expect_eq(timeline_leap_fits_ns(0), ~0ULL);
}

static void host_cycles_at_random(void **state)
{
	(void)state;
	for (int i = 0; i < RANDOM_RUNS; i++) {
		unsigned int frac = random64() % 2 ? 48 : 32;
		u64 ratio = 1 + (random64() >> (random64() % 63)), cycles = random64() >> (random64() % 64);
		u64 host = random64() >> (random64() % 64);

		expect(must_host_cycles(cycles, ratio, frac, host), "%llu cycles, ratio %llu >> %u, from %llu", cycles, ratio,
		       frac, host);
	}
	/* A factor of 50: what is less than a host cycle is none */
	expect_eq(timeline_host_cycles(49, 50ULL << 32, 32), 0);
	expect_eq(timeline_host_cycles(50, 50ULL << 32, 32), 1);
	expect_eq(timeline_host_cycles(1, 1, 48), 1ULL << 48);
	expect_eq(timeline_host_cycles(1ULL << 63, 1, 48), ~0ULL);
}

static void periods_at_random(void **state)
{
	(void)state;
	for (int i = 0; i < RANDOM_RUNS; i++) {
		u64 behind = random_any(), period = random_any();

		if (!period)
			continue;
		expect(must_periods(behind, period), "%llu behind, period %llu", behind, period);
		behind -= behind % period;
		expect(must_periods(behind, period), "%llu behind, period %llu", behind, period);
	}
}

#define TEST(name, fn) { name, fn, with_seed, NULL, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST("the shim aborts exactly where the CPU would raise #DE",
		     shim_dies_where_the_cpu_would),
		TEST("the long-hand reference agrees with 128-bit integers",
		     reference_agrees_with_the_compiler),
		TEST("mul_div: figures by hand", mul_div_by_hand),
		TEST("mul_div is exact, rounds down or up, and saturates, at all edges",
		     mul_div_at_all_edges),
		TEST("mul_div is exact, rounds down or up, and saturates, at random",
		     mul_div_at_random),
		TEST("scale: figures by hand, 292 years at 10000 and 1/10000", scale_by_hand),
		TEST("unscale: figures by hand", unscale_by_hand),
		TEST("unscale saturates to S64_MAX / 2, so that a ktime_t of today can be added",
		     unscale_saturates_where_a_ktime_of_today_fits_above),
		TEST("a timer armed with unscale is neither early nor late, at all edges",
		     scale_and_unscale_at_all_edges),
		TEST("timers armed with unscale are never early or late, at all factors, to 292 years",
		     scale_and_unscale_at_all_factors),
		TEST("a timer armed with unscale is neither early nor late, at random",
		     scale_and_unscale_at_random),
		TEST("segments of changing factors add up to 292 years, at most a factor late each",
		     segments_add_up_to_292_years),
		TEST("factors are limited as the design has it", limit_is_the_designs),
		TEST("rate_cmp: figures by hand", rate_cmp_by_hand),
		TEST("rate_cmp orders any two factors, next to each other too, at random",
		     rate_cmp_at_random),
		TEST("ratio: figures by hand", ratio_by_hand),
		TEST("ratio is max if the factor is above it, and when it does not fit",
		     ratio_has_an_upper_end),
		TEST("ratio is never 0", ratio_has_a_lower_end),
		TEST("ratio is the nearest at all factors, on VMX, on SVM and without scaling",
		     ratio_is_nearest_at_all_factors),
		TEST("ratio is the nearest at random", ratio_is_nearest_at_random),
		TEST("pvclock_mul: figures by hand", pvclock_mul_by_hand),
		TEST("pvclock_mul rounds up into the next shift",
		     pvclock_mul_rounds_into_the_next_shift),
		TEST("pvclock_mul fails when the shift would leave -31 to 31",
		     pvclock_mul_fails_outside_31),
		TEST("pvclock_mul is the nearest, normalised, within 0.5 ppb, at all factors",
		     pvclock_mul_is_nearest_at_all_factors),
		TEST("pvclock_mul is the nearest, normalised, within 0.5 ppb, at random",
		     pvclock_mul_is_nearest_at_random),
		TEST("pvclock_rate is exact at all factors", pvclock_rate_is_exact_at_all_factors),
		TEST("pvclock_rate is exact at shifts that differ by up to 30",
		     pvclock_rate_is_exact_at_shifts_up_to_30),
		TEST("a page counts 292 guest-years or 2^64 cycles without a wrap, to 1 ppb",
		     pvclock_does_not_wrap_in_292_years),
		TEST("moving the anchor of a page changes no later reading, at random", advance_at_random),
		TEST("the cycles that show so many ns are the fewest that do, at random", pvclock_cycles_at_random),
		TEST("the longest leap before a guest runs fits into its TSC, whatever that runs at", longest_leap_fits_the_tsc),
		TEST("host cycles in which a guest counts no more than so many, the most, at random", host_cycles_at_random),
		TEST("periods: figures by hand", periods_by_hand),
		TEST("periods are the fewest that are not behind, at random", periods_at_random),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);

	return cmocka_run_group_tests_name("timeline_math", tests, NULL, NULL);
}
