/* SPDX-License-Identifier: GPL-2.0 */
/* What this host has, what is missing, and the cure: for "twctl probe" and before each load. */
#ifndef TW_HOST_H
#define TW_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

struct btf;

#define TW_KVM_DEBUGFS "/sys/kernel/debug/kvm"
#define TW_BPFFS "/sys/fs/bpf"
#define TW_SWITCH "/sys/module/kvm/parameters/timewarp"

enum tw_verdict {
	TW_PRESENT,
	TW_MISSING,
	TW_LIMITED,		/* works, with less */
	TW_UNKNOWN,		/* cannot tell, for want of privilege or of something above */
};

/* What a verb needs, as a set */
enum tw_need {
	TW_NEED_HOOK = 1,	/* all it takes to load a policy */
	TW_NEED_PIN = 2,	/* a BPF file system */
	TW_NEED_STATE = 4,	/* the state files */
	TW_NEED_TRACE = 8,	/* what trace, hist and stat take; no patch */
};

struct tw_check {
	const char *name;
	unsigned int needs;	/* enum tw_need: who cannot do without it */
	enum tw_verdict verdict;
	int status;		/* exit status where it is missing */
	char fact[160];
	char cure[200];
};

/**
 * tw_host_probe - make all checks
 * @checks: result, to be freed
 *
 * Return: how many there are
 */
size_t tw_host_probe(struct tw_check **checks);

/**
 * tw_host_require - refuse, with a cure, what this host cannot do
 * @needs: a set of enum tw_need
 * @e: error; its first part is left for the caller, see tw_what()
 *
 * Return: 0 or an exit status
 */
int tw_host_require(unsigned int needs, struct tw_err *e);

/**
 * tw_host_has_hook - whether the running KVM is a patched one, found out cheaply
 */
bool tw_host_has_hook(void);

/**
 * tw_host_kvm_btf - KVM's type information
 *
 * Return: BTF to be freed by nobody (it lives until the program ends), or NULL
 */
const struct btf *tw_host_kvm_btf(void);

/* Whether a type of the hook's has a member of that name: what came later than its version */
bool tw_host_knows(const char *type, const char *member);

/* The hook's ABI version out of KVM's BTF; -1 if there is no hook */
int tw_host_abi(void);

/* The host's wall clock minus host_ns, which is CLOCK_MONOTONIC_RAW and time suspended */
int64_t tw_host_epoch_ns(void);

/* Whether kvm.timewarp is on; true as well where there is no hook */
bool tw_host_switched_on(void);

/* Whether the CPU scales its guests' TSC: what TSC mode auto goes by */
bool tw_host_scales_tsc(void);

const char *tw_verdict_name(enum tw_verdict v);

#endif /* TW_HOST_H */
