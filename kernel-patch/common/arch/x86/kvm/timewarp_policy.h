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

/**
 * struct kvm_timewarp - a VM that has, or has had, a policy
 * @tl: its timeline
 * @ref: one is the VM's, others are held for a call
 * @node: in timewarp_list, until the VM dies
 * @id: unique for the life of the module
 * @dead: the VM has died
 * @ops: the policy
 * @link: what attaches @ops
 * @gone: @ops has had its last call, and @link is being detached
 * @min: lowest factor allowed
 * @max: highest factor allowed
 * @since_host_ns: host time of the attach
 * @decisions: answers of policies
 * @bad: bad answers in a row
 * @blamed: what was wrong with the last of them
 * @blamed_value: what it had asked there
 * @put_off_ns: how long to leave the VM alone, as its vCPUs could not be held; or 0
 * @asked_host_ns: host time of the last call
 * @events: bits of enum kvm_timewarp_event that have come since
 * @alarm: when the policy is to be called next
 * @alarm_event: what it will be told, unless something else has come
 * @idle_after_ns: how long all vCPUs must be halted for the policy to be called, or 0
 * @idle_told_ns: since when they are halted in the case that it was called last
 * @idle_alarm: when to look whether they are
 * @ask_irq_work: arms @alarm for who cannot
 * @work: calls the policy
 * @upkeep: looks after the timeline while there is a policy, and takes leave of it
 * @show_lock: protects the two below, and what is read with them
 * @name: name of the policy, which stays when the policy has gone
 * @exit: how the last policy ended
 *
 * Under the timeline's lock, unless it says otherwise.
 */
struct kvm_timewarp {
	struct kvm_timeline tl;
	struct kref ref;
	struct list_head node;
	u32 id;
	bool dead;
	struct kvm_timewarp_ops *ops;
	struct bpf_link *link;
	bool gone;
	struct timeline_rate min;
	struct timeline_rate max;
	u64 since_host_ns;
	u64 decisions;
	unsigned int bad;
	const char *blamed;
	u64 blamed_value;
	u64 put_off_ns;
	u64 asked_host_ns;
	unsigned long events;
	struct hrtimer alarm;
	enum kvm_timewarp_event alarm_event;
	u64 idle_after_ns;
	u64 idle_told_ns;
	struct hrtimer idle_alarm;
	struct irq_work ask_irq_work;
	struct work_struct work;
	struct delayed_work upkeep;
	spinlock_t show_lock;	/* see above */
	char name[KVM_TIMEWARP_NAME_LEN];
	struct kvm_timewarp_exit exit;
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
void timewarp_unlink(struct bpf_link *link);

/* timewarp_vm.c */
extern bool timewarp_enabled;

struct kvm_timewarp *timewarp_of_vm(struct kvm *kvm);
struct kvm_timewarp *timewarp_find(bool (*match)(struct kvm_timewarp *tw, const void *key),
				   const void *key);
bool timewarp_has_link(struct kvm_timewarp *tw, const void *link);
bool timewarp_has_ops(struct kvm_timewarp *tw, const void *ops);
bool timewarp_has_id(struct kvm_timewarp *tw, const void *id);
void timewarp_put(struct kvm_timewarp *tw);
void timewarp_set_ops(struct kvm_timewarp *tw, struct kvm_timewarp_ops *ops,
		      struct bpf_link *link);
int timewarp_ask(u32 id);
u64 timewarp_leap_max(struct kvm *kvm);

#endif /* __KVM_X86_TIMEWARP_POLICY_H */
