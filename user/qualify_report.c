// SPDX-License-Identifier: GPL-2.0
/* What twctl qualify says of a host: rows for people, which also are its report, and one object for programs. */
#include "qualify.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host.h"
#include "trace_names.h"

void tw_qualify_say(const struct qualify *q, const char *fmt, ...)
{
	FILE *to[] = { q->args->json ? NULL : stdout, q->report };
	va_list ap;
	size_t i;

	for (i = 0; i < 2; i++) {
		if (!to[i])
			continue;
		va_start(ap, fmt);
		tw_vfprintf(to[i], fmt, ap);
		va_end(ap);
		fflush(to[i]);
	}
}

void tw_qualify_show_host(const struct qualify *q)
{
	const struct host *h = &q->host;

	tw_qualify_say(q, "twctl %s, hook ABI %d%s\n", tw_version(), tw_host_abi(), q->args->quick ? ", --quick" : "");
	tw_qualify_say(q, "CPU      %s (%s family %s model %s stepping %s, microcode %s), %ld of them%s\n", h->model, h->vendor,
	    h->family, h->cpu_model, h->stepping, h->microcode, h->cpus, h->virtual ? ", in a virtual machine" : "");
	tw_qualify_say(q, "kernel   %s, %s, clocksource %s\n", h->kernel.release, h->kvm, h->clocksource);
	tw_qualify_say(q, "TSC      %s\n", h->scales ? "the CPU scales its guests'" : "the CPU does not scale its guests'");
	if (!h->hyperv || !h->xen)
		tw_qualify_say(q, "KVM      built without%s%s: those clocks are not tried\n", h->hyperv ? "" : " Hyper-V",
		    h->xen ? "" : " Xen");
	if (h->emulated)
		tw_qualify_say(q, "note     under QEMU's emulation, which keeps TSC_AUX from KVM: that is not judged\n");
	if (h->other_vms)
		tw_qualify_say(q, "note     %zu other VMs run here: what is late and what costs are worth less\n", h->other_vms);
	tw_qualify_say(q, "\n");
}

void tw_qualify_show_row(const struct qualify *q, const struct row *r)
{
	const double *f = r->got.figure;
	char late[16], held[16], bits[40] = "";
	size_t i;

	tw_short_ns(late, sizeof(late), f[TW_BARE_LATE_NS] > 0 ? f[TW_BARE_LATE_NS] : 0);
	tw_short_ns(held, sizeof(held), r->st.held_max_ns);
	if (r->mode && !strcmp(r->mode, "scaled") && r->kind == CLOCKS)
		snprintf(bits, sizeof(bits), "; ratio of %u fractional bits", r->st.tsc_frac_bits);
	tw_qualify_say(q, "%-7s %-24s ", r->holds ? "ok" : "not ok", r->name);
	if (!r->holds)
		tw_qualify_say(q, "%zu of %u checks do not hold\n", r->got.failed.n, r->got.checks);
	else if (r->kind == CLOCKS)
		tw_qualify_say(q, "clocks agree to %.0f ns in %.0f readings; %.0f timers, none early or lost, late by %s of guest time at most%s\n",
		    f[TW_BARE_APART_NS], f[TW_BARE_READINGS], f[TW_BARE_TIMERS], late, bits);
	else if (r->kind == DEVICES)
		tw_qualify_say(q, "%.0f timers, none early or lost, late by %s of guest time at most\n", f[TW_BARE_TIMERS], late);
	else if (r->kind == CHANGES)
		tw_qualify_say(q, "no step in %.0f readings, clocks agree to %.0f ns; vCPUs held for %s at most\n",
		    f[TW_BARE_READINGS], f[TW_BARE_APART_NS], held);
	else
		tw_qualify_say(q, "a reading takes: TSC %.1f ns, kvmclock %.1f ns\n", f[TW_BARE_TSC_READ_NS],
		    f[TW_BARE_KVMCLOCK_READ_NS]);
	for (i = 0; i < r->got.failed.n; i++)
		tw_qualify_say(q, "%-7s %-24s %s\n", "", "", r->got.failed.v[i]);
}

static void write_number(struct tw_json *j, const char *key, double value)
{
	if (value < 0)
		tw_json_null(j, key);
	else
		tw_json_u64(j, key, value + 0.5);
}

static void write_row(struct tw_json *j, const struct row *r)
{
	const double *f = r->got.figure;
	size_t i;

	tw_json_open(j, NULL, '{');
	tw_json_str(j, "name", r->name);
	tw_json_str(j, "tsc_mode", r->mode);
	tw_json_str(j, "factor", r->factor);
	tw_json_bool(j, "holds", r->holds);
	tw_json_int(j, "made", r->got.checks);
	tw_json_open(j, "failed", '[');
	for (i = 0; i < r->got.failed.n; i++)
		tw_json_str(j, NULL, r->got.failed.v[i]);
	tw_json_close(j, ']');
	tw_json_u64(j, "held_max_ns", r->st.held_max_ns);
	tw_json_int(j, "tsc_frac_bits", r->st.tsc_frac_bits);
	write_number(j, "readings", f[TW_BARE_READINGS]);
	write_number(j, "apart_ns", f[TW_BARE_APART_NS]);
	write_number(j, "line_ns", f[TW_BARE_LINE_NS]);
	write_number(j, "rate_off_ppb", f[TW_BARE_RATE_PPM] * 1000);
	write_number(j, "fired", f[TW_BARE_TIMERS]);
	write_number(j, "late_max_ns", f[TW_BARE_LATE_NS]);
	write_number(j, "tsc_read_ps", f[TW_BARE_TSC_READ_NS] * 1000);
	write_number(j, "kvmclock_read_ps", f[TW_BARE_KVMCLOCK_READ_NS] * 1000);
	tw_json_close(j, '}');
}

void tw_qualify_write(const struct qualify *q)
{
	const struct host *h = &q->host;
	struct tw_json j = { .f = stdout };
	size_t i;

	tw_json_open(&j, NULL, '{');
	tw_json_bool(&j, "qualified", !q->bad);
	tw_json_bool(&j, "quick", q->args->quick);
	tw_json_str(&j, "version", tw_version());
	tw_json_int(&j, "kernel_abi", tw_host_abi());
	tw_json_str(&j, "cpu_model", h->model);
	tw_json_str(&j, "cpu_vendor", h->vendor);
	tw_json_str(&j, "cpu_family", h->family);
	tw_json_str(&j, "cpu_number", h->cpu_model);
	tw_json_str(&j, "cpu_stepping", h->stepping);
	tw_json_str(&j, "microcode", h->microcode);
	tw_json_int(&j, "cpus", h->cpus);
	tw_json_bool(&j, "in_vm", h->virtual);
	tw_json_str(&j, "kernel", h->kernel.release);
	tw_json_str(&j, "kvm_module", h->kvm);
	tw_json_str(&j, "host_clocksource", h->clocksource);
	tw_json_bool(&j, "tsc_scaling", h->scales);
	tw_json_int(&j, "other_vms", h->other_vms);
	tw_json_open(&j, "cases", '[');
	for (i = 0; i < q->n; i++)
		write_row(&j, &q->row[i]);
	tw_json_close(&j, ']');
	tw_json_close(&j, '}');
	tw_json_end(&j);
}
