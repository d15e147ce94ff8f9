/* SPDX-License-Identifier: GPL-2.0 */
/* QEMU as a child of ours: started stopped, as the user who asked for it, and ended in order. */
#ifndef TW_LAUNCH_H
#define TW_LAUNCH_H

#include <stdbool.h>
#include <sys/types.h>

#include "age/talk.h"
#include "command.h"
#include "err.h"
#include "qemu/keeper.h"

/* Who QEMU is to be */
struct tw_owner {
	bool other;		/* not whom we are */
	uid_t uid;
	gid_t gid;
	char name[64], home[256];
};

/* The user who called sudo, where that is one of group kvm, else whom we are */
void tw_owner_find(struct tw_owner *o);

/* A folder for sockets of a guest, /run/twctl/PID, that its owner alone may enter; those of the dead go */
#define TW_LAUNCH_ROOT "/run/twctl"
int tw_folder_make(const struct tw_owner *o, char **folder, struct tw_err *e);
void tw_folder_remove(const char *folder);

struct tw_launch {
	pid_t pid;		/* 0: not started, or waited for */
	int pidfd;		/* likewise; -1 */
	struct tw_keeper guard;	/* ends it when we are killed */
	int monitor[2];		/* ours and QEMU's end, before it is started; -1 */
	struct tw_talk talk;
};

/* Makes the monitor's two ends; 0 or an exit status */
int tw_launch_prepare(struct tw_launch *l, struct tw_err *e);

/**
 * tw_launch_start - start QEMU, and agree with its monitor
 * @l: prepared
 * @command: with l->monitor[1] as its monitor
 * @o: who it is to be
 * @e: error; QEMU has then ended
 *
 * It hears neither Ctrl-C nor of a hang-up: what to do then is for us to say. It ends when we do.
 *
 * Return: 0 or an exit status
 */
int tw_launch_start(struct tw_launch *l, const struct tw_words *command, const struct tw_owner *o,
		    struct tw_err *e);

/* Has the guest go */
int tw_launch_cont(struct tw_launch *l, struct tw_err *e);

/* The guest's power button; and QEMU's end, guest or not. What it answers does not matter. */
void tw_launch_powerdown(struct tw_launch *l);
void tw_launch_quit(struct tw_launch *l);

/* Ends QEMU at once, for a process whose child it is not; one that has ended already is left alone */
void tw_launch_kill(const struct tw_launch *l);

/* To be called when QEMU says something: nobody wants to know */
void tw_launch_drain(struct tw_launch *l);

/* Ends QEMU, if it is still there, and closes all */
void tw_launch_close(struct tw_launch *l);

#endif /* TW_LAUNCH_H */
