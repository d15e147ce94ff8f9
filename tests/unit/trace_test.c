// SPDX-License-Identifier: GPL-2.0
/* The tracer's arithmetic and words. */
#include "tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "threshold.h"
#include "tracer.h"
#include "trace_math.h"
#include "world.h"

/* In double-wide arithmetic, bit by bit: another way to the same */
static unsigned int slow_log2(uint64_t v)
{
	unsigned int n = 0;

	while (v >>= 1)
		n++;
	return n;
}

static uint64_t seed = 88172645463325252ULL;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void logarithm(void **state)
{
	unsigned int i;

	(void)state;
	assert_int_equal(trace_log2(0), 0);
	for (i = 0; i < 64; i++) {
		assert_int_equal(trace_log2(1ULL << i), i);
		assert_int_equal(trace_log2((1ULL << i) | ((1ULL << i) - 1)), i);
	}
	for (i = 0; i < 100000; i++) {
		uint64_t v = rnd() >> (rnd() & 63);

		assert_int_equal(trace_log2(v), slow_log2(v));
	}
}

static void in_its_bucket(uint64_t v, uint64_t linear)
{
	unsigned int b = trace_bucket(v, linear);

	assert_true(b < TRACE_NR_BUCKETS);
	assert_true(trace_bucket_low(b, linear) <= v);
	if (b + 1 < TRACE_NR_BUCKETS)
		assert_true(v < trace_bucket_low(b + 1, linear));
}

static void buckets(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < TRACE_NR_BUCKETS; i++) {
		assert_int_equal(trace_bucket(trace_bucket_low(i, 0), 0), i);
		assert_int_equal(trace_bucket(trace_bucket_low(i, 1000), 1000), i);
		if (i) {
			assert_int_equal(trace_bucket(trace_bucket_low(i, 0) - 1, 0), i - 1);
			/* never wider than a quarter of what is in it */
			if (i > 4)
				assert_true((trace_bucket_low(i, 0) - trace_bucket_low(i - 1, 0)) * 4 <=
					    trace_bucket_low(i - 1, 0));
		}
	}
	for (i = 0; i < 100000; i++) {
		uint64_t v = rnd() >> (rnd() & 63);

		in_its_bucket(v, 0);
		in_its_bucket(v, 1);
		in_its_bucket(v, 10007);
	}
	in_its_bucket(UINT64_MAX, 0);
	in_its_bucket(UINT64_MAX, 1);
}

static void buckets_by_table(void **state)
{
	unsigned char table[TRACE_BUCKET_TABLE];
	unsigned int i;

	(void)state;
	trace_bucket_fill(table);
	for (i = 0; i < 1000000; i++)
		assert_int_equal(trace_bucket_by(table, i), trace_bucket(i, 0));
	for (i = 0; i < 64; i++) {
		assert_int_equal(trace_bucket_by(table, 1ULL << i), trace_bucket(1ULL << i, 0));
		assert_int_equal(trace_bucket_by(table, (1ULL << i) - 1),
				 trace_bucket((1ULL << i) - 1, 0));
	}
	for (i = 0; i < 100000; i++) {
		uint64_t v = rnd() >> (rnd() & 63);

		assert_int_equal(trace_bucket_by(table, v), trace_bucket(v, 0));
	}
}

