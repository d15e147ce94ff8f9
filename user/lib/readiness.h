/* SPDX-License-Identifier: GPL-2.0 */
/* What this host has, what is missing, and the cure: for "twctl probe" and before each load. */
#ifndef TW_READINESS_H
#define TW_READINESS_H

#include <stddef.h>

#include "err.h"

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

const char *tw_verdict_name(enum tw_verdict v);

#endif /* TW_READINESS_H */
