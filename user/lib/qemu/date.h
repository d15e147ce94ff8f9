/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which date it is in a guest.
 *
 * It took its date from its RTC when it booted, and counts on by its timeline. So a date is the host's wall clock, what
 * its timeline is ahead by, what its RTC is ahead by beside that, and what QEMU let it stand since.
 */
#ifndef TW_QEMU_DATE_H
#define TW_QEMU_DATE_H

#include <stdbool.h>
#include <stdint.h>

#include "state.h"
#include "vm.h"

/* What is known of it */
struct tw_date_look {
	bool rtc;			/* the RTC can be seen */
	bool rtc_virtual;		/* it stands with the VM: -rtc clock=vm */
	bool fixed;			/* it was given a date: -rtc base= */
	int64_t rtc_ns;			/* it minus the host's wall clock, without what a running attachment adds */
	int64_t rtc_set_ns;		/* since it was set, by itself: when it was made, or by the guest; 0: unknown */
	int64_t lead_ns;		/* of attachments that have ended, which ought to be in it */
	int64_t ahead_ns;		/* of the host, by its timeline, the running attachment included */
	int64_t base_ns;		/* the date that it was given minus the host's at that time */
	int64_t stood_ns;		/* what QEMU has let it stand since it was made: see tw_stood_of() and tw_kept_of() */
	int64_t rtc_stood_ns;		/* of that, what its RTC is known to have stood as well: during this attachment */
};

/**
 * tw_date_ahead_ns - how far the guest's dates are ahead of those that the host's clock and its timeline make
 * @look: what is known
 *
 * An RTC that did not follow an attachment lacks some of the lead: that says nothing of the guest's date. All else
 * does: a date that it was given, by -rtc base= or in the guest, or what the guest was ahead by in another process.
 */
int64_t tw_date_ahead_ns(const struct tw_date_look *look);

/* Looks at a VM in its state; what cannot be seen is 0 */
void tw_date_look(const struct tw_vm *vm, const struct tw_state *st, struct tw_date_look *look);

/*
 * What QEMU has let it stand, if its date is behind for that: what its RTC shows, which went on meanwhile, or the host's where that
 * stood with it, as it does while a policy is attached; 0 if it is behind neither
 */
int64_t tw_date_behind_ns(const struct tw_date_look *look);

/* For people: the same of what it is behind, the host's date, or where it was warped or set ahead of that, its RTC's */
int64_t tw_date_behind_what(const struct tw_date_look *look, const char **what);

/* tw_date_ahead_ns() of a VM as it stands, attached or not; 0 where it cannot be seen */
int64_t tw_dates_ahead_ns(const struct tw_vm *vm);

/**
 * tw_guest_date_ns - the date in the guest, since 1970
 * @st: its state
 * @ahead_ns: tw_dates_ahead_ns() of it
 */
uint64_t tw_guest_date_ns(const struct tw_state *st, int64_t ahead_ns);

/**
 * tw_stood_of - how long a VM has stood: stopped by QEMU (a snapshot, "stop"), or not started yet
 * @host_ns: now
 * @kvmclock_offset: as its state file has both; kvmclock stands meanwhile, in guest time, and goes on from there
 * @age_ns: of the VM's first vCPU
 *
 * Of a stop that is not over, nothing is known.
 *
 * Return: ns; 0 for less than some seconds, or than what NTP may have made of the host's clock since
 */
int64_t tw_stood_of(int64_t host_ns, int64_t kvmclock_offset, int64_t age_ns);

/**
 * tw_kept_of - the same of one whose state comes from elsewhere: a file, or another host
 * @look: all but stood_ns
 * @host_ns: now
 * @kvmclock_offset: as above
 *
 * It has been there for longer than its process. What tells for how long is its RTC, which goes on while it is kept, and
 * has what ended attachments did, as its clock has.
 *
 * Return: ns; 0 as well where the guest has set its RTC since, and too little where it did so before
 */
int64_t tw_kept_of(const struct tw_date_look *look, int64_t host_ns, int64_t kvmclock_offset);

#endif /* TW_QEMU_DATE_H */
