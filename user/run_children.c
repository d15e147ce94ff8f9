// SPDX-License-Identifier: GPL-2.0
/* The processes of twctl run's own: attach and age themselves, each as it is by itself. */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static int go(struct tw_going *g, struct tw_err *e)
{
	return tw_launch_cont(&((struct tw_run *)g)->qemu, e);
}

static void gone(struct tw_going *g)
{
	struct tw_run *r = (struct tw_run *)g;

	tw_talk_close(&r->qemu.talk);
	if (write(r->say_ready, "", 1) == 1)
		close(r->say_ready);
}

/* Nothing is lost: it has not run, or for a moment */
static void lost(struct tw_going *g)
{
	tw_launch_kill(&((struct tw_run *)g)->qemu);
}

/* In a child: Ctrl-C is not for it, as we say what happens then. What it says is for the terminal still. */
static void be_verb(const char *name, struct tw_args *args, pid_t vm)
{
	struct tw_err e = { 0 };
	char pid[24];
	sigset_t none;
	int status;

	setpgid(0, 0);
	signal(SIGTTOU, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	snprintf(pid, sizeof(pid), "%d", vm);
	args->vm = pid;
	args->operands = (struct tw_strings){ 0 };
	status = tw_find_verb(name)->run(args, &e);
	if (status && *e.what)
		tw_err_print(&e, args->json);
	fflush(stdout);
	_exit(status);
}

static int no_child(struct tw_err *e, const char *call)
{
	tw_fail(e, TW_FAILED, "cannot run a guest");
	return tw_fact(e, "%s: %s", call, strerror(errno));
}

static void be_attacher(struct tw_run *r)
{
	struct tw_args args = *r->args;

	close(r->ready);
	args.going = &r->going;
	if (!args.factor && !args.policy)
		args.factor = "1";
	r->going = (struct tw_going){ go, gone, lost };
	be_verb("attach", &args, r->qemu.pid);
}

int tw_run_attach(struct tw_run *r, struct tw_err *e)
{
	int ends[2];

	fflush(stdout);
	if (pipe2(ends, O_CLOEXEC))
		return no_child(e, "pipe");
	r->ready = ends[0];
	r->say_ready = ends[1];
	r->attacher = fork();
	if (!r->attacher)
		be_attacher(r);
	close(r->say_ready);
	if (r->attacher > 0)
		return TW_OK;
	r->attacher = 0;
	return no_child(e, "fork");
}

bool tw_run_ages_as_it_is(const struct tw_args *args)
{
	return args->factor || args->policy;
}

static void be_ager(const struct tw_run *r, pid_t parent)
{
	struct tw_args args = *r->args;

	/* Whoever kills us leaves a report of what there is */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(TW_FAILED);
	args.span = args.age;
	/* It takes what is attached, or else its own */
	args.factor = args.policy = NULL;
	args.params = (struct tw_strings){ 0 };
	be_verb("age", &args, r->qemu.pid);
}

int tw_run_age(struct tw_run *r, struct tw_err *e)
{
	pid_t parent = getpid();

	fflush(stdout);
	r->ager = fork();
	if (!r->ager)
		be_ager(r, parent);
	r->aged = r->ager > 0;
	if (r->aged)
		return TW_OK;
	r->ager = 0;
	return no_child(e, "fork");
}
