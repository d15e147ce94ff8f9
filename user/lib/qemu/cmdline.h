/* SPDX-License-Identifier: GPL-2.0 */
/* What a VMM's command line says about its guest, and about its guest's time. */
#ifndef TW_QEMU_CMDLINE_H
#define TW_QEMU_CMDLINE_H

#include <stdbool.h>
#include <stddef.h>

struct tw_guest_names {
	char *name;		/* -name [guest=]NAME, libvirt's domain name too; or NULL */
	char *uuid;		/* -uuid UUID, in lower case with dashes; or NULL */
};

/**
 * tw_qemu_names - read a guest's name and UUID off QEMU's command line
 * @argv: the contents of /proc/PID/cmdline: strings, each ended by a NUL byte
 * @len: of @argv
 * @names: result, to be freed with tw_guest_names_free()
 *
 * Walks the options as QEMU does, so that a "-name" which is another option's argument is not
 * mistaken for one.
 */
void tw_qemu_names(const char *argv, size_t len, struct tw_guest_names *names);

/* Whether a process is QEMU, by its program's name: qemu-system-x86_64, qemu-kvm, or kvm */
bool tw_is_qemu(const char *program, const char *comm);

/* A walk over QEMU's options, with the same care */
struct tw_qemu_option {
	const char *option;		/* without its dashes */
	const char *arg;		/* NULL for an option that takes none */
	const char *next, *end;
};

void tw_qemu_walk_start(struct tw_qemu_option *o, const char *argv, size_t len);

/* Moves on to the next option; false at the end */
bool tw_qemu_walk(struct tw_qemu_option *o);

void tw_guest_names_free(struct tw_guest_names *names);

/**
 * tw_uuid_normalize - bring a UUID into its usual form
 * @text: 32 hexadecimal digits, in groups of 8-4-4-4-12 or without dashes
 * @uuid: result, 37 bytes
 *
 * Return: false if @text is no UUID
 */
bool tw_uuid_normalize(const char *text, char uuid[37]);

enum tw_irqchip { TW_IRQCHIP_KERNEL, TW_IRQCHIP_SPLIT, TW_IRQCHIP_USER };

/* Time in QEMU's command line: what it asks for, with QEMU's defaults where it is silent */
struct tw_qemu_time {
	bool hpet;			/* on where it is not switched off */
	bool acpi_pm;
	bool pit;
	bool pit_discard;		/* kvm-pit.lost_tick_policy=discard; the default is delay */
	bool microvm;			/* which has what it is told to have */
	bool rtc;			/* there is one */
	bool rtc_slew;			/* driftfix=slew, lost_tick_policy=slew */
	bool rtc_localtime;
	bool rtc_clock_vm;		/* clock=vm: stands while the VM is stopped */
	bool rtc_fixed;			/* base= names a date: */
	char rtc_base[32];
	bool incoming;			/* begins with the state of another process */
	enum tw_irqchip irqchip;
	bool kvmclock;
	bool hv_time, hv_stimer, xen;
	bool invtsc;
	char tsc_frequency[24];		/* in Hz, or empty */
	bool agent;			/* a channel of the guest agent */
	bool network;
	bool shares;			/* files of the host, by 9p or virtiofs */
	bool watchdog;			/* a hardware watchdog that was asked for */
	bool itco, no_itco;		/* the one that q35 has by itself; -global ICH9-LPC.enable_tco=off */
	bool iothread;			/* event loops beside the main one */
};

/**
 * tw_qemu_time_parse - read what concerns time off QEMU's command line
 * @argv: the contents of /proc/PID/cmdline: strings, each ended by a NUL byte
 * @len: of @argv
 * @t: result
 *
 * Later options win over earlier ones, as in QEMU.  What -readconfig names is not read.
 */
void tw_qemu_time_parse(const char *argv, size_t len, struct tw_qemu_time *t);

#endif /* TW_QEMU_CMDLINE_H */
