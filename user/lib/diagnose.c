// SPDX-License-Identifier: GPL-2.0
#include "diagnose.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"
#include "trace.h"
#include "trace_names.h"

const char *tw_severity_name(enum tw_severity s)
{
	static const char *const names[] = {
		[TW_WRONG] = "wrong",
		[TW_LEAK] = "leak",
		[TW_NOTE] = "note",
	};

	return names[s];
}

struct list {
	struct tw_finding *v;
	size_t n;
};

__attribute__((format(printf, 6, 7)))
static void add(struct list *l, const char *id, enum tw_severity severity, const char *meaning,
		const char *cure, const char *fmt, ...)
{
	struct tw_finding *f;
	va_list ap;

	if (l->n == TW_FINDINGS_MAX)
		return;
	f = &l->v[l->n++];
	f->id = id;
	f->severity = severity;
	f->meaning = meaning;
	f->cure = cure;
	va_start(ap, fmt);
	vsnprintf(f->fact, sizeof(f->fact), fmt, ap);
	va_end(ap);
}

static void judge_host(const struct tw_facts *f, struct list *l)
{
	if (*f->clocksource && strcmp(f->clocksource, "tsc"))
		add(l, "host-clocksource", TW_WRONG,
		    "without the TSC, KVM keeps no master clock: the vCPUs' kvmclocks drift apart",
		    "look for 'clocksource' and 'TSC' in the host's kernel log",
		    "the host's clocksource is %s", f->clocksource);
	if (!f->tsc_invariant)
		add(l, "host-tsc", TW_NOTE,
		    "the host's TSC may change its rate or stop in deep sleep, and KVM cannot tell",
		    NULL, "the host's CPU does not report constant_tsc and nonstop_tsc");
	if (fabs(f->ntp_ppm) >= 1)
		add(l, "host-ntp", TW_NOTE,
		    "kvmclock and the TSC are not corrected with it: a guest without NTP of its own drifts by that",
		    "NTP in a guest that nobody warps",
		    "the host's NTP has its clock go %.3f ppm %s, %.3f s a day", fabs(f->ntp_ppm),
		    f->ntp_ppm < 0 ? "slower" : "faster", fabs(f->ntp_ppm) * 0.0864);
	if (!f->periodic_sync)
		add(l, "kvmclock-sync", TW_NOTE,
		    "kvmclock's rate is not brought up to the host's NTP every five minutes",
		    "load kvm with kvmclock_periodic_sync=1", "kvm.kvmclock_periodic_sync is off");
	if (f->min_timer_period_us > 976)
		add(l, "timer-floor", TW_WRONG,
		    "KVM makes shorter periodic timers longer: a guest at 1024 Hz or more loses time",
		    "echo 200 >/sys/module/kvm/parameters/min_timer_period_us",
		    "kvm.min_timer_period_us is %ld", f->min_timer_period_us);
	if (f->vmware_backdoor == 1)
		add(l, "vmware-backdoor", TW_LEAK,
		    "RDPMC 0x10000 and 0x10001 give the guest the host's TSC and time",
		    "load kvm with enable_vmware_backdoor=0", "kvm.enable_vmware_backdoor is on");
	if (f->tsc_tolerance_ppm > 250)
		add(l, "tsc-tolerance", TW_NOTE,
		    "KVM does not scale a TSC rate that is off by less: a guest that migrates here is",
		    "load kvm with tsc_tolerance_ppm=250, the default",
		    "kvm.tsc_tolerance_ppm is %ld", f->tsc_tolerance_ppm);
	if (!f->timer_advance)
		add(l, "timer-advance-off", TW_NOTE,
		    "a TSC-deadline tick is late by all that an entry takes, some microseconds",
		    "load kvm with lapic_timer_advance=1, the default",
		    "kvm.lapic_timer_advance is off");
	if (f->advance_ns > 5000)
		add(l, "timer-advance", TW_NOTE,
		    "KVM waits so long before a deadline, in the host, with interrupts off",
		    "load kvm with lapic_timer_advance=1 (before 6.10: lapic_timer_advance_ns=-1)",
		    "timers fire %ld ns before their deadline", f->advance_ns);
	if (!f->halt_poll_ns)
		add(l, "halt-poll-off", TW_NOTE,
		    "a halted vCPU is woken by the scheduler, later than one that is polled for",
		    "echo 200000 >/sys/module/kvm/parameters/halt_poll_ns, if latency matters",
		    "kvm.halt_poll_ns is 0");
}

