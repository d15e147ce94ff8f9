/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the kernel hook, the policies and twctl agree upon: numbers and record layouts.
 *
 * Shared by BPF and user space, so it includes nothing and uses the language's own types.
 * The enumerations repeat the kernel's ABI (arch/x86/kvm/timewarp.h); twctl compares
 * KVM_TIMEWARP_ABI, which changes when the meaning of something does, with the running kernel's BTF
 * before it loads anything. What may be there or not is looked for in that BTF by its name.
 */
#ifndef TIMEWARP_H
#define TIMEWARP_H

#define TIMEWARP_ABI 6

enum kvm_timewarp_abi {
	KVM_TIMEWARP_ABI = TIMEWARP_ABI,
};

/* How the guest's TSC is made to follow the timeline */
enum kvm_timewarp_tsc_mode {
	KVM_TIMEWARP_TSC_AUTO = 0,	/* scaled where the CPU can, else trapped */
	KVM_TIMEWARP_TSC_SCALED = 1,	/* hardware TSC scaling: no exits */
	KVM_TIMEWARP_TSC_TRAPPED = 2,	/* RDTSC exits: works on every CPU */
	KVM_TIMEWARP_TSC_OFFSET = 3,	/* TSC keeps the host's rate; kvmclock and timers follow */
};

/* Why the policy is being asked */
enum kvm_timewarp_event {
	KVM_TIMEWARP_ATTACH = 1,	/* a negative answer refuses the attach */
	KVM_TIMEWARP_SWAP = 2,		/* this policy takes over from another */
	KVM_TIMEWARP_PARAMS = 3,	/* user space changed parameters */
	KVM_TIMEWARP_HOST_TIME = 4,	/* next_host_ns has come */
	KVM_TIMEWARP_GUEST_TIME = 5,	/* next_guest_ns has come */
	KVM_TIMEWARP_IDLE = 6,		/* all vCPUs have been halted for next_idle_ns */
	KVM_TIMEWARP_LATE = 7,		/* a timer was late by next_late_ns */
	KVM_TIMEWARP_ASKED = 8,		/* kvm_timewarp_ask() was called for this VM */
};

/* What a policy is told of its VM, as bits */
enum kvm_timewarp_state {
	KVM_TIMEWARP_HELD = 1,		/* guest time stands still, as the policy has asked */
	KVM_TIMEWARP_TELLS = 2,		/* leaps are told to the guest, by way of kvmclock */
	KVM_TIMEWARP_ONE_SHOT = 4,	/* no timer of KVM's is periodic: a leap past some loses no tick */
	KVM_TIMEWARP_PASSED_TIMERS = 8,	/* it has leapt with PAST_TIMERS, ever: a policy took it to count no ticks */
};

/* What a policy can answer beside numbers, as bits */
enum kvm_timewarp_answer_flags {
	KVM_TIMEWARP_HOLD = 1,		/* guest time stands still until an answer without it */
	KVM_TIMEWARP_IF_IDLE = 2,	/* leap only if no vCPU has run since, and past no timer */
	KVM_TIMEWARP_HOLD_NEXT = 4,	/* the same as HOLD from next_guest_ns on, to the ns */
	/* With IF_IDLE, past timers too, where state has ONE_SHOT. With any leap, that the guest counts no ticks: later policies go by it */
	KVM_TIMEWARP_PAST_TIMERS = 8,
};

/* What a policy may do that others may not, as bits of its flags */
enum kvm_timewarp_flags {
	KVM_TIMEWARP_F_BACKWARD = 1,	/* have guest time leap back */
};

/* Guest time leaps by no more than this at once: half an hour */
#define TIMEWARP_MAX_LEAP_NS 1800000000000ULL
/* One that has not run yet begins no further ahead: a hundred years */
#define TIMEWARP_MAX_START_NS 3155760000000000000ULL
/* The kernel asks a policy no sooner than this again, and counts a clamp for one that wants it */
#define TIMEWARP_MIN_INTERVAL_NS 1000000ULL
/* But tells it that all vCPUs have halted when they have been for as little as this */
#define TIMEWARP_MIN_IDLE_NS 10000ULL

/* Why the policy is no longer attached */
enum kvm_timewarp_exit_kind {
	KVM_TIMEWARP_EXIT_NONE = 0,
	KVM_TIMEWARP_EXIT_UNREG = 1,	/* its owner closed or detached the link */
	KVM_TIMEWARP_EXIT_VM_GONE = 2,
	KVM_TIMEWARP_EXIT_EJECTED = 3,	/* it misbehaved */
	KVM_TIMEWARP_EXIT_DISABLED = 4,	/* kvm.timewarp was set to 0 */
	KVM_TIMEWARP_EXIT_HOST = 5,	/* the host's TSC went unstable or back */
};

