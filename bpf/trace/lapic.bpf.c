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

/* The sources that are modes of the LAPIC's timer: one of them at a time */
#define LAPIC_SOURCES (1 << TRACE_ONESHOT | 1 << TRACE_PERIODIC | 1 << TRACE_DEADLINE | 1 << TRACE_HV)

/* A register of the LAPIC's page.  Any type of the kernel's does that begins with a number. */
static __always_inline u32 lapic_reg(void *regs, u32 offset)
{
	struct timespec64 *word;
	u32 v = 0;

	if (bpf_ksym_exists(bpf_rdonly_cast) && cfg_timespec64_id) {
		word = bpf_rdonly_cast(regs + offset, cfg_timespec64_id);
		return word->tv_sec;
	}
	bpf_probe_read_kernel(&v, sizeof(v), regs + offset);
	return v;
}

static __always_inline u32 lapic_mode(struct kvm_lapic *apic)
{
	u32 mode = apic->lapic_timer.timer_mode;

	return mode == TIMER_DEADLINE ? TRACE_DEADLINE :
	       mode == TIMER_PERIODIC ? TRACE_PERIODIC : TRACE_ONESHOT;
}

/* Called for what the guest arms, and again for one deadline whenever the kind of timer changes */
SEC("fentry/kvm:restart_apic_timer")
int BPF_PROG(lapic_armed, struct kvm_lapic *apic)
{
	u32 source = lapic_mode(apic);
	struct trace_stats *s;
	struct unit *u;
	u64 deadline;

	u = lapic_unit(apic);
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

/* Each look into KVM's structures is checked, and costs nine instructions */
SEC("fentry/kvm:apic_timer_expired")
int BPF_PROG(lapic_expired, struct kvm_lapic *apic, bool from_timer_fn)
{
	u64 now = bpf_ktime_get_ns(), due;
	struct trace_stats *s;
	u32 mode, source;
	struct unit *u;
	struct tick *t;

	u = lapic_unit(apic);
	if (!u)
		return 0;
	mode = source = lapic_mode(apic);
	if (!from_timer_fn && apic->lapic_timer.hv_timer_in_use)
		source = TRACE_HV;
	s = stats_of(u, source);
	if (!s)
		return 0;
	if (mode == TRACE_PERIODIC)
		u->target = apic->lapic_timer.target_expiration;
	if (apic->lapic_timer.pending.counter > 0) {
		/* For one-shot modes this is no second tick: the timer is looked at again */
		if (mode == TRACE_PERIODIC) {
			count(s->lost_pending, 1);
			note_lost(u, source, 1, TRACE_LOST_PENDING);
		}
		return 0;
	}
	if (from_timer_fn) {
		due = apic->lapic_timer.timer._softexpires;
		if (mode == TRACE_DEADLINE)
			due += apic->lapic_timer.timer_advance_ns;
	} else if (mode == TRACE_DEADLINE) {
		due = now - tsc_past_ns(apic->vcpu, apic->lapic_timer.tscdeadline, now);
	} else {
		due = apic->lapic_timer.target_expiration;
	}
	count(s->fired, 1);
	if (!from_timer_fn && source != TRACE_HV)
		count(s->overdue, 1);
	t = &u->fired_tick[source];
	t->deadline_ns = due;
	t->fired_ns = now;
	put_in(&u->fired, source);
	return 0;
}

SEC("fexit/kvm:advance_periodic_target_expiration")
int BPF_PROG(lapic_advanced, struct kvm_lapic *apic)
{
	struct trace_stats *s;
	struct unit *u;
	u64 n;

	u = lapic_unit(apic);
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

/* While an event of Xen's timer is being sent: whether this is the interrupt that announces it */
static __always_inline bool is_xen_upcall(struct kvm_lapic *apic, int vector)
{
	/* 6.1 may be built without Xen, 6.0 knows no vectors */
	if (!bpf_core_field_exists(struct kvm_vcpu_xen, upcall_vector))
		return false;
	return BPF_CORE_READ(apic, vcpu, arch.xen.upcall_vector) == (u32)vector;
}

/* Every interrupt of the VM comes by here, so whatever is of no interest shall leave early */
SEC("fentry/kvm:__apic_accept_irq")
int BPF_PROG(lapic_accept, struct kvm_lapic *apic, int mode, int vector, int level, int trig)
{
	u32 irr, source, fired;
	struct raise *r = NULL;
	struct trace_stats *s;
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
	u = lapic_unit(apic);
	if (!u)
		return 0;
	fired = u->fired & (LAPIC_SOURCES | 1 << TRACE_XEN);
	if (!r && !fired)
		return 0;
	if (r) {
		source = r->source;
		if (source >= TRACE_NR_SOURCES)
			return 0;
	} else if (fired & 1 << TRACE_XEN && is_xen_upcall(apic, vector)) {
		source = TRACE_XEN;
	} else {
		if (!(fired & LAPIC_SOURCES))
			return 0;
		/* Masked, the timer's interrupt was not made, and this is another with its vector */
		if (u->lvtt != (u32)vector) {
			u->lvtt = lapic_reg(apic->regs, APIC_LVTT) & (LVT_MASKED | 0xff);
			if (u->lvtt != (u32)vector)
				return 0;
		}
		source = fired & 1 << TRACE_DEADLINE ? TRACE_DEADLINE :
			 fired & 1 << TRACE_PERIODIC ? TRACE_PERIODIC :
			 fired & 1 << TRACE_HV ? TRACE_HV : TRACE_ONESHOT;
	}
	/* The last one of this source was taken out of the IRR when it was delivered */
	irr = 0;
	if (r || cfg_apicv || is_in(&u->injected, source))
		irr = lapic_reg(apic->regs, APIC_IRR + (vector >> 5 & 7) * 16) >> (vector & 31) & 1;
	take_out(&u->fired, source);
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
	if (cfg_parts)
		t->injected_ns = bpf_ktime_get_ns();
	u->injected_vector[source] = vector;
	put_in(&u->injected, source);
	return 0;
}

/* Which of them the vector is of; -1: all of them */
__noinline int entered(struct unit *u, int vector)
{
	u32 source;

	if (!u)
		return 0;
	for (source = 0; source < TRACE_NR_SOURCES; source++) {
		if (!is_in(&u->injected, source) ||
		    (vector >= 0 && u->injected_vector[source] != vector))
			continue;
		take_out(&u->injected, source);
		deliver(u, source);
	}
	return 0;
}

/* A PIC is the VM's, so what waits in it stands in the VM's unit */
static __always_inline void entered_from_pic(struct kvm *kvm, int vector)
{
	struct unit *u = vm_unit(kvm);
	u32 before;

	if (!u || !u->injected)
		return;
	before = u->injected;
	entered(u, vector);
	if (before != u->injected)
		count(pic_waiting, -1);
}

static __always_inline int all_entered(struct kvm_vcpu *vcpu, int vector)
{
	struct unit *u = vcpu_unit(vcpu);

	if (pic_waiting && vector >= 0)
		entered_from_pic(vcpu->kvm, vector);
	if (!u || !u->injected)
		return 0;
	if (u->injected == 1 << TRACE_DEADLINE && u->injected_vector[TRACE_DEADLINE] == vector) {
		take_out(&u->injected, TRACE_DEADLINE);
		return deliver_tick(u, TRACE_DEADLINE);
	}
	return entered(u, vector);
}

/* With an entry, KVM hands an interrupt to the CPU; "reinjected" is one that was interrupted */
SEC("fentry/kvm:svm_inject_irq")
int BPF_PROG(svm_entry, struct kvm_vcpu *vcpu, bool reinjected)
{
	return all_entered(vcpu, vcpu->arch.interrupt.nr);
}

SEC("fentry/kvm:vmx_inject_irq")
int BPF_PROG(vmx_entry, struct kvm_vcpu *vcpu, bool reinjected)
{
	return all_entered(vcpu, vcpu->arch.interrupt.nr);
}

/* With APICv or AVIC the CPU delivers on its own: the entry after the injection is the nearest */
SEC("tp_btf/kvm:kvm_entry")
int BPF_PROG(apicv_entry, struct kvm_vcpu *vcpu)
{
	/* To the verifier, what a module's tracepoint passes may be NULL */
	if (!vcpu || !vcpu->arch.apic || !vcpu->arch.apic->apicv_active)
		return 0;
	return all_entered(vcpu, -1);
}
