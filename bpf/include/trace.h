/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the programs of bpf/trace and twctl's trace, hist and stat agree upon.
 *
 * Shared by BPF and user space, so it includes nothing and uses the language's own types.
 * Host times are CLOCK_MONOTONIC in ns.
 *
 * A *unit* is a vCPU, or a whole VM for what belongs to no vCPU (PIT, irqchip, master clock).
 * Each has a number of its own, which outlives it: a vCPU's address is used again at once.  A number is
 * used again when twctl gives it back (tw_tracer_recycle()), which it does where there are no events.
 */
#ifndef TIMEWARP_TRACE_H
#define TIMEWARP_TRACE_H

/* Where ticks come from */
enum trace_source {
	TRACE_ONESHOT = 0,	/* LAPIC, one-shot */
	TRACE_PERIODIC,		/* LAPIC, periodic */
	TRACE_DEADLINE,		/* LAPIC, TSC-deadline */
	TRACE_PIT,		/* KVM's own i8254 */
	TRACE_RTC,		/* GSI 8: the VMM's RTC, or its HPET in the RTC's place */
	TRACE_IRQ0,		/* GSI 0 or 2: the VMM's PIT or HPET */
	TRACE_STIMER,		/* Hyper-V's synthetic timers */
	TRACE_XEN,		/* Xen's one-shot timer */
	TRACE_HV,		/* LAPIC, any mode, on the VMX preemption timer; armed counts in the mode */
	TRACE_NR_SOURCES,
};

/* Whose fault it was that a tick is late; they add up to the whole */
enum trace_part {
	TRACE_HOST = 0,		/* the deadline until the host's timer fired */
	TRACE_INJECT,		/* ... until KVM had made it an interrupt: vCPU not running */
	TRACE_ENTRY,		/* ... until the entry that carries it: guest had interrupts off */
	TRACE_TOTAL,		/* the sum of the three */
	TRACE_NR_PARTS,
};

/*
 * A histogram in ns.  Buckets: see trace_bucket().  Sums and counts are since the start of
 * tracing; min and max are of all values.
 * The programs do no more than they must: they leave the count to whoever adds the buckets up, and
 * what was delivered is the count of the whole's.  tw_tracer_read() makes that good.
 */
#define TRACE_NR_BUCKETS 168
struct trace_hist {
	unsigned long long count;
	unsigned long long sum;
	unsigned long long min;		/* meaningless while count is 0 */
	unsigned long long max;
	unsigned long long bucket[TRACE_NR_BUCKETS];
};

/* What happened to the ticks of one source in one unit; all but the backlog only grow */
struct trace_stats {
	unsigned long long armed;	/* deadlines set by the guest; a periodic timer's start is one */
	unsigned long long fired;	/* deadlines that the host's timer came to, not lost at once */
	unsigned long long overdue;	/* ... of them: past already when armed */
	unsigned long long injected;	/* made an interrupt */
	unsigned long long delivered;	/* went into the guest with an entry; by tw_tracer_read() */
	unsigned long long lost_pending; /* expired while the one before was still pending */
	unsigned long long lost_clamped; /* periods skipped as the timer was too far behind */
	unsigned long long coalesced;	/* came to an irqchip that still had the one before */
	unsigned long long dropped;	/* PIT: owed, and given up when guest or VMM reset it */
	unsigned long long reinjected;	/* PIT, RTC: delivered later for one that could not be before */
	unsigned long long backlog;	/* ticks owed now */
	unsigned long long backlog_max;
	unsigned long long period_ns;	/* of the last periodic deadline; 0 if there was none */
	unsigned int reinject;		/* PIT: 1 delays lost ticks, 0 discards them */
	unsigned int policy;		/* RTC: enum trace_policy, by tw_tracer_read() */
	struct trace_hist late[TRACE_NR_PARTS];
};

/* What a VMM does with lost ticks of its own timers, where its command line tells */
enum trace_policy {
	TRACE_POLICY_UNKNOWN = 0,
	TRACE_POLICY_DISCARD,
	TRACE_POLICY_CATCHUP,	/* raises them again: what is coalesced is not lost */
};

/* Who moved a clock, as far as can be told */
enum trace_cause {
	TRACE_BY_UPDATE = 0,	/* KVM computed it anew, with nothing changed by others */
	TRACE_BY_VMM,		/* an ioctl of the VMM */
	TRACE_BY_GUEST,		/* an MSR write of the guest */
	TRACE_BY_MASTER,	/* master clock lost or regained */
	TRACE_BY_CATCHUP,	/* TSC catch-up */
	TRACE_BY_TIMELINE,	/* a policy changed the VM's timeline */
	TRACE_NR_CAUSES,
};

