// SPDX-License-Identifier: GPL-2.0
/*
 * sleeper [SECONDS] - for so many guest seconds, is anything that sleeps woken early?
 *
 * On each vCPU one thread each of: nanosleep; timerfd, one shot, of which every fourth is
 * cancelled; timerfd, periodic. Early is before the time asked for, by CLOCK_MONOTONIC. Prints one
 * line for each thread: kind, cpu, timers armed, fired, cancelled, early, worst earliness and
 * lateness in ns. For the periodic one, armed counts the periods that had passed at its end.
 * Status 1 if one was early, or if armed is not fired + cancelled.
 */
#include "clock.h"
#include <poll.h>
#include <pthread.h>
#include <sys/timerfd.h>

enum kind { NANOSLEEP, ONESHOT, PERIODIC, KINDS };
static const char *const names[] = { "nanosleep", "oneshot", "periodic" };

struct job {
	enum kind kind;
	int cpu;
	uint64_t armed, fired, cancelled, early, worst_early, worst_late;
};

static uint64_t end_ns;

static struct timespec span(uint64_t ns)
{
	return (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
}

/* 50 us to 20 ms, the short ones as likely as the long */
static uint64_t next_length(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (50000ULL << (*seed >> 61)) + (*seed >> 40) % 100000 + *seed % 100;
}

static void note(struct job *j, uint64_t due, uint64_t now)
{
	if (now < due) {
		j->early++;
		if (due - now > j->worst_early)
			j->worst_early = due - now;
	} else if (now - due > j->worst_late) {
		j->worst_late = now - due;
	}
}

static void run_nanosleep(struct job *j)
{
	uint64_t seed = j->cpu + 1, start, len;

	while (clock_ns(CLOCK_MONOTONIC) < end_ns) {
		struct timespec ts;

		len = next_length(&seed);
		ts = span(len);
		j->armed++;
		start = clock_ns(CLOCK_MONOTONIC);
		if (!nanosleep(&ts, NULL))
			j->fired++;
		note(j, start + len, clock_ns(CLOCK_MONOTONIC));
	}
}

static void run_oneshot(struct job *j)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), i;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t seed = j->cpu + 77, due, n;

	for (i = 0; clock_ns(CLOCK_MONOTONIC) < end_ns; i++) {
		struct itimerspec its = { 0 }, old;

		due = clock_ns(CLOCK_MONOTONIC) + next_length(&seed);
		its.it_value = span(due);
		j->armed++;
		timerfd_settime(fd, TFD_TIMER_ABSTIME, &its, NULL);
		if (i % 4 == 3) {
			memset(&its, 0, sizeof(its));
			timerfd_settime(fd, 0, &its, &old);
			/* It may have fired before it was cancelled. */
			if (old.it_value.tv_sec || old.it_value.tv_nsec) {
				j->cancelled++;
				continue;
			}
		} else {
			poll(&p, 1, -1);
			note(j, due, clock_ns(CLOCK_MONOTONIC));
		}
		if (i % 4 == 3) {
			j->fired++;
			note(j, due, clock_ns(CLOCK_MONOTONIC));
			if (read(fd, &n, sizeof(n)) < 0)
				continue;
		} else if (read(fd, &n, sizeof(n)) == sizeof(n)) {
			j->fired += n;
		}
	}
	close(fd);
}

static void run_periodic(struct job *j)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);
	uint64_t period = 3000000, start = clock_ns(CLOCK_MONOTONIC) + period, n, now;
	struct itimerspec its = { .it_interval = span(period), .it_value = span(start) };

	timerfd_settime(fd, TFD_TIMER_ABSTIME, &its, NULL);
	do {
		if (read(fd, &n, sizeof(n)) != sizeof(n))
			break;
		now = clock_ns(CLOCK_MONOTONIC);
		j->fired += n;
		note(j, start + (j->fired - 1) * period, now);
	} while (now < end_ns);
	close(fd);
	j->armed = j->fired;
}

static void *run(void *arg)
{
	struct job *j = arg;

	pin(j->cpu);
	if (j->kind == NANOSLEEP)
		run_nanosleep(j);
	else if (j->kind == ONESHOT)
		run_oneshot(j);
	else
		run_periodic(j);
	return NULL;
}

int main(int argc, char **argv)
{
	int nr = cpus(), i, bad = 0;
	struct job *jobs = calloc(nr * KINDS, sizeof(*jobs));
	pthread_t t[64 * KINDS];

	end_ns = clock_ns(CLOCK_MONOTONIC) + (argc > 1 ? atof(argv[1]) : 1) * 1e9;
	for (i = 0; i < nr * KINDS; i++) {
		jobs[i].kind = i % KINDS;
		jobs[i].cpu = i / KINDS;
		if (pthread_create(&t[i], NULL, run, &jobs[i]))
			return 2;
	}
	for (i = 0; i < nr * KINDS; i++) {
		struct job *j = &jobs[i];

		pthread_join(t[i], NULL);
		printf("%s cpu %d armed %lu fired %lu cancelled %lu early %lu worst_early_ns %lu worst_late_ns %lu\n",
		       names[j->kind], j->cpu, j->armed, j->fired, j->cancelled, j->early,
		       j->worst_early, j->worst_late);
		bad |= j->early || j->armed != j->fired + j->cancelled || !j->fired;
	}
	return bad;
}
