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
	KVM_TIMEWARP_ABI = 6,
};

/* Who scales the guest's TSC. */
enum kvm_timewarp_tsc_mode {
	/* SCALED where the hardware can, else TRAPPED. */
	KVM_TIMEWARP_TSC_AUTO		= 0,
	/* The hardware (VMX and SVM TSC scaling); no exits. */
	KVM_TIMEWARP_TSC_SCALED		= 1,
	/* KVM; RDTSC(P) exits while the factor is not 1 or time is to stop at a given moment. */
	KVM_TIMEWARP_TSC_TRAPPED	= 2,
	/* Nobody: the TSC keeps its rate, only kvmclock and timers follow the timeline. */
	KVM_TIMEWARP_TSC_OFFSET		= 3,
};

/* Why a policy is asked to decide. */
enum kvm_timewarp_event {
	KVM_TIMEWARP_ATTACH	= 1,	/* first call; the VM still lives on host time */
	KVM_TIMEWARP_SWAP	= 2,	/* first call of a policy that replaces another */
	KVM_TIMEWARP_PARAMS	= 3,	/* user space has changed the policy's parameters */
	KVM_TIMEWARP_HOST_TIME	= 4,	/* it has come to &kvm_timewarp_answer.next_host_ns */
	KVM_TIMEWARP_GUEST_TIME	= 5,	/* it has come to &kvm_timewarp_answer.next_guest_ns */
	KVM_TIMEWARP_IDLE	= 6,	/* all vCPUs have been halted for as long as asked for */
	KVM_TIMEWARP_LATE	= 7,	/* a timer was found as late as asked for */
	KVM_TIMEWARP_ASKED	= 8,	/* a program has called kvm_timewarp_ask() */
};

/* What a policy can know of a VM, in bits. */
enum kvm_timewarp_state {
	/* Guest time stands still, as an earlier answer has asked. */
	KVM_TIMEWARP_HELD	= 1,
	/* Each vCPU has a kvmclock page: KVM tells of a leap, lest it be taken for a lockup. */
	KVM_TIMEWARP_TELLS	= 2,
	/* No timer that KVM emulates is periodic: a leap past some loses no tick. */
	KVM_TIMEWARP_ONE_SHOT	= 4,
	/* It has leapt with PAST_TIMERS, ever: a policy took it to count no ticks. */
	KVM_TIMEWARP_PASSED_TIMERS	= 8,
};

/* What a policy can answer beside numbers, in bits. */
enum kvm_timewarp_answer_flags {
	/* Guest time stands still, with vCPUs out of the guest, until an answer without it. */
	KVM_TIMEWARP_HOLD	= 1,
	/* Leap only if all vCPUs have been halted since the call, and past no armed timer. */
	KVM_TIMEWARP_IF_IDLE	= 2,
	/*
	 * As HOLD from @next_guest_ns on, to the ns; only with a later one.  Where a guest
	 * reads its TSC without KVM and a vCPU that stops late has seen more, at that.
	 */
	KVM_TIMEWARP_HOLD_NEXT	= 4,
	/* With IF_IDLE or a leap: past armed timers as well, as the guest counts no ticks. */
	KVM_TIMEWARP_PAST_TIMERS	= 8,
};

/* What a policy may do that others may not, in bits. */
enum kvm_timewarp_flags {
	KVM_TIMEWARP_F_BACKWARD	= 1,	/* have guest time leap back */
};

/* Guest time leaps by no more than this at once: half an hour; as far back, with F_BACKWARD. */
#define KVM_TIMEWARP_MAX_LEAP_NS	(1800ULL * 1000000000ULL)
/* A guest that has not run yet may begin so far ahead: a hundred years. */
#define KVM_TIMEWARP_MAX_START_NS	(36525ULL * 86400ULL * 1000000000ULL)

/* Why a policy was called for the last time. */
enum kvm_timewarp_exit_kind {
	KVM_TIMEWARP_EXIT_NONE		= 0,	/* it was not */
	KVM_TIMEWARP_EXIT_UNREG		= 1,	/* its link was closed, detached or swapped */
	KVM_TIMEWARP_EXIT_VM_GONE	= 2,	/* the VM was destroyed */
	KVM_TIMEWARP_EXIT_EJECTED	= 3,	/* it kept giving answers that KVM could not use */
	KVM_TIMEWARP_EXIT_DISABLED	= 4,	/* the module parameter was switched off */
	KVM_TIMEWARP_EXIT_HOST		= 5,	/* the host's TSC became unstable, or it slept */
};

