// SPDX-License-Identifier: GPL-2.0
/* How fast a guest lived, what kept it from living faster, and what keeps it awake. */
#include "tap.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awake.h"
#include "looks.h"
#include "rate.h"
#include "session/lock.h"

#define S 1000000000ULL

static struct tw_param v[] = {
	{ .name = "guard_ns", .type = TW_PARAM_UNSIGNED, .offset = 0, .size = 8 },
	{ .name = "vmm_ns", .type = TW_PARAM_UNSIGNED, .offset = 8, .size = 8 },
};
static const struct tw_params skips = { .v = v, .n = 2 }, none;

/* Attached a hundred seconds ago, with a lead of a day, and 5000 s further since */
static const struct tw_state st = {
	.since_host_ns = 1000 * S, .host_ns = 1100 * S, .lead_ns = 86400 * (int64_t)S,
	.guest_ns = (1000 + 86400 + 5000) * S, .asked = { 50, 1 }, .force = { 50, 1 }, .max = { 10000, 1 },
};

static struct tw_rate judge(const struct tw_state *s, const struct tw_params *params, const uint64_t *counts)
{
	struct tw_rate_look now;
	struct tw_rate r;

	tw_rate_look(s, params, counts, counts ? 16 : 0, &now);
	tw_rate_judge(s, NULL, &now, &r);
	return r;
}

static void a_factor_bounds(void **state)
{
	struct tw_rate r = judge(&st, &none, NULL);
	struct tw_state s = st;

	(void)state;
	assert_true(r.rate == 50 && r.since_attach && r.span_ns == 100 * S && r.bound == TW_RATE_FACTOR);
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
	uint64_t counts[2] = { 20 * S, 30 * S };
	struct tw_rate r = judge(&st, &skips, counts);

	(void)state;
	assert_true(r.rate == 50 && r.bound == TW_RATE_GUEST);
	counts[1] = 70 * S;
	assert_int_equal(judge(&st, &skips, counts).bound, TW_RATE_VMM);
	counts[0] = 80 * S;
	counts[1] = 10 * S;
	assert_int_equal(judge(&st, &skips, counts).bound, TW_RATE_IDLE);
	/* values that cannot be read are none */
	assert_int_equal(judge(&st, &skips, NULL).bound, TW_RATE_FACTOR);
}

static void between_two_looks_what_was_so_in_between(void **state)
{
	const uint64_t before[2] = { 90 * S, 0 }, after[2] = { 91 * S, 19 * S }, swapped[2] = { 15 * S, 0 };
	struct tw_state later = st;
	struct tw_rate_look from, now;
	struct tw_rate r;

	(void)state;
	later.host_ns += 20 * S;
	later.guest_ns += 60 * S;
	tw_rate_look(&st, &none, NULL, 0, &from);
	tw_rate_look(&later, &none, NULL, 0, &now);
	tw_rate_judge(&later, &from, &now, &r);
	assert_true(r.rate == 3 && r.span_ns == 20 * S && !r.since_attach);
	tw_rate_look(&st, &skips, before, 16, &from);
	tw_rate_look(&later, &skips, after, 16, &now);
	tw_rate_judge(&later, &from, &now, &r);
	assert_int_equal(r.bound, TW_RATE_VMM);
	/* by a policy that has counted since the swap */
	tw_rate_look(&later, &skips, swapped, 16, &now);
	tw_rate_judge(&later, &from, &now, &r);
	assert_int_equal(r.bound, TW_RATE_IDLE);
	/* leaps of before are not what made it fast since */
	later.asked = later.force = (struct timewarp_factor) { 1, 1 };
	from.leaps = now.leaps = 1440;
	now.skips = 0;
	tw_rate_judge(&later, &from, &now, &r);
	assert_int_equal(r.bound, TW_RATE_FACTOR);
	now.leaps++;
	tw_rate_judge(&later, &from, &now, &r);
	assert_int_equal(r.bound, TW_RATE_LEAPS);
	/* a guest that was set back */
	now.guest_ns = from.guest_ns - 20 * S;
	tw_rate_judge(&later, &from, &now, &r);
	assert_true(r.rate == -1);
}

