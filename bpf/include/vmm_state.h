/* SPDX-License-Identifier: GPL-2.0 */
/* What the probes on a VMM and twctl agree upon.  Includes nothing, as timewarp.h does. */
#ifndef VMM_STATE_H
#define VMM_STATE_H

/* Places of the VMM's code that are probed; a uprobe's cookie */
enum vmm_site {
	VMM_CALL_MONOTONIC = 1,	/* call of clock_gettime(): the result's address in RSI */
	VMM_CALL_REALTIME = 2,	/* call of gettimeofday(): in RDI */
	VMM_RETURNED = 3,	/* the instruction that either returns to */
	VMM_CALL_PPOLL = 4,	/* call of ppoll(): the time-out's address in RDX */
	VMM_POLLED = 5,		/* the instruction that it returns to */
	VMM_POLLS = 6,		/* qemu_poll_ns(): ns to sleep in RDX, negative for as long as it takes */
};

/*
 * How a clock is put back, once the timeline has stopped: one word of the VMM's takes up what it is ahead by. These
 * say at each moment whether it has, to whoever comes next, whatever became of the one who was at it; see fold.h.
 */
enum vmm_phase {
	VMM_FOLLOW = 0,		/* the clock is that of the timeline */
	VMM_FOLDING = 1,	/* the same, until its word has its new value */
	VMM_FOLDED = 2,		/* it has: the clock is the host's, and nothing is rewritten */
};

enum vmm_clock {
	VMM_VIRTUAL,		/* word: cpu_clock_offset */
	VMM_RTC,		/* word: when the RTC was last set */
	VMM_NR_FOLDS,
};

struct vmm_fold {
	unsigned int phase;	/* enum vmm_phase; the program sets FOLDED if it sees the value */
	unsigned int pad;
	unsigned long long word;	/* its address */
	unsigned long long value;	/* what it will be; while FOLDING */
};

/* A deadline by the RTC's clock, which loses as much */
struct vmm_move {
	unsigned long long at, from, to;
};

#define VMM_MAX_MOVES 66

/* What may end the main loop's sleep, as far as the timeline is concerned */
enum vmm_awaits {
	VMM_AWAITS_NOTHING = 0,
	VMM_AWAITS_TIMERS = 1,	/* those of its lists */
	VMM_AWAITS_UNKNOWN = 2,
};

/* enum QEMUClockType; QEMU has not changed it since 2013 */
#define VMM_CLOCK_REALTIME 0
#define VMM_CLOCK_VIRTUAL 1
#define VMM_CLOCK_HOST 2
#define VMM_NR_CLOCKS 4

/* QEMUTimerList: where the first timer stands, whose first member is its expiry */
#define VMM_LIST_ACTIVE 0x38

#define VMM_NAME_LEN 32

/*
 * The probes' variables, one map of one element.  Addresses are in the VMM.  All of it is written
 * before the probes are attached, but for the folds, the moves and what counts.
 */
struct vmm_state {
	unsigned int pid;
	unsigned int rtc;		/* CLOCK_REALTIME is rewritten as well */
	unsigned int changes;		/* of the segment, */
	unsigned int told;		/* and those that the main loop was woken for */
	unsigned int nr;		/* which VM it is of those that a policy has */
	unsigned int awaits;		/* enum vmm_awaits */
	unsigned int tsc_frac_bits;	/* of a TSC ratio, on this host */
	char vm[VMM_NAME_LEN];		/* as KVM's debugfs calls the VM, with zeros behind */
	unsigned long long longest_ns;	/* that the main loop may sleep, of the host; or 0 */
	unsigned int woken;		/* the main loop's last sleep was ended by a signal of ours, */
	unsigned int network;		/* and was as long as its user network has it by rote */
	unsigned long long capped_wait_ns; /* the main loop sleeps so long, as its user network has it do; 0: it does not */
	unsigned long long capped_ns;	/* since when, in guest time */
	unsigned long long capped_kicks; /* "kicks" of struct timewarp_vmm_view then */
	long long mono_base_ns;		/* what the timeline was ahead by before, and is in the */
	long long wall_base_ns;		/* VMM's own offsets, or not to be shown */
	/*
	 * Where kvmclock stands while the VMM has the VM stopped, the RTC stands with it, and with the virtual clock:
	 * by how much that has fallen behind CLOCK_MONOTONIC, as the VMM sees it, is where it was when the probes came
	 * minus the offset.
	 */
	unsigned int stands, pad_stands;
	long long stood_from_ns;
	long long stood_ns;		/* so much, when last looked; once the virtual clock is put back, for good */
	unsigned long long seqlock;	/* int, odd while the next two change */
	unsigned long long enabled;	/* short: the virtual clock runs */
	unsigned long long offset;	/* s64: virtual clock minus CLOCK_MONOTONIC */
	unsigned long long timerlists;	/* the main loop's: VMM_NR_CLOCKS pointers */
	unsigned long long rtc_device;	/* 0 if unknown */
	unsigned long long rtc_periodic; /* where it points to its periodic timer */
	unsigned long long start;	/* of the process, in ticks since boot: PIDs come round again */
	unsigned long long program_dev;	/* of the file that it runs, to know whether it still does */
	unsigned long long program_ino;
	unsigned long long exec;	/* of its execve(2): another has other clocks, at other places. See tw_image_exec() */
	struct vmm_fold fold[VMM_NR_FOLDS];
	unsigned int nr_moves;		/* that are still to be made, or may have been */
	unsigned int pad;
	struct vmm_move move[VMM_MAX_MOVES];
	unsigned long long clocks;	/* counters: readings rewritten */
	unsigned long long waits;	/* time-outs rewritten */
	unsigned long long failures;	/* writes that the VMM's memory did not take */
};

/* A segment of the VM's timeline, as struct kvm_timeline has it */
struct vmm_segment {
	unsigned int active;		/* else the guest lives on host time */
	unsigned int frozen;
	unsigned long long num, den;	/* the factor */
	unsigned long long begin_tsc, end_tsc;	/* the host's; before and after, time stands */
	unsigned long long tsc_ratio, tsc_offset;
	unsigned long long pv_tsc, pv_ns;
	unsigned int pv_mul;
	int pv_shift;
	long long mono_ns, wall_ns;	/* the VMM's clocks minus the timeline */
	long long mono_ahead_ns, wall_ahead_ns;	/* the same minus the host's, while not active */
};

/*
 * Written by one program at a time, in the kernel's transaction, and read by others meanwhile: the
 * slot in force is that of the number's last bit, the other one is the next to be written.
 */
struct vmm_segments {
	unsigned long long seq;
	struct vmm_segment slot[2];
};

/* The sections, by which user space finds the maps behind them */
#define VMM_SECTION ".data.vmm"
#define VMM_SEGMENTS_SECTION ".data.segments"
#define VMM_PROGRAM "vmm_site"

/* A signal that QEMU takes from a signalfd and ignores: it ends the main loop's sleep */
#define VMM_WAKE_SIGNAL 29		/* SIGIO */

#endif /* VMM_STATE_H */
