// SPDX-License-Identifier: GPL-2.0
/* The tracer's words and short numbers: no system calls here, so that unit tests reach all of it. */
#include <stdio.h>
#include <string.h>

#include "trace_names.h"

static const char *const sources[] = {
	[TRACE_ONESHOT] = "oneshot",
	[TRACE_PERIODIC] = "periodic",
	[TRACE_DEADLINE] = "deadline",
	[TRACE_PIT] = "pit",
	[TRACE_RTC] = "rtc",
	[TRACE_IRQ0] = "irq0",
	[TRACE_STIMER] = "stimer",
	[TRACE_XEN] = "xen",
	[TRACE_HV] = "hvtimer",
	[TRACE_NR_SOURCES] = "-",
};

const char *tw_source_name(unsigned int source)
{
	return sources[source < TRACE_NR_SOURCES ? source : TRACE_NR_SOURCES];
}

const char *tw_subject_name(const char *program)
{
	static const struct {
		const char *prefix, *name;
	} subjects[] = {
		{ "lapic_", "LAPIC timers" },	{ "pit_", "KVM's PIT" },
		{ "ioapic_", "RTC and IRQ 0 on the I/O APIC" },
		{ "pic_", "RTC and IRQ 0 on the PIC" },
		{ "stimer", "Hyper-V's timers" }, { "xen_", "Xen's timers" },
		{ "clock_", "kvmclock" },	{ "tsc_", "TSC writes" },
		{ "master_", "the master clock" }, { "svm_", "deliveries" },
		{ "vmx_", "deliveries" },	{ "apicv_", "deliveries" },
	};
	size_t i;

	for (i = 0; i < sizeof(subjects) / sizeof(*subjects); i++)
		if (!strncmp(program, subjects[i].prefix, strlen(subjects[i].prefix)))
			return subjects[i].name;
	return program;
}

int tw_source_parse(const char *name)
{
	int i;

	for (i = 0; i < TRACE_NR_SOURCES; i++)
		if (!strcmp(name, sources[i]))
			return i;
	return -1;
}

const char *tw_part_name(unsigned int part)
{
	static const char *const names[] = { "host", "inject", "entry", "total" };

	return part < TRACE_NR_PARTS ? names[part] : "?";
}

const char *tw_cause_name(unsigned int cause)
{
	static const char *const names[] = { "update", "vmm", "guest", "master", "catchup",
					     "timeline" };

	return cause < TRACE_NR_CAUSES ? names[cause] : "?";
}

const char *tw_kind_name(unsigned int kind)
{
	static const char *const names[] = {
		"armed", "delivered", "lost", "reinjected", "kvmclock", "tsc", "master", "pvclock",
		"backlog", "gone", "segment", "clamp", "exit",
	};

	return kind < TRACE_NR_KINDS ? names[kind] : "?";
}

const char *tw_loss_name(unsigned int loss)
{
	static const char *const names[] = { "pending", "clamped", "coalesced", "dropped" };

	return loss <= TRACE_LOST_DROPPED ? names[loss] : "?";
}

const char *tw_change_name(const struct trace_event *ev)
{
	static const char *const names[] = { "start", "rate", "stop" };

	return (unsigned char)ev->text[0] < 3 ? names[(unsigned char)ev->text[0]] : "?";
}

const char *tw_lost_policy(unsigned int source, const struct trace_stats *s)
{
	switch (source) {
	case TRACE_PERIODIC:
	case TRACE_STIMER:
		return "merge";		/* one stays pending, the others are gone */
	case TRACE_PIT:
		return s->reinject ? "delay" : "discard";
	case TRACE_RTC:
		return s->policy == TRACE_POLICY_CATCHUP ? "catchup" :
		       s->policy == TRACE_POLICY_DISCARD ? "discard" : "-";
	default:
		return "-";		/* one-shot, or the VMM's affair */
	}
}

const char *tw_short_ns(char *buf, size_t size, uint64_t ns)
{
	static const struct {
		uint64_t unit;
		const char *name;
	} units[] = { { 1000000000, "s" }, { 1000000, "ms" }, { 1000, "us" } };
	size_t i;

	for (i = 0; i < 3; i++) {
		double v = (double)ns / units[i].unit;
		int room = 5 - (int)strlen(units[i].name);

		if (ns < units[i].unit)
			continue;
		snprintf(buf, size, "%.*f%s", v < 9.995 && room > 3 ? 2 : v < 99.95 ? 1 : 0, v,
			 units[i].name);
		return buf;
	}
	snprintf(buf, size, "%uns", (unsigned int)ns);
	return buf;
}

const char *tw_short_count(char *buf, size_t size, uint64_t n, int width)
{
	static const char letters[] = "kMGTP";
	char text[32];
	int i;

	snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	for (i = 0; (int)strlen(text) > width && letters[i]; i++) {
		n /= 1000;
		snprintf(text, sizeof(text), "%llu%c", (unsigned long long)n, letters[i]);
	}
	snprintf(buf, size, "%s", text);
	return buf;
}
