// SPDX-License-Identifier: GPL-2.0
/*
 * A1: a TSC deadline as far away as there is, at a TSC frequency below 1 GHz, must not fault the host.
 * /dev/kvm is all that is needed: nobody attaches.
 *
 * Before (bfb642f): "divide error: 0000" in tsc_cycles_to_ns, the host is gone.
 */
#include <sys/ioctl.h>
#include "tinyvm.h"

static const uint64_t khz[] = { 1, 999, 999999, 400000, 0 };
static const uint64_t far[] = { ~0ULL, 1ULL << 63, (1ULL << 63) - 1, 1ULL << 44 };

int main(void)
{
	struct tiny vm;

	for (unsigned int i = 0; i < sizeof(khz) / sizeof(khz[0]); i++) {
		long before, after;
		int refused;

		tiny_create(&vm, 1, 0, NULL);
		tiny_deadline_mode(&vm, 0);
		before = ioctl(vm.vcpu[0].fd, KVM_GET_TSC_KHZ, 0);
		refused = khz[i] ? ioctl(vm.vcpu[0].fd, KVM_SET_TSC_KHZ, khz[i]) : 0;
		for (unsigned int j = 0; j < sizeof(far) / sizeof(far[0]); j++) {
			tiny_set_msr(&vm, 0, MSR_TSC_DEADLINE, far[j]);
			if (tiny_get_msr(&vm, 0, MSR_TSC_DEADLINE) != far[j])
				ok(false, "a deadline of 0x%llx is kept", (unsigned long long)far[j]);
		}
		tiny_set_msr(&vm, 0, MSR_TSC_DEADLINE, 0);
		after = ioctl(vm.vcpu[0].fd, KVM_GET_TSC_KHZ, 0);
		ok(true, "KVM_SET_TSC_KHZ(%llu): far deadlines are armed and the host lives", (unsigned long long)khz[i]);
		/* As in mainline, which keeps the rate that it refused */
		if (refused && before != after)
			note("a refused KVM_SET_TSC_KHZ has changed the rate from %ld to %ld kHz", before, after);
		tiny_destroy(&vm);
	}
	return tap_end();
}
