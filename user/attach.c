// SPDX-License-Identifier: GPL-2.0
/* twctl attach: put a VM under a policy, and stay until that is undone. */
#include <bpf/libbpf.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "group.h"
#include "host.h"
#include "parse.h"
#include "qemu/fold.h"
#include "qemu/keeper.h"
#include "qemu/probes.h"
#include "twctl.h"
#include "when.h"

/* A VMM, whose clocks may follow too */
struct probed {
	struct tw_vm *vm;
	struct tw_vmm_look look;	/* what there is to probe in it */
	struct tw_vmm vmm;
	struct tw_keeper keeper;
	bool on;
};

struct attachment {
	const struct tw_args *args;
	struct tw_target t;
	struct tw_vm *peers[TIMEWARP_MAX_VMS];	/* that share its timeline */
	unsigned int nr_peers;
	struct tw_policy p;
	struct bpf_link *link;		/* NULL for a group */
	struct tw_group group;		/* n is 0 for a VM alone; its first policy is p then */
	const struct tw_member *last;	/* of its members, to end */
	struct ring_buffer *events;	/* NULL if the policy tells none */
	bool done;			/* it told that it is */
	struct probed *probed;		/* one for each VM, the first is the target's */
	unsigned int nr_probed;
	unsigned int nr_vmms;		/* of them are on */
	int view_fd;			/* what the policy can know of these */
	char name[TW_TARGET_NAME_MAX + 16];
};

static int signal_fd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static void report_event(const struct attachment *a, const struct timewarp_event *event)
{
	const char *word = event->kind == TIMEWARP_EVENT_DONE ? "done" :
			   event->kind == TIMEWARP_EVENT_STEP ? "step" : "event";
	char date[48];
	struct tw_json j = { .f = stdout };

	tw_format_date(date, sizeof(date), event->guest_ns + (uint64_t)tw_host_epoch_ns());
	if (!a->args->json) {
		printf("%s: %s tells: %s %u, guest at %s\n", a->name, a->p.name, word,
		       event->number, date);
		fflush(stdout);
		return;
	}
	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "event", "policy");
	tw_json_str(&j, "vm", a->t.vm->id);
	tw_json_str(&j, "policy", a->p.name);
	tw_json_str(&j, "tells", word);
	tw_json_int(&j, "number", event->number);
	tw_json_u64(&j, "host_ns", event->host_ns);
	tw_json_u64(&j, "guest_ns", event->guest_ns);
	tw_json_str(&j, "guest_date", date);
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

/* In a shell of its own, with nothing of ours blocked or inherited; nobody waits for it */
static void run_command(const struct attachment *a)
{
	sigset_t none;

	if (fork())
		return;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGCHLD, SIG_DFL);
	setenv("TIMEWARP_VM", a->t.vm->id, 1);
	setenv("TIMEWARP_POLICY", a->p.name, 1);
	execl("/bin/sh", "sh", "-c", a->args->exec, NULL);
	_exit(127);
}

static int take_event(void *arg, void *data, size_t size)
{
	const struct timewarp_event *event = data;
	struct attachment *a = arg;

	if (size < sizeof(*event))
		return 0;
	report_event(a, event);
	if (event->kind != TIMEWARP_EVENT_DONE)
		return 0;
	a->done = true;
	if (a->args->exec)
		run_command(a);
	return 0;
}

/* The policy may tell something during its first decision, so this comes before */
static int open_events(struct attachment *a, struct tw_err *e)
{
	int fd = a->args->pin ? -1 : tw_policy_events(&a->p);

	if (fd >= 0)
		a->events = ring_buffer__new(fd, take_event, a, NULL);
	if (a->events || (!a->args->exec && !a->args->exit_when_done))
		return TW_OK;
	tw_fail(e, TW_USAGE, "cannot wait until %s is done", a->p.name);
	tw_fact(e, "the policy does not tell");
	return tw_cure(e, "leave out --exec and --exit-when-done, or take a policy such as until");
}

/* --vmm: whether the VMM's clocks are to follow too */
enum vmm_wish { VMM_AUTO, VMM_ON, VMM_OFF };