static void worlds(void **state)
{
	struct tw_world now = { .vcpus = 2, .run_ns = 900, .steal_ns = 50, .stats = true, .halt_ns = 400,
				.poll_ok_ns = 30, .poll_vain_ns = 20 };
	struct tw_world before = { .vcpus = 2, .run_ns = 300, .steal_ns = 20, .stats = true,
				   .halt_ns = 100, .poll_ok_ns = 10, .poll_vain_ns = 20 };
	uint64_t run, wait;

	(void)state;
	assert_true(tw_world_parse("123 45 6\n", &run, &wait));
	assert_int_equal(run, 123);
	assert_int_equal(wait, 45);
	assert_false(tw_world_parse("123 45\n", &run, &wait));
	assert_false(tw_world_parse("", &run, &wait));
	tw_world_sub(&now, &before);
	assert_int_equal(now.run_ns, 600);
	assert_int_equal(now.steal_ns, 30);
	assert_int_equal(now.halt_ns, 300);
	assert_int_equal(now.poll_ok_ns, 20);
	assert_int_equal(now.poll_vain_ns, 0);
	assert_int_equal(tw_world_other_ns(&now, 500), 70);
	/* The clocks are read one after the other: no time is left over, nor less */
	assert_int_equal(tw_world_other_ns(&now, 400), 0);
	before.stats = false;
	tw_world_sub(&now, &before);
	assert_false(now.stats);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void put(struct trace_hist *h, uint64_t v, uint64_t linear)
{
	h->min = h->count && h->min < v ? h->min : v;
	h->max = h->max > v ? h->max : v;
	h->count++;
	h->sum += v;
	h->bucket[trace_bucket(v, linear)]++;
}

static void percentile_of(unsigned int n, unsigned int bits, uint64_t linear)
{
	static const unsigned int per_mille[] = { 1, 500, 900, 990, 999, 1000 };
	struct trace_hist h = { 0 };
	uint64_t *v = calloc(n, sizeof(*v));
	unsigned int i;

	for (i = 0; i < n; i++) {
		v[i] = rnd() >> (64 - bits);
		put(&h, v[i], linear);
	}
	qsort(v, n, sizeof(*v), by_value);
	for (i = 0; i < ARRAY_SIZE(per_mille); i++) {
		/* the least value that so many do not exceed, from the sorted list */
		uint64_t rank = ((uint64_t)n * per_mille[i] + 999) / 1000, exact = v[rank - 1];
		uint64_t got = trace_percentile(&h, per_mille[i], linear);

		assert_true(got >= exact);
		assert_true(got <= exact + (linear ? linear : exact / 4));
	}
	free(v);
}

static void percentiles(void **state)
{
	struct trace_hist none = { 0 }, one = { 0 };

	(void)state;
	assert_int_equal(trace_percentile(&none, 990, 0), 0);
	put(&one, 12345, 0);
	assert_int_equal(trace_percentile(&one, 1, 0), 12345);
	assert_int_equal(trace_percentile(&one, 999, 0), 12345);
	percentile_of(1, 20, 0);
	percentile_of(7, 20, 0);
	percentile_of(1000, 30, 0);
	percentile_of(100003, 40, 0);
	percentile_of(1000, 14, 100);
	percentile_of(1009, 10, 7);
}

static void skipped(void **state)
{
	(void)state;
	assert_int_equal(trace_skipped(1000, 2000, 1000), 0);
	assert_int_equal(trace_skipped(1000, 2999, 1000), 0);
	assert_int_equal(trace_skipped(1000, 3000, 1000), 1);
	assert_int_equal(trace_skipped(1000, 24999, 1000), 22);
	assert_int_equal(trace_skipped(1000, 25000, 1000), 23);
	assert_int_equal(trace_skipped(1000, 500, 1000), 0);
	assert_int_equal(trace_skipped(1000, 99000, 0), 0);
	assert_int_equal(trace_skipped(0, INT64_MAX, 1), INT64_MAX - 1);
}

static void wide(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < 200000; i++) {
		uint64_t a = rnd() >> (rnd() & 63), b = rnd() >> (rnd() & 63);
		unsigned int s = 1 + rnd() % 63;

		assert_true(trace_mul_shr(a, b, s) == (uint64_t)((unsigned __int128)a * b >> s));
	}
}

static void guest_clocks(void **state)
{
	(void)state;
	/* 1 GHz: mul 2^31, shift 1 */
	assert_int_equal(trace_pvclock_ns(1000003, 0x80000000, 1), 1000003);
	assert_int_equal(trace_pvclock_ns(-1000003, 0x80000000, 1), -1000003);
	/* 2 GHz */
	assert_int_equal(trace_pvclock_ns(2000006, 0x80000000, 0), 1000003);
	/* 4 GHz */
	assert_int_equal(trace_pvclock_ns(4000012, 0x80000000, -1), 1000003);
	assert_int_equal(trace_ticks_to_ns(2500000, 2500000), 1000000);
	assert_int_equal(trace_ticks_to_ns(-2500000, 2500000), -1000000);
	assert_int_equal(trace_ticks_to_ns(1, 0), 0);
	/* An hour of 4 GHz is beyond the exact range, not beyond the truth */
	assert_int_equal(trace_ticks_to_ns(4000000LL * 3600 * 1000, 4000000), 3600000000000LL);
}

