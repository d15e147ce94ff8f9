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

/* One look at up to two vCPUs */
#define LOOK(now, halt, block, ...)							\
	(&(struct tw_world){ .v = (struct tw_vcpu_time[]){ __VA_ARGS__ },		\
			     .vcpus = sizeof((struct tw_vcpu_time[]){ __VA_ARGS__ }) /	\
				      sizeof(struct tw_vcpu_time),			\
			     .stats = true, .halt_ns = (halt), .blocking = (block), .now_ns = (now) })

static void expect_shares(const struct tw_shares *s, uint64_t run, uint64_t steal, uint64_t halt,
			  uint64_t other)
{
	assert_int_equal(s->run_ns, run);
	assert_int_equal(s->steal_ns, steal);
	assert_int_equal(s->halt_ns, halt);
	assert_int_equal(s->other_ns, other);
	assert_int_equal(run + steal + halt + other, s->span_ns);
}

static void worlds(void **state)
{
	struct tw_shares s = { 0 }, before;
	uint64_t run, wait;

	(void)state;
	assert_true(tw_world_parse("123 45 6\n", &run, &wait));
	assert_int_equal(run, 123);
	assert_int_equal(wait, 45);
	assert_false(tw_world_parse("123 45\n", &run, &wait));
	assert_false(tw_world_parse("", &run, &wait));
	/* KVM counts a halt until its vCPU has a CPU again: 400 halted, of which 100 were stolen */
	tw_shares_add(&s, LOOK(0, 0, 0, { 7, 0, 0 }), LOOK(1000, 400, 0, { 7, 600, 100 }));
	expect_shares(&s, 600, 100, 300, 0);
	/* 92.86 % halted by KVM's count, 39.84 % stolen: 140 % in all, once */
	memset(&s, 0, sizeof(s));
	tw_shares_add(&s, LOOK(0, 0, 0, { 7, 0, 0 }), LOOK(10000, 9286, 0, { 7, 730, 3984 }));
	expect_shares(&s, 730, 3984, 5286, 0);
	/* An idle guest, in one halt all the time: nothing is counted until it is over */
	memset(&s, 0, sizeof(s));
	tw_shares_add(&s, LOOK(0, 50, 1, { 7, 5, 0 }), LOOK(1000, 50, 1, { 7, 5, 0 }));
	expect_shares(&s, 0, 0, 1000, 0);
	tw_shares_add(&s, LOOK(1000, 50, 1, { 7, 5, 0 }), LOOK(2000, 1950, 0, { 7, 105, 0 }));
	expect_shares(&s, 100, 0, 1900, 0);
	/* Stopped by a signal: in no halt */
	tw_shares_add(&s, LOOK(2000, 1950, 0, { 7, 105, 0 }), LOOK(3000, 1950, 0, { 7, 105, 0 }));
	expect_shares(&s, 100, 0, 1900, 1000);
	/* A vCPU that is unplugged takes nothing along, and one that comes starts at its first look */
	before = s;
	tw_shares_add(&s, LOOK(3000, 0, 0, { 7, 105, 0 }, { 8, 9000, 0 }), LOOK(4000, 0, 0, { 7, 605, 0 }));
	assert_int_equal(s.run_ns, 600);
	tw_shares_add(&s, LOOK(4000, 0, 0, { 7, 605, 0 }), LOOK(5000, 0, 0, { 7, 605, 0 }, { 9, 77, 0 }));
	tw_shares_sub(&s, &before);
	expect_shares(&s, 500, 0, 0, 1500);
	assert_int_equal(s.vcpus, 2);
	/* The clocks are read one after the other: never more than there was */
	memset(&s, 0, sizeof(s));
	tw_shares_add(&s, LOOK(0, 0, 0, { 7, 0, 0 }), LOOK(1000, 0, 0, { 7, 1007, 3 }));
	expect_shares(&s, 1000, 0, 0, 0);
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

		assert_true(got + (linear ? linear : exact / 4) >= exact);
		assert_true(got <= exact + (linear ? linear : exact / 4));
		assert_true(got >= h.min && got <= h.max);
	}
	free(v);
}

static void percentiles(void **state)
{
	struct trace_hist none = { 0 }, one = { 0 }, wide = { 0 };
	int i;

	(void)state;
	assert_int_equal(trace_percentile(&none, 990, 0), 0);
	put(&one, 12345, 0);
	assert_int_equal(trace_percentile(&one, 1, 0), 12345);
	assert_int_equal(trace_percentile(&one, 999, 0), 12345);
	/* a bucket that is far wider than what is in it: 500 of 10 us, 500 up to 2 ms */
	for (i = 0; i < 1000; i++)
		put(&wide, i < 500 ? 10000 : 2000000, 20000000);
	assert_int_equal(trace_percentile(&wide, 500, 20000000), 1005000);
	assert_int_equal(trace_percentile(&wide, 1000, 20000000), 2000000);
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