static int read_wish(const struct tw_args *args, enum vmm_wish *wish, struct tw_err *e)
{
	static const char *const words[] = { "auto", "on", "off" };
	size_t i;

	*wish = VMM_AUTO;
	if (!args->vmm)
		return TW_OK;
	for (i = 0; i < 3; i++)
		if (!strcmp(args->vmm, words[i])) {
			*wish = i;
			return TW_OK;
		}
	tw_fail(e, TW_USAGE, "cannot use --vmm %s", TW_QUOTE(args->vmm));
	tw_fact(e, "it is none of its words");
	return tw_cure(e, "use one of: auto, on, off");
}

/*
 * The VMM's probes come before the policy, so that no clock is left behind for a moment.  Whether
 * the VM has a policy already is for the kernel to say, later; its probes are not touched then.
 */
static int attach_vmm(struct attachment *a, struct probed *p, enum vmm_wish wish,
		      struct tw_err *e)
{
	struct tw_err reason = { 0 };
	struct tw_state st = { 0 };
	int tries;

	if (p->vm->dir && !tw_state_read(p->vm->dir, &st, &reason) && st.attached)
		return TW_OK;
	tw_err_free(&reason);
	/* of an attachment that has ended, and nobody had put its clocks back */
	for (tries = 0; !tw_vmm_finish(p->vm, NULL) && tries < 100; tries++)
		usleep(10000);
	tw_vmm_unpin(p->vm->id);
	if (wish == VMM_OFF) {
		snprintf(p->look.why, sizeof(p->look.why), "--vmm off");
		return TW_OK;
	}
	tw_vmm_look(p->vm, &p->look);
	if (!p->look.possible) {
		if (wish == VMM_AUTO)
			return TW_OK;
		tw_fail(e, TW_UNSUPPORTED, "cannot attach to %s", a->name);
		tw_fact(e, "the clocks of VMM %s cannot follow: %s", p->vm->id, p->look.why);
		return tw_cure(e, "leave them on host time: --vmm auto, --vmm off");
	}
	if (!tw_vmm_attach(&p->vmm, p->vm, &p->look, p - a->probed,
			   a->nr_vmms ? a->view_fd : -1, &reason)) {
		p->on = true;
		a->view_fd = p->vmm.view_fd;
		a->nr_vmms++;
		if (!a->args->pin)
			tw_keeper_start(&p->keeper, p->vm);
		return TW_OK;
	}
	tw_vmm_close(&p->vmm);
	if (wish == VMM_AUTO) {
		snprintf(p->look.why, sizeof(p->look.why), "%.159s", reason.fact);
		tw_err_free(&reason);
		return TW_OK;
	}
	*e = reason;
	return e->status;
}

static int attach_vmms(struct attachment *a, enum vmm_wish wish, struct tw_err *e)
{
	int status = TW_OK;

	a->probed = tw_grow(NULL, 1 + a->nr_peers, sizeof(*a->probed));
	memset(a->probed, 0, (1 + a->nr_peers) * sizeof(*a->probed));
	while (!status && a->nr_probed <= a->nr_peers) {
		struct probed *p = &a->probed[a->nr_probed];

		p->vm = a->nr_probed ? a->peers[a->nr_probed - 1] : a->t.vm;
		a->nr_probed++;
		status = attach_vmm(a, p, wish, e);
	}
	return status;
}

/* Lets the VMMs' clocks go on by themselves, once the policy has gone */
static void end_vmms(struct attachment *a)
{
	unsigned int i;
	int tries;

	for (i = 0; i < a->nr_probed; i++) {
		struct probed *p = &a->probed[i];

		if (!p->on)
			continue;
		/* the kernel may need some time to stop the timeline of a busy VM */
		for (tries = 0; !tw_vmm_finish(p->vm, NULL) && tries < 200; tries++)
			usleep(10000);
		tw_keeper_end(&p->keeper);
		tw_vmm_close(&p->vmm);
		p->on = false;
	}
}

