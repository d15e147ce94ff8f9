/* SPDX-License-Identifier: GPL-2.0 */
/* The VMs that a long look comes across, by PID-FD: their names, and where their time went. */
#ifndef TW_ROSTER_H
#define TW_ROSTER_H

#include <stdbool.h>
#include <stddef.h>

#include "vm.h"
#include "world.h"

struct tw_known {
	char id[32];
	bool found;			/* among the VMs of the host; else it is looked for again */
	char *name, *uuid;		/* the guest's; NULL if it has none */
	struct tw_world look;		/* the last one */
	struct tw_shares shares;	/* since it was first seen */
	struct tw_shares before;	/* as they were when the interval began */
};

struct tw_roster {
	struct tw_known **v;
	size_t n;
	struct tw_vms vms;
	bool scanned;			/* in this interval */
};

/**
 * tw_roster_of - who that is
 * @r: zeroed at first, to be freed
 * @id: PID-FD
 *
 * Looks for VMs when it is one that is not known yet, once in an interval.
 *
 * Return: valid until it is forgotten; without names if nobody knows them
 */
struct tw_known *tw_roster_of(struct tw_roster *r, const char *id);

/* A new interval begins: what has been said of shares so far was before it */
void tw_roster_interval(struct tw_roster *r);

/* Looks where the time of a VM's vCPUs went, and adds it to its shares */
void tw_roster_look(struct tw_roster *r, const char *id);

/* The VM has gone: another may have its PID-FD next */
void tw_roster_forget(struct tw_roster *r, const char *id);

void tw_roster_free(struct tw_roster *r);

/* " NAME" where a guest has one, for the end of a line of text; "" */
const char *tw_known_suffix(const struct tw_known *k, char *buf, size_t size);

#endif /* TW_ROSTER_H */
