/* SPDX-License-Identifier: GPL-2.0 */
/* What a VM's command line and its host say about its time, and what that means; no system calls. */
#ifndef TW_DIAGNOSE_H
#define TW_DIAGNOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qemu/cmdline.h"
#include "reads.h"
#include "world.h"

/* What became of one source's ticks while doctor watched */
struct tw_watched {
	bool seen;			/* it is in use */
	unsigned long long ticks, lost, owed;
	unsigned long long avg_ns, p99_ns, max_ns;	/* late */
	const char *policy;		/* for lost ticks; "-" if it cannot be told */
};

#define TW_WATCHED_MAX 16		/* as many sources as trace.h has, or more */

/* Whether the clocks that QEMU keeps follow the timeline, through probes on it */
enum tw_vmm_clocks {
	TW_VMM_CANNOT,			/* nobody can make them */
	TW_VMM_COULD,			/* attach would, without --vmm off */
	TW_VMM_FOLLOW,			/* they do */
};

/* All that doctor looks at; -1 and empty strings: not known */
struct tw_facts {
	bool is_qemu;
	struct tw_qemu_time q;
	enum tw_vmm_clocks vmm, vmm_rtc;	/* of QEMU's virtual clock; of the RTC */
	char vmm_why[160], vmm_rtc_why[160];	/* why not */
	bool iothread_uring;		/* an event loop of QEMU waits by io_uring */
	char clocksource[32];		/* of the host */
	int tsc_invariant;		/* constant_tsc and nonstop_tsc in the host's cpuinfo */
	double ntp_ppm;			/* by which the host's NTP has its clocks go faster than their source; below 0 slower */
	int periodic_sync;		/* kvm.kvmclock_periodic_sync */
	long min_timer_period_us;
	int vmware_backdoor;
	int offsets_differ;		/* TSC offsets between its vCPUs */
	int vcpus, host_cpus;
	bool stopped;			/* by QEMU */
	int64_t behind_ns;		/* its date, as QEMU has let it stand */
	const char *behind_what;	/* "the host's", or "its RTC's" */
	char state;			/* of the VMM's process, as in /proc/PID/stat */
	char left_over[160];		/* what keeps QEMU's clocks from being put back after the last policy */
	bool attached;
	bool factor_met;		/* attached: the factor in force is the one asked for */
	unsigned long long warp_lost_ticks, warp_floors;	/* since it was attached */
	long tsc_tolerance_ppm;
	long halt_poll_ns;		/* kvm.halt_poll_ns */
	int timer_advance;		/* kvm.lapic_timer_advance: 0 is off */
	long advance_ns;		/* the vCPUs' own, the largest */
	bool stats;			/* KVM's statistics are known */
	unsigned long long halts, poll_ok_ns, poll_vain_ns;
	unsigned long long watched_ns;	/* for how long; 0: not at all */
	struct tw_shares world;		/* meanwhile; no span: not known */
	unsigned long long still_ns;	/* of it, looks between which no vCPU ran, waited or was halted */
	struct tw_watched watched[TW_WATCHED_MAX];	/* by enum trace_source */
	struct tw_reads reads;		/* meanwhile, of clocks that QEMU keeps */
	unsigned long long back, forward;	/* jumps of its clocks meanwhile */
	bool catchup;			/* KVM corrects its TSC by catch-up */
	int stable;			/* its kvmclock has the stable bit */
};

enum tw_severity { TW_WRONG, TW_LEAK, TW_NOTE };

struct tw_finding {
	const char *id;
	enum tw_severity severity;	/* wrong: its time suffers; leak: host time in a warped guest */
	char fact[256];
	const char *meaning;
	const char *cure;		/* NULL where none is needed */
};

#define TW_FINDINGS_MAX 64

const char *tw_severity_name(enum tw_severity s);

/* The clocksources that the guest is offered, most are Linux' names, each followed by a blank */
const char *tw_clocks_offered(const struct tw_qemu_time *q, char *buf, size_t size);

/**
 * tw_diagnose - judge the facts
 * @f: the facts
 * @found: result, the worst first, else in the order of their ids
 *
 * Return: how many findings there are
 */
size_t tw_diagnose(const struct tw_facts *f, struct tw_finding found[TW_FINDINGS_MAX]);

#endif /* TW_DIAGNOSE_H */