/* The copy of the VM's descriptor lives no longer than this: else the VM could not die */
static int attach_one(struct attachment *a, unsigned int mode, struct tw_err *e)
{
	int fd = tw_vm_take_fd(a->t.vm, e), status;

	if (fd < 0)
		return e->status;
	status = tw_policy_load(&a->p, fd, mode, e);
	if (!status)
		status = open_events(a, e);
	if (!status)
		status = tw_policy_attach(&a->p, a->t.vm, &a->link, e);
	close(fd);
	return status;
}

/* Each VM has the policy's object for itself; the first one's is that of all */
static int attach_group(struct attachment *a, unsigned int mode, struct tw_err *e)
{
	struct tw_group *g = &a->group;
	unsigned int i;
	int status = TW_OK;

	g->m[0].policy = a->p;
	g->m[0].vm = a->t.vm;
	for (g->n = i = 1; !status && i <= a->nr_peers; i++) {
		g->m[i].vm = a->peers[i - 1];
		g->n++;
		status = tw_args_policy(a->args, &g->m[i].policy, e);
	}
	if (!status)
		status = tw_group_load(g, mode, NULL, e);
	if (!status)
		status = open_events(a, e);
	return status ? status : tw_group_attach(g, e);
}

static int load_and_attach(struct attachment *a, unsigned int mode, struct tw_err *e)
{
	int status = TW_OK;

	if (a->nr_vmms)
		status = tw_policy_see_vmms(&a->p, a->view_fd, e);
	if (!status)
		status = a->nr_peers ? attach_group(a, mode, e) : attach_one(a, mode, e);
	if (status && *e->what)
		tw_what(e, "cannot attach %s to %s", a->p.name, a->name);
	return status;
}

/* Clears away the pin of an attachment whose VM is gone; PIDs come round again */
static void remove_stale_pin(const char *path)
{
	struct bpf_link *old = bpf_link__open(path);

	if (!old)
		return;
	if (tw_link_defunct(bpf_link__fd(old)))
		unlink(path);
	bpf_link__destroy(old);
}

/* A link is found by the name of its VM; in a group each has its own */
static int pin_link(struct bpf_link *link, const struct tw_vm *vm, char **path)
{
	free(*path);
	*path = tw_pin_path(vm->id);
	remove_stale_pin(*path);
	return bpf_link__pin(link, *path);
}

static int pin_all(struct attachment *a, char **path)
{
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < a->nr_probed; i++)
		if (a->probed[i].on)
			err = tw_vmm_pin(&a->probed[i].vmm, a->probed[i].vm->id);
	if (!err && !a->group.n)
		err = pin_link(a->link, a->t.vm, path);
	for (i = 0; !err && i < a->group.n; i++)
		err = pin_link(a->group.m[i].link, a->group.m[i].vm, path);
	return err;
}

static int pin(struct attachment *a, struct tw_err *e)
{
	char *path = tw_pin_path(a->t.vm->id);
	unsigned int i;
	int err;

	mkdir(TW_BPFFS "/timewarp", 0700);
	err = pin_all(a, &path);
	if (err) {
		tw_fail(e, TW_FAILED, "cannot pin the policy of %s", a->name);
		tw_fact(e, "%s: %s", path, strerror(-err));
		tw_cure(e, "attach without --pin, or make room for it");
		for (i = 0; i < a->nr_probed; i++)
			if (a->probed[i].on)
				tw_vmm_unpin(a->probed[i].vm->id);
		for (i = 0; i < a->group.n; i++)
			bpf_link__unpin(a->group.m[i].link);
	}
	free(path);
	return err ? e->status : TW_OK;
}

static void report_vmm(const struct attachment *a, const struct probed *p)
{
	char of[TW_TARGET_NAME_MAX] = "";

	if (a->nr_peers)
		snprintf(of, sizeof(of), " of %s", p->vm->id);
	if (!p->on)
		printf("clocks of the VMM%s on host time (%s); ", of, p->look.why);
	else if (*p->look.why_rtc)
		printf("RTC%s on host time (%s); ", of, p->look.why_rtc);
}

