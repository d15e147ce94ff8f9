// SPDX-License-Identifier: GPL-2.0
/*
 * born - which date each of the guest's clocks makes of its birth and of now
 *
 * Prints one line: kvmclock's wall clock, which is the date at which kvmclock was 0, as KVM wrote it when the
 * guest's kernel asked at boot; kvmclock now, out of vCPU 0's page; the TSC of that moment; the
 * system's date and the time since boot. All but the TSC in ns.
 */
#include "page.h"

#define MSR_KVM_WALL_CLOCK_NEW 0x4b564d00

struct wall {
	uint32_t version, sec, nsec;
};

static void read_wall(int kcore, struct wall *w)
{
	off_t at = page_offset_of(kcore, 0, MSR_KVM_WALL_CLOCK_NEW);

	if (at < 0 || pread(kcore, w, sizeof(*w), at) != sizeof(*w)) {
		fprintf(stderr, "kvmclock's wall clock is not in /proc/kcore\n");
		exit(2);
	}
}

int main(void)
{
	int kcore = open("/proc/kcore", O_RDONLY);
	uint64_t tsc, date, uptime;
	struct page p, q;
	struct wall w;
	off_t at;

	if (kcore < 0) {
		perror("/proc/kcore");
		return 2;
	}
	pin(0);
	at = page_offset(kcore, 0);
	read_wall(kcore, &w);
	do {
		if (at < 0 || pread(kcore, &p, sizeof(p), at) != sizeof(p))
			return 2;
		tsc = rdtsc();
		date = clock_ns(CLOCK_REALTIME);
		uptime = clock_ns(CLOCK_BOOTTIME);
		if (pread(kcore, &q, sizeof(q), at) != sizeof(q))
			return 2;
	} while (memcmp(&p, &q, sizeof(p)) || p.version & 1);
	printf("%lu %lu %lu %lu %lu\n", w.sec * 1000000000UL + w.nsec, page_ns(&p, tsc), tsc, date, uptime);
	return 0;
}
