/* SPDX-License-Identifier: GPL-2.0 */
/*
 * All that the author of a policy includes.  No vmlinux.h is needed.
 *
 * A policy is one BPF object with
 *   - a summary:		TIMEWARP_SUMMARY()
 *   - parameters, if any:	TIMEWARP_PARAM(), TIMEWARP_PARAM_FACTOR(), TIMEWARP_PARAM_WHEN(),
 *				TIMEWARP_PARAM_SCHEDULE()
 *   - counters, if any:	TIMEWARP_COUNTER(), TIMEWARP_COUNTER_SIGNED()
 *   - events, if any:		TIMEWARP_EVENTS(), timewarp_tell()
 *   - the VMM's timers and devices, if they matter: TIMEWARP_VMMS(), timewarp_vmm_due_ns(),
 *     timewarp_vmm_kicks(), timewarp_vmm_own_kicks(), timewarp_vmm_wakes()
 *   - one decision function:	TIMEWARP_DECIDE()
 *   - an exit record:		TIMEWARP_EXIT_RECORD()
 *   - the table naming them:	TIMEWARP_OPS()
 * bpf/policies/constant.bpf.c is the shortest complete one; doc/policies.md is the guide.
 */
#ifndef TIMEWARP_BPF_H
#define TIMEWARP_BPF_H

#ifdef TIMEWARP_UNIT
/* This tree's unit tests compile policies for the host */
#include "policy_helpers.h"
#else
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
#endif
#include "timewarp.h"

#ifndef EINVAL
#define EINVAL 22
#define ERANGE 34
#endif
#ifndef EAGAIN
#define EAGAIN 11
#endif
#ifndef ETIME
#define ETIME 62
#endif

#define TIMEWARP_NS_PER_SEC 1000000000ULL

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/**
 * struct kvm_timewarp_view - what a policy knows; the verifier lets nobody write it
 * @event: why the policy is asked, enum kvm_timewarp_event
 * @id: of the VM's timeline: "id" in its state file
 * @nr_vcpus: vCPUs of the VM, or of all VMs of a group
 * @state: bits of enum kvm_timewarp_state
 * @host_tsc: the host's TSC at the moment that the next two are of
 * @host_ns: host time: CLOCK_MONOTONIC_RAW, time suspended included
 * @guest_ns: the timeline. After a detach it goes on at rate 1 and keeps its lead, so that minus
 *	      @host_ns it is what the guest has ever been put ahead by
 * @factor_num: numerator of the factor in force
 * @factor_den: its denominator
 * @idle_ns: for how long all vCPUs have been halted, in host ns; 0 if they are not
 * @next_timer_ns: guest time at which the next timer of those that KVM emulates is due; U64_MAX
 *		   if none is armed
 * @lost_ticks: ticks of the VM's timers that were lost, ever
 * @floors: timers that the kernel put off as they were too close, ever
 * @late_ns: how late, in guest ns, the latest LAPIC timer was that since the last call was delivered
 *	     or ought to have been
 * @starved_ns: host ns since the last call for which the worst off vCPU was ready and did not run
 * @halted_ns: host ns since the last call for which the busiest vCPU was halted
 *
 * The kernel may append to it.
 */
struct kvm_timewarp_view {
	__u32 event;
	__u32 id;
	__u32 nr_vcpus;
	__u32 state;
	__u64 host_tsc;
	__u64 host_ns;
	__u64 guest_ns;
	__u64 factor_num;
	__u64 factor_den;
	__u64 idle_ns;
	__u64 next_timer_ns;
	__u64 lost_ticks;
	__u64 floors;
	__u64 late_ns;
	__u64 starved_ns;
	__u64 halted_ns;
};

