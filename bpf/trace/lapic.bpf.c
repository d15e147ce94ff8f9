// SPDX-License-Identifier: GPL-2.0
/*
 * What becomes of a LAPIC timer's ticks: armed, fired, injected, delivered, lost.
 *
 * Function by function of arch/x86/kvm/lapic.c.  For the time when the timer should have fired, the
 * host's hrtimer is asked where it was the one that fired: that is host time whatever the guest's
 * clock does.
 */
#include "trace.bpf.h"

#define APIC_IRR 0x200
#define APIC_LVTT 0x320
#define TIMER_PERIODIC (1 << 17)
#define TIMER_DEADLINE (2 << 17)
#define LVT_MASKED (1 << 16)
#define DM_LOWEST 0x100

static __always_inline u32 lapic_source(struct kvm_lapic *apic)
{
	u32 mode = apic->lapic_timer.timer_mode;

	return mode == TIMER_DEADLINE ? TRACE_DEADLINE :
	       mode == TIMER_PERIODIC ? TRACE_PERIODIC : TRACE_ONESHOT;
}

/* Called for what the guest arms, and again for one deadline whenever the kind of timer changes */
SEC("fentry/restart_apic_timer")
int BPF_PROG(lapic_armed, struct kvm_lapic *apic)
{
	u32 source = lapic_source(apic);
	struct trace_stats *s;
	struct unit *u;
	u64 deadline;

	u = vcpu_unit(apic->vcpu);
	if (!u)
		return 0;
	deadline = source == TRACE_DEADLINE ? apic->lapic_timer.tscdeadline :
					      apic->lapic_timer.target_expiration;
	if (deadline == u->armed)
		return 0;
	u->armed = deadline;
	if (!deadline)
		return 0;
	s = stats_of(u, source);
	if (!s)
		return 0;
	count(s->armed, 1);
	if (source == TRACE_PERIODIC)
		s->period_ns = apic->lapic_timer.period;
	if (cfg_events) {
		u64 now = bpf_ktime_get_ns();

		event(u, TRACE_EV_ARMED, source, source == TRACE_DEADLINE ?
		      -tsc_past_ns(apic->vcpu, deadline, now) : (s64)(deadline - now), 0, 0);
	}
	return 0;
}

SEC("fentry/apic_timer_expired")
int BPF_PROG(lapic_expired, struct kvm_lapic *apic, bool from_timer_fn)
{
	u32 source = lapic_source(apic), lvtt = 0;
	u64 now = bpf_ktime_get_ns(), due;
	struct trace_stats *s;
	struct unit *u;
	struct tick *t;

	u = vcpu_unit(apic->vcpu);
	if (!u)
		return 0;
	s = stats_of(u, source);
	if (!s)
		return 0;
	u->target = apic->lapic_timer.target_expiration;
	if (apic->lapic_timer.pending.counter > 0) {
		/* For one-shot modes this is no second tick: the timer is looked at again */
		if (source == TRACE_PERIODIC) {
			count(s->lost_pending, 1);
			note_lost(u, source, 1, TRACE_LOST_PENDING);
		}
		return 0;
	}
	if (from_timer_fn) {
		due = apic->lapic_timer.timer._softexpires;
		if (source == TRACE_DEADLINE)
			due += apic->lapic_timer.timer_advance_ns;
	} else if (source == TRACE_DEADLINE) {
		due = now - tsc_past_ns(apic->vcpu, apic->lapic_timer.tscdeadline, now);
	} else {
		due = apic->lapic_timer.target_expiration;
	}
	count(s->fired, 1);
	if (!from_timer_fn)
		count(s->fired_hv, 1);
	bpf_probe_read_kernel(&lvtt, sizeof(lvtt), apic->regs + APIC_LVTT);
	if (lvtt & LVT_MASKED)
		return 0;
	t = &u->fired_tick[source];
	t->deadline_ns = due;
	t->fired_ns = now;
	u->fired_vector[source] = lvtt;
	u->fired |= 1 << source;
	return 0;
}

SEC("fexit/advance_periodic_target_expiration")
int BPF_PROG(lapic_advanced, struct kvm_lapic *apic)
{
	struct trace_stats *s;
	struct unit *u;
	u64 n;

	u = vcpu_unit(apic->vcpu);
	if (!u)
		return 0;
	n = apic->lapic_timer.target_expiration;
	/* The next one is armed by KVM, not by the guest */
	u->armed = n;
	n = u->target ? trace_skipped(u->target, n, apic->lapic_timer.period) : 0;
	s = n ? stats_of(u, TRACE_PERIODIC) : NULL;
	if (!s)
		return 0;
	count(s->lost_clamped, n);
	note_lost(u, TRACE_PERIODIC, n, TRACE_LOST_CLAMPED);
	return 0;
}

