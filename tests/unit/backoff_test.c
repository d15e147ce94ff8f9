// SPDX-License-Identifier: GPL-2.0
/*
 * The policy backoff, compiled for this machine, against a model of what it governs: a VM whose ticks cost
 * host time, whose timers have a floor, and that lateness and starvation can be done to.
 */
#include "../../bpf/policies/backoff.bpf.c"

#include <stdbool.h>
#include <stdlib.h>

#include "policy_kernel.h"
#include "tap.h"

#define MS 1000000ULL
#define SECOND 1000000000ULL
#define FLOOR_NS 10000.0

__u32 bpf_get_prandom_u32(void)
{
	return 4;
}

static struct kvm_timewarp_view now;
static struct kvm_timewarp_answer said;

static struct vm {
	double hz;		/* timers that the guest arms in a second of its own */
	double cost_ns;		/* host time for each */
	bool busy;		/* it never halts by itself */
	bool periodic;		/* ticks that come too fast are lost, else put off */
	double limit;		/* the CPU's highest factor */
	double f;		/* in force */
	double host, guest;	/* ns */
	double lost, floors;
	double stall_ns;	/* for how long the vCPU will not run, from now on */
	double work;		/* host seconds that its programs need for a second of the guest's */
	double unrested_ns;	/* guest time since its programs last had all that they need */
	double most_unrested_ns;
	int clamps;
	double most_guest_stall_ns;
} vm;

/* What a decision is given after a span of host time */
static void live(double span)
{
	double stalled = vm.stall_ns < span ? vm.stall_ns : span;
	double period = 1e9 / vm.hz / vm.f, runs = span - stalled;
	double fastest = vm.cost_ns + FLOOR_NS;
	double fired = runs / (period > fastest ? period : fastest), busy_ns;

	vm.host += span;
	vm.guest += span * vm.f;
	now.starved_ns += stalled;
	vm.stall_ns -= stalled;
	if (period < fastest) {
		if (vm.periodic)
			vm.lost += runs / period - fired;
		else
			vm.floors += fired;
	}
	busy_ns = fired * vm.cost_ns + vm.work * span * vm.f;
	if (!vm.busy && busy_ns < runs) {
		now.halted_ns += runs - busy_ns;
		vm.unrested_ns = 0;
	} else {
		vm.unrested_ns += span * vm.f;
	}
	if (vm.unrested_ns > vm.most_unrested_ns)
		vm.most_unrested_ns = vm.unrested_ns;
	if (vm.cost_ns * vm.f > now.late_ns)
		now.late_ns = vm.cost_ns * vm.f;
	if (stalled * vm.f > now.late_ns && !vm.stall_ns)
		now.late_ns = stalled * vm.f;
}

static void ask(__u32 event)
{
	unsigned long long args[2] = { (unsigned long long)&now, (unsigned long long)&said };
	double asked;

	now.event = event;
	now.nr_vcpus = 1;
	now.host_ns = vm.host;
	now.guest_ns = vm.guest;
	now.factor_num = vm.f * 4294967296.0;
	now.factor_den = 4294967296ULL;
	now.lost_ticks = vm.lost;
	now.floors = vm.floors;
	said = (struct kvm_timewarp_answer){ .factor_num = now.factor_num, .factor_den = now.factor_den };
	assert_int_equal(backoff_decide(args), 0);
	assert_true(said.next_host_ns > now.host_ns && said.next_late_ns);
	asked = (double)said.factor_num / said.factor_den;
	assert_true(asked >= (double)least.num / least.den * 0.999999);
	assert_true(asked <= (double)factor.num / factor.den * 1.000001);
	if (asked > vm.limit) {
		vm.clamps++;
		asked = vm.limit;
	}
	vm.f = asked;
	now.late_ns = now.starved_ns = now.halted_ns = 0;
}

static void begin_vm(struct vm v)
{
	vm = v;
	vm.f = 1;
	vm.host = vm.guest = 100e9;
	if (!vm.limit)
		vm.limit = 10000;
	hardware = try_at = wait = ceiling = starving = 0;
	raised = lowered = for_late = for_starved = for_lost = for_floors = for_turn = tries = ceiling_ppm = 0;
	turn = 2 * SECOND;
	factor.num = 10000;
	least.num = start.num = factor.den = least.den = start.den = 1;
	memset(&now, 0, sizeof(now));
	ask(KVM_TIMEWARP_ATTACH);
}

static void run(double seconds)
{
	double end = vm.host + seconds * 1e9, least_f = vm.f;

	while (vm.host < end) {
		double left = said.next_host_ns - vm.host;
		double stall = vm.stall_ns;

		/* a late timer is told when it is delivered: when the vCPU runs again */
		if (stall && stall < left && stall * vm.f > said.next_late_ns) {
			live(stall);
			ask(KVM_TIMEWARP_LATE);
		} else {
			live(left);
			ask(KVM_TIMEWARP_HOST_TIME);
		}
		if (vm.f < least_f)
			least_f = vm.f;
	}
}

/* Converges below what is too much and stays; each passage over it is one of ever rarer tries */
static void settles(struct vm v, double too_much, volatile __u64 *cause)
{
	__u64 changes, t, i;
	double above = 0;

	begin_vm(v);
	run(30);
	assert_true(vm.f < too_much && vm.f > too_much * 0.55);
	assert_true(*cause && *cause == lowered);
	changes = raised + lowered;
	t = tries;
	for (i = 0; i < 15000; i++) {
		run(0.02);
		above += vm.f > too_much;
	}
	if (getenv("VERBOSE"))
		printf("# f %g raised %llu lowered %llu changes %llu tries %llu above %g\n", vm.f, raised,
		       lowered, raised + lowered - changes, tries - t, above / 15000);
	/* 300 s: tries after 10, 20, 40, 80, 160 s at most, a way up and down for each, which is longer from half */
	assert_true(tries > t && tries - t <= 5);
	assert_true(raised + lowered - changes <= (cause == &for_turn ? 9 : 7) * (tries - t));
	assert_true(above / 15000 < 0.02);
	assert_true(vm.f > too_much * 0.55);
}

