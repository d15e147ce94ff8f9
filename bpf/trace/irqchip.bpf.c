// SPDX-License-Identifier: GPL-2.0
/*
 * Ticks that come by way of an irqchip: KVM's own PIT with its re-injection, and whatever the VMM
 * raises on the lines of PIT or HPET (GSI 0, 2) and RTC (GSI 8).
 *
 * A tick counts as fired when it is raised on a chip that does not mask it.  It is coalesced when
 * that chip, or all LAPICs that it goes to, still have the one before.
 */
#include "trace.bpf.h"

#define PIN_MASKED (1 << 16)

static __always_inline struct kvm_pit *pit_of(void *ps)
{
	return ps - bpf_core_field_offset(struct kvm_pit, pit_state);
}

static __always_inline void owe(struct trace_stats *s, u64 n)
{
	s->backlog = n;
	if (n > s->backlog_max)
		s->backlog_max = n;
}

/* pending counts the tick that the guest has not acknowledged yet, and those behind it */
static __always_inline u64 owed(u32 pending)
{
	return pending > 1 ? pending - 1 : 0;
}

SEC("fentry/kvm:pit_timer_fn")
int BPF_PROG(pit_fired, struct hrtimer *timer)
{
	struct kvm_kpit_state *ps = first_arg(ctx) - bpf_core_field_offset(struct kvm_kpit_state, timer);
	struct kvm_pit *pit = pit_of(ps);
	u32 pending = BPF_CORE_READ(ps, pending.counter);
	u32 reinject = BPF_CORE_READ(ps, reinject.counter);
	struct trace_stats *s;
	struct unit *u;
	struct tick *t;

	u = vm_unit(BPF_CORE_READ(pit, kvm));
	s = u ? stats_of(u, TRACE_PIT) : NULL;
	if (!s)
		return 0;
	count(s->fired, 1);
	s->period_ns = BPF_CORE_READ(ps, period);
	s->reinject = reinject;
	/* Fewer than were left: guest or VMM has reset it, and what was owed is gone */
	if (u->pit_pending > pending && owed(u->pit_pending)) {
		count(s->dropped, owed(u->pit_pending));
		note_lost(u, TRACE_PIT, owed(u->pit_pending), TRACE_LOST_DROPPED);
	}
	if (!reinject || !pending) {
		t = &u->fired_tick[TRACE_PIT];
		t->deadline_ns = BPF_CORE_READ(ps, timer._softexpires);
		t->fired_ns = bpf_ktime_get_ns();
		put_in(&u->fired, TRACE_PIT);
	}
	u->pit_pending = reinject ? pending + 1 : 0;
	owe(s, owed(u->pit_pending));
	if (owed(u->pit_pending))
		event(u, TRACE_EV_BACKLOG, TRACE_PIT, owed(u->pit_pending), 0, 0);
	return 0;
}

/* The guest has acknowledged one.  If more are pending, the next goes out at once, late. */
SEC("fentry/kvm:kvm_pit_ack_irq")
int BPF_PROG(pit_acked, struct kvm_irq_ack_notifier *kian)
{
	struct kvm_kpit_state *ps = first_arg(ctx) -
				    bpf_core_field_offset(struct kvm_kpit_state, irq_ack_notifier);
	struct kvm_pit *pit = pit_of(ps);
	u32 pending = BPF_CORE_READ(ps, pending.counter);
	struct trace_stats *s;
	struct unit *u;
	struct tick *t;
	u64 period;

	u = vm_unit(BPF_CORE_READ(pit, kvm));
	s = u ? stats_of(u, TRACE_PIT) : NULL;
	if (!s)
		return 0;
	u->pit_pending = pending ? pending - 1 : 0;
	owe(s, owed(u->pit_pending));
	if (pending < 2)
		return 0;
	count(s->reinjected, 1);
	/* The timer is set for the next; the oldest that is owed was due so many periods before */
	period = BPF_CORE_READ(ps, period);
	t = &u->fired_tick[TRACE_PIT];
	t->deadline_ns = BPF_CORE_READ(ps, timer._softexpires) - (u64)(pending - 1) * period;
	t->fired_ns = t->deadline_ns;
	put_in(&u->fired, TRACE_PIT);
	event(u, TRACE_EV_REINJECTED, TRACE_PIT, owed(u->pit_pending), 0, 0);
	return 0;
}

