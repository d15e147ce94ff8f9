/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Timewarp: BPF policies that decide how fast the time of a VM runs.
 *
 * The types below are the interface to BPF programs.  They are found through
 * kvm.ko's BTF; fields may be appended, and are never moved.
 */
#ifndef __KVM_X86_TIMEWARP_H
#define __KVM_X86_TIMEWARP_H

#include <linux/types.h>

struct kvm;
struct kvm_timewarp;

/* Version of the interface; raised when a program built for it would not work. */
enum kvm_timewarp_abi {
	KVM_TIMEWARP_ABI = 4,
};

/**
 * enum kvm_timewarp_tsc_mode - who scales the guest's TSC
 * @KVM_TIMEWARP_TSC_AUTO: scaled where the hardware can, else trapped
 * @KVM_TIMEWARP_TSC_SCALED: the hardware (VMX and SVM TSC scaling); no exits
 * @KVM_TIMEWARP_TSC_TRAPPED: KVM; RDTSC and RDTSCP exit while the factor is not 1
 * @KVM_TIMEWARP_TSC_OFFSET: nobody; the TSC keeps its rate, and only kvmclock
 *			     and timers follow the timeline
 */
enum kvm_timewarp_tsc_mode {
	KVM_TIMEWARP_TSC_AUTO		= 0,
	KVM_TIMEWARP_TSC_SCALED		= 1,
	KVM_TIMEWARP_TSC_TRAPPED	= 2,
	KVM_TIMEWARP_TSC_OFFSET		= 3,
};

/**
 * enum kvm_timewarp_event - why a policy is asked to decide
 * @KVM_TIMEWARP_ATTACH: first call; the VM still lives on host time
 * @KVM_TIMEWARP_SWAP: first call of a policy that replaces another
 * @KVM_TIMEWARP_PARAMS: user space has changed the policy's parameters
 * @KVM_TIMEWARP_HOST_TIME: the host time that the policy had asked for has come
 * @KVM_TIMEWARP_GUEST_TIME: the guest time that the policy had asked for has come
 * @KVM_TIMEWARP_IDLE: all vCPUs have been halted for as long as the policy had asked for
 * @KVM_TIMEWARP_LATE: a timer was found as late as the policy had asked for
 */
enum kvm_timewarp_event {
	KVM_TIMEWARP_ATTACH	= 1,
	KVM_TIMEWARP_SWAP	= 2,
	KVM_TIMEWARP_PARAMS	= 3,
	KVM_TIMEWARP_HOST_TIME	= 4,
	KVM_TIMEWARP_GUEST_TIME	= 5,
	KVM_TIMEWARP_IDLE	= 6,
	KVM_TIMEWARP_LATE	= 7,
};

/**
 * enum kvm_timewarp_state - what a policy can know of a VM
 * @KVM_TIMEWARP_HELD: guest time stands still, as an earlier answer has asked
 * @KVM_TIMEWARP_TELLS: each vCPU has a kvmclock page, by which KVM tells the
 *			guest that time has leapt, so that it does not take that for a lockup
 */
enum kvm_timewarp_state {
	KVM_TIMEWARP_HELD	= 1,
	KVM_TIMEWARP_TELLS	= 2,
};

/**
 * enum kvm_timewarp_answer - what a policy can answer beside numbers
 * @KVM_TIMEWARP_HOLD: guest time is to stand still, and vCPUs to be kept out of
 *		       the guest, until an answer without it
 * @KVM_TIMEWARP_IF_IDLE: leap only if all vCPUs are still halted when it is to
 *			  be done and none has run since, and past no armed timer
 * @KVM_TIMEWARP_HOLD_NEXT: guest time is to come to stand at @next_guest_ns, to the
 *			    ns, with vCPUs kept out of the guest, before the policy is
 *			    called for that; only with a later @next_guest_ns, and
 *			    without KVM_TIMEWARP_HOLD.  If guest time is there by then
 *			    it stands where it is.
 */
enum kvm_timewarp_answer {
	KVM_TIMEWARP_HOLD	= 1,
	KVM_TIMEWARP_IF_IDLE	= 2,
	KVM_TIMEWARP_HOLD_NEXT	= 4,
};