/**
 * struct kvm_timewarp_answer - what it answers; the factor is filled in, the rest is 0
 * @factor_num: numerator of the factor wanted, in guest seconds per host second
 * @factor_den: its denominator
 * @next_host_ns: ask again at this host time, 0 for never
 * @next_guest_ns: ask again when the guest gets here, 0 for never; the earlier one counts
 * @next_idle_ns: ask with KVM_TIMEWARP_IDLE when all vCPUs have been halted for so many host ns, at
 *		  least TIMEWARP_MIN_IDLE_NS and what this call and the last change took; once for each time that
 *		  they halt of themselves, however often the timeline changes meanwhile; 0 for never
 * @next_late_ns: ask again when a LAPIC timer is delivered so late, in guest ns, 0 for never
 * @leap_ns: guest time to go on from, at most TIMEWARP_MAX_LEAP_NS ahead of where it is, or
 *	     TIMEWARP_MAX_START_NS while the guest has not run yet, less where its TSC has more than
 *	     4.3 GHz; 0 for none.
 *	     Timers that are passed fire at once, each once. As far behind it only under
 *	     KVM_TIMEWARP_F_BACKWARD.
 * @start_tsc: host TSC at which the guest goes on, 0 for at once. Until then guest time stands where it
 *	       was, or at @leap_ns, and vCPUs are kept out of the guest; from then on it is that plus what
 *	       has passed since @start_tsc, times the factor, however late the host is. At most a second
 *	       ahead of @host_tsc. With KVM_TIMEWARP_HOLD it is not for use.
 * @flags: bits of enum kvm_timewarp_answer_flags
 *
 * The kernel clamps the factor to what the VM's TSC mode permits and counts each clamp; 16 bad
 * answers in a row eject the policy.  While guest time stands still (KVM_TIMEWARP_HOLD)
 * @next_guest_ns never comes: ask for @next_host_ns, or wait for KVM_TIMEWARP_PARAMS.  With
 * KVM_TIMEWARP_HOLD_NEXT it comes to stand at @next_guest_ns, to the nanosecond and however late the
 * policy is asked then; if it has passed meanwhile, where it is.
 *
 * The kernel may append to it.
 */
