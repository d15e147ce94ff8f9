// SPDX-License-Identifier: GPL-2.0
/* The policy chaos, compiled for this machine: its clock is as bad as it says, and no worse. */
#include "../../bpf/policies/chaos.bpf.c"

#include <stdbool.h>
#include <stdlib.h>

#include "policy_kernel.h"
#include "tap.h"

#define SECOND 1000000000ULL

__u32 bpf_get_prandom_u32(void)
{
	return (__u32)rand() ^ (__u32)rand() << 15;
}

static struct kvm_timewarp_view now;
static struct kvm_timewarp_answer said;
static double f, most_f, least_f, most_off, least_off;

static double off(void)
{
	return ((double)now.guest_ns - (double)now.host_ns) / 1e9;
}

static int ask(__u32 event)
{
	unsigned long long args[2] = { (unsigned long long)&now, (unsigned long long)&said };
	int r;

	now.event = event;
	said = (struct kvm_timewarp_answer){ .factor_num = now.factor_num, .factor_den = now.factor_den };
	r = chaos_decide(args);
	if (r)
		return r;
	/* The kernel lets no other leap pass */
	assert_true(!said.leap_ns || said.leap_ns == now.guest_ns - back || said.leap_ns == now.guest_ns + skip);
	if (said.leap_ns)
		now.guest_ns = said.leap_ns;
	now.factor_num = said.factor_num;
	now.factor_den = said.factor_den;
	f = (double)now.factor_num / now.factor_den;
	assert_true(f >= 0.999999e-4 && f <= 10000 && said.next_host_ns >= now.host_ns + TIMEWARP_MIN_INTERVAL_NS);
	return 0;
}

static void begin(void)
{
	ppm = jitter = stalls = away = 0;
	backs = skips = went_back = skipped = 0;
	period = 600 * SECOND, step = SECOND / 10, stall = SECOND / 10;
	fastest.num = 10, fastest.den = 1;
	stalled = steps = 0;
	stalling = 0;
	now.host_ns = now.guest_ns = 1000 * SECOND;
}

static void run(double seconds)
{
	__u64 end = now.host_ns + seconds * 1e9;

	most_f = most_off = -1e9;
	least_f = least_off = 1e9;
	assert_int_equal(ask(KVM_TIMEWARP_ATTACH), 0);
	while (now.host_ns < end) {
		__u64 span = said.next_host_ns - now.host_ns;

		now.host_ns += span;
		now.guest_ns += kvm_timewarp_mul_div(span, now.factor_num, now.factor_den);
		most_f = f > most_f ? f : most_f;
		least_f = f < least_f ? f : least_f;
		most_off = off() > most_off ? off() : most_off;
		least_off = off() < least_off ? off() : least_off;
		assert_int_equal(ask(KVM_TIMEWARP_HOST_TIME), 0);
	}
}

static void drift(void **state)
{
	(void)state;
	begin();
	ppm = 300;
	run(600);
	assert_true(most_f > 1.000299 && most_f <= 1.0003001 && least_f < 0.999701 && least_f >= 0.9996999);
	/* a triangle: slow for the first quarter, fast for two, and level again */
	assert_true(least_off < -0.022 && least_off > -0.023);
	assert_true(off() < 0.0001 && off() > -0.0001);
	jitter = 50;
	run(600);
	assert_true(most_f > 1.0003 && most_f < 1.00035001 && least_f < 0.9997 && least_f > 0.99964999);
	begin();
	run(10);
	assert_true(most_f == 1 && least_f == 1);
}

static void stalls_and_rushes(void **state)
{
	(void)state;
	begin();
	stalls = 20;
	stall = SECOND / 5;
	run(3000);
	assert_true(stalled > 400 && stalled < 800);
	assert_true(least_f < 0.00011 && most_f > 9.99 && most_f <= 10);
	/* what a stall takes is back before the next */
	assert_true(least_off > -0.21 && least_off < -0.19 && most_off < 0.001);
}

static void runs_away(void **state)
{
	double before;

	(void)state;
	begin();
	ppm = 1000;
	away = 10 * SECOND;
	run(9.9);
	before = f;
	assert_true(before > 1.0019 && before < 1.0021);
	begin();
	ppm = 1000;
	away = 10 * SECOND;
	run(59.9);
	assert_true(f - 1 > 0.0632 && f - 1 < 0.0641);
	begin();
	ppm = 500000;
	away = SECOND;
	run(3600);
	assert_true(f == 10 && most_f == 10);
}

static void jumps(void **state)
{
	(void)state;
	begin();
	backs = 100;
	back = SECOND / 100;
	run(600);
	assert_true(went_back > 450 && went_back < 750);
	assert_true(off() > -0.01 * went_back - 1e-6 && off() < -0.01 * went_back + 1e-6);
	begin();
	skips = 500;
	skip = SECOND / 50;
	run(60);
	assert_true(skipped > 200 && skipped < 400 && !went_back);
	assert_true(off() > 0.02 * skipped - 1e-6 && off() < 0.02 * skipped + 1e-6);
}

static void refuses(void **state)
{
	(void)state;
	begin();
	fastest.num = 1;
	assert_int_equal(ask(KVM_TIMEWARP_ATTACH), -NOT_FAST);
	fastest.num = 20000;
	assert_int_equal(ask(KVM_TIMEWARP_ATTACH), -NOT_FAST);
	begin();
	ppm = 500000;
	jitter = 250001;
	assert_int_equal(ask(KVM_TIMEWARP_ATTACH), -TOO_MUCH);
	begin();
	period = 0;
	assert_int_equal(ask(KVM_TIMEWARP_ATTACH), -ERANGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(drift),
		cmocka_unit_test(stalls_and_rushes),
		cmocka_unit_test(runs_away),
		cmocka_unit_test(jumps),
		cmocka_unit_test(refuses),
	};

	return RUN_TAP(tests);
}
