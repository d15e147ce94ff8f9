// SPDX-License-Identifier: GPL-2.0
/* An attachment in the foreground: what comes while it is there, and how it ends. */
#include <bpf/libbpf.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attached.h"
#include "exec.h"
#include "host.h"

/* So often it is looked whether another command has swapped the policy */
#define SWAP_MS 500

static void run_command(const struct attachment *a)
{
	const struct tw_exec about = {
		.vm = a->t.vm->id, .name = a->t.vm->names.name, .uuid = a->t.vm->names.uuid,
		.policy = a->policy, .event = "done", .to_stderr = a->args->json,
	};
	int code = tw_exec_run(a->args->exec, &about);

	if (code)
		tw_fprintf(stderr, "twctl: cannot run %s: %s\n", a->args->exec, strerror(code));
}

static int take_event(void *arg, void *data, size_t size)
{
	const struct timewarp_event *event = data;
	struct attachment *a = arg;

	if (size < sizeof(*event))
		return 0;
	tw_tell_event(a, event);
	if (event->kind != TIMEWARP_EVENT_DONE)
		return 0;
	a->done = true;
	if (a->args->was_done)
		*a->args->was_done = true;
	if (a->args->exec)
		run_command(a);
	return 0;
}

void tw_attached_listen(struct attachment *a, int fd)
{
	a->events = ring_buffer__new(fd, take_event, a, NULL);
}

/* Whether another command swapped the policy, and what it put in its place ended before we looked */
static bool is_unseen(const struct attachment *a)
{
	struct timewarp_exit_record own;

	return !strcmp(a->policy, a->made.p.name) && tw_policy_exit_record(&a->made.p, &own) &&
	       !strcmp(own.reason, "swapped");
}

static int fail_end(const struct attachment *a, const struct timewarp_exit_record *rec,
		    struct tw_err *e)
{
	int status = rec->kind == KVM_TIMEWARP_EXIT_EJECTED ? TW_EJECTED : TW_UNSUPPORTED;

	tw_fail(e, status, "%s lives at factor 1 again", a->name);
	e->code = -rec->code;
	tw_fact(e, "the kernel let %s %s go (%s): %s", is_unseen(a) ? "what replaced policy" : "policy", a->policy,
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
	int status = tw_attachment_end(&a->made, e);

	tw_attachment_reason(&a->made, a->last, &rec);
	switch (rec.kind) {
	case KVM_TIMEWARP_EXIT_VM_GONE:
		if (a->args->was_gone)
			*a->args->was_gone = true;
		tw_tell_ended(a, &rec, "the VM is gone; nothing is left to undo");
		return status;
	case KVM_TIMEWARP_EXIT_UNREG:
		tw_tell_ended(a, &rec, "detached by another command; factor 1 from here on");
		return status;
	default:
		if (a->args->json)
			tw_tell_ended(a, &rec, "");
		return fail_end(a, &rec, e);
	}
}

static int undo(struct attachment *a, const char *reason, const char *message, struct tw_err *e)
{
	struct timewarp_exit_record rec = { .kind = KVM_TIMEWARP_EXIT_UNREG };
	struct tw_state before[TIMEWARP_MAX_VMS];
	int status;

	snprintf(rec.reason, sizeof(rec.reason), "%s", reason);
	snprintf(rec.message, sizeof(rec.message), "%s", message);
	tw_attached_states(a, before);
	tw_attachment_detach(&a->made);
	status = tw_attachment_end(&a->made, e);
	tw_journal_attached(a, before, false);
	tw_tell_ended(a, &rec, "detached; factor 1 from here on, and the guest keeps its time");
	return status;
}

/* Those of a group that have ended are waited for no more; whether anything is left */
static bool any_left(struct attachment *a, struct pollfd *link, unsigned int n)
{
	bool left = false;
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (link[i].fd >= 0 && link[i].revents & POLLHUP) {
			link[i].fd = -1;
			if (a->made.group.n)
				a->last = &a->made.group.m[i];
		}
		left |= link[i].fd >= 0;
	}
	return left;
}

/* One that was killed has another in its place */
static void keep_keepers(struct attachment *a, struct pollfd *keeper)
{
	unsigned int i;

	for (i = 0; i < a->made.nr_vms; i++) {
		struct tw_session *s = &a->made.session[i];

		if (keeper[i].fd >= 0 && keeper[i].revents && !tw_session_keep(s))
			tw_fprintf(stderr, "twctl: %s: there can be no process that puts QEMU's clocks back "
				   "if this one is killed: %s\n", a->name, strerror(errno));
		keeper[i].fd = s->keeper.pid > 0 ? s->keeper.pidfd : -1;
	}
}

