// SPDX-License-Identifier: GPL-2.0
/*
 * A19: each of many VMs whose policies' alarms go off at the same moment gets on, again and again. Far fewer than the work queue's limit, for the time that they take here; so a hint, no proof.
 *
 * Before (bfb642f): holds.
 */
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "polbpf.h"
#include "tinyvm.h"

#define VMS 96

int main(void)
{
	static struct tiny vm[VMS];
	static struct pol p[VMS];
	uint64_t before[VMS], n, least = ~0ULL;
	struct rlimit lim = { 65536, 65536 };
	int r;

	setrlimit(RLIMIT_NOFILE, &lim);
	for (int i = 0; i < VMS; i++) {
		tiny_create(&vm[i], 1, 0, NULL);
		r = pol_start(&p[i], "build/tests/directed/gong.bpf.o", vm[i].fd, POL_AUTO);
		if (r)
			bail("VM %d: the policy does not attach: %s", i, strerror(-r));
	}
	for (int i = 0; i < VMS; i++)
		before[i] = *pol_u64(&p[i], "calls");
	sleep_ms(2000);
	for (int i = 0; i < VMS; i++) {
		n = *pol_u64(&p[i], "calls") - before[i];
		least = n < least ? n : least;
	}
	ok(least >= 5, "each of %d VMs with one alarm each 100 ms is asked again and again (the least one %llu times)",
	   VMS, (unsigned long long)least);
	for (int i = 0; i < VMS; i++) {
		pol_close(&p[i]);
		tiny_destroy(&vm[i]);
	}
	ok(true, "all of them detach and end");
	return tap_end();
}
