// SPDX-License-Identifier: GPL-2.0
/*
 * twctl run: a VM under a policy from its first instruction.
 *
 * QEMU is a child of ours, and so is who attaches: attach itself, in a process of its own, which stays
 * until the VM has gone; and with --age, age. We wait for all of them, and for Ctrl-C.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "parse.h"
#include "readiness.h"
#include "run.h"
#include "when.h"

#define GRACE_NS 60000000000ULL
#define QUIT_NS 10000000000ULL
#define AGAIN_NS 1000000000ULL
#define CHILDREN_END_NS 30000000000ULL
/* As KVM's hook lets a guest that has not run yet leap, less what it takes to get there */
#define MAX_AHEAD_NS (36524ULL * 86400 * 1000000000)
#define MEMORY_MIB 2048
#define CPUS 2

/* ---- the command line */

static int usage(struct tw_err *e, const char *fact, const char *cure)
{
	tw_fail(e, TW_USAGE, "cannot run a guest");
	tw_fact(e, "%s", fact);
	return tw_cure(e, "%s", cure);
}

static int bad_value(struct tw_err *e, const char *option, const char *value, const char *cure)
{
	tw_fail(e, TW_USAGE, "cannot run a guest");
	tw_fact(e, "%s %s is not what it takes", option, TW_QUOTE(value));
	return tw_cure(e, "%s", cure);
}

static bool number_within(const char *text, uint64_t least, uint64_t most, uint64_t *n)
{
	const char *why;

	return !tw_parse_u64(text, n, &why) && *n >= least && *n <= most;
}

/* As QEMU has it: a bare number is MiB */
static bool read_memory(const char *text, uint64_t *mib)
{
	size_t len = strlen(text);
	char *number = tw_strdup(text);
	bool giga = len && (text[len - 1] == 'G' || text[len - 1] == 'g');
	bool good;

	if (giga || (len && (text[len - 1] == 'M' || text[len - 1] == 'm')))
		number[len - 1] = 0;
	good = number_within(number, 1, giga ? 16 << 10 : 16 << 20, mib);
	*mib *= giga ? 1024 : 1;
	free(number);
	return good;
}

static int read_image(const struct tw_args *args, struct tw_image *i, struct tw_err *e)
{
	*i = (struct tw_image){ .path = args->image, .memory_mib = MEMORY_MIB, .cpus = CPUS,
				.snapshot = args->snapshot, .silent = args->json };
	if (args->memory && !read_memory(args->memory, &i->memory_mib))
		return bad_value(e, "--memory", args->memory, "write 2G, or a number of MiB");
	if (args->smp && !number_within(args->smp, 1, 1024, &i->cpus))
		return bad_value(e, "--smp", args->smp, "write a number of vCPUs from 1 to 1024");
	if (args->ssh && !number_within(args->ssh, 1, 65535, &i->ssh))
		return bad_value(e, "--ssh", args->ssh, "write a port of this host from 1 to 65535");
	return TW_OK;
}