struct kvm_timewarp_answer {
	__u64 factor_num;
	__u64 factor_den;
	__u64 next_host_ns;
	__u64 next_guest_ns;
	__u64 next_idle_ns;
	__u64 next_late_ns;
	__u64 leap_ns;
	__u64 start_tsc;
	__u64 flags;
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
 * @decide: chooses the next segment: returns 0 having answered, or -errno to keep the
 *	    segment in force (at attach or swap: to refuse that with the errno, or with a
 *	    TIMEWARP_REFUSAL()).  Called at the
 *	    events above, at most once a millisecond but for KVM_TIMEWARP_IDLE, and never concurrently
 *	    for one VM; never for a clock read or a timer of the guest, never after @exit.
 * @exit: optional; the last call that the policy gets.  Not called if the attach failed.
 * @vm_fd: set by the loader: the VM
 * @tsc_mode: set by the loader: enum kvm_timewarp_tsc_mode
 * @flags: enum kvm_timewarp_flags: what it may want. The loader takes away what the user has not
 *	   allowed: to go backward, with --chaos or --allow-backward
 * @name: shown by twctl and in tracepoints
 */
struct kvm_timewarp_ops {
	int (*decide)(const struct kvm_timewarp_view *view, struct kvm_timewarp_answer *answer);
	void (*exit)(struct kvm_timewarp_exit *info);
	__s32 vm_fd;
	__u32 tsc_mode;
	__u64 flags;
	char name[16];
};

/* floor(a * b / c), with the product in 128 bits; U64_MAX where it does not fit or c is 0 */
extern __u64 kvm_timewarp_mul_div(__u64 a, __u64 b, __u64 c) __ksym;

/* The host's TSC now */
extern __u64 kvm_timewarp_host_tsc(void) __ksym;

/* Has the policy of the VM with that timeline be called with KVM_TIMEWARP_ASKED; 0 or -ENOENT */
extern int kvm_timewarp_ask(__u32 id) __ksym;

/*
 * Of a function that takes numbers, no pointers, and returns one: the verifier looks at it once, for any arguments, and not
 * again from each state in which it is called.
 */
#define __timewarp_once __attribute__((weak)) __noinline

#include "timewarp_group.bpf.h"

/* Whether no VM is at that place of a group any more, or yet: what is known of its VMM is of the past */
static __always_inline _Bool __timewarp_gone(__u32 i)
{
	return timewarp_member && !__timewarp_lives(i);
}

#define __TIMEWARP_TAG(key, value) __attribute__((btf_decl_tag(TIMEWARP_TAG_PREFIX key "=" value)))
#define __TIMEWARP_STR(x) #x
#define __TIMEWARP_XSTR(x) __TIMEWARP_STR(x)

/**
 * TIMEWARP_SUMMARY - what the policy does, for "twctl policy inspect" and "list"
 * @text: a sentence
 *
 * It states the license as well, which has to be the GPL: the kernel's helpers ask for it.
 */
#define TIMEWARP_SUMMARY(text)								\
	__TIMEWARP_TAG("summary", text)							\
	char LICENSE[] SEC("license") = "GPL"

/**
 * TIMEWARP_CHAOS_SUMMARY - the same, of a policy that gives the guest a bad clock on purpose
 * @text: a sentence
 *
 * "twctl attach" and "swap" take such a policy with --chaos alone.
 */
#define TIMEWARP_CHAOS_SUMMARY(text)							\
	__TIMEWARP_TAG("chaos", "1")							\
	TIMEWARP_SUMMARY(text)

/**
 * TIMEWARP_REFUSAL - why the policy may refuse what it is given, in its own words
 * @name: of an enumerator, for decide() to return as -name
 * @text: what is wrong, with the name of the parameter: "'until' is never: say when, such as until=30d"
 *
 * Stands before TIMEWARP_SUMMARY(), to which the words belong: behind it, clang drops them without a warning.
 * "twctl attach", "swap", "set" and "policy run" show them. An error of Linux refuses as well, and is shown as what
 * strerror() makes of it.
 */
#define TIMEWARP_REFUSAL(name, text) __TIMEWARP_REFUSAL(name, __COUNTER__, text)
#define __TIMEWARP_REFUSAL(name, nr, text) __TIMEWARP_REFUSAL_NR(name, nr, text)
#define __TIMEWARP_REFUSAL_NR(name, nr, text)						\
	enum { name = TIMEWARP_REFUSAL_FIRST + (nr) };					\
	_Static_assert(name <= TIMEWARP_REFUSAL_LAST, "too many reasons");		\
	__TIMEWARP_TAG(TIMEWARP_TAG_REFUSAL #nr, text) extern char LICENSE[]

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
	volatile type name SEC(TIMEWARP_PARAMS_SECTION) = (def);			\
	extern volatile type name

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
	volatile struct timewarp_factor name SEC(TIMEWARP_PARAMS_SECTION) = { (n), (d) };\
	extern volatile struct timewarp_factor name

/**
 * TIMEWARP_PARAM_WHEN - a moment that user space sets at attach and changes live
 * @name: as above
 * @help: a sentence
 *
 * The variable is a struct timewarp_when. The user writes a date, for the guest to reach
 * ("2038-01-19T03:14:00", UTC), a span of guest time ("30d"), or either with " host" for the
 * host's clock. Its default is never.
 */
#define TIMEWARP_PARAM_WHEN(name, help)							\
	__TIMEWARP_TAG("unit", "when")							\
	__TIMEWARP_TAG("help", help)							\
	volatile struct timewarp_when name SEC(TIMEWARP_PARAMS_SECTION) = {};		\
	extern volatile struct timewarp_when name

/**
 * TIMEWARP_PARAM_SCHEDULE - a list of factors that user space sets at attach and changes live
 * @name: as above
 * @help: a sentence
 *
 * The variable is a struct timewarp_schedule, empty by default. The user writes
 * "100 until 2038-01-19T03:13:00, 2 for 10m, 50 for 5s host, 1".
 */
#define TIMEWARP_PARAM_SCHEDULE(name, help)						\
	__TIMEWARP_TAG("unit", "schedule")						\
	__TIMEWARP_TAG("help", help)							\
	volatile struct timewarp_schedule name SEC(TIMEWARP_PARAMS_SECTION) = {};	\
	extern volatile struct timewarp_schedule name

/**
 * TIMEWARP_COUNTER - a number of the policy's own that "twctl status" shows by name
 * @name: of the variable, a volatile __u64, and of the counter
 * @unit: "ns" makes twctl show a duration; others, or "", are only shown
 * @help: a sentence
 */
#define TIMEWARP_COUNTER(name, unit, help) __TIMEWARP_COUNTER(__u64, name, unit, help)

/* Likewise a volatile __s64, which is shown with its sign: how far something is ahead, or behind */
#define TIMEWARP_COUNTER_SIGNED(name, unit, help) __TIMEWARP_COUNTER(__s64, name, unit, help)

#define __TIMEWARP_COUNTER(type, name, unit, help)					\
	__TIMEWARP_TAG("unit", unit)							\
	__TIMEWARP_TAG("help", help)							\
	volatile type name SEC(TIMEWARP_COUNTERS_SECTION) = 0

#define TIMEWARP_MAP_TYPE_RINGBUF 27	/* the kernel's BPF_MAP_TYPE_RINGBUF */
#define TIMEWARP_RB_AVAIL_DATA 0	/* and BPF_RB_AVAIL_DATA */

/*
 * What the policy is at, counted: another each time that it takes parameters. That it has told to be done is of one of
 * them, and a change has it begin anew.
 */
static volatile __u64 timewarp_task;

/**
 * TIMEWARP_EVENTS - have timewarp_tell() reach the "twctl attach" in the foreground, and "twctl wait"
 *
 * One in an object. twctl prints what is told, and can run a command or end when it is done.
 */
#define TIMEWARP_EVENTS()								\
	struct {									\
		__uint(type, TIMEWARP_MAP_TYPE_RINGBUF);					\
		__uint(max_entries, 4096);						\
	} timewarp_events SEC(".maps");							\
	/* Each is in the object only where it is told somewhere, and so tells twctl: the task that is done */ \
	static volatile __u64 timewarp_told_done;					\
	/* and of the others how often, in the upper half, and the last number, in the lower: one word, as it is read meanwhile */ \
	static volatile __u64 timewarp_told_step, timewarp_told_leaps, timewarp_told_other;	\
	static __always_inline void timewarp_tell(const struct kvm_timewarp_view *view,	\
						  __u32 kind, __u32 number)		\
	{										\
		struct timewarp_event event = { kind, number, view->host_ns, view->guest_ns };	\
											\
		if (kind == TIMEWARP_EVENT_DONE)						\
			timewarp_told_done = timewarp_task;				\
		else if (kind == TIMEWARP_EVENT_STEP)					\
			timewarp_told_step = ((timewarp_told_step >> 32) + 1) << 32 | number;	\
		else if (kind == TIMEWARP_EVENT_LEAPS)					\
			timewarp_told_leaps = ((timewarp_told_leaps >> 32) + 1) << 32 | number;	\
		else									\
			timewarp_told_other = ((timewarp_told_other >> 32) + 1) << 32 | number;	\
		/* nobody may read for a while: half of the room is for words that it is done */ \
		if (kind != TIMEWARP_EVENT_DONE &&					\
		    bpf_ringbuf_query(&timewarp_events, TIMEWARP_RB_AVAIL_DATA) >= 2048) \
			return;									\
		bpf_ringbuf_output(&timewarp_events, &event, sizeof(event), 0);		\
	}										\
	extern int __timewarp_events_end

/**
 * TIMEWARP_VMMS - have timewarp_vmm_due_ns(), timewarp_vmm_kicks(), timewarp_vmm_own_kicks(),
 * timewarp_vmm_wakes() and timewarp_vmm_stopped() know of VMMs
 *
 * One in an object. twctl shares it with its probes on the VMMs, where there are some.
 */
#define TIMEWARP_VMMS()									\
	volatile struct timewarp_vmms timewarp_vmms SEC(TIMEWARP_VMMS_SECTION) = {};	\
	/* When a VMM's timer is due next, in guest time: 0 while one is awake, U64_MAX	\
	 * if none is armed, or nothing is known of them				\
	 */										\
	__timewarp_once __u64 __timewarp_vmm_due_ns(void)				\
	{										\
		__u64 due = ~0ULL, one;							\
											\
		for (int i = 0; i < TIMEWARP_MAX_VMS; i++) {				\
			one = timewarp_vmms.vm[i].due_ns;				\
			if (!timewarp_vmms.vm[i].pid || one == ~0ULL || __timewarp_gone(i))	\
				continue;						\
			if (one)							\
				one -= timewarp_vmms.vm[i].mono_ns +			\
				       timewarp_group.member[i].shift_ns;		\
			if (one < due)							\
				due = one;						\
		}									\
		return due;								\
	}										\
	__attribute__((unused)) static __always_inline __u64				\
	timewarp_vmm_due_ns(__attribute__((unused)) const struct kvm_timewarp_view *view)	\
	{										\
		return __timewarp_vmm_due_ns();						\
	}										\
	/* How often there was something to do for a device of their VMMs': a guest has	\
	 * turned to it, or the VMM itself has; U64_MAX if that is not known of each	\
	 */										\
	__timewarp_once __u64 timewarp_vmm_kicks(void)				\
	{										\
		__u64 sum = 0;								\
											\
		for (int i = 0; i < TIMEWARP_MAX_VMS; i++) {				\
			if (timewarp_vmms.vm[i].pid)					\
				sum += timewarp_vmms.vm[i].kicks;			\
			else if (timewarp_member ? __timewarp_lives(i) : !i)		\
				return ~0ULL;						\
		}									\
		return sum;								\
	}										\
	/* How often of that no guest had turned to it: something was ready, or due */	\
	__timewarp_once __u64 timewarp_vmm_own_kicks(void)			\
	{										\
		__u64 sum = 0;								\
											\
		for (int i = 0; i < TIMEWARP_MAX_VMS; i++)				\
			sum += timewarp_vmms.vm[i].own_kicks;				\
		return sum;								\
	}										\
	/* How often a change of the timeline has woken one of their VMMs */		\
	__timewarp_once __u64 timewarp_vmm_wakes(void)				\
	{										\
		__u64 sum = 0;								\
											\
		for (int i = 0; i < TIMEWARP_MAX_VMS; i++)				\
			sum += timewarp_vmms.vm[i].wakes;				\
		return sum;								\
	}										\
	/* Whether one of them has stopped its VM, which then lives nothing of a leap */	\
	__timewarp_once int timewarp_vmm_stopped(void)				\
	{										\
		for (int i = 0; i < TIMEWARP_MAX_VMS; i++)				\
			if (timewarp_vmms.vm[i].stopped && !__timewarp_gone(i))		\
				return 1;						\
		return 0;								\
	}										\
	extern int __timewarp_vmms_end

/* A piece's number, in bounds that the verifier can see */
static __always_inline __u64 timewarp_piece_nr(__u64 i)
{
	barrier_var(i);
	return i & (TIMEWARP_PIECES - 1);
}

/* Where a struct timewarp_when points to, if counting starts at these times; U64_MAX for never */
static __always_inline __u64 timewarp_when_ns(__u64 kind, __u64 ns, __u64 host_ns, __u64 guest_ns)
{
	__u64 from = kind == TIMEWARP_AFTER_GUEST ? guest_ns :
		     kind == TIMEWARP_AFTER_HOST ? host_ns : 0;

	if (kind == TIMEWARP_NEVER || kind > TIMEWARP_AFTER_HOST || from + ns < from)
		return ~0ULL;
	return from + ns;
}

static __always_inline _Bool timewarp_on_host(__u64 kind)
{
	return kind == TIMEWARP_AT_HOST || kind == TIMEWARP_AFTER_HOST;
}

/**
 * timewarp_reached - whether a moment has come; if not, ask for a call then
 * @view: what the decision is made on
 * @answer: the decision
 * @kind: of the struct timewarp_when
 * @at_ns: what timewarp_when_ns() said
 *
 * The kernel may call somewhat early (its timer runs on the host's disciplined clock), so a
 * policy asks this at each call rather than trust the event.
 */
static __always_inline _Bool timewarp_reached(const struct kvm_timewarp_view *view,
					      struct kvm_timewarp_answer *answer, __u64 kind,
					      __u64 at_ns)
{
	if (at_ns == ~0ULL)
		return 0;
	if (timewarp_on_host(kind)) {
		if (view->host_ns >= at_ns)
			return 1;
		answer->next_host_ns = at_ns;
	} else {
		if (view->guest_ns >= at_ns)
			return 1;
		answer->next_guest_ns = at_ns;
	}
	return 0;
}

/**
 * TIMEWARP_DECIDE - define the decision function
 * @fn: its name
 * @view: the name under which its body knows the struct kvm_timewarp_view
 * @answer: the same for the struct kvm_timewarp_answer
 *
 * A policy that has told that it is done, and takes other parameters, is not, until it tells it again.
 * If the policy has several VMs, what stands there is true of all of them; see timewarp_group.bpf.h.
 */
#define TIMEWARP_DECIDE(fn, view, answer)						\
	static __always_inline int fn##_policy(const struct kvm_timewarp_view *view,	\
					       struct kvm_timewarp_answer *answer);	\
	static __always_inline int fn##_body(const struct kvm_timewarp_view *view,	\
					     struct kvm_timewarp_answer *answer)	\
	{										\
		__u64 task = timewarp_task;						\
		int r;									\
											\
		if (view->event <= KVM_TIMEWARP_PARAMS)					\
			timewarp_task = task + 1;					\
		r = fn##_policy(view, answer);						\
		/* it stays at what it was at */					\
		if (r)									\
			timewarp_task = task;						\
		return r;								\
	}										\
	__TIMEWARP_GROUP_DECIDE(fn)							\
	SEC("struct_ops")								\
	int fn(unsigned long long *args)						\
	{										\
		if (timewarp_member)							\
			return fn##_member((const struct kvm_timewarp_view *)args[0],	\
					   (struct kvm_timewarp_answer *)args[1]);	\
		return fn##_body((const struct kvm_timewarp_view *)args[0],		\
				 (struct kvm_timewarp_answer *)args[1]);		\
	}										\
	static __always_inline int							\
	fn##_policy(__attribute__((unused)) const struct kvm_timewarp_view *view,	\
		    __attribute__((unused)) struct kvm_timewarp_answer *answer)

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
 * A policy that wants to do more at its end writes its own SEC("struct_ops") function. Without this one
 * it cannot have several VMs.
 */
