/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel types that this project's own BPF programs touch, and no more.
 *
 * Written by hand.  A structure lists only the members in use, in any order, and is declared
 * __attribute__((preserve_access_index)): accesses are relocated (CO-RE) against the running
 * kernel's BTF, so neither offset nor size matters here.
 * A policy needs none of this: it includes timewarp.bpf.h alone.
 */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s8 s8;
typedef __s16 s16;
typedef __s32 s32;
typedef __s64 s64;

/* bpf_helper_defs.h names these in prototypes */
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

enum { false, true };
typedef _Bool bool;

#endif /* __VMLINUX_H__ */
