// SPDX-License-Identifier: GPL-2.0
/*
 * clocks COMMAND [ARG...] - host and guest clock side by side
 *
 * COMMAND runs tests/guest/watch in a guest. "closer" and "calmer" on stdin are passed on to it. For
 * each other line, "PHASE N", takes N samples, the first at once, the others a host second apart,
 * and prints each as a line of CSV:
 *	phase,host_ns,uncertainty_ns,guest_ns,ticks,reads,backward_steps,worst_backward_step
 * host_ns is CLOCK_MONOTONIC, in the middle between question and answer; the guest read its clock
 * not further from it than uncertainty_ns, half of what the round trip took. Of several round trips
 * the shortest counts.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000ULL
#define TRIES 3

static FILE *from;
static int to;

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS + ts.tv_nsec;
}

static void fail(const char *what)
{
	fprintf(stderr, "clocks: %s\n", what);
	exit(1);
}

static void ask(const char *question, char *answer, size_t len)
{
	/* A guest that hangs must not hang us. */
	alarm(30);
	if (write(to, question, strlen(question)) < 0 || !fgets(answer, len, from))
		fail("the guest no longer answers");
	alarm(0);
}

static void sample(const char *phase)
{
	uint64_t host = 0, best = UINT64_MAX, guest = 0, reads = 0, back = 0, worst = 0, ticks;
	char line[200];
	int i;

	for (i = 0; i < TRIES; i++) {
		uint64_t a = now(), g, b;

		ask("time\n", line, sizeof(line));
		b = now();
		if (sscanf(line, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &g, &reads, &back, &worst) != 4)
			fail("the guest answered something else than a time");
		if (b - a < best) {
			best = b - a;
			host = a + best / 2;
			guest = g;
		}
	}
	ask("ticks\n", line, sizeof(line));
	ticks = strtoull(line, NULL, 10);
	printf("%s,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "\n",
	       phase, host, (best + 1) / 2, guest, ticks, reads, back, worst);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char line[200], phase[64];
	int in[2], out[2], i, n;

	if (argc < 2 || pipe(in) || pipe(out))
		return 2;
	signal(SIGPIPE, SIG_IGN);
	switch (fork()) {
	case -1:
		fail(strerror(errno));
		break;
	case 0:
		dup2(in[0], 0);
		dup2(out[1], 1);
		for (i = 0; i < 2; i++) {
			close(in[i]);
			close(out[i]);
		}
		signal(SIGPIPE, SIG_DFL);
		execvp(argv[1], argv + 1);
		perror(argv[1]);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	to = in[1];
	from = fdopen(out[0], "r");

	/* The first answers wait for the program to start. */
	ask("time\n", line, sizeof(line));
	while (fgets(line, sizeof(line), stdin)) {
		uint64_t start;

		if (!strcmp(line, "closer\n") || !strcmp(line, "calmer\n")) {
			if (write(to, line, strlen(line)) < 0)
				fail("the guest no longer listens");
			continue;
		}
		if (sscanf(line, "%63[a-z0-9] %d", phase, &n) != 2)
			fail("expected: PHASE N");
		start = now();
		for (i = 0; i < n; i++) {
			uint64_t at = start + i * NS;
			struct timespec ts = { .tv_sec = at / NS, .tv_nsec = at % NS };

			while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL))
				;
			sample(phase);
		}
	}
	return 0;
}
