// SPDX-License-Identifier: GPL-2.0
/*
 * cost timer N        - sleep 200 us N times between two marks; ROUNDS times over
 * cost clock|tsc N    - read that N times, and 2 N times, each between two marks; ROUNDS times over
 *
 * The host knows when it took the marks. Prints the number of the first; the others count up.
 * The difference of N and 2 N is free of what a mark costs, and the least of many rounds is one
 * that no tick fell into.
 */
#include "clock.h"
#include <sys/prctl.h>

#define ROUNDS 60

static void sleep_times(long n)
{
	struct timespec ts = { .tv_nsec = 200000 };

	while (n--)
		nanosleep(&ts, NULL);
}

static void read_times(int tsc, long n)
{
	if (tsc) {
		while (n--)
			rdtsc();
	} else {
		while (n--)
			clock_ns(CLOCK_MONOTONIC_RAW);
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "clock";
	long n = argc > 2 ? atol(argv[2]) : 1000, i;
	uint64_t first = rdtsc() << 16, id = first;
	int tsc = !strcmp(what, "tsc");

	pin(0);
	prctl(PR_SET_TIMERSLACK, 1);
	clock_ns(CLOCK_MONOTONIC_RAW);
	mark(0, 0, 0, 0);
	mark(id, n, 0, 0);
	for (i = 0; i < ROUNDS; i++) {
		if (!strcmp(what, "timer")) {
			sleep_times(n);
			mark(++id, n, 0, 0);
			continue;
		}
		read_times(tsc, n);
		mark(++id, n, 0, 0);
		read_times(tsc, 2 * n);
		mark(++id, n, 0, 0);
	}
	printf("%lu\n", first);
	return 0;
}
