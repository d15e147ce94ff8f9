// SPDX-License-Identifier: GPL-2.0
/* Timers of foreign hypervisors that KVM plays: Hyper-V's synthetic ones, Xen's one-shot. */
#include "trace.bpf.h"

#define STIMER_ENABLE 1
#define STIMER_PERIODIC 2
#define STIMER_DIRECT (1 << 12)

SEC("fentry/kvm:stimer_timer_callback")
int BPF_PROG(stimer_fired, struct hrtimer *timer)
{
	struct kvm_vcpu_hv_stimer *st = first_arg(ctx) -
					bpf_core_field_offset(struct kvm_vcpu_hv_stimer, timer);
	struct kvm_vcpu_hv *hv;
	struct trace_stats *s;
	struct unit *u;
	struct tick *t;
	u32 i;

	i = BPF_CORE_READ(st, index);
	hv = (void *)st - i * bpf_core_type_size(struct kvm_vcpu_hv_stimer) -
	     bpf_core_field_offset(struct kvm_vcpu_hv, stimer);
	u = vcpu_unit_at(BPF_CORE_READ(hv, vcpu));
	s = u ? stats_of(u, TRACE_STIMER) : NULL;
	if (!s)
		return 0;
	count(s->fired, 1);
	t = &u->fired_tick[TRACE_STIMER];
	t->deadline_ns = BPF_CORE_READ(st, timer._softexpires);
	t->fired_ns = bpf_ktime_get_ns();
	/* Direct mode has a vector of its own; a message comes with the SINT's */
	put_in(&u->fired, TRACE_STIMER);
	return 0;
}

/* Interrupts raised while a vCPU processes its synthetic timers are theirs */
SEC("fentry/kvm:kvm_hv_process_stimers")
int BPF_PROG(stimers_raise, struct kvm_vcpu *vcpu)
{
	struct raise r = { .source = TRACE_STIMER, .vector = 256 };
	u32 tid = bpf_get_current_pid_tgid();
	struct unit *u = vcpu_unit(vcpu);

	if (!u || !is_in(&u->fired, TRACE_STIMER))
		return 0;
	r.kvm = (u64)vcpu->kvm;
	r.tick = u->fired_tick[TRACE_STIMER];
	if (!bpf_map_update_elem(&raises, &tid, &r, 0))
		count(raising, 1);
	return 0;
}

#define STIMER_LOOK(n)								\
	do {									\
		u64 config = BPF_CORE_READ(vcpu, arch.hyperv, stimer[n].config.as_uint64);	\
		u64 period = BPF_CORE_READ(vcpu, arch.hyperv, stimer[n].count);	\
		u64 exp = BPF_CORE_READ(vcpu, arch.hyperv, stimer[n].exp_time);	\
		u64 old = u->stimer_exp[n];					\
										\
		u->stimer_exp[n] = exp;						\
		if (exp != old && exp && (config & STIMER_ENABLE))		\
			armed++;						\
		if ((config & STIMER_PERIODIC) && old && period) {		\
			if (exp > old)						\
				armed--;					\
			skipped += trace_skipped(old, exp, period);		\
			s->period_ns = period * 100;				\
		}								\
	} while (0)

SEC("fexit/kvm:kvm_hv_process_stimers")
int BPF_PROG(stimers_raised, struct kvm_vcpu *vcpu)
{
	u32 tid = bpf_get_current_pid_tgid();
	u64 skipped = 0, armed = 0;
	struct trace_stats *s;
	struct raise *r;
	struct unit *u;

	u = vcpu_unit(vcpu);
	if (!u || !vcpu->arch.hyperv)
		return 0;
	s = stats_of(u, TRACE_STIMER);
	if (!s)
		return 0;
	STIMER_LOOK(0);
	STIMER_LOOK(1);
	STIMER_LOOK(2);
	STIMER_LOOK(3);
	if ((s64)armed > 0)
		count(s->armed, armed);
	if (skipped) {
		count(s->lost_clamped, skipped);
		note_lost(u, TRACE_STIMER, skipped, TRACE_LOST_CLAMPED);
	}
	r = bpf_map_lookup_elem(&raises, &tid);
	if (!r)
		return 0;
	if (r->coalesced) {
		count(s->coalesced, r->coalesced);
		note_lost(u, TRACE_STIMER, r->coalesced, TRACE_LOST_COALESCED);
	}
	take_out(&u->fired, TRACE_STIMER);
	bpf_map_delete_elem(&raises, &tid);
	count(raising, -1);
	return 0;
}

