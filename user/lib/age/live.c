// SPDX-License-Identifier: GPL-2.0
#include "age/live.h"

#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "age/drive.h"
#include "age/format.h"
#include "age/record.h"
#include "age/recording.h"
#include "age/source.h"
#include "host.h"
#include "print.h"
#include "proc.h"
#include "qemu/date.h"
#include "state.h"

#define LOOK_MS 10
#define STILL_S 60.0		/* host seconds without guest time passing: something is wrong */

struct life {
	const struct tw_live_age *l;
	struct tw_recorder rec;
	struct tw_sources sources;
	struct tw_drive drive;
	double ahead;			/* the guest's date less its timeline, in seconds */
	double start, end;		/* guest dates */
	double now, moved;		/* guest date; host seconds when it was last seen to pass */
	double began;			/* host seconds */
	char reason[256];		/* why it ended */
	bool broke;			/* and that is a failure of the guest's */
	int status;			/* or of what was asked for: the span was not lived */
};

static double host_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void ends(struct life *f, const char *reason)
{
	snprintf(f->reason, sizeof(f->reason), "%.255s", reason);
}

static void breaks(struct life *f)
{
	ends(f, "the guest ended");
	f->broke = true;
}

/* Nobody wanted it to end, and nothing is known against the guest */
static void fails(struct life *f, int status, const char *reason)
{
	ends(f, reason);
	f->status = status;
}

/* False when the VM has gone: its files, or its process under that PID */
static bool read_state(struct life *f, struct tw_state *st)
{
	struct tw_err none = { 0 };
	struct tw_proc p;
	bool ok = tw_proc_read(f->l->vm->pid, &p) && p.start == f->l->vm->start &&
		  !tw_state_read(f->l->vm->dir, st, &none);

	tw_err_free(&none);
	return ok;
}

/* What the guest's date has beyond its timeline: by its agent, else as all verbs take it */
static bool find_date(struct life *f)
{
	struct tw_state before, after;
	double t;

	if (!read_state(f, &before))
		return false;
	t = tw_sources_time(&f->sources);
	if (!read_state(f, &after))
		return false;
	if (t > 0)
		f->ahead = t - (before.guest_ns + after.guest_ns) / 2e9;
	else
		f->ahead = (tw_host_epoch_ns() + tw_dates_ahead_ns(f->l->vm)) / 1e9;
	f->now = after.guest_ns / 1e9 + f->ahead;
	return true;
}

static void tell_progress(const struct life *f)
{
	double took = host_now() - f->began, lived = f->now - f->start;
	double rate = took > 0 ? lived / took : 0;

	if (!isatty(2))
		return;
	tw_fprintf(stderr, "\r%s  %s guest seconds a host second  %s left\033[K", TW_MINUTE_OF(f->now),
		   TW_AMOUNT(rate, ""), rate > 0 ? TW_PERIOD((f->end - f->now) / rate) : "?");
	fflush(stderr);
}

/* As system(3), which ignores Ctrl-C meanwhile; whoever stops us ends the command as well */
static int run_shell(struct life *f)
{
	pid_t pid = fork();
	int status = -1;

	if (!pid) {
		execl("/bin/sh", "sh", "-c", f->l->workload, NULL);
		_exit(127);
	}
	while (pid > 0 && !waitpid(pid, &status, WNOHANG)) {
		if (*f->l->stop)
			kill(pid, SIGTERM);
		poll(NULL, 0, LOOK_MS);
	}
	return status;
}

static void run_workload(struct life *f)
{
	char date[32], text[64];
	int status;

	if (!f->l->workload)
		return;
	snprintf(date, sizeof(date), "%.0f", f->now);
	setenv("TWCTL_GUEST_TIME", date, 1);
	status = run_shell(f);
	if (!status || *f->l->stop)
		return;
	if (WIFEXITED(status))
		snprintf(text, sizeof(text), "ended with status %d", WEXITSTATUS(status));
	else
		snprintf(text, sizeof(text), "did not end by itself");
	tw_record_event(&f->rec, f->now, "failure", "workload", text);
}

static void take_sample(struct life *f)
{
	run_workload(f);
	if (!find_date(f))
		return;
	tw_sources_sample(&f->sources, f->now, &f->rec);
	tw_record_sample(&f->rec, f->now, host_now() - f->began);
	tell_progress(f);
}

