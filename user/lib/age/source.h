/* SPDX-License-Identifier: GPL-2.0 */
/* Where samples come from; each may be missing, and says so in the recording. */
#ifndef TW_AGE_SOURCE_H
#define TW_AGE_SOURCE_H

#include <jansson.h>

#include "age/record.h"
#include "age/talk.h"
#include "vm.h"

/* Sockets of QEMU that its command line names; NULL where it names none */
struct tw_channels {
	char *monitor, *agent;
	char *domain;			/* libvirt's, which is connected to them then: its UUID */
	bool has_agent;			/* that domain has a channel for one */
};

/**
 * tw_channels_find - find QMP's socket and the agent's on QEMU's command line
 * @argv: the contents of /proc/PID/cmdline
 * @len: of @argv
 * @c: result, to be freed
 *
 * Understands -qmp unix:PATH, and what libvirt writes: -uuid, and a monitor whose chardev is called charmonitor; -chardev socket with -mon mode=control, and the agent's virtserialport.
 */
void tw_channels_find(const char *argv, size_t len, struct tw_channels *c);
void tw_channels_free(struct tw_channels *c);

struct tw_sources {
	const struct tw_vm *vm;
	struct tw_channels channels;
	struct tw_talk monitor, agent;
	json_t *failed;			/* units that were failed at the last sample */
	char *zone;			/* the guest's, once it is known */
	double last;			/* the guest's time of the last sample */
	int late;			/* samples in a row that the agent did not answer */
	unsigned long samples, try_at;	/* how many there were; with which an agent that is not connected is tried again */
};

/**
 * tw_sources_open - connect to what there is
 * @s: result, to be closed
 * @vm: the VM; it must outlive @s
 * @rec: is told what is missing
 */
void tw_sources_open(struct tw_sources *s, const struct tw_vm *vm, struct tw_recorder *rec);
void tw_sources_close(struct tw_sources *s);

/* The guest's own clock, by its agent; 0 where that does not answer */
double tw_sources_time(struct tw_sources *s);

/* Puts all values of now into @rec; @t is the guest's time */
void tw_sources_sample(struct tw_sources *s, double t, struct tw_recorder *rec);

/**
 * tw_guest_facts - understand what guest.sh has printed
 * @text: lines; those that make no sense are passed over: the guest may lie
 * @t: the guest's time
 * @s: remembers failed units and the zone
 * @rec: the recording
 */
void tw_guest_facts(char *text, double t, struct tw_sources *s, struct tw_recorder *rec);

/* QEMU through QMP; and what its process, KVM and the timeline know */
void tw_sample_monitor(struct tw_sources *s, struct tw_recorder *rec);
void tw_sample_host(struct tw_sources *s, struct tw_recorder *rec);

#endif /* TW_AGE_SOURCE_H */
