/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A policy driven through thousands of situations without a VM, for what the kernel would clamp or eject it for.
 *
 * It is asked as the kernel asks: at an attach or a swap, when parameters have changed, and at the times that it
 * asked for, late by a random span or a little early. Each attachment has its own random parameters, the first the
 * defaults, and starts with fresh variables. The same policy meets the same situations each time.
 */
#ifndef TW_DRY_CHECK_H
#define TW_DRY_CHECK_H

#include <stdint.h>

#include "dry/timeline.h"
#include "err.h"
#include "policy.h"

/* The first of its kind, and how to come to it */
struct tw_dry_crime {
	enum tw_crime kind;
	struct tw_dry_view view;
	struct tw_dry_answer answer;
	char *given;			/* its parameters: "with factor=1/3 awake=5s" */
	char why[160];			/* of TW_CRIME_CRASH: what it has done; else "" */
};

struct tw_dry_check {
	/* In: decisions to drive; there may be fewer where it asks for none */
	uint64_t want;
	/* Out */
	struct tw_dry_crime crime[TW_CRIMES];
	unsigned int n;			/* of them */
	uint64_t decisions, attachments;
	uint64_t refused, kept;		/* attachments and swaps; segments */
	uint64_t told;			/* events */
	uint64_t crimes;		/* with those that are not the first of their kind */
};

/**
 * tw_dry_check - drive it
 * @p: open
 * @c: see above; to be freed with tw_dry_check_free(), errors included
 * @e: error, the first part of which is told: it cannot be driven here
 *
 * Return: 0, with crimes or without, or an exit status
 */
int tw_dry_check(const struct tw_policy *p, struct tw_dry_check *c, struct tw_err *e);

void tw_dry_check_free(struct tw_dry_check *c);

#endif /* TW_DRY_CHECK_H */
