/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of timewarp have in common: timewarp.c asks policies and does as
 * they say, timewarp_bpf.c connects them with BPF, timewarp_vm.c knows the VMs that
 * have one, timewarp_view.c shows it all.
 */
#ifndef __KVM_X86_TIMEWARP_POLICY_H
#define __KVM_X86_TIMEWARP_POLICY_H

#include <linux/irq_work.h>
#include <linux/workqueue.h>

#include "timeline.h"

/* A policy is not called more often than this, whatever it asks for. */
#define TIMEWARP_MIN_INTERVAL_NS	NSEC_PER_MSEC

/* But for this: vCPUs that have halted are left alone for so long at least. */
#define TIMEWARP_MIN_IDLE_NS		(10 * NSEC_PER_USEC)

/* A VM that has, or has had, a policy; under the timeline's lock unless it says otherwise. */
struct kvm_timewarp {
	struct kvm_timeline tl;
	struct kref ref;	/* one is the VM's, others are held for a call */
	struct list_head node;	/* in timewarp_list, until the VM dies */
	u32 id;			/* unique for the life of the module */
	bool dead;		/* the VM is */
	struct kvm_timewarp_ops *ops;
	struct bpf_link *link;	/* what attaches @ops */
	bool gone;		/* @ops has had its last call, and @link is being detached */
	struct work_struct unlink;	/* does that */
	struct bpf_link *unlinked;	/* what it is to detach, with a reference; or NULL */
	struct timeline_rate min;	/* factors allowed */
	struct timeline_rate max;
	u64 since_host_ns;	/* host time of the attach */
	u64 decisions;		/* answers of policies */
	unsigned int bad;	/* bad answers in a row */
	const char *blamed;	/* what was wrong with the last of them */
	u64 blamed_value;	/* what it had asked there */
	u64 put_off_ns;		/* vCPUs could not be held: leave them alone for so long, or 0 */
	u64 asked_host_ns;	/* host time of the last call */
	unsigned long events;	/* bits of enum kvm_timewarp_event that have come since */
	struct hrtimer alarm;	/* when the policy is to be called next */
	enum kvm_timewarp_event alarm_event;	/* what for, unless something else has come */
	u64 idle_after_ns;	/* call it when all vCPUs have been halted for so long, or 0 */
	u64 idle_told_ns;	/* since when they are in the case that it was called last */
	struct hrtimer idle_alarm;	/* when to look whether they are */
	struct irq_work ask_irq_work;	/* arms @alarm for who cannot */
	struct work_struct work;	/* calls the policy */
	struct delayed_work upkeep;	/* looks after the timeline, and takes leave of it */
	spinlock_t show_lock;	/* for the one below, and what is read with it */
	struct kvm_timewarp_exit exit;	/* how the last policy ended */
};

static inline struct kvm_timewarp *to_timewarp(struct kvm_timeline *tl)
{
	return container_of(tl, struct kvm_timewarp, tl);
}

extern struct workqueue_struct *timewarp_wq;

/* timewarp.c */
void timewarp_setup(struct kvm_timewarp *tw, struct kvm *kvm);
void timewarp_shutdown(struct kvm_timewarp *tw);
int timewarp_decide(struct kvm_timewarp *tw, struct kvm_timewarp_ops *ops,
		    enum kvm_timewarp_event event, enum kvm_timewarp_tsc_mode mode);
__printf(5, 6)
void timewarp_end(struct kvm_timewarp *tw, enum kvm_timewarp_exit_kind kind, int code,
		  const char *reason, const char *fmt, ...);

/* timewarp_bpf.c */
void timewarp_unlink_fn(struct work_struct *work);
void timewarp_unlink(struct kvm_timewarp *tw);

/* timewarp_vm.c */
extern bool timewarp_enabled;

struct kvm_timewarp *timewarp_of_vm(struct kvm *kvm);
struct kvm_timewarp *timewarp_find(const void *what, u32 id);
void timewarp_put(struct kvm_timewarp *tw);
void timewarp_set_ops(struct kvm_timewarp *tw, struct kvm_timewarp_ops *ops,
		      struct bpf_link *link);
int timewarp_ask(u32 id);

#endif /* __KVM_X86_TIMEWARP_POLICY_H */
