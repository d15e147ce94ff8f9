/* SPDX-License-Identifier: GPL-2.0-only */
#if !defined(__KVM_X86_TIMEWARP_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define __KVM_X86_TIMEWARP_TRACE_H

#include <linux/tracepoint.h>

#include "timeline.h"

#undef TRACE_SYSTEM
#define TRACE_SYSTEM kvm

/*
 * Tracepoint for the start of a segment of a VM's timeline, while its vCPUs are held.
 *
 * guest_tsc = ((host_tsc * tsc_ratio) >> frac_bits) + tsc_offset
 * guest_ns = pv_ns + pvclock formula of (guest_tsc - pv_tsc, pv_mul, pv_shift)
 * kvmclock = guest_ns + kvmclock_offset
 *
 * A timeline that has stopped goes on at the host's rate.
 */
TRACE_EVENT(kvm_timewarp_segment,
	    TP_PROTO(struct kvm_timeline *tl, unsigned int change, u64 wait_ns),
	    TP_ARGS(tl, change, wait_ns),

	    TP_STRUCT__entry(__field(pid_t, pid)
			     __field(u8, change)
			     __field(u8, mode)
			     __field(s8, pv_shift)
			     __field(u8, frac_bits)
			     __field(u32, pv_mul)
			     __field(u64, seq)
			     __field(u64, num)
			     __field(u64, den)
			     __field(u64, host_tsc)
			     __field(u64, guest_ns)
			     __field(s64, kvmclock_offset)
			     __field(u64, tsc_ratio)
			     __field(u64, tsc_offset)
			     __field(u64, pv_tsc)
			     __field(u64, pv_ns)
			     __field(u64, wait_ns)
			     __field(u64, held_ns)),

	    TP_fast_assign(__entry->pid		= tl->kvm->userspace_pid;
			   __entry->change	= change;
			   __entry->mode	= tl->mode;
			   __entry->pv_shift	= tl->pv_shift;
			   __entry->frac_bits	= kvm_caps.tsc_scaling_ratio_frac_bits;
			   __entry->pv_mul	= tl->pv_mul;
			   __entry->seq		= tl->seq;
			   __entry->num		= change == TIMELINE_FREEZE ? 0 : tl->rate.num;
			   __entry->den		= tl->rate.den;
			   __entry->host_tsc	= tl->seg_host_tsc;
			   __entry->guest_ns	= __kvm_timeline_ns(tl, tl->seg_host_tsc);
			   __entry->kvmclock_offset = kvm_timeline_kvmclock_offset(tl);
			   __entry->tsc_ratio	= tl->tsc_ratio;
			   __entry->tsc_offset	= tl->tsc_offset;
			   __entry->pv_tsc	= tl->pv_tsc;
			   __entry->pv_ns	= tl->pv_ns;
			   __entry->wait_ns	= wait_ns;
			   __entry->held_ns	= tl->held_last_ns;),

	    TP_printk("pid %d seq %llu %s %s factor %llu/%llu host_tsc %llu guest_ns %llu kvmclock_offset %lld tsc_ratio %llu frac_bits %u tsc_offset %llu pv_tsc %llu pv_ns %llu pv_mul %u pv_shift %d wait_ns %llu held_ns %llu",
		      __entry->pid, __entry->seq,
		      __print_symbolic(__entry->change,
				       { 0, "start" }, { 1, "rate" }, { 2, "stop" },
				       { 3, "leap" }, { 4, "freeze" }),
		      __print_symbolic(__entry->mode,
				       { KVM_TIMEWARP_TSC_SCALED, "scaled" },
				       { KVM_TIMEWARP_TSC_TRAPPED, "trapped" },
				       { KVM_TIMEWARP_TSC_OFFSET, "offset" }),
		      __entry->num, __entry->den, __entry->host_tsc, __entry->guest_ns,
		      __entry->kvmclock_offset, __entry->tsc_ratio, __entry->frac_bits,
		      __entry->tsc_offset, __entry->pv_tsc, __entry->pv_ns,
		      __entry->pv_mul, __entry->pv_shift, __entry->wait_ns, __entry->held_ns)
);

/*
 * Tracepoint for an answer of a policy that KVM did not take as it was.
 */
TRACE_EVENT(kvm_timewarp_clamp,
	    TP_PROTO(u32 id, const char *what, u64 asked, u64 given),
	    TP_ARGS(id, what, asked, given),

	    TP_STRUCT__entry(__field(u32, id)
			     __string(what, what)
			     __field(u64, asked)
			     __field(u64, given)),

	    TP_fast_assign(__entry->id		= id;
			   __assign_str(what);
			   __entry->asked	= asked;
			   __entry->given	= given;),

	    TP_printk("id %u %s asked %llu given %llu",
		      __entry->id, __get_str(what), __entry->asked, __entry->given)
);

/*
 * Tracepoint for the end of a policy.
 */
TRACE_EVENT(kvm_timewarp_exit,
	    TP_PROTO(u32 id, const char *name, const struct kvm_timewarp_exit *exit),
	    TP_ARGS(id, name, exit),

	    TP_STRUCT__entry(__field(u32, id)
			     __string(name, name)
			     __field(u32, kind)
			     __field(s32, code)
			     __string(reason, exit->reason)
			     __string(message, exit->message)),

	    TP_fast_assign(__entry->id		= id;
			   __assign_str(name);
			   __entry->kind	= exit->kind;
			   __entry->code	= exit->code;
			   __assign_str(reason);
			   __assign_str(message);),

	    TP_printk("id %u policy %s kind %u code %d %s: %s",
		      __entry->id, __get_str(name), __entry->kind, __entry->code,
		      __get_str(reason), __get_str(message))
);

#endif /* __KVM_X86_TIMEWARP_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH ../../arch/x86/kvm
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE timewarp_trace

/* This part must be outside protection */
#include <trace/define_trace.h>