static void judge_behind(const struct tw_facts *f, struct list *l)
{
	char span[48];

	add(l, "behind", TW_WRONG,
	    "its kvmclock stood: its date is that far behind, unless it was set or the guest rebooted since",
	    "twctl attach --vmm off --policy catchup --exit-when-done --param behind=TIME, with give_up=TIME above a minute; or NTP in the guest",
	    "QEMU has let it stand: its date is %s behind %s",
	    tw_format_span(span, sizeof(span), f->behind_ns) + 1, f->behind_what);
}

static void judge_vm(const struct tw_facts *f, struct list *l)
{
	if (f->state == 'T' || f->state == 't')
		add(l, "stopped", TW_WRONG, "no vCPU runs: its ticks are late, or lost, until it goes on",
		    "kill -CONT its PID, or end the debugger", "the VMM is stopped by a signal");
	else if (f->stopped)
		add(l, "stopped", TW_WRONG,
		    "its kvmclock stands, and its RTC goes on: the guest's date falls behind by that time",
		    "virsh resume, or cont in QEMU's monitor; then policy catchup, or the guest's NTP",
		    "QEMU has stopped the VM");
	if (f->behind_ns && !f->stopped)
		judge_behind(f, l);
	if (*f->left_over)
		add(l, "left-over", TW_WRONG,
		    "the guest's RTC, HPET and ACPI PM timer go by the last policy until that is done",
		    "end what is in its way, such as a debugger at QEMU; it is tried again by itself",
		    "%s", f->left_over);
	if (f->offsets_differ == 1)
		add(l, "tsc-offsets", TW_WRONG,
		    "the vCPUs' TSCs do not agree, so KVM has no master clock for this VM",
		    "restart the guest; watch with tools/bpftrace/tsc-writes.bt who writes them",
		    "the TSC offsets of its vCPUs differ");
	if (f->vcpus > 0 && f->host_cpus > 0 && f->vcpus > f->host_cpus)
		add(l, "overcommit", TW_WRONG,
		    "a vCPU that waits for a CPU takes its ticks late, and loses them beyond a period",
		    "give the guest no more vCPUs than the host has CPUs",
		    "%d vCPUs on %d CPU%s", f->vcpus, f->host_cpus, f->host_cpus == 1 ? "" : "s");
}