/* What no guest is needed for to see that it is wrong */
static int check(const struct tw_args *args, uint64_t *grace, struct tw_err *e)
{
	struct timespec now;
	const char *why;
	uint64_t ns;

	if (!tw_args_factor_max(args) && tw_args_check_factor(args, e))
		return e->status;
	if (!args->image && !args->operands.n)
		return usage(e, "it is not said what to run",
			     "add -- qemu-system-x86_64 and its options, or --image FILE");
	if (!args->image && (args->memory || args->smp || args->ssh || args->snapshot))
		return usage(e, "--memory, --smp, --ssh and --snapshot are of --image",
			     "add --image FILE, or say it in QEMU's own options");
	if (args->image && args->operands.n && *args->operands.v[0] != '-')
		return usage(e, "with --image what follows is for QEMU, and begins with an option",
			     "leave out --image, or QEMU's name");
	if (!args->age && (args->report || args->every || args->workload || args->baseline))
		return usage(e, "--report, --every, --workload and --baseline are of --age",
			     "add --age SPAN, or leave them out");
	if (args->age && tw_age_check(args, e))
		return e->status;
	if (args->age && !tw_run_ages_as_it_is(args) && (args->tsc || args->vmm))
		return usage(e, "--age attaches a policy of its own, which --tsc and --vmm are not for",
			     "add --factor or --policy, or leave them out");
	*grace = GRACE_NS;
	if (args->grace && tw_args_duration("run a guest", "--grace", args->grace, grace, e))
		return e->status;
	if (!args->date)
		return TW_OK;
	if (tw_parse_date(args->date, &ns, &why)) {
		tw_fail(e, TW_USAGE, "cannot begin at %s", TW_QUOTE(args->date));
		tw_fact(e, "it is %s", why);
		return tw_cure(e, "write a date: 2038-01-18, 2038-01-18T23:50:00Z");
	}
	clock_gettime(CLOCK_REALTIME, &now);
	if (ns <= now.tv_sec * 1000000000ULL + now.tv_nsec) {
		tw_fail(e, TW_REFUSED, "cannot begin at %s", TW_QUOTE(args->date));
		tw_fact(e, "that date has passed, and a guest's clocks begin at the host's or later");
		return tw_cure(e, "give a later date");
	}
	if (ns - now.tv_sec * 1000000000ULL > MAX_AHEAD_NS) {
		tw_fail(e, TW_REFUSED, "cannot begin at %s", TW_QUOTE(args->date));
		tw_fact(e, "that is more than a hundred years ahead");
		return tw_cure(e, "give an earlier date");
	}
	return TW_OK;
}

/* QEMU is not to guess: a guest could write another format's first bytes into a raw image */
static int find_format(struct tw_image *i, struct tw_err *e)
{
	char magic[4] = { 0 };
	int fd = open(i->path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, magic, sizeof(magic));
	int code = errno;

	if (fd >= 0)
		close(fd);
	if (n < 0) {
		tw_fail(e, TW_FAILED, "cannot read the image %s", TW_QUOTE(i->path));
		e->code = code;
		tw_fact(e, "%s", strerror(code));
		return tw_cure(e, "name a disk image that can be read");
	}
	i->format = memcmp(magic, "QFI\xfb", 4) ? "raw" : "qcow2";
	return TW_OK;
}

static int compose(struct tw_run *r, struct tw_image *i, struct tw_err *e)
{
	const struct tw_args *args = r->args;
	char *name = NULL;
	size_t k;

	if (args->image) {
		if (find_format(i, e) || tw_folder_make(&r->owner, &r->folder, e))
			return e->status;
		name = args->vm_name ? tw_strdup(args->vm_name) : tw_command_name(args->image);
		i->name = name;
		i->folder = r->folder;
		tw_command_image(i, &r->command);
		free(name);
	}
	for (k = 0; k < args->operands.n; k++)
		tw_words_add(&r->command, "%s", args->operands.v[k]);
	return TW_OK;
}

static int complete(struct tw_run *r, struct tw_err *e)
{
	struct tw_command_start s = {
		.name = r->args->image ? NULL : r->args->vm_name,
		.date = r->args->date,
		.monitor = r->qemu.monitor[1],
	};
	const char *why;

	if (s.date)
		tw_parse_date(r->args->date, &s.date_ns, &why);
	return tw_command_start(&s, &r->command, e);
}

static void show_command(const struct tw_run *r)
{
	struct tw_json j = { .f = stdout };
	char *text;
	size_t i;

	if (r->args->json) {
		tw_json_open(&j, NULL, '{');
		tw_json_str(&j, "event", "starts");
		tw_json_open(&j, "command", '[');
		for (i = 0; i < r->command.n; i++)
			tw_json_str(&j, NULL, r->command.v[i]);
		tw_json_close(&j, ']');
		tw_json_close(&j, '}');
		tw_json_end(&j);
	} else if (r->args->image) {
		text = tw_words_shell(&r->command);
		tw_printf("%s\n", text);
		free(text);
	}
	fflush(stdout);
}

/* ---- what happens meanwhile */

static void tell(const struct tw_run *r, const char *text)
{
	if (!r->args->json)
		tw_fprintf(stderr, "twctl: %s\n", text);
}

static void quit(struct tw_run *r)
{
	/* who attaches may be talking with the monitor */
	if (r->phase == STARTING)
		kill(r->qemu.pid, SIGTERM);
	else
		tw_launch_quit(&r->qemu);
	r->phase = QUITS;
	r->deadline = tw_now_ns() + QUIT_NS;
}