#define TIMEWARP_EXIT_RECORD(fn)							\
	volatile struct timewarp_exit_record timewarp_exit_record			\
		SEC(TIMEWARP_EXIT_SECTION) = {};					\
	SEC("struct_ops")								\
	void fn(unsigned long long *args)						\
	{										\
		__timewarp_store_exit(&timewarp_exit_record,				\
				      (struct kvm_timewarp_exit *)args[0]);		\
		if (timewarp_member)							\
			__timewarp_leave();						\
	}

/**
 * TIMEWARP_OPS - the policy's table; one in an object
 * @ops: the policy's name: 15 characters at most; a parameter may have the same
 * @...: .decide and .exit
 */
#define TIMEWARP_OPS(ops, ...) TIMEWARP_OPS_NAMED(ops, #ops, __VA_ARGS__)

/**
 * TIMEWARP_OPS_NAMED - the policy's table, for a name that is no word of C
 * @ops: a name for C
 * @text: the policy's name: 15 of [A-Za-z0-9_.-] at most
 * @...: .decide and .exit
 */
#define TIMEWARP_OPS_NAMED(ops, text, ...)						\
	_Static_assert(sizeof(text) <= 16, "a policy's name has 15 characters at most");\
	__TIMEWARP_TAG("abi", __TIMEWARP_XSTR(TIMEWARP_ABI))				\
	SEC(".struct_ops.link")								\
	struct kvm_timewarp_ops ops##_ops = { .name = text, __VA_ARGS__ };		\
	extern struct kvm_timewarp_ops ops##_ops

#endif /* TIMEWARP_BPF_H */