/* So many VMs can share a policy and its timeline */
#define TIMEWARP_MAX_VMS 16

/* Every mode's widest limits: a factor lies in [1 / LIMIT, LIMIT] */
#define TIMEWARP_FACTOR_LIMIT 10000

/* A factor as an exact rational: guest seconds per host second */
struct timewarp_factor {
	unsigned long long num;
	unsigned long long den;
};

/* Which clock says when, and from where it counts; 0 for never */
enum timewarp_when_kind {
	TIMEWARP_NEVER = 0,
	TIMEWARP_AT_GUEST = 1,	/* when the guest's time is ns */
	TIMEWARP_AT_HOST = 2,	/* when the host's time is ns */
	TIMEWARP_AFTER_GUEST = 3, /* ns of guest time later */
	TIMEWARP_AFTER_HOST = 4, /* ns of host time later */
};

/*
 * A moment, on the timeline's own scales (guest_ns and host_ns of struct kvm_timewarp_view).
 *
 * twctl turns dates into it. A guest's date cannot be read from outside, so it is defined: the
 * host's wall clock plus what guest_ns is ahead of host_ns. That is the date that the guest shows
 * unless somebody set its clock.
 */
struct timewarp_when {
	unsigned long long ns;
	unsigned long long kind;	/* enum timewarp_when_kind */
};

#define TIMEWARP_PIECES 16

/* Factors one after the other, each until its end; the last one has none */
struct timewarp_schedule {
	unsigned long long n;
	struct timewarp_piece {
		struct timewarp_factor factor;
		struct timewarp_when end;
	} piece[TIMEWARP_PIECES];
};

/* What a policy tells its loader while it is attached, see TIMEWARP_EVENTS() */
enum timewarp_event_kind {
	TIMEWARP_EVENT_DONE = 1,	/* it has done what it was for */
	TIMEWARP_EVENT_STEP = 2,	/* it goes on to its next part, the number of which is told */
	TIMEWARP_EVENT_LEAPS = 3,	/* it leaps no further than so many ms, for the guest's clock; 0: than a tick */
};

struct timewarp_event {
	unsigned int kind;		/* enum timewarp_event_kind */
	unsigned int number;
	unsigned long long host_ns;
	unsigned long long guest_ns;
};

#define TIMEWARP_REASON_LEN 32
#define TIMEWARP_MESSAGE_LEN 128

/*
 * How a policy ended, kept in a map of the policy's own, where the loader finds it although the
 * VM, and with it KVM's state file, is gone.  kind is written last.
 */
struct timewarp_exit_record {
	unsigned int kind;		/* enum kvm_timewarp_exit_kind */
	int code;			/* 0 or -errno */
	char reason[TIMEWARP_REASON_LEN];
	char message[TIMEWARP_MESSAGE_LEN];
};

/*
 * What the probes on the VMMs tell a policy, one VMM each, in the order of the VMs; without probes all
 * of it is 0.  A time of 0 means that the VMM is awake.
 */
struct timewarp_vmm_view {
	unsigned int pid;		/* the VMM; 0 for none that is probed */
	unsigned int stopped;		/* it has stopped the VM ("stop", a snapshot), as of when its main loop went to sleep */
	unsigned long long due_ns;	/* its next timer in guest time, by its clock; ~0: none */
	unsigned long long mono_ns;	/* its clock minus the timeline, as KVM continues it */
	unsigned long long kicks;	/* times that there was something to do for its devices */
	unsigned long long wakes;	/* times that a change of the timeline has woken it */
	unsigned long long own_kicks;	/* of the kicks, those that were not the guest's: it has woken by itself */
	unsigned long long hpet_reads, pm_reads;	/* how often the guest has read these counters */
};

struct timewarp_vmms {
	struct timewarp_vmm_view vm[TIMEWARP_MAX_VMS];
};

/*
 * Several VMs under one policy.  Each has the policy's programs, its own link and its place among the members;
 * parameters, state and this are shared.  The first living member leads: it alone asks the policy, and what
 * that answers becomes the plan of all, see timewarp_group.bpf.h.
 */
enum timewarp_phase {
	TIMEWARP_RUNS = 0,	/* all go by the plan, or are about to; the leader may make another */
	TIMEWARP_STOPS = 1,	/* all are to come to stand at stop_ns */
	TIMEWARP_TURNS = 2,	/* all stand; the last one works out from where and when they go on */
	TIMEWARP_GOES = 3,	/* all are to go on from go_ns at start_tsc, or to stay there if it holds */
};

