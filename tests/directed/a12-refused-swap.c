// SPDX-License-Identifier: GPL-2.0
/*
 * A12: a swap that the new policy refuses leaves the old one what it had asked for.
 * The old one here has asked for nothing but to be told of late timers.
 *
 * Before (bfb642f): 8 late timers are heard of before the refused swap, none after it.
 */
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include "polbpf.h"
#include "tinyvm.h"

/* A timer that comes due while its vCPU does not run is late */
static uint64_t provoke(struct tiny *vm, struct pol *p)
{
	uint64_t before = *pol_u64(p, "lates");

	for (int i = 0; i < 10; i++) {
		tiny_stop(vm, 0);
		sleep_ms(20);
		tiny_start(vm, 0, guest_ticks, 2000000);
		sleep_ms(20);
	}
	return *pol_u64(p, "lates") - before;
}

int main(void)
{
	static struct tiny vm;
	struct pol p, refuse;
	uint64_t n;
	int r;

	tiny_create(&vm, 1, 0, NULL);
	tiny_set_kvmclock(&vm, 0);
	tiny_start(&vm, 0, guest_ticks, 2000000);
	r = pol_start(&p, "build/tests/directed/late.bpf.o", vm.fd, POL_AUTO);
	if (!ok(!r, "a policy that waits for late timers alone attaches"))
		bail("%s", strerror(-r));
	n = provoke(&vm, &p);
	if (!ok(n > 0, "it hears of late timers (%llu)", (unsigned long long)n))
		return tap_end();
	r = pol_open(&refuse, "build/tests/policies/refuse.bpf.o");
	if (r || (r = pol_load(&refuse, vm.fd, POL_AUTO)))
		bail("the refusing policy does not load: %s", strerror(-r));
	r = pol_swap(&p, &refuse);
	ok(r < 0, "a swap to a policy that refuses fails (%s)", strerror(-r));
	ok(!strcmp(state_text(getpid(), vm.fd, "policy"), "late"), "the old policy stays");
	n = provoke(&vm, &p);
	ok(n > 0, "it still hears of late timers (%llu)", (unsigned long long)n);
	pol_close(&refuse);
	pol_close(&p);
	tiny_destroy(&vm);
	return tap_end();
}
