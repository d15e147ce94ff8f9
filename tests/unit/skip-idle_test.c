// SPDX-License-Identifier: GPL-2.0
/* The policy skip-idle, compiled for this machine: when it leaps, with a guest that ticks and a VMM that is told of. */
#include "../../bpf/policies/skip-idle.bpf.c"

#include <stdbool.h>

#include "policy_kernel.h"
#include "tap.h"

#define MS 1000000ULL
#define SECOND 1000000000ULL

__u32 bpf_get_prandom_u32(void)
{
	return 4;
}

static struct kvm_timewarp_view now;
static struct kvm_timewarp_answer said;

/* For how long it was halted since it was asked last */
static __u64 halted_ns;

static void ask(__u32 event)
{
	unsigned long long args[2] = { (unsigned long long)&now, (unsigned long long)&said };

	now.event = event;
	now.halted_ns = halted_ns;
	halted_ns = 0;
	said = (struct kvm_timewarp_answer){ .factor_num = 1, .factor_den = 1 };
	assert_int_equal(skip_decide(args), 0);
}

static void pass(__u64 span_ns)
{
	now.host_ns += span_ns;
	now.guest_ns += span_ns;
}

/* All vCPUs have halted, and that is over long enough for the policy to be told */
static void halts(void)
{
	__u64 told_ns = said.next_idle_ns;

	assert_true(told_ns >= TIMEWARP_MIN_IDLE_NS);
	pass(told_ns);
	now.idle_ns = told_ns;
	halted_ns += told_ns;
	ask(KVM_TIMEWARP_IDLE);
}

/* The time has come that the last answer named, the guest still waiting */
static void time_comes(void)
{
	__u64 span_ns = said.next_host_ns - now.host_ns;

	assert_true(said.next_host_ns > now.host_ns);
	pass(span_ns);
	now.idle_ns += span_ns;
	halted_ns += span_ns;
	ask(KVM_TIMEWARP_HOST_TIME);
}

/* The guest goes on waiting for so long; returns whether it leaps meanwhile */
static bool waits(__u64 span_ns)
{
	__u64 end = now.host_ns + span_ns, left;

	while (said.next_host_ns && said.next_host_ns < end) {
		time_comes();
		if (said.leap_ns)
			return true;
	}
	left = end - now.host_ns;
	pass(left);
	now.idle_ns += left;
	halted_ns += left;
	return false;
}

/* Attached to a guest with a timer a second ahead, under a VMM with none */
static void begin(bool vmm)
{
	struct timewarp_vmm_view *v = (void *)&timewarp_vmms.vm[0];

	factor.num = factor.den = 1;
	idle = 5 * MS;
	slack = 0;
	max_skip = TIMEWARP_MAX_LEAP_NS;
	min_skip = MS;
	until.kind = TIMEWARP_NEVER;
	patience = 200 * MS;
	halted_ns = 0;
	leap_wakes = kept_by = leapt_to_vmm = 0;
	skips = guarded = waited = guard_ns = vmm_ns = rate = 0;
	from_host_ns = from_guest_ns = then_host_ns = then_guest_ns = 0;
	soon_ns = SOON_NS;
	*v = (struct timewarp_vmm_view){ .pid = vmm, .due_ns = vmm ? ~0ULL : 0, .kicks = 7 };
	now = (struct kvm_timewarp_view){
		.host_ns = 1000 * SECOND, .guest_ns = 5000 * SECOND, .factor_num = 1, .factor_den = 1,
		.next_timer_ns = 5001 * SECOND, .state = KVM_TIMEWARP_ONE_SHOT,
	};
	ask(KVM_TIMEWARP_ATTACH);
	timewarp_device_at_work = false;
	timewarp_device_learnt_ns = 0;
}

static struct timewarp_vmm_view *vm(void)
{
	return (void *)&timewarp_vmms.vm[0];
}

static void leaps_at_once_where_no_device_was_used(void **state)
{
	(void)state;
	begin(true);
	halts();
	assert_int_equal(said.leap_ns, 5001 * SECOND);
	assert_int_equal(guarded, 0);
}

/* The guest's own tick, each 4 ms, ends no guard and begins none */
static void a_ticking_guest_waits_for_a_device_once(void **state)
{
	__u64 kicked_ns;

	(void)state;
	begin(true);
	vm()->kicks++;
	halts();
	kicked_ns = now.host_ns;
	assert_true(!said.leap_ns && guarded == 1 && said.next_host_ns == kicked_ns + 5 * MS);
	pass(4 * MS);
	now.idle_ns = 0;
	halts();
	assert_true(!said.leap_ns && guarded == 2 && said.next_host_ns == kicked_ns + 5 * MS);
	time_comes();
	assert_true(said.leap_ns && now.host_ns == kicked_ns + 5 * MS);
	assert_int_equal(guard_ns, 5 * MS);
}