/* What KVM has counted, and what became of its ticks while doctor watched */
static void judge_counts(const struct tw_facts *f, struct list *l)
{
	char avg[16], max[16];
	unsigned int i;

	if (f->stats && f->poll_vain_ns > 1000000000 && f->poll_vain_ns / 4 > f->poll_ok_ns)
		add(l, "halt-poll-vain", TW_NOTE,
		    "the host's CPU spins for halted vCPUs and is seldom the faster for it",
		    "echo 50000 >/sys/module/kvm/parameters/halt_poll_ns, or 0",
		    "halt polling: %llu ms in vain, %llu ms with success",
		    f->poll_vain_ns / 1000000, f->poll_ok_ns / 1000000);
	if (f->attached && !f->factor_met)
		add(l, "factor", TW_NOTE, "it was bounded, or rounded to what the hardware's ratio can",
		    "twctl status shows both, and the limits", "the factor in force is not the one asked");
	if (f->attached && f->warp_lost_ticks)
		add(l, "warp-lost-ticks", TW_WRONG,
		    "at this factor the host cannot deliver them all; they were skipped in phase",
		    "a lower factor, or a guest kernel with fewer ticks (HZ, nohz)",
		    "%llu ticks lost since the policy was attached", f->warp_lost_ticks);
	if (f->attached && f->warp_floors)
		add(l, "warp-floors", TW_NOTE, "KVM made timers of the guest wait for the floor",
		    "a lower factor, or a lower kvm.timewarp_floor_ns",
		    "%llu timers asked for less than the floor", f->warp_floors);
	for (i = 0; i < TRACE_NR_SOURCES; i++) {
		const struct tw_watched *w = &f->watched[i];

		if (w->seen && (w->lost || w->owed))
			add(l, "ticks-lost", TW_WRONG,
			    "the guest gets fewer ticks than it has asked for, or gets them late",
			    "twctl hist shows whose fault it is: host, vCPU or guest",
			    "%s: %llu ticks lost, %llu owed, of %llu", tw_source_name(i), w->lost,
			    w->owed, w->ticks + w->lost);
		if (w->seen && w->p99_ns > 1000000)
			add(l, "ticks-late", TW_NOTE,
			    "one in a hundred ticks comes more than a millisecond after its deadline",
			    "twctl hist shows whose fault it is: host, vCPU or guest",
			    "%s: late by %s, at most %s", tw_source_name(i),
			    tw_short_ns(avg, sizeof(avg), w->avg_ns),
			    tw_short_ns(max, sizeof(max), w->max_ns));
	}
	/* An idle guest, too, finds its CPU taken now and then */
	if (f->world.steal_ns > f->world.span_ns / 100 &&
	    f->world.steal_ns > (f->world.run_ns + f->world.steal_ns) / 20)
		add(l, "steal", TW_WRONG,
		    "the guest waits for CPUs that others have; its ticks come late meanwhile",
		    "fewer vCPUs or VMs on this host, or pin them; twctl stat --cpu goes on watching",
		    "%llu %% of the time in which its vCPUs could have run was stolen",
		    (unsigned long long)(f->world.steal_ns * 100 /
					 (f->world.run_ns + f->world.steal_ns)));
	/* A VMM that handles an exit is not still for so long */
	if (f->still_ns > 50000000 && f->state != 'T' && f->state != 't')
		add(l, "was-stopped", TW_WRONG,
		    "its ticks came late, or were lost, until it went on",
		    "see who stops it: the VMM's monitor, a signal, a snapshot, the host's swap",
		    "no vCPU ran, nor wanted to, nor was halted, for %llu ms", f->still_ns / 1000000);
	if (f->back)
		add(l, "clock-back", TW_WRONG, "what the guest has measured by it is wrong, or negative",
		    "twctl trace clock tells who moves it", "%llu backward jumps of its clocks", f->back);
	if (f->forward)
		add(l, "clock-forward", TW_NOTE, "time-outs run off early",
		    "twctl trace clock tells who moves it", "%llu forward jumps of its clocks", f->forward);
	if (f->catchup)
		add(l, "tsc-catchup", TW_WRONG, "the guest's TSC stands and jumps",
		    "take tsc-frequency out of -cpu, or use a CPU that scales",
		    "KVM keeps up its TSC by catch-up");
	if (!f->stable)
		add(l, "no-master-clock", TW_WRONG,
		    "each vCPU's kvmclock runs on its own, and reading it takes an exit or a lock",
		    "tools/bpftrace/master-clock.bt shows when it goes, tsc-writes.bt who writes TSCs",
		    "its kvmclock lacks the stable bit: no master clock");
}

/* A clock that QEMU keeps: what becomes of it at a factor */
static void judge_kept(struct list *l, const char *id, enum tw_vmm_clocks by, const char *why,
		       const char *cure, const char *fact)
{
	if (by == TW_VMM_FOLLOW)
		return;
	if (by == TW_VMM_COULD)
		add(l, id, TW_NOTE, "QEMU keeps it; it follows the factor by probes on QEMU",
		    "nothing, or: twctl attach without --vmm off", "%s", fact);
	else
		add(l, id, TW_LEAK, "QEMU keeps it, and it stays on host time", cure, "%s%s%s", fact,
		    *why ? "; " : "", why);
}

