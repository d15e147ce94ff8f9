// SPDX-License-Identifier: GPL-2.0
/* How fast a guest lived, what kept it from living faster, and what keeps it awake. */
#include "tap.h"

#include <string.h>

#include "awake.h"
#include "rate.h"

#define S 1000000000ULL

static struct tw_param v[] = {
	{ .name = "rate", .type = TW_PARAM_UNSIGNED, .offset = 0, .size = 8 },
	{ .name = "guard_ns", .type = TW_PARAM_UNSIGNED, .offset = 8, .size = 8 },
	{ .name = "vmm_ns", .type = TW_PARAM_UNSIGNED, .offset = 16, .size = 8 },
};
static const struct tw_params skips = { .v = v, .n = 3 }, none;

/* Attached a hundred seconds ago, with a lead of a day, and 5000 s further since */
static const struct tw_state st = {
	.since_host_ns = 1000 * S, .host_ns = 1100 * S, .lead_ns = 86400 * (int64_t)S,
	.guest_ns = (1000 + 86400 + 5000) * S, .asked = { 50, 1 }, .force = { 50, 1 }, .max = { 10000, 1 },
};

static struct tw_rate judge(const struct tw_state *s, const struct tw_params *params, const uint64_t *counts)
{
	struct tw_rate r;

	tw_rate_judge(s, params, counts, counts ? 24 : 0, &r);
	return r;
}

static void a_factor_bounds(void **state)
{
	struct tw_rate r = judge(&st, &none, NULL);
	struct tw_state s = st;

	(void)state;
	assert_true(r.rate == 50 && !r.lately && r.bound == TW_RATE_FACTOR);
	s.force = s.max = (struct timewarp_factor) { 8, 1 };
	assert_int_equal(judge(&s, &none, NULL).bound, TW_RATE_LIMIT);
	/* rounded to what a ratio can, and no more than asked */
	s.max = (struct timewarp_factor) { 10000, 1 };
	s.force = (struct timewarp_factor) { 49999, 1000 };
	assert_int_equal(judge(&s, &none, NULL).bound, TW_RATE_FACTOR);
	s.host_ns = s.since_host_ns;
	assert_true(judge(&s, &none, NULL).rate == 0);
}

static void leaps_bound_what_is_faster_than_the_factor(void **state)
{
	struct tw_state s = st;

	(void)state;
	s.asked = s.force = (struct timewarp_factor) { 1, 1 };
	s.leaps = 1440;
	assert_int_equal(judge(&s, &none, NULL).bound, TW_RATE_LEAPS);
	s.force = (struct timewarp_factor) { 50, 1 };
	assert_int_equal(judge(&s, &none, NULL).bound, TW_RATE_FACTOR);
}

static void of_skipped_idle_time_whatever_took_most_of_the_hosts(void **state)
{
	uint64_t counts[3] = { 18, 20 * S, 30 * S };
	struct tw_rate r = judge(&st, &skips, counts);

	(void)state;
	assert_true(r.rate == 18 && r.lately && r.bound == TW_RATE_GUEST);
	counts[2] = 70 * S;
	assert_int_equal(judge(&st, &skips, counts).bound, TW_RATE_VMM);
	counts[1] = 80 * S;
	counts[2] = 10 * S;
	assert_int_equal(judge(&st, &skips, counts).bound, TW_RATE_IDLE);
	/* not a minute yet */
	counts[0] = 0;
	r = judge(&st, &skips, counts);
	assert_true(r.rate == 50 && !r.lately);
	/* values that cannot be read are none */
	assert_int_equal(judge(&st, &skips, NULL).bound, TW_RATE_FACTOR);
}

static void for_what_vcpus_leave_the_guest(void **state)
{
	const uint64_t before[TW_NR_EXITS] = { 1000, 100, 100, 100, 100, 100 };
	uint64_t now[TW_NR_EXITS] = { 11000, 100, 9100, 600, 100, 100 };
	char buf[80];

	(void)state;
	assert_string_equal(tw_awake_exits(before, now, 10 * S, buf, sizeof(buf)), ", 1000 exits/s, mostly for registers of devices");
	now[TW_EXITS_MMIO] = 3000;
	assert_string_equal(tw_awake_exits(before, now, 10 * S, buf, sizeof(buf)), ", 1000 exits/s");
	now[TW_EXITS_IRQ] = 9600;
	assert_string_equal(tw_awake_exits(before, now, 10 * S, buf, sizeof(buf)), ", 1000 exits/s, mostly for interrupts of the host");
	/* a vCPU that went takes its counts along */
	now[TW_EXITS] = 500;
	assert_string_equal(tw_awake_exits(before, now, 10 * S, buf, sizeof(buf)), "");
	assert_string_equal(tw_awake_exits((uint64_t[TW_NR_EXITS]) { 0 }, (uint64_t[TW_NR_EXITS]) { 0 }, 10 * S, buf, sizeof(buf)), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_factor_bounds),
		cmocka_unit_test(leaps_bound_what_is_faster_than_the_factor),
		cmocka_unit_test(of_skipped_idle_time_whatever_took_most_of_the_hosts),
		cmocka_unit_test(for_what_vcpus_leave_the_guest),
	};

	return RUN_TAP(tests);
}