/* The first VMM whose clocks do not follow, or else whose RTC does not, or else the first */
static const struct probed *vmm_left_out(const struct attachment *a)
{
	unsigned int i;

	for (i = 0; i < a->nr_probed; i++)
		if (!a->probed[i].on)
			return &a->probed[i];
	for (i = 0; i < a->nr_probed; i++)
		if (*a->probed[i].look.why_rtc)
			return &a->probed[i];
	return &a->probed[0];
}

static void report(const struct attachment *a, struct tw_state *st, bool known)
{
	char factor[48];
	unsigned int i;

	if (known)
		tw_format_factor(factor, sizeof(factor), st->force.num, st->force.den);
	printf("attached %s to %s: ", a->p.name, a->name);
	if (known)
		printf("factor %s, TSC %s; ", factor, st->tsc_mode);
	for (i = 0; i < a->nr_probed; i++)
		report_vmm(a, &a->probed[i]);
	printf("%s: twctl detach --vm %s\n",
	       a->args->pin ? "pinned; undo" : "undo with Ctrl-C or", a->t.vm->id);
	fflush(stdout);
}

static void report_json(const struct attachment *a, struct tw_state *st, bool known)
{
	const struct probed *left_out = vmm_left_out(a);
	struct tw_json j = { .f = stdout };
	char undo[64];

	snprintf(undo, sizeof(undo), "twctl detach --vm %s", a->t.vm->id);
	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "event", "attached");
	tw_json_vm(&j, a->t.vm);
	tw_json_str(&j, "policy", a->p.name);
	if (a->nr_peers) {
		tw_json_open(&j, "group", '[');
		for (unsigned int i = 0; i < a->nr_peers; i++)
			tw_json_str(&j, NULL, a->peers[i]->id);
		tw_json_close(&j, ']');
	}
	tw_json_bool(&j, "pinned", a->args->pin);
	tw_json_bool(&j, "vmm_clocks", left_out->on);
	if (!left_out->on)
		tw_json_str(&j, "vmm_why_not", left_out->look.why);
	else if (*left_out->look.why_rtc)
		tw_json_str(&j, "rtc_why_not", left_out->look.why_rtc);
	if (known) {
		tw_json_str(&j, "tsc_mode", st->tsc_mode);
		tw_json_factor(&j, "factor_asked", &st->asked);
		tw_json_factor(&j, "factor_force", &st->force);
		tw_json_int(&j, "link_id", st->link_id);
	}
	tw_json_str(&j, "undo", undo);
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

static void report_attached(const struct attachment *a)
{
	struct tw_err ignored = { 0 };
	struct tw_state st;
	bool known = a->t.vm->dir && !tw_state_read(a->t.vm->dir, &st, &ignored);

	tw_err_free(&ignored);
	if (a->args->json)
		report_json(a, &st, known);
	else
		report(a, &st, known);
}

static void report_end(const struct attachment *a, const struct timewarp_exit_record *rec,
		       const char *text)
{
	struct tw_json j = { .f = stdout };

	if (!a->args->json) {
		printf("%s: %s\n", a->name, text);
		fflush(stdout);
		return;
	}
	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "event", "ended");
	tw_json_str(&j, "vm", a->t.vm->id);
	tw_json_str(&j, "kind", tw_exit_kind_name(rec->kind));
	tw_json_int(&j, "code", rec->code);
	tw_json_str(&j, "reason", rec->reason);
	tw_json_str(&j, "message", rec->message);
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

/*
 * Why the kernel let the policy go.  The state file knows, also of a policy that was swapped in by
 * another process; when the VM is gone, so is the file, and the policy's own record remains.
 */
