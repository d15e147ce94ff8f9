// SPDX-License-Identifier: GPL-2.0
/*
 * P1: how long a vCPU starves is read of the thread that runs it, while it gets another thread again and again.
 * What keeps vcpu->pid, a lock of its own or RCU, differs between lines of kernels (tests/series/lines.t reads which).
 *
 * Before: 7.3 with the code of 6.12 compiled and was a use after free by reading; that it shows here is chance.
 */
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>
#include "polbpf.h"
#include "tinyvm.h"

#define THREADS 300

/* What the scheduler says of a thread: ns for which it was ready and did not run */
static uint64_t run_delay(pid_t tid)
{
	unsigned long long ran, waited = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/schedstat", tid);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%llu %llu", &ran, &waited) != 2)
		bail("%s cannot be read", path);
	fclose(f);
	return waited;
}

static void on_cpu_0(pid_t tid)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	if (sched_setaffinity(tid, sizeof(set), &set))
		bail("sched_setaffinity failed");
}

static void *compete(void *arg)
{
	volatile bool *stop = arg;

	on_cpu_0(0);
	while (!*stop)
		;
	return NULL;
}

int main(void)
{
	static struct tiny vm;
	volatile bool stop = false;
	uint64_t waited, starved, asked;
	pthread_t other;
	struct pol p;
	int r;

	tiny_create(&vm, 2, 0, NULL);
	tiny_start(&vm, 0, guest_spin, 0);
	on_cpu_0(vm.vcpu[0].tid);
	r = pol_start(&p, "build/tests/directed/starving.bpf.o", vm.fd, POL_AUTO);
	if (r)
		bail("the policy does not attach: %s", strerror(-r));
	sleep_ms(20);

	asked = *pol_u64(&p, "asked");
	waited = run_delay(vm.vcpu[0].tid);
	starved = *pol_u64(&p, "starved");
	if (pthread_create(&other, NULL, compete, (void *)&stop))
		bail("pthread_create failed");
	sleep_ms(400);
	stop = true;
	pthread_join(other, NULL);
	waited = run_delay(vm.vcpu[0].tid) - waited;
	/* The policy is asked where there is a processor for that. */
	for (int i = 0; i < 100 && *pol_u64(&p, "starved") - starved < waited - waited / 5; i++)
		sleep_ms(20);
	starved = *pol_u64(&p, "starved") - starved;
	asked = *pol_u64(&p, "asked") - asked;
	ok(waited > 100000000, "a thread takes the vCPU's processor away (%llu ns)", (unsigned long long)waited);
	ok(starved > waited - waited / 5 && starved < waited + waited / 5,
	   "the policy is told of what the scheduler has counted (%llu ns, in %llu decisions)", (unsigned long long)starved,
	   (unsigned long long)asked);

	asked = *pol_u64(&p, "asked");
	for (int i = 0; i < THREADS; i++) {
		tiny_stop(&vm, 0);
		tiny_start(&vm, 0, guest_spin, 0);
	}
	asked = *pol_u64(&p, "asked") - asked;
	ok(asked > THREADS, "%d threads run it, one after the other, under %llu decisions", THREADS, (unsigned long long)asked);
	tiny_stop(&vm, 0);
	asked = *pol_u64(&p, "asked");
	sleep_ms(50);
	ok(*pol_u64(&p, "asked") > asked, "a vCPU whose thread has ended, and one that never had any, do no harm");
	ok(!strcmp(state_text(getpid(), vm.fd, "policy"), "starving"), "the policy stays");
	pol_close(&p);
	tiny_destroy(&vm);
	return tap_end();
}
