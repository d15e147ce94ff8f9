// SPDX-License-Identifier: GPL-2.0
/*
 * year DIR [LEAK] - what keeps an idle server's clock busy, for make demo-year
 *
 * Jobs as cron would run them, at times of day in UTC: daily at 03:10 (a line into DIR/log), weekly on
 * Sundays at 04:00 (the log is rotated; two old ones are kept), and a planted leak: LEAK kB (default 32) at
 * each daily job. It sleeps to a date, so that nobody wakes it in between; each job notes into DIR/runs
 * when it was due and when it ran:
 *
 *	daily|weekly DUE RAN AVAILABLE_KB TIMER_INTERRUPTS
 *
 * A daemon of old times that keeps its next date in 32 bits goes with it: DIR/old says what it made of
 * each day. SIGTERM ends it.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DAY 86400
#define DAILY_AT (3 * 3600 + 10 * 60)
#define WEEKLY_AT (4 * 3600)

static const char *dir;

static const char *path(const char *name)
{
	static char buf[4][256];
	static int i;

	i = (i + 1) % 4;
	snprintf(buf[i], sizeof(buf[i]), "%s/%s", dir, name);
	return buf[i];
}

static long available_kb(void)
{
	char line[128];
	long kb = -1;
	FILE *f = fopen("/proc/meminfo", "r");

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "MemAvailable: %ld", &kb);
	if (f)
		fclose(f);
	return kb;
}

/* Of the first CPU; the guest has one */
static long timer_interrupts(void)
{
	char line[512];
	long n = -1;
	FILE *f = fopen("/proc/interrupts", "r");

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, " LOC: %ld", &n);
	if (f)
		fclose(f);
	return n;
}

static void append(const char *file, const char *text)
{
	FILE *f = fopen(path(file), "a");

	if (!f)
		exit(1);
	fputs(text, f);
	fclose(f);
}

static void note(const char *job, time_t due)
{
	char line[128];

	snprintf(line, sizeof(line), "%s %lld %lld %ld %ld\n", job, (long long)due,
		 (long long)time(NULL), available_kb(), timer_interrupts());
	append("runs", line);
}

static void rotate(void)
{
	rename(path("log.1"), path("log.2"));
	rename(path("log"), path("log.1"));
}

static void leak(long kb)
{
	char *p = kb ? malloc(kb * 1024) : NULL;

	if (p)
		memset(p, 1, kb * 1024);
	/* or the compiler sees that nobody will miss it */
	asm volatile("" : : "r"(p) : "memory");
}

/* The next date's low 32 bits: what programs have that keep it in an int, or in a file of that width */
static void old_daemon(time_t due)
{
	static int broken;
	int32_t next = (int32_t)(uint32_t)(uint64_t)(due + DAY);
	char line[128];

	if (broken || next > (int64_t)due)
		return;
	broken = 1;
	snprintf(line, sizeof(line), "at %lld the next date is %d: in the past, it would run for ever\n",
		 (long long)due, next);
	append("old", line);
}

static time_t next_daily(time_t now)
{
	time_t t = now - now % DAY + DAILY_AT;

	return t > now ? t : t + DAY;
}

/* The epoch was a Thursday */
static time_t next_weekly(time_t now)
{
	time_t t = now - (now + 4 * DAY) % (7 * DAY) + WEEKLY_AT;

	return t > now ? t : t + 7 * DAY;
}

int main(int argc, char **argv)
{
	long kb = argc > 2 ? atol(argv[2]) : 32;
	time_t daily, weekly, due;

	if (argc < 2)
		return 2;
	dir = argv[1];
	daily = next_daily(time(NULL));
	weekly = next_weekly(time(NULL));
	for (;;) {
		struct timespec ts;

		due = daily < weekly ? daily : weekly;
		ts = (struct timespec){ .tv_sec = due };
		while (clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &ts, NULL))
			;
		if (due == daily) {
			append("log", "a line of a day\n");
			leak(kb);
			note("daily", due);
			old_daemon(due);
			daily += DAY;
		} else {
			rotate();
			note("weekly", due);
			weekly += 7 * DAY;
		}
	}
}