/**
 * enum kvm_timewarp_flags - what a policy may do that others may not
 * @KVM_TIMEWARP_F_BACKWARD: have guest time leap back, to see what the guest does
 *			     about it
 * @KVM_TIMEWARP_F_SKEW: set the TSCs of vCPUs apart, to the same end
 */
enum kvm_timewarp_flags {
	KVM_TIMEWARP_F_BACKWARD	= 1,
	KVM_TIMEWARP_F_SKEW	= 2,
};

/* Guest time leaps by no more than this at once: half an hour. */
#define KVM_TIMEWARP_MAX_LEAP_NS	(1800ULL * 1000000000ULL)

/* The TSCs of two vCPUs in a row are no further apart: a second. */
#define KVM_TIMEWARP_MAX_SKEW_NS	1000000000LL

/**
 * enum kvm_timewarp_exit_kind - why a policy was called for the last time
 * @KVM_TIMEWARP_EXIT_NONE: it was not
 * @KVM_TIMEWARP_EXIT_UNREG: its owner closed or detached the link, or swapped it
 * @KVM_TIMEWARP_EXIT_VM_GONE: the VM was destroyed
 * @KVM_TIMEWARP_EXIT_EJECTED: it kept giving answers that KVM could not use
 * @KVM_TIMEWARP_EXIT_DISABLED: the module parameter was switched off
 * @KVM_TIMEWARP_EXIT_HOST: the host's TSC became unstable
 */
enum kvm_timewarp_exit_kind {
	KVM_TIMEWARP_EXIT_NONE		= 0,
	KVM_TIMEWARP_EXIT_UNREG		= 1,
	KVM_TIMEWARP_EXIT_VM_GONE	= 2,
	KVM_TIMEWARP_EXIT_EJECTED	= 3,
	KVM_TIMEWARP_EXIT_DISABLED	= 4,
	KVM_TIMEWARP_EXIT_HOST		= 5,
};

/**
 * struct kvm_timewarp_ctx - what a policy knows, and what it answers
 * @event: enum kvm_timewarp_event; read only
 * @nr_vcpus: online vCPUs, of all VMs if there are several; read only
 * @host_ns: host time, CLOCK_MONOTONIC_RAW since boot with suspend; read only
 * @guest_ns: guest time; equals @host_ns at attach; read only
 * @factor_num: factor, guest seconds per host second; in: in force, out: wanted
 * @factor_den: its denominator
 * @next_host_ns: out: be called again at this host time, at the earliest a
 *		  millisecond from now; 0 for never
 * @next_guest_ns: out: be called again at this guest time; 0 for never
 * @next_late_ns: out: be called again, at the earliest a millisecond from now, when
 *		  a LAPIC timer is delivered so late, in guest ns; 0 for never
 * @lost_ticks: ticks that were lost so far; read only
 * @floors: timers put off so far as they were too close; read only
 * @late_ns: how late, in guest ns, the latest LAPIC timer was that since the last
 *	     call was delivered, or ought to have been; read only
 * @starved_ns: host time since the last call for which the worst off vCPU was ready
 *		to run and did not; read only
 * @halted_ns: host time since the last call for which the busiest vCPU was halted;
 *	     read only
 * @idle_ns: for how long all vCPUs have been halted, in host ns; 0 if they are not; read only
 * @next_timer_ns: guest time at which the next timer of those that KVM emulates
 *		   is due; U64_MAX if none is armed; read only
 * @state: bits of enum kvm_timewarp_state; read only
 * @next_idle_ns: out: be called with KVM_TIMEWARP_IDLE when all vCPUs have been
 *		  halted for this long, in host ns, at least a millisecond; once
 *		  for each time that they halt; 0 for never
 * @leap_ns: out: guest time to go on from, ahead of @guest_ns by at most
 *	     KVM_TIMEWARP_MAX_LEAP_NS; 0 for none.  Guest time that is there by
 *	     then stays.  Timers that are passed fire at once, each once.  With
 *	     KVM_TIMEWARP_F_BACKWARD it may be as far behind.
 * @answer: out: bits of enum kvm_timewarp_answer
 * @skew_ns: guest ns by which the TSC of each vCPU is ahead of that of the one before
 *	     it, behind if below 0, at most KVM_TIMEWARP_MAX_SKEW_NS; in: in force, out:
 *	     wanted.  Always 0 without KVM_TIMEWARP_F_SKEW.  A vCPU that is plugged in
 *	     later is set apart with the next change.  A kvmclock page goes by the TSC of
 *	     its own vCPU, so that clock shows the skew only where a guest reads it with
 *	     another vCPU's page.
 *
 * Of several VMs, @idle_ns and @next_timer_ns are the least, and bits of @state
 * are set that hold for all; a leap takes all of them to the same guest time.
 *
 * What was asked with @next_host_ns, @next_guest_ns, @next_late_ns and @next_idle_ns
 * holds until the next call, and so does KVM_TIMEWARP_HOLD_NEXT.  While guest time
 * stands still @next_guest_ns never comes.
 */
