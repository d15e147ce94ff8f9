// SPDX-License-Identifier: GPL-2.0
/* Where a program calls a library's function: found in this very program. */
#include "tap.h"

#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "code.h"

long variable = 5;

/* Each calls what its name says, so often */
__attribute__((noinline)) long calls_clock_twice(struct timespec *ts)
{
	clock_gettime(CLOCK_MONOTONIC, ts);
	ts->tv_sec += variable;
	clock_gettime(CLOCK_REALTIME, ts + 1);
	return ts->tv_nsec;
}

__attribute__((noinline)) long calls_gettimeofday(struct timeval *tv)
{
	gettimeofday(tv, NULL);
	return tv->tv_usec + variable;
}

__attribute__((noinline)) long loads_first(void)
{
	return variable;
}

static struct tw_code code;

static void finds_calls(void **state)
{
	struct tw_call c[4];
	uint64_t addr, size, offset;
	size_t i, n;

	(void)state;
	n = tw_code_calls(&code, "calls_clock_twice", "clock_gettime", c, 4);
	assert_int_equal(n, 2);
	assert_true(tw_code_symbol(&code, "calls_clock_twice", &addr, &size));
	assert_true(tw_code_offset(&code, addr, &offset));
	for (i = 0; i < n; i++) {
		assert_true(c[i].offset > offset && c[i].offset + c[i].len < offset + size);
		assert_true(code.image[c[i].offset] == (c[i].len == 5 ? 0xe8 : 0xff));
	}
	assert_true(c[0].offset < c[1].offset);
	assert_int_equal(tw_code_calls(&code, "calls_clock_twice", "clock_gettime", c, 1), 1);
	assert_int_equal(tw_code_calls(&code, "calls_clock_twice", "gettimeofday", c, 4), 0);
	assert_int_equal(tw_code_calls(&code, "calls_gettimeofday", "gettimeofday", c, 4), 1);
	assert_int_equal(tw_code_calls(&code, "no_such_function", "gettimeofday", c, 4), 0);
}

/* An entry of the linkage table is what a probe's place depends on: run it there */
static void finds_variables(void **state)
{
	uint64_t addr;

	(void)state;
	assert_true(tw_code_symbol(&code, "variable", &addr, NULL));
	assert_true(tw_code_refers(&code, "calls_clock_twice", addr));
	assert_true(tw_code_refers(&code, "calls_gettimeofday", addr));
	assert_false(tw_code_refers(&code, "calls_gettimeofday", addr + 0x1000));
	assert_int_equal(tw_code_first_load(&code, "loads_first"), addr);
	assert_int_equal(tw_code_first_load(&code, "calls_gettimeofday"), 0);
}

static void is_what_it_is(void **state)
{
	struct tw_code other;
	uint64_t offset;

	(void)state;
	assert_false(tw_code_is_static(&code));
	assert_false(tw_code_offset(&code, ~0ULL, &offset));
	assert_false(tw_code_open(&other, "/proc/self/maps"));
	assert_false(tw_code_open(&other, "/nowhere"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_calls),
		cmocka_unit_test(finds_variables),
		cmocka_unit_test(is_what_it_is),
	};
	struct timespec ts[2] = { { 0 } };
	struct timeval tv = { 0 };

	calls_clock_twice(ts);
	calls_gettimeofday(&tv);
	if (loads_first() != 5 || !tw_code_open(&code, "/proc/self/exe"))
		return 1;
	return RUN_TAP(tests);
}
