/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A policy driven through a span of guest time without a VM.
 *
 * The timeline is kept as the kernel keeps it (kernel-patch/common), and the policy is asked when the kernel
 * would ask it, never late. Of the guest and its host something has to be assumed, and TW_DRY_ASSUMES_ says
 * what: a policy that goes by how they bear it goes otherwise with a real one.
 */
#ifndef TW_DRY_DRIVE_H
#define TW_DRY_DRIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "policy.h"
#include "timewarp.h"

/* When a guest that waits has something to do: each minute of its time */
#define TW_DRY_TIMER_NS 60000000000ULL

#define TW_DRY_ASSUMES_IDLE "a guest that waits, with a timer each minute of its time, and whose devices are quiet"
#define TW_DRY_ASSUMES_BUSY "a guest whose vCPUs never wait"
#define TW_DRY_ASSUMES_HOST "a host that is never late, and can do every factor"

/* A stretch with one factor, its leaps included */
struct tw_dry_segment {
	uint64_t guest_ns;		/* where it begins */
	struct timewarp_factor factor;
	bool held;			/* guest time stands */
	uint64_t guest_span_ns, host_span_ns;
	uint64_t leaps;
	int64_t leapt_ns;		/* of the span */
};

struct tw_dry_run {
	/* In */
	uint64_t host_ns;		/* when it begins; the guest's time is the same then */
	uint64_t span_ns;		/* of guest time */
	bool busy;
	void (*segment)(void *arg, const struct tw_dry_segment *s);
	void (*tells)(void *arg, uint64_t guest_ns, const struct timewarp_event *event);
	void *arg;
	/* Out */
	uint64_t decisions;
	uint64_t guest_span_ns, host_span_ns;
	bool stands;			/* it stopped short of the span: guest time stands, and nothing is asked for */
};

/**
 * tw_dry_drive - drive it
 * @p: open, with its parameters assigned, not loaded
 * @r: see above
 * @e: error: it refuses to be attached, or would be ejected
 *
 * Return: 0 or an exit status
 */
int tw_dry_drive(const struct tw_policy *p, struct tw_dry_run *r, struct tw_err *e);

#endif /* TW_DRY_DRIVE_H */
