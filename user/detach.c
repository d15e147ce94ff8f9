// SPDX-License-Identifier: GPL-2.0
/* twctl detach: end an attachment, pinned or not, whoever made it. */
#include <bpf/bpf.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "group.h"
#include "host.h"
#include "parse.h"
#include "qemu/fold.h"
#include "qemu/probes.h"
#include "twctl.h"

/* Its own pin, and those of its group: a link that is detached is defunct */
static void unpin(void)
{
	DIR *d = opendir(TW_BPFFS "/timewarp");
	struct dirent *file;

	while (d && (file = readdir(d))) {
		char *path = *file->d_name == '.' ? NULL : tw_pin_path(file->d_name);
		int fd = path ? bpf_obj_get(path) : -1;

		if (fd >= 0 && tw_link_defunct(fd))
			unlink(path);
		if (fd >= 0)
			close(fd);
		free(path);
	}
	if (d)
		closedir(d);
}

/* The VMM's clocks, once the timeline has stopped */
static void finish_vmm(const struct tw_vm *vm)
{
	int tries;

	for (tries = 0; !tw_vmm_finish(vm, NULL) && tries < 200; tries++)
		usleep(10000);
	tw_vmm_unpin(vm->id);
}

/* A pin whose VM is gone: the only trace that an attachment can leave, so there must be a broom */
static bool sweep_stale_pin(const char *text)
{
	struct tw_selector sel;
	const char *why;
	char *path;
	int fd;
	bool stale;

	if (tw_selector_parse(text, &sel, &why) || !sel.id)
		return false;
	path = tw_pin_path(sel.text);
	fd = bpf_obj_get(path);
	stale = fd >= 0 && tw_link_defunct(fd) && !unlink(path);
	if (fd >= 0)
		close(fd);
	if (stale)
		tw_vmm_unpin(sel.text);
	free(path);
	return stale;
}

static void report(const struct tw_args *args, const struct tw_target *t, int64_t ahead)
{
	char name[TW_TARGET_NAME_MAX], span[48];
	struct tw_json j = { .f = stdout };

	if (!args->json) {
		printf("detached %s from %s: factor 1 from here on, the guest keeps its time "
		       "(guest - host: %s)\n", t->st.policy, tw_target_name(t, name, sizeof(name)),
		       tw_format_span(span, sizeof(span), ahead));
		return;
	}
	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "event", "detached");
	tw_json_vm(&j, t->vm);
	tw_json_str(&j, "policy", t->st.policy);
	tw_json_s64(&j, "guest_minus_host_ns", ahead);
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

static void report_swept(const struct tw_args *args)
{
	struct tw_json j = { .f = stdout };

	if (!args->json) {
		printf("%s: the VM is gone; removed what was pinned for it\n", args->vm);
		return;
	}
	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "event", "swept");
	tw_json_str(&j, "vm", args->vm);
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

/* Probes whose policy the kernel has let go, with nobody there to see it */
static bool sweep_probes(const struct tw_target *t)
{
	struct tw_vmm_found found;

	if (!t->vm || !tw_vmm_find(t->vm, &found))
		return false;
	tw_vmm_found_close(&found);
	finish_vmm(t->vm);
	unpin();
	return true;
}

static void report_probes(const struct tw_args *args, const struct tw_target *t)
{
	char name[TW_TARGET_NAME_MAX];
	struct tw_json j = { .f = stdout };

	if (!args->json) {
		printf("%s: its policy has ended already; the VMM's clocks go on by themselves now\n",
		       tw_target_name(t, name, sizeof(name)));
		return;
	}
	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "event", "probes_removed");
	tw_json_vm(&j, t->vm);
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

static int fail_detach(const struct tw_target *t, struct tw_err *e)
{
	char name[TW_TARGET_NAME_MAX];

	return tw_what(e, "cannot detach %s from %s", t->st.policy,
		       tw_target_name(t, name, sizeof(name)));
}

static int detach_one(const struct tw_target *t, struct tw_err *e)
{
	if (tw_live_detach(&t->st, e))
		return fail_detach(t, e);
	finish_vmm(t->vm);
	return TW_OK;
}

/* All go to factor 1 at one moment, and are detached then; one that has ended meanwhile is detached */
static int detach_group(const struct tw_target *t, volatile struct timewarp_group *map,
			struct tw_err *e)
{
	struct tw_group g = { 0 };
	int i, status = TW_OK, n = tw_group_find(&g, map, &t->vms);

	if (!tw_group_quit(map)) {
		tw_fail(e, TW_FAILED, "cannot detach a group");
		tw_fact(e, "its VMs did not come to factor 1 together");
		tw_cure(e, "try again when the host is less busy");
		return fail_detach(t, e);
	}
	for (i = 0; i < n; i++) {
		struct tw_err ignored = { 0 };
		struct tw_state st;

		if (!tw_state_read(g.m[i].vm->dir, &st, &ignored) && st.attached &&
		    tw_live_detach(&st, &ignored) && ignored.status != TW_NO_VM)
			status = tw_live_detach(&st, e) ? fail_detach(t, e) : status;
		tw_err_free(&ignored);
	}
	for (i = 0; i < n; i++)
		finish_vmm(g.m[i].vm);
	return status;
}

static int detach_all(const struct tw_target *t, struct tw_err *e)
{
	struct tw_err ignored = { 0 };
	struct tw_live live;
	int status;

	if (tw_live_open(&live, &t->st, &ignored)) {
		tw_err_free(&ignored);
		return detach_one(t, e);
	}
	status = live.group ? detach_group(t, live.group, e) : detach_one(t, e);
	tw_live_close(&live);
	return status;
}

/* How far the guest is ahead for good: as it is told now, unless the VM has gone meanwhile. */
static int64_t ahead_for_good(const struct tw_target *t)
{
	struct tw_err ignored = { 0 };
	struct tw_state after;
	bool known = !tw_state_read(t->vm->dir, &after, &ignored);

	tw_err_free(&ignored);
	if (known && !strcmp(after.tsc_mode, "-"))
		return (int64_t)(after.guest_ns - after.host_ns);
	return (int64_t)(t->st.guest_ns - t->st.host_ns);
}

static int detach(const struct tw_args *args, struct tw_target *t, struct tw_err *e)
{
	int status;

	status = tw_target_find(args, "detach from", t, e);
	if (status == TW_NO_VM && sweep_stale_pin(args->vm)) {
		report_swept(args);
		return TW_OK;
	}
	if (!status)
		status = tw_target_attached(t, "detach from", e);
	if (status == TW_FAILED && sweep_probes(t)) {
		tw_err_free(e);
		report_probes(args, t);
		return TW_OK;
	}
	if (status)
		return status;
	status = detach_all(t, e);
	if (status)
		return status;
	unpin();
	report(args, t, ahead_for_good(t));
	return TW_OK;
}

static int run(const struct tw_args *args, struct tw_err *e)
{
	struct tw_target t = { .lock = -1 };
	int status = detach(args, &t, e);

	tw_target_close(&t);
	return status;
}

static const struct tw_option options[] = {
	TW_OPTION_VM,
	{ 0 },
};

const struct tw_verb tw_verb_detach = {
	.name = "detach",
	.synopsis = "--vm VM",
	.summary = "let a VM's clocks run at the host's rate again",
	.more = "The guest keeps the time it has. A 'twctl attach' that waits in the\n"
		"foreground ends. Of a group all VMs are detached. For a PID-FD whose VM is gone\n"
		"it removes what was pinned for it.\n",
	.options = options,
	.run = run,
};