static int parse(const char *text, struct tw_thresholds *t)
{
	struct tw_err e = { 0 };
	int status = tw_threshold_parse(t, text, &e);

	if (status)
		assert_true(*e.what && *e.fact && *e.cure);
	tw_err_free(&e);
	return status;
}

static void thresholds_parse(void **state)
{
	static const char *const bad[] = {
		"", "late", "late>", "late>1", "late>ms", "late>-1ms", "late<1ms", "late>1ms ", "lost>",
		"lost>x", "lost>-1", "lost >1", "lostx", "backwards", "early", "late>99999999999999999s",
	};
	struct tw_thresholds t = { 0 };
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		if (parse(bad[i], &t) != TW_USAGE)
			fail_msg("'%s' parses", bad[i]);
	assert_int_equal(tw_threshold_kinds(&t), 0);
	assert_int_equal(parse("late>1.5ms", &t), 0);
	assert_int_equal(t.late_ns, 1500000);
	assert_int_equal(parse("late>2ms", &t), 0);
	assert_int_equal(t.late_ns, 1500000);
	assert_int_equal(parse("lost>22", &t), 0);
	assert_int_equal(parse("backward", &t), 0);
	assert_int_equal(tw_threshold_kinds(&t), 1 << TRACE_EV_DELIVERED | 1 << TRACE_EV_LOST |
			 1 << TRACE_EV_KVMCLOCK | 1 << TRACE_EV_TSC);
}

static void thresholds_hit(void **state)
{
	struct tw_thresholds t = { 0 }, none = { 0 };
	struct trace_event late = { .kind = TRACE_EV_DELIVERED, .a = 400, .b = 500, .c = 100 };
	struct trace_event lost = { .kind = TRACE_EV_LOST, .a = 11 };
	struct trace_event back = { .kind = TRACE_EV_KVMCLOCK, .a = -5 };
	struct trace_event forward = { .kind = TRACE_EV_TSC, .a = 5 };

	(void)state;
	parse("late>1us", &t);
	parse("lost>22", &t);
	parse("backward", &t);
	assert_false(tw_threshold_hit(&t, &late));
	late.c++;
	assert_true(tw_threshold_hit(&t, &late));
	assert_false(tw_threshold_hit(&t, &lost));
	assert_false(tw_threshold_hit(&t, &lost));
	assert_true(tw_threshold_hit(&t, &lost));
	assert_true(tw_threshold_hit(&t, &back));
	assert_false(tw_threshold_hit(&t, &forward));
	assert_false(tw_threshold_hit(&none, &late));
	assert_false(tw_threshold_hit(&none, &lost));
	assert_false(tw_threshold_hit(&none, &back));
}

static void short_ns(uint64_t ns, const char *want)
{
	char buf[32];

	assert_string_equal(tw_short_ns(buf, sizeof(buf), ns), want);
	assert_true(strlen(buf) <= 6);
}

static void words(void **state)
{
	char buf[32];
	int i;

	(void)state;
	short_ns(0, "0ns");
	short_ns(999, "999ns");
	short_ns(1000, "1.0us");
	short_ns(12345, "12.3us");
	short_ns(999949, "1000us");
	short_ns(1234567, "1.2ms");
	short_ns(23000000, "23.0ms");
	short_ns(4560000000, "4.56s");
	short_ns(123456000000, "123s");
	assert_string_equal(tw_short_count(buf, sizeof(buf), 99999, 5), "99999");
	assert_string_equal(tw_short_count(buf, sizeof(buf), 123456, 5), "123k");
	assert_string_equal(tw_short_count(buf, sizeof(buf), UINT64_MAX, 6), "18446P");
	for (i = 0; i < TRACE_NR_SOURCES; i++)
		assert_int_equal(tw_source_parse(tw_source_name(i)), i);
	assert_int_equal(tw_source_parse("-"), -1);
	assert_int_equal(tw_source_parse(""), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(logarithm),
		cmocka_unit_test(buckets),
		cmocka_unit_test(buckets_by_table),
		cmocka_unit_test(worlds),
		cmocka_unit_test(percentiles),
		cmocka_unit_test(skipped),
		cmocka_unit_test(wide),
		cmocka_unit_test(guest_clocks),
		cmocka_unit_test(thresholds_parse),
		cmocka_unit_test(thresholds_hit),
		cmocka_unit_test(words),
	};

	return RUN_TAP(tests);
}
