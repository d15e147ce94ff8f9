// SPDX-License-Identifier: GPL-2.0
/*
 * twctl qualify: whether time holds on this host's own CPU, as whoever has one can find out and tell.
 *
 * The bare VMM of tests/vmm judges what its guest sees. It is attached to by attach itself, in a process of its
 * own, as twctl run does it: what is tested is what users do.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host.h"
#include "qualify.h"
#include "readiness.h"
#include "whole.h"

/* A case that has not ended by then is killed, and does not hold */
#define LIMIT_S 60
/* Four vCPUs find what two do not; a host with one CPU has two share it */
#define LEAST_VCPUS 2
#define MOST_VCPUS 4

/* ---- the host */

static void read_key(const char *text, const char *key, char *buf, size_t size)
{
	const char *s = text ? strstr(text, key) : NULL, *value = s ? strstr(s, ": ") : NULL;

	snprintf(buf, size, "%.*s", value ? (int)strcspn(value + 2, "\n") : 1, value ? value + 2 : "?");
}

static int kvm_has(int cap)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), has = fd < 0 ? 0 : ioctl(fd, KVM_CHECK_EXTENSION, cap);

	if (fd >= 0)
		close(fd);
	return has > 0 ? has : 0;
}

static void look_at_host(struct host *h)
{
	char *text = tw_read_file("/proc/cpuinfo", NULL), *end;
	struct tw_vms vms;

	/* its first processor speaks for all */
	end = text ? strstr(text, "\n\n") : NULL;
	if (end)
		*end = 0;
	read_key(text, "model name", h->model, sizeof(h->model));
	read_key(text, "vendor_id", h->vendor, sizeof(h->vendor));
	read_key(text, "cpu family", h->family, sizeof(h->family));
	read_key(text, "model\t", h->cpu_model, sizeof(h->cpu_model));
	read_key(text, "stepping", h->stepping, sizeof(h->stepping));
	read_key(text, "microcode", h->microcode, sizeof(h->microcode));
	h->virtual = text && strstr(text, " hypervisor");
	h->emulated = strstr(h->model, "QEMU TCG");
	free(text);
	if (!tw_read_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", h->clocksource,
			  sizeof(h->clocksource)))
		strcpy(h->clocksource, "?");
	uname(&h->kernel);
	h->kvm = !access("/sys/module/kvm_amd", F_OK) ? "kvm_amd" : "kvm_intel";
	h->cpus = sysconf(_SC_NPROCESSORS_ONLN);
	h->scales = kvm_has(KVM_CAP_TSC_CONTROL);
	h->hyperv = kvm_has(KVM_CAP_HYPERV_SYNIC);
	h->xen = kvm_has(KVM_CAP_XEN_HVM) & KVM_XEN_HVM_CONFIG_EVTCHN_SEND;
	tw_vms_scan(&vms);
	h->other_vms = vms.n;
	tw_vms_free(&vms);
}

/* Nothing of who it is, nor of what else runs on it */
/* ---- one case */

struct child {
	pid_t pid;
	int out;
};

/* A verb in a process of its own: attach stays there */
static bool start_verb(const struct qualify *q, struct row *r, const char *name, const char *factor, struct child *c)
{
	struct tw_args args = { .verb = name, .verbose = q->args->verbose, .factor = factor };
	struct tw_err e = { 0 };
	char vm[24];

	snprintf(vm, sizeof(vm), "%d", r->got.pid);
	args.vm = vm;
	if (!strcmp(name, "attach")) {
		args.tsc = r->mode;
		args.vmm = "off";
	}
	c->out = tw_output_file();
	c->pid = c->out < 0 ? -1 : tw_child(SIGTERM, c->out);
	if (!c->pid) {
		int status = tw_find_verb(name)->run(&args, &e);

		if (status && *e.what)
			tw_err_print(&e, false);
		fflush(stdout);
		_exit(status);
	}
	return c->pid > 0;
}

static bool child_has_ended(struct child *c)
{
	int status;

	if (c->pid > 0 && waitpid(c->pid, &status, WNOHANG) == c->pid)
		c->pid = -status;
	return c->pid <= 0;
}

