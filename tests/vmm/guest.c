// SPDX-License-Identifier: GPL-2.0
/*
 * The bare guest: reads clocks, arms LAPIC timers, and leaves what it saw in
 * the shared area. It judges only what it alone can see, such as a step back
 * between two reads; all else is the VMM's to compare.
 */
typedef unsigned char u8;
typedef signed char s8;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long s64;
typedef unsigned __int128 u128;

#include "shared.h"

#define MSR_TSC			0x10
#define MSR_APICBASE		0x1b
#define MSR_TSC_ADJUST		0x3b
#define MSR_TSC_DEADLINE	0x6e0
#define MSR_TSC_AUX		0xc0000103
#define MSR_KVM_WALL_CLOCK	0x4b564d00
#define MSR_KVM_SYSTEM_TIME	0x4b564d01
#define MSR_KVM_STEAL_TIME	0x4b564d03
#define KVM_HC_CLOCK_PAIRING	9

#define MSR_HV_GUEST_OS_ID	0x40000000
#define MSR_HV_TIME_REF_COUNT	0x40000020
#define MSR_HV_REFERENCE_TSC	0x40000021
#define MSR_HV_SCONTROL		0x40000080
#define MSR_HV_SIMP		0x40000083
#define MSR_HV_EOM		0x40000084
#define MSR_HV_SINT(n)		(0x40000090 + (n))
#define MSR_HV_STIMER_CONFIG(n)	(0x400000b0 + 2 * (n))
#define MSR_HV_STIMER_COUNT(n)	(0x400000b1 + 2 * (n))
#define STIMER_ENABLE		(1 << 0)
#define STIMER_PERIODIC		(1 << 1)
#define STIMER_AUTO_ENABLE	(1 << 3)
#define STIMER_DIRECT		(1 << 12 | DEVICE_VECTOR << 4)
#define STIMER_MESSAGE		(HV_SINT << 16)
#define HV_SINT			2

#define XEN_SET_TIMER_OP	15
#define XEN_VCPU_OP		24
#define XEN_VCPUOP_SET_SINGLESHOT	8

/* The LAPIC in x2APIC mode: registers are MSRs, so no MMIO to emulate. */
#define APIC_TPR		0x808
#define APIC_EOI		0x80b
#define APIC_SVR		0x80f
#define APIC_LVTT		0x832
#define APIC_LVT0		0x835
#define APIC_TMICT		0x838
#define APIC_TMCCT		0x839
#define APIC_TDCR		0x83e
#define LVT_MASKED		(1 << 16)
#define LVT_EXTINT		(7 << 8)
#define LVT_PERIODIC		(1 << 17)
#define LVT_DEADLINE		(2 << 17)
#define TDCR_BY_1		0xb
#define TDCR_BY_16		0x3

/* KVM's APIC bus runs at 1 GHz unless the VMM says otherwise. */
#define BUS_NS			1

/*
 * What kvmclock may be early by without our calling it early: 2 ns of
 * rounding, and 1 ppm between the clock that the host's timers run on and
 * the TSC behind kvmclock.
 */
#define CLK_SLACK(ns)		(2 + (ns) / 1000000)

static struct shared *const sh = (struct shared *)SHARED_ADDR;

static inline void outb(u32 port)
{
	asm volatile("outb %%al, %%dx" : : "d"(port), "a"(0) : "memory");
}

static inline void outb_val(u32 port, u8 val)
{
	asm volatile("outb %%al, %%dx" : : "d"(port), "a"(val) : "memory");
}

static inline u8 inb(u32 port)
{
	u8 val;

	asm volatile("inb %%dx, %%al" : "=a"(val) : "d"(port) : "memory");
	return val;
}

static inline u64 rdmsr(u32 msr)
{
	u32 lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
	return lo | (u64)hi << 32;
}

static inline void wrmsr(u32 msr, u64 val)
{
	asm volatile("wrmsr" : : "c"(msr), "a"((u32)val), "d"((u32)(val >> 32))
		     : "memory");
}

/* Ordered on both sides: no earlier load, no later one, passes it. */
static inline u64 rdtsc(void)
{
	u32 lo, hi;

	asm volatile("lfence; rdtsc; lfence" : "=a"(lo), "=d"(hi) : : "memory");
	return lo | (u64)hi << 32;
}

static inline u64 rdtscp(u32 *aux)
{
	u32 lo, hi;

	asm volatile("rdtscp; lfence" : "=a"(lo), "=d"(hi), "=c"(*aux) : : "memory");
	return lo | (u64)hi << 32;
}

static inline void barrier(void)
{
	asm volatile("" : : : "memory");
}

static inline void pause(void)
{
	asm volatile("pause" : : : "memory");
}