/* Which source a raised line is; TRACE_NR_SOURCES for none of them */
static __always_inline u32 line_source(int irq, int source_id)
{
	if (irq == 8)
		return TRACE_RTC;
	if (irq != 0 && irq != 2)
		return TRACE_NR_SOURCES;
	return source_id ? TRACE_PIT : TRACE_IRQ0;
}

enum chip { CHIP_PIC = 0, CHIP_IOAPIC };
enum edge { EDGE_NEW, EDGE_NONE, EDGE_TOLD };

static __always_inline u32 line_of(u32 source, enum chip chip)
{
	return (source == TRACE_RTC) * 2 + chip;
}

static __always_inline void lowered(struct unit *u, u32 source, enum chip chip)
{
	take_out(&u->lines, line_of(source, chip));
}

/*
 * What it means that a line is raised.  If it is high already, there is no edge, and a tick is lost
 * whatever the chip says; unless it was raised a moment ago: QEMU tells of each change twice, by the
 * PIC's line and by the I/O APIC's, which are one to KVM.
 */
static __always_inline enum edge raise_line(struct unit *u, u32 source, enum chip chip)
{
	u32 line = line_of(source, chip) & 3;
	bool high = is_in(&u->lines, line);
	u64 now, before;

	if (source == TRACE_PIT)
		return EDGE_NEW;
	now = bpf_ktime_get_ns();
	before = u->line_ns[line];
	u->line_ns[line] = now;
	put_in(&u->lines, line);
	return !high ? EDGE_NEW : now - before < 50000 ? EDGE_TOLD : EDGE_NONE;
}

static __always_inline void raised(struct unit *u, u32 source)
{
	struct trace_stats *s;
	struct tick *t;

	if (source == TRACE_PIT)
		return;
	/* When it was due, only the VMM knows */
	t = &u->fired_tick[source];
	t->deadline_ns = t->fired_ns = bpf_ktime_get_ns();
	s = stats_of(u, source);
	if (s)
		count(s->fired, 1);
}

/*
 * A VMM that makes up for lost ticks of its RTC (QEMU with driftfix=slew) does so when the guest reads
 * register C: the vCPU's thread lowers the line, and raises it again at once.  All others come from
 * the thread that runs the VMM's timers.
 */
static __always_inline void rtc_accepted(struct unit *u)
{
	struct trace_stats *s;

	if (!u->rtc_coalesced || u->rtc_lowered_by != (u32)bpf_get_current_pid_tgid())
		return;
	count(u->rtc_coalesced, -1);
	s = stats_of(u, TRACE_RTC);
	if (s)
		count(s->reinjected, 1);
}

static __always_inline void outcome(struct unit *u, u32 source, bool accepted)
{
	struct trace_stats *s = accepted ? NULL : stats_of(u, source);

	if (source == TRACE_RTC && accepted)
		rtc_accepted(u);
	if (!s)
		return;
	count(s->coalesced, 1);
	if (source == TRACE_RTC)
		count(u->rtc_coalesced, 1);
	note_lost(u, source, 1, TRACE_LOST_COALESCED);
}

/*
 * Before 6.17 a chip's function is given the chip and the pin; since then, the route's entry, which
 * names the pin, and the VM.  What follows is the same in both.
 */
static __always_inline u32 pin_of(u64 first, u64 second)
{
	struct kvm_kernel_irq_routing_entry *e = (void *)first;

	return cfg_irq_entry ? BPF_CORE_READ(e, irqchip.pin) : (u32)second;
}

static __always_inline struct kvm_ioapic *ioapic_of(u64 first, u64 second)
{
	struct kvm *kvm = (void *)second;

	return cfg_irq_entry ? BPF_CORE_READ(kvm, arch.vioapic) : (void *)first;
}

static __always_inline struct kvm_pic *pic_of(u64 first, u64 second)
{
	struct kvm *kvm = (void *)second;

	return cfg_irq_entry ? BPF_CORE_READ(kvm, arch.vpic) : (void *)first;
}

