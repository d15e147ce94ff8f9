/* SPDX-License-Identifier: GPL-2.0 */
/* Where QEMU keeps its clocks and timers, and which of its instructions read a clock. */
#ifndef TW_QEMU_LAYOUT_H
#define TW_QEMU_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/types.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "vm.h"
#include "vmm_state.h"

/*
 * RTCState of QEMU: around the pointer to its periodic timer stand, in words of 8 bytes,
 *	-5 base_rtc (s), -4 last_update (ns), -3 offset (ns), -2 irq, -1 it_shift,
 *	 0 periodic_timer, 1 next_periodic_time, 2 update_timer, 3 next_alarm_time
 */
#define VMM_RTC_BASE (-5 * 8)
#define VMM_RTC_LAST_UPDATE (-4 * 8)
#define VMM_RTC_OFFSET (-3 * 8)
#define VMM_RTC_NEXT_PERIODIC (1 * 8)
#define VMM_RTC_UPDATE_TIMER (2 * 8)
#define VMM_RTC_NEXT_ALARM (3 * 8)

#define TW_VMM_MAX_SITES 32

/* What there is to probe in a VMM */
struct tw_vmm_look {
	bool possible;
	char why[160];			/* if not: what was found */
	char why_rtc[160];		/* if the RTC's clock must stay the host's; else empty */
	bool rtc_virtual;		/* the RTC runs by the virtual clock (-rtc clock=vm) */
	bool foreign;			/* its program is not root's alone */
	bool stopped;			/* by QEMU */
	struct stat program;		/* as it was looked at */
	unsigned int nr_sites;
	unsigned long offset[TW_VMM_MAX_SITES];
	__u64 cookie[TW_VMM_MAX_SITES];
	struct vmm_state state;
};

/**
 * tw_vmm_look - see whether a VMM's clocks can be made to follow
 * @vm: the VM
 * @foreign: also if others than root may write its program: they choose then where root puts its probes
 * @look: result
 *
 * Reads the program and the process, apart (apart.h); changes nothing.
 */
void tw_vmm_look(const struct tw_vm *vm, bool foreign, struct tw_vmm_look *look);

/*
 * Whether QEMU has stopped the VM, by "stop" in its monitor, for a snapshot or a migration; false where that cannot be
 * seen. Its kvmclock stands then, and goes on from there, whatever is done to it meanwhile. A guest that has never run
 * (-S) is none of these: it has read no clock yet, so none can part from another.
 */
bool tw_vmm_is_stopped(const struct tw_vm *vm);

/* Whether a process has an io_uring: QEMU's iothreads then wait by it, and not by ppoll() */
bool tw_vmm_uring(pid_t pid);

/* Whether there is one of QEMU's objects at an address, of that type */
bool tw_vmm_is_object(pid_t pid, uint64_t object, const char *type);

#endif /* TW_QEMU_LAYOUT_H */
