// SPDX-License-Identifier: GPL-2.0
/*
 * coherence MILLISECONDS PAUSE_US [CLOCK...] - every clock of the machine, between two readings of the TSC
 *
 * The TSC and kvmclock are one function of each other: the first line has its terms, "page TSC NS MUL
 * SHIFT" (tests/host/agree.t proves that they agree to 2 ns). Each other clock is read between two
 * readings of the TSC:
 *	NAME BEFORE VALUE AFTER
 * VALUE in the clock's own ticks; "unit NAME HZ WRAP" tells which. The time is CLOCK_MONOTONIC's.
 *
 *	mono	CLOCK_MONOTONIC_RAW: the clocksource that the kernel has, read through it
 *	hpet	the counter, by MMIO
 *	rtc	the moment that the RTC's seconds change, by its ports; no other clock then
 *	ptp0	the host's wall clock, as KVM pairs it
 */
#include "page.h"
#include <errno.h>
#include <sys/mman.h>

static char **only;
static volatile uint8_t *hpet;
static int port = -1, ptp = -1;

/* Whether a clock is wanted: it is named, or none is */
static int wanted(const char *name)
{
	char **w;

	for (w = only; *w; w++)
		if (!strcmp(*w, name))
			return 1;
	return w == only;
}

static void out(const char *name, uint64_t before, uint64_t value, uint64_t after)
{
	printf("%s %lu %lu %lu\n", name, before, value, after);
}

static void fail(const char *what)
{
	perror(what);
	exit(2);
}

static void show_page(void)
{
	int kcore = open("/proc/kcore", O_RDONLY);
	off_t at = kcore < 0 ? -1 : page_offset(kcore, 0);
	struct page p;

	if (at < 0 || pread(kcore, &p, sizeof(p), at) != sizeof(p))
		fail("/proc/kcore");
	printf("page %lu %lu %u %d\n", p.tsc, p.ns, p.mul, p.shift);
	close(kcore);
}

/* The guest's command line has iomem=relaxed */
static void open_hpet(void)
{
	int fd = open("/dev/mem", O_RDONLY);
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0xfed00000);
	uint64_t id;

	if (p == MAP_FAILED)
		fail("HPET");
	hpet = p;
	id = *(volatile uint64_t *)hpet;
	/* its period in femtoseconds; a bus that answers with all ones has none */
	if (!(id >> 32) || id == ~0ULL || !(*(volatile uint64_t *)(hpet + 0x10) & 1)) {
		fprintf(stderr, "no HPET that counts\n");
		exit(2);
	}
	printf("unit hpet %lu\n", 1000000000000000UL / (id >> 32));
}

static int cmos(uint8_t reg)
{
	uint8_t v;

	if (pwrite(port, &reg, 1, 0x70) != 1 || pread(port, &v, 1, 0x71) != 1)
		fail("/dev/port");
	return v;
}

/* How long before the RTC's next second to look for it without a pause, in guest ns */
#define HUNT_NS 20000000ULL

static int rtc_seconds(void)
{
	int s;

	/* Around the change it says that an update is in progress: the edge ends with that */
	while (cmos(10) & 0x80)
		;
	s = cmos(0);
	return (s >> 4) * 10 + (s & 15);
}

/* Waits for the next change of the RTC's seconds; the first time, and after @end, not closely */
static void hunt_rtc(uint64_t end)
{
	static uint64_t edge;		/* CLOCK_MONOTONIC of the last one */
	uint64_t now = clock_ns(CLOCK_MONOTONIC), next = edge, a, b;
	int was, s;

	while (edge && next < now + HUNT_NS)
		next += 1000000000;
	if (edge)
		usleep((next - HUNT_NS - now) / 1000);
	a = rdtsc();
	was = rtc_seconds();
	for (;;) {
		b = rdtsc();
		s = rtc_seconds();
		if (s != was || clock_ns(CLOCK_MONOTONIC) > end)
			break;
		a = b;
		if (!edge)
			usleep(5000);
	}
	if (s == (was + 1) % 60 && edge)
		out("rtc", a, s, rdtsc());
	if (s != was)
		edge = clock_ns(CLOCK_MONOTONIC);
}

static void sample(void)
{
	struct timespec ts;
	uint64_t a, v, b;

	if (wanted("mono")) {
		a = rdtsc();
		v = clock_ns(CLOCK_MONOTONIC_RAW);
		b = rdtsc();
		out("mono", a, v, b);
	}
	if (hpet) {
		a = rdtsc();
		v = *(volatile uint64_t *)(hpet + 0xf0);
		b = rdtsc();
		out("hpet", a, v, b);
	}
	if (ptp >= 0) {
		a = rdtsc();
		if (!clock_gettime((~(clockid_t)ptp << 3) | 3, &ts)) {
			b = rdtsc();
			out("ptp0", a, ts.tv_sec * 1000000000ULL + ts.tv_nsec, b);
		}
	}
}

int main(int argc, char **argv)
{
	int cpu = 0, nr = cpus(), pause_us;
	uint64_t end;

	if (argc < 3)
		return 2;
	pause_us = atoi(argv[2]);
	only = argv + 3;
	pin(0);
	show_page();
	printf("unit mono 1000000000\nunit ptp0 1000000000\nunit rtc 1\n");
	if (wanted("hpet"))
		open_hpet();
	if (wanted("ptp0") && (ptp = open("/dev/ptp0", O_RDWR)) < 0)
		fail("/dev/ptp0");
	if (wanted("rtc") && (port = open("/dev/port", O_RDWR)) < 0)
		fail("/dev/port");
	end = clock_ns(CLOCK_MONOTONIC) + strtoull(argv[1], NULL, 10) * 1000000ULL;
	while (clock_ns(CLOCK_MONOTONIC) < end) {
		/* By itself: it keeps the others from being read */
		if (port >= 0) {
			hunt_rtc(end);
			continue;
		}
		/* The TSCs of vCPUs agree; a bracket must not span two of them */
		pin(cpu++ % nr);
		sample();
		if (pause_us)
			usleep(pause_us);
	}
	return 0;
}
