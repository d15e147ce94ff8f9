// SPDX-License-Identifier: GPL-2.0
#include "clocks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proc.h"
#include "qemu/probes.h"
#include "text.h"

struct list {
	struct tw_clock *clocks;
	size_t n;
};

static void add(struct list *l, const char *name, enum tw_clock_by by, const char *why)
{
	l->clocks[l->n++] = (struct tw_clock) { name, by, by == TW_CLOCK_HOST ? why : NULL };
}

/* What KVM has for a guest whose -cpu lets it see it */
static void add_cpu(struct list *l, const struct tw_clocks_look *k)
{
	const struct tw_qemu_time *q = &k->q;
	bool hv = q->hv_time || q->hv_stimer;

	add(l, "TSC", k->offset ? TW_CLOCK_HOST : TW_CLOCK_BY_KVM, "TSC mode offset");
	if (q->kvmclock || !k->is_qemu)
		add(l, "kvmclock, wall clock, ptp_kvm", TW_CLOCK_BY_KVM, NULL);
	if (!k->is_qemu || (hv && q->xen))
		add(l, "Hyper-V and Xen clocks, timers", TW_CLOCK_BY_KVM, NULL);
	else if (hv || q->xen)
		add(l, hv ? "Hyper-V clocks, timers" : "Xen clocks, timers", TW_CLOCK_BY_KVM, NULL);
	if (k->backdoor)
		add(l, "VMware pseudo counters", TW_CLOCK_BY_KVM, NULL);
	add(l, "steal time", TW_CLOCK_BY_KVM, NULL);
}

size_t tw_clocks_judge(const struct tw_clocks_look *k, struct tw_clock clocks[TW_CLOCKS_MAX])
{
	enum tw_clock_by kvm = TW_CLOCK_BY_KVM, vmm = k->follows ? TW_CLOCK_BY_VMM : TW_CLOCK_HOST;
	const struct tw_qemu_time *q = &k->q;
	struct list l = { .clocks = clocks };

	add_cpu(&l, k);
	add(&l, "LAPIC timer", q->irqchip == TW_IRQCHIP_USER ? vmm : kvm, k->why);
	if (q->pit)
		add(&l, "PIT", q->irqchip == TW_IRQCHIP_KERNEL ? kvm : vmm, k->why);
	if (k->is_qemu && q->hpet)
		add(&l, "HPET", vmm, k->why);
	if (k->is_qemu && q->acpi_pm)
		add(&l, "ACPI PM timer", vmm, k->why);
	if (k->is_qemu && q->rtc)
		add(&l, "RTC", k->rtc_follows ? TW_CLOCK_BY_VMM : TW_CLOCK_HOST, k->why_rtc);
	if (q->iothread)
		add(&l, "timers of iothreads", k->uring ? TW_CLOCK_HOST : vmm,
		    k->follows ? "iothreads wait by io_uring" : k->why);
	add(&l, "other timers of the VMM", vmm, k->why);
	return l.n;
}

/* @k: what of it does not depend on whether the VMM's clocks follow */
static void look_at(const struct tw_vm *vm, const struct tw_vmm_look *look, struct tw_clocks_look *k)
{
	char *argv, line[8];
	size_t len = 0;

	argv = tw_read_cmdline(vm->pid, &len);
	tw_qemu_time_parse(argv ? argv : "", argv ? len : 0, &k->q);
	k->is_qemu = look->possible || (argv && tw_is_qemu(argv, vm->comm));
	free(argv);
	k->uring = k->q.iothread && tw_vmm_uring(vm->pid);
	tw_read_line("/sys/module/kvm/parameters/enable_vmware_backdoor", line, sizeof(line));
	k->backdoor = *line == 'Y' || *line == '1';
}

size_t tw_clocks_list(const struct tw_vm *vm, const struct tw_state *st,
		      struct tw_clock clocks[TW_CLOCKS_MAX])
{
	struct tw_clocks_look k = { .offset = !strcmp(st->tsc_mode, "offset") };
	static struct tw_vmm_look look;
	struct vmm_state s = { 0 };

	k.follows = tw_vmm_follows(vm, &s);
	tw_vmm_look(vm, k.follows, &look);
	look_at(vm, &look, &k);
	k.rtc_follows = k.follows && (s.rtc || look.rtc_virtual);
	k.why = look.possible ? "attached with --vmm off" : look.why;
	k.why_rtc = k.follows && *look.why_rtc ? look.why_rtc : k.why;
	return tw_clocks_judge(&k, clocks);
}

size_t tw_clocks_planned(const struct tw_vm *vm, bool offset, const struct tw_vmm_look *look,
			 struct tw_clock clocks[TW_CLOCKS_MAX])
{
	struct tw_clocks_look k = {
		.offset = offset, .follows = look->possible, .rtc_follows = look->possible && !*look->why_rtc,
		.why = look->why, .why_rtc = look->possible ? look->why_rtc : look->why,
	};

	look_at(vm, look, &k);
	return tw_clocks_judge(&k, clocks);
}

const char *tw_clock_by_name(enum tw_clock_by by)
{
	static const char *const names[] = { "KVM", "VMM", "host" };

	return names[by];
}
