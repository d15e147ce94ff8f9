// SPDX-License-Identifier: GPL-2.0
/*
 * The protocol between the processes that change a VM's time.
 *
 * There are QEMU; the kernel, which keeps a policy for as long as its link is open or pinned; whoever attaches; its
 * keeper, a child of it that outlives it; whoever sets, swaps, steps, detaches. Each of them may be killed between any
 * two instructions. Nobody is asked to clean up: what there is says how far a session has come, and who comes next
 * completes it.
 *
 *	NONE	  no probes, nothing pinned, no keeper
 *	PROBED	  QEMU's clocks are rewritten to what they are anyway. A keeper waits.
 *	ATTACHED  the policy as well
 *	STOPPED	  the policy has gone and the timeline stands still; the probes add what QEMU's clocks are ahead by
 *	FOLDED	  that is in QEMU's own words (qemu/fold.c says how), and the probes do nothing any more
 *
 * What a session is kept in: the probes' own map, which knows of PROBED to FOLDED; the VM's directory in bpffs, where
 * the probes are pinned and, with --pin, the policy (session/dir.h); the keeper's file beside the lock, which says who that
 * is and what is in its way.
 *
 * The lock (session/lock.h): one a VM. It is held from before the probes until the policy is attached and pinned; for
 * a change; from before the policy is detached until the session is NONE; and by the keeper for each try. So no two
 * ever write QEMU's words, make or remove what is pinned, or end a keeper. A verb that waits for it says for whom, and
 * gives up after a while. detach does not: it ends who holds it, as a killed process leaves nothing worse than any
 * other, and goes on without the lock if even that does not come (a holder that hangs in the kernel).
 *
 * Who puts QEMU's clocks back: whoever sees the policy go. The one that waits in the foreground; whoever detaches; the
 * keeper, when the former has ended and no policy is pinned, or the one that is has ended; whoever attaches next. Of those
 * one does it, as each looks with the lock held whether it is done. Who cannot (QEMU is traced by a debugger, a thread does not
 * come to a stop) says so and leaves it to the keeper, which tries until it can or QEMU has ended.
 *
 * What each death leaves, and who completes it:
 *	the one that attaches, before the policy is attached	PROBED: its keeper
 *	the same, before a policy is pinned, or in the foreground later	the kernel detaches; STOPPED: its keeper
 *	the keeper						the one in the foreground starts another. Pinned: who comes next
 *	both at once						the probes are pinned, and QEMU's clocks stay right; who
 *								attaches or detaches next
 *	who detaches, sets, swaps, steps			as it stands: the keeper, or who detaches again
 *	who folds						QEMU runs on; the fold is completed by any of these
 *	QEMU							nothing to fold. What is pinned: the keeper; without one,
 *								who attaches next to any VM, or detach --stale
 */
#include "session/session.h"

#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "host.h"
#include "journal.h"
#include "proc.h"
#include "session/dir.h"
#include "state.h"
#include "text.h"

#define PAUSE_NS 10000000LL
/* What a keeper says of itself while nothing is in its way */
#define WAITS "waits"
#define SECOND_NS 1000000000LL
/* So long a verb waits for a lock before it says so; before it gives up, or has its way */
#define TELL_NS (300 * 1000000LL)
#define PATIENCE_NS (10 * SECOND_NS)
/* The kernel may need some time to stop the timeline of a busy VM */
#define FINISH_NS (2 * SECOND_NS)

static long long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * SECOND_NS + ts.tv_nsec;
}

static void pause_ns(long long ns)
{
	struct timespec ts = { .tv_sec = ns / SECOND_NS, .tv_nsec = ns % SECOND_NS };

	nanosleep(&ts, NULL);
}

/* ---- the lock */

static int fail_lock(const struct tw_vm *vm, int err, struct tw_err *e)
{
	tw_fail(e, TW_FAILED, "cannot lock VM %s", vm->id);
	e->code = -err;
	tw_fact(e, "%s: %s", tw_run_dir, err == -EPERM ? "it is not root's alone" : strerror(-err));
	return tw_cure(e, geteuid() ? "run twctl as root" : "make it root's, mode 700; its file system has to take files");
}

static int fail_busy(const struct tw_vm *vm, const struct tw_holder *h, struct tw_err *e)
{
	tw_fail(e, TW_REFUSED, "cannot lock VM %s", vm->id);
	e->code = EBUSY;
	tw_fact(e, "twctl %s, process %d, holds it", *h->verb ? h->verb : "?", h->pid);
	return tw_cure(e, "wait for that, or end it: twctl detach --vm %s gets through", vm->id);
}

void tw_session_open(struct tw_session *s, const struct tw_vm *vm)
{
	memset(s, 0, sizeof(*s));
	s->vm = vm;
	s->lock.fd = -1;
	s->vmm.view_fd = -1;
}

