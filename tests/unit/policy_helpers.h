/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A policy compiled for the host, to test it function by function: what timewarp.bpf.h includes in place of BPF's helpers
 * where TIMEWARP_UNIT is defined.
 *
 * Helpers that a policy may call and that are not here make the test end with a compiler error: add them, with something
 * that a test can repeat.
 */
#ifndef POLICY_HELPERS_H
#define POLICY_HELPERS_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef uint8_t __u8;
typedef int16_t __s16;
typedef uint16_t __u16;
typedef int32_t __s32;
typedef uint32_t __u32;
typedef long long __s64;
typedef unsigned long long __u64;

#define SEC(name)
#define __ksym
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define __noinline __attribute__((noinline))
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name
#define barrier() asm volatile("" ::: "memory")
#define barrier_var(var) asm volatile("" : "+r"(var))
#define bpf_printk(fmt, ...) 0

extern __u64 tw_unit_now_ns;
extern unsigned long tw_unit_told;

static inline long bpf_ringbuf_output(void *map, void *data, __u64 size, __u64 flags)
{
	(void)map, (void)data, (void)size, (void)flags;
	tw_unit_told++;
	return 0;
}

static inline __u64 bpf_ringbuf_query(void *map, __u64 what)
{
	(void)map, (void)what;
	return 0;
}

static inline __u64 bpf_ktime_get_ns(void)
{
	return tw_unit_now_ns;
}

static inline __u64 bpf_ktime_get_boot_ns(void)
{
	return tw_unit_now_ns;
}

__u32 bpf_get_prandom_u32(void);

static inline long bpf_loop(__u32 nr, void *fn, void *ctx, __u64 flags)
{
	long (*call)(__u64, void *) = (long (*)(__u64, void *))fn;
	__u32 i;

	(void)flags;
	for (i = 0; i < nr; i++)
		if (call(i, ctx))
			return i + 1;
	return nr;
}

#endif /* POLICY_HELPERS_H */