/* A look, each ten milliseconds, while there is time; or to sleep, without one */
static bool wait_for(const struct qualify *q, bool (*there)(void *arg), void *arg, unsigned int ms)
{
	uint64_t end = tw_now_ns() + ms * 1000000ULL;

	while (!there || !there(arg)) {
		if (tw_stop || tw_now_ns() > q->deadline)
			return false;
		if (!there && tw_now_ns() >= end)
			return true;
		usleep(there ? 10000 : ms * 1000);
	}
	return true;
}

static bool is_up(void *arg) { struct row *r = arg; return tw_bare_is_up(&r->got) || tw_bare_has_ended(&r->got); }
static bool has_ended(void *arg) { return tw_bare_has_ended(arg); }
static bool verb_ended(void *arg) { return child_has_ended(arg); }

struct attaching {
	struct row *r;
	struct child *c;
};

static bool is_attached(void *arg)
{
	struct attaching *a = arg;
	struct tw_err ignored = { 0 };
	bool attached = !tw_state_read(a->r->got.dir, &a->r->st, &ignored) && a->r->st.attached;

	tw_err_free(&ignored);
	return attached || child_has_ended(a->c);
}

/* Unless it is that the VM has ended: its process may take a moment longer */
static void fails(struct row *r, const char *verb, struct child *c)
{
	char *text;
	int i;

	for (i = 0; r->got.pid && i < 50; i++, usleep(10000))
		if (tw_bare_has_ended(&r->got))
			return;
	text = tw_output_text(c->out);
	text[strcspn(text, "\n")] = 0;
	tw_words_add(&r->got.failed, "twctl %s ended with status %d: %s", verb, WEXITSTATUS(-c->pid), text);
	free(text);
}

static bool attach(const struct qualify *q, struct row *r, struct child *c)
{
	struct attaching a = { r, c };

	if (!start_verb(q, r, "attach", r->factor, c) || !wait_for(q, is_attached, &a, 0))
		return false;
	if (c->pid <= 0)
		fails(r, "attach", c);
	return c->pid > 0;
}

/* It ends, if it is still there */
static void close_child(struct child *c)
{
	if (c->pid > 0) {
		kill(c->pid, SIGKILL);
		waitpid(c->pid, NULL, 0);
	}
	if (c->out >= 0)
		close(c->out);
	*c = (struct child){ .out = -1 };
}

/* By Ctrl-C, as users do; or it has ended by itself, with its VM */
static void detach(const struct qualify *q, struct row *r, struct child *c)
{
	if (c->pid > 0) {
		kill(c->pid, SIGINT);
		wait_for(q, verb_ended, c, 0);
	}
	if (c->pid < 0 && !r->got.failed.n)
		fails(r, "attach", c);
	close_child(c);
}

static void set(const struct qualify *q, struct row *r, const char *factor)
{
	struct child c;

	if (tw_bare_has_ended(&r->got))
		return;
	if (start_verb(q, r, "set", factor, &c) && wait_for(q, verb_ended, &c, 0) && c.pid)
		fails(r, "set", &c);
	close_child(&c);
}

/* Under a guest that reads its clocks all the time */
static void change(const struct qualify *q, struct row *r, struct child *c)
{
	static const char *const factors[] = { "0.02", "3", "1/7" };
	struct tw_err ignored = { 0 };
	unsigned int ms = q->args->quick ? 30 : 400;
	size_t i;

	if (!wait_for(q, NULL, NULL, ms) || !attach(q, r, c))
		return;
	for (i = 0; i < 3; i++) {
		wait_for(q, NULL, NULL, ms);
		set(q, r, factors[i]);
	}
	wait_for(q, NULL, NULL, ms);
	detach(q, r, c);
	wait_for(q, NULL, NULL, ms);
	tw_state_read(r->got.dir, &r->st, &ignored);
	tw_err_free(&ignored);
	tw_bare_enough(&r->got);
}

static void add_all(struct tw_words *w, const char *words)
{
	char *copy = tw_strdup(words), *rest = copy, *word;

	while ((word = strsep(&rest, " ")))
		tw_words_add(w, "%s", word);
	free(copy);
}