int tw_session_lock(struct tw_session *s, const struct tw_wait *wait, struct tw_err *e)
{
	const struct tw_vm *vm = s->vm;
	long long begin = now_ns(), waited, patience = wait->patience_ns ? wait->patience_ns : PATIENCE_NS;
	struct tw_holder holder = { 0 };
	bool told = false, broken = false;
	int err;

	while ((err = tw_lock_try(&s->lock, vm->id, wait->verb, &holder)) == -EBUSY) {
		waited = now_ns() - begin;
		if (!told && waited > TELL_NS) {
			wait->tell(vm, &holder);
			told = true;
		}
		if (wait->stop && *wait->stop)
			break;
		if (waited > patience) {
			if (!wait->over || broken)
				break;
			tw_lock_break(&holder);
			broken = true;
			begin = now_ns() - patience + FINISH_NS;
		}
		pause_ns(PAUSE_NS);
	}
	if (!err || wait->over)
		return TW_OK;
	return err == -EBUSY ? fail_busy(vm, &holder, e) : fail_lock(vm, err, e);
}

void tw_session_unlock(struct tw_session *s)
{
	tw_lock_release(&s->lock);
}

/* ---- the keeper */

bool tw_session_keeper(const struct tw_vm *vm, struct tw_holder *keeper)
{
	char *path = tw_run_path(vm->id, "keeper");
	int fd = access(path, F_OK) ? -1 : tw_run_open(path), pidfd = -1;

	if (fd >= 0 && tw_run_read(fd, keeper))
		pidfd = tw_proc_open(keeper->pid, keeper->start);
	if (fd >= 0)
		close(fd);
	if (pidfd >= 0)
		close(pidfd);
	free(path);
	return pidfd >= 0;
}

static void note(const struct tw_vm *vm, const char *text)
{
	char *path = tw_run_path(vm->id, "keeper");
	int fd = tw_run_open(path);

	if (fd >= 0) {
		tw_run_write(fd, text);
		close(fd);
	}
	free(path);
}

static void remove_note(const struct tw_vm *vm)
{
	char *path = tw_run_path(vm->id, "keeper");

	unlink(path);
	free(path);
}

static bool is_stuck(const struct tw_vm *vm, char why[TW_WHY_MAX])
{
	struct tw_holder keeper;

	if (!tw_session_keeper(vm, &keeper) || !strcmp(keeper.verb, WAITS))
		return false;
	snprintf(why, TW_WHY_MAX, "process %d cannot put QEMU's clocks of VM %s back: %.80s", keeper.pid, vm->id,
		 keeper.verb);
	return true;
}

bool tw_session_stuck(const struct tw_vm *vm, char why[TW_WHY_MAX])
{
	DIR *dir = vm ? NULL : opendir(tw_run_dir);
	struct tw_vm any = { 0 };
	struct dirent *d;
	bool stuck = vm && is_stuck(vm, why);

	while (dir && !stuck && (d = readdir(dir))) {
		const char *dot = strstr(d->d_name, ".keeper");

		if (!dot)
			continue;
		snprintf(any.id, sizeof(any.id), "%.*s", (int)(dot - d->d_name), d->d_name);
		stuck = is_stuck(&any, why);
	}
	if (dir)
		closedir(dir);
	return stuck;
}

/* The keeper of whoever began the session: nothing is left for it */
static void end_keeper(struct tw_session *s)
{
	struct tw_holder other;

	tw_keeper_end(&s->keeper);
	if (tw_session_keeper(s->vm, &other) && other.pid != getpid())
		tw_lock_break(&other);
	remove_note(s->vm);
}

/* Until the one that attached has ended, and then for as long as a policy is pinned; no longer than QEMU lives */
static void watch(const struct tw_vm *vm, int parent)
{
	struct pollfd p = { .fd = parent, .events = POLLIN };
	int qemu = tw_proc_open(vm->pid, vm->start), policy;

	while (poll(&p, 1, -1) <= 0)
		;
	p.fd = qemu;
	while (qemu >= 0 && !tw_vm_is_gone(vm) && (policy = tw_pin_policy(vm)) >= 0) {
		/* not held meanwhile: whoever unlinks it by hand has it detached */
		close(policy);
		poll(&p, 1, 1000);
	}
}

static void keep(void *arg, int parent)
{
	struct tw_session *s = arg;
	long long begin, pause = PAUSE_NS;
	char why[TW_WHY_MAX] = "another process holds the lock";
	bool told = false;

	s->lock.fd = -1;	/* its parent's, and closed here */
	note(s->vm, WAITS);
	tw_keeper_is_up();
	watch(s->vm, parent);
	for (begin = now_ns(); ; pause_ns(pause)) {
		if (!tw_lock_try(&s->lock, s->vm->id, "keeper", NULL)) {
			if (tw_vmm_finish(s->vm, why)) {
				tw_pin_remove(s->vm);
				remove_note(s->vm);
				tw_lock_release(&s->lock);
				return;
			}
			tw_lock_release(&s->lock);
		}
		if (told || now_ns() - begin < FINISH_NS)
			continue;
		told = true;
		pause = SECOND_NS / 2;
		note(s->vm, why);
		tw_journal(LOG_WARNING, "QEMU's clocks of VM %s are not put back yet: %s", s->vm->id, why);
	}
}

