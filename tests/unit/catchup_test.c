// SPDX-License-Identifier: GPL-2.0
/* The policy catchup, compiled for this machine, against a timeline that is changed late. */
#include "../../bpf/policies/catchup.bpf.c"

#include <stdbool.h>
#include <stdlib.h>

#include "policy_kernel.h"
#include "tap.h"

#define SECOND 1000000000ULL

__u32 bpf_get_prandom_u32(void)
{
	return rand();
}

static struct kvm_timewarp_view now;
static struct kvm_timewarp_answer said;
static double most_f, least_f;
static int steps;

/* By how much of the host's time an answer is in force late */
static __u64 slow_ns;

static void pass(__u64 span)
{
	now.host_ns += span;
	now.guest_ns += kvm_timewarp_mul_div(span, now.factor_num, now.factor_den);
}

static int ask(__u32 event)
{
	unsigned long long args[2] = { (unsigned long long)&now, (unsigned long long)&said };
	double f;
	int r;

	now.event = event;
	said = (struct kvm_timewarp_answer){ .factor_num = now.factor_num, .factor_den = now.factor_den };
	r = catchup_decide(args);
	if (r)
		return r;
	assert_true(!said.next_host_ns || said.next_host_ns >= now.host_ns + TIMEWARP_MIN_INTERVAL_NS);
	if (slow_ns)
		pass(rand() % slow_ns);
	now.factor_num = said.factor_num;
	now.factor_den = said.factor_den;
	f = (double)now.factor_num / now.factor_den;
	assert_true(f >= 1e-4 && f <= 10000);
	most_f = f > most_f ? f : most_f;
	least_f = f < least_f ? f : least_f;
	return 0;
}

/* Attached, or swapped in for another policy, with a guest so far behind, to the end */
static void play(__u32 event, __s64 lacks, __u64 late_ns)
{
	most_f = least_f = 1;
	steps = 0;
	tw_unit_told = 0;
	level = gave_up = given_up_ns = 0;
	now.host_ns = 1000 * SECOND;
	now.guest_ns = now.host_ns - (event == KVM_TIMEWARP_SWAP ? lacks : 0);
	now.factor_num = now.factor_den = 1;
	behind = event == KVM_TIMEWARP_ATTACH && lacks > 0 ? lacks : 0;
	ahead = event == KVM_TIMEWARP_ATTACH && lacks < 0 ? -lacks : 0;
	assert_int_equal(ask(event), 0);
	while (said.next_host_ns) {
		assert_true(++steps < 100);
		if (said.next_host_ns > now.host_ns)
			pass(said.next_host_ns - now.host_ns);
		pass(late_ns ? rand() % late_ns : 0);
		assert_int_equal(ask(KVM_TIMEWARP_HOST_TIME), 0);
	}
	assert_true(level && tw_unit_told == 1);
	assert_true(now.factor_num == now.factor_den);
}

static __s64 is_off(__u32 event, __s64 lacks)
{
	return (__s64)(now.host_ns - now.guest_ns) + (event == KVM_TIMEWARP_ATTACH ? lacks : 0);
}

static void usual(void)
{
	mode = CATCHUP;
	fast.num = 2, fast.den = 1, slow.num = 1, slow.den = 2;
	threshold = 10000000, near = 1000000, give_up = 60 * SECOND;
}

static void comes_level(void **state)
{
	static const __s64 lacks[] = { 10000001, 50000000, 750000000, 3 * SECOND, 59 * SECOND, -20000000,
				       -5 * (__s64)SECOND, -4000 * (__s64)SECOND };
	__u32 event, m;
	size_t i;

	(void)state;
	usual();
	for (event = KVM_TIMEWARP_ATTACH; event <= KVM_TIMEWARP_SWAP; event++)
		for (m = CATCHUP; m <= MERGE; m++)
			for (i = 0; i < ARRAY_SIZE(lacks); i++) {
				__u64 start;

				mode = m;
				play(event, lacks[i], 200000);
				assert_true(llabs(is_off(event, lacks[i])) <= (__s64)near);
				assert_int_equal(gave_up, 0);
				start = now.host_ns - 1000 * SECOND;
				if (lacks[i] < 0)
					assert_true(most_f == 1 && start < 2.01 * -lacks[i] + 1e7);
				else if (m == CATCHUP)
					assert_true(most_f <= 2 && start < 1.01 * lacks[i] + 1e7);
				else
					assert_true(start < SECOND);
			}
}

/* A host whose CPUs are all busy: a call is late by a slice of its scheduler, and so is the change that follows */
static void comes_level_on_a_busy_host(void **state)
{
	static const __s64 lacks[] = { 750000000, 5 * SECOND, -5 * (__s64)SECOND };
	size_t i;
	int n;

	(void)state;
	usual();
	fast.num = 3, slow.den = 3;
	slow_ns = 5000000;
	for (mode = CATCHUP; mode <= MERGE; mode++)
		for (n = 0; n < 1000; n++)
			for (i = 0; i < ARRAY_SIZE(lacks); i++) {
				play(KVM_TIMEWARP_SWAP, lacks[i], 5000000);
				assert_true(llabs(is_off(KVM_TIMEWARP_SWAP, lacks[i])) <= (__s64)near);
			}
	slow_ns = 0;
}

static void left_alone(void **state)
{
	(void)state;
	usual();
	play(KVM_TIMEWARP_SWAP, 9999999, 0);
	assert_true(steps == 0 && most_f == 1 && least_f == 1);
	mode = DELAY;
	play(KVM_TIMEWARP_SWAP, 5 * SECOND, 0);
	assert_true(steps == 0 && behind_ns == 5 * SECOND && !given_up_ns);
}

static void given_up(void **state)
{
	(void)state;
	usual();
	play(KVM_TIMEWARP_SWAP, 60 * SECOND + 1, 0);
	assert_true(steps == 0 && gave_up == 1 && given_up_ns == 60 * SECOND + 1);
	/* what was given up does not come back */
	now.host_ns += SECOND;
	now.guest_ns += SECOND;
	assert_int_equal(ask(KVM_TIMEWARP_PARAMS), 0);
	assert_true(!said.next_host_ns && gave_up == 1);
	mode = DISCARD;
	play(KVM_TIMEWARP_SWAP, 3 * SECOND, 0);
	assert_true(steps == 0 && gave_up == 0 && given_up_ns == 3 * SECOND);
}

static void refuses(void **state)
{
	(void)state;
	usual();
	fast.den = 2;
	assert_int_equal(ask(KVM_TIMEWARP_ATTACH), -NOT_FAST);
	usual();
	slow.num = 2;
	assert_int_equal(ask(KVM_TIMEWARP_ATTACH), -NOT_SLOW);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_level),
		cmocka_unit_test(comes_level_on_a_busy_host),
		cmocka_unit_test(left_alone),
		cmocka_unit_test(given_up),
		cmocka_unit_test(refuses),
	};

	return RUN_TAP(tests);
}
