// SPDX-License-Identifier: GPL-2.0
#include "clocks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diagnose.h"
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

size_t tw_clocks_list(const struct tw_vm *vm, const struct tw_state *st,
		      struct tw_clock clocks[TW_CLOCKS_MAX])
{
	bool offset = !strcmp(st->tsc_mode, "offset"), probes, rtc;
	struct list l = { .clocks = clocks };
	enum tw_clock_by kvm = TW_CLOCK_BY_KVM, vmm;
	static struct tw_vmm_look look;
	struct vmm_state s = { 0 };
	struct tw_qemu_time q;
	const char *why, *why_rtc;
	char *argv;
	size_t len = 0;

	argv = tw_read_cmdline(vm->pid, &len);
	tw_qemu_time_parse(argv ? argv : "", argv ? len : 0, &q);
	free(argv);

	probes = tw_vmm_follows(vm, &s);
	vmm = probes ? TW_CLOCK_BY_VMM : TW_CLOCK_HOST;
	tw_vmm_look(vm, probes, &look);
	why = look.possible ? "attached with --vmm off" : look.why;
	why_rtc = probes && *look.why_rtc ? look.why_rtc : why;
	rtc = probes && (s.rtc || look.rtc_virtual);

	add(&l, "TSC", offset ? TW_CLOCK_HOST : kvm, "TSC mode offset");
	add(&l, "kvmclock, wall clock, ptp_kvm", kvm, NULL);
	add(&l, "Hyper-V and Xen clocks, timers", kvm, NULL);
	add(&l, "VMware pseudo counters", kvm, NULL);
	add(&l, "steal time", kvm, NULL);
	add(&l, "LAPIC timer", q.irqchip == TW_IRQCHIP_USER ? vmm : kvm, why);
	if (q.pit)
		add(&l, "PIT", q.irqchip == TW_IRQCHIP_KERNEL ? kvm : vmm, why);
	/* of a VMM that is not QEMU, what there is cannot be told */
	if (look.possible || strstr(vm->comm, "qemu")) {
		if (q.hpet)
			add(&l, "HPET", vmm, why);
		if (q.acpi_pm)
			add(&l, "ACPI PM timer", vmm, why);
		add(&l, "RTC", rtc ? TW_CLOCK_BY_VMM : TW_CLOCK_HOST, why_rtc);
	}
	if (q.iothread)
		add(&l, "timers of iothreads", tw_vmm_uring(vm->pid) ? TW_CLOCK_HOST : vmm,
		    probes ? "iothreads wait by io_uring" : why);
	add(&l, "other timers of the VMM", vmm, why);
	return l.n;
}

const char *tw_clock_by_name(enum tw_clock_by by)
{
	static const char *const names[] = { "KVM", "VMM", "host" };

	return names[by];
}