/* One clock's jumps */
struct trace_jumps {
	unsigned long long back, forward;	/* how many */
	unsigned long long back_max, forward_max; /* ns */
	long long sum;				/* ns: all jumps, signed */
	unsigned long long by[TRACE_NR_CAUSES];	/* how many, by cause */
};

/* What happened to one unit's clocks */
struct trace_clocks {
	unsigned long long pvclock_updates;
	long long drift_ns;		/* sum of the corrections too small to be jumps, signed */
	unsigned long long drift_over_ns; /* guest time between the updates compared */
	struct trace_jumps kvmclock, tsc;
	unsigned long long tsc_offset_writes;	/* that changed it while the guest had it */
	unsigned long long tsc_scaling_writes;	/* that changed the ratio */
	unsigned long long tsc_offset;	/* as it is now, ticks */
	unsigned long long master_lost, master_regained;	/* unit is a VM */
	unsigned int master;		/* 1: in master-clock mode */
	unsigned int stable;		/* 1: the guest's page has the stable bit */
	unsigned int catchup;		/* 1: TSC catch-up mode */
	/* kvmclock's line as the guest has it: ns at a TSC of the guest's, and from there on */
	unsigned int mul;		/* 0: it has none */
	int shift;
	unsigned int pad;
	unsigned long long line_tsc, line_ns;
	unsigned long long line_offset;	/* the TSC's offset at that time */
};

#define TRACE_NAME_LEN 32

/* Who a unit is */
struct trace_info {
	unsigned long long kvm;		/* the kernel's address of the VM: tells VMs apart */
	int vcpu;			/* the VMM's number for it, -1 if the unit is a VM */
	int pid;			/* VMM */
	unsigned int gone;
	unsigned int tsc_khz;		/* guest's; 0 in a VM */
	char name[TRACE_NAME_LEN];	/* "PID-FD", as KVM's debugfs has it */
	unsigned int stats[TRACE_NR_SOURCES];	/* index in the map of struct trace_stats; 0: none */
};

/* How many units and pairs of unit and source there may be, those that have gone and were not given back too */
#define TRACE_MAX_UNITS 4096
#define TRACE_MAX_STATS 4096

/* What a trace event tells */
enum trace_kind {
	TRACE_EV_ARMED = 0,	/* a: ns until the deadline */
	TRACE_EV_DELIVERED,	/* a, b, c: late by part, ns */
	TRACE_EV_LOST,		/* a: ticks, b: enum trace_loss */
	TRACE_EV_REINJECTED,	/* a: ticks still owed */
	TRACE_EV_KVMCLOCK,	/* a: jump, ns, signed; b: enum trace_cause */
	TRACE_EV_TSC,		/* a: jump, ns, signed; b: enum trace_cause; c: the offset, ticks */
	TRACE_EV_MASTER,	/* a: 1 regained, 0 lost */
	TRACE_EV_PVCLOCK,	/* a: correction, ns, signed; b: flags */
	TRACE_EV_BACKLOG,	/* a: ticks owed */
	TRACE_EV_GONE,		/* the vCPU or VM is no more */
	TRACE_EV_SEGMENT,	/* a timeline changed; a / b: factor, c: vCPUs held, ns;
				 * text[0]: 0 start, 1 rate, 2 stop */
	TRACE_EV_CLAMP,		/* a policy's answer was; a: asked, b: given, c: policy; text: what */
	TRACE_EV_EXIT,		/* a policy ended; a: kind, b: code, c: policy; text: reason */
	TRACE_NR_KINDS,
};

enum trace_loss {
	TRACE_LOST_PENDING = 0,
	TRACE_LOST_CLAMPED,
	TRACE_LOST_COALESCED,
	TRACE_LOST_DROPPED,
};

/* One event as the ring buffer carries it */
struct trace_event {
	unsigned long long host_ns;
	unsigned int unit;		/* 0: a policy's, whose VM the kernel does not tell */
	unsigned short kind;		/* enum trace_kind */
	unsigned short source;		/* enum trace_source, or TRACE_NR_SOURCES */
	long long a, b, c;
	char text[16];
};

#endif /* TIMEWARP_TRACE_H */
