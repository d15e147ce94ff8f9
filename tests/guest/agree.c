// SPDX-License-Identifier: GPL-2.0
/*
 * agree [SAMPLES [PAUSE_US]] - kvmclock, computed from each vCPU's own page, and the TSC
 *
 * Linux reads the page of vCPU 0 on all vCPUs, as the pages carry the stable bit. Here each
 * vCPU's own page is read: MSR 0x4b564d01 tells where it lies, /proc/kcore shows it. A sample is
 * a TSC between two looks at the page that found the same even version, and the ns that the page
 * makes of it: no time passes between the two clocks, so they can be compared to the nanosecond.
 *
 * Prints one line a sample: cpu, mark, TSC before it, the TSC, ns by the page, and the page: TSC, ns,
 * multiplier, shift, flags.
 */
#include "page.h"

struct sample {
	int cpu;
	uint64_t id, before, tsc;
	struct page page;
};

static void print(const struct sample *s)
{
	const struct page *p = &s->page;

	printf("%d %lu %lu %lu %lu %lu %lu %u %d %u\n", s->cpu, s->id, s->before, s->tsc,
	       page_ns(p, s->tsc), p->tsc, p->ns, p->mul, p->shift, p->flags);
}

static int same(const struct page *a, const struct page *b)
{
	return !memcmp(a, b, sizeof(*a)) && !(a->version & 1);
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 100, pause_us = argc > 2 ? atoi(argv[2]) : 0;
	int nr = cpus(), kcore = open("/proc/kcore", O_RDONLY), i, cpu, tries;
	uint64_t id = rdtsc() << 16, retries = 0;
	struct sample *s = calloc(n, sizeof(*s));
	struct page p, q;
	off_t at[64];

	if (kcore < 0 || !s || nr > 64) {
		perror("/proc/kcore");
		return 2;
	}
	for (cpu = 0; cpu < nr; cpu++) {
		at[cpu] = page_offset(kcore, cpu);
		if (at[cpu] < 0) {
			fprintf(stderr, "the page of vCPU %d is not in /proc/kcore\n", cpu);
			return 2;
		}
	}
	for (i = 0; i < n; i++) {
		cpu = i % nr;
		pin(cpu);
		for (tries = 0;; tries++, retries++) {
			if (tries == 10000) {
				fprintf(stderr, "the page of vCPU %d is never the same twice: version %u, then %u\n",
					cpu, p.version, q.version);
				return 3;
			}
			if (pread(kcore, &p, sizeof(p), at[cpu]) != sizeof(p))
				return 2;
			s[i].before = rdtsc();
			mark(id + i, s[i].before, cpu, 0);
			s[i].tsc = rdtsc();
			if (pread(kcore, &q, sizeof(q), at[cpu]) != sizeof(q))
				return 2;
			if (same(&p, &q))
				break;
		}
		s[i].cpu = cpu;
		s[i].id = id + i;
		s[i].page = p;
		if (pause_us)
			usleep(pause_us);
	}
	for (i = 0; i < n; i++)
		print(&s[i]);
	printf("retries %lu\n", retries);
	return 0;
}
