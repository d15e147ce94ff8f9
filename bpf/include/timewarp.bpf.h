/* SPDX-License-Identifier: GPL-2.0 */
/*
 * All that the author of a policy includes.  No vmlinux.h is needed.
 *
 * A policy is one BPF object with
 *   - parameters, if any:	TIMEWARP_PARAM(), TIMEWARP_PARAM_FACTOR()
 *   - one decision function:	TIMEWARP_DECIDE()
 *   - an exit record:		TIMEWARP_EXIT_RECORD()
 *   - the table naming them:	TIMEWARP_OPS()
 * bpf/policies/constant.bpf.c is the shortest complete one.
 */
#ifndef TIMEWARP_BPF_H
#define TIMEWARP_BPF_H

/* C11 allows a typedef to be repeated, so these live with any vmlinux.h included before */
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

#include <bpf/bpf_helpers.h>
#include "timewarp.h"

#ifndef EINVAL
#define EINVAL 22
#define ERANGE 34
#endif

#define TIMEWARP_NS_PER_SEC 1000000000ULL

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/**
 * struct kvm_timewarp_ctx - one decision
 * @event: why the policy is asked, enum kvm_timewarp_event
 * @nr_vcpus: vCPUs of the VM
 * @host_ns: host time now: CLOCK_MONOTONIC_RAW, time suspended included
 * @guest_ns: the timeline at that moment; it equals @host_ns at the first attach
 * @factor_num: in: numerator of the factor in force; out: of the factor wanted
 * @factor_den: the denominator that goes with it
 * @next_host_ns: out: ask again at this host time, 0 for never
 * @next_guest_ns: out: ask again when the guest gets here, 0 for never; the earlier one counts
 *
 * The factor is guest seconds per host second.  The kernel clamps it to what the VM's TSC mode
 * permits and counts each clamp; 16 bad answers in a row eject the policy.
 */
struct kvm_timewarp_ctx {
	__u32 event;
	__u32 nr_vcpus;
	__u64 host_ns;
	__u64 guest_ns;
	__u64 factor_num;
	__u64 factor_den;
	__u64 next_host_ns;
	__u64 next_guest_ns;
};

/**
 * struct kvm_timewarp_exit - why a policy is being let go
 * @kind: enum kvm_timewarp_exit_kind
 * @code: 0 or a negative errno
 * @reason: one word
 * @message: a sentence, or empty
 */
struct kvm_timewarp_exit {
	__u32 kind;
	__s32 code;
	char reason[TIMEWARP_REASON_LEN];
	char message[TIMEWARP_MESSAGE_LEN];
};

#pragma clang attribute pop

/**
 * struct kvm_timewarp_ops - a policy; write it with TIMEWARP_OPS()
 * @decide: chooses the next segment: returns 0 having set the factor, or -errno to keep the
 *	    segment in force (at attach or swap: to refuse that with the errno).  Called at the
 *	    events above, at most once a millisecond and never concurrently for one VM; never for
 *	    a clock read or a timer of the guest, never after @exit.
 * @exit: optional; the last call that the policy gets.  Not called if the attach failed.
 * @vm_fd: set by the loader: the VM
 * @tsc_mode: set by the loader: enum kvm_timewarp_tsc_mode
 * @flags: must be 0
 * @name: shown by twctl and in tracepoints
 */
struct kvm_timewarp_ops {
	int (*decide)(struct kvm_timewarp_ctx *ctx);
	void (*exit)(struct kvm_timewarp_exit *info);
	__s32 vm_fd;
	__u32 tsc_mode;
	__u64 flags;
	char name[16];
};

/* floor(a * b / c), with the product in 128 bits; U64_MAX where it does not fit or c is 0 */
extern __u64 kvm_timewarp_mul_div(__u64 a, __u64 b, __u64 c) __ksym;

#define __TIMEWARP_TAG(key, value) __attribute__((btf_decl_tag(TIMEWARP_TAG_PREFIX key "=" value)))
#define __TIMEWARP_STR(x) #x
#define __TIMEWARP_XSTR(x) __TIMEWARP_STR(x)