struct kvm_timewarp_ctx {
	u32 event;
	u32 nr_vcpus;
	u64 host_ns;
	u64 guest_ns;
	u64 factor_num;
	u64 factor_den;
	u64 next_host_ns;
	u64 next_guest_ns;
	u64 next_late_ns;
	u64 lost_ticks;
	u64 floors;
	u64 late_ns;
	u64 starved_ns;
	u64 halted_ns;
	u64 idle_ns;
	u64 next_timer_ns;
	u64 state;
	u64 next_idle_ns;
	u64 leap_ns;
	u64 answer;
	s64 skew_ns;
};

/**
 * struct kvm_timewarp_exit - why a policy ended
 * @kind: enum kvm_timewarp_exit_kind
 * @code: a negative errno, or 0
 * @reason: one word
 * @message: one sentence
 */
struct kvm_timewarp_exit {
	u32 kind;
	s32 code;
	char reason[32];
	char message[128];
};

#define KVM_TIMEWARP_NAME_LEN	16

/* So many VMs, beside the first, can share a policy and its timeline. */
#define KVM_TIMEWARP_MAX_PEERS	15

/**
 * struct kvm_timewarp_ops - a policy
 *
 * Attached by a BPF link only, and swapped by updating the link.  A VM has at
 * most one.  When the link goes away guest time continues at factor 1.
 */
struct kvm_timewarp_ops {
	/**
	 * @decide: Decide the next segment of the timeline.  Required.
	 *
	 * Called in process context when an event of enum kvm_timewarp_event
	 * happens: never for a clock read, never concurrently for one VM, never
	 * with vCPUs held, at most once a millisecond, and not after @exit.
	 *
	 * Return: 0 to have the answer in @ctx applied, a negative errno to keep
	 * the segment; at attach or swap the errno refuses that.
	 */
	int (*decide)(struct kvm_timewarp_ctx *ctx);

	/**
	 * @exit: The policy has ended.  Optional; the last call.  Not made when
	 * attaching fails.
	 */
	void (*exit)(struct kvm_timewarp_exit *info);

	/**
	 * @vm_fd: The VM, as a file descriptor of the task that creates the link.
	 * The task must close it afterwards, or the VM cannot die.
	 */
	s32 vm_fd;

	/** @tsc_mode: enum kvm_timewarp_tsc_mode. Ignored on swap. */
	u32 tsc_mode;

	/** @flags: Bits of enum kvm_timewarp_flags. */
	u64 flags;

	/** @name: Name of the policy, of [A-Za-z0-9_.-].  Required. */
	char name[KVM_TIMEWARP_NAME_LEN];

	/** @nr_peers: How many of @peer_fd there are. Must be 0 on swap. */
	u32 nr_peers;

	/**
	 * @peer_fd: VMs that share the timeline of @vm_fd, likewise as file
	 * descriptors.  Each change applies to all of them at one moment, or to
	 * none.  The policy is told of the time of one and the load of all.  A VM
	 * that dies leaves the others where they are.
	 */
	s32 peer_fd[KVM_TIMEWARP_MAX_PEERS];
};

void kvm_timewarp_init(void);
void kvm_timewarp_idle(struct kvm *kvm);
void kvm_timewarp_destroy_vm(struct kvm *kvm);
void kvm_timewarp_late(struct kvm *kvm);
void kvm_timewarp_stopped(struct kvm *kvm);
void kvm_timewarp_create_vm_debugfs(struct kvm *kvm);

#endif /* __KVM_X86_TIMEWARP_H */