/* It ends its report first, once */
static bool stop_ager(struct tw_run *r)
{
	if (!r->ager || r->age_stops)
		return false;
	r->age_stops = true;
	return !kill(r->ager, SIGINT);
}

static void stop(struct tw_run *r)
{
	switch (r->phase) {
	case LIVES:
		if (stop_ager(r))
			break;
		tell(r, "shutting the guest down; Ctrl-C again ends it at once");
		tw_launch_powerdown(&r->qemu);
		r->phase = SHUTS_DOWN;
		r->deadline = tw_now_ns() + r->grace;
		break;
	case QUITS:
		kill(r->qemu.pid, SIGKILL);
		r->deadline = tw_now_ns() + AGAIN_NS;
		break;
	default:
		quit(r);
	}
}

static void run_late(struct tw_run *r)
{
	if (r->phase == SHUTS_DOWN)
		tell(r, "the guest has not shut down in time; QEMU ends now");
	stop(r);
}

/* The guest lives: now, or when who attached it has ended, age begins */
static void begin_to_age(struct tw_run *r)
{
	struct tw_err e = { 0 };

	if (!r->args->age || r->aged || r->phase != LIVES || !r->qemu.pid)
		return;
	if (r->attacher && !tw_run_ages_as_it_is(r->args)) {
		kill(r->attacher, SIGINT);
	} else if (tw_run_age(r, &e)) {
		tw_err_print(&e, r->args->json);
		r->aged = true;
		r->age_status = e.status;
		stop(r);
	}
	tw_err_free(&e);
}

static void take_ready(struct tw_run *r)
{
	char byte;

	if (read(r->ready, &byte, 1) == 1) {
		r->lived = true;
		if (r->phase == STARTING)
			r->phase = LIVES;
	}
	close(r->ready);
	r->ready = -1;
	begin_to_age(r);
}