static void find_reason(const struct attachment *a, struct timewarp_exit_record *rec)
{
	const struct tw_policy *policy = a->last ? &a->last->policy : &a->p;
	const struct tw_vm *vm = a->last ? a->last->vm : a->t.vm;
	struct tw_err ignored = { 0 };
	struct tw_state st;
	bool known = vm->dir && !tw_state_read(vm->dir, &st, &ignored);

	tw_err_free(&ignored);
	if (known && !st.attached && st.exit_kind != KVM_TIMEWARP_EXIT_NONE) {
		memset(rec, 0, sizeof(*rec));
		rec->kind = st.exit_kind;
		rec->code = st.exit_code;
		memcpy(rec->reason, st.exit_reason, sizeof(rec->reason));
		memcpy(rec->message, st.exit_message, sizeof(rec->message));
		return;
	}
	if (tw_policy_exit_record(policy, rec) && (known || rec->kind == KVM_TIMEWARP_EXIT_VM_GONE))
		return;
	memset(rec, 0, sizeof(*rec));
	rec->kind = KVM_TIMEWARP_EXIT_VM_GONE;
}

static int fail_end(const struct attachment *a, const struct timewarp_exit_record *rec,
		    struct tw_err *e)
{
	int status = rec->kind == KVM_TIMEWARP_EXIT_EJECTED ? TW_EJECTED : TW_UNSUPPORTED;

	tw_fail(e, status, "%s lives at factor 1 again", a->name);
	e->code = -rec->code;
	tw_fact(e, "the kernel let policy %s go (%s): %s", a->p.name,
		tw_exit_kind_name(rec->kind), *rec->message ? rec->message : rec->reason);
	if (rec->kind == KVM_TIMEWARP_EXIT_EJECTED)
		return tw_cure(e, "mend the policy; twctl status --vm %s shows counters",
			       a->t.vm->id);
	if (rec->kind == KVM_TIMEWARP_EXIT_DISABLED)
		return tw_cure(e, "echo 1 > " TW_SWITCH);
	return tw_cure(e, "look for 'clocksource' and 'TSC' in the kernel log");
}

static int hung_up(struct attachment *a, struct tw_err *e)
{
	struct timewarp_exit_record rec;

	end_vmms(a);
	find_reason(a, &rec);
	switch (rec.kind) {
	case KVM_TIMEWARP_EXIT_VM_GONE:
		report_end(a, &rec, "the VM is gone; nothing is left to undo");
		return TW_OK;
	case KVM_TIMEWARP_EXIT_UNREG:
		report_end(a, &rec, "detached by another command; factor 1 from here on");
		return TW_OK;
	default:
		if (a->args->json)
			report_end(a, &rec, "");
		return fail_end(a, &rec, e);
	}
}

static int undo(struct attachment *a)
{
	struct timewarp_exit_record rec = { .kind = KVM_TIMEWARP_EXIT_UNREG };
	unsigned int i;

	/* whether or not all came to factor 1 together, this is the end of it */
	if (a->group.n)
		tw_group_quit(a->group.map);
	for (i = 0; i < a->group.n; i++)
		tw_link_detach(bpf_link__fd(a->group.m[i].link));
	if (a->link)
		tw_link_detach(bpf_link__fd(a->link));
	end_vmms(a);
	report_end(a, &rec, "detached; factor 1 from here on, and the guest keeps its time");
	return TW_OK;
}

/* Those of a group that have ended are waited for no more; whether anything is left */
static bool any_left(struct attachment *a, struct pollfd *link, unsigned int n)
{
	bool left = false;
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (link[i].fd >= 0 && link[i].revents & POLLHUP) {
			link[i].fd = -1;
			if (a->group.n)
				a->last = &a->group.m[i];
		}
		left |= link[i].fd >= 0;
	}
	return left;
}

static int stay(struct attachment *a, int signals, struct tw_err *e)
{
	unsigned int i, n = a->group.n ? a->group.n : 1;
	struct pollfd p[2 + TIMEWARP_MAX_VMS] = {
		{ .fd = signals, .events = POLLIN },
		{ .fd = a->events ? ring_buffer__epoll_fd(a->events) : -1, .events = POLLIN },
	};

	/* POLLHUP needs no asking */
	for (i = 0; i < n; i++)
		p[2 + i].fd = bpf_link__fd(a->group.n ? a->group.m[i].link : a->link);
	for (;;) {
		if (poll(p, 2 + n, -1) < 0 && errno != EINTR)
			return undo(a);
		if (a->events)
			ring_buffer__consume(a->events);
		if (!any_left(a, p + 2, n))
			return hung_up(a, e);
		if (p[0].revents)
			return undo(a);
		if (a->done && a->args->exit_when_done) {
			undo(a);
			/* a status, and no error to print */
			*e->what = 0;
			return TW_THRESHOLD;
		}
	}
}

