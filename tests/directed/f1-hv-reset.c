// SPDX-License-Identifier: GPL-2.0
/*
 * F1: Hyper-V's reference time goes on across a reset of the guest, which sets the TSC back, whoever is
 * attached; and the TSC page says what the MSR says.
 *
 * Before (bfb642f): after a TSC of 0 all agree, as KVM takes that for a wish to go with what it knows. After 1 the page kept
 * what it was before the reset, unattached too, as the VMM had set it and not the guest. The guest asks for it itself
 * since, and that has not run yet; what was seen with QEMU was a jump by 2^64 ticks.
 */
#include <string.h>
#include <unistd.h>
#include "polbpf.h"
#include "tinyvm.h"

struct hv_page {
	volatile uint32_t sequence, reserved;
	volatile uint64_t scale;
	volatile int64_t offset;
};

/* What a guest computes from the page, in units of 100 ns */
static int64_t page_time(struct tiny *vm, bool *valid)
{
	struct hv_page *p = (struct hv_page *)(vm->mem + TINY_HV_PAGE);
	uint64_t tsc = tiny_get_msr(vm, 0, MSR_TSC);

	*valid = p->sequence && p->sequence != ~0u;
	return (int64_t)((unsigned __int128)tsc * p->scale >> 64) + p->offset;
}

/* Have KVM bring the page up to date, as an entry into the guest does */
static void refresh(struct tiny *vm)
{
	tiny_start(vm, 0, guest_halt, 0);
	sleep_ms(5);
	tiny_stop(vm, 0);
}

static void ask_for_page(struct tiny *vm)
{
	memset(vm->mem + TINY_HV_PAGE, 0, 4096);
	tiny_start(vm, 0, guest_hv_page, 0);
	while (!vm->vcpu[0].done)
		sleep_ms(1);
	tiny_stop(vm, 0);
	refresh(vm);
}

static void compare(struct tiny *vm, const char *what, const char *when)
{
	int64_t before = tiny_get_msr(vm, 0, MSR_HV_REF_COUNT), page, after;
	bool valid;

	page = page_time(vm, &valid);
	after = tiny_get_msr(vm, 0, MSR_HV_REF_COUNT);
	if (!valid) {
		note("%s, %s: the page is not valid, a guest asks the MSR", what, when);
		return;
	}
	ok(before - 1 <= page && page <= after + 1, "%s, %s: the page's time lies between two readings of the MSR (%lld %lld %lld)",
	   what, when, (long long)before, (long long)page, (long long)after);
}

static void across_reset(const char *what, unsigned int factor, unsigned int mode, uint64_t tsc)
{
	static struct tiny vm;
	int64_t before, after, most;
	struct pol p = { 0 };
	double start;
	int r = 0;

	tiny_create(&vm, 1, TINY_HYPERV, NULL);
	tiny_set_kvmclock(&vm, 0);
	ask_for_page(&vm);
	if (factor) {
		r = pol_open(&p, "build/bpf/constant.bpf.o");
		*pol_u64(&p, "factor") = factor;
		if (!r)
			r = pol_load(&p, vm.fd, mode);
		if (!r)
			r = pol_attach(&p);
		if (!ok(!r, "%s: attached", what))
			bail("%s", strerror(-r));
	}
	/* KVM takes a TSC that is less than a second off for the one that it knows. */
	sleep_ms(1500);
	refresh(&vm);
	compare(&vm, what, "before the reset");
	start = now();
	before = tiny_get_msr(&vm, 0, MSR_HV_REF_COUNT);
	/* As QEMU does; Hyper-V's MSRs are the guest's to set again */
	tiny_set_msr(&vm, 0, MSR_HV_REF_TSC, 0);
	tiny_set_msr(&vm, 0, MSR_TSC, tsc);
	note("%s: the TSC is %llu after %llu was written", what, (unsigned long long)tiny_get_msr(&vm, 0, MSR_TSC), (unsigned long long)tsc);
	tiny_set_kvmclock(&vm, 0);
	ask_for_page(&vm);
	sleep_ms(5);
	after = tiny_get_msr(&vm, 0, MSR_HV_REF_COUNT);
	most = (now() - start + 0.1) * 1e7 * (factor ? factor : 1);
	ok(after >= before && after - before < most, "%s: the reference time goes on across a reset (%lld, %lld)",
	   what, (long long)before, (long long)after);
	compare(&vm, what, "after the reset");
	if (factor)
		pol_close(&p);
	tiny_destroy(&vm);
}

int main(void)
{
	/* 0 is what QEMU writes, and KVM takes it for a wish to go with the other vCPUs. */
	for (uint64_t tsc = 0; tsc < 2; tsc++) {
		across_reset("unattached", 0, 0, tsc);
		across_reset("trapped, factor 1", 1, POL_TRAPPED, tsc);
		across_reset("trapped, factor 50", 50, POL_TRAPPED, tsc);
		across_reset("offset, factor 50", 50, POL_OFFSET, tsc);
	}
	return tap_end();
}
