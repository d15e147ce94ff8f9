// SPDX-License-Identifier: GPL-2.0
/*
 * Groups, compiled for this machine: several copies of a policy's program that share struct timewarp_group,
 * each called for a VM of its own by a model of the kernel, which is late at random. No two VMs that run are
 * ever at different times, whatever the policy wants and whoever dies.
 */
#include "timewarp.bpf.h"

#include <stdbool.h>
#include <stdlib.h>

#include "tap.h"

#define US 1000ULL
#define MS 1000000ULL
#define SECOND 1000000000ULL
#define NEVER (~0ULL)
#define MOST 5

__u64 tw_unit_now_ns;
unsigned long tw_unit_told;

static struct vm {
	bool attached;
	/* the segment: guest time is ns at tsc, goes on from there, and ends at stop */
	__u64 tsc, ns, num, den, stop;
	bool frozen;
	__u64 called, next_host, next_guest, asked, idle_since;
	__u64 next_idle;
	bool idle_told, stop_told;
	__u64 latest;			/* guest time that it has shown */
	unsigned int changes, leaps, bad;
	bool passed_timers;
} vm[MOST];

static __u64 now;
static int nr;
static bool late;			/* the host is, often */

/* ---- a policy that wants anything */

static struct {
	unsigned int asked, events[9];
	int want;			/* what to do: enum */
	int error;
	__u64 leap_to;
	bool past_timers;
	__u32 state;			/* what it was told last */
} policy;

enum { NOTHING, RATES, HOLDS, STOPS, LEAPS, IDLES, ONE };

TIMEWARP_SUMMARY("a test's");

static __u64 rnd(__u64 n)
{
	return ((__u64)rand() << 31 ^ rand()) % n;
}

static void new_factor(struct kvm_timewarp_answer *answer)
{
	static const struct timewarp_factor factors[] = {
		{ 1, 10 }, { 1, 1 }, { 2, 1 }, { 50, 1 }, { 1000, 3 }, { 10000, 1 }, { 1, 10000 },
	};
	size_t i = rnd(sizeof(factors) / sizeof(*factors));

	answer->factor_num = factors[i].num;
	answer->factor_den = factors[i].den;
}

TIMEWARP_DECIDE(test_decide, view, answer)
{
	policy.asked++;
	policy.events[view->event]++;
	policy.state = view->state;
	if (policy.error)
		return policy.error;
	switch (policy.want) {
	case RATES:
		new_factor(answer);
		answer->next_host_ns = view->host_ns + MS + rnd(20 * MS);
		break;
	case HOLDS:
		new_factor(answer);
		answer->flags = rnd(2) ? KVM_TIMEWARP_HOLD : 0;
		answer->next_host_ns = view->host_ns + MS + rnd(20 * MS);
		break;
	case STOPS:
		answer->factor_num = 1 + rnd(50);
		answer->factor_den = 1;
		if (view->state & KVM_TIMEWARP_HELD && rnd(2)) {
			answer->flags = KVM_TIMEWARP_HOLD;
			answer->next_host_ns = view->host_ns + MS;
		} else {
			answer->next_guest_ns = view->guest_ns + 1 + rnd(50 * MS);
			answer->flags = KVM_TIMEWARP_HOLD_NEXT;
		}
		break;
	case LEAPS:
		answer->leap_ns = view->guest_ns + rnd(600 * SECOND);
		answer->next_host_ns = view->host_ns + 5 * MS;
		break;
	case IDLES:
		answer->next_idle_ns = 5 * MS;
		if (view->event == KVM_TIMEWARP_IDLE) {
			answer->leap_ns = view->guest_ns + 100 * SECOND;
			answer->flags = KVM_TIMEWARP_IF_IDLE | (policy.past_timers ? KVM_TIMEWARP_PAST_TIMERS : 0);
		}
		break;
	case ONE:
		answer->factor_num = answer->factor_den = 1;
		break;
	}
	return 0;
}