static inline u64 load(const u64 *p)
{
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

/* Raise *p to val unless it is there already. */
static void raise_to(u64 *p, u64 val)
{
	u64 old = load(p);

	while (old < val &&
	       !__atomic_compare_exchange_n(p, &old, val, 0, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST))
		;
}

static inline void worst(u64 *w, u64 val)
{
	if (val > *w)
		*w = val;
}

static u64 scale(u64 delta, u32 mul, s8 shift)
{
	if (shift < 0)
		delta >>= -shift;
	else
		delta <<= shift;
	return (u64)(((u128)delta * mul) >> 32);
}

/* kvmclock as a Linux guest reads it, with the page it came from. */
static void read_clock(const struct pvclock_page *page, struct clock_sample *s)
{
	const volatile struct pvclock_page *p = page;
	u32 version;

	do {
		version = p->version & ~1u;
		barrier();
		s->tsc = rdtsc();
		s->page_tsc = p->tsc_timestamp;
		s->page_ns = p->system_time;
		s->page_mul = p->mul;
		s->page_shift = p->shift;
		s->page_flags = p->flags;
		barrier();
	} while (version != p->version);
	s->clk = s->page_ns + scale(s->tsc - s->page_tsc, s->page_mul, s->page_shift);
}

static u64 clock_ns(struct vcpu_area *v)
{
	struct clock_sample s;

	read_clock(&v->page, &s);
	return s.clk;
}

/* a * b / c by the CPU's own 128-bit division: there is no libgcc here. */
static u64 mul_div(u64 a, u64 b, u64 c)
{
	u64 q, r;

	asm("mulq %3; divq %4" : "=&a"(q), "=&d"(r) : "0"(a), "r"(b), "r"(c) : "cc");
	return q;
}

static u64 ns_to_tsc(u64 ns)
{
	return mul_div(ns, sh->tsc_khz, 1000000);
}

static u64 tsc_to_ns(u64 tsc)
{
	return mul_div(tsc, 1000000, sh->tsc_khz);
}

static u64 random_next(u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static u64 random_delay(u64 *state)
{
	return sh->delay_min_ns +
	       random_next(state) % (sh->delay_max_ns - sh->delay_min_ns + 1);
}

/* Interrupts and exceptions */

struct frame {
	u64 rip, cs, rflags, rsp, ss;
};

/* What the timer's handler is to do on this vCPU. */
struct timer_state {
	volatile u64 fire_tsc;	/* TSC at the last interrupt */
	volatile u64 fire_clk;
	volatile u64 count;	/* interrupts so far */
};

static struct timer_state timers[MAX_VCPUS];
static struct timer_state device_timers[MAX_VCPUS];
static struct timer_state pit_timer;	/* vCPU 0 alone gets its interrupt */

/* The x2APIC id is the vCPU's number: the VMM sees to that. */
static u32 this_vcpu(void)
{
	return rdmsr(0x802);
}

/*
 * Sleep until the handler has run once more. The guest runs with interrupts
 * on all the time (bochs never leaves a guest that was entered with them off,
 * see tools/testhost-vmx), so looking and halting needs sti's shadow.
 */
static void wait_irq(struct timer_state *t, u64 count)
{
	for (;;) {
		asm volatile("cli" : : : "memory");
		if (t->count != count)
			break;
		asm volatile("sti; hlt" : : : "memory");
	}
	asm volatile("sti" : : : "memory");
}

/*
 * Every other timer is waited for without halting: a halted vCPU's timer is an
 * hrtimer, a running one's on VMX the preemption timer.
 */
static void wait_irq_either(struct timer_state *t, u64 count, u64 n)
{
	while (n & 1 && t->count == count)
		pause();
	wait_irq(t, count);
}

__attribute__((interrupt)) static void timer_irq(struct frame *f)
{
	u64 tsc = rdtsc();
	u32 cpu = this_vcpu();
	struct timer_state *t = &timers[cpu];

	(void)f;
	t->fire_tsc = tsc;
	t->fire_clk = clock_ns(&sh->vcpu[cpu]);
	t->count++;
	wrmsr(APIC_EOI, 0);
}

__attribute__((interrupt)) static void pit_irq(struct frame *f)
{
	(void)f;
	pit_timer.fire_clk = clock_ns(&sh->vcpu[0]);
	pit_timer.count++;
	outb_val(0x20, 0x20);	/* EOI */
}

/* A synthetic timer's message, or Xen's event channel: take it, so that the next can come. */
__attribute__((interrupt)) static void device_irq(struct frame *f)
{
	u32 cpu = this_vcpu();
	volatile u32 *message = (u32 *)(HV_SIMP_ADDR + cpu * 4096UL + HV_SINT * 256);
	volatile u64 *vcpu_info = (u64 *)(XEN_VCPU_ADDR + cpu * 4096UL);
	struct timer_state *t = &device_timers[cpu];

	(void)f;
	t->fire_clk = clock_ns(&sh->vcpu[cpu]);
	t->count++;
	if (sh->guest_case == CASE_XEN) {
		*(volatile u8 *)vcpu_info = 0;
		vcpu_info[1] = 0;
		__atomic_fetch_and((u64 *)(XEN_SHINFO_ADDR + 2048), ~(1UL << XEN_PORT),
				   __ATOMIC_SEQ_CST);
	} else if (*message) {
		*message = 0;
		asm volatile("mfence" : : : "memory");
		if (message[1] >> 8 & 1)
			wrmsr(MSR_HV_EOM, 0);
	}
	wrmsr(APIC_EOI, 0);
}

static void fault(u64 vector, u64 code, u64 rip)
{
	struct vcpu_area *v = &sh->vcpu[this_vcpu()];

	v->fault_vector = vector;
	v->fault_code = code;
	v->fault_rip = rip;
	for (;;)
		outb(PORT_FAULT);
}

#define FAULT(n)						\
__attribute__((interrupt)) static void fault_##n(struct frame *f)	\
{ fault(n, 0, f->rip); }
#define FAULT_CODE(n)						\
__attribute__((interrupt)) static void fault_##n(struct frame *f, u64 code) \
{ fault(n, code, f->rip); }

FAULT(0) FAULT(1) FAULT(2) FAULT(3) FAULT(6) FAULT(7)
FAULT_CODE(8) FAULT_CODE(10) FAULT_CODE(11) FAULT_CODE(12) FAULT_CODE(14)

__attribute__((interrupt)) static void fault_13(struct frame *f, u64 code)
{
	struct vcpu_area *v = &sh->vcpu[this_vcpu()];

	if (!v->gp_allowed)
		fault(13, code, f->rip);
	v->gp_seen = 1;
	f->rip += 2;	/* RDPMC */
}

__attribute__((interrupt)) static void stray_irq(struct frame *f)
{
	fault(255, 0, f->rip);
}

struct gate {
	u32 word[4];
};

static struct gate idt[256] __attribute__((aligned(16)));

static void set_gate(int vector, u64 fn)
{
	idt[vector].word[0] = 0x08 << 16 | (fn & 0xffff);
	idt[vector].word[1] = (fn & 0xffff0000) | 0x8e00;
	idt[vector].word[2] = fn >> 32;
	idt[vector].word[3] = 0;
}

static void setup_cpu(u32 cpu)
{
	struct { u32 pad; u8 b[12]; } __attribute__((packed)) idtr;
	struct vcpu_area *v = &sh->vcpu[cpu];
	u64 base = (u64)idt;
	int i;

	/* All vCPUs write the same values, so no lock. */
	for (i = 0; i < 256; i++)
		set_gate(i, (u64)stray_irq);
	set_gate(0, (u64)fault_0);
	set_gate(1, (u64)fault_1);
	set_gate(2, (u64)fault_2);
	set_gate(3, (u64)fault_3);
	set_gate(6, (u64)fault_6);
	set_gate(7, (u64)fault_7);
	set_gate(8, (u64)fault_8);
	set_gate(10, (u64)fault_10);
	set_gate(11, (u64)fault_11);
	set_gate(12, (u64)fault_12);
	set_gate(13, (u64)fault_13);
	set_gate(14, (u64)fault_14);
	set_gate(TIMER_VECTOR, (u64)timer_irq);
	set_gate(DEVICE_VECTOR, (u64)device_irq);
	set_gate(PIC_VECTOR, (u64)pit_irq);

	idtr.b[0] = (sizeof(idt) - 1) & 0xff;
	idtr.b[1] = (sizeof(idt) - 1) >> 8;
	for (i = 0; i < 8; i++)
		idtr.b[2 + i] = base >> (8 * i);
	asm volatile("lidt (%0)" : : "r"(idtr.b) : "memory");

	wrmsr(MSR_APICBASE, rdmsr(MSR_APICBASE) | 0xc00);
	wrmsr(APIC_SVR, 0x1ff);
	wrmsr(APIC_TPR, 0);
	wrmsr(APIC_LVTT, LVT_MASKED | TIMER_VECTOR);
	wrmsr(APIC_TMICT, 0);

	/* Once: each write makes KVM recompute its clocks. */
	if (rdmsr(MSR_KVM_SYSTEM_TIME) != ((u64)&v->page | 1))
		wrmsr(MSR_KVM_SYSTEM_TIME, (u64)&v->page | 1);
	asm volatile("sti" : : : "memory");
}

/* clock */

static void take_batch(struct vcpu_area *v)
{
	u32 i;

	for (i = 0; i < MAX_PINCHES; i++) {
		outb(PORT_PINCH);
		v->pinch_tsc = rdtsc();
		outb(PORT_PINCHED);
	}
	for (i = 0; i < MAX_SAMPLES; i++)
		read_clock(&v->page, &v->sample[i]);
	v->nr_samples = MAX_SAMPLES;
}

/*
 * Every read is held against the last one of this vCPU and against the
 * latest one of any vCPU. That one is fetched before the clock is read, so
 * whatever it says has happened.
 */
static void case_clock(struct vcpu_area *v)
{
	u64 own_clk = 0, own_tsc = 0, seen_clk, seen_tsc;
	struct clock_sample s;

	while (!sh->stop) {
		seen_clk = load(&sh->last_clk);
		seen_tsc = load(&sh->last_tsc);
		read_clock(&v->page, &s);

		if (s.clk < own_clk) {
			v->back_clk++;
			worst(&v->back_clk_worst, own_clk - s.clk);
		} else if (s.clk < seen_clk) {
			v->cross_clk++;
			worst(&v->cross_clk_worst, seen_clk - s.clk);
		}
		if (s.tsc < own_tsc) {
			v->back_tsc++;
			worst(&v->back_tsc_worst, own_tsc - s.tsc);
		} else if (s.tsc < seen_tsc) {
			v->cross_tsc++;
			worst(&v->cross_tsc_worst, seen_tsc - s.tsc);
		}
		if (!(s.page_flags & PVCLOCK_TSC_STABLE))
			v->unstable++;

		own_clk = s.clk;
		own_tsc = s.tsc;
		raise_to(&sh->last_clk, own_clk);
		raise_to(&sh->last_tsc, own_tsc);
		v->reads++;
		v->progress++;

		if (sh->batch != v->batch_done) {
			u64 batch = sh->batch;

			v->nr_pinches = 0;
			take_batch(v);
			v->batch_done = batch;
		}
	}
}

/* timers */

static void arm(u32 mode, u64 count)
{
	if (mode == MODE_DEADLINE) {
		wrmsr(APIC_LVTT, LVT_DEADLINE | TIMER_VECTOR);
		asm volatile("mfence" : : : "memory");
		wrmsr(MSR_TSC_DEADLINE, count);
		return;
	}
	wrmsr(APIC_TDCR, TDCR_BY_1);
	wrmsr(APIC_LVTT, (mode == MODE_PERIODIC ? LVT_PERIODIC : 0) | TIMER_VECTOR);
	wrmsr(APIC_TMICT, count);
}

static void disarm(u32 mode)
{
	if (mode == MODE_DEADLINE)
		wrmsr(MSR_TSC_DEADLINE, 0);
	else
		wrmsr(APIC_TMICT, 0);
}

static void judge(struct timer_result *r, u64 fired, u64 due, u64 slack, int is_tsc)
{
	u64 late;

	if (fired + slack < due) {
		r->early++;
		worst(&r->early_worst, due - fired);
		return;
	}
	late = fired > due ? fired - due : 0;
	if (is_tsc)
		late = tsc_to_ns(late);
	worst(&r->late_worst, late);
	r->late_sum += late;
}

/* One timer at a time: armed, then either waited for or cancelled. */
static void run_single(struct vcpu_area *v, struct timer_state *t, u32 mode, u32 kind,
		       u64 *rnd)
{
	struct timer_result *r = &v->timer[mode];
	u64 delay = random_delay(rnd), start, start_clk, due, took, count = t->count;

	/* The first of eight is far away and cancelled; the second deadline is past. */
	if (kind == 0)
		delay += 3600ULL * 1000000000;
	if (mode == MODE_ONESHOT && delay > 0xffffffffULL)
		delay = 0xffffffffULL;

	start_clk = clock_ns(v);
	start = mode == MODE_DEADLINE ? rdtsc() : start_clk;
	if (mode == MODE_DEADLINE)
		due = kind == 1 ? start - 1000 : start + ns_to_tsc(delay);
	else
		due = start + delay * BUS_NS;

	r->armed++;
	v->armed_now = 1;
	arm(mode, mode == MODE_DEADLINE ? due : delay);
	took = mode == MODE_DEADLINE && !sh->clocks_agree ? tsc_to_ns(rdtsc() - start) : 0;

	if (kind == 0) {
		u64 until = clock_ns(v) + sh->delay_min_ns;

		while (clock_ns(v) < until && !sh->stop)
			pause();
		disarm(mode);
		/* An interrupt that got through before the cancelling is a fire. */
		if (t->count == count) {
			r->cancelled++;
			v->armed_now = 0;
			/* Nothing may come out of it any more. */
			until = clock_ns(v) + sh->delay_min_ns;
			while (clock_ns(v) < until && !sh->stop)
				pause();
			r->spurious += t->count - count;
			v->progress++;
			return;
		}
	} else {
		wait_irq_either(t, count, kind);
	}

	v->armed_now = 0;
	r->fired++;
	if (mode == MODE_DEADLINE && sh->clocks_agree)
		judge(r, t->fire_tsc, due, 0, 1);
	else if (mode == MODE_DEADLINE)
		/*
		 * Offset mode: a deadline so many ticks away is so much guest time away. What it took to arm
		 * it are ticks of the host's pace, which in slow motion are more than guest time.
		 */
		judge(r, t->fire_clk, kind == 1 ? start_clk : start_clk + delay,
		      CLK_SLACK(delay) + took, 0);
	else
		judge(r, t->fire_clk, due, CLK_SLACK(delay), 0);
	r->spurious += t->count - count - 1;
	v->progress++;
}

/*
 * Ticks of a period P from start S: the n-th interrupt is not due before
 * S + n * P, and all that were due have come in the end, less those that
 * were merged into one because the vCPU took them too late.
 */
static void run_periodic(struct vcpu_area *v, struct timer_state *t, u64 ticks)
{
	struct timer_result *r = &v->timer[MODE_PERIODIC];
	u64 count = t->count, start, n = 0, due, due_ticks, end;

	r->period_ns = sh->period_ns;
	start = clock_ns(v);
	v->armed_now = 1;
	arm(MODE_PERIODIC, sh->period_ns / BUS_NS);
	while (n < ticks && !sh->stop) {
		wait_irq_either(t, count + n, n);
		n++;
		v->progress++;
		due = start + n * sh->period_ns;
		judge(r, t->fire_clk, due, CLK_SLACK(n * sh->period_ns), 0);
	}
	disarm(MODE_PERIODIC);
	end = clock_ns(v);
	n = t->count - count;
	v->armed_now = 0;

	due_ticks = (end - start) / sh->period_ns;
	r->elapsed_ns += end - start;
	r->armed += due_ticks > n ? due_ticks : n;
	r->fired += n;
	r->merged += due_ticks > n ? due_ticks - n : 0;

	count = t->count;
	end = clock_ns(v) + 2 * sh->period_ns;
	while (clock_ns(v) < end && !sh->stop)
		pause();
	r->spurious += t->count - count;
}

static void case_timers(struct vcpu_area *v, u32 cpu)
{
	struct timer_state *t = &timers[cpu];
	u64 rnd = sh->seed + cpu * 0x9e3779b97f4a7c15ULL;
	u32 i;

	while (!sh->stop) {
		for (v->mode = 0; v->mode < NR_MODES; v->mode++) {
			if (v->mode == MODE_PERIODIC) {
				run_periodic(v, t, 8);
				continue;
			}
			for (i = 0; i < 16 && !sh->stop; i++)
				run_single(v, t, v->mode, i % 8, &rnd);
		}
		v->rounds++;
	}
}

/*
 * tmcct: what is left of a long one-shot is what was set, less the guest time
 * that went by. The clock is read on both sides of the arming and of each
 * read, so the answer must lie between two bounds.
 */
static void case_tmcct(struct vcpu_area *v)
{
	const u64 tick_ns = 16 * BUS_NS, initial = 0xffffffff;
	u64 arm0, arm1, c0, c1, left, low, high, gone, slack;

	while (!sh->stop) {
		wrmsr(APIC_LVTT, LVT_MASKED | TIMER_VECTOR);
		wrmsr(APIC_TDCR, TDCR_BY_16);
		arm0 = clock_ns(v);
		wrmsr(APIC_TMICT, initial);
		arm1 = clock_ns(v);

		do {
			c0 = clock_ns(v);
			left = rdmsr(APIC_TMCCT);
			c1 = clock_ns(v);
			v->tmcct_reads++;
			if (!left) {
				/* It ran out: only if there was time for that. */
				if (c1 - arm0 < initial * tick_ns)
					v->tmcct_zero++;
				break;
			}
			gone = (initial - left) * tick_ns;
			slack = tick_ns + CLK_SLACK(c1 - arm0);
			low = c0 - arm1;
			high = c1 - arm0;
			if (gone + slack < low) {
				v->tmcct_bad++;
				worst(&v->tmcct_worst, low - gone);
			} else if (gone > high + slack) {
				v->tmcct_bad++;
				worst(&v->tmcct_worst, gone - high);
			}
			v->progress++;
		} while (left > initial / 2 && !sh->stop);
	}
	wrmsr(APIC_TMICT, 0);
}

/*
 * tscmsr: writes of IA32_TSC and TSC_ADJUST move this vCPU's TSC by just
 * what they say, whatever the timeline makes of the TSC meanwhile. The time
 * that goes by around a write is measured by both clocks, one inside the
 * other. (An IA32_TSC write from the guest moves kvmclock on stock KVM, until
 * the next update of the page; so that is not asked here.)
 */
static void try_adjust(struct vcpu_area *v, u64 shift)
{
	u64 outer0, k0, t0, t1, k1, outer1, inner, outer, gone;
	u64 adj = rdmsr(MSR_TSC_ADJUST);

	outer0 = rdtsc();
	k0 = clock_ns(v);
	t0 = rdtsc();
	wrmsr(MSR_TSC_ADJUST, adj + shift);
	t1 = rdtsc();
	k1 = clock_ns(v);
	outer1 = rdtsc();

	if (rdmsr(MSR_TSC_ADJUST) != adj + shift)
		v->bad_adjust_read++;
	/* In a day's time the TSC has not gone by 2^48: one of these did not add up. */
	inner = t1 - t0 - shift;
	outer = outer1 - outer0 - shift;
	if (inner > outer || outer >> 48) {
		v->bad_adjust_tsc++;
		return;
	}
	if (!sh->clocks_agree)
		return;
	gone = k1 - k0;
	if ((s64)gone < 0 || gone + CLK_SLACK(gone) < tsc_to_ns(inner) ||
	    gone > tsc_to_ns(outer) + 1 + CLK_SLACK(gone)) {
		v->bad_adjust_clk++;
		worst(&v->worst_adjust_clk, (s64)gone < 0 ? k0 - k1 : gone);
	}
}

static void try_write(struct vcpu_area *v, u64 want)
{
	u64 adj = rdmsr(MSR_TSC_ADJUST), t0, t1, shift;

	t0 = rdtsc();
	wrmsr(MSR_TSC, want);
	t1 = rdtsc();
	/* The TSC may pass 2^64 between the two */
	if ((t1 - want) >> 48)
		v->bad_write_tsc++;
	/*
	 * The write took place when the TSC was t0 + d, so the step to take up
	 * was want - t0 - d. What d can be: up to what went by until t1, which
	 * is t1 - t0 less that step.
	 */
	shift = rdmsr(MSR_TSC_ADJUST) - adj;
	if (want - t0 - shift > t1 - t0 - shift)
		v->bad_write_adjust++;
}

static void case_tscmsr(struct vcpu_area *v)
{
	u64 adj0 = rdmsr(MSR_TSC_ADJUST), rnd = sh->seed + (u64)v, t0, t1, m, shift;

	while (!sh->stop) {
		t0 = rdtsc();
		m = rdmsr(MSR_TSC);
		t1 = rdtsc();
		if (m < t0 || m > t1)
			v->bad_rdmsr++;

		shift = random_next(&rnd) & 0xffffffff;
		try_adjust(v, random_next(&rnd) & 1 ? shift : -shift);
		try_write(v, rdtsc() + (random_next(&rnd) & 0xffffffff));
		/* And to just before it begins again at 0: chance comes to that now and then, see above */
		try_write(v, -1000);

		/* Back to where it was, so that other cases find it clean. */
		wrmsr(MSR_TSC_ADJUST, adj0);
		v->tries++;
		v->progress++;
	}
}

static void case_rdtscp(struct vcpu_area *v, u32 cpu)
{
	u64 t0, t, t1;
	u32 aux;

	wrmsr(MSR_TSC_AUX, 0x5a000000 + cpu);
	while (!sh->stop) {
		t0 = rdtsc();
		t = rdtscp(&aux);
		t1 = rdtsc();
		if (t < t0 || t > t1)
			v->bad_order++;
		if (aux != 0x5a000000 + cpu)
			v->bad_aux++;
		v->tries++;
		v->progress++;
	}
}

/* pit */

/* A value that must lie between low and high. */
static void judge_read(struct read_result *r, u64 val, u64 low, u64 high)
{
	r->reads++;
	if (val < low) {
		r->bad++;
		worst(&r->worst, low - val);
	} else if (val > high) {
		r->bad++;
		worst(&r->worst, val - high);
	}
}

static void pic_setup(void)
{
	static const u8 init[][2] = {
		{ 0x20, 0x11 }, { 0x21, PIC_VECTOR }, { 0x21, 4 }, { 0x21, 1 },
		{ 0xa0, 0x11 }, { 0xa1, PIC_VECTOR + 8 }, { 0xa1, 2 }, { 0xa1, 1 },
		{ 0xa1, 0xff }, { 0x21, 0xff },
	};
	u32 i;

	for (i = 0; i < sizeof(init) / sizeof(init[0]); i++)
		outb_val(init[i][0], init[i][1]);
	wrmsr(APIC_LVT0, LVT_EXTINT);
}

static void pic_mask(int masked)
{
	outb_val(0x21, masked ? 0xff : 0xfe);
}

static void pit_load(u32 channel, u32 mode, u32 count)
{
	outb_val(0x43, channel << 6 | 0x30 | mode << 1);
	outb_val(0x40 + channel, count);
	outb_val(0x40 + channel, count >> 8);
}

/* Mode 5 waits for a trigger that channel 0 has not got. */
static void pit_stop(void)
{
	pit_load(0, 5, 1);
}

static u32 pit_latch(u32 channel)
{
	u32 lo;

	outb_val(0x43, channel << 6);
	lo = inb(0x40 + channel);
	return lo | inb(0x40 + channel) << 8;
}

static u64 pit_cycles(u64 ns)
{
	return mul_div(ns, PIT_HZ, 1000000000);
}

static u64 pit_ns(u64 cycles)
{
	return mul_div(cycles, 1000000000, PIT_HZ);
}

static void pit_single(struct vcpu_area *v, u32 kind, u64 *rnd)
{
	struct timer_result *r = &v->pit[kind];
	u64 cycles = pit_cycles(random_delay(rnd)) % 0xffff + 1, count = pit_timer.count, start;

	v->mode = kind;
	start = clock_ns(v);
	r->armed++;
	v->armed_now = 1;
	pit_load(0, kind == PIT_ONESHOT ? 0 : 4, cycles);
	wait_irq_either(&pit_timer, count, r->armed);
	v->armed_now = 0;
	r->fired++;
	judge(r, pit_timer.fire_clk, start + pit_ns(cycles), CLK_SLACK(pit_ns(cycles)), 0);
	r->spurious += pit_timer.count - count - 1;
	v->progress++;
}

/* How many periods may pass until a tick that is owed comes: at 50x one is some 100 us of the host. */
#define PIT_PATIENCE 4000

static void pit_periodic(struct vcpu_area *v, u32 mode, u64 ticks)
{
	struct timer_result *r = &v->pit[PIT_PERIODIC];
	u64 cycles = pit_cycles(sh->period_ns), count = pit_timer.count, start, loaded, end;
	u64 n = 0, due, most;	/* ticks by now, at least and at most */
	/* KVM's period is in whole ns. */
	u64 period = pit_ns(cycles);

	v->mode = PIT_PERIODIC;
	r->period_ns = period;
	start = clock_ns(v);
	v->armed_now = 1;
	pit_load(0, mode, cycles);
	loaded = clock_ns(v);
	while (n < ticks && !sh->stop) {
		wait_irq_either(&pit_timer, count + n, n);
		n++;
		v->progress++;
		judge(r, pit_timer.fire_clk, start + n * period, CLK_SLACK(n * period), 0);
	}
	/* A tick that is due while the channel is being stopped comes, or does not. */
	due = (clock_ns(v) - loaded) / period;
	pit_stop();
	end = clock_ns(v);
	most = (end - start) / period;
	n = pit_timer.count - count;
	v->armed_now = 0;
	r->elapsed_ns += end - start;

	/*
	 * With re-injection on, KVM goes on with the ticks that it owes when the channel is stopped;
	 * loading it anew would forgive them. Its thread may have to wait for a CPU first.
	 */
	end += (sh->pit_reinject && n < due ? PIT_PATIENCE : 2) * period;
	while (clock_ns(v) < end && !sh->stop) {
		if (sh->pit_reinject && pit_timer.count - count != n) {
			n = pit_timer.count - count;
			end = clock_ns(v) + (n < due ? PIT_PATIENCE : 2) * period;
		}
		pause();
	}
	n = pit_timer.count - count;
	if (sh->stop && due > n)
		due = n;	/* cut short */
	r->fired += n < most ? n : most;
	r->spurious += n > most ? n - most : 0;
	r->merged += n < due ? due - n : 0;
	r->armed += n < due ? due : n < most ? n : most;
}

/* The counter of a channel that reloads itself: how far in its period it is. */
static void pit_count(struct vcpu_area *v, u32 channel, u32 mode)
{
	struct read_result *r = &v->pit_count[channel / 2];
	const u64 count = 0xfffe, step = mode == 3 ? 2 : 1;
	u64 load0, load1, c0, c1, low, high, gone, i;

	load0 = clock_ns(v);
	pit_load(channel, mode, count);
	load1 = clock_ns(v);
	for (i = 0; i < 16 && !sh->stop; i++) {
		c0 = clock_ns(v);
		gone = count - pit_latch(channel);
		c1 = clock_ns(v);
		/* One cycle for rounding, one for what a period loses by it. */
		low = step * pit_cycles(c0 - load1);
		high = step * (pit_cycles(c1 - load0 + CLK_SLACK(c1 - load0)) + 2);
		low = low > 2 ? low - 2 : 0;
		/* Bring it into the period that low is in. */
		gone += low / count * count;
		if (gone < low)
			gone += count;
		judge_read(r, gone, low, high);
		v->progress++;
	}
}

/* Channel 2 counts down once its gate is open, and its output goes up; so do guests calibrate. */
static void pit_out(struct vcpu_area *v, u64 *rnd)
{
	u64 cycles = pit_cycles(random_delay(rnd)) % 0xffff + 1, delay = pit_ns(cycles);
	u64 load0, load1, c0, c1, slack;
	u8 out;

	outb_val(0x61, (inb(0x61) & ~2) | 1);
	load0 = clock_ns(v);
	pit_load(2, 0, cycles);
	load1 = clock_ns(v);
	do {
		c0 = clock_ns(v);
		out = inb(0x61) & 0x20;
		c1 = clock_ns(v);
		slack = CLK_SLACK(delay) + 839;	/* the cycle in which it goes up */
		if (out)
			judge_read(&v->pit_out, c1 - load0, delay - (slack < delay ? slack : delay), -1UL);
		else
			judge_read(&v->pit_out, c0 - load1, 0, delay + slack);
		v->progress++;
	} while (!out && !sh->stop);
}

static void wait_for_stop(struct vcpu_area *v)
{
	while (!sh->stop) {
		pause();
		v->progress++;
	}
}

static void case_pit(struct vcpu_area *v, u32 cpu)
{
	u64 rnd = sh->seed, i;

	if (cpu) {
		wait_for_stop(v);
		return;
	}

	pic_setup();
	while (!sh->stop) {
		pic_mask(0);
		for (i = 0; i < 4 && !sh->stop; i++) {
			pit_single(v, PIT_ONESHOT, &rnd);
			pit_single(v, PIT_STROBE, &rnd);
		}
		pit_periodic(v, 2 + v->rounds % 2, 8);
		pic_mask(1);
		pit_count(v, 0, 2 + v->rounds % 2);
		pit_stop();
		pit_count(v, 2, 2 + v->rounds % 2);
		pit_out(v, &rnd);
		v->rounds++;
	}
	wrmsr(APIC_LVT0, LVT_MASKED);
}

/* pairing: the wall clock is kvmclock plus an epoch that does not change, whatever it is read by */

static u64 hypercall(u64 nr, u64 a, u64 b, u64 xen_a, u64 xen_b, u64 xen_c)
{
	u32 eax = 0, ebx, ecx, edx;
	u64 ret = nr;

	asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx));
	if (ebx == 0x68747541)	/* "Auth" */
		asm volatile("vmmcall" : "+a"(ret) : "b"(a), "c"(b), "D"(xen_a), "S"(xen_b),
			     "d"(xen_c) : "memory");
	else
		asm volatile("vmcall" : "+a"(ret) : "b"(a), "c"(b), "D"(xen_a), "S"(xen_b),
			     "d"(xen_c) : "memory");
	return ret;
}

