/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the timeline need to know of this line of kernels: Linux 6.12.
 */
#ifndef __KVM_X86_TIMELINE_LINE_H
#define __KVM_X86_TIMELINE_LINE_H

#include <linux/export.h>
#include <linux/hrtimer.h>
#include <linux/kvm_host.h>
#include <linux/sched.h>
#include <linux/slab.h>

/* To KVM's own modules alone, where a line can say so. */
#define EXPORT_SYMBOL_FOR_KVM_INTERNAL(sym)	EXPORT_SYMBOL_GPL(sym)

/* Later releases of the line have it. */
#ifndef kzalloc_obj
#define kzalloc_obj(obj, gfp)	kzalloc(sizeof(obj), gfp)
#endif

static inline void timeline_hrtimer_setup(struct hrtimer *timer,
					  enum hrtimer_restart (*fn)(struct hrtimer *),
					  enum hrtimer_mode mode)
{
	hrtimer_init(timer, CLOCK_MONOTONIC, mode);
	timer->function = fn;
}

/* The thread that runs a vCPU, or NULL; under rcu_read_lock(). */
static inline struct task_struct *timeline_vcpu_task(struct kvm_vcpu *vcpu)
{
	return pid_task(rcu_dereference(vcpu->pid), PIDTYPE_PID);
}

#endif /* __KVM_X86_TIMELINE_LINE_H */
