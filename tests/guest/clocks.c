// SPDX-License-Identifier: GPL-2.0
/*
 * clocks [ROUNDS] - what the guest's clocks show at moments that the host can date
 *
 * Each round takes a mark between two readings of one clock; the host looks up when it took the
 * mark. The clock's reading for that moment lies between the two; the caller takes the round with
 * the least distance. Prints one line a round: clock, mark, reading before, reading after.
 */
#include "clock.h"

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 16;
	uint64_t id = rdtsc() << 16, a[2][256], b[2][256];
	int i;

	if (rounds > 256)
		rounds = 256;
	clock_ns(CLOCK_MONOTONIC_RAW);
	mark(0, 0, 0, 0);
	for (i = 0; i < rounds; i++) {
		a[0][i] = rdtsc();
		mark(id + 2 * i, a[0][i], 0, 0);
		b[0][i] = rdtsc();
		a[1][i] = clock_ns(CLOCK_MONOTONIC_RAW);
		mark(id + 2 * i + 1, a[1][i], 1, 0);
		b[1][i] = clock_ns(CLOCK_MONOTONIC_RAW);
	}
	for (i = 0; i < rounds; i++) {
		printf("tsc %lu %lu %lu\n", id + 2 * i, a[0][i], b[0][i]);
		printf("raw %lu %lu %lu\n", id + 2 * i + 1, a[1][i], b[1][i]);
	}
	return 0;
}
