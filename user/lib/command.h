/* SPDX-License-Identifier: GPL-2.0 */
/* QEMU's command line as twctl run gives it: what it adds to one, and one for a disk image. */
#ifndef TW_COMMAND_H
#define TW_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* Words of a command line, each its own; v ends with NULL */
struct tw_words {
	char **v;
	size_t n;
};

void tw_words_add(struct tw_words *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void tw_words_free(struct tw_words *w);

/* As a shell takes it, to be freed; nothing is quoted that need not be */
char *tw_words_shell(const struct tw_words *w);

/* A guest made of a disk image */
struct tw_image {
	const char *path;
	const char *format;		/* qcow2, raw */
	const char *name;		/* of the guest */
	const char *folder;		/* for the sockets of monitor and agent */
	uint64_t memory_mib;
	uint64_t cpus;
	uint64_t ssh;			/* port of this host's, 0 for none */
	bool snapshot;			/* what it writes is gone when it ends */
	bool silent;			/* its console is not for ours */
};

/**
 * tw_command_image - compose QEMU's command line for a disk image
 * @image: what is wanted
 * @w: result
 *
 * A q35 with virtio for disk, network, channel of the agent, balloon and random numbers; its serial
 * console on ours, unless silent; user network; sockets where twctl age finds them.
 */
void tw_command_image(const struct tw_image *image, struct tw_words *w);

/* A guest's name out of an image's path: without folder and suffix */
char *tw_command_name(const char *path);

/* What twctl run adds */
struct tw_command_start {
	const char *name;		/* of the guest; NULL: as the command line has it */
	bool date;			/* whether it is to begin at one */
	uint64_t date_ns;		/* since 1970 */
	int monitor;			/* descriptor of QEMU's end of a socket for QMP */
};

/**
 * tw_command_start - have QEMU start a guest stopped, with a monitor of ours
 * @s: what is wanted
 * @w: the command line, which is added to
 * @e: error: it says something that contradicts
 *
 * The date is the RTC's, which stands with the guest and runs by its time, unless the command line says
 * by which clock it runs.
 *
 * Return: 0 or TW_USAGE
 */
int tw_command_start(const struct tw_command_start *s, struct tw_words *w, struct tw_err *e);

#endif /* TW_COMMAND_H */
