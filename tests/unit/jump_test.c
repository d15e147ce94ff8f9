// SPDX-License-Identifier: GPL-2.0
/* The policy jump, compiled for this machine: when it leaps and how far, with a guest whose devices are used. */
#include "../../bpf/policies/jump.bpf.c"

#include <stdbool.h>

#include "policy_kernel.h"
#include "tap.h"

#define MS 1000000ULL
#define SECOND 1000000000ULL
#define DAY (86400 * SECOND)

__u32 bpf_get_prandom_u32(void)
{
	return 4;
}

static struct kvm_timewarp_view now;
static struct kvm_timewarp_answer said;
static __u64 begun_ns;
/* What a guest does after a leap: it runs, and reads these counters */
static bool runs, reads_hpet, reads_pm;
/* It has been woken, and got no CPU of the host yet: what is due stays so */
static bool starves;

static struct timewarp_vmm_view *vm(void)
{
	return (void *)&timewarp_vmms.vm[0];
}

/* Asks, and does what is answered: a leap takes no host time */
static void ask(__u32 event)
{
	unsigned long long args[2] = { (unsigned long long)&now, (unsigned long long)&said };

	if (!starves && now.next_timer_ns < now.guest_ns)
		now.next_timer_ns = now.guest_ns + SECOND;
	now.event = event;
	said = (struct kvm_timewarp_answer){ .factor_num = 1, .factor_den = 1 };
	assert_int_equal(jump_decide(args), 0);
	if (!said.leap_ns || (!now.idle_ns && (said.flags & KVM_TIMEWARP_IF_IDLE)))
		return;
	now.guest_ns = said.leap_ns;
	/* It lets the guest run for a moment, and look at its clock */
	if (runs) {
		now.host_ns += 1000;
		now.idle_ns = !!now.idle_ns;
		vm()->hpet_reads += reads_hpet;
		vm()->pm_reads += reads_pm;
	}
	/* KVM ends such a leap at the next timer, unless it is to go past it */
	if ((said.flags & KVM_TIMEWARP_IF_IDLE) && !(said.flags & KVM_TIMEWARP_PAST_TIMERS) && now.guest_ns > now.next_timer_ns)
		now.guest_ns = now.next_timer_ns;
}

/* So far ahead of a guest with kvmclock that waits, of whose devices nothing is known but that they may be at work */
static void begin_for(bool vmm, __u64 span_ns)
{
	to.kind = TIMEWARP_AFTER_GUEST;
	to.ns = span_ns;
	leap = 0;
	pause = idle = 5 * MS;
	patience = 200 * MS;
	backward = 0;
	factor.num = factor.den = 1;
	*vm() = (struct timewarp_vmm_view){ .pid = vmm, .due_ns = vmm ? ~0ULL : 0, .kicks = 7 };
	now = (struct kvm_timewarp_view){
		.host_ns = 1000 * SECOND, .guest_ns = 5000 * SECOND, .factor_num = 1, .factor_den = 1,
		.next_timer_ns = 5001 * SECOND, .state = KVM_TIMEWARP_TELLS, .idle_ns = MS,
	};
	runs = true;
	starves = false;
	reads_hpet = reads_pm = false;
	ask(KVM_TIMEWARP_ATTACH);
	begun_ns = now.host_ns;
}

/* Of one that is known by now to read no counter */
static void begin(bool vmm)
{
	begin_for(vmm, 3650 * DAY);
	timewarp_hpet_counts = timewarp_pm_counts = 0;
}

/* As much of the host's time goes by, with a look each millisecond; returns the longest leap meanwhile */
static __u64 wait_ns(__u64 span_ns)
{
	__u64 end = now.host_ns + span_ns, before, far = 0;

	while (now.host_ns < end) {
		now.host_ns += MS;
		now.guest_ns += MS;
		if (now.idle_ns)
			now.idle_ns += MS;
		before = now.guest_ns;
		ask(KVM_TIMEWARP_HOST_TIME);
		if (now.guest_ns - before > far)
			far = now.guest_ns - before;
	}
	return far;
}

