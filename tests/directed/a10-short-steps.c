// SPDX-License-Identifier: GPL-2.0
/*
 * A10: where a stop follows a change by some 100 us, no vCPU passes it for long, and no clock goes back. A stop
 * can be past by the time that the answer is in force, so those that are passed are told only. No knob widens the window, so this
 * finds it by chance, and sooner on a host whose CPUs run at once (--realtime --smp 4).
 *
 * Before (bfb642f): not hit without a wider window.
 */
#include <string.h>
#include <unistd.h>
#include "polbpf.h"
#include "tinyvm.h"

int main(void)
{
	int vcpus = sysconf(_SC_NPROCESSORS_ONLN);
	static struct tiny vm;
	uint64_t back = 0, worst = 0, reads = 0;
	struct pol p;
	int r;

	tiny_create(&vm, vcpus, 0, NULL);
	for (int i = 0; i < vcpus; i++) {
		tiny_set_kvmclock(&vm, i);
		tiny_start(&vm, i, guest_read, 0);
	}
	r = pol_open(&p, "build/tests/directed/stops.bpf.o");
	*pol_u64(&p, "period") = 100000;
	if (!r)
		r = pol_load(&p, vm.fd, POL_AUTO);
	if (!r)
		r = pol_attach(&p);
	if (r)
		bail("the policy does not attach: %s", strerror(-r));
	for (int i = 0; i < 200 && *pol_u64(&p, "stops") < 1000; i++)
		sleep_ms(50);
	note("%llu stops, %llu passed, by %llu ns at the worst", (unsigned long long)*pol_u64(&p, "stops"),
	     (unsigned long long)*pol_u64(&p, "missed"), (unsigned long long)*pol_u64(&p, "missed_ns"));
	ok(*pol_u64(&p, "stops") >= 200, "guest time stops again and again");
	pol_close(&p);
	for (int i = 0; i < vcpus; i++) {
		back += tiny_area(&vm, i)->back;
		reads += tiny_area(&vm, i)->progress;
		worst = tiny_area(&vm, i)->worst > worst ? tiny_area(&vm, i)->worst : worst;
	}
	ok(!back && reads > 1000, "the TSC goes back on no vCPU, nor between them (%llu times in %llu, by %llu ticks)",
	   (unsigned long long)back, (unsigned long long)reads, (unsigned long long)worst);
	tiny_destroy(&vm);
	return tap_end();
}
