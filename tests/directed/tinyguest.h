/* SPDX-License-Identifier: GPL-2.0 */
/* What the tiny guest's functions and the tests share. */
#ifndef TINYGUEST_H
#define TINYGUEST_H

#include <stdint.h>

/* Guest memory, mapped one to one */
#define TINY_MEM	0x800000UL
#define TINY_GDT	0x10000UL
#define TINY_IDT	0x11000UL
#define TINY_PML4	0x12000UL
#define TINY_PDPT	0x13000UL
#define TINY_PD		0x14000UL
#define TINY_IRQS	0x15000UL	/* timer interrupts taken, by all vCPUs */
#define TINY_LAST	0x15040UL	/* the latest TSC that any vCPU has read */
#define TINY_HV_PAGE	0x22000UL
#define TINY_KVMCLOCK	0x30000UL	/* a page for each vCPU */
#define TINY_IMAGE	0x100000UL
#define TINY_STACK	0x200000UL	/* a page for each vCPU */
#define TINY_AREA	0x300000UL	/* a page for each vCPU */

#define TINY_VECTOR	0x40
#define TINY_PORT_DONE	0x10

struct guest_area {
	volatile uint64_t progress;
	volatile uint64_t tsc;		/* read last */
	volatile uint64_t back;		/* how often it read less than before */
	volatile uint64_t worst;	/* and by how much at the worst */
	volatile uint64_t ahead;	/* how often it read more than arg, where that is a bound */
	volatile uint64_t count;
	volatile uint64_t arg;		/* as started with; the VMM may change it */
};

typedef void guest_fn(struct guest_area *a);

guest_fn guest_halt;		/* interrupts off, for ever */
guest_fn guest_spin;		/* counts progress, without an exit */
guest_fn guest_read;		/* reads the TSC; it may not go back, here or against another vCPU */
guest_fn guest_ahead;		/* reads the TSC: the first in count, the longest step in worst, the last in tsc */
guest_fn guest_passed;		/* arg passed deadlines, each must be pending at once: counts those that are */
guest_fn guest_rewrite;		/* the same, written in a row of two: counts interrupts */
guest_fn guest_ticks;		/* a deadline each arg TSC ticks, halting between them: counts */
guest_fn guest_hv_page;	/* asks for Hyper-V's TSC page, as a guest that has just come up */
guest_fn guest_deadline;	/* a deadline at TSC arg, then spins: counts it */

extern const char __start_guest_text[], __stop_guest_text[];
extern const char guest_timer_handler[];

#endif
