// SPDX-License-Identifier: GPL-2.0
/* twctl list: the VMs of this host and what is attached to them. */
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "apart.h"
#include "host.h"
#include "parse.h"
#include "qemu/layout.h"
#include "session/dir.h"
#include "twctl.h"

static bool read_state(const struct tw_vm *vm, struct tw_state *st)
{
	struct tw_err ignored = { 0 };
	bool known = vm->dir && !tw_state_read(vm->dir, st, &ignored);

	tw_err_free(&ignored);
	return known;
}

static const char *owner_of(const struct tw_vm *vm, char *buf, size_t size)
{
	const struct passwd *pw = getpwuid(vm->uid);

	if (pw)
		snprintf(buf, size, "%s", pw->pw_name);
	else
		snprintf(buf, size, "%u", vm->uid);
	return buf;
}

/* 80 columns: what is too long for its cell is cut, and whole in JSON */
static void print_vm(const struct tw_vm *vm)
{
	char name[4 * 18 + 4], owner[4 * 8 + 4], user[64], policy[16], factor[48], vcpus[12] = "?";
	struct tw_state st;

	strcpy(policy, "?");
	strcpy(factor, "");
	if (read_state(vm, &st)) {
		tw_printable(policy, 14, st.attached ? st.policy : "-");
		if (st.attached)
			tw_format_factor(factor, 13, st.force.num, st.force.den);
	} else if (!tw_host_has_hook()) {
		strcpy(policy, "-");
	}
	if (vm->vcpus >= 0)
		snprintf(vcpus, sizeof(vcpus), "%d", vm->vcpus);
	tw_printf("%-11s %7d %s %s %5s %-13s %s%s\n", vm->id, vm->pid,
		     tw_cell(owner, sizeof(owner), owner_of(vm, user, sizeof(user)), 8),
		     tw_cell(name, sizeof(name), tw_vm_title(vm), 18), vcpus, policy, factor,
		     tw_vmm_is_stopped(vm) ? " stopped" : "");
}

/* What is pinned for VMs that are gone, one line */
static void tell_left(void)
{
	char ids[512];

	if (tw_pins_left(ids, sizeof(ids)))
		tw_fprintf(stderr, "twctl: still pinned for VMs that are gone: %s; twctl detach --stale removes it\n", ids);
}

static void print_text(const struct tw_vms *vms)
{
	size_t i;

	if (vms->n)
		tw_printf("%-11s %7s %-8s %-18s %5s %-13s %s\n", "VM", "PID", "OWNER", "NAME",
			     "VCPUS", "POLICY", "FACTOR");
	for (i = 0; i < vms->n; i++)
		print_vm(&vms->v[i]);
	fflush(stdout);
	if (!vms->n)
		tw_fprintf(stderr, "twctl: no VM runs on this host");
	if (vms->hidden)
		tw_fprintf(stderr, "%s%zu processes are hidden from you: run twctl as root",
			   vms->n ? "twctl: " : " that twctl can see; ", vms->hidden);
	if (!vms->n || vms->hidden)
		tw_fprintf(stderr, "\n");
	for (i = 0; i < vms->n; i++)
		tw_tell_mute(&vms->v[i]);
	tell_left();
}

static void write_vm(struct tw_json *j, const struct tw_vm *vm)
{
	char user[64];
	struct tw_state st;

	tw_json_open(j, NULL, '{');
	tw_json_vm(j, vm);
	tw_json_int(j, "uid", vm->uid);
	tw_json_str(j, "owner", owner_of(vm, user, sizeof(user)));
	tw_json_bool(j, "stopped", tw_vmm_is_stopped(vm));
	tw_json_bool(j, "mute", tw_is_mute(vm->pid));
	if (!read_state(vm, &st)) {
		tw_json_null(j, "attached");
	} else {
		tw_json_bool(j, "attached", st.attached);
		if (st.attached) {
			tw_json_str(j, "policy", st.policy);
			tw_json_str(j, "tsc_mode", st.tsc_mode);
			tw_json_factor(j, "factor_force", &st.force);
		}
	}
	tw_json_close(j, '}');
}

static void print_json(const struct tw_vms *vms)
{
	struct tw_json j = { .f = stdout };
	struct tw_pins pins;
	size_t i;

	tw_json_open(&j, NULL, '{');
	tw_json_bool(&j, "hook", tw_host_has_hook());
	tw_json_int(&j, "hidden_processes", vms->hidden);
	tw_json_open(&j, "vms", '[');
	for (i = 0; i < vms->n; i++)
		write_vm(&j, &vms->v[i]);
	tw_json_close(&j, ']');
	tw_json_open(&j, "left", '[');
	tw_pins_stale(&pins);
	for (i = 0; i < pins.n; i++)
		tw_json_str(&j, NULL, pins.v[i].id);
	tw_pins_free(&pins);
	tw_json_close(&j, ']');
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

static void show(const struct tw_args *args)
{
	struct tw_vms vms;
	size_t i;

	tw_vms_scan(&vms);
	if (args->ids)
		for (i = 0; i < vms.n; i++)
			tw_printf("%s\n", vms.v[i].id);
	else if (args->json)
		print_json(&vms);
	else
		print_text(&vms);
	fflush(stdout);
	tw_vms_free(&vms);
}

static int run(const struct tw_args *args, struct tw_err *e)
{
	uint64_t every, times = UINT64_MAX, due;

	if (tw_args_duration("list VMs", "--every", args->every, &every, e) ||
	    tw_args_count("list VMs", "--count", args->count, &times, e))
		return e->status;
	if (!every)
		times = 1;
	else
		tw_catch_stop();
	for (due = tw_now_ns(); ; tw_sleep_until(due)) {
		if (tw_stop)
			return TW_OK;
		show(args);
		if (!--times || ferror(stdout))
			return TW_OK;
		due = due + every > tw_now_ns() ? due + every : tw_now_ns() + every;
	}
}

static const struct tw_option options[] = {
	TW_OPTION("ids", 0, TW_FLAG, ids, NULL, "print just the PID-FD of each VM", NULL),
	TW_OPTIONS_INTERVAL,
	{ 0 },
};

const struct tw_verb tw_verb_list = {
	.name = "list",
	.synopsis = "[--ids] [--every TIME [--count N]]",
	.summary = "show the VMs of this host and what is attached to them",
	.more = "Works on a stock kernel too. A VM is named by what its first column shows\n"
		"(PID-FD), by PID, by guest name or by UUID. Digits alone are a PID and\n"
		"nothing else; pid:, name:, uuid: or id: in front says which. Names and UUIDs\n"
		"are what the VM's owner has given it: OWNER is who that is. A VM that QEMU has\n"
		"stopped (its monitor's stop, virsh suspend) is told to be. One whose memory\n"
		"does not answer within seconds has no name, and a line of its own says so.\n",
	.options = options,
	.run = run,
};
