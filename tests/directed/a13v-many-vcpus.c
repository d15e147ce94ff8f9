// SPDX-License-Identifier: GPL-2.0
/*
 * A13: a vCPU more costs no more at 64 than it does at 8, each time that they are held and let go; nor at 16 than at 4,
 * where all of them are in the guest, or want to be.
 *
 * Before (bfb642f): holds: 1.8 us a vCPU at 8, 1.6 us at 64 (the test host's instructions).
 */
#include <string.h>
#include <unistd.h>
#include "polbpf.h"
#include "tinyvm.h"

/* ns for which a change holds the vCPUs, the least of many */
static uint64_t held(unsigned int vcpus, guest_fn *fn)
{
	static struct tiny vm;
	uint64_t least = ~0ULL, ns;
	struct pol p;
	int r;

	tiny_create(&vm, vcpus, 0, NULL);
	for (unsigned int i = 0; i < vcpus; i++) {
		tiny_set_kvmclock(&vm, i);
		tiny_start(&vm, i, fn, 0);
	}
	r = pol_open(&p, "build/tests/policies/random.bpf.o");
	*pol_u64(&p, "changes") = 1000000;
	*pol_u64(&p, "shortest") = *pol_u64(&p, "longest") = 20000000;
	if (!r)
		r = pol_load(&p, vm.fd, POL_OFFSET);
	if (!r)
		r = pol_attach(&p);
	if (!ok(!r, "%u vCPUs: a policy attaches", vcpus))
		bail("%s", strerror(-r));
	for (int i = 0; i < 60; i++) {
		sleep_ms(17);
		ns = state_num(getpid(), vm.fd, "held_last_ns");
		if (ns && ns < least)
			least = ns;
	}
	ok(state_num(getpid(), vm.fd, "changes") > 10, "%u vCPUs: the factor changes (%llu times), held for %.1f us at the least",
	   vcpus, (unsigned long long)state_num(getpid(), vm.fd, "changes"), least / 1e3);
	pol_close(&p);
	tiny_destroy(&vm);
	return least;
}

int main(void)
{
	uint64_t at8 = held(8, guest_halt), at64 = held(64, guest_halt);
	uint64_t at4 = held(4, guest_spin), at16 = held(16, guest_spin);

	ok(at64 / 64 <= at8 / 8 * 3 / 2, "a vCPU costs no more at 64 (%.2f us) than 1.5 times what it does at 8 (%.2f us)",
	   at64 / 64e3, at8 / 8e3);
	ok(at16 / 16 <= at4 / 4 * 3 / 2, "... nor at 16 that run (%.2f us) than at 4 (%.2f us)", at16 / 16e3, at4 / 4e3);
	return tap_end();
}
