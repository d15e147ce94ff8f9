/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What one look at a VM leaves for the next: how its time stood, so that the next tells how fast it lived in between, for
 * whatever policy. In one file, which any twctl of root's refreshes; what is older than a minute gives way.
 */
#ifndef TW_LOOKS_H
#define TW_LOOKS_H

#include <stdbool.h>

#include "rate.h"
#include "state.h"

/* No rate is of a longer time than this, if there was another look within it */
#define TW_LOOKS_SPAN_NS 60000000000ULL

/**
 * tw_looks_from - how it stood before, from which its rate is to be told
 * @id: the VM
 * @st: its state; it is attached
 * @now: how it stands
 * @keeps: that is kept for the looks that follow: it has the counters of its policy, if there are any
 * @from: result: of the last minute the earliest look that is known. If there is one each ten seconds, half a minute old
 *
 * Return: false if there is none, or the policy was attached within the minute: then that is the moment to tell it from
 */
bool tw_looks_from(const char *id, const struct tw_state *st, const struct tw_rate_look *now, bool keeps,
		   struct tw_rate_look *from);

#endif /* TW_LOOKS_H */