/* What a guest with a disk that takes so long does, a request after the other; returns the longest leap meanwhile */
static __u64 requests(unsigned int n, __u64 took_ns)
{
	__u64 far = 0, one;

	while (n--) {
		vm()->kicks++;
		one = wait_ns(took_ns);
		far = one > far ? one : far;
	}
	return far;
}

static void begins_when_no_device_can_be_at_work_any_more(void **state)
{
	(void)state;
	begin(true);
	assert_int_equal(said.leap_ns, 0);
	assert_int_equal(wait_ns(199 * MS), 0);
	assert_int_equal(wait_ns(MS), 60 * SECOND);
}

static void leaps_at_once_when_the_guest_waits_again(void **state)
{
	int i;

	(void)state;
	begin(true);
	wait_ns(200 * MS);
	for (i = 0; i < 100; i++) {
		__u64 before = now.guest_ns;

		now.host_ns += HALTED_NS;
		now.idle_ns = HALTED_NS;
		ask(KVM_TIMEWARP_IDLE);
		assert_int_equal(now.guest_ns - before, 60 * SECOND);
	}
}

static void no_leap_while_the_guest_has_not_had_its_turn(void **state)
{
	(void)state;
	begin(true);
	wait_ns(200 * MS);
	/* the one that pets its watchdog is due, and QEMU's main loop sleeps again before it got a CPU */
	starves = true;
	runs = false;
	now.next_timer_ns = now.guest_ns;
	assert_int_equal(wait_ns(4 * MS), 0);
	/* nor ever such a long one: what is due may be a timer of which the guest will hear nothing */
	assert_int_equal(wait_ns(100 * MS), 10 * SECOND);
	/* a timer of QEMU's own, likewise */
	now.next_timer_ns = ~0ULL;
	vm()->due_ns = now.guest_ns;
	wait_ns(MS);
	leapt_ns = now.host_ns;
	assert_int_equal(wait_ns(4 * MS), 0);
	vm()->due_ns = ~0ULL;
	starves = false;
	assert_int_equal(wait_ns(MS), 60 * SECOND);
}

static void a_vm_that_qemu_has_stopped_is_waited_for(void **state)
{
	(void)state;
	begin_for(true, DAY);
	wait_ns(200 * MS);
	/* its vCPUs are out of KVM, as those of a guest that never rests are */
	vm()->stopped = 1;
	now.idle_ns = 0;
	assert_int_equal(wait_ns(60 * SECOND), 0);
	assert_true(said.next_host_ns > now.host_ns);
	vm()->stopped = 0;
	now.idle_ns = MS;
	assert_true(wait_ns(2 * MS));
	/* meanwhile its clocks stood */
	while (!arrived)
		wait_ns(MS);
	assert_in_range(now.guest_ns, 5060 * SECOND + DAY - 2 * MS, 5060 * SECOND + DAY + 2 * MS);
}

static void nothing_is_awaited_of_a_member_that_is_gone(void **state)
{
	(void)state;
	begin(true);
	timewarp_member = 1;
	timewarp_group.member[0].state = timewarp_group.member[1].state = TIMEWARP_LIVES;
	/* as a QEMU leaves it that stops its VM, and ends */
	timewarp_vmms.vm[1].pid = 2;
	timewarp_vmms.vm[1].stopped = 1;
	timewarp_vmms.vm[1].due_ns = 0;
	assert_true(timewarp_vmm_stopped());
	assert_int_equal(timewarp_vmm_due_ns(&now), 0);
	timewarp_group.member[1].state = TIMEWARP_GONE;
	assert_false(timewarp_vmm_stopped());
	assert_int_equal(timewarp_vmm_due_ns(&now), ~0ULL);
	/* nor is it for ever unknown what devices do where the one that has gone had no probes */
	timewarp_group.member[1].state = TIMEWARP_LIVES;
	vm()->pid = 0;
	assert_int_equal(timewarp_vmm_kicks(), ~0ULL);
	timewarp_group.member[0].state = TIMEWARP_GONE;
	assert_int_equal(timewarp_vmm_kicks(), 0);
	timewarp_member = 0;
	timewarp_group.member[0].state = timewarp_group.member[1].state = TIMEWARP_ABSENT;
	memset((void *)&timewarp_vmms.vm[1], 0, sizeof(timewarp_vmms.vm[1]));
}