/**
 * TIMEWARP_PARAM - a number that user space sets at attach and changes live
 * @type: an integer type or bool
 * @name: of the variable in C and of the parameter for "twctl attach --param name=value"
 * @def: default
 * @lo: least value accepted by twctl, a literal
 * @hi: greatest value accepted by twctl, a literal
 * @unit: "ns" makes twctl expect a duration such as "5s"; others, or "", are only shown
 * @help: a sentence
 *
 * After a change the policy is asked with KVM_TIMEWARP_PARAMS; if it answers with an error,
 * twctl puts the old value back.  The kernel protects itself, but the policy should check what
 * it leans on: not only twctl writes maps.
 */
#define TIMEWARP_PARAM(type, name, def, lo, hi, unit, help)				\
	_Static_assert((def) >= (lo) && (def) <= (hi), #name ": default out of range");	\
	__TIMEWARP_TAG("min", __TIMEWARP_XSTR(lo))					\
	__TIMEWARP_TAG("max", __TIMEWARP_XSTR(hi))					\
	__TIMEWARP_TAG("unit", unit)							\
	__TIMEWARP_TAG("help", help)							\
	volatile type name SEC(TIMEWARP_PARAMS_SECTION) = (def)

/**
 * TIMEWARP_PARAM_FACTOR - a factor that user space sets at attach and changes live
 * @name: as above; "twctl attach --factor F" sets the one named "factor"
 * @n: default numerator
 * @d: default denominator
 * @help: a sentence
 *
 * The variable is a struct timewarp_factor: "1/3" and "0.02" arrive exactly.
 */
#define TIMEWARP_PARAM_FACTOR(name, n, d, help)						\
	__TIMEWARP_TAG("unit", "factor")						\
	__TIMEWARP_TAG("help", help)							\
	volatile struct timewarp_factor name SEC(TIMEWARP_PARAMS_SECTION) = { (n), (d) }

/**
 * TIMEWARP_DECIDE - define the decision function
 * @fn: its name
 * @ctx: the name under which its body knows the struct kvm_timewarp_ctx
 */
#define TIMEWARP_DECIDE(fn, ctx)							\
	static __always_inline int fn##_body(struct kvm_timewarp_ctx *ctx);		\
	SEC("struct_ops")								\
	int fn(unsigned long long *args)						\
	{										\
		return fn##_body((struct kvm_timewarp_ctx *)args[0]);			\
	}										\
	static __always_inline int fn##_body(__attribute__((unused)) struct kvm_timewarp_ctx *ctx)

/* What TIMEWARP_EXIT_RECORD() stores through; byte by byte, which needs no helper that lockdown
 * or a missing capability could take away.
 */
static __always_inline void __timewarp_copy(volatile char *to, const char *from, int size)
{
	barrier_var(from);
#pragma clang loop unroll(full)
	for (int i = 0; i < size; i++)
		to[i] = from[i];
}

static __always_inline void __timewarp_store_exit(volatile struct timewarp_exit_record *to,
						  struct kvm_timewarp_exit *from)
{
	to->code = from->code;
	__timewarp_copy(to->reason, from->reason, TIMEWARP_REASON_LEN);
	__timewarp_copy(to->message, from->message, TIMEWARP_MESSAGE_LEN);
	barrier();
	to->kind = from->kind;
}

/**
 * TIMEWARP_EXIT_RECORD - define an exit function that keeps the reason for user space
 * @fn: its name, for the ops table
 *
 * A policy that wants to do more at its end writes its own SEC("struct_ops") function.
 */
#define TIMEWARP_EXIT_RECORD(fn)							\
	volatile struct timewarp_exit_record timewarp_exit_record			\
		SEC(TIMEWARP_EXIT_SECTION) = {};					\
	SEC("struct_ops")								\
	void fn(unsigned long long *args)						\
	{										\
		__timewarp_store_exit(&timewarp_exit_record,				\
				      (struct kvm_timewarp_exit *)args[0]);		\
	}

/**
 * TIMEWARP_OPS - the policy's table; one in an object
 * @ops: the policy's name: 15 characters at most; a parameter may have the same
 * @...: .decide and .exit
 */
#define TIMEWARP_OPS(ops, ...)								\
	_Static_assert(sizeof(#ops) <= 16, "a policy's name has 15 characters at most");\
	SEC(".struct_ops.link")								\
	struct kvm_timewarp_ops ops##_ops = { .name = #ops, __VA_ARGS__ }

#endif /* TIMEWARP_BPF_H */