/* Two host clocks read one after the other, and kvmclock's rounding. */
#define WALL_SLACK	1000

static void case_pairing(struct vcpu_area *v, u32 cpu)
{
	u64 t0, t1, c0, c1, wall, last = 0, epoch;

	if (cpu) {
		wait_for_stop(v);
		return;
	}
	while (!sh->stop) {
		wrmsr(MSR_KVM_WALL_CLOCK, (u64)v->wall);
		epoch = v->wall[1] * 1000000000UL + v->wall[2];
		if (!v->epoch)
			v->epoch = epoch;
		judge_read(&v->wall_epoch, epoch, v->epoch - WALL_SLACK, v->epoch + WALL_SLACK);

		t0 = rdtsc();
		c0 = clock_ns(v);
		if (hypercall(KVM_HC_CLOCK_PAIRING, (u64)v->pair, 0, 0, 0, 0)) {
			v->pair_refused++;
		} else {
			c1 = clock_ns(v);
			t1 = rdtsc();
			judge_read(&v->pair_tsc, v->pair[2], t0, t1);
			wall = v->pair[0] * 1000000000UL + v->pair[1];
			judge_read(&v->pair_wall, wall - v->epoch, c0 - WALL_SLACK, c1 + WALL_SLACK);
			v->pair_back += wall < last;
			last = wall;
		}
		v->progress++;
	}
}

