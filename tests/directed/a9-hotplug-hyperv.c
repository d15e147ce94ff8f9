// SPDX-License-Identifier: GPL-2.0
/*
 * A9: vCPUs with Hyper-V's CPUID can be plugged while a policy looks for the next timer each millisecond.
 *
 * Before (bfb642f): not hit, in 375 decisions: the window is some 0.3 us of each KVM_SET_CPUID2.
 */
#include <string.h>
#include <unistd.h>
#include "polbpf.h"
#include "tinyvm.h"

#define ROUNDS 400

int main(void)
{
	static struct tiny vm;
	uint64_t decisions = 0;
	struct pol p;
	int r;

	for (int i = 0; i < ROUNDS; i++) {
		tiny_create(&vm, 1, TINY_HYPERV, NULL);
		r = pol_start(&p, "build/tests/policies/random.bpf.o", vm.fd, POL_AUTO);
		if (r)
			bail("the policy does not attach: %s", strerror(-r));
		*pol_u64(&p, "changes") = 1000000;
		*pol_u64(&p, "longest") = 1000000;
		pol_kick(state_num(getpid(), vm.fd, "id"));
		while (vm.nr < TINY_MAX_VCPUS)
			tiny_add_vcpu(&vm);
		decisions += state_num(getpid(), vm.fd, "decisions");
		pol_close(&p);
		tiny_destroy(&vm);
	}
	ok(decisions > ROUNDS, "%d vCPUs are plugged under %llu decisions and the host lives",
	   ROUNDS * (TINY_MAX_VCPUS - 1), (unsigned long long)decisions);
	return tap_end();
}
