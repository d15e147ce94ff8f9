/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A VM's timeline as the kernel keeps it (kernel-patch/common), without a VM, and a policy that is asked about it.
 *
 * Who drives it says when time passes and what the policy is told of the guest and its host.
 */
#ifndef TW_DRY_TIMELINE_H
#define TW_DRY_TIMELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "dry/machine.h"
#include "err.h"
#include "policy.h"
#include "timewarp.h"

#define TW_DRY_NEVER (~0ULL)
#define TW_DRY_FAR (1ULL << 62)		/* the timeline holds 292 years */
#define TW_DRY_MAX_BAD 16		/* answers in a row: the kernel ejects */

/* As a policy sees them; the ABI's number, which an object states, covers both */
struct tw_dry_view {
	uint32_t event, id, nr_vcpus, state;
	uint64_t host_tsc, host_ns, guest_ns, factor_num, factor_den, idle_ns, next_timer_ns;
	uint64_t lost_ticks, floors, late_ns, starved_ns, halted_ns;
};

struct tw_dry_answer {
	uint64_t factor_num, factor_den, next_host_ns, next_guest_ns, next_idle_ns, next_late_ns;
	uint64_t leap_ns, start_tsc, flags;
};

/* What can be wrong with a policy. Those up to TW_CRIME_ANSWERS are of an answer: the kernel clamps it, and counts it as bad */
enum tw_crime {
	TW_CRIME_ZERO, TW_CRIME_RANGE, TW_CRIME_PAST, TW_CRIME_BACK, TW_CRIME_FAR, TW_CRIME_BITS, TW_CRIME_START,
	TW_CRIME_ANSWERS,
	TW_CRIME_CODE = TW_CRIME_ANSWERS, TW_CRIME_SLOW, TW_CRIME_DIVIDE, TW_CRIME_CRASH, TW_CRIME_HANG, TW_CRIME_EJECT,
	TW_CRIME_REFUSED,
	TW_CRIMES
};

/* Of a crime: one word, for programs; and what the policy does, for people */
const char *tw_crime_word(enum tw_crime crime);
const char *tw_crime_text(enum tw_crime crime);

struct tw_dry {
	struct tw_machine machine;
	struct tw_outside outside;
	struct tw_dry_view view;	/* what it is told, and */
	struct tw_dry_answer answer;	/* what it answers */
	uint64_t args[2];
	size_t decide;
	uint64_t may;			/* enum kvm_timewarp_flags */
	/* The timeline. The host's TSC ticks once a nanosecond */
	uint64_t host_ns, guest_ns;
	uint64_t asked_ns;		/* host time at which it was asked last */
	struct timewarp_factor factor;
	bool held;
	uint64_t hold_at_ns;		/* guest time at which it will be; 0 */
	uint64_t next_host_ns, next_guest_ns, next_idle_ns, next_late_ns;
};

/**
 * tw_dry_open - a policy before it is attached, with its variables as they are then
 * @d: result, which stays where it is, to be closed, errors included
 * @p: open, with its parameters assigned; need not be loaded
 * @now_ns: both times of the timeline
 * @e: error, the first part of which is told
 *
 * Return: 0 or an exit status
 */
int tw_dry_open(struct tw_dry *d, const struct tw_policy *p, uint64_t now_ns, struct tw_err *e);

void tw_dry_close(struct tw_dry *d);

/* Its parameters; NULL if it has none */
void *tw_dry_params(const struct tw_dry *d, size_t *size);

/* What it knows of its VMM, for who plays that; NULL if it does not care. Nothing of it is known at first */
struct timewarp_vmms *tw_dry_vmms(const struct tw_dry *d);

/* Before it is asked: what the timeline has to do with goes into d->view, and into d->answer; all else is 0 */
void tw_dry_look(struct tw_dry *d, enum kvm_timewarp_event event);

/* Asks it; what decide() returns goes to @ret; false if it does not come to an end, see d->machine */
bool tw_dry_ask(struct tw_dry *d, int *ret);

/* What is wrong with the answer: a bit for each crime */
unsigned int tw_dry_wrong(const struct tw_dry *d);

/* Has the timeline go on as it answers, its leap apart */
void tw_dry_take(struct tw_dry *d);

/* Where the answer's leap goes, or 0; a condition that it may have is not looked at */
uint64_t tw_dry_leap_ns(const struct tw_dry *d);

/* Time until the answer's start_tsc passes on the host alone; returns how much */
uint64_t tw_dry_stand(struct tw_dry *d);

/* Time passes on the host; returns what passes in the guest */
uint64_t tw_dry_pass(struct tw_dry *d, uint64_t host_ns);

/* Host time until the guest's is there; TW_DRY_NEVER if it does not come there */
uint64_t tw_dry_until(const struct tw_dry *d, uint64_t guest_ns);

/* floor(a * b / c), at most TW_DRY_FAR */
uint64_t tw_dry_mul_div(uint64_t a, uint64_t b, uint64_t c);

#endif /* TW_DRY_TIMELINE_H */