/* ---- the kernel */

__u64 kvm_timewarp_mul_div(__u64 a, __u64 b, __u64 c)
{
	unsigned __int128 q = c ? (unsigned __int128)a * b / c : 0;

	return !c || q > ~0ULL ? ~0ULL : (__u64)q;
}

__u64 kvm_timewarp_host_tsc(void)
{
	return now;
}

__u32 bpf_get_prandom_u32(void)
{
	return rand();
}

static __u64 lateness(void)
{
	return late && !rnd(4) ? rnd(6 * MS) : rnd(150 * US);
}

int kvm_timewarp_ask(__u32 id)
{
	struct vm *v = &vm[id - 1];
	__u64 at = (now > v->called + MS ? now : v->called + MS) + lateness();

	if (!v->attached)
		return -2;
	/* one that is asked while it answers does not hear it */
	if (late && !rnd(10))
		return 0;
	if (v->asked > at)
		v->asked = at;
	return 0;
}

static __u64 guest_at(const struct vm *v, __u64 t)
{
	__u64 ns = v->ns;

	if (!v->frozen && t > v->tsc)
		ns += kvm_timewarp_mul_div(t - v->tsc, v->num, v->den);
	return v->stop && ns > v->stop ? v->stop : ns;
}

static bool runs(const struct vm *v, __u64 t)
{
	return v->attached && !v->frozen && t >= v->tsc && !(v->stop && guest_at(v, t) >= v->stop);
}

static bool held(const struct vm *v)
{
	return v->frozen || now < v->tsc || (v->stop && guest_at(v, now) >= v->stop);
}

/* All that run are at one time of the group's: whatever the moment, and whatever is under way */
static void check(void)
{
	__s64 at = 0;
	bool any = false;
	int i;

	for (i = 0; i < nr; i++) {
		struct vm *v = &vm[i];
		__u64 ns = guest_at(v, now);

		if (!v->attached)
			continue;
		assert_true(ns >= v->latest);
		v->latest = ns;
		if (!runs(v, now))
			continue;
		ns -= timewarp_group.member[i].shift_ns;
		/* a segment that begins anew is rounded to the ns below */
		if (any)
			assert_true((__s64)ns - at <= 2 && (__s64)ns - at >= -2);
		at = ns;
		any = true;
	}
}

static void change(struct vm *v, const struct kvm_timewarp_answer *a, __u64 t)
{
	__u64 ns = guest_at(v, t);
	bool hold = a->flags & KVM_TIMEWARP_HOLD;
	__u64 stop = !hold && a->flags & KVM_TIMEWARP_HOLD_NEXT ? a->next_guest_ns : 0;

	/* waiting for the start is standing, to whoever does not say again that it is to start */
	if (!a->leap_ns && !stop && !v->stop && hold == v->frozen && a->factor_num == v->num &&
	    a->factor_den == v->den && (!a->start_tsc ? t >= v->tsc : a->start_tsc == v->tsc))
		return;
	v->changes++;
	v->stop_told = false;
	/* the anchor stays where it was */
	if (stop > ns && !v->stop && !v->frozen && t >= v->tsc && !a->leap_ns && !a->start_tsc &&
	    a->factor_num == v->num && a->factor_den == v->den) {
		v->stop = stop;
		return;
	}
	v->leaps += a->leap_ns > ns;
	v->passed_timers |= a->leap_ns > ns && a->flags & KVM_TIMEWARP_PAST_TIMERS;
	ns = a->leap_ns > ns ? a->leap_ns : ns;
	v->frozen = hold;
	v->num = a->factor_num;
	v->den = a->factor_den;
	v->ns = ns;
	v->tsc = t;
	v->stop = 0;
	if (a->start_tsc && !hold) {
		assert_true(a->start_tsc < t || a->start_tsc - t <= SECOND);
		v->tsc = a->start_tsc;
	}
	/* it is there already: where it is */
	v->stop = stop;
	if (stop && ns >= stop) {
		v->stop = 0;
		v->frozen = true;
	}
}

