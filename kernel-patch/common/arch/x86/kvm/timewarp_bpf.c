// SPDX-License-Identifier: GPL-2.0-only
/*
 * Timewarp: what connects policies with BPF.
 *
 * A policy is a struct_ops map, attached by a link to the VM that its vm_fd names.
 * A link stands for one VM, and so does a map while it is attached.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bpf.h>
#include <linux/bpf_verifier.h>
#include <linux/btf.h>
#include <linux/btf_ids.h>
#include <linux/file.h>
#include <linux/kvm_host.h>

#include "timeline.h"
#include "timewarp_policy.h"
#include "x86.h"

struct workqueue_struct *timewarp_wq;

/* Detaching takes locks that are held around ->reg() and ->unreg(). */
void timewarp_unlink_fn(struct work_struct *work)
{
	struct kvm_timewarp *tw = container_of(work, struct kvm_timewarp, unlink);
	struct bpf_link *link = xchg(&tw->unlinked, NULL);

	link->ops->detach(link);
	bpf_link_put(link);
	timewarp_put(tw);
}

/* Turn the link defunct, so that its owner gets to know. */
void timewarp_unlink(struct kvm_timewarp *tw)
{
	struct bpf_link *link = bpf_link_inc_not_zero(tw->link);

	if (IS_ERR(link))
		return;

	kref_get(&tw->ref);
	tw->unlinked = link;
	queue_work(timewarp_wq, &tw->unlink);
}

/* The VM that a new policy is for, a descriptor of the current task, with a reference. */
static struct kvm *timewarp_get_kvm(struct kvm_timewarp_ops *ops)
{
	struct kvm_timewarp *tw = timewarp_find(ops, 0);
	struct kvm *kvm = ERR_PTR(-ENOTTY);
	struct file *file;

	/* A table is one VM's. */
	if (tw) {
		timewarp_put(tw);
		return ERR_PTR(-EBUSY);
	}

	file = fget(ops->vm_fd);
	if (!file)
		return ERR_PTR(-EBADF);

	if (file_is_kvm(file)) {
		kvm = file->private_data;
		kvm_get_kvm(kvm);
	}
	fput(file);

	return kvm;
}

static int timewarp_attach(struct kvm_timewarp *tw, struct kvm_timewarp_ops *ops,
			   struct bpf_link *link)
{
	enum kvm_timewarp_tsc_mode mode = ops->tsc_mode;
	int r;

	/* One that is still being taken off its timeline, or its link, is busy as well. */
	if (tw->ops || tw->tl.active || READ_ONCE(tw->unlinked))
		return -EBUSY;

	r = kvm_timeline_limits(tw->tl.kvm, &mode, &tw->min, &tw->max);
	if (r)
		return r;

	tw->bad = 0;
	tw->gone = false;
	tw->since_host_ns = get_kvmclock_base_ns();
	r = timewarp_decide(tw, ops, KVM_TIMEWARP_ATTACH, mode);
	/* If it fails after the timeline has begun, there is leave to be taken. */
	mod_delayed_work(timewarp_wq, &tw->upkeep, 0);
	if (r)
		return r;

	timewarp_set_ops(tw, ops, link);
	/* Who has switched it off meanwhile did not find it. */
	if (!READ_ONCE(timewarp_enabled))
		timewarp_end(tw, KVM_TIMEWARP_EXIT_DISABLED, -EPERM, "disabled",
			     "kvm.timewarp was switched off");

	return 0;
}

static int kvm_timewarp_reg(void *kdata, struct bpf_link *link)
{
	struct kvm_timewarp_ops *ops = kdata;
	struct kvm_timewarp *tw;
	struct kvm *kvm;
	int r = -ENOMEM;

	/* Without a link nobody would know when to stop. */
	if (!link)
		return -EINVAL;
	if (!READ_ONCE(timewarp_enabled))
		return -EPERM;

	kvm = timewarp_get_kvm(ops);
	if (IS_ERR(kvm))
		return PTR_ERR(kvm);

	tw = timewarp_of_vm(kvm);
	if (tw) {
		mutex_lock(&tw->tl.lock);
		r = timewarp_attach(tw, ops, link);
		mutex_unlock(&tw->tl.lock);
	}
	kvm_put_kvm(kvm);

	return r;
}