/* The VMs of a group: the first is the one that the others follow */
static int find_peers(struct attachment *a, struct tw_err *e)
{
	const struct tw_strings *names = &a->args->vms;
	struct tw_vm *vm;
	size_t i;

	for (i = 1; i < names->n; i++) {
		if (tw_vm_find(&a->t.vms, names->v[i], "attach to", &vm, e))
			return e->status;
		a->peers[a->nr_peers++] = vm;
	}
	for (i = 0; i < a->nr_peers; i++) {
		size_t j = i + 1;

		while (j < a->nr_peers && a->peers[j] != a->peers[i])
			j++;
		if (j == a->nr_peers && a->peers[i] != a->t.vm)
			continue;
		tw_fail(e, TW_USAGE, "cannot attach to a group");
		tw_fact(e, "VM %s is named twice", a->peers[i]->id);
		return tw_cure(e, "name each VM once");
	}
	if (a->nr_peers)
		snprintf(a->name + strlen(a->name), sizeof(a->name) - strlen(a->name),
			 " and %u more", a->nr_peers);
	return TW_OK;
}

static int attach(struct attachment *a, unsigned int mode, enum vmm_wish wish, struct tw_err *e)
{
	int status, signals;

	status = tw_target_find(a->args, "attach to", &a->t, e);
	if (status)
		return status;
	tw_target_name(&a->t, a->name, sizeof(a->name));
	status = find_peers(a, e);
	if (status)
		return status;
	status = tw_args_policy(a->args, &a->p, e);
	if (status)
		return status;
	/* from here on, Ctrl-C waits until there is something whole to undo */
	signals = signal_fd();
	status = attach_vmms(a, wish, e);
	if (!status)
		status = load_and_attach(a, mode, e);
	tw_vmm_wake_all();
	if (!status && a->args->pin)
		status = pin(a, e);
	if (status)
		return status;
	report_attached(a);
	return a->args->pin ? TW_OK : stay(a, signals, e);
}

static int run(const struct tw_args *given, struct tw_err *e)
{
	struct tw_args first = *given, *args = &first;
	struct attachment a = { .args = args, .t.lock = -1 };
	enum vmm_wish wish;
	unsigned int mode, i;
	int status;

	if (args->vms.n)
		args->vm = args->vms.v[0];
	if (args->vms.n > TIMEWARP_MAX_VMS) {
		tw_fail(e, TW_USAGE, "cannot attach to %zu VMs", args->vms.n);
		tw_fact(e, "a group has %u at most", TIMEWARP_MAX_VMS);
		return tw_cure(e, "attach a policy for each part of them");
	}
	if ((!tw_args_factor_max(args) && tw_args_check_factor(args, e)) ||
	    tw_args_tsc(args, &mode, e) || read_wish(args, &wish, e))
		return e->status;
	if (!args->factor && !args->policy) {
		tw_fail(e, TW_USAGE, "cannot attach");
		tw_fact(e, "neither a factor nor a policy is given");
		return tw_cure(e, "add --factor F or --policy POLICY");
	}
	if (args->pin && (args->exec || args->exit_when_done)) {
		tw_fail(e, TW_USAGE, "cannot attach");
		tw_fact(e, "with --pin nobody stays to wait until the policy is done");
		return tw_cure(e, "leave out --pin, or --exec and --exit-when-done");
	}
	/* a command of --exec is waited for by nobody */
	signal(SIGCHLD, SIG_IGN);
	status = tw_host_require(TW_NEED_HOOK | (args->pin ? TW_NEED_PIN : 0) |
				 (args->vms.n > 1 ? TW_NEED_STATE : 0), e);
	if (status)
		return tw_what(e, "cannot attach");
	status = attach(&a, mode, wish, e);
	/* closing the last descriptor of a link that is not pinned detaches */
	bpf_link__destroy(a.link);
	for (i = 0; i < a.group.n; i++) {
		bpf_link__destroy(a.group.m[i].link);
		a.group.m[i].link = NULL;
	}
	for (i = 0; a.args->pin && !status && i < a.nr_probed; i++)
		tw_vmm_close(&a.probed[i].vmm);
	if (!a.args->pin || status)
		end_vmms(&a);
	free(a.probed);
	ring_buffer__free(a.events);
	if (a.group.n)
		tw_group_close(&a.group);
	else
		tw_policy_close(&a.p);
	tw_target_close(&a.t);
	return status;
}