static int status_of(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void reap(struct tw_run *r)
{
	int status;

	if (r->qemu.pid && waitpid(r->qemu.pid, &status, WNOHANG) == r->qemu.pid) {
		r->qemu.pid = 0;
		r->qemu_status = status_of(status);
	}
	/* that the guest lives was said before who said it ended */
	if (r->ready >= 0 && poll(&(struct pollfd) { .fd = r->ready, .events = POLLIN }, 1, 0) > 0)
		take_ready(r);
	if (r->attacher && waitpid(r->attacher, &status, WNOHANG) == r->attacher) {
		r->attacher = 0;
		r->attach_status = status_of(status);
		/* a guest that was never attached does not run */
		if (r->phase == STARTING && r->qemu.pid)
			quit(r);
		if (r->qemu.pid)
			begin_to_age(r);
	}
	if (r->ager && waitpid(r->ager, &status, WNOHANG) == r->ager) {
		r->ager = 0;
		r->age_status = status_of(status);
		if (r->phase == LIVES && r->qemu.pid)
			stop(r);
	}
}

static void take_signals(struct tw_run *r, int signals)
{
	struct signalfd_siginfo info;

	while (read(signals, &info, sizeof(info)) == sizeof(info)) {
		/* a hang-up comes along with others, and is no second wish */
		if (info.ssi_signo == SIGHUP && r->phase >= SHUTS_DOWN)
			continue;
		if (info.ssi_signo != SIGCHLD && r->qemu.pid && tw_signal_counts(info.ssi_signo, info.ssi_code))
			stop(r);
	}
}

static int wait_ms(const struct tw_run *r)
{
	uint64_t now = tw_now_ns();

	if (!r->deadline)
		return -1;
	return r->deadline > now ? (r->deadline - now) / 1000000 + 1 : 0;
}

/* Until QEMU has ended */
static void wait_for(struct tw_run *r, int signals)
{
	while (r->qemu.pid) {
		/* while it starts, who attaches reads what the monitor says */
		struct pollfd p[] = {
			{ .fd = signals, .events = POLLIN },
			{ .fd = r->ready, .events = POLLIN },
			{ .fd = r->phase == STARTING ? -1 : r->qemu.talk.fd, .events = POLLIN },
		};

		if (!poll(p, 3, wait_ms(r)))
			run_late(r);
		if (p[2].revents)
			tw_launch_drain(&r->qemu);
		if (p[0].revents)
			take_signals(r, signals);
		reap(r);
	}
}

/* The VM has gone, so they end by themselves */
static void wait_for_children(struct tw_run *r)
{
	uint64_t end = tw_now_ns() + CHILDREN_END_NS;
	int sig = SIGTERM;

	/* or else it is killed: its keeper does what is left to do */
	/* age is not: it may wait for a workload, and has a report to write */
	while (r->attacher || r->ager) {
		if (tw_now_ns() > end) {
			if (r->attacher)
				kill(r->attacher, sig);
			else if (sig == SIGTERM)
				kill(r->ager, sig);
			sig = SIGKILL;
			end = tw_now_ns() + AGAIN_NS;
		}
		usleep(10000);
		reap(r);
	}
}

/* The terminal as it was: QEMU may not have come to put it back. One that is another's by now is left alone. */
struct terminal {
	struct termios modes;
	int flags;
	bool typed;
};

static void read_terminal(struct terminal *t)
{
	t->typed = !tcgetattr(0, &t->modes);
	t->flags = fcntl(0, F_GETFL);
}

static void restore_terminal(const struct terminal *t)
{
	if (!t->typed || tcgetpgrp(0) != getpgrp())
		return;
	tcsetattr(0, TCSANOW, &t->modes);
	fcntl(0, F_SETFL, t->flags);
}

static void report(const struct tw_run *r)
{
	struct tw_json j = { .f = stdout };

	if (!r->args->json)
		return;
	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "event", "qemu_ended");
	tw_json_int(&j, "status", r->qemu_status);
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

static int run_guest(struct tw_run *r, struct tw_err *e)
{
	struct terminal terminal;
	int signals = tw_signal_fd("run a guest", SIGCHLD, SFD_NONBLOCK, e);

	if (signals < 0)
		return e->status;
	read_terminal(&terminal);
	if (tw_launch_start(&r->qemu, &r->command, &r->owner, e) || tw_run_attach(r, e)) {
		tw_launch_close(&r->qemu);
		restore_terminal(&terminal);
		close(signals);
		return e->status;
	}
	wait_for(r, signals);
	restore_terminal(&terminal);
	wait_for_children(r);
	close(signals);
	report(r);
	/* it was never let go, and why was said */
	if (!r->lived && r->attach_status)
		return r->attach_status;
	if (r->aged)
		return r->age_status;
	return r->qemu_status ? r->qemu_status : r->attach_status;
}

static int run(const struct tw_args *args, struct tw_err *e)
{
	struct tw_run r = { .args = args, .qemu.pidfd = -1, .qemu.monitor = { -1, -1 }, .qemu.talk.fd = -1, .ready = -1 };
	struct tw_image image;
	int status;

	/* whoever started this may have left it otherwise: a child is known by its PID until it is waited for */
	signal(SIGCHLD, SIG_DFL);
	if (check(args, &r.grace, e) || read_image(args, &image, e))
		return e->status;
	status = tw_host_require(TW_NEED_HOOK | TW_NEED_STATE, e);
	if (status)
		return tw_what(e, "cannot run a guest");
	tw_owner_find(&r.owner);
	status = tw_launch_prepare(&r.qemu, e);
	if (!status)
		status = compose(&r, &image, e);
	if (!status)
		status = complete(&r, e);
	if (!status) {
		show_command(&r);
		status = run_guest(&r, e);
	}
	tw_launch_close(&r.qemu);
	tw_folder_remove(r.folder);
	free(r.folder);
	tw_words_free(&r.command);
	return status;
}

static const struct tw_option options[] = {
	TW_OPTION_FACTOR,
	TW_OPTION_POLICY,
	TW_OPTION_PARAM,
	TW_OPTION_CHAOS,
	TW_OPTION("tsc", 0, TW_TEXT, tsc, "MODE", "auto, scaled, trapped or offset",
		  "auto scaled trapped offset"),
	TW_OPTION("vmm", 0, TW_TEXT, vmm, "WISH", "clocks that QEMU keeps: auto, on or off",
		  "auto on off"),
	TW_OPTION("date", 0, TW_TEXT, date, "DATE", "the guest begins at it: 2038-01-18", NULL),
	TW_OPTION("vm-name", 0, TW_TEXT, vm_name, "NAME", "the guest's name", NULL),
	TW_OPTION("grace", 0, TW_TEXT, grace, "TIME",
		  "how long the guest may take to shut down (default 60s)", NULL),
	TW_OPTION("image", 0, TW_TEXT, image, "FILE", "compose QEMU's options for this disk", "@file"),
	TW_OPTION("memory", 0, TW_TEXT, memory, "SIZE", "of the image's guest (default 2G)", NULL),
	TW_OPTION("smp", 0, TW_TEXT, smp, "N", "its vCPUs (default 2)", NULL),
	TW_OPTION("ssh", 0, TW_TEXT, ssh, "PORT", "port of this host that leads to its ssh", NULL),
	TW_OPTION("age", 0, TW_TEXT, age, "SPAN", "then let it live that long, and report: 400d, 1y", NULL),
	TW_OPTION("report", 0, TW_TEXT, report, "DIR", "of --age: write the report there", "@file"),
	TW_OPTION("every", 0, TW_TEXT, every, "TIME", "of --age: guest time between samples (default 6h)", NULL),
	TW_OPTION("workload", 0, TW_TEXT, workload, "COMMAND",
		  "of --age: run it on the host before each sample", NULL),
	TW_OPTION("baseline", 0, TW_TEXT, baseline, "FILE",
		  "of --age: the report.json of another run", "@file"),
	TW_OPTION("snapshot", 0, TW_FLAG, snapshot, NULL, "leave the image as it is", NULL),
	{ 0 },
};

const struct tw_verb tw_verb_run = {
	.name = "run",
	.synopsis = "[--factor F | --policy POLICY [--param NAME=VALUE]...]\n"
		    "                 [--date DATE] [--vm-name NAME] [--grace TIME]\n"
		    "                 [--age SPAN --report DIR] [--]\n"
		    "                 qemu-system-x86_64 OPTION... |\n"
		    "                 --image FILE [--memory SIZE] [--smp N] [--ssh PORT]\n"
		    "                 [--snapshot] [-- QEMU-OPTION...]",
	.summary = "run a guest under a policy from its first instruction",
	.more = "Starts QEMU, holds the guest at its first instruction until the policy is there,\n"
		"waits, and ends with QEMU's status. The guest never sees another rate.\n"
		"\n"
		"    twctl run --factor 50 -- qemu-system-x86_64 -accel kvm -cpu host -m 1G ...\n"
		"    twctl run --date 2038-01-18 --policy skip-idle --image disk.qcow2 --ssh 2222\n"
		"\n"
		"--date: kvmclock, RTC and all else that tells the guest a date begin there, at\n"
		"most a hundred years ahead. The RTC then runs by the guest's time (QEMU's\n"
		"-rtc clock=vm).\n"
		"\n"
		"--image composes QEMU's options and prints them: q35, virtio, the serial console\n"
		"on this terminal (with -j nowhere), user network, balloon, a channel for the\n"
		"agent. What follows -- is added to them. The sockets of monitor and agent are in\n"
		"" TW_LAUNCH_ROOT "/PID, where twctl age finds them; the folder goes with the guest.\n"
		"\n"
		"--age: once the guest runs, twctl age lets it live that span, by its own policy\n"
		"(skip-idle) where --factor and --policy name none; then it is shut down.\n"
		"Ctrl-C ends the span first, with a report of what there is.\n"
		"\n"
		"    twctl run --date 2038-01-01 --image disk.qcow2 --age 1y --report report\n"
		"\n"
		"QEMU is run as the user who called sudo where that is one of group kvm.\n"
		"\n"
		"Ctrl-C and SIGTERM press the guest's power button; --grace later, or at a second\n"
		"one, QEMU quits. A guest whose policy ends earlier lives on at the host's rate.\n"
		"\n"
		"Status: QEMU's, 128 and the number if by a signal. If that is 0, attach's: 6 if\n"
		"the policy was ejected. With --age that of twctl age: 10 if something is at\n"
		"fault. If the guest was never let go: 1 to 6 as for attach; 5 for a date that\n"
		"has passed.\n",
	.options = options,
	.max_operands = SIZE_MAX,
	.command = true,
	.run = run,
};