static void a_jump_does_not_end_while_the_vm_is_stopped(void **state)
{
	(void)state;
	begin_for(true, SECOND);
	/* it lives there by itself, but for the last 20 ms */
	now.host_ns += 980 * MS;
	now.guest_ns += 980 * MS;
	vm()->stopped = 1;
	now.idle_ns = 0;
	ask(KVM_TIMEWARP_HOST_TIME);
	wait_ns(10 * SECOND);
	assert_int_equal(arrived, 0);
	vm()->stopped = 0;
	wait_ns(22 * MS);
	assert_int_equal(arrived, 1);
}

static void no_leap_while_a_disk_of_100_ms_works(void **state)
{
	int i;

	(void)state;
	begin(true);
	wait_ns(250 * MS);
	for (i = 0; i < 20; i++) {
		assert_int_equal(requests(3, 100 * MS), 0);
		/* the last one has been answered: a kick, and quiet */
		vm()->kicks++;
		assert_int_equal(wait_ns(190 * MS), 0);
		assert_int_equal(wait_ns(20 * MS), 60 * SECOND);
	}
}

static void a_fast_disk_is_waited_for_no_longer_than_it_needs(void **state)
{
	int i;

	(void)state;
	begin(true);
	wait_ns(250 * MS);
	for (i = 0; i < 40; i++) {
		assert_int_equal(requests(5, MS), 0);
		wait_ns(250 * MS);
	}
	assert_int_equal(quiet_ns, idle);
	vm()->kicks++;
	assert_int_equal(wait_ns(5 * MS), 0);
	assert_int_equal(wait_ns(MS), 60 * SECOND);
	/* A slower one was not waited for, once */
	vm()->kicks++;
	assert_int_equal(wait_ns(50 * MS), 60 * SECOND);
	vm()->kicks++;
	vm()->own_kicks++;
	wait_ns(MS);
	assert_int_equal(quiet_ns, 200 * MS);
	assert_int_equal(wait_ns(199 * MS), 0);
}

/* 30 s is what Linux gives a disk: so far a guest must not get while a request may be under way */
static void a_guest_that_never_rests_goes_in_short_leaps(void **state)
{
	__u64 far, from;

	(void)state;
	begin(true);
	wait_ns(250 * MS);
	now.idle_ns = 0;
	from = now.guest_ns;
	far = requests(200, 100 * MS);
	assert_int_equal(far, 10 * SECOND);
	/* no more often than each 800 ms, of which a request sees one */
	assert_in_range(now.guest_ns - from, 20 * 10 * SECOND, 26 * 10 * SECOND + 20 * SECOND);
	/* devices that rest, and a vCPU that does not */
	wait_ns(300 * MS);
	assert_int_equal(wait_ns(50 * MS), 10 * SECOND);
}

static void a_vmm_that_is_awake_is_waited_for(void **state)
{
	(void)state;
	begin(true);
	wait_ns(250 * MS);
	vm()->due_ns = 0;
	assert_int_equal(wait_ns(4 * MS), 0);
	vm()->due_ns = ~0ULL;
	assert_int_equal(wait_ns(MS), 60 * SECOND);
}

static void without_probes_there_is_a_pause_between_leaps(void **state)
{
	__u64 from;

	(void)state;
	begin(false);
	from = now.guest_ns;
	assert_int_equal(wait_ns(100 * MS), 60 * SECOND);
	assert_in_range(now.guest_ns - from, 19 * 60 * SECOND, 21 * 60 * SECOND);
}

static void ends_where_it_was_to(void **state)
{
	(void)state;
	begin_for(true, DAY);
	while (!arrived && now.host_ns < begun_ns + 100 * SECOND)
		wait_ns(10 * MS);
	assert_int_equal(arrived, 1);
	/* the first three are short, as it may read any clock */
	assert_int_equal(leaps, 1443);
	assert_int_equal(at_ns, 5000 * SECOND + DAY);
	assert_int_equal(wait_ns(SECOND), 0);
}