SEC("fentry/kvm:kvm_xen_start_timer")
int BPF_PROG(xen_armed, struct kvm_vcpu *vcpu, u64 guest_abs)
{
	struct unit *u = vcpu_unit(vcpu);
	struct trace_stats *s = u ? stats_of(u, TRACE_XEN) : NULL;

	if (!s)
		return 0;
	count(s->armed, 1);
	/* Until it has returned, the callback is called for a deadline that is past already */
	u->xen_starting = true;
	return 0;
}

SEC("fexit/kvm:kvm_xen_start_timer")
int BPF_PROG(xen_started, struct kvm_vcpu *vcpu)
{
	struct unit *u = vcpu_unit(vcpu);

	if (u)
		u->xen_starting = false;
	return 0;
}

static __always_inline struct kvm_vcpu *xen_vcpu(void *ctx)
{
	return first_arg(ctx) - bpf_core_field_offset(struct kvm_vcpu, arch.xen.timer);
}

SEC("fentry/kvm:xen_timer_callback")
int BPF_PROG(xen_fired, struct hrtimer *timer)
{
	struct kvm_vcpu *vcpu = xen_vcpu(ctx);
	struct trace_stats *s;
	struct unit *u;
	struct tick *t;

	u = vcpu_unit_at(vcpu);
	s = u ? stats_of(u, TRACE_XEN) : NULL;
	if (!s)
		return 0;
	if (BPF_CORE_READ(vcpu, arch.xen.timer_pending.counter)) {
		count(s->lost_pending, 1);
		note_lost(u, TRACE_XEN, 1, TRACE_LOST_PENDING);
		return 0;
	}
	count(s->fired, 1);
	t = &u->fired_tick[TRACE_XEN];
	t->fired_ns = bpf_ktime_get_ns();
	t->deadline_ns = u->xen_starting ? t->fired_ns : (u64)BPF_CORE_READ(vcpu, arch.xen.timer._softexpires);
	put_in(&u->fired, TRACE_XEN);
	return 0;
}

/*
 * The event is sent.  If the guest has it announced by a vector of the vCPU's, lapic_accept has seen
 * that, and follows it to the entry; else, by the platform's callback, this is as far as it goes.
 */
static __always_inline int xen_event_sent(struct unit *u)
{
	struct trace_stats *s = u && is_in(&u->fired, TRACE_XEN) ? stats_of(u, TRACE_XEN) : NULL;
	struct tick *t;

	if (!s)
		return 0;
	take_out(&u->fired, TRACE_XEN);
	count(s->injected, 1);
	t = &u->injected_tick[TRACE_XEN];
	*t = u->fired_tick[TRACE_XEN];
	t->injected_ns = bpf_ktime_get_ns();
	return deliver(u, TRACE_XEN);
}

SEC("fexit/kvm:xen_timer_callback")
int BPF_PROG(xen_sent, struct hrtimer *timer)
{
	struct kvm_vcpu *vcpu = xen_vcpu(ctx);

	/* Else the vCPU's thread will have to do it */
	if (BPF_CORE_READ(vcpu, arch.xen.timer_pending.counter))
		return 0;
	return xen_event_sent(vcpu_unit_at(vcpu));
}

SEC("fexit/kvm:kvm_xen_inject_timer_irqs")
int BPF_PROG(xen_injected, struct kvm_vcpu *vcpu)
{
	return xen_event_sent(vcpu_unit(vcpu));
}
