/* SPDX-License-Identifier: GPL-2.0 */
/* What the programs of bpf/trace know of a unit: theirs alone, but that twctl forgets it.  Goes by trace.h's rules. */
#ifndef TRACE_UNIT_H
#define TRACE_UNIT_H

#include "trace.h"

/* A tick on its way into the guest */
struct tick {
	unsigned long long deadline_ns;
	unsigned long long fired_ns;
	unsigned long long injected_ns;
};

/*
 * What is known of a unit while it lives; place 0 is unused.
 * Written by the vCPU's own thread, by its timer, and by whoever raises the VM's interrupts.
 */
struct unit {
	unsigned int id;
	unsigned int fired;			/* set of sources: a tick in fired[] waits for its injection */
	unsigned int injected;			/* set of sources: ... in injected[] for its entry */
	unsigned int stats[TRACE_NR_SOURCES];	/* index in the map "stats"; 0: none yet */
	unsigned long long armed;		/* LAPIC: last deadline seen, to tell arming from re-starting */
	unsigned long long target;		/* LAPIC, periodic: deadline that expired last, timer's clock */
	unsigned int lvtt;			/* LAPIC: as it was when last looked at */
	struct tick fired_tick[TRACE_NR_SOURCES];
	struct tick injected_tick[TRACE_NR_SOURCES];
	unsigned char injected_vector[TRACE_NR_SOURCES];
	_Bool master_valid, master;
	_Bool xen_starting;
	unsigned int pit_pending;		/* PIT: as left by the last event */
	unsigned int rtc_lowered_by;		/* RTC: the thread that acknowledged for the guest */
	unsigned int rtc_coalesced;		/* RTC: not yet made up for */
	unsigned int lines;			/* set: lines of the VMM's timers that are high, by chip */
	unsigned long long line_ns[4];		/* when they were raised last */
	unsigned int segments;			/* VM: changes of its timeline; vCPU: as its clock has them */
	unsigned int old_version;		/* kvmclock: of the record that the guest had last */
	long long old_kvmclock_offset;
	unsigned long long stimer_exp[4];	/* Hyper-V: 100 ns units of the guest's reference counter */
};

#endif /* TRACE_UNIT_H */
