// SPDX-License-Identifier: GPL-2.0
/* twctl attach: put a VM under a policy, and stay until that is undone. */
#include <bpf/libbpf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attached.h"
#include "host.h"
#include "qemu/date.h"
#include "readiness.h"
#include "twctl.h"
#include "when.h"

/* The policy may tell something during its first decision, so this comes before */
static int open_events(void *arg, struct tw_err *e)
{
	struct attachment *a = arg;
	int fd = a->args->pin ? -1 : tw_policy_events(&a->made.p);

	if (fd >= 0)
		tw_attached_listen(a, fd);
	if ((a->events && a->made.p.tells_done) || (!a->args->exec && !a->args->exit_when_done))
		return TW_OK;
	tw_fail(e, TW_USAGE, "cannot wait until %s is done", a->made.p.name);
	tw_fact(e, a->events ? "what the policy tells is never that it is done" : "the policy does not tell");
	return tw_cure(e, "leave out --exec and --exit-when-done, or take a policy such as until");
}

static int open_policy(void *arg, struct tw_policy *p, struct tw_err *e)
{
	const struct attachment *a = arg;

	return tw_args_policy(a->args, tw_epoch_now(a->ahead_ns), p, e);
}

/* --vmm: whether the VMM's clocks are to follow too */
static int read_wish(const struct tw_args *args, enum tw_wish *wish, struct tw_err *e)
{
	static const char *const words[] = { "auto", "on", "off" };
	size_t i;

	*wish = TW_WISH_AUTO;
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

/* Whether it stands where it was to: a hook of before run was thought of goes half an hour */
static int check_date(const struct attachment *a, uint64_t date_ns, struct tw_err *e)
{
	struct tw_state st;
	int64_t off;

	if (tw_state_read(a->t.vm->dir, &st, e))
		return e->status;
	off = (int64_t)(st.guest_ns + (uint64_t)tw_host_epoch_ns() - date_ns);
	if (off > -100000000 && off < 100000000)
		return TW_OK;
	tw_fail(e, TW_UNSUPPORTED, "cannot begin at that date");
	tw_fact(e, "KVM's hook does not let a new guest leap so far");
	return tw_cure(e, "load modules of this version: twctl probe");
}

/* A guest that has not run yet is made to stand, at the date if there is one */
static int stand(struct attachment *a, int vm_fd, unsigned int mode, struct tw_err *e)
{
	struct tw_policy start = { 0 };
	uint64_t date_ns = 0;
	const char *why;
	char *at = NULL;
	int status = tw_policy_open(&start, "start", e);

	if (!status && a->args->date && !tw_parse_date(a->args->date, &date_ns, &why)) {
		at = tw_asprintf("at=%s", a->args->date);
		status = tw_policy_assign(&start, at, e);
	}
	if (!status)
		status = tw_policy_load(&start, vm_fd, mode, e);
	if (!status)
		status = tw_policy_attach(&start, a->t.vm, &a->made.link, e);
	if (!status && at)
		status = check_date(a, date_ns, e);
	free(at);
	tw_policy_close(&start);
	return status;
}

/* It is started, which its vCPUs hear of and nothing in it does, and handed over to its policy */
static int stand_and_go(void *arg, int vm_fd, unsigned int mode, struct tw_err *e)
{
	struct attachment *a = arg;
	struct tw_going *g = a->args->going;
	int status = stand(a, vm_fd, mode, e);

	if (!status)
		status = g->go(g, e);
	if (!status)
		status = tw_policy_swap(&a->made.p, bpf_link__fd(a->made.link), a->t.vm, e);
	if (!status)
		g->gone(g);
	return status;
}

/* The VMs of a group: the first is the one that the others follow */
static int find_vms(struct attachment *a, struct tw_err *e)
{
	const struct tw_strings *names = &a->args->vms;
	struct tw_attachment *made = &a->made;
	struct tw_vm *vm;
	size_t i, k;

	tw_attachment_add(made, a->t.vm);
	for (i = 1; i < names->n; i++) {
		if (tw_vm_find(&a->t.vms, names->v[i], "attach to", &vm, e))
			return e->status;
		for (k = 0; k < made->nr_vms; k++) {
			if (made->session[k].vm != vm)
				continue;
			tw_fail(e, TW_USAGE, "cannot attach to a group");
			tw_fact(e, "VM %s is named twice", vm->id);
			return tw_cure(e, "name each VM once");
		}
		tw_attachment_add(made, vm);
	}
	if (made->nr_vms > 1)
		snprintf(a->name + strlen(a->name), sizeof(a->name) - strlen(a->name), " and %u more",
			 made->nr_vms - 1);
	return TW_OK;
}

static int check_run(const struct attachment *a, struct tw_err *e)
{
	unsigned int i;

	for (i = 0; !a->args->going && i < a->made.nr_vms; i++)
		if (tw_check_runs(a->made.session[i].vm, "attach to", e))
			return e->status;
	return TW_OK;
}

static int attach(struct attachment *a, unsigned int mode, struct tw_err *e)
{
	const struct tw_vm *first;
	struct tw_state states[TIMEWARP_MAX_VMS];
	int status, signals;

	status = tw_target_find(a->args, "attach to", &a->t, e);
	if (status)
		return status;
	tw_target_name(&a->t, a->name, sizeof(a->name));
	status = find_vms(a, e);
	if (!status)
		status = check_run(a, e);
	if (!status && !a->args->going)
		a->ahead_ns = tw_dates_ahead_ns(a->t.vm);
	if (!status)
		status = open_policy(a, &a->made.p, e);
	if (!status)
		tw_tell_date(a);
	if (status)
		return status;
	if (a->args->dry_run) {
		status = tw_attachment_try(&a->made, mode, e);
		if (!status)
			tw_tell_planned(a, mode);
		return status;
	}
	/* From here on, Ctrl-C waits until there is something whole to undo; so does a reader who has gone */
	signals = tw_signal_fd("attach", SIGPIPE, 0, e);
	if (signals < 0)
		return e->status;
	status = tw_attachment_make(&a->made, mode, e);
	if (status && a->args->going)
		a->args->going->lost(a->args->going);
	if (status)
		return status;
	if (a->args->pin && tw_signal_read(signals)) {
		tw_fail(e, TW_FAILED, "cannot attach %s to %s", a->made.p.name, a->name);
		tw_fact(e, "it was interrupted");
		return tw_cure(e, "nothing of it is left; attach again");
	}
	snprintf(a->policy, sizeof(a->policy), "%s", a->made.p.name);
	a->map_id = tw_attached_map(a, &first);
	tw_tell_attached(a);
	tw_attached_states(a, states);
	tw_attachment_unlock(&a->made);
	tw_journal_attached(a, states, true);
	return a->args->pin ? TW_OK : tw_attached_stay(a, signals, e);
}

static int check_args(const struct tw_args *args, struct tw_err *e)
{
	if (!tw_args_factor_max(args) && tw_args_check_factor(args, e))
		return e->status;
	if (args->vms.n > TIMEWARP_MAX_VMS) {
		tw_fail(e, TW_USAGE, "cannot attach to %zu VMs", args->vms.n);
		tw_fact(e, "a group has %u at most", TIMEWARP_MAX_VMS);
		return tw_cure(e, "attach a policy for each part of them");
	}
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
	return TW_OK;
}

/* Nothing of it stays, but for what is pinned and whole */
static int end(struct attachment *a, int status, struct tw_err *e)
{
	struct tw_err other = { 0 };

	if (!a->args->dry_run && (status || !a->args->pin)) {
		tw_attachment_detach(&a->made);
		if (tw_attachment_end(&a->made, &other) && !status) {
			*e = other;
			status = other.status;
		}
	}
	tw_attachment_close(&a->made);
	ring_buffer__free(a->events);
	if (a->events_fd >= 0)
		close(a->events_fd);
	tw_target_close(&a->t);
	return status;
}

static int run(const struct tw_args *given, struct tw_err *e)
{
	struct tw_args first = *given, *args = &first;
	struct attachment a = { .args = args, .events_fd = -1 };
	unsigned int mode;
	int status;

	if (args->vms.n)
		args->vm = args->vms.v[0];
	if (check_args(args, e) || tw_args_tsc(args, &mode, e) || read_wish(args, &a.made.wish, e))
		return e->status;
	a.made.name = a.name;
	a.made.pin = args->pin;
	a.made.wait = (struct tw_wait) { .verb = "attach", .tell = tw_tell_wait };
	a.made.open_policy = open_policy;
	a.made.loaded = open_events;
	a.made.begin = args->going ? stand_and_go : NULL;
	a.made.arg = &a;
	/* whoever started this may have left it otherwise: a child is known by its PID until it is waited for */
	signal(SIGCHLD, SIG_DFL);
	status = tw_host_require(TW_NEED_HOOK | (args->pin ? TW_NEED_PIN : 0) |
				 (args->vms.n > 1 ? TW_NEED_STATE : 0), e);
	if (status)
		return tw_what(e, "cannot attach");
	if (args->await && tw_await_vms(args, e))
		return e->status;
	status = attach(&a, mode, e);
	return end(&a, status, e);
}

static const struct tw_option options[] = {
	TW_OPTION("vm", 0, TW_LIST, vms, "VM",
		  "where it is no operand: PID, guest name, PID-FD or UUID; several are a group", "@vm"),
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
	TW_OPTION("wait", 0, TW_FLAG, await, NULL, "for a VM that is to come", NULL),
	TW_OPTION("dry-run", 0, TW_FLAG, dry_run, NULL, "only say what it would do", NULL),
	TW_OPTION("exec", 0, TW_TEXT, exec, "COMMAND", "run it when the policy is done", NULL),
	TW_OPTION("exit-when-done", 0, TW_FLAG, exit_when_done, NULL,
		  "detach when the policy is done", NULL),
	{ 0 },
};

const struct tw_verb tw_verb_attach = {
	.name = "attach",
	.synopsis = "VM|(--vm VM)... (--factor F | --policy POLICY)\n"
		    "                    [[--param] NAME=VALUE]... [--tsc MODE] [--vmm WISH]\n"
		    "                    [--pin] [--chaos] [--exec COMMAND] [--exit-when-done]\n"
		    "                    [--wait] [--dry-run]",
	.summary = "put a VM under a policy",
	.more = "Stays in the foreground until Ctrl-C, 'twctl detach', or the end of the VM;\n"
		"then the guest's clocks run at the host's rate again, from where they are.\n"
		"Killed by SIGKILL it is detached, too, and a process that it has left behind\n"
		"puts QEMU's clocks back; with that killed as well, the next attach or detach\n"
		"does. With --pin it exits at once and the policy stays.\n"
		"\n"
		"Several VMs, each with --vm, share one policy and one timeline: each change\n"
		"applies to all of them at one moment, or to none, so that their clocks stay\n"
		"together. The policy goes by the first one's time. A VM that ends leaves the\n"
		"others attached; 'twctl detach' of any detaches all.\n"
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
		"on host time. twctl status lists each clock. While QEMU has the VM stopped,\n"
		"they stand. Detach before it is migrated, or saved to be loaded without the\n"
		"policy: what is saved of its RTC lacks what this attachment has put it ahead by.\n"
		"\n"
		"Some policies tell when they are done, such as 'until' at its moment. Then\n"
		"--exec runs a command in a shell, and nobody waits for it. It finds in its\n"
		"environment TIMEWARP_VM, TIMEWARP_NAME, TIMEWARP_UUID, TIMEWARP_POLICY and\n"
		"TIMEWARP_EVENT, which is done. With -j what it prints goes to standard error.\n"
		"\n"
		"--wait waits until there is such a VM, and QEMU does not have it stopped, says\n"
		"so, and attaches then; one that has never run is taken as it stands. Ctrl-C\n"
		"ends that with status 1.\n"
		"\n"
		"--dry-run makes all checks, has the verifier look at the policy, and says what\n"
		"would be done: the VM, the policy and its parameters, the TSC mode, the probes\n"
		"on the VMM, each clock. Nothing is attached, and nothing left. The status is\n"
		"what attach's would be, but that the policy itself is not asked: it may refuse.\n"
		"\n"
		"A service of Type=notify is ready when it is attached: systemd is told then.\n"
		"\n"
		"Ctrl-C, SIGTERM and SIGHUP detach, and so does a pipe that nobody reads any\n"
		"more, at the next line that would go into it. nohup keeps its meaning.\n"
		"\n"
		"Status 0 after that, detach, the end of the VM, or --exit-when-done; 1 if\n"
		"QEMU's clocks could not be put back at once, which a process stays for then;\n"
		"5 if the policy, the verifier, or a policy or twctl already there refuses;\n"
		"6 if the kernel ejects the policy later.\n",
	.options = options,
	.vm_operand = true,
	.params_from = 1,
	.run = run,
};