/* vmware: real and apparent time side by side */

static u64 rdpmc(u32 counter)
{
	u32 lo, hi;

	asm volatile("rdpmc" : "=a"(lo), "=d"(hi) : "c"(counter) : "memory");
	return lo | (u64)hi << 32;
}

static void case_vmware(struct vcpu_area *v, u32 cpu)
{
	u64 tsc, real, apparent, c0, c1;

	v->gp_allowed = 1;
	rdpmc(0x10000);
	v->gp_allowed = 0;
	if (cpu || v->gp_seen) {
		wait_for_stop(v);
		return;
	}
	while (!sh->stop) {
		tsc = rdpmc(0x10000);
		real = rdpmc(0x10001);
		c0 = clock_ns(v);
		apparent = rdpmc(0x10002);
		c1 = clock_ns(v);
		v->vmware_back += apparent < v->vmware_apparent[1] || tsc < v->vmware_tsc[1] ||
				  real < v->vmware_real[1];
		/* One distance must fit all readings: each bounds it from both sides. */
		if (!v->vmware_reads || (s64)(apparent - c1) > v->vmware_least)
			v->vmware_least = apparent - c1;
		if (!v->vmware_reads || (s64)(apparent - c0) < v->vmware_most)
			v->vmware_most = apparent - c0;
		if (!v->vmware_reads++) {
			v->vmware_tsc[0] = tsc;
			v->vmware_real[0] = real;
			v->vmware_apparent[0] = apparent;
		}
		v->vmware_tsc[1] = tsc;
		v->vmware_real[1] = real;
		v->vmware_apparent[1] = apparent;
		v->progress++;
	}
}