static void counts_only_leaps_that_were_made(void **state)
{
	(void)state;
	begin(true);
	wait_ns(199 * MS);
	/* it waits when asked, and runs when the leap is to be made */
	now.host_ns += MS;
	now.event = KVM_TIMEWARP_HOST_TIME;
	said = (struct kvm_timewarp_answer){ .factor_num = 1, .factor_den = 1 };
	{
		unsigned long long args[2] = { (unsigned long long)&now, (unsigned long long)&said };

		assert_int_equal(jump_decide(args), 0);
	}
	assert_true(said.leap_ns && (said.flags & KVM_TIMEWARP_IF_IDLE));
	now.idle_ns = 0;
	now.host_ns += MS;
	ask(KVM_TIMEWARP_HOST_TIME);
	assert_int_equal(leaps, 0);
}

/* A day of one that reads such a counter: no leap loses more than that bears, at no time */
static __u64 longest_of_a_day(void)
{
	__u64 far = 0, one;

	while (!arrived && now.host_ns < begun_ns + 1000 * SECOND) {
		one = wait_ns(10 * MS);
		far = one > far ? one : far;
	}
	assert_int_equal(arrived, 1);
	return far;
}

static void a_guest_that_reads_its_hpet_goes_10_s_at_once(void **state)
{
	(void)state;
	begin_for(true, DAY);
	reads_hpet = true;
	assert_in_range(longest_of_a_day(), 10 * SECOND, 10 * SECOND + MS);
	assert_int_equal(bears_ns, 10 * SECOND);
}

static void a_guest_that_reads_its_pm_timer_goes_a_second_at_once(void **state)
{
	(void)state;
	begin_for(true, DAY);
	reads_hpet = reads_pm = true;
	assert_in_range(longest_of_a_day(), SECOND, SECOND + MS);
	assert_int_equal(bears_ns, SECOND);
}

static void a_parameter_does_not_make_a_clock_bear_more(void **state)
{
	(void)state;
	begin_for(true, DAY);
	leap = 60 * SECOND;
	reads_hpet = true;
	assert_in_range(longest_of_a_day(), 10 * SECOND, 10 * SECOND + MS);
}

static void a_clock_is_known_only_of_a_guest_that_has_run(void **state)
{
	(void)state;
	begin_for(true, DAY);
	runs = false;
	assert_in_range(longest_of_a_day(), SECOND, SECOND + MS);
}

static void a_guest_that_turns_to_another_clock_is_seen_to(void **state)
{
	(void)state;
	begin_for(true, 3650 * DAY);
	reads_pm = true;
	wait_ns(300 * MS);
	assert_int_equal(wait_ns(10 * MS), SECOND);
	reads_pm = false;
	wait_ns(10 * MS);
	assert_int_equal(wait_ns(10 * MS), 60 * SECOND);
	/* the next leap is the one that nobody could know of */
	reads_hpet = true;
	wait_ns(2 * MS);
	assert_int_equal(wait_ns(10 * MS), 10 * SECOND);
}

/* Whatever passes a timer is lost to one that counts its ticks */
static void a_guest_that_ticks_while_it_idles_goes_from_tick_to_tick(void **state)
{
	__u64 before, i;

	(void)state;
	begin_for(true, 3650 * DAY);
	now.next_timer_ns = now.guest_ns + 4 * MS;
	timewarp_clocks_begin(&now);
	for (i = 0; i < 2000; i++) {
		now.host_ns += MS / 4;
		now.guest_ns += MS / 4;
		now.idle_ns += MS / 4;
		before = now.guest_ns;
		ask(KVM_TIMEWARP_IDLE);
		assert_true(now.guest_ns <= now.next_timer_ns);
		if (now.guest_ns > before)
			assert_int_equal(now.guest_ns, now.next_timer_ns);
		if (now.guest_ns == now.next_timer_ns)
			now.next_timer_ns += 4 * MS;
	}
	assert_int_equal(ticks, 1);
	assert_true(leaps > 500);
	/* and none while a vCPU of it runs */
	before = now.guest_ns;
	now.idle_ns = 0;
	assert_int_equal(wait_ns(300 * MS), 0);
	/* one that sleeps longer than a tick counts none, and firmware ticks each 55 ms */
	now.next_timer_ns = now.guest_ns + 55 * MS;
	now.idle_ns = MS;
	timewarp_clocks_look(&now, ~0ULL);
	assert_false(timewarp_tickless);
	now.state |= KVM_TIMEWARP_ONE_SHOT;
	timewarp_clocks_look(&now, ~0ULL);
	assert_true(timewarp_tickless);
	now.next_timer_ns = now.guest_ns + 4 * MS;
	assert_true(wait_ns(300 * MS) >= SECOND);
	assert_int_equal(ticks, 0);
	/* nor does one that has leapt past timers before, under any policy, whatever it does now */
	begin_for(true, 3650 * DAY);
	now.next_timer_ns = now.guest_ns + 4 * MS;
	timewarp_clocks_begin(&now);
	assert_false(timewarp_tickless);
	now.state |= KVM_TIMEWARP_PASSED_TIMERS;
	timewarp_clocks_begin(&now);
	assert_true(timewarp_tickless);
	assert_true(wait_ns(300 * MS) >= SECOND);
	assert_int_equal(ticks, 0);
}