/* Times of the guest's that fit the factor, so that each kind of timer has its turn */
static void compose(const struct qualify *q, const struct row *r, struct tw_words *w)
{
	bool slow = r->factor && *r->factor == '0';
	long vcpus = q->host.cpus < LEAST_VCPUS ? LEAST_VCPUS : q->host.cpus > MOST_VCPUS ? MOST_VCPUS : q->host.cpus;

	tw_words_add(w, "%s", q->vmm);
	tw_words_add(w, "--hold");
	add_all(w, q->args->quick ? "--seconds 0.05" : "--seconds 1.5");
	if (q->args->quick && !r->mode)
		add_all(w, "--delay-us 100:500 --period-us 4000");
	else
		add_all(w, slow ? "--delay-us 20:100 --period-us 200" : "--delay-us 1000:5000 --period-us 20000");
	tw_words_add(w, "--expect-attached=%d", r->mode && r->kind != CHANGES);
	if (r->mode && r->kind != CHANGES) {
		tw_words_add(w, "--expect-factor=%s", r->factor);
		tw_words_add(w, "--expect-mode=%s", r->mode);
	}
	if (r->kind == CLOCKS || r->kind == CHANGES)
		tw_words_add(w, "--vcpus=%ld", vcpus);
	if (q->host.emulated)
		tw_words_add(w, "--no-aux");
	switch (r->kind) {
	case CLOCKS:
		add_all(w, "clock timers tmcct tscmsr rdtscp steal setclock");
		break;
	case DEVICES:
		add_all(w, q->host.hyperv ? "--hyperv pit hyperv" : "pit");
		if (q->host.xen)
			add_all(w, "--xen xen");
		break;
	case CHANGES:
		add_all(w, "--until - --expect-changes 5 clock");
		break;
	case COSTS:
		tw_words_add(w, "costs");
		break;
	}
}

static void run_case(struct qualify *q, struct row *r)
{
	struct child c = { .out = -1 };
	struct tw_words command = { 0 };

	q->deadline = tw_now_ns() + LIMIT_S * 1000000000ULL;
	compose(q, r, &command);
	if (!tw_bare_start(&r->got, &command))
		tw_words_add(&r->got.failed, "cannot start the VMM: %s", strerror(errno));
	else if (wait_for(q, is_up, r, 0) && r->got.pid && (!r->mode || r->kind == CHANGES || attach(q, r, &c))) {
		tw_bare_go(&r->got);
		if (r->kind == CHANGES && r->mode)
			change(q, r, &c);
		if (!r->got.failed.n)
			wait_for(q, has_ended, &r->got, 0);
	}
	if (r->got.pid && !r->got.failed.n && !tw_stop)
		tw_words_add(&r->got.failed, "it has not ended after %d s, and was killed", LIMIT_S);
	r->holds = tw_bare_judge(&r->got);
	tw_bare_close(&r->got);
	q->deadline += 10000000000ULL;	/* to undo */
	detach(q, r, &c);
	r->holds &= !r->got.failed.n;
	tw_words_free(&command);
}

/* ---- all of them */

static void add(struct qualify *q, enum kind kind, const char *mode, const char *factor)
{
	static const char *const kinds[] = { "clocks", "devices", "changes", "costs" };
	struct row *r = &q->row[q->n++];

	r->kind = kind;
	r->mode = mode;
	r->factor = factor;
	snprintf(r->name, sizeof(r->name), "%s%s%s %s", mode ? mode : "unattached", mode && kind != CHANGES ? " " : "",
		 mode && kind != CHANGES ? factor : "", kinds[kind]);
}

static int list_cases(struct qualify *q, struct tw_err *e)
{
	static const char *const modes[] = { "scaled", "trapped", "offset" };
	const char *only = q->args->tsc && strcmp(q->args->tsc, "auto") ? q->args->tsc : NULL;
	size_t i;

	if (only && !strcmp(only, "scaled") && !q->host.scales) {
		tw_fail(e, TW_UNSUPPORTED, "cannot try TSC mode scaled");
		tw_fact(e, "this CPU, or KVM on it, does not scale its guests' TSC");
		return tw_cure(e, "leave out --tsc: the other modes are tried");
	}

	add(q, CLOCKS, NULL, NULL);
	add(q, DEVICES, NULL, NULL);
	add(q, COSTS, NULL, NULL);
	for (i = !q->host.scales; i < 3; i++) {
		if (only && strcmp(only, modes[i]))
			continue;
		add(q, CLOCKS, modes[i], "50");
		add(q, CLOCKS, modes[i], "0.02");
		add(q, DEVICES, modes[i], "50");
		add(q, CHANGES, modes[i], "50");
		add(q, COSTS, modes[i], "50");
	}
	return TW_OK;
}