static int call(int i, __u32 event)
{
	struct vm *v = &vm[i];
	struct kvm_timewarp_view view = { .event = event, .id = i + 1, .nr_vcpus = 1, .host_tsc = now,
		.host_ns = now, .guest_ns = guest_at(v, now), .factor_num = v->num, .factor_den = v->den,
		.state = (held(v) ? KVM_TIMEWARP_HELD : 0) | (v->passed_timers ? KVM_TIMEWARP_PASSED_TIMERS : 0),
		.next_timer_ns = NEVER,
		.idle_ns = v->idle_since ? now - v->idle_since : 0 };
	struct kvm_timewarp_answer answer = { .factor_num = v->num, .factor_den = v->den };
	unsigned long long args[2] = { (unsigned long long)&view, (unsigned long long)&answer };
	int r;

	if (policy.leap_to)
		view.next_timer_ns = policy.leap_to + timewarp_group.member[i].shift_ns;
	check();
	v->called = now;
	v->asked = NEVER;
	timewarp_member = i + 1;
	r = test_decide(args);
	timewarp_member = 0;
	if (r)
		return r;
	if (!answer.factor_num) {
		v->bad++;
		answer.factor_num = v->num;
	}
	assert_true(!answer.next_host_ns || answer.next_host_ns > now);
	assert_true(!answer.next_guest_ns || answer.next_guest_ns > view.guest_ns);
	assert_true(!(answer.flags & KVM_TIMEWARP_HOLD) || !answer.start_tsc);
	/* the change takes a while */
	now += rnd(20 * US);
	check();
	change(v, &answer, now);
	check();
	v->next_host = answer.next_host_ns ? answer.next_host_ns + lateness() : NEVER;
	v->next_guest = answer.next_guest_ns && !v->stop ? answer.next_guest_ns : 0;
	v->next_idle = answer.next_idle_ns;
	return 0;
}

/* When a VM's program is to be called next, and as what */
static __u64 due(struct vm *v, __u32 *event)
{
	__u64 at = v->asked, d;

	*event = KVM_TIMEWARP_ASKED;
	if (v->next_host < at) {
		at = v->next_host;
		*event = KVM_TIMEWARP_HOST_TIME;
	}
	if ((v->next_guest || (v->stop && !v->stop_told)) && !v->frozen) {
		d = v->tsc + kvm_timewarp_mul_div((v->stop ? v->stop : v->next_guest) - v->ns, v->den,
						  v->num) + 1;
		if (d < at) {
			at = d;
			*event = KVM_TIMEWARP_GUEST_TIME;
		}
	}
	if (v->frozen && !v->stop_told && timewarp_group.plan.phase == TIMEWARP_STOPS && v->called + MS < at) {
		at = v->called + MS;
		*event = KVM_TIMEWARP_GUEST_TIME;
	}
	if (v->next_idle && v->idle_since && !v->idle_told && v->idle_since + v->next_idle < at) {
		at = v->idle_since + v->next_idle;
		*event = KVM_TIMEWARP_IDLE;
	}
	return at < v->called + MS ? v->called + MS : at;
}

static void run(__u64 span)
{
	__u64 end = now + span;

	while (now < end) {
		__u64 at, first = end;
		__u32 event, which = 0;
		int i, n = -1;

		for (i = 0; i < nr; i++) {
			if (!vm[i].attached)
				continue;
			at = due(&vm[i], &event);
			if (at < first) {
				first = at;
				which = event;
				n = i;
			}
		}
		/* and at moments between, too */
		if (first > now + 100 * US)
			now += rnd(first - now), check();
		now = first > now ? first : now;
		if (n < 0)
			break;
		if (which == KVM_TIMEWARP_GUEST_TIME)
			vm[n].stop_told = true;
		if (which == KVM_TIMEWARP_IDLE)
			vm[n].idle_told = true;
		call(n, which);
	}
}

