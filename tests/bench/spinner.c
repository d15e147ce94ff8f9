// SPDX-License-Identifier: GPL-2.0
/*
 * spinner FILE - use up all time that nobody else wants, and log it
 *
 * On a test host an instruction is a nanosecond, but idle time is skipped, and counts as time. With
 * this in the background the host is never idle: what it did not leave to us, in nanoseconds, is
 * how many instructions all others ran, interrupts and context switches included.
 * FILE holds 64-bit numbers: entries written so far, the TSC cycles that an undisturbed entry takes,
 * then the entries, ENTRIES at most: the TSC when each began.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#define ENTRIES (1 << 21)

static uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	asm volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

int main(int argc, char **argv)
{
	size_t size = (ENTRIES + 2) * sizeof(uint64_t);
	struct sched_param none = { 0 };
	uint64_t best = ~0ULL, i;
	volatile uint64_t *page;
	int fd;

	fd = argc > 1 ? open(argv[1], O_RDWR | O_CREAT, 0600) : -1;
	if (fd < 0 || ftruncate(fd, size))
		return 1;
	page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (page == MAP_FAILED)
		return 1;
	sched_setscheduler(0, SCHED_IDLE, &none);
	for (i = 0; i < ENTRIES; i++) {
		unsigned int spin = 2000;

		page[2 + i] = rdtsc();
		if (i && page[2 + i] - page[1 + i] < best)
			page[1] = best = page[2 + i] - page[1 + i];
		asm volatile("1: dec %0; jnz 1b" : "+r"(spin));
		page[0] = i + 1;
	}
	return 0;
}
