/* SPDX-License-Identifier: GPL-2.0 */
/* kvmclock's page of a vCPU, as the guest's kernel shows it in /proc/kcore. */
#ifndef TIMEWARP_GUEST_PAGE_H
#define TIMEWARP_GUEST_PAGE_H

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

#define MSR_KVM_SYSTEM_TIME_NEW 0x4b564d01
/* Where the kernel maps all memory, with 4 and 5 levels of page tables; the guest boots with nokaslr */
static const uint64_t direct_maps[] = { 0xffff888000000000, 0xff11000000000000 };

static uint64_t page_address(int cpu, uint32_t msr)
{
	char path[64];
	uint64_t v;
	int fd;

	snprintf(path, sizeof(path), "/dev/cpu/%d/msr", cpu);
	fd = open(path, O_RDONLY);
	if (fd < 0 || pread(fd, &v, sizeof(v), msr) != sizeof(v)) {
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

static inline uint64_t page_ns(const struct page *p, uint64_t tsc)
{
	uint64_t d = tsc - p->tsc;

	if (p->shift < 0)
		d >>= -p->shift;
	else
		d <<= p->shift;
	return p->ns + (uint64_t)((unsigned __int128)d * p->mul >> 32);
}

/* Where what a vCPU's MSR points to stands in /proc/kcore, or -1 */
static off_t page_offset_of(int kcore, int cpu, uint32_t msr)
{
	off_t at = -1;
	int i;

	for (i = 0; i < 2 && at < 0; i++)
		at = kcore_offset(kcore, direct_maps[i] + page_address(cpu, msr));
	return at;
}

/* Likewise its page */
static inline off_t page_offset(int kcore, int cpu)
{
	return page_offset_of(kcore, cpu, MSR_KVM_SYSTEM_TIME_NEW);
}

#endif
