/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Timewarp: BPF policies that decide how fast the time of a VM runs.
 *
 * The types below, up to struct kvm_timewarp_ops, are the interface to BPF programs.
 * They are found through kvm.ko's BTF: programs ask it whether a field or an
 * enumerator exists.  Fields may be appended, and are never moved.
 */
#ifndef __KVM_X86_TIMEWARP_H
#define __KVM_X86_TIMEWARP_H

#include <linux/bpf.h>
#include <linux/kref.h>
#include <linux/types.h>

struct kvm;
struct kvm_timeline;

/* Raised only when what is there already gets another meaning. */
enum kvm_timewarp_abi {
	KVM_TIMEWARP_ABI = 5,
};

/**
 * enum kvm_timewarp_tsc_mode - who scales the guest's TSC
 * @KVM_TIMEWARP_TSC_AUTO: scaled where the hardware can, else trapped
 * @KVM_TIMEWARP_TSC_SCALED: the hardware (VMX and SVM TSC scaling); no exits
 * @KVM_TIMEWARP_TSC_TRAPPED: KVM; RDTSC and RDTSCP exit while the factor is not 1
 *			      or guest time is to stop at a given moment
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
 * @KVM_TIMEWARP_ASKED: a program has called kvm_timewarp_ask()
 */
enum kvm_timewarp_event {
	KVM_TIMEWARP_ATTACH	= 1,
	KVM_TIMEWARP_SWAP	= 2,
	KVM_TIMEWARP_PARAMS	= 3,
	KVM_TIMEWARP_HOST_TIME	= 4,
	KVM_TIMEWARP_GUEST_TIME	= 5,
	KVM_TIMEWARP_IDLE	= 6,
	KVM_TIMEWARP_LATE	= 7,
	KVM_TIMEWARP_ASKED	= 8,
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
 * enum kvm_timewarp_answer_flags - what a policy can answer beside numbers
 * @KVM_TIMEWARP_HOLD: guest time is to stand still, and vCPUs to be kept out of
 *		       the guest, until an answer without it
 * @KVM_TIMEWARP_IF_IDLE: leap only if all vCPUs have been halted since the policy
 *			  was asked, and past no armed timer
 * @KVM_TIMEWARP_HOLD_NEXT: guest time is to come to stand at @next_guest_ns, to the
 *			    ns, with vCPUs kept out of the guest, before the policy is
 *			    called for that; only with a later @next_guest_ns, and
 *			    without KVM_TIMEWARP_HOLD.  Where a guest reads its TSC
 *			    without KVM, a vCPU that stops late may see a later time:
 *			    guest time then stands at that.
 */
enum kvm_timewarp_answer_flags {
	KVM_TIMEWARP_HOLD	= 1,
	KVM_TIMEWARP_IF_IDLE	= 2,
	KVM_TIMEWARP_HOLD_NEXT	= 4,
};

/**
 * enum kvm_timewarp_flags - what a policy may do that others may not
 * @KVM_TIMEWARP_F_BACKWARD: have guest time leap back
 */
enum kvm_timewarp_flags {
	KVM_TIMEWARP_F_BACKWARD	= 1,
};

/* Guest time leaps by no more than this at once: half an hour. */
#define KVM_TIMEWARP_MAX_LEAP_NS	(1800ULL * 1000000000ULL)
/* A guest that has not run yet may begin so far ahead: a hundred years. */
#define KVM_TIMEWARP_MAX_START_NS	(36525ULL * 86400ULL * 1000000000ULL)

/**
 * enum kvm_timewarp_exit_kind - why a policy was called for the last time
 * @KVM_TIMEWARP_EXIT_NONE: it was not
 * @KVM_TIMEWARP_EXIT_UNREG: its owner closed or detached the link, or swapped it
 * @KVM_TIMEWARP_EXIT_VM_GONE: the VM was destroyed
 * @KVM_TIMEWARP_EXIT_EJECTED: it kept giving answers that KVM could not use
 * @KVM_TIMEWARP_EXIT_DISABLED: the module parameter was switched off
 * @KVM_TIMEWARP_EXIT_HOST: the host's TSC became unstable, or the host slept
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
 * struct kvm_timewarp_view - what a policy knows
 * @event: enum kvm_timewarp_event
 * @id: of the VM's timeline, as in its state file
 * @nr_vcpus: online vCPUs
 * @state: bits of enum kvm_timewarp_state
 * @host_tsc: host TSC of the moment that the next two are of
 * @host_ns: host time, CLOCK_MONOTONIC_RAW since boot with suspend
 * @guest_ns: guest time.  What it is ahead of @host_ns stays from one attachment
 *	      of the VM to the next; 0 at first.
 * @factor_num: factor in force, guest seconds per host second
 * @factor_den: its denominator
 * @idle_ns: for how long all vCPUs have been halted, in host ns; 0 if they are not
 * @next_timer_ns: guest time at which the next timer of those that KVM emulates
 *		   is due; U64_MAX if none is armed
 * @lost_ticks: ticks of the VM's timers that were lost, ever
 * @floors: timers put off as they were too close, ever
 * @late_ns: how late, in guest ns, the latest LAPIC timer was that since the last
 *	     call was delivered, or ought to have been
 * @starved_ns: host time since the last call for which the worst off vCPU was ready
 *		to run and did not
 * @halted_ns: host time since the last call for which the busiest vCPU was halted
 */
struct kvm_timewarp_view {
	u32 event;
	u32 id;
	u32 nr_vcpus;
	u32 state;
	u64 host_tsc;
	u64 host_ns;
	u64 guest_ns;
	u64 factor_num;
	u64 factor_den;
	u64 idle_ns;
	u64 next_timer_ns;
	u64 lost_ticks;
	u64 floors;
	u64 late_ns;
	u64 starved_ns;
	u64 halted_ns;
};

/**
 * struct kvm_timewarp_answer - what a policy wants
 * @factor_num: factor, filled in with that in force
 * @factor_den: its denominator
 * @next_host_ns: be called again at this host time, at the earliest a
 *		  millisecond from now; 0 for never
 * @next_guest_ns: be called again at this guest time, which never comes while
 *		   guest time stands still; 0 for never
 * @next_idle_ns: be called with KVM_TIMEWARP_IDLE when all vCPUs have been
 *		  halted for this long, in host ns, at least a millisecond; once
 *		  for each time that they halt; 0 for never
 * @next_late_ns: be called again, at the earliest a millisecond from now, when
 *		  a LAPIC timer is delivered so late, in guest ns; 0 for never
 * @leap_ns: guest time to go on from, ahead by at most KVM_TIMEWARP_MAX_LEAP_NS, or
 *	     KVM_TIMEWARP_MAX_START_NS while no vCPU has entered the guest; 0 for
 *	     none.  Guest time that is there by then stays.  Timers that are passed
 *	     fire at once, each once.  With KVM_TIMEWARP_F_BACKWARD it may be as far
 *	     behind.
 * @start_tsc: host TSC at which guest time goes on, at most a second from
 *	       &kvm_timewarp_view.host_tsc; until then it stands, at @leap_ns if that is
 *	       set.  0 for at once; so is one that has passed, but for the time since,
 *	       which is made up for.  From then on it is a function of this, of where
 *	       it stood and of the factor alone: VMs with the same three are in step.
 * @flags: bits of enum kvm_timewarp_answer_flags
 *
 * What is asked holds until the next call.
 */
struct kvm_timewarp_answer {
	u64 factor_num;
	u64 factor_den;
	u64 next_host_ns;
	u64 next_guest_ns;
	u64 next_idle_ns;
	u64 next_late_ns;
	u64 leap_ns;
	u64 start_tsc;
	u64 flags;
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

/**
 * struct kvm_timewarp_ops - a policy
 *
 * Attached by a BPF link only, and swapped by updating the link.  A VM has at most
 * one, and a table one VM.  When the link goes away guest time continues at factor 1.
 */
struct kvm_timewarp_ops {
	/**
	 * @decide: Decide the next segment of the timeline.  Required.
	 *
	 * Called in process context when an event of enum kvm_timewarp_event
	 * happens: never for a clock read, never concurrently for one VM, never
	 * with vCPUs held, at most once a millisecond, and not after @exit.  It
	 * cannot sleep.
	 *
	 * Return: 0 to have the answer applied, a negative errno to keep
	 * the segment; at attach or swap the errno refuses that.
	 */
	int (*decide)(const struct kvm_timewarp_view *view, struct kvm_timewarp_answer *answer);

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
};

void kvm_timewarp_init(void);
void kvm_timewarp_exit(void);
void kvm_timewarp_destroy_vm(struct kvm *kvm);
void kvm_timewarp_free_vm(struct kvm *kvm);
void kvm_timewarp_host_clock(struct kvm *kvm);
void kvm_timewarp_create_vm_debugfs(struct kvm *kvm);
void kvm_timewarp_idle(struct kvm_timeline *tl);
void kvm_timewarp_soon(struct kvm_timeline *tl, enum kvm_timewarp_event event);

#endif /* __KVM_X86_TIMEWARP_H */
