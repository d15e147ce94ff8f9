/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the timeline need to know of this line of kernels: Linux 7.3.
 */
#ifndef __KVM_X86_TIMELINE_LINE_H
#define __KVM_X86_TIMELINE_LINE_H

#include <linux/hrtimer.h>
#include <linux/kvm_host.h>
#include <linux/sched.h>
#include <linux/slab.h>

static inline void timeline_hrtimer_setup(struct hrtimer *timer,
					  enum hrtimer_restart (*fn)(struct hrtimer *),
					  enum hrtimer_mode mode)
{
	hrtimer_setup(timer, fn, CLOCK_MONOTONIC, mode);
}

/* The thread that runs a vCPU, or NULL; under rcu_read_lock(). */
static inline struct task_struct *timeline_vcpu_task(struct kvm_vcpu *vcpu)
{
	struct task_struct *task;

	/* A lock of its own keeps the pid, RCU only what it names. */
	read_lock(&vcpu->pid_lock);
	task = pid_task(vcpu->pid, PIDTYPE_PID);
	read_unlock(&vcpu->pid_lock);

	return task;
}

#endif /* __KVM_X86_TIMELINE_LINE_H */