SEC("fentry/kvm:kvm_ioapic_set_irq")
int BPF_PROG(ioapic_raise, u64 first, u64 second, int source_id, int level)
{
	u32 tid = bpf_get_current_pid_tgid(), irq, source;
	struct kvm_ioapic *ioapic;
	struct raise r = {};
	struct kvm *kvm;
	struct unit *u;
	u64 entry;

	irq = pin_of(first, second);
	source = line_source(irq, source_id);
	if (source >= TRACE_NR_SOURCES)
		return 0;
	ioapic = ioapic_of(first, second);
	kvm = BPF_CORE_READ(ioapic, kvm);
	if (!level && source == TRACE_PIT)
		return 0;
	u = vm_unit(kvm);
	if (!u)
		return 0;
	if (!level) {
		lowered(u, source, CHIP_IOAPIC);
		u->rtc_lowered_by = source == TRACE_RTC ? tid : u->rtc_lowered_by;
		return 0;
	}
	if (raise_line(u, source, CHIP_IOAPIC) == EDGE_TOLD)
		return 0;
	entry = irq == 8 ? BPF_CORE_READ(ioapic, redirtbl[8].bits) :
		irq == 2 ? BPF_CORE_READ(ioapic, redirtbl[2].bits) :
			   BPF_CORE_READ(ioapic, redirtbl[0].bits);
	if (entry & PIN_MASKED)
		return 0;
	raised(u, source);
	r.kvm = (u64)kvm;
	r.source = source;
	r.vector = entry & 0xff;
	r.tick = u->fired_tick[source];
	if (!bpf_map_update_elem(&raises, &tid, &r, 0))
		count(raising, 1);
	return 0;
}

SEC("fexit/kvm:kvm_ioapic_set_irq")
int BPF_PROG(ioapic_raised, u64 first, u64 second, int source_id, int level, bool line_status,
	     int ret)
{
	u32 tid = bpf_get_current_pid_tgid(), source;
	struct raise *r;
	struct unit *u;

	source = line_source(pin_of(first, second), source_id);
	if (!level || source >= TRACE_NR_SOURCES)
		return 0;
	r = bpf_map_lookup_elem(&raises, &tid);
	if (!r)
		return 0;
	u = vm_unit((void *)r->kvm);
	if (u && ret >= 0)
		outcome(u, source, ret > 0 && (r->accepted || !r->coalesced));
	bpf_map_delete_elem(&raises, &tid);
	count(raising, -1);
	return 0;
}

SEC("fexit/kvm:kvm_pic_set_irq")
int BPF_PROG(pic_raised, u64 first, u64 second, int source_id, int level)
{
	int irq = pin_of(first, second), ret = ctx[4];
	u32 source = line_source(irq, source_id);
	struct trace_stats *s;
	struct kvm_pic *pic;
	enum edge edge;
	struct unit *u;
	struct tick *t;

	if (cfg_irq_entry) {
		barrier();	/* not one load at a computed place, which 6.1 refuses */
		ret = ctx[5];
	}
	if (source >= TRACE_NR_SOURCES || (!level && source == TRACE_PIT))
		return 0;
	pic = pic_of(first, second);
	u = vm_unit(BPF_CORE_READ(pic, kvm));
	if (!u)
		return 0;
	if (!level) {
		lowered(u, source, CHIP_PIC);
		return 0;
	}
	edge = raise_line(u, source, CHIP_PIC);
	/* Negative: masked, so the guest uses the other chip */
	if (ret < 0 || edge == EDGE_TOLD)
		return 0;
	if (edge == EDGE_NONE)
		ret = 0;
	raised(u, source);
	outcome(u, source, ret > 0);
	s = ret > 0 ? stats_of(u, source) : NULL;
	if (!s)
		return 0;
	count(s->injected, 1);
	t = &u->injected_tick[source];
	*t = u->fired_tick[source];
	t->injected_ns = bpf_ktime_get_ns();
	u->injected_vector[source] = irq < 8 ? BPF_CORE_READ(pic, pics[0].irq_base) + irq :
					       BPF_CORE_READ(pic, pics[1].irq_base) + irq - 8;
	if (!is_in(&u->injected, source))
		count(pic_waiting, 1);
	put_in(&u->injected, source);
	return 0;
}
