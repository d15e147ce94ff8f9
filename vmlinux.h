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

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_STACK = 23,
	BPF_MAP_TYPE_RINGBUF = 27,
};

/* KVM's timers and clocks, for bpf/trace */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

typedef s64 ktime_t;

struct hrtimer {
	ktime_t _softexpires;
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct qstr d_name;
};

/* The host's clock as NMIs read it: how TSC and CLOCK_MONOTONIC go together */
struct tk_read_base {
	u64 mask;
	u64 cycle_last;
	u32 mult;
	u32 shift;
	u64 xtime_nsec;
	ktime_t base;
};

struct tk_fast {
	struct tk_read_base base[2];
};

struct pvclock_vcpu_time_info {
	u32 version;
	u64 tsc_timestamp;
	u64 system_time;
	u32 tsc_to_system_mul;
	s8 tsc_shift;
	u8 flags;
};

struct timespec64 {
	s64 tv_sec;
};

struct kvm_timer {
	struct hrtimer timer;
	s64 period;
	ktime_t target_expiration;
	u32 timer_mode;
	u64 tscdeadline;
	u32 timer_advance_ns;
	atomic_t pending;
	bool hv_timer_in_use;
};

struct kvm_vcpu;

struct kvm_lapic {
	struct kvm_timer lapic_timer;
	struct kvm_vcpu *vcpu;
	bool apicv_active;
	void *regs;
};

struct kvm_pic;
struct kvm_ioapic;

struct kvm_arch {
	s64 kvmclock_offset;
	bool use_master_clock;
	struct kvm_pic *vpic;
	struct kvm_ioapic *vioapic;
};

struct kvm {
	struct kvm_arch arch;
	struct dentry *debugfs_dentry;
	int userspace_pid;
};

struct kvm_queued_interrupt {
	u8 nr;
};

struct kvm_vcpu_xen {
	u8 upcall_vector;
	u64 timer_expires;
	atomic_t timer_pending;
	struct hrtimer timer;
};

struct kvm_vcpu_hv;

struct kvm_vcpu_arch {
	struct kvm_lapic *apic;
	struct kvm_queued_interrupt interrupt;
	struct pvclock_vcpu_time_info hv_clock;
	u64 l1_tsc_offset;
	u64 l1_tsc_scaling_ratio;
	u32 virtual_tsc_khz;
	u32 hw_tsc_khz;
	bool tsc_catchup;
	int last_vmentry_cpu;
	struct kvm_vcpu_xen xen;
	struct kvm_vcpu_hv *hyperv;
};

struct kvm_vcpu {
	struct kvm *kvm;
	int vcpu_id;
	bool wants_to_run;
	struct kvm_vcpu_arch arch;
};

/* Of a patched KVM */
struct timeline_rate {
	u64 num;
	u64 den;
};

struct kvm_timeline {
	struct kvm *kvm;
	bool active;
	struct timeline_rate rate;
	u64 seg_host_tsc;
	bool frozen;
	u64 end_tsc;
	u64 tsc_ratio;
	u64 tsc_offset;
	u64 pv_tsc;
	u64 pv_ns;
	u32 pv_mul;
	s8 pv_shift;
	s64 wall_ns;
	s64 wall_ahead_ns;
	s64 mono_ns;
	s64 mono_ahead_ns;
	u64 held_last_ns;
};

struct kvm_timewarp_exit {
	u32 kind;
	s32 code;
	char reason[32];
};

union hv_stimer_config {
	u64 as_uint64;
};

struct kvm_vcpu_hv_stimer {
	struct hrtimer timer;
	int index;
	union hv_stimer_config config;
	u64 count;
	u64 exp_time;
};

struct kvm_vcpu_hv {
	struct kvm_vcpu *vcpu;
	struct kvm_vcpu_hv_stimer stimer[4];
};

struct kvm_irq_ack_notifier {
	int gsi;
};

struct kvm_kpit_state {
	s64 period;
	struct hrtimer timer;
	atomic_t reinject;
	atomic_t pending;
	struct kvm_irq_ack_notifier irq_ack_notifier;
};

struct kvm_pit {
	struct kvm *kvm;
	struct kvm_kpit_state pit_state;
};

struct kvm_kernel_irq_routing_entry {
	struct {
		unsigned int pin;
	} irqchip;
};

union kvm_ioapic_redirect_entry {
	u64 bits;
};

struct kvm_ioapic {
	union kvm_ioapic_redirect_entry redirtbl[24];
	struct kvm *kvm;
};

struct kvm_kpic_state {
	u8 irq_base;
};

struct kvm_pic {
	struct kvm *kvm;
	struct kvm_kpic_state pics[2];
};

/* For bpf/vmm.bpf.c */
struct pt_regs {
	unsigned long ax;
	unsigned long di;
	unsigned long si;
	unsigned long dx;
};

#pragma clang attribute pop

#endif /* __VMLINUX_H__ */