static void judge_rtc(const struct tw_facts *f, struct list *l)
{
	const struct tw_qemu_time *q = &f->q;
	char rtc[64];

	if (!q->rtc)
		return;
	snprintf(rtc, sizeof(rtc), "RTC: base %s, clock %s",
		 q->rtc_localtime ? "localtime" : q->rtc_fixed ? "a date" : "utc",
		 q->rtc_clock_vm ? "vm" : "host");
	judge_kept(l, "rtc", f->vmm_rtc, f->vmm_rtc_why,
		   "keep the guest from reading it once it is up (hwclock, Windows' clock)", rtc);
	if (!q->rtc_slew)
		add(l, "rtc-discard", TW_NOTE,
		    "periodic RTC interrupts that are coalesced are lost: Windows without hv-time falls behind",
		    "-rtc driftfix=slew, if the guest keeps time by the RTC",
		    "lost-tick policy of the RTC: discard");
	if (q->rtc_localtime)
		add(l, "rtc-localtime", TW_NOTE, "a guest that takes it for UTC is hours off",
		    "-rtc base=utc for anything but Windows", "-rtc base=localtime");
}

static void judge_devices(const struct tw_facts *f, struct list *l)
{
	const struct tw_qemu_time *q = &f->q;

	if (q->irqchip == TW_IRQCHIP_USER) {
		add(l, "irqchip-off", TW_WRONG, "LAPIC and PIT are QEMU's: late under load",
		    "take kernel-irqchip=off out of -machine", "kernel-irqchip=off");
		judge_kept(l, "lapic", f->vmm, f->vmm_why, "kernel-irqchip=on",
			   "LAPIC timer and PIT of QEMU");
	}
	if (q->irqchip == TW_IRQCHIP_SPLIT && q->pit)
		judge_kept(l, "irqchip-split", f->vmm, f->vmm_why, "kernel-irqchip=on",
			   "PIT of QEMU: kernel-irqchip=split");
	if (q->hpet)
		judge_kept(l, "hpet", f->vmm, f->vmm_why,
			   "hpet=off in -machine (before QEMU 8: -no-hpet)", "the guest has an HPET");
	if (f->reads.hpet)
		add(l, "reads-hpet", TW_NOTE,
		    "each reading takes the guest to QEMU; twctl jump takes leaps of 10 s, as this clock bears no more",
		    "clocksource=kvm-clock or tsc, on the guest's command line, unless it has none",
		    "the guest reads its HPET, %.1f times a second", f->reads.hpet * 1e9 / f->watched_ns);
	if (f->reads.pm_timer)
		add(l, "reads-acpi-pm", TW_NOTE,
		    "each reading takes the guest to QEMU; twctl jump takes leaps of 1 s, as this clock bears no more",
		    "clocksource=kvm-clock or tsc, on the guest's command line, unless it has none",
		    "the guest reads its ACPI PM timer, %.1f times a second",
		    f->reads.pm_timer * 1e9 / f->watched_ns);
	if (q->acpi_pm)
		judge_kept(l, "acpi-pm", f->vmm, f->vmm_why,
			   "keep the guest from clocksource acpi_pm", "the guest has an ACPI PM timer");
	if (q->pit && q->irqchip == TW_IRQCHIP_KERNEL && q->pit_discard)
		add(l, "pit-discard", TW_NOTE,
		    "PIT ticks are not made up for: a guest that counts them falls behind",
		    "-global kvm-pit.lost_tick_policy=delay, if the guest counts ticks",
		    "lost-tick policy of the PIT: discard");
	if (f->iothread_uring)
		add(l, "iothread", f->attached ? TW_LEAK : TW_NOTE,
		    "timers of its iothreads, as of throttled disks, stay on host time",
		    "no -object iothread, if such timers matter", "an event loop of QEMU waits by io_uring");
}

