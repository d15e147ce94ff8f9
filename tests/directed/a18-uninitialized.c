// SPDX-License-Identifier: GPL-2.0
/*
 * A18: changes of the timeline do not make KVM_RUN return, of a vCPU that waits to be started neither.
 *
 * Before (bfb642f): it returns 464 times at 464 changes, of the one that waits.
 */
#include <string.h>
#include <unistd.h>
#include "polbpf.h"
#include "tinyvm.h"

int main(void)
{
	static struct tiny vm;
	uint64_t before, changes;
	struct pol p;
	int r;

	tiny_create(&vm, 3, TINY_WAIT_SIPI, NULL);
	for (int i = 0; i < 3; i++)
		tiny_start(&vm, i, i ? guest_spin : guest_halt, 0);
	tiny_stop(&vm, 2);
	tiny_start(&vm, 2, guest_spin, 0);
	r = pol_open(&p, "build/tests/policies/random.bpf.o");
	*pol_u64(&p, "changes") = 1000000;
	*pol_u64(&p, "longest") = 1000000;
	if (!r)
		r = pol_load(&p, vm.fd, POL_AUTO);
	if (!r)
		r = pol_attach(&p);
	if (r)
		bail("the policy does not attach: %s", strerror(-r));
	before = vm.vcpu[1].returns + vm.vcpu[0].returns;
	changes = state_num(getpid(), vm.fd, "changes");
	sleep_ms(500);
	changes = state_num(getpid(), vm.fd, "changes") - changes;
	ok(changes > 50, "the factor changes (%llu times)", (unsigned long long)changes);
	ok(vm.vcpu[0].returns + vm.vcpu[1].returns == before,
	   "KVM_RUN does not return, of the halted vCPU nor of the one that waits for INIT (%llu times)",
	   (unsigned long long)(vm.vcpu[0].returns + vm.vcpu[1].returns - before));
	pol_close(&p);
	tiny_destroy(&vm);
	return tap_end();
}
