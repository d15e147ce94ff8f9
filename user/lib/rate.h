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

struct tw_rate {
	double rate;			/* guest seconds per host second */
	bool lately;			/* in the last minute; else since the policy was attached */
	enum tw_rate_bound bound;
};

/**
 * tw_rate_judge - work it out
 * @st: the state of a VM that is attached
 * @counters: of its policy, of which some tell more: rate, guard_ns, vmm_ns; may be empty
 * @counts: their values
 * @size: of @counts
 * @r: result
 */
void tw_rate_judge(const struct tw_state *st, const struct tw_params *counters, const void *counts, size_t size,
		   struct tw_rate *r);

/* A word for programs, and a sentence for people */
const char *tw_rate_bound_name(enum tw_rate_bound bound);
const char *tw_rate_bound_text(enum tw_rate_bound bound);

#endif /* TW_RATE_H */
