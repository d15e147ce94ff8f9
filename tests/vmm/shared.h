/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the VMM and its bare guest share: the guest's memory map, its ports,
 * and one area of memory that both see. Free of includes, so that the guest
 * needs no C library; the includer provides u8..u64, s8 and s64.
 */
#ifndef TIMEWARP_VMM_SHARED_H
#define TIMEWARP_VMM_SHARED_H

#define MAX_VCPUS	8
#define MAX_SAMPLES	256	/* clock samples of one batch, per vCPU */
#define MAX_PINCHES	16	/* host/guest sandwiches of one batch, per vCPU */
#define COST_READS	2000	/* costs: readings between the two halves of a sandwich */

/* Guest-physical map; everything is identity-mapped. */
#define MEM_SIZE	(16UL << 20)
#define GDT_ADDR	0x10000UL
#define PML4_ADDR	0x12000UL
#define PDPT_ADDR	0x13000UL
#define PD_ADDR		0x14000UL
#define IMAGE_ADDR	0x100000UL
#define STACK_ADDR	0x300000UL
#define STACK_SIZE	0x10000UL
#define SHARED_ADDR	0x400000UL

/* What Hyper-V and Xen share with their guests; pages of a vCPU's own are a page apart. */
#define HV_TSC_ADDR	0x20000UL
#define XEN_SHINFO_ADDR	0x21000UL
#define HV_SIMP_ADDR	0x30000UL
#define XEN_VCPU_ADDR	0x40000UL
#define XEN_TIME	0x20	/* struct vcpu_info's, where the pvclock page is */
#define XEN_TIME_INFO	0x100
#define XEN_RUNSTATE	0x200
#define XEN_PORT	5	/* event channel of the timer */

/* Ports: an OUT of a byte to one of them is the guest's only way to call the VMM. */
#define PORT_DONE	0x10	/* this vCPU's part of the case is over */
#define PORT_FAULT	0x11	/* an exception; fault_* tell which */
#define PORT_PINCH	0x12	/* host TSC, please: first half of a sandwich */
#define PORT_PINCHED	0x13	/* ... second half; pinch_tsc holds the guest's TSC */
#define PORT_IDLE	0x14	/* nothing to do until the next batch is asked for */

#define TIMER_VECTOR	0x40
#define DEVICE_VECTOR	0x41	/* of Hyper-V and Xen timers */
#define PIC_VECTOR	0x50	/* and the 15 after it */

#define PIT_HZ		1193181UL	/* as KVM has it */

/* What the guest is asked to run. */
enum guest_case {
	CASE_NONE = 0,
	CASE_CLOCK,
	CASE_TIMERS,
	CASE_TMCCT,
	CASE_TSCMSR,
	CASE_RDTSCP,
	CASE_ROUNDTRIP,
	CASE_PIT,
	CASE_PAIRING,
	CASE_VMWARE,
	CASE_STEAL,
	CASE_HYPERV,
	CASE_XEN,
	CASE_COHERENCE,
	CASE_COSTS,
};

/* What a batch of the case coherence reads, each between two readings of the TSC. */
enum clock_id {
	CLOCK_HV_PAGE,
	CLOCK_HV_REF,
	CLOCK_XEN_INFO,		/* vcpu_info's time */
	CLOCK_XEN_TIME,		/* vcpu_time_info */
	CLOCK_PIT0,		/* vCPU 0 alone reads the PIT, and its LAPIC */
	CLOCK_PIT2,
	CLOCK_LAPIC,
	NR_CLOCKS,
};

#define PIT_WRAP	65536UL
#define LAPIC_INITIAL	0xffffffffUL
#define LAPIC_DIVIDE	16

enum timer_mode {
	MODE_ONESHOT = 0,
	MODE_PERIODIC,
	MODE_DEADLINE,
	NR_MODES,
};

/* The ABI of asm/pvclock-abi.h, which user space has no header for. */
struct pvclock_page {
	u32 version;
	u32 pad0;
	u64 tsc_timestamp;
	u64 system_time;
	u32 mul;
	s8  shift;
	u8  flags;
	u8  pad[2];
} __attribute__((packed, aligned(64)));

#define PVCLOCK_TSC_STABLE	1

struct clock_sample {
	u64 tsc;
	u64 clk;		/* kvmclock, as the guest computed it at tsc */
	u64 page_tsc;		/* the page it was computed from */
	u64 page_ns;
	u32 page_mul;
	s8  page_shift;
	u8  page_flags;
	u8  pad[2];
};

struct pinch {
	u64 host_before;
	u64 tsc;
	u64 host_after;
};

struct clock_reading {
	u64 before;		/* TSC */
	u64 value;		/* in the clock's own ticks, counted up */
	u64 after;		/* TSC; of a page the one that it was taken at */
};

struct timer_result {
	u64 armed;
	u64 fired;
	u64 cancelled;
	u64 spurious;		/* fired with nothing armed: doubled, or cancelled in vain */
	u64 early;		/* fired before the deadline */
	u64 early_worst;	/* by so many TSC ticks (deadline) or ns (others) */
	u64 late_worst;		/* ns of guest time */
	u64 late_sum;
	u64 elapsed_ns;		/* periodic: guest time between start and stop */
	u64 period_ns;
	u64 merged;		/* periodic: ticks that came as one */
};

