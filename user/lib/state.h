/* SPDX-License-Identifier: GPL-2.0 */
/* The state file that the kernel hook keeps for each VM in KVM's debugfs directory. */
#ifndef TW_STATE_H
#define TW_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "timewarp.h"

struct tw_state {
	unsigned int abi;
	bool attached;
	unsigned int id;			/* of the timeline, for kvm_timewarp_kick() */
	char policy[32];			/* "-" if none */
	unsigned int link_id;
	char tsc_mode[16];			/* scaled, trapped, offset or "-" */
	struct timewarp_factor asked, force, min, max;
	uint64_t since_host_ns;
	uint64_t host_ns, guest_ns, host_tsc, guest_tsc;	/* one instant */
	int64_t lead_ns;			/* guest_ns - host_ns: over all attachments */
	int64_t kvmclock_offset;			/* kvmclock - guest_ns */
	int64_t mono_ahead_ns, wall_ahead_ns;		/* as the last detach left them */
	uint64_t seq;
	uint64_t tsc_ratio;
	unsigned int tsc_frac_bits;		/* of that */
	int64_t tsc_offset;
	uint64_t pv_tsc, pv_ns;			/* where the segment began, and how it goes on */
	unsigned int pv_mul;
	int pv_shift;
	uint64_t held_last_ns, held_max_ns;
	uint64_t decisions, changes, clamps, floors, lost_ticks;
	bool held;				/* guest time stands still */
	uint64_t leaps, leapt_ns;		/* guest time left out, over all attachments */
	unsigned int exit_kind;
	int exit_code;
	char exit_reason[TIMEWARP_REASON_LEN];
	char exit_message[TIMEWARP_MESSAGE_LEN];
};

/**
 * tw_state_parse - read a state file's text
 * @text: "key value" lines; keys this version does not know are skipped
 * @st: result
 * @why: what is wrong, in words
 *
 * Return: 0, or -1 if a line does not parse or a key that matters is missing
 */
int tw_state_parse(const char *text, struct tw_state *st, const char **why);

/**
 * tw_state_read - read the state file of a VM
 * @dir: its debugfs directory
 * @st: result
 * @e: error
 *
 * Return: 0, or an exit status: TW_NO_VM if the VM has gone, TW_UNSUPPORTED if the kernel has no such file
 */
int tw_state_read(const char *dir, struct tw_state *st, struct tw_err *e);

/* The words for enum kvm_timewarp_exit_kind */
const char *tw_exit_kind_name(unsigned int kind);

#endif /* TW_STATE_H */