/* A look that has read the counters of its policy */
static bool keeps = true;

/* The span of the rate at a look so long after the attach, in s; 0: since then */
static int look_at(const char *id, unsigned int link_id, uint64_t s)
{
	struct tw_state at = { .link_id = link_id, .since_host_ns = 1000 * S, .host_ns = (1000 + s) * S };
	struct tw_rate_look now, from;

	tw_rate_look(&at, NULL, NULL, 0, &now);
	return tw_looks_from(id, &at, &now, keeps, &from) ? (now.host_ns - from.host_ns) / S : 0;
}

static void of_the_last_minute_for_whatever_policy(void **state)
{
	(void)state;
	/* of the first minute: since the attach */
	assert_int_equal(look_at("1-2", 3, 20), 0);
	assert_int_equal(look_at("1-2", 3, 60), 0);
	assert_int_equal(look_at("1-2", 3, 70), 50);
	/* and then of half a minute to a minute, however often it is looked */
	assert_int_equal(look_at("1-2", 3, 79), 59);
	assert_int_equal(look_at("1-2", 3, 81), 21);
	assert_int_equal(look_at("1-2", 3, 91), 31);
	assert_int_equal(look_at("1-2", 3, 120), 60);
	assert_int_equal(look_at("1-2", 3, 121), 30);
	/* nobody has looked for an hour: then there is nothing to tell it from, and now there is */
	assert_int_equal(look_at("1-2", 3, 3700), 0);
	assert_int_equal(look_at("1-2", 3, 3705), 5);
	/* of this VM and attachment alone */
	assert_int_equal(look_at("1-3", 3, 3706), 0);
	assert_int_equal(look_at("1-2", 4, 3707), 0);
	assert_int_equal(look_at("1-2", 3, 3708), 8);
	assert_int_equal(look_at("1-3", 3, 3708), 2);
	/* one that knows no counters is told from those, and leaves nothing for whom they would be since the attach */
	keeps = false;
	assert_int_equal(look_at("1-2", 3, 3738), 38);
	keeps = true;
	assert_int_equal(look_at("1-2", 3, 3768), 0);
}

static off_t size_of_looks(const char *path)
{
	struct stat at;

	assert_int_equal(stat(path, &at), 0);
	assert_int_equal(at.st_mode & 0777, 0600);
	return at.st_size;
}

static void of_what_is_of_no_use_nothing_stays(void **state)
{
	char *path = tw_run_path("looks", "x");
	off_t one;
	int fd, i;

	(void)state;
	*strrchr(path, '.') = 0;
	unlink(path);
	look_at("1-2", 3, 100);
	one = size_of_looks(path);
	/* a new VM each two minutes, for a day; the host's boot comes before */
	for (i = 0; i < 720; i++)
		assert_int_equal(look_at("5-6", 10 + i, 300 + 120 * i), 0);
	assert_int_equal(size_of_looks(path), one);
	/* held by another look: not waited for */
	fd = open(path, O_RDWR);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(look_at("5-6", 729, 300 + 120 * 719 + 10), 0);
	close(fd);
	assert_int_equal(look_at("5-6", 729, 300 + 120 * 719 + 10), 10);
	/* and what is in it may be anything */
	fd = open(path, O_RDWR | O_TRUNC);
	assert_int_equal(pwrite(fd, "anything", 8, 3 * one - 11), 8);
	close(fd);
	assert_int_equal(look_at("1-2", 3, 100), 0);
	assert_int_equal(look_at("1-2", 3, 105), 5);
	unlink(path);
	free(path);
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
		cmocka_unit_test(between_two_looks_what_was_so_in_between),
		cmocka_unit_test(of_the_last_minute_for_whatever_policy),
		cmocka_unit_test(of_what_is_of_no_use_nothing_stays),
		cmocka_unit_test(for_what_vcpus_leave_the_guest),
	};

	char dir[] = "/tmp/tw-rate-XXXXXX";
	int failed;

	tw_run_dir = mkdtemp(dir);
	if (!tw_run_dir)
		return 1;
	failed = RUN_TAP(tests);
	rmdir(dir);
	return failed;
}