/* What a policy knows. */
struct kvm_timewarp_view {
	u32 event;		/* enum kvm_timewarp_event */
	u32 id;			/* of the VM's timeline, as in its state file */
	u32 nr_vcpus;		/* online ones */
	u32 state;		/* bits of enum kvm_timewarp_state */
	u64 host_tsc;		/* the moment that the next two are of */
	u64 host_ns;		/* host time: CLOCK_MONOTONIC_RAW since boot, with suspend */
	/* What it is ahead of @host_ns stays from one attachment to the next; 0 at first. */
	u64 guest_ns;
	u64 factor_num;		/* factor in force, guest seconds per host second */
	u64 factor_den;
	u64 idle_ns;		/* host ns for which all vCPUs have been halted, 0 if not */
	u64 next_timer_ns;	/* when the next emulated timer is due; U64_MAX for never */
	u64 lost_ticks;		/* ticks of the VM's timers that were lost, ever */
	u64 floors;		/* timers put off as they were too close, ever */
	/* Since the last call: how late, in guest ns, the latest LAPIC timer was, or still is. */
	u64 late_ns;
	u64 starved_ns;		/* host ns for which the worst off vCPU was ready and did not run */
	u64 halted_ns;		/* host ns for which the busiest vCPU was halted */
};

/* What a policy wants, until the next call. */
struct kvm_timewarp_answer {
	u64 factor_num;		/* filled in with that in force */
	u64 factor_den;
	/* When to be called again, 0 for never; but no sooner than in a millisecond of the host. */
	u64 next_host_ns;	/* host time */
	u64 next_guest_ns;	/* guest time, which never comes while that stands still */
	/* Host ns of all vCPUs halted, 10000 at least, and what the last call and change took. */
	u64 next_idle_ns;
	u64 next_late_ns;	/* guest ns by which a LAPIC timer is delivered late */
	/* Guest time to go on from; 0, and one that has passed by then, for none. */
	u64 leap_ns;
	/*
	 * Host TSC at which guest time goes on from where it stands until then, at most a
	 * second from &kvm_timewarp_view.host_tsc; 0 for at once.  Guest time is a function
	 * of the two and of the factor alone: VMs with the same three are in step.
	 */
	u64 start_tsc;
	u64 flags;		/* bits of enum kvm_timewarp_answer_flags */
};

/* Why a policy ended. */
struct kvm_timewarp_exit {
	u32 kind;		/* enum kvm_timewarp_exit_kind */
	s32 code;		/* a negative errno, or 0 */
	char reason[32];	/* one word */
	char message[128];	/* one sentence */
};

#define KVM_TIMEWARP_NAME_LEN	16

/**
 * struct kvm_timewarp_ops - a policy
 * @decide: Decide the next segment of the timeline.  Required.  Called in process context
 *	    when an event of enum kvm_timewarp_event happens: never for a clock read, never
 *	    concurrently for one VM, never with vCPUs held, at most once a millisecond but
 *	    for KVM_TIMEWARP_IDLE, and not after @exit.  It cannot sleep.
 *	    Returns 0 to have the answer applied, a negative errno to keep the segment; at
 *	    attach or swap the errno refuses that.
 * @exit: The policy has ended.  Optional; the last call.  Not made when attaching fails.
 * @vm_fd: The VM, as a file descriptor of the task that creates the link, which must close
 *	   it afterwards, or the VM cannot die.
 * @tsc_mode: enum kvm_timewarp_tsc_mode.  Ignored on swap.
 * @flags: Bits of enum kvm_timewarp_flags.
 * @name: Name of the policy, of [A-Za-z0-9_.-].  Required.
 *
 * Attached by a BPF link only, and swapped by updating the link.  A VM has at most
 * one, and a table one VM.  When the link goes away guest time continues at factor 1.
 */
struct kvm_timewarp_ops {
	int (*decide)(const struct kvm_timewarp_view *view, struct kvm_timewarp_answer *answer);
	void (*exit)(struct kvm_timewarp_exit *info);
	s32 vm_fd;
	u32 tsc_mode;
	u64 flags;
	char name[KVM_TIMEWARP_NAME_LEN];
};

#ifdef CONFIG_KVM_TIMEWARP
void kvm_timewarp_init(void);
void kvm_timewarp_exit(void);
void kvm_timewarp_destroy_vm(struct kvm *kvm);
void kvm_timewarp_free_vm(struct kvm *kvm);
void kvm_timewarp_host_clock(struct kvm *kvm);
void kvm_timewarp_create_vm_debugfs(struct kvm *kvm);
#else
static inline void kvm_timewarp_init(void) {}
static inline void kvm_timewarp_exit(void) {}
static inline void kvm_timewarp_destroy_vm(struct kvm *kvm) {}
static inline void kvm_timewarp_free_vm(struct kvm *kvm) {}
static inline void kvm_timewarp_host_clock(struct kvm *kvm) {}
static inline void kvm_timewarp_create_vm_debugfs(struct kvm *kvm) {}
#endif

void kvm_timewarp_idle(struct kvm_timeline *tl);
void kvm_timewarp_soon(struct kvm_timeline *tl, enum kvm_timewarp_event event);

#endif /* __KVM_X86_TIMEWARP_H */
