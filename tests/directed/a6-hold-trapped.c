// SPDX-License-Identifier: GPL-2.0
/*
 * A6: in trapped mode, at factors at which reads really trap, guest time that stops at a moment shows
 * no vCPU anything beyond it, and no clock goes back when it goes on; and while it stands the TSC
 * that a VMM saves stands too, and what it sets it gets back.
 *
 * Before (bfb642f): at 2 the TSC goes back 57106 times by up to 7.2e6 ticks, at 100 804756 times by up to 3.7e8; while
 * held, 50 ms add 1.0e8 and 5.0e9 ticks to KVM_GET_MSRS; a TSC set comes back 1.8e8 and 9.8e9 ticks off.
 */
#include <string.h>
#include <unistd.h>
#include "polbpf.h"
#include "tinyvm.h"

#define VCPUS 2

static void reads_across_stops(unsigned int factor)
{
	static struct tiny vm;
	uint64_t back = 0, worst = 0, reads = 0;
	struct pol p;
	int r;

	tiny_create(&vm, VCPUS, 0, NULL);
	for (int i = 0; i < VCPUS; i++) {
		tiny_set_kvmclock(&vm, i);
		tiny_start(&vm, i, guest_read, 0);
	}
	r = pol_open(&p, "build/tests/directed/stops.bpf.o");
	*pol_u64(&p, "factor") = factor;
	*pol_u64(&p, "period") = 2000000ULL * factor;
	if (!r)
		r = pol_load(&p, vm.fd, POL_TRAPPED);
	if (!r)
		r = pol_attach(&p);
	if (r)
		bail("the policy does not attach: %s", strerror(-r));
	for (int i = 0; i < 100 && *pol_u64(&p, "stops") < 120; i++)
		sleep_ms(50);
	note("factor %u: %llu stops, %llu passed, by %llu ns at the worst", factor,
	     (unsigned long long)*pol_u64(&p, "stops"), (unsigned long long)*pol_u64(&p, "missed"),
	     (unsigned long long)*pol_u64(&p, "missed_ns"));
	ok(*pol_u64(&p, "stops") >= 100, "factor %u: guest time stops again and again", factor);
	/* A stop is passed where the answer itself came that late. */
	ok(*pol_u64(&p, "missed") <= *pol_u64(&p, "stops") / 20, "factor %u: it stands at the nanosecond asked for", factor);
	pol_close(&p);
	for (int i = 0; i < VCPUS; i++) {
		struct guest_area *a = tiny_area(&vm, i);

		back += a->back;
		reads += a->progress;
		worst = a->worst > worst ? a->worst : worst;
	}
	ok(!back && reads > 1000, "factor %u: the TSC goes back on no vCPU, nor between them (%llu times in %llu, by %llu ticks)",
	   factor, (unsigned long long)back, (unsigned long long)reads, (unsigned long long)worst);
	tiny_destroy(&vm);
}

static void msrs_while_held(unsigned int factor)
{
	static struct tiny vm;
	uint64_t t1, t2, c1, c2, set = 123456789012345ULL;
	struct kvm_clock_data clock = { 0 };
	struct pol p;
	int r;

	tiny_create(&vm, 1, 0, NULL);
	tiny_set_kvmclock(&vm, 0);
	tiny_start(&vm, 0, guest_read, 0);
	r = pol_open(&p, "build/tests/directed/stops.bpf.o");
	*pol_u64(&p, "factor") = factor;
	*pol_u64(&p, "period") = 1000000ULL * factor;
	*pol_u64(&p, "held") = 3600000000000ULL;
	if (!r)
		r = pol_load(&p, vm.fd, POL_TRAPPED);
	if (!r)
		r = pol_attach(&p);
	if (r)
		bail("the policy does not attach: %s", strerror(-r));
	ok(state_becomes(getpid(), vm.fd, "held", "1", 5), "factor %u: guest time stands", factor);
	sleep_ms(20);
	tiny_stop(&vm, 0);
	t1 = tiny_get_msr(&vm, 0, MSR_TSC);
	IOCTL(vm.fd, KVM_GET_CLOCK, &clock);
	c1 = clock.clock;
	sleep_ms(50);
	t2 = tiny_get_msr(&vm, 0, MSR_TSC);
	IOCTL(vm.fd, KVM_GET_CLOCK, &clock);
	c2 = clock.clock;
	ok(c1 == c2, "factor %u: KVM_GET_CLOCK stands (%llu ns in 50 ms)", factor, (unsigned long long)(c2 - c1));
	ok(t1 == t2, "factor %u: KVM_GET_MSRS of the TSC stands (%llu ticks in 50 ms)", factor, (unsigned long long)(t2 - t1));
	ok(t1 == state_num(getpid(), vm.fd, "guest_tsc") || t1 != t2, "factor %u: it is what the state file says", factor);
	ok(tiny_area(&vm, 0)->tsc <= t1, "factor %u: the guest has read nothing beyond it", factor);
	tiny_set_msr(&vm, 0, MSR_TSC, set);
	sleep_ms(20);
	t1 = tiny_get_msr(&vm, 0, MSR_TSC);
	ok(t1 == set, "factor %u: a TSC that is set while time stands is given back (%lld ticks off)", factor, (long long)(t1 - set));
	pol_close(&p);
	tiny_destroy(&vm);
}

int main(void)
{
	reads_across_stops(2);
	reads_across_stops(100);
	msrs_while_held(2);
	msrs_while_held(100);
	return tap_end();
}