/* steal: no more is stolen than has gone by, in the guest's own seconds */

static void case_steal(struct vcpu_area *v)
{
	u64 start, first, before, after, steal, last, last_before;

	wrmsr(MSR_KVM_STEAL_TIME, (u64)v->steal_page | 1);
	start = last_before = clock_ns(v);
	first = last = v->steal_page[0];
	while (!sh->stop) {
		before = clock_ns(v);
		steal = v->steal_page[0];
		after = clock_ns(v);
		if (steal < last)
			v->steal_back++;
		else
			judge_read(&v->steal_step, steal - last, 0, after - last_before);
		last = steal;
		last_before = before;
		v->steal_ns = steal - first;
		v->steal_elapsed = after - start;
		v->progress++;
	}
	wrmsr(MSR_KVM_STEAL_TIME, 0);
}

/* hyperv, xen */

/* Reference time is in units of 100 ns: one for its own rounding, one for the page's. */
#define REF_SLACK	200

/* Reference time by the TSC page, and the TSC that it is of; 0 if the page is not to be used. */
static int hv_page(u64 *ref, u64 *tsc)
{
	const volatile u32 *seq = (u32 *)HV_TSC_ADDR;
	const volatile u64 *page = (u64 *)HV_TSC_ADDR;
	u32 s;

	do {
		s = *seq;
		if (!s)
			return 0;
		barrier();
		*tsc = rdtsc();
		*ref = (u64)(((u128)*tsc * page[1]) >> 64) + page[2];
		barrier();
	} while (*seq != s);
	return 1;
}

