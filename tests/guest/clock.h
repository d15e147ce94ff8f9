/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The guest's clocks, as its programs read them, and marks that the host can see.
 */
#ifndef TIMEWARP_GUEST_CLOCK_H
#define TIMEWARP_GUEST_CLOCK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <cpuid.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static inline uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	/* lfence: not before what precedes it, nothing that follows before it */
	asm volatile("lfence; rdtsc; lfence" : "=a"(lo), "=d"(hi) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

static inline uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/*
 * A mark: a hypercall that KVM does not know. It answers with an error, as it would to any
 * other from user space, after its tracepoint kvm:kvm_hypercall has noted the arguments. With
 * the trace clock x86-tsc the event carries the host's own TSC: host time, to the microsecond
 * that an exit takes, from a source that no part of timewarp touches.
 */
#define MARK 0x7477

static inline void mark(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
	static int intel = -1;
	uint64_t nr = MARK;

	if (intel < 0) {
		uint32_t a, b, c, d;

		__cpuid(0, a, b, c, d);
		intel = b == 0x756e6547;	/* Genu */
	}
	if (intel)
		asm volatile("vmcall" : "+a"(nr) : "b"(a0), "c"(a1), "d"(a2), "S"(a3) : "memory");
	else
		asm volatile("vmmcall" : "+a"(nr) : "b"(a0), "c"(a1), "d"(a2), "S"(a3) : "memory");
}

static inline void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set)) {
		perror("sched_setaffinity");
		exit(1);
	}
}

static inline int cpus(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN);
}

#endif
