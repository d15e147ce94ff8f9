/* SPDX-License-Identifier: GPL-2.0 */
/* Which programs of the tracer the running kernel has a place for. */
#ifndef TW_TRACE_PLACES_H
#define TW_TRACE_PLACES_H

#include <stdbool.h>

#include "text.h"

struct tw_trace_bpf;

/**
 * tw_places_choose - have those loaded that have a place
 * @skel: open, not loaded
 * @armed: those that count what guests arm as well
 * @missing: in: others that are not to be loaded; those without a place are added
 */
void tw_places_choose(const struct tw_trace_bpf *skel, bool armed, struct tw_strings *missing);

/* Those without one, without loading any; names to be freed */
void tw_places_missing(struct tw_strings *names);

/* Adds a name once; and whether it is there */
void tw_places_leave_out(struct tw_strings *missing, const char *name);
bool tw_places_left_out(const struct tw_strings *missing, const char *name);

/* Whether the CPU delivers interrupts by itself */
bool tw_places_have_apicv(void);

#endif /* TW_TRACE_PLACES_H */