static void kvm_timewarp_unreg(void *kdata, struct bpf_link *link)
{
	struct kvm_timewarp *tw = timewarp_find(link, 0);

	if (!tw)
		return;

	mutex_lock(&tw->tl.lock);
	/* The VM may have died meanwhile. */
	if (tw->link == link) {
		if (!tw->gone)
			timewarp_end(tw, KVM_TIMEWARP_EXIT_UNREG, 0, "detached",
				     "the policy's link was closed or detached");
		timewarp_set_ops(tw, NULL, NULL);
	}
	mutex_unlock(&tw->tl.lock);
	timewarp_put(tw);
}

static int timewarp_swap(struct kvm_timewarp *tw, struct kvm_timewarp_ops *ops,
			 struct bpf_link *link)
{
	struct kvm_timewarp_exit info = {
		.kind = KVM_TIMEWARP_EXIT_UNREG,
		.reason = "swapped",
		.message = "another policy has taken over",
	};
	struct kvm_timewarp_ops *old = tw->ops;
	int r;

	if (tw->link != link || tw->gone)
		return -ENXIO;

	r = timewarp_decide(tw, ops, KVM_TIMEWARP_SWAP, tw->tl.mode);
	if (r)
		return r;

	tw->bad = 0;
	timewarp_set_ops(tw, ops, link);
	scoped_guard(spinlock, &tw->show_lock)
		tw->exit = info;
	if (old->exit)
		old->exit(&info);

	return 0;
}

static int kvm_timewarp_update(void *kdata, void *old_kdata, struct bpf_link *link)
{
	struct kvm_timewarp_ops *ops = kdata;
	struct kvm_timewarp *tw;
	struct kvm *kvm;
	int r = -ENXIO;

	kvm = timewarp_get_kvm(ops);
	if (IS_ERR(kvm))
		return PTR_ERR(kvm);

	tw = timewarp_find(link, 0);
	if (tw) {
		mutex_lock(&tw->tl.lock);
		r = kvm->arch.timeline == &tw->tl ? timewarp_swap(tw, ops, link) : -EXDEV;
		mutex_unlock(&tw->tl.lock);
		timewarp_put(tw);
	}
	kvm_put_kvm(kvm);

	return r;
}

/* Members that are data come behind the callbacks: they are taken, and checked at last. */
static int kvm_timewarp_init_member(const struct btf_type *t, const struct btf_member *member,
				    void *kdata, const void *udata)
{
	size_t data = offsetof(struct kvm_timewarp_ops, vm_fd);

	if (__btf_member_bit_offset(t, member) / 8 < data)
		return 0;

	memcpy(kdata + data, udata + data, sizeof(struct kvm_timewarp_ops) - data);
	return 1;
}

/* A policy that sleeps would keep its VM, and whoever detaches it, as long as it likes. */
static int kvm_timewarp_check_member(const struct btf_type *t, const struct btf_member *member,
				     const struct bpf_prog *prog)
{
	return prog->sleepable ? -EINVAL : 0;
}

