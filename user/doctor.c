// SPDX-License-Identifier: GPL-2.0
/* twctl doctor: what is wrong with a VM's timekeeping, as far as it can be seen from outside. */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
#include <unistd.h>

#include "clock_reads.h"
#include "diagnose.h"
#include "host.h"
#include "kvmstat.h"
#include "parse.h"
#include "proc.h"
#include "qemu/cmdline.h"
#include "qemu/date.h"
#include "qemu/probes.h"
#include "rows.h"
#include "trace_math.h"
#include "tracer.h"
#include "twctl.h"

#define KVM_PARAM "/sys/module/kvm/parameters/"

static int read_switch(const char *path)
{
	char line[8];

	tw_read_line(path, line, sizeof(line));
	return !*line ? -1 : *line == 'Y' || *line == '1';
}

static long read_number(const char *path)
{
	char line[32];

	tw_read_line(path, line, sizeof(line));
	return *line ? atol(line) : -1;
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
			tw_read_line(g.gl_pathv[i], line, sizeof(line));
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

/* The largest of vcpuN/lapic_timer_advance_ns; -1 if not to be seen */
static long largest_advance(const char *dir)
{
	char *pattern = tw_asprintf("%s/vcpu*/lapic_timer_advance_ns", dir);
	long largest = -1, n;
	glob_t g;
	size_t i;

	if (!glob(pattern, 0, NULL, &g)) {
		for (i = 0; i < g.gl_pathc; i++) {
			n = read_number(g.gl_pathv[i]);
			if (n > largest)
				largest = n;
		}
		globfree(&g);
	}
	free(pattern);
	return largest;
}

/* A switch since 6.10; before, nanoseconds, of which 0 is off and -1 lets KVM find out */
static int read_timer_advance(void)
{
	if (!access(KVM_PARAM "lapic_timer_advance", F_OK))
		return read_switch(KVM_PARAM "lapic_timer_advance");
	if (!access(KVM_PARAM "lapic_timer_advance_ns", F_OK))
		return read_number(KVM_PARAM "lapic_timer_advance_ns") != 0;
	return -1;
}

static void gather_stats(const struct tw_vm *vm, struct tw_facts *f)
{
	struct tw_kvmstats s;
	uint64_t halts, ok, vain;

	tw_kvmstats_open(vm, &s);
	f->stats = tw_kvmstats_sum(&s, "halt_exits", &halts) &&
		   tw_kvmstats_sum(&s, "halt_poll_success_ns", &ok) &&
		   tw_kvmstats_sum(&s, "halt_poll_fail_ns", &vain);
	if (f->stats) {
		f->halts = halts;
		f->poll_ok_ns = ok;
		f->poll_vain_ns = vain;
	}
	tw_kvmstats_free(&s);
}

static void note_source(struct tw_watched *w, unsigned int source, const struct trace_stats *s)
{
	const struct trace_hist *late = &s->late[TRACE_TOTAL];

	w->seen = s->armed || s->fired || s->delivered || tw_stats_lost(s);
	w->ticks = s->delivered;
	w->lost = tw_stats_lost(s);
	w->owed = s->backlog;
	w->avg_ns = late->count ? late->sum / late->count : 0;
	w->p99_ns = late->count ? trace_percentile(late, 990, 0) : 0;
	w->max_ns = late->count ? late->max : 0;
	w->policy = tw_lost_policy(source, s);
}

struct watch {
	const struct tw_vm *vm;
	struct tw_clock_reads reads;
	uint64_t ns;
	struct tw_facts *f;
};

static void note_vm(const struct tw_row *row, const struct tw_snapshot *s, struct tw_facts *f)
{
	const struct trace_clocks *c = &row->clocks;
	size_t i;

	for (i = 0; i < TRACE_NR_SOURCES; i++)
		if (row->stats[i])
			note_source(&f->watched[i], i, row->stats[i]);
	f->back = c->kvmclock.back + c->tsc.back;
	f->forward = c->kvmclock.forward + c->tsc.forward;
	f->catchup = c->catchup;
	/* The first record of a vCPU's clock tells */
	for (i = 0; i < s->n; i++)
		if (s->v[i].clocks.pvclock_updates)
			f->stable = s->v[i].clocks.stable && f->stable;
}

/* Where the vCPUs' time goes: twenty looks a second see a VM that stands for a moment */
static void look_on(const struct tw_vm *vm, uint64_t until, struct tw_facts *f)
{
	struct tw_world before, now;
	uint64_t due = tw_now_ns();

	tw_world_read(vm, &before);
	while (due < until && !tw_stop) {
		struct tw_shares part = { 0 };

		due = due + 50000000 < until ? due + 50000000 : until;
		tw_sleep_until(due);
		tw_world_read(vm, &now);
		tw_shares_add(&f->world, &before, &now);
		tw_shares_add(&part, &before, &now);
		if (part.stats && part.span_ns && part.other_ns > part.span_ns - part.span_ns / 8)
			f->still_ns += part.other_ns / part.vcpus;
		tw_world_free(&before);
		before = now;
	}
	tw_world_free(&before);
}

/* Which timers are in use, and what becomes of them: the tracer looks on for a while */
static int watch(struct tw_tracer *t, void *arg, struct tw_err *e)
{
	const struct watch *w = arg;
	struct tw_facts *f = w->f;
	struct tw_snapshot s;
	struct tw_rows rows;
	size_t i;

	(void)e;
	look_on(w->vm, t->start_ns + w->ns, f);
	tw_clock_reads_take(&w->reads, &f->reads);
	tw_tracer_read(t, &s);
	tw_rows_collect(t, &s, &rows);
	f->watched_ns = s.now_ns - t->start_ns;
	for (i = 0; i < rows.n; i++)
		if (!strcmp(rows.v[i].info.name, w->vm->id))
			note_vm(&rows.v[i], &s, f);
	tw_rows_free(&rows);
	tw_snapshot_free(&s);
	return TW_OK;
}

static int watch_vm(const struct tw_vm *vm, uint64_t ns, struct tw_facts *f, struct tw_err *e)
{
	const char *id = vm->id;
	struct tw_strings vms = { .v = &id, .n = 1 };
	struct tw_tracer_opts opts = {
		.vms = &vms, .doing = "watch", .armed = true, .sources = UINT32_MAX, .vcpu = -1,
		.jump_ns = 1000,
	};
	struct watch w = { .vm = vm, .ns = ns, .f = f };
	int status = tw_clock_reads_begin(&w.reads, vm, e);

	if (!status)
		status = tw_watch(&opts, watch, &w, e);
	tw_clock_reads_end(&w.reads);
	return status;
}

/* What becomes of the clocks that QEMU keeps, as status has it */
static void gather_vmm(const struct tw_vm *vm, struct tw_facts *f)
{
	struct tw_vmm_look look;
	struct vmm_state s;
	bool follow = tw_vmm_follows(vm, &s);

	tw_vmm_look(vm, follow, &look);
	f->iothread_uring = f->q.iothread && tw_vmm_uring(vm->pid);
	f->vmm = follow ? TW_VMM_FOLLOW : !look.possible ? TW_VMM_CANNOT : TW_VMM_COULD;
	snprintf(f->vmm_why, sizeof(f->vmm_why), "%s", look.why);
	f->vmm_rtc = f->vmm;
	if (follow ? !s.rtc && !look.rtc_virtual : look.possible && *look.why_rtc)
		f->vmm_rtc = TW_VMM_CANNOT;
	snprintf(f->vmm_rtc_why, sizeof(f->vmm_rtc_why), "%s", look.possible ? look.why_rtc : look.why);
}

/* What NTP has found the host's clock to be off by: its rate, in 2^-16 ppm; a slew that goes on adds to it for a while */
static double read_ntp_ppm(void)
{
	struct timex t = { 0 };

	return adjtimex(&t) < 0 ? 0 : t.freq / 65536.0;
}

static void gather_date(const struct tw_vm *vm, const struct tw_state *st, struct tw_facts *f)
{
	struct tw_date_look d;

	tw_date_look(vm, st, &d);
	f->behind_ns = tw_date_behind_what(&d, &f->behind_what);
}

static void gather(const struct tw_vm *vm, struct tw_facts *f, struct tw_state *st)
{
	struct tw_err ignored = { 0 };
	struct tw_proc p;
	char *argv;
	bool known;
	size_t len;

	memset(f, 0, sizeof(*f));
	argv = tw_read_cmdline(vm->pid, &len);
	f->is_qemu = argv && tw_is_qemu(argv, vm->comm);
	if (f->is_qemu)
		tw_qemu_time_parse(argv, len, &f->q);
	free(argv);
	tw_read_line("/sys/devices/system/clocksource/clocksource0/current_clocksource",
		     f->clocksource, sizeof(f->clocksource));
	f->tsc_invariant = read_tsc_flags();
	f->ntp_ppm = read_ntp_ppm();
	f->periodic_sync = read_switch(KVM_PARAM "kvmclock_periodic_sync");
	f->vmware_backdoor = read_switch(KVM_PARAM "enable_vmware_backdoor");
	f->min_timer_period_us = read_number(KVM_PARAM "min_timer_period_us");
	f->tsc_tolerance_ppm = read_number(KVM_PARAM "tsc_tolerance_ppm");
	f->halt_poll_ns = read_number(KVM_PARAM "halt_poll_ns");
	f->timer_advance = read_timer_advance();
	f->advance_ns = vm->dir ? largest_advance(vm->dir) : -1;
	f->stable = -1;
	gather_stats(vm, f);
	f->offsets_differ = vm->dir ? offsets_differ(vm->dir) : -1;
	f->vcpus = vm->vcpus;
	f->host_cpus = sysconf(_SC_NPROCESSORS_ONLN);
	if (tw_proc_read(vm->pid, &p))
		f->state = p.state;
	known = vm->dir && tw_host_has_hook() && !tw_state_read(vm->dir, st, &ignored);
	f->attached = known && st->attached;
	if (known)
		gather_date(vm, st, f);
	if (f->attached) {
		/* One of them may not be in lowest terms */
		f->factor_met = (unsigned __int128)st->asked.num * st->force.den ==
				(unsigned __int128)st->force.num * st->asked.den;
		f->warp_lost_ticks = st->lost_ticks;
		f->warp_floors = st->floors;
	}
	tw_err_free(&ignored);
	if (!tw_session_stuck(vm, f->left_over))
		*f->left_over = 0;
	f->stopped = tw_vmm_is_stopped(vm);
	if (f->is_qemu)
		gather_vmm(vm, f);
	/* left out by --vmm off */
	if (f->attached && f->vmm == TW_VMM_COULD) {
		f->vmm = f->vmm_rtc = TW_VMM_CANNOT;
		snprintf(f->vmm_why, sizeof(f->vmm_why), "attached with --vmm off");
		snprintf(f->vmm_rtc_why, sizeof(f->vmm_rtc_why), "attached with --vmm off");
	}
}

static void print_policy(const struct tw_facts *f, const struct tw_state *st)
{
	char asked[48], force[48];

	if (!f->attached) {
		tw_printf("no policy is attached\n");
		return;
	}
	tw_printf("policy %s, factor %s asked, %s in force, TSC %s\n", st->policy,
		  tw_format_factor(asked, sizeof(asked), st->asked.num, st->asked.den),
		  tw_format_factor(force, sizeof(force), st->force.num, st->force.den), st->tsc_mode);
}

static void print_watched(const struct tw_facts *f)
{
	char avg[16], p99[16], max[16];
	bool any = false;
	unsigned int i;

	for (i = 0; i < TRACE_NR_SOURCES; i++) {
		const struct tw_watched *w = &f->watched[i];

		if (!w->seen)
			continue;
		any = true;
		tw_printf("timer %-8s %.1f/s, late avg %s p99 %s max %s, lost %llu, owed %llu, "
			  "policy %s\n", tw_source_name(i), w->ticks * 1e9 / f->watched_ns,
			  tw_short_ns(avg, sizeof(avg), w->avg_ns),
			  tw_short_ns(p99, sizeof(p99), w->p99_ns),
			  tw_short_ns(max, sizeof(max), w->max_ns), w->lost, w->owed, w->policy);
	}
	if (!any)
		tw_printf("timer none was in use\n");
}

/* kvmclock and TSC are read without anybody's knowledge */
static void print_reads(const struct tw_facts *f)
{
	double s = f->watched_ns / 1e9;

	if (!f->reads.hpet && !f->reads.pm_timer)
		tw_printf("clocks read: neither HPET nor ACPI PM timer\n");
	if (f->reads.hpet)
		tw_printf("clocks read: HPET, %.1f/s\n", f->reads.hpet / s);
	if (f->reads.pm_timer)
		tw_printf("clocks read: ACPI PM timer, %.1f/s\n", f->reads.pm_timer / s);
}

static void print_world(const struct tw_shares *w)
{
	double all = w->span_ns / 100.0;

	if (!w->span_ns)
		return;
	tw_printf("vCPUs: run %.1f %%, stolen %.1f %%, ", w->run_ns / all, w->steal_ns / all);
	if (w->stats)
		tw_printf("halted %.1f %%, ", w->halt_ns / all);
	tw_printf("%s %.1f %%\n", w->stats ? "other" : "halted or other", w->other_ns / all);
}

static void print_text(const struct tw_target *t, const struct tw_facts *f,
		       const struct tw_state *st, const struct tw_finding *found, size_t n)
{
	char name[TW_TARGET_NAME_MAX], clocks[128];
	size_t i;

	tw_tell_mute(t->vm);
	tw_printf("%s: ", tw_target_name(t, name, sizeof(name)));
	print_policy(f, st);
	if (f->is_qemu)
		tw_printf("clocks offered: %s\n", tw_clocks_offered(&f->q, clocks, sizeof(clocks)));
	if (f->watched_ns)
		print_reads(f);
	if (f->stats)
		tw_printf("halts: %llu, polled for %llu us with success, %llu us in vain\n",
			  f->halts, f->poll_ok_ns / 1000, f->poll_vain_ns / 1000);
	if (f->watched_ns)
		print_watched(f);
	print_world(&f->world);
	for (i = 0; i < n; i++) {
		tw_printf("%-5s %-16s %s\n", tw_severity_name(found[i].severity), found[i].id,
			  found[i].fact);
		tw_printf("%-22s %s\n", "", found[i].meaning);
		if (found[i].cure)
			tw_printf("%-22s -> %s\n", "", found[i].cure);
	}
}

static void write_policy(struct tw_json *j, const struct tw_facts *f, const struct tw_state *st)
{
	tw_json_bool(j, "attached", f->attached);
	if (!f->attached)
		return;
	tw_json_str(j, "policy", st->policy);
	tw_json_str(j, "tsc_mode", st->tsc_mode);
	tw_json_factor(j, "factor_asked", &st->asked);
	tw_json_factor(j, "factor_force", &st->force);
}

static void write_number(struct tw_json *j, const char *key, long n)
{
	if (n < 0)
		tw_json_null(j, key);
	else
		tw_json_int(j, key, n);
}

static void write_kvm(struct tw_json *j, const struct tw_facts *f)
{
	tw_json_open(j, "kvm", '{');
	tw_json_str(j, "host_clocksource", *f->clocksource ? f->clocksource : NULL);
	write_number(j, "min_timer_period_us", f->min_timer_period_us);
	write_number(j, "tsc_tolerance_ppm", f->tsc_tolerance_ppm);
	write_number(j, "lapic_timer_advance", f->timer_advance);
	write_number(j, "timer_advance_ns", f->advance_ns);
	write_number(j, "halt_poll_ns", f->halt_poll_ns);
	if (f->stats) {
		tw_json_u64(j, "halt_exits", f->halts);
		tw_json_u64(j, "halt_poll_success_ns", f->poll_ok_ns);
		tw_json_u64(j, "halt_poll_fail_ns", f->poll_vain_ns);
	}
	tw_json_close(j, '}');
}

static void write_watched(struct tw_json *j, const struct tw_facts *f)
{
	unsigned int i;

	tw_json_u64(j, "watched_ns", f->watched_ns);
	tw_json_u64(j, "hpet_reads", f->reads.hpet);
	tw_json_u64(j, "acpi_pm_reads", f->reads.pm_timer);
	tw_json_shares(j, &f->world);
	tw_json_open(j, "timers", '[');
	for (i = 0; i < TRACE_NR_SOURCES; i++) {
		const struct tw_watched *w = &f->watched[i];

		if (!w->seen)
			continue;
		tw_json_open(j, NULL, '{');
		tw_json_str(j, "source", tw_source_name(i));
		tw_json_str(j, "policy", w->policy);
		tw_json_u64(j, "delivered", w->ticks);
		tw_json_u64(j, "lost", w->lost);
		tw_json_u64(j, "backlog", w->owed);
		tw_json_u64(j, "late_avg_ns", w->avg_ns);
		tw_json_u64(j, "late_p99_ns", w->p99_ns);
		tw_json_u64(j, "late_max_ns", w->max_ns);
		tw_json_close(j, '}');
	}
	tw_json_close(j, ']');
}

static void print_json(const struct tw_target *t, const struct tw_facts *f,
		       const struct tw_state *st, const struct tw_finding *found, size_t n)
{
	struct tw_json j = { .f = stdout };
	char clocks[128];
	size_t i;

	tw_json_open(&j, NULL, '{');
	tw_json_vm(&j, t->vm);
	write_policy(&j, f, st);
	tw_json_str(&j, "clocks_offered",
		    f->is_qemu ? tw_clocks_offered(&f->q, clocks, sizeof(clocks)) : NULL);
	write_kvm(&j, f);
	if (f->watched_ns)
		write_watched(&j, f);
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

static int examine(const struct tw_args *args, const struct tw_target *t, uint64_t watch_ns,
		   struct tw_err *e)
{
	struct tw_finding found[TW_FINDINGS_MAX];
	struct tw_state st = { 0 };
	struct tw_facts f;
	int status = TW_OK;
	size_t n, i;

	gather(t->vm, &f, &st);
	if (watch_ns && watch_vm(t->vm, watch_ns, &f, e))
		return e->status;
	*e->what = 0;	/* what is found is no error of twctl's, whatever the status */
	n = tw_diagnose(&f, found);
	if (args->json)
		print_json(t, &f, &st, found, n);
	else
		print_text(t, &f, &st, found, n);
	for (i = 0; i < n; i++)
		if (found[i].severity == TW_WRONG || (found[i].severity == TW_LEAK && f.attached))
			status = TW_THRESHOLD;
	return status;
}

static int run(const struct tw_args *args, struct tw_err *e)
{
	struct tw_target t;
	uint64_t watch_ns;
	int status;

	if (tw_args_duration("examine", "--duration", args->duration, &watch_ns, e))
		return e->status;
	status = tw_target_find(args, "examine", &t, e);
	if (!status)
		status = examine(args, &t, watch_ns, e);
	tw_target_close(&t);
	return status;
}

static const struct tw_option options[] = {
	TW_OPTION_VM,
	TW_OPTION("duration", 'd', TW_TEXT, duration, "TIME",
		  "watch the VM's timers and clocks for that long, too: 1s", NULL),
	{ 0 },
};

const struct tw_verb tw_verb_doctor = {
	.name = "doctor",
	.synopsis = "VM [-d TIME]",
	.summary = "tell what is wrong with a VM's timekeeping, and the cure",
	.more = "Reads the host's clocks and KVM's parameters, KVM's files and statistics of the\n"
		"VM, and QEMU's command line; works on a stock kernel. With -d it also watches,\n"
		"as stat does: which timers are in use, late or lost, and clocks that jump.\n"
		"wrong: the guest's time suffers. leak: the host's time gets into a guest that\n"
		"lives at a factor. note: good to know. Status 10 if something is wrong, or\n"
		"leaks while a policy is attached.\n",
	.options = options,
	.vm_operand = true,
	.run = run,
};