static void a_device_that_is_used_again_is_waited_for_again(void **state)
{
	(void)state;
	begin(true);
	vm()->kicks++;
	halts();
	pass(2 * MS);
	now.idle_ns = 0;
	vm()->kicks++;
	halts();
	assert_true(!said.leap_ns && said.next_host_ns == now.host_ns + 5 * MS);
	time_comes();
	assert_true(said.leap_ns);
}

static void without_probes_the_guest_must_have_halted_so_long(void **state)
{
	(void)state;
	begin(false);
	halts();
	assert_true(!said.leap_ns && said.next_host_ns == now.host_ns + 5 * MS - now.idle_ns);
	pass(4 * MS);
	now.idle_ns = 0;
	halts();
	assert_true(!said.leap_ns && said.next_host_ns == now.host_ns + 5 * MS - now.idle_ns);
	time_comes();
	assert_true(said.leap_ns);
}

static void waits_longer_where_leaps_wake_the_vmm(void **state)
{
	(void)state;
	begin(true);
	assert_int_equal(said.next_idle_ns, SOON_NS);
	halts();
	assert_true(said.leap_ns && said.next_idle_ns == TIMEWARP_MIN_IDLE_NS);
	now.next_timer_ns = (now.guest_ns = said.leap_ns) + SECOND;
	vm()->wakes++;
	halts();
	assert_true(said.leap_ns && said.next_idle_ns == SOON_NS);
	now.next_timer_ns = (now.guest_ns = said.leap_ns) + SECOND;
	halts();
	assert_true(said.leap_ns && said.next_idle_ns == TIMEWARP_MIN_IDLE_NS);
}

static void is_not_asked_for_each_short_halt_where_the_last_led_to_no_leap(void **state)
{
	(void)state;
	begin(true);
	halts();
	assert_true(said.leap_ns && said.next_idle_ns == TIMEWARP_MIN_IDLE_NS);
	now.next_timer_ns = (now.guest_ns = said.leap_ns) + SECOND;
	vm()->kicks++;
	halts();
	assert_true(!said.leap_ns && said.next_idle_ns == WORK_NS);
	time_comes();
	assert_true(said.leap_ns && said.next_idle_ns == TIMEWARP_MIN_IDLE_NS);
	/* Not worth a leap */
	now.next_timer_ns = (now.guest_ns = said.leap_ns) + MS / 2;
	halts();
	assert_true(!said.leap_ns && said.next_idle_ns == WORK_NS);
	/* The main loop is awake, which takes longer */
	soon_ns = SOON_NS;
	vm()->due_ns = 0;
	now.next_timer_ns = now.guest_ns + SECOND;
	halts();
	assert_true(!said.leap_ns && said.next_idle_ns == SOON_NS);
}

static void a_vmm_that_is_awake_is_waited_for(void **state)
{
	(void)state;
	begin(true);
	vm()->due_ns = 0;
	halts();
	assert_true(!said.leap_ns && waited == 1);
	vm()->due_ns = ~0ULL;
	time_comes();
	assert_true(said.leap_ns);
	assert_int_equal(vmm_ns, TIMEWARP_MIN_INTERVAL_NS);
	assert_int_equal(guard_ns, 0);
}

/* What a guest asks a disk for that takes so long; returns whether it leaps before that is done */
static bool request(__u64 took_ns)
{
	vm()->kicks++;
	now.idle_ns = 0;
	halts();
	if (said.leap_ns || waits(took_ns))
		return true;
	/* the VMM hears from the disk, the guest from the VMM, and halts again */
	vm()->kicks++;
	vm()->own_kicks++;
	now.idle_ns = 0;
	halts();
	return false;
}

static void begin_to_learn(void)
{
	begin(true);
	idle = 0;
	ask(KVM_TIMEWARP_ATTACH);
}

/* Until @n times, after three requests each, it leaps; returns for how long it waited for the last time */
static __u64 learn(int n, __u64 took_ns)
{
	__u64 since_ns = 0;

	while (n--) {
		assert_false(request(took_ns) || request(took_ns) || request(took_ns));
		since_ns = now.host_ns;
		assert_true(said.leap_ns || waits(SECOND));
		since_ns = now.host_ns - since_ns;
		now.guest_ns = said.leap_ns;
		now.next_timer_ns = now.guest_ns + SECOND;
	}
	return since_ns;
}

static void no_leap_while_a_disk_of_100_ms_works(void **state)
{
	(void)state;
	begin_to_learn();
	assert_in_range(learn(20, 100 * MS), 190 * MS, 200 * MS);
}

static void a_fast_disk_is_waited_for_no_longer_than_it_needs(void **state)
{
	(void)state;
	begin_to_learn();
	assert_in_range(learn(60, MS / 10), MS, 2 * MS);
	assert_in_range(quiet_ns, MS, 2 * MS);
}

/* A vCPU that works for 50 ms between two requests, not the disk */
static void work_is_no_slow_disk(void **state)
{
	int i;

	(void)state;
	begin_to_learn();
	learn(60, MS / 10);
	for (i = 0; i < 20; i++) {
		assert_false(request(MS / 10));
		now.idle_ns = 0;
		pass(50 * MS);
		ask(KVM_TIMEWARP_HOST_TIME);
	}
	now.next_timer_ns = now.guest_ns + SECOND;
	halts();
	assert_true(said.leap_ns || waits(4 * MS));
	assert_in_range(quiet_ns, MS, 2 * MS);
}