static void judge_cpu(const struct tw_qemu_time *q, struct list *l)
{
	if (!q->kvmclock && !q->hv_time)
		add(l, "no-kvmclock", TW_WRONG,
		    "the guest has no paravirtual clock: TSC or HPET, without correction, or ticks",
		    "take -kvmclock, kvmclock=off or kvm=off out of -cpu", "kvmclock is switched off");
	if (q->kvmclock)
		add(l, "ptp-kvm", TW_NOTE,
		    "a guest that loads ptp_kvm follows KVM's wall clock, which is at the factor too",
		    NULL, "clock pairing (KVM_HC_CLOCK_PAIRING) is within the guest's reach");
	if (!q->invtsc)
		add(l, "no-invtsc", TW_NOTE,
		    "the guest does not take the TSC as clocksource by itself; kvm-clock serves it well",
		    NULL, "-cpu has no invtsc");
	if (*q->tsc_frequency)
		add(l, "tsc-frequency", TW_NOTE,
		    "without TSC scaling the rate is met by catch-up, and the guest's TSC jumps",
		    "twctl probe shows whether this CPU scales", "tsc-frequency=%s", q->tsc_frequency);
}

static void judge_outside(const struct tw_qemu_time *q, struct list *l)
{
	if (q->agent)
		add(l, "guest-agent", TW_LEAK,
		    "the host may set the guest's clock (guest-set-time, on resume in libvirt)",
		    "stop qemu-guest-agent in the guest", "a channel of the guest agent");
	if (q->shares)
		add(l, "shares", TW_LEAK, "files there have the host's dates: make, backups and caches compare them with its own",
		    "copy what is needed into the guest", "files of the host are shared with the guest (9p, virtiofs)");
	if (q->watchdog)
		add(l, "watchdog", TW_NOTE,
		    "a guest that is too slow to pet it, at a high factor, is reset or powered off",
		    "-action watchdog=none, or a lower factor", "the guest has a hardware watchdog");
	if (q->itco)
		add(l, "watchdog-itco", TW_NOTE,
		    "where the guest has armed it (systemd's RuntimeWatchdogSec) and is too slow to pet it, it is reset",
		    "-global ICH9-LPC.enable_tco=off, or leave RuntimeWatchdogSec off",
		    "the guest has q35's own watchdog (iTCO)");
	if (q->network)
		add(l, "network", TW_LEAK, "TLS peers and whoever else tells the date see another one",
		    "leave out -nic and -netdev, or give it a network with servers that are warped alike", "the guest has a network");
	if (q->network)
		add(l, "ntp", TW_LEAK, "if it has an NTP client, that works against the factor: below some 8 % it cancels it, above it steps the clock",
		    "stop chrony, ntpd or systemd-timesyncd in the guest; which it has cannot be seen from outside",
		    "by its network the guest can reach the host's time");
}

const char *tw_clocks_offered(const struct tw_qemu_time *q, char *buf, size_t size)
{
	snprintf(buf, size, "%s%s%s%s%s%s", q->kvmclock ? "kvm-clock " : "",
		 q->hv_time ? "hyperv_clocksource_tsc_page " : "", q->xen ? "xen " : "",
		 q->invtsc ? "tsc " : "tsc(not-invariant) ", q->hpet ? "hpet " : "",
		 q->acpi_pm ? "acpi_pm " : "");
	return buf;
}

static int worst_first(const void *a, const void *b)
{
	const struct tw_finding *x = a, *y = b;

	if (x->severity != y->severity)
		return x->severity < y->severity ? -1 : 1;
	return strcmp(x->id, y->id);
}

size_t tw_diagnose(const struct tw_facts *f, struct tw_finding found[TW_FINDINGS_MAX])
{
	struct list l = { found, 0 };

	judge_host(f, &l);
	judge_vm(f, &l);
	judge_counts(f, &l);
	if (f->is_qemu) {
		judge_devices(f, &l);
		judge_rtc(f, &l);
		judge_cpu(&f->q, &l);
		judge_outside(&f->q, &l);
	} else {
		add(&l, "vmm-unknown", TW_NOTE, "its clocks, timers and channels are not judged", NULL,
		    "the VMM is not QEMU");
	}
	qsort(found, l.n, sizeof(*found), worst_first);
	return l.n;
}