/* Every interrupt of the VM comes by here, so whatever is of no interest shall leave early */
SEC("fentry/__apic_accept_irq")
int BPF_PROG(lapic_accept, struct kvm_lapic *apic, int mode, int vector, int level, int trig)
{
	struct raise *r = NULL;
	struct trace_stats *s;
	u32 irr = 0, source;
	struct unit *u;
	struct tick *t;

	if (mode != 0 && mode != DM_LOWEST)
		return 0;
	if (raising) {
		u32 tid = bpf_get_current_pid_tgid();

		r = bpf_map_lookup_elem(&raises, &tid);
		if (r && r->vector != 256 && r->vector != (u32)vector)
			r = NULL;
	}
	u = vcpu_unit(apic->vcpu);
	if (!u || (!r && !u->fired))
		return 0;
	if (r)
		source = r->source;
	else if (u->fired & 1 << TRACE_DEADLINE)
		source = TRACE_DEADLINE;
	else if (u->fired & 1 << TRACE_PERIODIC)
		source = TRACE_PERIODIC;
	else
		source = TRACE_ONESHOT;
	if (source >= TRACE_NR_SOURCES || (!r && u->fired_vector[source] != (u8)vector))
		return 0;
	bpf_probe_read_kernel(&irr, sizeof(irr), apic->regs + APIC_IRR + (vector >> 5 & 7) * 16);
	irr = irr >> (vector & 31) & 1;
	u->fired &= ~(1 << source);
	if (r && irr) {
		/* It is lost only if no other LAPIC takes it: whoever raises it decides */
		r->coalesced++;
		return 0;
	}
	s = stats_of(u, source);
	if (!s)
		return 0;
	if (irr) {
		count(s->coalesced, 1);
		note_lost(u, source, 1, TRACE_LOST_COALESCED);
		return 0;
	}
	count(s->injected, 1);
	t = &u->injected_tick[source];
	if (r) {
		r->accepted++;
		*t = r->tick;
	} else {
		*t = u->fired_tick[source];
	}
	t->injected_ns = bpf_ktime_get_ns();
	u->injected_vector[source] = vector;
	u->injected |= 1 << source;
	return 0;
}

static __always_inline void entered(struct unit *u, u32 source, int vector)
{
	if (!(u->injected & 1 << source) || (vector >= 0 && u->injected_vector[source] != vector))
		return;
	u->injected &= ~(1 << source);
	tick_delivered(u, source, &u->injected_tick[source]);
}

static __noinline int entered_rarely(struct unit *u, int vector)
{
	if (!u)
		return 0;
	entered(u, TRACE_PIT, vector);
	entered(u, TRACE_RTC, vector);
	entered(u, TRACE_IRQ0, vector);
	entered(u, TRACE_STIMER, vector);
	return 0;
}

/* A PIC is the VM's, so what waits in it stands in the VM's unit */
static __noinline int entered_from_pic(struct unit *u, int vector)
{
	u32 before;

	if (!u)
		return 0;
	before = u->injected;
	entered(u, TRACE_PIT, vector);
	entered(u, TRACE_RTC, vector);
	entered(u, TRACE_IRQ0, vector);
	if (before != u->injected)
		count(pic_waiting, -1);
	return 0;
}

static __always_inline int all_entered(struct kvm_vcpu *vcpu, int vector)
{
	struct unit *u = vcpu_unit(vcpu);

	if (pic_waiting && vector >= 0)
		entered_from_pic(vm_unit(BPF_CORE_READ(vcpu, kvm)), vector);
	if (!u || !u->injected)
		return 0;
	entered(u, TRACE_DEADLINE, vector);
	if (!u->injected)
		return 0;
	entered(u, TRACE_PERIODIC, vector);
	entered(u, TRACE_ONESHOT, vector);
	return entered_rarely(u, vector);
}

/* With an entry, KVM hands an interrupt to the CPU; "reinjected" is one that was interrupted */
SEC("fentry/svm_inject_irq")
int BPF_PROG(svm_entry, struct kvm_vcpu *vcpu, bool reinjected)
{
	return all_entered(vcpu, vcpu->arch.interrupt.nr);
}

SEC("fentry/vmx_inject_irq")
int BPF_PROG(vmx_entry, struct kvm_vcpu *vcpu, bool reinjected)
{
	return all_entered(vcpu, vcpu->arch.interrupt.nr);
}

/* With APICv or AVIC the CPU delivers on its own: the entry after the injection is the nearest */
SEC("tp_btf/kvm_entry")
int BPF_PROG(apicv_entry, struct kvm_vcpu *vcpu)
{
	if (!vcpu->arch.apic || !vcpu->arch.apic->apicv_active)
		return 0;
	return all_entered(vcpu, -1);
}