static void die(int i)
{
	vm[i].attached = false;
	timewarp_member = i + 1;
	__timewarp_leave();
	timewarp_member = 0;
}

/* What user space does, until it is heard */
static void urge(void)
{
	vm[0].asked = vm[0].called + MS > now ? vm[0].called + MS : now;
}

static bool settled(void)
{
	return __timewarp_settled();
}

static void attach_all(int n, int want)
{
	int i;

	memset(vm, 0, sizeof(vm));
	memset((void *)&timewarp_group, 0, sizeof(timewarp_group));
	memset(&policy, 0, sizeof(policy));
	policy.want = want;
	timewarp_group.plan.num = timewarp_group.plan.den = 1;
	nr = n;
	now = 1000 * SECOND + rnd(SECOND);
	for (i = 0; i < n; i++) {
		now += rnd(30 * MS);
		vm[i] = (struct vm){ .attached = true, .num = 1, .den = 1, .tsc = now, .asked = NEVER,
				     .next_host = NEVER, .ns = now + rnd(10000 * SECOND) };
		timewarp_group.member[i].shift_ns = vm[i].ns - vm[i].tsc - (vm[0].ns - vm[0].tsc);
		assert_int_equal(call(i, KVM_TIMEWARP_ATTACH), 0);
	}
	now += 2 * MS;
	assert_int_equal(policy.asked, 1);
	assert_int_equal(vm[0].changes, 0);
	timewarp_group.ready = 1;
	urge();
}

/* ---- tests */

static void wants_anything(void **state)
{
	int n, want, i;

	(void)state;
	for (i = 0; i < 2; i++)
		for (n = 2; n <= MOST; n++)
			for (want = RATES; want <= LEAPS; want++) {
				late = i;
				attach_all(n, want);
				run(3 * SECOND);
				assert_true(policy.asked > 80);
				assert_true(vm[0].changes > 60 && vm[n - 1].changes > 60);
			}
}

/* A rate that stays: all are on its line for good, and nothing goes on behind the scenes */
static void comes_to_rest(void **state)
{
	unsigned int changes;

	(void)state;
	for (late = 0; late < 1; late++) {
		attach_all(3, RATES);
		run(SECOND);
		policy.want = NOTHING;
		run(SECOND);
		assert_true(settled());
		changes = vm[2].changes;
		run(10 * SECOND);
		assert_int_equal(vm[2].changes, changes);
		assert_true(runs(&vm[0], now) && runs(&vm[1], now) && runs(&vm[2], now));
	}
}

static void members_die(void **state)
{
	int want, round;
	unsigned int asked, changes;

	(void)state;
	for (round = 0; round < 40; round++)
		for (want = RATES; want <= LEAPS; want++) {
			late = round & 1;
			attach_all(4, want);
			/* in the middle of anything */
			run(50 * MS + rnd(20 * MS));
			die(rnd(2) ? 0 : 2);
			run(SECOND);
			die(1);
			run(30 * MS + rnd(20 * MS));
			asked = policy.asked;
			changes = vm[3].changes;
			run(SECOND);
			assert_true(policy.asked > asked + 20 && vm[3].changes > changes + 20);
		}
}

/* "detach": all are at factor 1, on one line, and nobody is asked */
static void quits(void **state)
{
	int want, i;
	unsigned int asked;

	(void)state;
	late = true;
	for (want = RATES; want <= LEAPS; want++) {
		attach_all(3, want);
		run(SECOND);
		timewarp_group.quits = 1;
		urge();
		run(200 * MS);
		asked = policy.asked;
		run(SECOND);
		assert_true(settled());
		assert_int_equal(policy.asked, asked);
		for (i = 0; i < 3; i++)
			assert_true(runs(&vm[i], now) && vm[i].num == vm[i].den);
	}
}

