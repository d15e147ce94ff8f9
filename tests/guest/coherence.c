// SPDX-License-Identifier: GPL-2.0
/*
 * coherence MILLISECONDS PAUSE_US [CLOCK...] - every clock of the machine, between two readings of the TSC
 *
 * The TSC and kvmclock are one function of each other: the first line has its terms, "page TSC NS MUL
 * SHIFT" (tests/host/agree.t proves that they agree to 2 ns). Each other clock is read between two
 * readings of the TSC:
 *	NAME BEFORE VALUE AFTER
 * VALUE in the clock's own ticks; "unit NAME HZ WRAP" tells which, and where it begins anew (0: nowhere). The time
 * is CLOCK_MONOTONIC's.
 *
 *	mono	CLOCK_MONOTONIC_RAW: the clocksource that the kernel has, read through it
 *	hpet	the counter, by MMIO
 *	pit2	the PIT's channel 2, by its ports: what has been counted of 65536
 *	hv_page	Hyper-V's reference time by the TSC page, at one TSC
 *	hv_ref	Hyper-V's reference counter, an MSR
 *	rtc	the moment that the RTC's seconds change, by its ports; no other clock then
 *	ptp0	the host's wall clock, as KVM pairs it
 */
#include "page.h"
#include <errno.h>
#include <sys/mman.h>

#define PIT_HZ			1193181		/* as KVM has it: KVM_PIT_FREQ */
#define PIT_WRAP		65536
#define HV_X64_MSR_GUEST_OS_ID	0x40000000
#define HV_X64_MSR_TIME_REF_COUNT 0x40000020
#define HV_X64_MSR_REFERENCE_TSC 0x40000021

/* Hyper-V's (TLFS 12.7) */
struct hv_tsc_page {
	uint32_t seq;		/* 0: not to be used */
	uint32_t reserved;
	uint64_t scale;
	int64_t offset;
};

static char **only;
static volatile uint8_t *hpet;
static volatile struct hv_tsc_page *hv_page;
static int port = -1, ptp = -1, hv_msr = -1;
static int hunts, pit;

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
	printf("unit hpet %lu 0\n", 1000000000000000UL / (id >> 32));
}

/* The kernel's own IN and OUT: SVM as QEMU emulates it lets no user space have them, iopl() or not. */
static uint8_t in(int at)
{
	uint8_t v;

	if (pread(port, &v, 1, at) != 1)
		fail("/dev/port");
	return v;
}

static void out_port(int at, uint8_t v)
{
	if (pwrite(port, &v, 1, at) != 1)
		fail("/dev/port");
}

static int cmos(uint8_t reg)
{
	out_port(0x70, reg);
	return in(0x71);
}

/* Mode 2, its gate open and the speaker off: it reloads itself. The first time; then it goes on. */
static void open_pit(void)
{
	uint8_t gate = in(0x61);

	if (!(gate & 1)) {
		out_port(0x61, (gate & ~2) | 1);
		out_port(0x43, 0xb4);
		out_port(0x42, 0);
		out_port(0x42, 0);
	}
	printf("unit pit2 %u %u\n", PIT_HZ, PIT_WRAP);
}

static uint64_t read_pit(void)
{
	uint32_t left;

	out_port(0x43, 0x80);
	left = in(0x42);
	left |= in(0x42) << 8;
	return (PIT_WRAP - left) % PIT_WRAP;
}

static void hv_write(uint32_t msr, uint64_t v)
{
	if (pwrite(hv_msr, &v, sizeof(v), msr) != sizeof(v))
		fail("a Hyper-V MSR (QEMU's -cpu needs hv-time)");
}

/* A page of this process' becomes the machine's TSC page, until it ends. */
static void open_hyperv(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_LOCKED, -1, 0);
	int map = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry;

	hv_msr = open("/dev/cpu/0/msr", O_RDWR);
	if (hv_msr < 0)
		fail("/dev/cpu/0/msr");
	if (p == MAP_FAILED || map < 0 || pread(map, &entry, 8, (uintptr_t)p / 4096 * 8) != 8)
		fail("/proc/self/pagemap");
	close(map);
	memset(p, 0, 4096);
	hv_page = p;
	hv_write(HV_X64_MSR_GUEST_OS_ID, 1ULL << 48);
	hv_write(HV_X64_MSR_REFERENCE_TSC, (entry & ((1ULL << 55) - 1)) << 12 | 1);
	/* With an OS id KVM takes all hypercalls for Hyper-V's, ptp_kvm's too; the page stays without */
	hv_write(HV_X64_MSR_GUEST_OS_ID, 0);
	if (!hv_page->seq) {
		fprintf(stderr, "KVM has not filled in Hyper-V's TSC page\n");
		exit(2);
	}
	printf("unit hv_page 10000000 0\nunit hv_ref 10000000 0\n");
}

static uint64_t read_hv_page(uint64_t *tsc)
{
	uint64_t ref;
	uint32_t seq;

	do {
		seq = hv_page->seq;
		*tsc = rdtsc();
		ref = (uint64_t)((unsigned __int128)*tsc * hv_page->scale >> 64) + hv_page->offset;
	} while (!seq || hv_page->seq != seq);
	return ref;
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
	if (pit) {
		a = rdtsc();
		v = read_pit();
		b = rdtsc();
		out("pit2", a, v, b);
	}
	if (hv_page) {
		v = read_hv_page(&a);
		out("hv_page", a, v, a);
		a = rdtsc();
		if (pread(hv_msr, &v, sizeof(v), HV_X64_MSR_TIME_REF_COUNT) != sizeof(v))
			fail("HV_X64_MSR_TIME_REF_COUNT");
		b = rdtsc();
		out("hv_ref", a, v, b);
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
	printf("unit mono 1000000000 0\nunit ptp0 1000000000 0\nunit rtc 1 60\n");
	if (wanted("hpet"))
		open_hpet();
	if (wanted("hv_page") || wanted("hv_ref"))
		open_hyperv();
	if (wanted("ptp0") && (ptp = open("/dev/ptp0", O_RDWR)) < 0)
		fail("/dev/ptp0");
	hunts = wanted("rtc");
	pit = wanted("pit2");
	if ((hunts || pit) && (port = open("/dev/port", O_RDWR)) < 0)
		fail("/dev/port");
	if (pit)
		open_pit();
	/* Last: for a new Hyper-V page KVM sets its clocks anew, which moves an unattached kvmclock by some ns */
	show_page();
	end = clock_ns(CLOCK_MONOTONIC) + strtoull(argv[1], NULL, 10) * 1000000ULL;
	while (clock_ns(CLOCK_MONOTONIC) < end) {
		/* By itself: it keeps the others from being read */
		if (hunts) {
			hunt_rtc(end);
			continue;
		}
		/* The TSCs of vCPUs agree; a bracket must not span two of them */
		pin(cpu++ % nr);
		sample();
		if (pause_us)
			usleep(pause_us);
	}
	if (hv_page)
		hv_write(HV_X64_MSR_REFERENCE_TSC, 0);
	return 0;
}