enum timewarp_member_state {
	TIMEWARP_ABSENT = 0,	/* not attached yet */
	TIMEWARP_LIVES = 1,
	TIMEWARP_GONE = 2,
};

/* Guest times in these two are the group's: that of its first VM when it was made */
struct timewarp_plan {
	unsigned int nr;		/* counts up */
	unsigned int phase;		/* enum timewarp_phase */
	unsigned int holds;		/* all are to stand, or stand */
	unsigned int if_idle;		/* leap_ns is for VMs that are all idle */
	unsigned int leaps_back;
	unsigned int past_timers;	/* which may be passed by leap_ns */
	unsigned long long num, den;	/* the factor */
	unsigned long long stop_ns;	/* where to stop, so that none is there by now */
	unsigned long long leap_ns;	/* where the policy wants to go on from; 0 for where they stand */
	unsigned long long go_ns;	/* where they do */
	unsigned long long start_tsc;	/* and when */
	/* as the policy has answered */
	unsigned long long next_host_ns, next_guest_ns, next_idle_ns, next_late_ns;
	unsigned long long hold_next_ns;	/* where all are to stand then; 0 for nowhere */
};

/* What is known of a VM, as it was when its program ran last; written by that alone but for what is marked */
struct timewarp_member {
	unsigned int state;		/* enum timewarp_member_state */
	unsigned int id;		/* of its timeline */
	unsigned int went;		/* number of the last plan that it has gone on by */
	unsigned int bits;		/* enum kvm_timewarp_state */
	unsigned int nr_vcpus;
	unsigned int pad;
	long long shift_ns;		/* its guest time minus the group's; by user space */
	unsigned long long called_ns;	/* host time */
	unsigned long long stood_ns;	/* where it stands, if it does */
	unsigned long long idle_ns, next_timer_ns;
	unsigned long long lost_ticks, floors;
	unsigned long long late_ns, starved_ns, halted_ns;	/* since the policy was asked; the leader clears */
};

struct timewarp_group {
	unsigned int ready;		/* all are attached; by user space */
	unsigned int quits;		/* go to factor 1, and ask the policy no more; by user space */
	unsigned int begun;		/* the policy has been asked for all of them */
	unsigned int first;		/* enum kvm_timewarp_event: as what it was asked first */
	int refused;			/* -errno that it answered then */
	unsigned int polls;		/* how often members were asked for news that are not there yet */
	unsigned long long host_ns, host_tsc;	/* one moment, to tell how fast the TSC is */
	struct timewarp_plan plan;
	struct timewarp_member member[TIMEWARP_MAX_VMS];
};

/* Data sections, by the names of which user space finds the maps behind them */
#define TIMEWARP_GROUP_SECTION ".data.group"
#define TIMEWARP_MEMBER_SECTION ".rodata.member"	/* unsigned int: place among the members, from 1 on */
#define TIMEWARP_VMMS_SECTION ".data.vmms"
#define TIMEWARP_PARAMS_SECTION ".data.params"
#define TIMEWARP_EXIT_SECTION ".data.exit"
#define TIMEWARP_COUNTERS_SECTION ".data.counts"

/* The ring buffer through which a policy tells its loader something */
#define TIMEWARP_EVENTS_MAP "timewarp_events"
/* A variable that is in the object of a policy which tells somewhere that it is done */
#define TIMEWARP_DONE_VAR "timewarp_told_done"
/* And the one that says of what: it is done if the two are equal, and not 0 */
#define TIMEWARP_TASK_VAR "timewarp_task"
/* Likewise for other events, by their kind: how often it was told, and in the lower half the last one's number */
#define TIMEWARP_STEP_VAR "timewarp_told_step"
#define TIMEWARP_LEAPS_VAR "timewarp_told_leaps"
#define TIMEWARP_OTHER_VAR "timewarp_told_other"

/* A parameter's description travels in BTF declaration tags "timewarp.<key>=<value>" */
#define TIMEWARP_TAG_PREFIX "timewarp."
/* TIMEWARP_REFUSAL() numbers a policy's reasons from here on: beyond Linux's errors, and up to its MAX_ERRNO */
#define TIMEWARP_REFUSAL_FIRST 3000
#define TIMEWARP_REFUSAL_LAST 4095
/* Key of the tag with the words of reason FIRST + n: this and n */
#define TIMEWARP_TAG_REFUSAL "refusal"

/* Context of the programs that twctl runs to have a policy called */
struct timewarp_kick_args {
	unsigned int id;		/* of the timeline, from its state file */
};

#endif /* TIMEWARP_H */
