// SPDX-License-Identifier: GPL-2.0
/*
 * wakes SOURCE COUNT [NS] - how punctual a source of wake-ups is, by CLOCK_MONOTONIC
 *
 *	timer	clock_nanosleep() for NS: the clock event device that the kernel has
 *	rtc	the RTC's alarm interrupt, at the next but one of its seconds
 *	hpet	/dev/hpet, periodic each NS
 *
 * Prints a line for each: SOURCE DUE GOT, in ns. DUE is when it should come, GOT when it did; for rtc
 * DUE is the RTC's own second, and GOT the RTC's second after the wake-up.
 * For hpet both are the HPET's counter: what the comparator said before the wake-up, and where it stood after;
 * "armed" comes first, once the comparator is known.
 */
#include "clock.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/hpet.h>
#include <linux/rtc.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <signal.h>

static void fail(const char *what)
{
	perror(what);
	exit(2);
}

static void timer(int count, uint64_t ns)
{
	uint64_t due;
	struct timespec ts;

	while (count--) {
		due = clock_ns(CLOCK_MONOTONIC) + ns;
		ts.tv_sec = due / 1000000000;
		ts.tv_nsec = due % 1000000000;
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL))
			;
		printf("timer %lu %lu\n", due, clock_ns(CLOCK_MONOTONIC));
	}
}

static time_t rtc_s(int fd)
{
	struct rtc_time t;
	struct tm tm = { 0 };

	if (ioctl(fd, RTC_RD_TIME, &t))
		fail("RTC_RD_TIME");
	tm.tm_sec = t.tm_sec;
	tm.tm_min = t.tm_min;
	tm.tm_hour = t.tm_hour;
	tm.tm_mday = t.tm_mday;
	tm.tm_mon = t.tm_mon;
	tm.tm_year = t.tm_year;
	return timegm(&tm);
}

static void rtc(int count)
{
	int fd = open("/dev/rtc0", O_RDONLY);
	struct rtc_wkalrm w = { .enabled = 1 };
	unsigned long data;
	struct tm tm;
	time_t due;

	if (fd < 0)
		fail("/dev/rtc0");
	while (count--) {
		due = rtc_s(fd) + 2;
		gmtime_r(&due, &tm);
		w.time.tm_sec = tm.tm_sec;
		w.time.tm_min = tm.tm_min;
		w.time.tm_hour = tm.tm_hour;
		w.time.tm_mday = tm.tm_mday;
		w.time.tm_mon = tm.tm_mon;
		w.time.tm_year = tm.tm_year;
		if (ioctl(fd, RTC_WKALM_SET, &w))
			fail("RTC_WKALM_SET");
		if (read(fd, &data, sizeof(data)) < 0)
			fail("read /dev/rtc0");
		printf("rtc %lu %lu\n", due * 1000000000UL, rtc_s(fd) * 1000000000UL);
	}
}

/* The registers; the guest's command line has iomem=relaxed */
static volatile uint64_t *map_hpet(void)
{
	int fd = open("/dev/mem", O_RDONLY);
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0xfed00000);

	if (p == MAP_FAILED)
		fail("/dev/mem");
	return p;
}

/* The next interrupt, or the last of several */
static void hpet_wait(int fd)
{
	struct pollfd more = { .fd = fd, .events = POLLIN };
	unsigned long data;

	do {
		if (read(fd, &data, sizeof(data)) < 0)
			fail("read /dev/hpet");
	} while (poll(&more, 1, 0) > 0);
}

static void hpet(int count, uint64_t ns)
{
	volatile uint64_t *regs = map_hpet(), *counter = &regs[0xf0 / 8], *comparator;
	int fd = open("/dev/hpet", O_RDONLY);
	struct pollfd more = { .fd = fd, .events = POLLIN };
	uint64_t tick_ns, period, due = 0, next, now;
	struct hpet_info info;

	if (fd < 0)
		fail("/dev/hpet");
	tick_ns = (regs[0] >> 32) / 1000000;
	period = ns / tick_ns;
	if (ioctl(fd, HPET_INFO, &info) || ioctl(fd, HPET_IRQFREQ, 1000000000 / ns))
		fail("HPET_IRQFREQ");
	/*
	 * The driver has the timer in 32-bit mode, one shot each: at each interrupt it sets the comparator a
	 * period after the counter of then. There the HPET interrupts once more when the counter's lower half
	 * wraps (IA-PC HPET specification, "Non-Periodic Mode"), each 43 s, and the driver goes on from that.
	 */
	while (((*counter & 0xffffffff) + (count + 3) * period) >> 32)
		usleep(ns / 1000);
	comparator = &regs[(0x108 + 0x20 * info.hi_timer) / 8];
	if (ioctl(fd, HPET_IE_ON, 0))
		fail("HPET_IE_ON");
	/* The first tells when the next is due. */
	for (count++; count; count--) {
		hpet_wait(fd);
		now = *counter;
		if (due)
			printf("hpet %lu %lu\n", due * tick_ns, now * tick_ns);
		/* One that comes in between sets it anew. The upper half QEMU keeps before 9.1, and not since. */
		while (next = *comparator, poll(&more, 1, 0) > 0)
			hpet_wait(fd);
		if (!due) {
			puts("armed");
			fflush(stdout);
		}
		due = now + (int32_t)((uint32_t)next - (uint32_t)now);
	}
}

int main(int argc, char **argv)
{
	uint64_t ns = argc > 3 ? strtoull(argv[3], NULL, 10) : 10000000;
	int count;

	if (argc < 3)
		return 2;
	count = atoi(argv[2]);
	if (!strcmp(argv[1], "timer"))
		timer(count, ns);
	else if (!strcmp(argv[1], "rtc"))
		rtc(count);
	else if (!strcmp(argv[1], "hpet"))
		hpet(count, ns);
	else
		return 2;
	return 0;
}