unsigned int tw_attached_map(const struct attachment *a, const struct tw_vm **vm)
{
	struct bpf_link *link;
	unsigned int i, id = 0;

	for (i = 0; !id && (link = tw_attachment_link(&a->made, i)); i++) {
		id = tw_link_map_id(bpf_link__fd(link));
		*vm = a->made.session[i].vm;
	}
	return id;
}

/* From here on, what the new policy tells is told; what it told already waits in its ring */
static void follow_swap(struct attachment *a, const struct tw_vm *vm)
{
	struct tw_err ignored = { 0 };
	struct tw_live live;
	struct tw_state st;
	bool tells_done;
	char old[32];

	if (tw_state_read(vm->dir, &st, &ignored) || !st.attached || tw_live_open(&live, &st, &ignored)) {
		tw_err_free(&ignored);
		return;
	}
	snprintf(old, sizeof(old), "%s", a->policy);
	snprintf(a->policy, sizeof(a->policy), "%s", st.policy);
	a->map_id = live.map_id;
	memset(&a->awake, 0, sizeof(a->awake));
	ring_buffer__free(a->events);
	a->events = NULL;
	if (a->events_fd >= 0)
		close(a->events_fd);
	a->events_fd = live.events_fd;
	live.events_fd = -1;
	tells_done = tw_btf_tells_done(live.btf);
	tw_live_close(&live);
	tw_tell_swapped(a, old);
	if (a->events_fd >= 0)
		tw_attached_listen(a, a->events_fd);
	if ((!a->events || !tells_done) && (a->args->exec || a->args->exit_when_done))
		tw_fprintf(stderr, "twctl: %s does not tell when it is done: nothing is waited for but its end\n", a->policy);
}

/* Nobody says so: a swap is another process's */
static void look_for_swap(struct attachment *a)
{
	const struct tw_vm *vm;
	unsigned int id = tw_attached_map(a, &vm);

	if (id && id != a->map_id)
		follow_swap(a, vm);
}

/* A guest that never idles is not skipped, and nobody else would say so */
static void look_for_sleep(struct attachment *a)
{
	struct tw_err ignored = { 0 };
	struct tw_state st;
	char why[240];
	bool known = !strcmp(a->policy, "skip-idle") && !tw_state_read(a->t.vm->dir, &st, &ignored);

	tw_err_free(&ignored);
	if (known && tw_awake_look(&a->awake, a->t.vm, st.leaps, why, sizeof(why)))
		tw_tell_awake(a, why);
}

enum { SIGNALS, EVENTS, LINKS, KEEPERS = LINKS + TIMEWARP_MAX_VMS, NR_POLLED = KEEPERS + TIMEWARP_MAX_VMS };

int tw_attached_stay(struct attachment *a, int signals, struct tw_err *e)
{
	struct pollfd p[NR_POLLED];
	struct bpf_link *link;
	unsigned int i, n;

	for (i = 0; i < NR_POLLED; i++)
		p[i] = (struct pollfd) { .fd = -1, .events = i < LINKS || i >= KEEPERS ? POLLIN : 0 };
	p[SIGNALS].fd = signals;
	/* POLLHUP needs no asking */
	for (n = 0; (link = tw_attachment_link(&a->made, n)); n++)
		p[LINKS + n].fd = bpf_link__fd(link);
	for (;;) {
		keep_keepers(a, p + KEEPERS);
		p[EVENTS].fd = a->events ? ring_buffer__epoll_fd(a->events) : -1;
		if (poll(p, NR_POLLED, SWAP_MS) < 0 && errno != EINTR)
			return undo(a, "failed", "twctl cannot wait for anything any more", e);
		/* what the old one told last, before what the new one tells first */
		if (a->events)
			ring_buffer__consume(a->events);
		look_for_swap(a);
		look_for_sleep(a);
		tw_tell_progress(a);
		if (a->events)
			ring_buffer__consume(a->events);
		if (!any_left(a, p + LINKS, n))
			return hung_up(a, e);
		if (a->done && a->args->exit_when_done)
			return undo(a, "done", "the policy told that it is done", e);
		if (tw_signal_read(signals))
			return undo(a, "signal", "twctl was told to end", e);
	}
}
