// SPDX-License-Identifier: GPL-2.0
/*
 * mono [READS] - one last reading, shared by a thread on each vCPU, never goes back
 *
 * Each thread loads the last reading of anybody, reads the clock, and compares. Then it stores its
 * own if that is later. For kvmclock (or what clock_gettime reads) and for the TSC, READS times
 * each in each thread, or until SIGTERM. Prints what it saw; status 1 if a clock went back.
 */
#include "clock.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

static _Atomic uint64_t last_ns, last_tsc;
static _Atomic uint64_t back_ns, back_tsc, worst_ns, worst_tsc;
static volatile long reads = 1000000;

static void enough(int sig)
{
	(void)sig;
	reads = 0;
}

static void raise_to(_Atomic uint64_t *v, uint64_t to)
{
	uint64_t old = atomic_load(v);

	while (old < to && !atomic_compare_exchange_weak(v, &old, to))
		;
}

static void check(_Atomic uint64_t *last, uint64_t seen, uint64_t now,
		  _Atomic uint64_t *back, _Atomic uint64_t *worst)
{
	if (now < seen) {
		atomic_fetch_add(back, 1);
		raise_to(worst, seen - now);
	}
	raise_to(last, now);
}

static void *reader(void *arg)
{
	uint64_t seen;
	long i;

	pin((long)arg);
	for (i = 0; i < reads; i++) {
		seen = atomic_load(&last_ns);
		check(&last_ns, seen, clock_ns(CLOCK_MONOTONIC_RAW), &back_ns, &worst_ns);
		seen = atomic_load(&last_tsc);
		check(&last_tsc, seen, rdtsc(), &back_tsc, &worst_tsc);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int nr = cpus();
	pthread_t t[64];
	long i;

	if (argc > 1)
		reads = atol(argv[1]);
	signal(SIGTERM, enough);
	for (i = 0; i < nr && i < 64; i++)
		if (pthread_create(&t[i], NULL, reader, (void *)i))
			return 2;
	for (i = 0; i < nr && i < 64; i++)
		pthread_join(t[i], NULL);
	printf("threads %d reads %ld back_ns %lu worst_ns %lu back_tsc %lu worst_tsc %lu\n",
	       nr, reads, back_ns, worst_ns, back_tsc, worst_tsc);
	return back_ns || back_tsc;
}