static u64 hv_ref(u64 *from_page)
{
	u64 ref, tsc;

	if (!hv_page(&ref, &tsc))
		return rdmsr(MSR_HV_TIME_REF_COUNT);
	(*from_page)++;
	return ref;
}

static void hv_read(struct vcpu_area *v, u64 *last)
{
	u64 c0, c1, ref, pages = 0, i;

	for (i = 0; i < 64 && !sh->stop; i++) {
		c0 = clock_ns(v);
		ref = i & 1 ? rdmsr(MSR_HV_TIME_REF_COUNT) : hv_ref(&pages);
		c1 = clock_ns(v);
		/* What the MSR answered in the page's stead is not the page's. */
		if (i & 1 || pages)
			judge_read(i & 1 ? &v->ref_msr : &v->ref_page, ref * 100, c0 - REF_SLACK,
				   c1 + REF_SLACK);
		if (ref < *last) {
			v->ref_back++;
			worst(&v->ref_back_worst, *last - ref);
		}
		*last = ref;
		v->progress++;
	}
}

static void device_wait(struct vcpu_area *v, struct timer_result *r, u64 count, u64 due, u64 slack,
			u64 n)
{
	struct timer_state *t = &device_timers[this_vcpu()];

	wait_irq_either(t, count, n);
	judge(r, t->fire_clk, due, slack, 0);
	v->progress++;
}