static const struct tw_option options[] = {
	TW_OPTION("vm", 0, TW_LIST, vms, "VM",
		  "PID, guest name, PID-FD or UUID; several are a group", "@vm"),
	TW_OPTION_FACTOR,
	TW_OPTION_POLICY,
	TW_OPTION_PARAM,
	TW_OPTION_CHAOS,
	TW_OPTION("tsc", 0, TW_TEXT, tsc, "MODE", "auto, scaled, trapped or offset",
		  "auto scaled trapped offset"),
	TW_OPTION("vmm", 0, TW_TEXT, vmm, "WISH", "clocks that QEMU keeps: auto, on or off",
		  "auto on off"),
	TW_OPTION("pin", 0, TW_FLAG, pin, NULL, "outlive this command, in " TW_BPFFS "/timewarp",
		  NULL),
	TW_OPTION("exec", 0, TW_TEXT, exec, "COMMAND", "run it when the policy is done", NULL),
	TW_OPTION("exit-when-done", 0, TW_FLAG, exit_when_done, NULL,
		  "detach when the policy is done, with status 10", NULL),
	{ 0 },
};

const struct tw_verb tw_verb_attach = {
	.name = "attach",
	.synopsis = "--vm VM [--vm VM]... (--factor F | --policy POLICY)\n"
		    "                    [--param NAME=VALUE]... [--tsc MODE] [--vmm WISH]\n"
		    "                    [--pin] [--chaos] [--exec COMMAND] [--exit-when-done]",
	.summary = "put a VM under a policy",
	.more = "Stays in the foreground until Ctrl-C, 'twctl detach', or the end of the VM;\n"
		"then the guest's clocks run at the host's rate again, from where they are.\n"
		"Even SIGKILL leaves nothing behind. With --pin it exits at once and the\n"
		"policy stays.\n"
		"\n"
		"Several VMs share one policy and one timeline: each change applies to all of\n"
		"them at one moment, or to none, so that their clocks stay together. The policy\n"
		"goes by the first one's time. A VM that ends leaves the others attached;\n"
		"'twctl detach' of any detaches all.\n"
		"\n"
		"TSC modes: scaled by the CPU, at no cost; trapped, an exit for each RDTSC,\n"
		"on any CPU; offset, the TSC keeps the host's rate and only kvmclock and\n"
		"timers are warped. auto takes scaled where the CPU can, else trapped.\n"
		"\n"
		"--factor max is policy backoff: the highest factor that the guest bears, found\n"
		"by trying; see 'twctl policy inspect backoff'.\n"
		"\n"
		"--vmm: RTC, HPET, ACPI PM timer and all else that QEMU keeps by its virtual\n"
		"clock follow too, by probes on the running QEMU. auto does it where it can,\n"
		"and says so where it cannot; on fails then, with status 3; off leaves them\n"
		"on host time. twctl status lists each clock.\n"
		"\n"
		"Some policies tell when they are done, such as 'until' at its moment. Then\n"
		"--exec runs a command in a shell, with TIMEWARP_VM and TIMEWARP_POLICY set.\n"
		"\n"
		"Status 0 after Ctrl-C, detach, or the end of the VM; 5 if the policy, the\n"
		"verifier or a policy already there refuses; 6 if the kernel ejects the\n"
		"policy later.\n",
	.options = options,
	.run = run,
};
