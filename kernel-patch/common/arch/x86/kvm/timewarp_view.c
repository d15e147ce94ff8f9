// SPDX-License-Identifier: GPL-2.0-only
/*
 * Timewarp: the file in each VM's debugfs directory.
 *
 * It holds nothing alive: debugfs ends reads before the VM goes.  It waits for
 * nobody: neither for a change that is under way, nor for a policy.
 */

#include <linux/bpf.h>
#include <linux/debugfs.h>
#include <linux/kvm_host.h>
#include <linux/seq_file.h>

#include "timeline.h"
#include "timewarp_policy.h"
#include "x86.h"

static const char * const timewarp_modes[] = {
	[KVM_TIMEWARP_TSC_AUTO]		= "-",
	[KVM_TIMEWARP_TSC_SCALED]	= "scaled",
	[KVM_TIMEWARP_TSC_TRAPPED]	= "trapped",
	[KVM_TIMEWARP_TSC_OFFSET]	= "offset",
};

static void timewarp_show_policy(struct seq_file *m, struct kvm_timewarp *tw)
{
	char name[KVM_TIMEWARP_NAME_LEN] = "-";
	struct kvm_timewarp_exit exit = {};
	bool attached = false;
	u32 link_id = 0;

	if (tw) {
		spin_lock(&tw->show_lock);
		exit = tw->exit;
		attached = tw->ops && !tw->gone;
		if (attached) {
			link_id = tw->link->id;
			memcpy(name, tw->ops->name, sizeof(name));
		}
		spin_unlock(&tw->show_lock);
	}

	seq_printf(m, "abi %d\n", KVM_TIMEWARP_ABI);
	seq_printf(m, "attached %d\n", attached);
	seq_printf(m, "id %u\n", tw ? tw->id : 0);
	seq_printf(m, "policy %s\n", name);
	seq_printf(m, "link_id %u\n", link_id);
	seq_printf(m, "exit_kind %u\n", exit.kind);
	seq_printf(m, "exit_code %d\n", exit.code);
	seq_printf(m, "exit_reason %s\n", exit.kind ? exit.reason : "-");
	seq_printf(m, "exit_message %s\n", exit.kind ? exit.message : "-");
}

static void timewarp_show_timeline(struct seq_file *m, struct kvm *kvm, struct kvm_timewarp *tw)
{
	struct kvm_timeline *tl = tw ? &tw->tl : NULL;
	struct kvm_timeline s = { .asked = { 1, 1 }, .rate = { 1, 1 } };
	u64 host_ns, host_tsc;
	u64 guest_ns;
	unsigned int seq;

	do {
		seq = read_seqcount_begin(&kvm->arch.pvclock_sc);
		if (tl)
			s = *tl;
		host_ns = kvm_get_host_base_ns(&host_tsc);
	} while (read_seqcount_retry(&kvm->arch.pvclock_sc, seq));
	guest_ns = s.seq ? __kvm_timeline_ns(&s, host_tsc) : host_ns;

	seq_printf(m, "tsc_mode %s\n", timewarp_modes[s.active ? s.mode : 0]);
	seq_printf(m, "factor_asked %llu/%llu\n", s.asked.num, s.asked.den);
	seq_printf(m, "factor_force %llu/%llu\n", s.rate.num, s.rate.den);
	seq_printf(m, "factor_min %llu/%llu\n", tw ? tw->min.num : 0, tw ? tw->min.den : 0);
	seq_printf(m, "factor_max %llu/%llu\n", tw ? tw->max.num : 0, tw ? tw->max.den : 0);
	seq_printf(m, "since_host_ns %llu\n", s.active ? tw->since_host_ns : 0);
	seq_printf(m, "host_ns %llu\n", host_ns);
	seq_printf(m, "guest_ns %llu\n", guest_ns);
	seq_printf(m, "host_tsc %llu\n", host_tsc);
	seq_printf(m, "guest_tsc %llu\n",
		   kvm_scale_tsc(timeline_host_tsc(&s, host_tsc), s.tsc_ratio) + s.tsc_offset);
	seq_printf(m, "held %d\n", s.active && s.frozen);
	seq_printf(m, "leapt_ns %llu\n", s.leapt_ns);
	seq_printf(m, "seq %llu\n", s.seq);
	seq_printf(m, "tsc_ratio %llu\n", s.tsc_ratio);
	seq_printf(m, "tsc_frac_bits %u\n", kvm_caps.tsc_scaling_ratio_frac_bits);
	seq_printf(m, "tsc_offset %lld\n", (s64)s.tsc_offset);
	seq_printf(m, "pv_tsc %llu\n", s.pv_tsc);
	seq_printf(m, "pv_ns %llu\n", s.pv_ns);
	seq_printf(m, "pv_mul %u\n", s.pv_mul);
	seq_printf(m, "pv_shift %d\n", s.pv_shift);
	seq_printf(m, "kvmclock_offset %lld\n", tl ? kvm_timeline_kvmclock_offset(&s) :
		   (s64)kvm->arch.kvmclock_offset);
	seq_printf(m, "lead_ns %lld\n", s.lead_ns);
	seq_printf(m, "mono_ahead_ns %lld\n", s.mono_ahead_ns);
	seq_printf(m, "wall_ahead_ns %lld\n", s.wall_ahead_ns);
	seq_printf(m, "held_last_ns %llu\n", s.held_last_ns);
	seq_printf(m, "held_max_ns %llu\n", s.held_max_ns);
}

static int timewarp_show(struct seq_file *m, void *v)
{
	struct kvm *kvm = m->private;
	struct kvm_timeline *tl = READ_ONCE(kvm->arch.timeline);
	struct kvm_timewarp *tw = tl ? to_timewarp(tl) : NULL;

	timewarp_show_policy(m, tw);
	timewarp_show_timeline(m, kvm, tw);
	seq_printf(m, "decisions %llu\n", tw ? tw->decisions : 0);
	seq_printf(m, "changes %llu\n", kvm->stat.timewarp_changes);
	seq_printf(m, "clamps %llu\n", kvm->stat.timewarp_clamps);
	seq_printf(m, "floors %llu\n", kvm->stat.timewarp_floors);
	seq_printf(m, "lost_ticks %llu\n", kvm->stat.timewarp_lost_ticks);
	seq_printf(m, "leaps %llu\n", kvm->stat.timewarp_leaps);

	return 0;
}

DEFINE_SHOW_ATTRIBUTE(timewarp);

void kvm_timewarp_create_vm_debugfs(struct kvm *kvm)
{
	debugfs_create_file("timewarp", 0444, kvm->debugfs_dentry, kvm, &timewarp_fops);
}
