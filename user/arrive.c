// SPDX-License-Identifier: GPL-2.0
/* VMs that are to come: attach --wait waits for them. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "host.h"
#include "qemu/layout.h"
#include "twctl.h"

/*
 * KVM's directory in debugfs has one more entry for each VM, a moment before its process has the VM: only then it is
 * looked at all processes, so often for a while.  Where that cannot be watched, and as a last resort, now and then.
 */
#define SOON_MS 50
#define SOON_TRIES 40
#define SELDOM_MS 500
#define WATCHED_MS 10000

enum arrival { ARRIVED, NOT_THERE, NOT_STARTED, NO_WAIT };

/* @vm: a copy of its name, where there is one */
static enum arrival look(const char *name, char vm[TW_TARGET_NAME_MAX], struct tw_err *e)
{
	enum arrival there = ARRIVED;
	struct tw_target t = { 0 };

	tw_vms_scan(&t.vms);
	if (tw_vm_find(&t.vms, name, "attach to", &t.vm, e)) {
		/* several go by that: no waiting makes it one */
		there = e->status == TW_NO_VM && !e->detail ? NOT_THERE : NO_WAIT;
		if (there == NOT_THERE)
			tw_err_free(e);
	} else {
		tw_target_name(&t, vm, TW_TARGET_NAME_MAX);
		if (!t.vm->vcpus || tw_vmm_is_stopped(t.vm))
			there = NOT_STARTED;
	}
	tw_vms_free(&t.vms);
	return there;
}

static void tell(enum arrival there, const char *name, const char *vm)
{
	if (there == NOT_THERE)
		tw_fprintf(stderr, "twctl: waiting for a VM %s\n", TW_QUOTE(name));
	else
		tw_fprintf(stderr, "twctl: VM %s is there; waiting until QEMU lets it run\n", vm);
}

static int interrupted(const char *name, enum arrival there, struct tw_err *e)
{
	tw_fail(e, TW_FAILED, "cannot attach to %s", TW_QUOTE(name));
	tw_fact(e, "it was interrupted before %s", there == NOT_THERE ? "there was such a VM" : "QEMU had let it run");
	return tw_cure(e, "nothing was done; attach again");
}

/* Whether something new may be seen within @ms: false at a signal */
static bool pause_for(int signals, int watch, int ms, bool *news)
{
	struct pollfd p[] = { { .fd = signals, .events = POLLIN }, { .fd = watch, .events = POLLIN } };
	char events[4096];

	poll(p, 2, ms);
	*news = p[1].revents & POLLIN && read(watch, events, sizeof(events)) > 0;
	return !tw_signal_read(signals);
}

static int wait_for(const char *name, int signals, int watch, struct tw_err *e)
{
	enum arrival there, told = ARRIVED;
	char vm[TW_TARGET_NAME_MAX] = "";
	int soon = 0;
	bool news;

	for (;;) {
		there = look(name, vm, e);
		if (there == ARRIVED || there == NO_WAIT)
			return e->status;
		if (there != told) {
			tell(there, name, vm);
			soon = there == NOT_STARTED ? SOON_TRIES : 0;
		}
		told = there;
		if (!pause_for(signals, watch, soon > 0 ? SOON_MS : there == NOT_THERE && watch >= 0 ? WATCHED_MS : SELDOM_MS,
			       &news))
			return interrupted(name, there, e);
		soon = news ? SOON_TRIES : soon - 1;
	}
}

int tw_await_vms(const struct tw_args *args, struct tw_err *e)
{
	int signals, watch, status = TW_OK;
	size_t i;

	signals = tw_signal_fd("wait for a VM", SIGPIPE, 0, e);
	if (signals < 0)
		return e->status;
	watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (watch >= 0 && inotify_add_watch(watch, TW_KVM_DEBUGFS, IN_CREATE | IN_ONLYDIR) < 0) {
		close(watch);
		watch = -1;
	}
	for (i = 0; !status && i < args->vms.n; i++)
		status = wait_for(args->vms.v[i], signals, watch, e);
	if (watch >= 0)
		close(watch);
	close(signals);
	return status;
}