static void an_answer_that_was_not_waited_for_is_learnt(void **state)
{
	(void)state;
	begin_to_learn();
	learn(60, MS / 10);
	vm()->kicks++;
	now.idle_ns = 0;
	halts();
	assert_true(waits(4 * MS));
	now.guest_ns = said.leap_ns;
	now.next_timer_ns = now.guest_ns + 100 * SECOND;
	assert_true(waits(30 * MS));
	vm()->kicks++;
	vm()->own_kicks++;
	now.idle_ns = 0;
	halts();
	assert_in_range(quiet_ns, 4 * 10 * MS, 200 * MS);
}

/* Each second a timer of the VMM's is leapt to, which wakes it */
static void a_timer_of_the_vmms_is_no_answer(void **state)
{
	int i;

	(void)state;
	begin_to_learn();
	learn(60, MS / 10);
	for (i = 0; i < 50; i++) {
		now.next_timer_ns = now.guest_ns + 10 * SECOND;
		vm()->due_ns = now.guest_ns + SECOND;
		now.idle_ns = 0;
		halts();
		assert_true(said.leap_ns || waits(4 * MS));
		assert_int_equal(said.leap_ns, vm()->due_ns);
		now.guest_ns = said.leap_ns;
		vm()->kicks++;
		vm()->own_kicks++;
	}
	assert_in_range(quiet_ns, MS, 2 * MS);
}

/* A leap of a second each 10 ms for two minutes, then none */
static void tells_the_rate_of_the_last_minute(void **state)
{
	__u64 i;

	(void)state;
	begin(true);
	for (i = 0; i < 12000; i++) {
		pass(10 * MS);
		now.guest_ns += SECOND;
		ask(KVM_TIMEWARP_HOST_TIME);
		assert_true(i < 3 || (rate >= 100 && rate <= 101));
	}
	for (i = 0; i < 6100; i++) {
		pass(10 * MS);
		ask(KVM_TIMEWARP_HOST_TIME);
	}
	assert_int_equal(rate, 1);
}

/* The next leap, of a guest that has a timer so far ahead */
static __u64 leap_over(__u64 timer_ns)
{
	/* it runs before */
	pass(1000);
	now.next_timer_ns = now.guest_ns + timer_ns + said.next_idle_ns;
	halts();
	return said.leap_ns ? said.leap_ns - now.guest_ns : 0;
}

static void slack_makes_no_leap_longer_than_the_guests_clock_bears(void **state)
{
	int i;

	(void)state;
	begin(true);
	slack = 10 * SECOND;
	for (i = 0; i < 5; i++) {
		vm()->pm_reads++;
		assert_int_equal(leap_over(SECOND / 2), SECOND);
		assert_int_equal(leap_over(2 * SECOND), 2 * SECOND);
	}
	leap_over(SECOND);
	leap_over(SECOND);
	assert_int_equal(leap_over(SECOND), 11 * SECOND);
}

static void no_slack_for_a_guest_that_may_count_its_ticks(void **state)
{
	int i;

	(void)state;
	begin(true);
	timewarp_hpet_counts = timewarp_pm_counts = 0;
	timewarp_tickless = timewarp_idled = false;
	slack = SECOND;
	for (i = 0; i < 10; i++)
		assert_int_equal(leap_over(4 * MS), 4 * MS);
	assert_int_equal(leap_over(100 * MS), 1100 * MS);
	assert_int_equal(leap_over(4 * MS), 1004 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaps_at_once_where_no_device_was_used),
		cmocka_unit_test(a_ticking_guest_waits_for_a_device_once),
		cmocka_unit_test(a_device_that_is_used_again_is_waited_for_again),
		cmocka_unit_test(without_probes_the_guest_must_have_halted_so_long),
		cmocka_unit_test(waits_longer_where_leaps_wake_the_vmm),
		cmocka_unit_test(is_not_asked_for_each_short_halt_where_the_last_led_to_no_leap),
		cmocka_unit_test(a_vmm_that_is_awake_is_waited_for),
		cmocka_unit_test(no_leap_while_a_disk_of_100_ms_works),
		cmocka_unit_test(a_fast_disk_is_waited_for_no_longer_than_it_needs),
		cmocka_unit_test(work_is_no_slow_disk),
		cmocka_unit_test(an_answer_that_was_not_waited_for_is_learnt),
		cmocka_unit_test(a_timer_of_the_vmms_is_no_answer),
		cmocka_unit_test(tells_the_rate_of_the_last_minute),
		cmocka_unit_test(slack_makes_no_leap_longer_than_the_guests_clock_bears),
		cmocka_unit_test(no_slack_for_a_guest_that_may_count_its_ticks),
	};

	return RUN_TAP(tests);
}