static void skips_if_all_idle(void **state)
{
	unsigned int leaps;
	int i;

	(void)state;
	late = false;
	attach_all(3, IDLES);
	run(100 * MS);
	vm[0].idle_since = vm[1].idle_since = now;
	run(SECOND);
	assert_int_equal(vm[0].leaps, 0);	/* one is busy */
	assert_int_equal(policy.events[KVM_TIMEWARP_IDLE], 0);
	vm[2].idle_since = now;
	policy.leap_to = timewarp_group.member[0].stood_ns + 50 * SECOND;
	run(SECOND);
	leaps = vm[0].leaps;
	assert_true(leaps >= 1 && vm[1].leaps == leaps && vm[2].leaps == leaps);
	assert_true(policy.events[KVM_TIMEWARP_IDLE] >= 1);
	assert_true(settled());
	assert_false(vm[0].passed_timers || vm[1].passed_timers || vm[2].passed_timers);
	/* the kernel hears of each, where they leap from a stand, that it bears a leap past its timers */
	vm[0].idle_told = vm[1].idle_told = vm[2].idle_told = false;
	policy.past_timers = true;
	policy.leap_to = timewarp_group.member[0].stood_ns + 50 * SECOND;
	run(SECOND);
	assert_true(vm[0].passed_timers && vm[1].passed_timers && vm[2].passed_timers);
	/* and one that wakes up before they all stand holds the leap */
	vm[0].idle_told = vm[1].idle_told = vm[2].idle_told = false;
	policy.leap_to = timewarp_group.member[0].stood_ns + 50 * SECOND;
	leaps = vm[0].leaps;
	kvm_timewarp_ask(1);
	for (i = 0; i < 100000 && timewarp_group.plan.phase != TIMEWARP_STOPS; i++)
		run(10 * US);
	assert_int_equal(timewarp_group.plan.phase, TIMEWARP_STOPS);
	vm[1].idle_since = 0;
	run(SECOND);
	assert_true(settled());
	assert_true(vm[0].leaps == leaps && vm[1].leaps == leaps && vm[2].leaps == leaps);
}

/* A member that has never leapt past its timers may count its ticks: then the group does */
static void counts_ticks_if_one_may(void **state)
{
	int i;

	(void)state;
	late = false;
	attach_all(3, RATES);
	vm[0].passed_timers = vm[1].passed_timers = true;
	run(SECOND);
	assert_false(policy.state & KVM_TIMEWARP_PASSED_TIMERS);
	vm[2].passed_timers = true;
	run(SECOND);
	assert_true(policy.state & KVM_TIMEWARP_PASSED_TIMERS);
	for (i = 0; i < 3; i++)
		vm[i].passed_timers = false;
}

static void refusals(void **state)
{
	(void)state;
	late = false;
	attach_all(2, ONE);
	run(100 * MS);
	policy.error = -34;
	assert_int_equal(call(0, KVM_TIMEWARP_PARAMS), -34);
	policy.error = 0;
	policy.want = RATES;
	assert_int_equal(call(1, KVM_TIMEWARP_PARAMS), -EAGAIN);
	now += 2 * MS;
	assert_int_equal(call(0, KVM_TIMEWARP_PARAMS), 0);
	run(100 * MS);
	assert_true(vm[1].changes > 2);
	/* the first one's refusal is known before anything is had */
	nr = 1;
	vm[0].latest = 0;
	memset((void *)&timewarp_group, 0, sizeof(timewarp_group));
	policy.error = -34;
	assert_int_equal(call(0, KVM_TIMEWARP_ATTACH), -34);
	assert_int_equal(timewarp_group.member[0].state, TIMEWARP_ABSENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wants_anything),
		cmocka_unit_test(comes_to_rest),
		cmocka_unit_test(members_die),
		cmocka_unit_test(quits),
		cmocka_unit_test(skips_if_all_idle),
		cmocka_unit_test(counts_ticks_if_one_may),
		cmocka_unit_test(refusals),
	};

	return RUN_TAP(tests);
}
