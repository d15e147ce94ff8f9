// SPDX-License-Identifier: GPL-2.0
/*
 * Policies as objects: found, described and given parameters without a kernel.
 * PARAMS_BPF names the object made from params.bpf.c.
 */
#include "tap.h"

#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy.h"

static struct tw_policy p;
static struct tw_err e;

static int open_params(void **state)
{
	(void)state;
	tw_bpf_verbose(false);
	return tw_policy_open(&p, PARAMS_BPF, &e);
}

static int close_params(void **state)
{
	(void)state;
	tw_policy_close(&p);
	tw_err_free(&e);
	return 0;
}

static const struct tw_param *param(const char *name)
{
	size_t i;

	for (i = 0; i < p.params.n; i++)
		if (!strcmp(p.params.v[i].name, name))
			return &p.params.v[i];
	fail_msg("no parameter %s", name);
	return NULL;
}

static const char *value(const char *name)
{
	static char buf[64];
	size_t size;
	void *data = bpf_map__initial_value(p.data, &size);

	return tw_param_format(param(name), data, size, buf, sizeof(buf));
}

static void described_inside_the_object(void **state)
{
	(void)state;
	assert_string_equal(p.name, "params");
	assert_int_equal(p.params.n, 6);
	assert_string_equal(param("span")->unit, "ns");
	assert_string_equal(param("span")->help, "how long");
	assert_string_equal(param("drift")->help, "slope, in parts per million");
	assert_string_equal(param("drift")->min, "-1000");
	assert_int_equal(param("factor")->type, TW_PARAM_FACTOR);
	assert_int_equal(param("loud")->type, TW_PARAM_BOOL);
}

static void defaults(void **state)
{
	(void)state;
	assert_string_equal(value("factor"), "1/3");
	assert_string_equal(value("span"), "5s");
	assert_string_equal(value("offset"), "-250us");
	assert_string_equal(value("drift"), "-5");
	assert_string_equal(value("small"), "7");
	assert_string_equal(value("loud"), "yes");
}

static const char *counted(const char *name, int64_t value, bool plain)
{
	static char buf[64];
	size_t i;

	for (i = 0; i < p.counters.n; i++) {
		struct tw_param c = p.counters.v[i];

		if (strcmp(c.name, name))
			continue;
		c.offset = 0;
		return plain ? tw_param_plain(&c, &value, sizeof(value), buf, sizeof(buf)) :
			       tw_param_format(&c, &value, sizeof(value), buf, sizeof(buf));
	}
	fail_msg("no counter %s", name);
	return NULL;
}

static void counters_that_may_be_negative_show_their_sign(void **state)
{
	(void)state;
	assert_int_equal(p.counters.n, 3);
	assert_string_equal(counted("off_ns", -1500000000, false), "-1.5s");
	assert_string_equal(counted("off_ns", 1500000000, false), "+1.5s");
	assert_string_equal(counted("off_ns", 0, false), "0s");
	assert_string_equal(counted("off_ns", -1500000000, true), "-1500000000ns");
	assert_string_equal(counted("off_ns", 1500000000, true), "1500000000ns");
	assert_string_equal(counted("off_ppb", -7, false), "-7");
	assert_string_equal(counted("off_ppb", 7, false), "+7");
	assert_string_equal(counted("off_ppb", -7, true), "-7");
	assert_string_equal(counted("asked", 7, false), "7");
}

static void good(const char *assignment, const char *name, const char *expected)
{
	if (tw_policy_assign(&p, assignment, &e))
		fail_msg("%s: %s: %s", assignment, e.what, e.fact);
	assert_string_equal(value(name), expected);
}

static void assignments(void **state)
{
	(void)state;
	good("factor=0.02", "factor", "1/50");
	good("span=1h", "span", "1h");
	good("span=59m1.5s", "span", "59m1.5s");
	good("offset=-500ms", "offset", "-500ms");
	good("offset=-24h", "offset", "-1d");
	good("offset=1h30m", "offset", "1h30m");
	good("offset=0s", "offset", "0s");
	good("drift=1000", "drift", "1000");
	good("drift=-1000", "drift", "-1000");
	good("small=255", "small", "255");
	good("loud=off", "loud", "no");
}

static void bad_assignments_change_nothing(void **state)
{
	static const char *const bad[] = {
		"", "=", "factor", "=5", "factor=", "factor=50x", "factor=0", "fact=1",
		"factors=1", "span=5", "span=0s", "span=2h", "span=-1s", "drift=1001",
		"drift=-1001", "offset=-500000000", "offset=-25h", "offset=--1s", "drift=1.5", "small=256", "small=-1", "small=0x10", "loud=2",
		"loud=", "nosuch=1", "loud=YES", "LICENSE=x", "timewarp_exit_record=1",
	};
	char before[128], after[128];
	size_t size, i;
	void *data = bpf_map__initial_value(p.data, &size);

	(void)state;
	assert_true(size <= sizeof(before));
	memcpy(before, data, size);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		if (!tw_policy_assign(&p, bad[i], &e))
			fail_msg("%s is taken", bad[i]);
		assert_int_equal(e.status, TW_USAGE);
		assert_int_not_equal(*e.what, 0);
		assert_int_not_equal(*e.fact, 0);
	}
	memcpy(after, data, size);
	assert_memory_equal(before, after, size);
}

static void not_policies(void **state)
{
	static const char *const files[] = { "/nonexistent.bpf.o", "/dev/null", "/proc/self/exe",
					     "/" };
	struct tw_policy q;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		assert_int_equal(tw_policy_open(&q, files[i], &e), TW_FAILED);
		assert_int_not_equal(*e.fact, 0);
		tw_policy_close(&q);
	}
}

static void the_built_in_one(void **state)
{
	struct tw_policy q;

	(void)state;
	assert_int_equal(tw_policy_open(&q, NULL, &e), 0);
	assert_string_equal(q.name, "constant");
	assert_int_equal(q.params.n, 1);
	assert_int_equal(tw_policy_assign(&q, "factor=50", &e), 0);
	tw_policy_close(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(described_inside_the_object, open_params,
						close_params),
		cmocka_unit_test_setup_teardown(defaults, open_params, close_params),
		cmocka_unit_test_setup_teardown(counters_that_may_be_negative_show_their_sign, open_params, close_params),
		cmocka_unit_test_setup_teardown(assignments, open_params, close_params),
		cmocka_unit_test_setup_teardown(bad_assignments_change_nothing, open_params,
						close_params),
		cmocka_unit_test(not_policies),
		cmocka_unit_test(the_built_in_one),
	};

	return RUN_TAP(tests);
}
