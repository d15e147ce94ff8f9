// SPDX-License-Identifier: GPL-2.0
/*
 * cost clock|tsc|timer N - do something N times, between two marks
 *
 * The host knows when it took the marks. Prints the number of the first; the second is the next.
 */
#include "clock.h"

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "clock";
	long n = argc > 2 ? atol(argv[2]) : 1000, i;
	uint64_t id = rdtsc() << 16;

	pin(0);
	clock_ns(CLOCK_MONOTONIC_RAW);
	mark(0, 0, 0, 0);
	mark(id, n, 0, 0);
	if (!strcmp(what, "timer")) {
		struct timespec ts = { .tv_nsec = 1000000 };

		for (i = 0; i < n; i++)
			nanosleep(&ts, NULL);
	} else if (!strcmp(what, "tsc")) {
		for (i = 0; i < n; i++)
			rdtsc();
	} else {
		for (i = 0; i < n; i++)
			clock_ns(CLOCK_MONOTONIC_RAW);
	}
	mark(id + 1, n, 0, 0);
	printf("%lu\n", id);
	return 0;
}