static void hv_oneshot(struct vcpu_area *v, u32 timer, u64 kind, u64 *rnd)
{
	struct timer_state *t = &device_timers[this_vcpu()];
	u64 delay = random_delay(rnd), count = t->count, pages, due;
	struct timer_result *r = &v->device[0];

	v->mode = 0;
	wrmsr(MSR_HV_STIMER_CONFIG(timer), kind | STIMER_AUTO_ENABLE);
	due = hv_ref(&pages) + delay / 100;
	r->armed++;
	v->armed_now = 1;
	wrmsr(MSR_HV_STIMER_COUNT(timer), due);
	device_wait(v, r, count, due * 100, REF_SLACK + CLK_SLACK(delay), r->armed);
	v->armed_now = 0;
	r->fired++;
	r->spurious += t->count - count - 1;
}

static void hv_periodic(struct vcpu_area *v, u32 timer, u64 kind)
{
	struct timer_state *t = &device_timers[this_vcpu()];
	u64 period = sh->period_ns / 100, count = t->count, n = 0, pages, start, end, due_ticks;
	struct timer_result *r = &v->device[1];

	v->mode = 1;
	wrmsr(MSR_HV_STIMER_COUNT(timer), period);
	start = hv_ref(&pages);
	v->armed_now = 1;
	wrmsr(MSR_HV_STIMER_CONFIG(timer), kind | STIMER_PERIODIC | STIMER_ENABLE);
	while (n < 8 && !sh->stop) {
		n++;
		device_wait(v, r, count + n - 1, (start + n * period) * 100,
			    REF_SLACK + CLK_SLACK(n * period * 100), n);
	}
	wrmsr(MSR_HV_STIMER_CONFIG(timer), 0);
	end = hv_ref(&pages);
	n = t->count - count;
	v->armed_now = 0;
	due_ticks = (end - start) / period;
	r->armed += due_ticks > n ? due_ticks : n;
	r->fired += n;
	r->merged += due_ticks > n ? due_ticks - n : 0;
}

static void case_hyperv(struct vcpu_area *v, u32 cpu)
{
	u64 rnd = sh->seed + cpu, last = 0, i;

	wrmsr(MSR_HV_GUEST_OS_ID, 1UL << 48);
	if (!cpu)
		wrmsr(MSR_HV_REFERENCE_TSC, HV_TSC_ADDR | 1);
	wrmsr(MSR_HV_SCONTROL, 1);
	wrmsr(MSR_HV_SIMP, (HV_SIMP_ADDR + cpu * 4096UL) | 1);
	wrmsr(MSR_HV_SINT(HV_SINT), DEVICE_VECTOR);
	while (!sh->stop) {
		hv_read(v, &last);
		for (i = 0; i < 4 && !sh->stop; i++) {
			hv_oneshot(v, 0, STIMER_DIRECT, &rnd);
			hv_oneshot(v, 1, STIMER_MESSAGE, &rnd);
		}
		if (v->rounds & 1)
			hv_periodic(v, 2, STIMER_DIRECT);
		else
			hv_periodic(v, 3, STIMER_MESSAGE);
		v->rounds++;
	}
	for (i = 0; i < 4; i++)
		wrmsr(MSR_HV_STIMER_CONFIG(i), 0);
	if (!cpu)
		wrmsr(MSR_HV_REFERENCE_TSC, 0);
}

static void xen_timer(struct vcpu_area *v, u32 cpu, u32 by_vcpu_op, u64 *rnd)
{
	struct { u64 timeout; u32 flags, pad; } op = { 0 };
	struct timer_state *t = &device_timers[cpu];
	u64 delay = random_delay(rnd), count = t->count, due;
	struct timer_result *r = &v->device[by_vcpu_op];

	v->mode = by_vcpu_op;
	due = clock_ns(v) + delay;
	op.timeout = due;
	r->armed++;
	v->armed_now = 1;
	if (by_vcpu_op)
		hypercall(XEN_VCPU_OP, 0, 0, XEN_VCPUOP_SET_SINGLESHOT, cpu, (u64)&op);
	else
		hypercall(XEN_SET_TIMER_OP, 0, 0, due, 0, 0);
	/* One of four is put off, and then cancelled. */
	if (r->armed % 4 == 0 && t->count == count) {
		hypercall(XEN_SET_TIMER_OP, 0, 0, due + 3600000000000UL, 0, 0);
		hypercall(XEN_SET_TIMER_OP, 0, 0, 0, 0, 0);
		if (t->count == count) {
			while (clock_ns(v) < due + sh->delay_min_ns && !sh->stop)
				pause();
			v->armed_now = 0;
			r->cancelled++;
			r->spurious += t->count - count;
			v->progress++;
			return;
		}
	}
	device_wait(v, r, count, due, CLK_SLACK(delay), r->armed);
	v->armed_now = 0;
	r->fired++;
	r->spurious += t->count - count - 1;
}

static void xen_read(struct vcpu_area *v, u64 base)
{
	const volatile u64 *rs = (u64 *)(base + XEN_RUNSTATE);
	struct clock_sample s;
	u64 c0, c1, i, sum;

	for (i = 0; i < 16; i++) {
		c0 = clock_ns(v);
		read_clock((struct pvclock_page *)(base + (i & 1 ? XEN_TIME : XEN_TIME_INFO)), &s);
		c1 = clock_ns(v);
		judge_read(&v->xen_page[i & 1], s.clk, c0, c1);
	}
	do {
		i = rs[1];
		barrier();
		sum = rs[2] + rs[3] + rs[4] + rs[5];
		barrier();
	} while (rs[1] != i);
	/* The states' times add up to when the present one began, and that is past. */
	judge_read(&v->xen_runstate, sum, i, i < clock_ns(v) + WALL_SLACK ? i : 0);
	v->progress++;
}

static void case_xen(struct vcpu_area *v, u32 cpu)
{
	u64 rnd = sh->seed + cpu, i;

	while (!sh->stop) {
		for (i = 0; i < 4 && !sh->stop; i++) {
			xen_read(v, XEN_VCPU_ADDR + cpu * 4096UL);
			xen_timer(v, cpu, 0, &rnd);
			xen_timer(v, cpu, 1, &rnd);
		}
		v->rounds++;
	}
}