static int kvm_timewarp_validate(void *kdata)
{
	static const char of_names[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
	struct kvm_timewarp_ops *ops = kdata;
	size_t len = strnlen(ops->name, sizeof(ops->name));

	if (!len || len == sizeof(ops->name) || strspn(ops->name, of_names) != len ||
	    !ops->decide || ops->tsc_mode > KVM_TIMEWARP_TSC_OFFSET ||
	    ops->flags & ~KVM_TIMEWARP_F_BACKWARD)
		return -EINVAL;

	return 0;
}

static int kvm_timewarp_init_btf(struct btf *btf)
{
	return 0;
}

/* The type of ->decide()'s second argument, as the verifier knows it. */
static const struct btf *kvm_timewarp_answer_btf;
static u32 kvm_timewarp_answer_btf_id;

/* A policy may write its answer, and nothing else. */
static int kvm_timewarp_btf_struct_access(struct bpf_verifier_log *log,
					  const struct bpf_reg_state *reg, int off, int size)
{
	if (reg->btf == READ_ONCE(kvm_timewarp_answer_btf) &&
	    reg->btf_id == READ_ONCE(kvm_timewarp_answer_btf_id) &&
	    !(reg->type & PTR_UNTRUSTED) &&
	    off >= 0 && off + size <= sizeof(struct kvm_timewarp_answer))
		return 0;

	bpf_log(log, "a policy may write only to struct kvm_timewarp_answer\n");
	return -EACCES;
}

static bool kvm_timewarp_is_valid_access(int off, int size, enum bpf_access_type type,
					 const struct bpf_prog *prog,
					 struct bpf_insn_access_aux *info)
{
	if (!bpf_tracing_btf_ctx_access(off, size, type, prog, info))
		return false;

	/* ->decide() is the first member.  It is always the same type that is found. */
	if (prog->expected_attach_type == 0 && off == sizeof(u64)) {
		WRITE_ONCE(kvm_timewarp_answer_btf_id, info->btf_id);
		WRITE_ONCE(kvm_timewarp_answer_btf, info->btf);
	}

	return true;
}

/* No tail calls: nobody checks whether the program that they lead to sleeps. */
static const struct bpf_func_proto *kvm_timewarp_func_proto(enum bpf_func_id id,
							    const struct bpf_prog *prog)
{
	return id == BPF_FUNC_tail_call ? NULL : bpf_base_func_proto(id, prog);
}

static const struct bpf_verifier_ops kvm_timewarp_verifier_ops = {
	.get_func_proto = kvm_timewarp_func_proto,
	.is_valid_access = kvm_timewarp_is_valid_access,
	.btf_struct_access = kvm_timewarp_btf_struct_access,
};

/* Stubs give the ops their types for control-flow integrity. */
static int kvm_timewarp_decide_stub(const struct kvm_timewarp_view *view,
				    struct kvm_timewarp_answer *answer)
{
	return 0;
}

static void kvm_timewarp_exit_stub(struct kvm_timewarp_exit *info)
{
}

static struct kvm_timewarp_ops kvm_timewarp_cfi_stubs = {
	.decide = kvm_timewarp_decide_stub,
	.exit = kvm_timewarp_exit_stub,
};

static struct bpf_struct_ops bpf_kvm_timewarp_ops = {
	.verifier_ops = &kvm_timewarp_verifier_ops,
	.init = kvm_timewarp_init_btf,
	.init_member = kvm_timewarp_init_member,
	.check_member = kvm_timewarp_check_member,
	.validate = kvm_timewarp_validate,
	.reg = kvm_timewarp_reg,
	.unreg = kvm_timewarp_unreg,
	.update = kvm_timewarp_update,
	.cfi_stubs = &kvm_timewarp_cfi_stubs,
	.name = "kvm_timewarp_ops",
	.owner = THIS_MODULE,
};

__bpf_kfunc_start_defs();

/* a * b / c in 128 bits, rounded down; U64_MAX if it does not fit or if @c is 0. */
__bpf_kfunc u64 kvm_timewarp_mul_div(u64 a, u64 b, u64 c)
{
	return timeline_mul_div(a, b, c);
}

/* The host's TSC, of which timelines are functions. */
__bpf_kfunc u64 kvm_timewarp_host_tsc(void)
{
	return rdtsc();
}

/*
 * Have the policy of a VM be called with KVM_TIMEWARP_ASKED, soon.  The VM's
 * &kvm_timewarp_view.id is "id" in its state file; if no VM has it: -ENOENT.
 */
__bpf_kfunc int kvm_timewarp_ask(u32 id)
{
	return timewarp_ask(id);
}

/*
 * The same with KVM_TIMEWARP_PARAMS, at once, for user space that has changed the
 * policy's parameters.  Returns when the decision is in force: -ENOENT if no VM has
 * this id; else what the policy returned, or -ETIMEDOUT if vCPUs could not be held.
 */
__bpf_kfunc int kvm_timewarp_kick(u32 id)
{
	struct kvm_timewarp *tw = id ? timewarp_find(NULL, id) : NULL;
	int r = -ENOENT;

	if (!tw)
		return r;

	mutex_lock(&tw->tl.lock);
	if (tw->ops && !tw->gone)
		r = timewarp_decide(tw, tw->ops, KVM_TIMEWARP_PARAMS, tw->tl.mode);
	mutex_unlock(&tw->tl.lock);
	timewarp_put(tw);

	return r;
}

__bpf_kfunc_end_defs();

/* For probes on a VMM: none of them waits for anything. */
BTF_KFUNCS_START(kvm_timewarp_probe_kfunc_ids)
BTF_ID_FLAGS(func, kvm_timewarp_mul_div)
BTF_ID_FLAGS(func, kvm_timewarp_host_tsc)
BTF_KFUNCS_END(kvm_timewarp_probe_kfunc_ids)

BTF_KFUNCS_START(kvm_timewarp_ops_kfunc_ids)
BTF_ID_FLAGS(func, kvm_timewarp_mul_div)
BTF_ID_FLAGS(func, kvm_timewarp_host_tsc)
BTF_ID_FLAGS(func, kvm_timewarp_ask)
BTF_KFUNCS_END(kvm_timewarp_ops_kfunc_ids)

BTF_KFUNCS_START(kvm_timewarp_syscall_kfunc_ids)
BTF_ID_FLAGS(func, kvm_timewarp_ask)
BTF_ID_FLAGS(func, kvm_timewarp_kick, KF_SLEEPABLE)
BTF_KFUNCS_END(kvm_timewarp_syscall_kfunc_ids)

/* One set for each kind of programs. */
static const struct {
	enum bpf_prog_type type;
	struct btf_kfunc_id_set set;
} kvm_timewarp_kfuncs[] = {
	{ BPF_PROG_TYPE_KPROBE, { THIS_MODULE, &kvm_timewarp_probe_kfunc_ids } },
	{ BPF_PROG_TYPE_TRACING, { THIS_MODULE, &kvm_timewarp_probe_kfunc_ids } },
	{ BPF_PROG_TYPE_STRUCT_OPS, { THIS_MODULE, &kvm_timewarp_ops_kfunc_ids } },
	{ BPF_PROG_TYPE_SYSCALL, { THIS_MODULE, &kvm_timewarp_syscall_kfunc_ids } },
};

/* KVM works without: a kernel that has no BTF is no reason not to load. */
void __init kvm_timewarp_init(void)
{
	int i, r = 0;

	timewarp_wq = alloc_workqueue("kvm_timewarp", WQ_UNBOUND, 0);
	if (!timewarp_wq)
		r = -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(kvm_timewarp_kfuncs) && !r; i++)
		r = register_btf_kfunc_id_set(kvm_timewarp_kfuncs[i].type,
					      &kvm_timewarp_kfuncs[i].set);
	r = r ?: register_bpf_struct_ops(&bpf_kvm_timewarp_ops, kvm_timewarp_ops);
	if (r)
		pr_warn("timewarp is not available: cannot register with BPF (%d)\n", r);

	/* Keeps the enum in the module's BTF, where user space looks for it. */
	BTF_TYPE_EMIT_ENUM(KVM_TIMEWARP_ABI);
}

/* Links that are being detached may be the last that keep the module. */
void kvm_timewarp_exit(void)
{
	if (timewarp_wq)
		destroy_workqueue(timewarp_wq);
}