static void one_shot_ticks(void **state)
{
	(void)state;
	settles((struct vm){ .hz = 250, .cost_ns = 30000 }, 100, &for_floors);
}

static void busy_guest(void **state)
{
	(void)state;
	settles((struct vm){ .hz = 250, .cost_ns = 30000, .busy = true }, 100, &for_floors);
	settles((struct vm){ .hz = 1000, .cost_ns = 30000, .busy = true }, 25, &for_floors);
}

static void periodic_ticks(void **state)
{
	(void)state;
	/* a few lost ones are allowed: 10 of 250 */
	settles((struct vm){ .hz = 250, .cost_ns = 30000, .periodic = true }, 100 / 0.96, &for_lost);
}

static void tickless(void **state)
{
	(void)state;
	begin_vm((struct vm){ .hz = 5, .cost_ns = 2000 });
	run(60);
	assert_true(vm.f > 9900);
	assert_int_equal(lowered, 0);
}

static void hiccup(void **state)
{
	double before;

	(void)state;
	begin_vm((struct vm){ .hz = 5, .cost_ns = 2000 });
	factor.num = 200;
	run(30);
	before = vm.f;
	assert_true(before > 190);
	/* 30 ms of the host: 6 s of the guest, of which it bears 2 by the margin, 20 in truth */
	vm.stall_ns = 30e6;
	run(0.1);
	assert_true(vm.f < before * 0.81 && lowered && for_late + for_starved == lowered);
	run(30);
	assert_true(vm.f > before * 0.75);
	run(60);
	assert_true(vm.f > before * 0.95);
}

/* The host has no time for it: the factor is down before a watchdog could speak */
static void starved(void **state)
{
	double f, guest;

	(void)state;
	for (f = 2; f < 900; f *= 1.5) {
		begin_vm((struct vm){ .hz = 5, .cost_ns = 2000 });
		factor.num = f;
		run(30);
		vm.stall_ns = 1e9;
		guest = vm.guest;
		while (vm.stall_ns > 0)
			run(0.02);
		/* a second of the host; without the policy that would be f seconds */
		assert_true(vm.guest - guest < 20e9);
		assert_true(vm.f <= f && (f < 3 || lowered));
	}
}

/* Half of the CPU goes into ticks and half into programs at 50: none is late, lost or too close */
static void programs_get_their_turn(void **state)
{
	struct vm v = { .hz = 5, .cost_ns = 2000, .work = 0.02 };

	(void)state;
	settles(v, 50, &for_turn);
	begin_vm(v);
	run(300);
	/* until it is halved; a backlog is the model's no business */
	assert_true(vm.most_unrested_ns < 2.7e9 * 2);
	assert_int_equal(for_turn, lowered);
	turn = 0;
	begin_vm(v);
	turn = 0;
	run(300);
	assert_int_equal(lowered, 0);
	assert_true(vm.f > 1000);
}

static void who_works_by_himself_keeps_his_factor(void **state)
{
	double host;

	(void)state;
	begin_vm((struct vm){ .hz = 5, .cost_ns = 2000 });
	factor.num = 50;
	run(30);
	assert_true(vm.f > 49);
	vm.busy = true;
	host = vm.host;
	while (!works && vm.host < host + 30e9)
		run(0.02);
	/* it was looked whether it is idle at less, which takes a second or two */
	assert_true(works && vm.host - host < 3e9);
	assert_true(vm.f > 49);
	lowered = 0;
	run(60);
	assert_int_equal(lowered, 0);
	/* it rests, and works again */
	vm.busy = false;
	run(1);
	assert_false(works);
	vm.busy = true;
	run(5);
	assert_true(works && vm.f > 49);
}

static void limit_of_the_cpu(void **state)
{
	(void)state;
	begin_vm((struct vm){ .hz = 5, .cost_ns = 2000, .limit = 255.99 });
	run(60);
	assert_int_equal(vm.clamps, 1);
	assert_true(vm.f > 255);
}

static void parameters(void **state)
{
	unsigned long long args[2] = { (unsigned long long)&now, (unsigned long long)&said };

	(void)state;
	begin_vm((struct vm){ .hz = 250, .cost_ns = 30000 });
	run(30);
	factor.num = 10;
	ask(KVM_TIMEWARP_PARAMS);
	assert_true(vm.f <= 10);
	least.num = 11;
	now.event = KVM_TIMEWARP_PARAMS;
	assert_int_equal(backoff_decide(args), -UPSIDE_DOWN);
	least.num = 4;
	vm.hz = 25000;		/* more than it bears even at 4 */
	run(30);
	assert_true(vm.f > 3.99 && vm.f < 4.01);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_shot_ticks),
		cmocka_unit_test(busy_guest),
		cmocka_unit_test(periodic_ticks),
		cmocka_unit_test(tickless),
		cmocka_unit_test(hiccup),
		cmocka_unit_test(starved),
		cmocka_unit_test(programs_get_their_turn),
		cmocka_unit_test(who_works_by_himself_keeps_his_factor),
		cmocka_unit_test(limit_of_the_cpu),
		cmocka_unit_test(parameters),
	};

	return RUN_TAP(tests);
}