/* coherence: a batch is one reading of each clock, and kvmclock's page */

static u64 pit_gone(u32 channel)
{
	return (PIT_WRAP - pit_latch(channel)) % PIT_WRAP;
}

static void read_all(struct vcpu_area *v, u32 cpu)
{
	u64 xen = XEN_VCPU_ADDR + cpu * 4096UL;
	struct clock_reading *r = v->reading;
	struct clock_sample s;
	u32 i;

	while (!hv_page(&r[CLOCK_HV_PAGE].value, &r[CLOCK_HV_PAGE].before))
		pause();
	r[CLOCK_HV_PAGE].after = r[CLOCK_HV_PAGE].before;
	for (i = CLOCK_XEN_INFO; i <= CLOCK_XEN_TIME; i++) {
		read_clock((struct pvclock_page *)(xen + (i == CLOCK_XEN_INFO ? XEN_TIME : XEN_TIME_INFO)), &s);
		r[i].value = s.clk;
		r[i].before = r[i].after = s.tsc;
	}
	r[CLOCK_HV_REF].before = rdtsc();
	r[CLOCK_HV_REF].value = rdmsr(MSR_HV_TIME_REF_COUNT);
	r[CLOCK_HV_REF].after = rdtsc();
	if (cpu)
		return;
	for (i = CLOCK_PIT0; i <= CLOCK_PIT2; i++) {
		r[i].before = rdtsc();
		r[i].value = pit_gone(i == CLOCK_PIT0 ? 0 : 2);
		r[i].after = rdtsc();
	}
	r[CLOCK_LAPIC].before = rdtsc();
	r[CLOCK_LAPIC].value = LAPIC_INITIAL - rdmsr(APIC_TMCCT);
	r[CLOCK_LAPIC].after = rdtsc();
}

static void case_coherence(struct vcpu_area *v, u32 cpu)
{
	u64 batch;

	wrmsr(MSR_HV_GUEST_OS_ID, 1UL << 48);
	if (!cpu) {
		wrmsr(MSR_HV_REFERENCE_TSC, HV_TSC_ADDR | 1);
		pic_setup();
		outb_val(0x61, (inb(0x61) & ~2) | 1);
		pit_load(0, 2, PIT_WRAP & 0xffff);
		pit_load(2, 2, PIT_WRAP & 0xffff);
		wrmsr(APIC_TDCR, TDCR_BY_16);
		wrmsr(APIC_LVTT, LVT_PERIODIC | LVT_MASKED | TIMER_VECTOR);
		wrmsr(APIC_TMICT, LAPIC_INITIAL);
	}
	while (!sh->stop) {
		batch = sh->batch;
		if (batch == v->batch_done) {
			outb(PORT_IDLE);
			continue;
		}
		do {
			read_clock(&v->page, &v->sample[0]);
			read_all(v, cpu);
			read_clock(&v->page, &v->sample[1]);
			/* All of it by one page */
		} while (v->sample[0].page_tsc != v->sample[1].page_tsc && !sh->stop);
		v->progress++;
		v->batch_done = batch;
	}
	if (!cpu) {
		pit_stop();
		wrmsr(APIC_LVT0, LVT_MASKED);
		wrmsr(MSR_HV_REFERENCE_TSC, 0);
	}
}

/* Sandwiches of nothing, of readings of the TSC and of kvmclock, in turn: the host's clock tells what they took. */
static void case_costs(struct vcpu_area *v)
{
	u64 i, j;

	for (i = 0; i < MAX_PINCHES - MAX_PINCHES % 3; i++) {
		outb(PORT_PINCH);
		for (j = 0; j < COST_READS && i % 3; j++)
			v->pinch_tsc = i % 3 == 1 ? rdtsc() : clock_ns(v);
		outb(PORT_PINCHED);
		v->progress++;
	}
	while (!sh->stop)
		pause();
}

static void case_roundtrip(struct vcpu_area *v, u32 cpu)
{
	struct timer_state *t = &timers[cpu];
	u64 delay = ns_to_tsc(sh->roundtrip_ns), i, j, a, b, due, count;

	v->arm_cycles_min = v->late_cycles_min = v->read_cycles_min = -1UL;
	wrmsr(APIC_LVTT, LVT_DEADLINE | TIMER_VECTOR);
	asm volatile("mfence" : : : "memory");
	for (i = 0; i < sh->rounds && !sh->stop; i++) {
		count = t->count;
		a = rdtsc();
		due = a + delay;
		wrmsr(MSR_TSC_DEADLINE, due);
		b = rdtsc();
		wait_irq(t, count);
		v->arm_cycles += b - a;
		if (b - a < v->arm_cycles_min)
			v->arm_cycles_min = b - a;
		v->late_cycles += t->fire_tsc - due;
		if (t->fire_tsc - due < v->late_cycles_min)
			v->late_cycles_min = t->fire_tsc - due;
		v->rounds++;
	}
	for (i = 0; i < 16; i++) {
		a = rdtsc();
		for (j = 0; j < 64; j++)
			b = rdtsc();
		if (b - a < v->read_cycles_min)
			v->read_cycles_min = b - a;
	}
}

void guest_main(u64 cpu)
{
	struct vcpu_area *v = &sh->vcpu[cpu];

	setup_cpu(cpu);

	/* All vCPUs start the case together, or the first would run alone. */
	__atomic_add_fetch(&sh->started, 1, __ATOMIC_SEQ_CST);
	while (load(&sh->started) < sh->nr_vcpus)
		pause();

	switch (sh->guest_case) {
	case CASE_CLOCK:
		case_clock(v);
		break;
	case CASE_TIMERS:
		case_timers(v, cpu);
		break;
	case CASE_TMCCT:
		case_tmcct(v);
		break;
	case CASE_TSCMSR:
		case_tscmsr(v);
		break;
	case CASE_RDTSCP:
		case_rdtscp(v, cpu);
		break;
	case CASE_ROUNDTRIP:
		case_roundtrip(v, cpu);
		break;
	case CASE_PIT:
		case_pit(v, cpu);
		break;
	case CASE_PAIRING:
		case_pairing(v, cpu);
		break;
	case CASE_VMWARE:
		case_vmware(v, cpu);
		break;
	case CASE_STEAL:
		case_steal(v);
		break;
	case CASE_HYPERV:
		case_hyperv(v, cpu);
		break;
	case CASE_XEN:
		case_xen(v, cpu);
		break;
	case CASE_COHERENCE:
		case_coherence(v, cpu);
		break;
	case CASE_COSTS:
		case_costs(v);
		break;
	}
	wrmsr(APIC_LVTT, LVT_MASKED | TIMER_VECTOR);
	wrmsr(APIC_TMICT, 0);
	for (;;)
		outb(PORT_DONE);
}
