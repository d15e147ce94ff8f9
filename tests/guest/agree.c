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
#include "clock.h"
#include <elf.h>
#include <fcntl.h>

struct page {
	uint32_t version;
	uint32_t pad;
	uint64_t tsc;
	uint64_t ns;
	uint32_t mul;
	int8_t shift;
	uint8_t flags;
	uint8_t pad2[2];
} __attribute__((packed));

struct sample {
	int cpu;
	uint64_t id, before, tsc;
	struct page page;
};

#define MSR_KVM_SYSTEM_TIME_NEW 0x4b564d01
/* Where the kernel maps all memory, with 4 and 5 levels of page tables; the guest boots with nokaslr */
static const uint64_t direct_maps[] = { 0xffff888000000000, 0xff11000000000000 };

static uint64_t page_address(int cpu)
{
	char path[64];
	uint64_t v;
	int fd;

	snprintf(path, sizeof(path), "/dev/cpu/%d/msr", cpu);
	fd = open(path, O_RDONLY);
	if (fd < 0 || pread(fd, &v, sizeof(v), MSR_KVM_SYSTEM_TIME_NEW) != sizeof(v)) {
		perror(path);
		exit(2);
	}
	close(fd);
	return v & ~1ULL;
}

/* Where in /proc/kcore an address of the kernel stands, or -1. */
static off_t kcore_offset(int fd, uint64_t va)
{
	Elf64_Ehdr eh;
	Elf64_Phdr ph;
	int i;

	if (pread(fd, &eh, sizeof(eh), 0) != sizeof(eh))
		return -1;
	for (i = 0; i < eh.e_phnum; i++) {
		if (pread(fd, &ph, sizeof(ph), eh.e_phoff + i * sizeof(ph)) != sizeof(ph))
			return -1;
		if (ph.p_type == PT_LOAD && va >= ph.p_vaddr && va < ph.p_vaddr + ph.p_memsz)
			return ph.p_offset + (va - ph.p_vaddr);
	}
	return -1;
}

static uint64_t page_ns(const struct page *p, uint64_t tsc)
{
	uint64_t d = tsc - p->tsc;

	if (p->shift < 0)
		d >>= -p->shift;
	else
		d <<= p->shift;
	return p->ns + (uint64_t)((unsigned __int128)d * p->mul >> 32);
}

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
		at[cpu] = -1;
		for (i = 0; i < 2 && at[cpu] < 0; i++)
			at[cpu] = kcore_offset(kcore, direct_maps[i] + page_address(cpu));
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