static void whoever_says_how_far_it_may_go_knows_that_it_counts_no_ticks(void **state)
{
	(void)state;
	begin(true);
	now.next_timer_ns = now.guest_ns + 4 * MS;
	timewarp_tickless = false;
	leap = 60 * SECOND;
	assert_int_equal(wait_ns(300 * MS), 60 * SECOND);
}

/* For those who were not there to hear it */
static void notes_what_it_tells(void **state)
{
	(void)state;
	timewarp_told_step = timewarp_told_leaps = timewarp_told_other = timewarp_told_done = 0;
	timewarp_task = 3;
	timewarp_tell(&now, TIMEWARP_EVENT_LEAPS, 5000);
	timewarp_tell(&now, TIMEWARP_EVENT_LEAPS, 0);
	timewarp_tell(&now, TIMEWARP_EVENT_STEP, ~0U);
	timewarp_tell(&now, 77, 8);
	assert_int_equal(timewarp_told_leaps, 2ULL << 32);
	assert_int_equal(timewarp_told_step, 1ULL << 32 | ~0U);
	assert_int_equal(timewarp_told_other, 1ULL << 32 | 8);
	assert_int_equal(timewarp_told_done, 0);
	timewarp_tell(&now, TIMEWARP_EVENT_DONE, 8);
	assert_int_equal(timewarp_told_done, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(begins_when_no_device_can_be_at_work_any_more),
		cmocka_unit_test(leaps_at_once_when_the_guest_waits_again),
		cmocka_unit_test(no_leap_while_the_guest_has_not_had_its_turn),
		cmocka_unit_test(a_vm_that_qemu_has_stopped_is_waited_for),
		cmocka_unit_test(nothing_is_awaited_of_a_member_that_is_gone),
		cmocka_unit_test(a_jump_does_not_end_while_the_vm_is_stopped),
		cmocka_unit_test(no_leap_while_a_disk_of_100_ms_works),
		cmocka_unit_test(a_fast_disk_is_waited_for_no_longer_than_it_needs),
		cmocka_unit_test(a_guest_that_never_rests_goes_in_short_leaps),
		cmocka_unit_test(a_vmm_that_is_awake_is_waited_for),
		cmocka_unit_test(without_probes_there_is_a_pause_between_leaps),
		cmocka_unit_test(ends_where_it_was_to),
		cmocka_unit_test(counts_only_leaps_that_were_made),
		cmocka_unit_test(a_guest_that_reads_its_hpet_goes_10_s_at_once),
		cmocka_unit_test(a_guest_that_reads_its_pm_timer_goes_a_second_at_once),
		cmocka_unit_test(a_parameter_does_not_make_a_clock_bear_more),
		cmocka_unit_test(a_clock_is_known_only_of_a_guest_that_has_run),
		cmocka_unit_test(a_guest_that_turns_to_another_clock_is_seen_to),
		cmocka_unit_test(a_guest_that_ticks_while_it_idles_goes_from_tick_to_tick),
		cmocka_unit_test(whoever_says_how_far_it_may_go_knows_that_it_counts_no_ticks),
		cmocka_unit_test(notes_what_it_tells),
	};

	return RUN_TAP(tests);
}
