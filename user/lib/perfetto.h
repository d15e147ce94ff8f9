/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Traces for the Perfetto UI: Chrome's JSON, as an array of events.  That form may lack its end, so what a
 * killed twctl leaves is a trace, too.
 */
#ifndef TW_PERFETTO_H
#define TW_PERFETTO_H

#include <stdio.h>

#include "roster.h"
#include "tracer.h"

struct tw_perfetto {
	FILE *f;
	char *buffer;
	unsigned int events;
	unsigned char named[TRACE_MAX_UNITS];
};

void tw_perfetto_begin(struct tw_perfetto *p, FILE *f);

/**
 * tw_perfetto_event - write an event
 * @u: whose
 * @who: the VM, for the names
 * @ev: the event
 *
 * A process is a VM, a thread a vCPU; a late tick is a slice from deadline to entry.
 */
void tw_perfetto_event(struct tw_perfetto *p, const struct tw_unit *u, const struct tw_known *who,
		       const struct trace_event *ev);

/* Whole events go to the file now; 0, or -1 with errno set */
int tw_perfetto_flush(struct tw_perfetto *p);

/* Ends the array and closes the file; 0, or -1 with errno set */
int tw_perfetto_end(struct tw_perfetto *p);

#endif /* TW_PERFETTO_H */
