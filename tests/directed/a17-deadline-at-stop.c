// SPDX-License-Identifier: GPL-2.0
/*
 * A17: a TSC deadline 2 us after the moment at which guest time stands does not go off again and again. It
 * would until the policy gets to settle, and here another vCPU cannot be held.
 *
 * Before (bfb642f): not shown: as first written it was over before the stop, and it has not run since.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "polbpf.h"
#include "tinyvm.h"

#define TRACE "/sys/kernel/tracing/instances/tw-directed"

static unsigned int expiries(void)
{
	FILE *f = fopen(TRACE "/trace", "r");
	unsigned int n = 0;
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, "apic_timer_fn") != NULL;
	if (f)
		fclose(f);
	return n;
}

int main(void)
{
	static struct tiny vm;
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_range wake;
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC), r;
	uint64_t stop_ns, tsc, ns, at;
	unsigned int n;
	struct pol p;

	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api))
		bail("userfaultfd: %s", strerror(errno));
	tiny_create(&vm, 2, 0, NULL);
	tiny_set_kvmclock(&vm, 0);
	r = pol_open(&p, "build/tests/directed/stops.bpf.o");
	*pol_u64(&p, "period") = 1000000000;
	if (!r)
		r = pol_load(&p, vm.fd, POL_AUTO);
	if (!r)
		r = pol_attach(&p);
	if (r)
		bail("the policy does not attach: %s", strerror(-r));
	/* The deadline: guest ns to TSC by the state file, at factor 1 */
	do {
		sleep_ms(10);
		stop_ns = *pol_u64(&p, "stop_ns");
		ns = state_num(getpid(), vm.fd, "guest_ns");
	} while (stop_ns < ns + 300000000);
	at = state_num(getpid(), vm.fd, "pv_tsc");
	ns = state_num(getpid(), vm.fd, "pv_ns");
	tsc = at + (unsigned __int128)(stop_ns - ns) * ioctl(vm.vcpu[0].fd, KVM_GET_TSC_KHZ, 0) / 1000000;
	tiny_start(&vm, 0, guest_deadline, tsc + 2000);

	/* vCPU 1 waits for a page of its own for ever, inside KVM_RUN */
	mkdir(TRACE, 0755);
	put(TRACE "/events/timer/hrtimer_expire_entry/enable", "1");
	tiny_start(&vm, 1, guest_spin, 0);
	reg.range.start = (uintptr_t)tiny_area(&vm, 1);
	reg.range.len = 4096;
	if (ioctl(uffd, UFFDIO_REGISTER, &reg))
		bail("UFFDIO_REGISTER: %s", strerror(errno));
	madvise(tiny_area(&vm, 1), 4096, MADV_DONTNEED);
	for (int i = 0; i < 200 && state_num(getpid(), vm.fd, "guest_ns") < stop_ns; i++)
		sleep_ms(10);
	put(TRACE "/trace", "");
	sleep_ms(500);
	n = expiries();
	/* Not yet asked, as the hold waits: what this is about */
	note("held_max %llu ns, stops %llu", (unsigned long long)state_num(getpid(), vm.fd, "held_max_ns"),
	     (unsigned long long)*pol_u64(&p, "stops"));
	put(TRACE "/events/timer/hrtimer_expire_entry/enable", "0");
	ok(n < 50, "the LAPIC's timer goes off %u times in the half second after the stop", n);
	wake.start = reg.range.start;
	wake.len = 4096;
	ioctl(uffd, UFFDIO_UNREGISTER, &wake);
	close(uffd);
	sleep_ms(100);
	tiny_stop(&vm, 1);
	pol_close(&p);
	tiny_destroy(&vm);
	rmdir(TRACE);
	return tap_end();
}
