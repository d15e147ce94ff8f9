// SPDX-License-Identifier: GPL-2.0
/* What policies do to VMs' timelines: a patched KVM's own tracepoints, in line with all else. */
#include "trace.bpf.h"

/* A policy tells its number, and no VM */
static __always_inline void tell(u32 unit, u32 kind, s64 a, s64 b, s64 c, const char *text)
{
	struct trace_event *ev;

	if (!cfg_events || !event_wanted(unit, kind, TRACE_NR_SOURCES))
		return;
	ev = new_event(unit, kind, TRACE_NR_SOURCES);
	if (!ev)
		return;
	ev->a = a;
	ev->b = b;
	ev->c = c;
	if (text)
		bpf_probe_read_kernel_str(ev->text, sizeof(ev->text), text);
	submit(ev);
}

SEC("tp_btf/kvm:kvm_timewarp_segment")
int BPF_PROG(timeline_changed, struct kvm_timeline *tl, unsigned int change)
{
	struct trace_event *ev;
	struct unit *u;

	/* To the verifier, what a module's tracepoint passes may be NULL */
	u = tl ? vm_unit(BPF_CORE_READ(tl, kvm)) : NULL;
	if (!u)
		return 0;
	count(u->segments, 1);
	if (!cfg_events || !event_wanted(u->id, TRACE_EV_SEGMENT, TRACE_NR_SOURCES))
		return 0;
	ev = new_event(u->id, TRACE_EV_SEGMENT, TRACE_NR_SOURCES);
	if (!ev)
		return 0;
	ev->a = BPF_CORE_READ(tl, rate.num);
	ev->b = BPF_CORE_READ(tl, rate.den);
	ev->c = BPF_CORE_READ(tl, held_last_ns);
	ev->text[0] = change;
	submit(ev);
	return 0;
}

SEC("tp_btf/kvm:kvm_timewarp_clamp")
int BPF_PROG(timeline_clamped, u32 id, const char *what, u64 asked, u64 given)
{
	tell(0, TRACE_EV_CLAMP, asked, given, id, what);
	return 0;
}

SEC("tp_btf/kvm:kvm_timewarp_exit")
int BPF_PROG(timeline_exit, u32 id, const char *name, const struct kvm_timewarp_exit *exit)
{
	if (!exit)
		return 0;
	tell(0, TRACE_EV_EXIT, BPF_CORE_READ(exit, kind), BPF_CORE_READ(exit, code), id,
	     (const void *)exit + bpf_core_field_offset(struct kvm_timewarp_exit, reason));
	return 0;
}