bool tw_session_keep(struct tw_session *s)
{
	const struct bpf_link *link;
	int fds[TW_VMM_LINKS];
	const char *name;
	size_t i, n = 0;

	for (i = 0; i < TW_VMM_LINKS; i++) {
		link = tw_vmm_link(&s->vmm, i, &name);
		if (link)
			fds[n++] = bpf_link__fd(link);
	}
	tw_keeper_end(&s->keeper);
	return !tw_keeper_start(&s->keeper, fds, n, keep, s);
}

/* ---- beginning */

static bool is_attached(const struct tw_vm *vm)
{
	struct tw_err ignored = { 0 };
	struct tw_state st;
	bool attached = vm->dir && !tw_state_read(vm->dir, &st, &ignored) && st.attached;

	tw_err_free(&ignored);
	return attached;
}

static bool is_pinned(const struct tw_vm *vm)
{
	int fd = tw_pin_policy(vm);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool finish_for(struct tw_session *s, long long ns, char why[TW_WHY_MAX])
{
	long long end = now_ns() + ns;

	while (!tw_vmm_finish(s->vm, why)) {
		if (now_ns() > end)
			return false;
		pause_ns(PAUSE_NS);
	}
	return true;
}

int tw_session_clear(struct tw_session *s, struct tw_err *e)
{
	char why[TW_WHY_MAX];

	tw_pins_sweep(NULL, NULL, NULL);
	s->others = is_attached(s->vm) || is_pinned(s->vm);
	if (s->others || tw_session_finish(s, why))
		return TW_OK;
	tw_fail(e, TW_FAILED, "cannot attach to VM %s", s->vm->id);
	tw_fact(e, "QEMU's clocks are not put back yet after the last policy: %s", why);
	return tw_cure(e, "try again once that has ended");
}

bool tw_session_is_others(const struct tw_session *s)
{
	return s->others;
}

static int fail_begin(struct tw_session *s, const char *what, int err, struct tw_err *e)
{
	char why[TW_WHY_MAX];

	tw_fail(e, TW_FAILED, "cannot attach to VM %s", s->vm->id);
	e->code = -err;
	tw_fact(e, "%s: %s", what, strerror(-err));
	tw_cure(e, "make room for it, or leave QEMU's clocks on host time: --vmm off");
	tw_session_finish(s, why);
	return e->status;
}

static int pin_probes(struct tw_session *s)
{
	int err = tw_pin_make(s->vm), i;
	struct bpf_link *link;
	const char *name;

	for (i = 0; !err && i < TW_VMM_LINKS; i++) {
		link = tw_vmm_link(&s->vmm, i, &name);
		err = tw_pin_link(s->vm, link, name);
	}
	return err;
}

int tw_session_probe(struct tw_session *s, unsigned int nr, int view_fd, bool pin, struct tw_err *e)
{
	char why[TW_WHY_MAX];
	int err;

	if (tw_vmm_attach(&s->vmm, s->vm, &s->look, nr, view_fd, e)) {
		tw_session_finish(s, why);
		return e->status;
	}
	s->ours = true;
	err = pin_probes(s);
	/* without a BPF file system the keeper alone has to do */
	if (err && pin)
		return fail_begin(s, "the probes cannot be pinned", err, e);
	if (err)
		tw_pin_remove(s->vm);
	if (!tw_session_keep(s))
		return fail_begin(s, "there can be no process that puts QEMU's clocks back", -errno, e);
	s->on = true;
	return TW_OK;
}

int tw_session_plain(struct tw_session *s, struct tw_err *e)
{
	const char *what = "there can be no process that removes it once the VM has ended";
	int err = tw_session_keep(s) ? 0 : -errno;

	if (!err) {
		what = "its directory in " TW_BPFFS " cannot be made";
		err = tw_pin_make(s->vm);
	}
	s->ours = !err;
	if (!err)
		return TW_OK;
	end_keeper(s);
	tw_fail(e, TW_FAILED, "cannot pin the policy of VM %s", s->vm->id);
	e->code = -err;
	tw_fact(e, "%s: %s", what, strerror(-err));
	return tw_cure(e, "attach without --pin, or make room for it");
}

/* ---- ending */

bool tw_session_finish(struct tw_session *s, char why[TW_WHY_MAX])
{
	if (!finish_for(s, FINISH_NS, why))
		return false;
	end_keeper(s);
	tw_vmm_close(&s->vmm);
	tw_pin_remove(s->vm);
	s->on = s->ours = false;
	return true;
}

int tw_session_fail(struct tw_session *s, const char *why, struct tw_err *e)
{
	struct tw_holder keeper;

	tw_fail(e, TW_FAILED, "cannot put QEMU's clocks of VM %s back yet", s->vm->id);
	tw_fact(e, "%s", why);
	if (tw_session_keeper(s->vm, &keeper) ||
	    (tw_session_keep(s) && tw_session_keeper(s->vm, &keeper)))
		return tw_cure(e, "process %d goes on trying", keeper.pid);
	return tw_cure(e, "once that has ended: twctl detach --vm %s", s->vm->id);
}

void tw_session_close(struct tw_session *s)
{
	tw_keeper_leave(&s->keeper);
	tw_vmm_close(&s->vmm);
	tw_session_unlock(s);
	s->on = false;
}