/* What the guest found when it read something that must lie between two bounds. */
struct read_result {
	u64 reads;
	u64 bad;
	u64 worst;		/* by so much, in the unit of what was read */
};

enum pit_timer {
	PIT_ONESHOT = 0,	/* mode 0 */
	PIT_STROBE,		/* mode 4 */
	PIT_PERIODIC,		/* modes 2 and 3 in turn */
	NR_PIT_TIMERS,
};

struct vcpu_area {
	struct pvclock_page page;

	/* filled by the guest; each field has one writer */
	volatile u64 progress;		/* rounds of the case done */
	volatile u64 batch_done;
	volatile u32 nr_samples;
	volatile u32 nr_pinches;
	volatile u64 pinch_tsc;
	volatile u64 fault_vector, fault_code, fault_rip;

	u64 reads;
	u64 back_clk, back_clk_worst;		/* steps back on this vCPU */
	u64 back_tsc, back_tsc_worst;
	u64 cross_clk, cross_clk_worst;		/* behind what another vCPU had read */
	u64 cross_tsc, cross_tsc_worst;
	u64 unstable;				/* reads without the stable bit */

	struct timer_result timer[NR_MODES];
	volatile u32 mode;			/* the one being run, for reports */
	volatile u32 armed_now;

	/* tmcct */
	u64 tmcct_reads, tmcct_bad, tmcct_worst, tmcct_zero;

	/* tscmsr, rdtscp: what was tried and what went wrong, by kind */
	u64 tries;
	u64 bad_adjust_read;	/* TSC_ADJUST reads back what was not written */
	u64 bad_adjust_tsc;	/* TSC did not move by what TSC_ADJUST moved */
	u64 bad_adjust_clk;	/* kvmclock moved when TSC_ADJUST was written */
	u64 bad_write_tsc;	/* TSC is not near what IA32_TSC was set to */
	u64 bad_write_adjust;	/* TSC_ADJUST did not take up an IA32_TSC write */
	u64 bad_rdmsr;		/* RDMSR of IA32_TSC outside the RDTSCs around it */
	u64 bad_order;		/* RDTSCP outside the RDTSCs around it */
	u64 bad_aux;		/* RDTSCP returns another TSC_AUX */
	u64 worst_adjust_clk;

	volatile u64 rounds;	/* roundtrip: done; timers: turns through all modes */

	/* pit, vCPU 0 only */
	struct timer_result pit[NR_PIT_TIMERS];
	struct read_result pit_count[2];	/* channels 0 and 2, in PIT cycles */
	struct read_result pit_out;		/* channel 2's output at port 0x61, in ns */

	/* pairing, vCPU 0 only */
	volatile u32 wall[4];			/* KVM's: version, seconds, ns */
	volatile u64 pair[8];			/* KVM's: seconds, ns, TSC */
	volatile u64 epoch;			/* wall clock minus kvmclock, in ns */
	u64 pair_refused, pair_back;
	struct read_result wall_epoch, pair_tsc, pair_wall;

	/* vmware */
	volatile u32 gp_allowed;		/* the next #GP is RDPMC's */
	volatile u32 gp_seen;
	u64 vmware_tsc[2], vmware_real[2], vmware_apparent[2];	/* first and last */
	u64 vmware_reads, vmware_back;
	s64 vmware_least, vmware_most;		/* apparent time minus kvmclock, in ns */

	/* steal */
	volatile u64 steal_page[8] __attribute__((aligned(64)));	/* KVM's */
	u64 steal_back, steal_ns, steal_elapsed;
	struct read_result steal_step;

	/* hyperv, xen */
	struct timer_result device[2];		/* one-shot and periodic; or Xen's two calls */
	struct read_result ref_page, ref_msr;	/* in ns */
	u64 ref_back, ref_back_worst;
	struct read_result xen_page[2], xen_runstate;

	/* coherence */
	struct clock_reading reading[NR_CLOCKS];

	/* roundtrip */
	u64 arm_cycles;		/* guest TSC spent in the write that arms, summed */
	u64 arm_cycles_min;
	u64 late_cycles;	/* fire - deadline, summed */
	u64 late_cycles_min;
	u64 read_cycles_min;	/* of 64 RDTSCs in a row */

	struct clock_sample sample[MAX_SAMPLES];
	struct pinch pinch[MAX_PINCHES];
} __attribute__((aligned(4096)));

struct shared {
	/* set by the VMM before the guest runs */
	u32 nr_vcpus;
	u32 guest_case;
	u64 tsc_khz;
	u64 delay_min_ns, delay_max_ns;	/* timers: range of delays */
	u64 period_ns;
	u64 rounds;			/* roundtrip: how many */
	u64 roundtrip_ns;		/* roundtrip: delay of each */
	u64 seed;
	u64 pit_reinject;
	u64 clocks_agree;		/* 0: TSC and kvmclock run at different rates (offset mode) */

	/* set by the VMM at any time */
	volatile u64 batch;		/* a new number asks for a batch of samples */
	volatile u64 stop;

	/* written by all vCPUs */
	u64 started __attribute__((aligned(64)));
	u64 last_clk __attribute__((aligned(64)));
	u64 last_tsc __attribute__((aligned(64)));

	struct vcpu_area vcpu[MAX_VCPUS];
};

#endif
