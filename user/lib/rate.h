/* SPDX-License-Identifier: GPL-2.0 */
/* How fast a guest has lived, and what kept it from living faster. */
#ifndef TW_RATE_H
#define TW_RATE_H

#include <stddef.h>
#include <stdint.h>

#include "params.h"
#include "state.h"

enum tw_rate_bound {
	TW_RATE_FACTOR,			/* its policy asks for no more */
	TW_RATE_LIMIT,			/* the VM's TSC mode bears no more */
	TW_RATE_GUEST,			/* of a policy that skips idle time: the guest was awake */
	TW_RATE_VMM,			/* ... the VMM was, or had a timer due */
	TW_RATE_IDLE,			/* ... a device had been used, and may have had something under way */
	TW_RATE_LEAPS,			/* of another that leaps, as jump does: more than by its factor, so by how it leaps */
};

/* How a guest's time stood at a moment */
struct tw_rate_look {
	uint64_t host_ns, guest_ns;	/* host_ns 0: there is none */
	uint64_t leaps;
	uint64_t skips;			/* 1: its policy counts what idle time it waited for, and why */
	uint64_t guard_ns, vmm_ns;	/* ... host time by then */
};

struct tw_rate {
	double rate;			/* guest seconds per host second */
	uint64_t span_ns;		/* of the host, over which that is */
	bool since_attach;		/* that is since the policy was attached; else up to now */
	enum tw_rate_bound bound;
};

/**
 * tw_rate_look - how it stands
 * @st: the state of a VM that is attached
 * @counters: of its policy; may be empty, or NULL
 * @counts: their values
 * @size: of @counts
 * @look: result
 */
void tw_rate_look(const struct tw_state *st, const struct tw_params *counters, const void *counts, size_t size,
		  struct tw_rate_look *look);

/**
 * tw_rate_judge - work it out, between two moments of one attachment
 * @st: the state of the VM
 * @from: the earlier one; NULL: when it was attached
 * @now: the later one, at which @st was read
 * @r: result
 */
void tw_rate_judge(const struct tw_state *st, const struct tw_rate_look *from, const struct tw_rate_look *now,
		   struct tw_rate *r);

/* A word for programs, and a sentence for people */
const char *tw_rate_bound_name(enum tw_rate_bound bound);
const char *tw_rate_bound_text(enum tw_rate_bound bound);

#endif /* TW_RATE_H */
