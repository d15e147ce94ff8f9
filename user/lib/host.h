/* SPDX-License-Identifier: GPL-2.0 */
/* Facts of this host, found out cheaply. */
#ifndef TW_HOST_H
#define TW_HOST_H

#include <stdbool.h>
#include <stdint.h>

#define TW_KVM_DEBUGFS "/sys/kernel/debug/kvm"
#define TW_BPFFS "/sys/fs/bpf"
#define TW_SECURITYFS "/sys/kernel/security"
#define TW_SWITCH "/sys/module/kvm/parameters/timewarp"

/**
 * tw_host_has_hook - whether the running KVM is a patched one, found out cheaply
 */
bool tw_host_has_hook(void);

/* Whether a type of the hook's has a member of that name: what came later than its version */
bool tw_host_knows(const char *type, const char *member);

/* The hook's ABI version out of KVM's BTF; -1 if there is no hook */
int tw_host_abi(void);

/* The host's wall clock minus host_ns, which is CLOCK_MONOTONIC_RAW and time suspended */
int64_t tw_host_epoch_ns(void);

enum tw_lockdown {
	TW_LOCKDOWN_UNKNOWN,	/* the kernel has securityfs, which is not mounted; or there is no sysfs */
	TW_LOCKDOWN_NONE,	/* also of a kernel that knows no lockdown, or no securityfs */
	TW_LOCKDOWN_INTEGRITY,		/* no BPF program writes to a process */
	TW_LOCKDOWN_CONFIDENTIALITY,	/* nor reads the kernel's memory */
};

/* How far this kernel is locked down */
enum tw_lockdown tw_host_lockdown(void);

/* Whether kvm.timewarp is on; true as well where there is no hook */
bool tw_host_switched_on(void);

/* What scales a guest's TSC: "SVM", "VMX", "" if the CPU cannot; NULL if that is not known */
const char *tw_host_tsc_scaling(void);

/* Whether the CPU scales its guests' TSC: what TSC mode auto goes by */
bool tw_host_scales_tsc(void);

#endif /* TW_HOST_H */