static int interrupted(const struct qualify *q, struct tw_err *e)
{
	tw_qualify_say(q, "interrupted: not all cases have run\n");
	tw_fail(e, TW_FAILED, "cannot qualify this host");
	tw_fact(e, "it was interrupted");
	return tw_cure(e, "nothing of it is left; run it again");
}

static int run_all(struct qualify *q, struct tw_err *e)
{
	size_t i;

	for (i = 0; i < q->n; i++) {
		run_case(q, &q->row[i]);
		if (tw_stop)
			return interrupted(q, e);
		tw_qualify_show_row(q, &q->row[i]);
		q->bad += !q->row[i].holds;
	}
	if (q->bad)
		tw_qualify_say(q, "\n%zu of %zu cases do not hold on this host\n", q->bad, q->n);
	else
		tw_qualify_say(q, "\nall %zu cases hold on this host\n", q->n);
	if (q->args->json)
		tw_qualify_write(q);
	return q->bad ? TW_THRESHOLD : TW_OK;
}

static int begin(struct qualify *q, struct tw_err *e)
{
	unsigned int mode;

	if (tw_args_tsc(q->args, &mode, e))
		return e->status;
	if (tw_host_require(TW_NEED_HOOK | TW_NEED_STATE, e))
		return tw_what(e, "cannot qualify this host");
	q->vmm = tw_bare_find(e);
	look_at_host(&q->host);
	if (!q->vmm || list_cases(q, e))
		return e->status;
	return q->args->report ? tw_stream_open(q->args->report, &q->report, e) : TW_OK;
}

static int run(const struct tw_args *args, struct tw_err *e)
{
	struct qualify q = { .args = args };
	int status = begin(&q, e);
	size_t i;

	/* whoever started this may have left it otherwise: a child is known by its PID until it is waited for */
	signal(SIGCHLD, SIG_DFL);
	tw_catch_stop();
	if (!status) {
		tw_qualify_show_host(&q);
		status = run_all(&q, e);
	}
	for (i = 0; i < q.n; i++)
		tw_words_free(&q.row[i].got.failed);
	if (q.report && (ferror(q.report) | fclose(q.report)) && !status) {
		status = tw_fail(e, TW_FAILED, "cannot write the report %s", TW_QUOTE(args->report));
		tw_fact(e, "the file system does not take it");
	}
	free(q.vmm);
	return status;
}

static const struct tw_option options[] = {
	TW_OPTION("report", 0, TW_TEXT, report, "FILE", "write it to a file too, to be sent in", "@file"),
	TW_OPTION("tsc", 0, TW_TEXT, tsc, "MODE", "only this mode: scaled, trapped or offset; auto: all",
		  "auto scaled trapped offset"),
	TW_OPTION("quick", 0, TW_FLAG, quick, NULL, "a fraction of the time: see whether it works at all", NULL),
	{ 0 },
};

const struct tw_verb tw_verb_qualify = {
	.name = "qualify",
	.synopsis = "[--report FILE] [--tsc MODE] [--quick]",
	.summary = "test in two minutes whether time holds on this host's CPU",
	.more = "Runs small VMs of its own, one after the other, whose guests hold their clocks\n"
		"and timers against the timeline: unattached, then in each TSC mode that the CPU\n"
		"has, at 50 and at 0.02, with PIT, Hyper-V's and Xen's timers, and while policies\n"
		"come, change and go. Then what reading a clock costs. Other VMs are left alone;\n"
		"where some run, what is late and what costs are worth less.\n"
		"\n"
		"A row each: does it hold, and the worst figure; below it, what does not hold. A\n"
		"row that begins with 'unattached' is KVM alone, without a policy. The report\n"
		"names CPU, microcode, kernel and versions, nothing of the host's VMs, names\n"
		"or users: send it in, whether all holds or not.\n"
		"\n"
		"A case that takes more than a minute is killed, and does not hold. Ctrl-C ends\n"
		"it, with status 1, and nothing is left.\n"
		"\n"
		"Status 0 if all cases hold, 10 if one does not; 3 if the kernel or CPU lacks\n"
		"something, 1 without privilege or if the VMM that it runs is not installed.\n",
	.options = options,
	.run = run,
};
