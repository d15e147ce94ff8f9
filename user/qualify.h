/* SPDX-License-Identifier: GPL-2.0 */
/* Between twctl qualify and what it says. */
#ifndef TW_QUALIFY_H
#define TW_QUALIFY_H

#include <stdio.h>
#include <sys/utsname.h>

#include "bare.h"
#include "twctl.h"

enum kind { CLOCKS, DEVICES, CHANGES, COSTS };

struct row {
	enum kind kind;
	const char *mode, *factor;	/* NULL: nobody is attached */
	char name[40];
	struct tw_bare got;
	bool holds;
	struct tw_state st;		/* as it was while attached, or after the changes */
};

struct host {
	char model[128], vendor[32], family[8], cpu_model[8], stepping[8], microcode[24], clocksource[32];
	struct utsname kernel;
	const char *kvm;
	bool virtual, emulated, scales, hyperv, xen;
	long cpus;
	size_t other_vms;
};

struct qualify {
	const struct tw_args *args;
	char *vmm;
	FILE *report;			/* or NULL */
	struct host host;
	struct row row[20];
	size_t n, bad;
	uint64_t deadline;		/* of the case that runs */
};

/* For people, and what they send in */
void tw_qualify_say(const struct qualify *q, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void tw_qualify_show_host(const struct qualify *q);
void tw_qualify_show_row(const struct qualify *q, const struct row *r);
/* All of it as JSON */
void tw_qualify_write(const struct qualify *q);

#endif /* TW_QUALIFY_H */
