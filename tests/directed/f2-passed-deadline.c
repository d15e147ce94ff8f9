// SPDX-License-Identifier: GPL-2.0
/*
 * F2: a TSC deadline that has passed already fires at once, in every mode and at every factor.
 *
 * Before (bfb642f): offset at 2 and at 50: 1 of 200 is there, 1 of 200 comes; all others 200 of 200.
 */
#include <string.h>
#include <unistd.h>
#include "polbpf.h"
#include "tinyvm.h"

#define N 200

static uint64_t run(struct tiny *vm, guest_fn *fn)
{
	double start = now();

	*(uint64_t *)(vm->mem + TINY_IRQS) = 0;
	tiny_start(vm, 0, fn, N);
	while (!vm->vcpu[0].done && now() - start < 10)
		sleep_ms(5);
	tiny_stop(vm, 0);
	return tiny_area(vm, 0)->count;
}

static void at(const char *what, unsigned int num, unsigned int den, unsigned int mode)
{
	static struct tiny vm;
	struct pol p = { 0 };
	uint64_t n;
	int r = 0;

	tiny_create(&vm, 1, 0, NULL);
	if (num) {
		r = pol_open(&p, "build/bpf/constant.bpf.o");
		pol_u64(&p, "factor")[0] = num;
		pol_u64(&p, "factor")[1] = den;
		if (!r)
			r = pol_load(&p, vm.fd, mode);
		if (!r)
			r = pol_attach(&p);
		if (!ok(!r, "%s: attached", what))
			bail("%s", strerror(-r));
	}
	n = run(&vm, guest_passed);
	ok(n == N, "%s: of %d deadlines that have passed, %llu are there by the next instruction", what, N, (unsigned long long)n);
	n = run(&vm, guest_rewrite);
	ok(n == N, "%s: of %d written in a row, %llu come", what, N, (unsigned long long)n);
	if (num)
		pol_close(&p);
	tiny_destroy(&vm);
}

int main(void)
{
	at("unattached", 0, 0, 0);
	at("trapped at 50", 50, 1, POL_TRAPPED);
	at("trapped at 0.1", 1, 10, POL_TRAPPED);
	at("offset at 0.1", 1, 10, POL_OFFSET);
	at("offset at 1", 1, 1, POL_OFFSET);
	at("offset at 2", 2, 1, POL_OFFSET);
	at("offset at 50", 50, 1, POL_OFFSET);
	return tap_end();
}