/* Until the guest's date is @next; false when it is over before that, with the reason */
static bool wait_for(struct life *f, double next)
{
	struct tw_state st;
	char why[224];
	int status;
	double t;

	for (;; poll(NULL, 0, LOOK_MS)) {
		if (*f->l->stop)
			return ends(f, "interrupted"), false;
		if (!read_state(f, &st))
			return breaks(f), false;
		status = tw_drive_ended(&f->drive, &st, why, sizeof(why));
		if (status)
			return fails(f, status, why), false;
		t = st.guest_ns / 1e9 + f->ahead;
		if (t > f->now)
			f->moved = host_now();
		f->now = t;
		if (t >= next)
			return true;
		if (host_now() - f->moved > STILL_S)
			return fails(f, TW_FAILED, "guest time stood still for a minute of the host's"), false;
	}
}

/* It does not go on to the next sample, for the reason @e or one that is behind it */
static void stops(struct life *f, const struct tw_err *e)
{
	struct tw_state st;
	char why[224];
	int status;

	if (!read_state(f, &st))
		return breaks(f);
	status = tw_drive_ended(&f->drive, &st, why, sizeof(why));
	fails(f, status ? status : e->status, status ? why : e->fact);
}

static void live(struct life *f)
{
	double next = f->now + f->l->every;
	struct tw_err e = { 0 };

	f->moved = host_now();
	while (!*f->reason) {
		if (next > f->end)
			next = f->end;
		if (!wait_for(f, next))
			break;
		take_sample(f);
		if (f->rec.failed)
			ends(f, "the recording cannot be written");
		else if (f->now >= f->end - 1)
			ends(f, "span");
		while (next <= f->now)
			next += f->l->every;
		if (!*f->reason && tw_drive_on(&f->drive, fmin(next, f->end) - f->now, &e))
			stops(f, &e);
	}
	tw_err_free(&e);
}

/* With --resume the span began where the recording did */
static int find_end(struct life *f, struct tw_err *e)
{
	struct tw_recording r;
	int status;

	f->start = f->now;
	if (f->l->resume) {
		status = tw_recording_read(f->l->path, &r, e);
		if (!status && r.start > 0)
			f->start = r.start;
		tw_recording_free(&r);
		if (status)
			return status;
	}
	f->end = f->l->span > 0 ? f->start + f->l->span : f->l->until;
	if (f->end > f->now + 1)
		return TW_OK;
	tw_fail(e, TW_REFUSED, "cannot age %s", f->l->vm->id);
	tw_fact(e, "the guest is at %s, and that is not before %s", TW_MINUTE_OF(f->now), TW_MINUTE_OF(f->end));
	return tw_cure(e, "give a later date, or a longer span");
}

static int begin(struct life *f, struct tw_err *e)
{
	int status = tw_recorder_open(f->l->path, f->l->resume, &f->rec, e);
	char *policy;

	if (status)
		return status;
	policy = tw_drive_title(f->l->vm, f->l->policy, f->l->params);
	if (!f->l->resume)
		tw_record_run(&f->rec, tw_vm_title(f->l->vm), policy, f->l->every);
	free(policy);
	tw_sources_open(&f->sources, f->l->vm, &f->rec);
	if (!find_date(f)) {
		tw_fail(e, TW_NO_VM, "cannot age %s", f->l->vm->id);
		tw_fact(e, "its state cannot be read");
		return tw_cure(e, "see twctl list, twctl probe");
	}
	status = find_end(f, e);
	if (status)
		return status;
	f->began = host_now();
	/* the first at the host's rate, when an agent has time to answer */
	take_sample(f);
	return tw_drive_start(&f->drive, f->l->vm, f->l->policy, f->l->params,
			      fmin(f->l->every, f->end - f->now), e);
}

/* The recording says why, and so does whoever waits for more than that */
static int ended_early(const struct life *f, struct tw_err *e)
{
	tw_fail(e, f->status, "cannot age %s to the end", f->l->vm->id);
	tw_fact(e, "at %s of the guest's, %s", TW_MINUTE_OF(f->now), f->reason);
	return tw_cure(e, "judge what there is by its report; --resume goes on");
}

int tw_live_run(struct tw_live_age *l, struct tw_err *e)
{
	struct life f = { .l = l, .drive = { .said = -1 }, .sources = { .monitor.fd = -1, .agent.fd = -1 } };
	int status = begin(&f, e), closed;
	bool made = f.rec.f && !l->resume;

	if (!status) {
		l->lived = true;
		live(&f);
		if (f.broke)
			tw_record_event(&f.rec, f.now, "failure", "guest", f.reason);
		tw_record_end(&f.rec, f.now, f.reason);
		if (isatty(2))
			tw_fprintf(stderr, "\r\033[K");
	}
	tw_drive_end(&f.drive);
	tw_sources_close(&f.sources);
	closed = tw_recorder_close(&f.rec, l->path, e);
	/* a recording of nothing would only be in the way of the next try */
	if (status && made)
		unlink(l->path);
	if (!status && !closed && f.status)
		return ended_early(&f, e);
	return status ? status : closed;
}
