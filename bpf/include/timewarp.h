/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the kernel hook, the policies and twctl agree upon: numbers and record layouts.
 *
 * Shared by BPF and user space, so it includes nothing and uses the language's own types.
 * The enumerations repeat the kernel's ABI (arch/x86/kvm/timeline_ops.c); twctl compares
 * KVM_TIMEWARP_ABI with the running kernel's BTF before it loads anything.
 */
#ifndef TIMEWARP_H
#define TIMEWARP_H

enum kvm_timewarp_abi {
	KVM_TIMEWARP_ABI = 1,
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
};

/* Why the policy is no longer attached */
enum kvm_timewarp_exit_kind {
	KVM_TIMEWARP_EXIT_NONE = 0,
	KVM_TIMEWARP_EXIT_UNREG = 1,	/* its owner closed or detached the link */
	KVM_TIMEWARP_EXIT_VM_GONE = 2,
	KVM_TIMEWARP_EXIT_EJECTED = 3,	/* it misbehaved */
	KVM_TIMEWARP_EXIT_DISABLED = 4,	/* kvm.timewarp was set to 0 */
	KVM_TIMEWARP_EXIT_HOST = 5,	/* the host's TSC went unstable or back */
};

/* Every mode's widest limits: a factor lies in [1 / LIMIT, LIMIT] */
#define TIMEWARP_FACTOR_LIMIT 10000

/* A factor as an exact rational: guest seconds per host second */
struct timewarp_factor {
	unsigned long long num;
	unsigned long long den;
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

/* Data sections, by the names of which user space finds the maps behind them */
#define TIMEWARP_PARAMS_SECTION ".data.params"
#define TIMEWARP_EXIT_SECTION ".data.exit"

/* A parameter's description travels in BTF declaration tags "timewarp.<key>=<value>" */
#define TIMEWARP_TAG_PREFIX "timewarp."

/* Context of the program that twctl runs to announce changed parameters */
struct timewarp_kick_args {
	unsigned int id;		/* of the timeline, from its state file */
};

#endif /* TIMEWARP_H */
