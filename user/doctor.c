// SPDX-License-Identifier: GPL-2.0
/* twctl doctor: what is wrong with a VM's timekeeping, as far as it can be seen from outside. */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "diagnose.h"
#include "host.h"
#include "proc.h"
#include "twctl.h"

#define KVM_PARAM "/sys/module/kvm/parameters/"

static void read_line(const char *path, char *buf, size_t size)
{
	char *text = tw_read_file(path, NULL);

	*buf = 0;
	if (text)
		snprintf(buf, size, "%.*s", (int)strcspn(text, "\n"), text);
	free(text);
}

static int read_switch(const char *path)
{
	char line[8];

	read_line(path, line, sizeof(line));
	return !*line ? -1 : *line == 'Y' || *line == '1';
}

static int read_tsc_flags(void)
{
	char *text = tw_read_file("/proc/cpuinfo", NULL);
	int found = text ? strstr(text, " constant_tsc") && strstr(text, " nonstop_tsc") : -1;

	free(text);
	return found;
}

/* vcpuN/tsc-offset in the VM's debugfs directory; -1 if not to be seen */
static int offsets_differ(const char *dir)
{
	char *pattern = tw_asprintf("%s/vcpu*/tsc-offset", dir);
	char first[32] = "", line[32];
	int differ = -1;
	glob_t g;
	size_t i;

	if (!glob(pattern, 0, NULL, &g)) {
		for (i = 0; i < g.gl_pathc; i++) {
			read_line(g.gl_pathv[i], line, sizeof(line));
			if (!i)
				strcpy(first, line);
			if (differ != 1)
				differ = strcmp(first, line) != 0;
		}
		globfree(&g);
	}
	free(pattern);
	return differ;
}

/* By its program's name: qemu-system-x86_64, qemu-kvm, or kvm */
static bool is_qemu(const char *program, const char *comm)
{
	const char *slash = strrchr(program, '/');

	return strstr(slash ? slash : program, "qemu") || !strncmp(comm, "qemu", 4) ||
	       !strcmp(comm, "kvm");
}

static void gather(const struct tw_vm *vm, struct tw_facts *f)
{
	struct tw_err ignored = { 0 };
	struct tw_state st;
	struct tw_proc p;
	char line[32], *path, *argv;
	size_t len;

	memset(f, 0, sizeof(*f));
	path = tw_asprintf("/proc/%d/cmdline", vm->pid);
	argv = tw_read_file(path, &len);
	free(path);
	f->is_qemu = argv && is_qemu(argv, vm->comm);
	if (f->is_qemu)
		tw_qemu_time_parse(argv, len, &f->q);
	free(argv);
	read_line("/sys/devices/system/clocksource/clocksource0/current_clocksource",
		  f->clocksource, sizeof(f->clocksource));
	f->tsc_invariant = read_tsc_flags();
	f->periodic_sync = read_switch(KVM_PARAM "kvmclock_periodic_sync");
	f->vmware_backdoor = read_switch(KVM_PARAM "enable_vmware_backdoor");
	read_line(KVM_PARAM "min_timer_period_us", line, sizeof(line));
	f->min_timer_period_us = *line ? atol(line) : -1;
	f->offsets_differ = vm->dir ? offsets_differ(vm->dir) : -1;
	f->vcpus = vm->vcpus;
	f->host_cpus = sysconf(_SC_NPROCESSORS_ONLN);
	if (tw_proc_read(vm->pid, &p))
		f->state = p.state;
	f->attached = vm->dir && tw_host_has_hook() && !tw_state_read(vm->dir, &st, &ignored) &&
		      st.attached;
	tw_err_free(&ignored);
}

static void print_text(const struct tw_target *t, const struct tw_facts *f,
		       const struct tw_finding *found, size_t n)
{
	char name[TW_TARGET_NAME_MAX];
	size_t i;

	printf("%s: %s\n", tw_target_name(t, name, sizeof(name)),
	       f->attached ? "a policy is attached" : "no policy is attached");
	for (i = 0; i < n; i++) {
		printf("%-5s %-16s %s\n", tw_severity_name(found[i].severity), found[i].id,
		       found[i].fact);
		printf("%-22s %s\n", "", found[i].meaning);
		if (found[i].cure)
			printf("%-22s -> %s\n", "", found[i].cure);
	}
}

static void print_json(const struct tw_target *t, const struct tw_facts *f,
		       const struct tw_finding *found, size_t n)
{
	struct tw_json j = { .f = stdout };
	size_t i;

	tw_json_open(&j, NULL, '{');
	tw_json_vm(&j, t->vm);
	tw_json_bool(&j, "attached", f->attached);
	tw_json_open(&j, "findings", '[');
	for (i = 0; i < n; i++) {
		tw_json_open(&j, NULL, '{');
		tw_json_str(&j, "id", found[i].id);
		tw_json_str(&j, "severity", tw_severity_name(found[i].severity));
		tw_json_str(&j, "fact", found[i].fact);
		tw_json_str(&j, "meaning", found[i].meaning);
		tw_json_str(&j, "cure", found[i].cure);
		tw_json_close(&j, '}');
	}
	tw_json_close(&j, ']');
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

static int run(const struct tw_args *args, struct tw_err *e)
{
	struct tw_finding found[TW_FINDINGS_MAX];
	struct tw_facts f;
	struct tw_target t;
	size_t n, i;
	int status = tw_target_find(args, "examine", &t, e);

	if (!status) {
		*e->what = 0;	/* what is found is no error of twctl's, whatever the status */
		gather(t.vm, &f);
		n = tw_diagnose(&f, found);
		if (args->json)
			print_json(&t, &f, found, n);
		else
			print_text(&t, &f, found, n);
		for (i = 0; i < n; i++)
			if (found[i].severity == TW_WRONG ||
			    (found[i].severity == TW_LEAK && f.attached))
				status = TW_THRESHOLD;
	}
	tw_target_close(&t);
	return status;
}

static const struct tw_option options[] = {
	TW_OPTION_VM,
	{ 0 },
};

const struct tw_verb tw_verb_doctor = {
	.name = "doctor",
	.synopsis = "--vm VM",
	.summary = "tell what is wrong with a VM's timekeeping, and the cure",
	.more = "Reads the host's clocks and KVM's parameters, KVM's files of the VM, and QEMU's\n"
		"command line; works on a stock kernel. wrong: the guest's time suffers. leak:\n"
		"the host's time gets into a guest that lives at a factor. note: good to know.\n"
		"Status 10 if something is wrong, or leaks while a policy is attached.\n",
	.options = options,
	.run = run,
};
