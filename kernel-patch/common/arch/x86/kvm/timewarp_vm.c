// SPDX-License-Identifier: GPL-2.0-only
/*
 * Timewarp: VMs that have, or have had, a policy.
 */

#include <linux/kvm_host.h>
#include <linux/rculist.h>

#include "timeline.h"
#include "timeline_line.h"
#include "timewarp_policy.h"
#include "x86.h"

/*
 * Protects the list, and which policy is whose; inside of a timeline's lock, and
 * held for moments.  The list is read under RCU too.
 */
static DEFINE_SPINLOCK(timewarp_list_lock);
static LIST_HEAD(timewarp_list);
static u32 timewarp_next_id = 1;

bool timewarp_enabled = true;

static void timewarp_free(struct kref *ref)
{
	kfree(container_of(ref, struct kvm_timewarp, ref));
}

void timewarp_put(struct kvm_timewarp *tw)
{
	kref_put(&tw->ref, timewarp_free);
}

/* The VM that a policy or link, else an id, else any policy is of; with a reference, or NULL. */
struct kvm_timewarp *timewarp_find(const void *what, u32 id)
{
	struct kvm_timewarp *tw, *found = NULL;

	spin_lock(&timewarp_list_lock);
	list_for_each_entry(tw, &timewarp_list, node) {
		if (what ? tw->ops == what || tw->link == what :
		    id ? tw->id == id : tw->ops && !READ_ONCE(tw->gone)) {
			kref_get(&tw->ref);
			found = tw;
			break;
		}
	}
	spin_unlock(&timewarp_list_lock);

	return found;
}

/* Say whose policy it is; also where the state file looks. */
void timewarp_set_ops(struct kvm_timewarp *tw, struct kvm_timewarp_ops *ops,
		      struct bpf_link *link)
{
	spin_lock(&timewarp_list_lock);
	spin_lock(&tw->show_lock);
	tw->ops = ops;
	tw->link = link;
	spin_unlock(&tw->show_lock);
	spin_unlock(&timewarp_list_lock);
}

/* What a VM keeps from its first policy on, until it dies. */
struct kvm_timewarp *timewarp_of_vm(struct kvm *kvm)
{
	struct kvm_timewarp *tw;

	/* Two links of one VM are created one after the other: BPF has a lock. */
	if (kvm->arch.timeline)
		return to_timewarp(kvm->arch.timeline);

	tw = kzalloc_obj(*tw, GFP_KERNEL_ACCOUNT);
	if (!tw)
		return NULL;

	timewarp_setup(tw, kvm);
	spin_lock(&timewarp_list_lock);
	tw->id = timewarp_next_id++;
	list_add_rcu(&tw->node, &timewarp_list);
	spin_unlock(&timewarp_list_lock);
	/* Hooks read it without a lock. */
	smp_store_release(&kvm->arch.timeline, &tw->tl);

	return tw;
}

/* Have the policy of the VM with an id be called; from any context. */
int timewarp_ask(u32 id)
{
	struct kvm_timewarp *tw;

	guard(rcu)();
	list_for_each_entry_rcu(tw, &timewarp_list, node) {
		if (tw->id == id) {
			irq_work_queue(&tw->ask_irq_work);
			return 0;
		}
	}

	return -ENOENT;
}

/* Switching the feature off takes every VM off its timeline. */
static int timewarp_param_set(const char *val, const struct kernel_param *kp)
{
	struct kvm_timewarp *tw;
	int r = param_set_bool(val, kp);

	while (!r && !READ_ONCE(timewarp_enabled)) {
		tw = timewarp_find(NULL, 0);
		if (!tw)
			break;

		mutex_lock(&tw->tl.lock);
		if (tw->ops && !tw->gone)
			timewarp_end(tw, KVM_TIMEWARP_EXIT_DISABLED, -EPERM, "disabled",
				     "kvm.timewarp was switched off");
		mutex_unlock(&tw->tl.lock);
		timewarp_put(tw);
	}

	return r;
}

static const struct kernel_param_ops timewarp_param_ops = {
	.set = timewarp_param_set,
	.get = param_get_bool,
};
module_param_cb(timewarp, &timewarp_param_ops, &timewarp_enabled, 0644);
MODULE_PARM_DESC(timewarp, "Let BPF policies decide the time of VMs (default: on)");

/* The VM dies first: its link turns defunct, and its vCPUs run no more. */
void kvm_timewarp_destroy_vm(struct kvm *kvm)
{
	struct kvm_timewarp *tw;

	if (!kvm->arch.timeline)
		return;

	tw = to_timewarp(kvm->arch.timeline);
	mutex_lock(&tw->tl.lock);
	if (tw->ops && !tw->gone)
		timewarp_end(tw, KVM_TIMEWARP_EXIT_VM_GONE, 0, "vm_gone", "the VM was destroyed");
	timewarp_set_ops(tw, NULL, NULL);
	WRITE_ONCE(tw->dead, true);
	mutex_unlock(&tw->tl.lock);

	spin_lock(&timewarp_list_lock);
	list_del_rcu(&tw->node);
	spin_unlock(&timewarp_list_lock);

	/* A timer that is being delivered, or a program, may be about to ask. */
	synchronize_rcu();
	timewarp_shutdown(tw);
}

/* The VM has no vCPUs any more. */
void kvm_timewarp_free_vm(struct kvm *kvm)
{
	struct kvm_timeline *tl = kvm->arch.timeline;

	if (!tl)
		return;

	/* The host's clock may have changed while the VM was still known. */
	timewarp_shutdown(to_timewarp(tl));
	timeline_unkey(tl);
	kvm->arch.timeline = NULL;
	timewarp_put(to_timewarp(tl));
}
