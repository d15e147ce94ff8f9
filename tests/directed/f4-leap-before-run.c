// SPDX-License-Identifier: GPL-2.0
/*
 * F4: a guest that begins to run while a policy attaches sees no leap longer than half an hour. Before it has
 * run it may begin years on; whether it has is asked where no vCPU can enter it.
 *
 * Before (009ca42~1): of 60 guests 49 began to run meanwhile, and had all their clocks leap by ten years.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "polbpf.h"
#include "tinyvm.h"

#define ROUNDS 60
#define YEARS_NS (10 * 365 * 86400 * 1000000000ULL)
#define MAX_LEAP_S 1800
#define AFTER_GUEST 3		/* TIMEWARP_AFTER_GUEST */

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* What came of a round */
enum { REFUSED, WHOLE, CAPPED, BROKEN, OUTCOMES };

/* Its vCPU enters the guest some time after the attach has begun, or not before it is over */
static int one(bool meanwhile, unsigned int *seed, uint64_t *at_cycles, double *worst_s)
{
	static struct tiny vm;
	volatile uint64_t *at;
	struct guest_area *a;
	uint64_t seen;
	double leap_s, begun;
	struct pol p;
	int r, what;
	long khz;

	tiny_create(&vm, 1, 0, NULL);
	tiny_set_kvmclock(&vm, 0);
	khz = ioctl(vm.vcpu[0].fd, KVM_GET_TSC_KHZ, 0);
	r = pol_open(&p, "build/bpf/start.bpf.o");
	at = pol_u64(&p, "at");
	at[0] = YEARS_NS;
	at[1] = AFTER_GUEST;
	if (!r)
		r = pol_load(&p, vm.fd, POL_AUTO);
	if (r)
		bail("the policy does not load: %s", strerror(-r));
	/* Its thread is born where it may run */
	pin(1);
	vm.vcpu[0].start_at = ~0ULL;
	tiny_start(&vm, 0, guest_ahead, 0);
	pin(0);
	a = tiny_area(&vm, 0);
	if (meanwhile)
		vm.vcpu[0].start_at = rdtsc_host() + *at_cycles * (700 + rand_r(seed) % 600) / 1000;
	r = pol_attach(&p);
	if (r && r != -ERANGE)
		bail("the policy does not attach: %s", strerror(-r));
	vm.vcpu[0].start_at = 0;
	/* It stands until then */
	pol_close(&p);
	seen = a->progress;
	for (begun = now(); a->progress < seen + 100 && now() - begun < 5; )
		sleep_ms(1);
	if (a->progress < seen + 100)
		bail("the guest does not run");
	tiny_stop(&vm, 0);
	leap_s = a->worst / 1000.0 / khz;
	if (leap_s > *worst_s)
		*worst_s = leap_s;
	if (leap_s > MAX_LEAP_S + 1)
		what = BROKEN;
	else if (r)
		what = REFUSED;
	else if (a->count / 1000 / khz > 365 * 86400)
		what = WHOLE;
	else
		what = CAPPED;
	/* Whoever came too early waits longer the next time */
	if (meanwhile && what == REFUSED)
		*at_cycles += *at_cycles / 10;
	else if (meanwhile && what == WHOLE)
		*at_cycles -= *at_cycles / 10;
	tiny_destroy(&vm);
	return what;
}

int main(void)
{
	unsigned int n[OUTCOMES] = { 0 }, seed = 1;
	uint64_t at_cycles = 10000000;
	double worst_s = 0;

	ok(one(false, &seed, &at_cycles, &worst_s) == WHOLE, "a guest that has not run begins years on");
	worst_s = 0;
	for (int i = 0; i < ROUNDS; i++)
		n[one(true, &seed, &at_cycles, &worst_s)]++;
	note("of %d guests %u had run and the policy was refused, %u had not and began years on, %u began meanwhile",
	     ROUNDS, n[REFUSED], n[WHOLE], n[CAPPED] + n[BROKEN]);
	ok(n[CAPPED] + n[BROKEN] > 0, "guests begin to run meanwhile");
	ok(!n[BROKEN], "of those that began meanwhile %u have seen a leap of more than half an hour, at the worst of %.0f s",
	   n[BROKEN], worst_s);
	return tap_end();
}
