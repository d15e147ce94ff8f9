// SPDX-License-Identifier: GPL-2.0
/*
 * watch - watch the clocks never go back, and tell the time to whoever asks
 *
 * Reads CLOCK_MONOTONIC and the TSC in bursts, four bursts a guest second and one at each question,
 * and counts the readings that are less than the one before. Obeys these lines on stdin:
 *	time	answers: CLOCK_MONOTONIC in ns, readings so far, backward steps, the greatest of them (ns, ticks)
 *	ticks	answers: local timer interrupts that the guest took since it booted, over all vCPUs
 *	closer	no answer: from now on a burst each guest millisecond, for when something happens
 *	calmer	no answer: four a second again; each reading may cost an exit, and on a test host much more
 * Ends when stdin does.
 */
#include "clock.h"
#include <inttypes.h>
#include <poll.h>

static int wait_ms = 250;
static uint64_t last_ns, last_tsc, reads, back, worst;

static void step(uint64_t *last, uint64_t now)
{
	if (now < *last) {
		back++;
		if (*last - now > worst)
			worst = *last - now;
	}
	*last = now;
	reads++;
}

static void burst(int n)
{
	while (n--) {
		step(&last_tsc, rdtsc());
		step(&last_ns, clock_ns(CLOCK_MONOTONIC));
	}
}

static uint64_t ticks(void)
{
	FILE *f = fopen("/proc/interrupts", "r");
	uint64_t sum = 0;
	char line[4096];

	while (f && fgets(line, sizeof(line), f)) {
		char *p = strstr(line, "LOC:"), *end;

		if (!p)
			continue;
		for (p += 4; ; p = end) {
			uint64_t n = strtoull(p, &end, 10);

			if (end == p)
				break;
			sum += n;
		}
	}
	if (f)
		fclose(f);
	return sum;
}

static void obey(const char *line)
{
	if (!strcmp(line, "time\n")) {
		burst(1);
		printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", last_ns, reads, back, worst);
	} else if (!strcmp(line, "ticks\n")) {
		printf("%" PRIu64 "\n", ticks());
	} else if (!strcmp(line, "closer\n")) {
		wait_ms = 1;
	} else if (!strcmp(line, "calmer\n")) {
		wait_ms = 250;
	}
	fflush(stdout);
}

int main(void)
{
	struct pollfd in = { .fd = 0, .events = POLLIN };
	char line[64];
	size_t len = 0;

	for (;;) {
		while (poll(&in, 1, wait_ms) > 0) {
			if (read(0, line + len, 1) != 1)
				return 0;
			if (line[len++] != '\n' && len < sizeof(line) - 1)
				continue;
			line[len] = 0;
			len = 0;
			obey(line);
			break;
		}
		burst(8);
	}
}
