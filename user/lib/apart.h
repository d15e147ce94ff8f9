/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the owner of a process can keep whoever does it waiting for: above all reading its memory, and with that its command
 * line. Either may lie in a file of a file system of his own (FUSE), which answers when he likes.
 *
 * A child does it, and the caller waits for seconds and no longer. The child may sleep in the kernel where nothing ends it; it is
 * left there, with nothing of the caller's open. As long as it is, the process is mute: nobody else is sent after it.
 */
#ifndef TW_APART_H
#define TW_APART_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/**
 * tw_apart_fn - what is done apart
 * @in: what the caller has given: all of the caller's memory is there to be read, and none of it to be changed
 * @out: room for what is found
 * @size: of @out
 *
 * Has no files of the caller's, and may open some. What it starts itself apart, it does itself.
 *
 * Return: how much of @out is to be handed over, or -errno
 */
typedef ssize_t (*tw_apart_fn)(const void *in, void *out, size_t size);

/**
 * tw_apart - do in a child what may be kept waiting
 * @pid: the process that it may be kept waiting for
 *
 * Waits for five seconds, and for less where others are mute already.
 *
 * Return: what @fn returns; -ETIMEDOUT if the process is mute; another -errno if there can be no child, -EINTR if it was killed
 */
ssize_t tw_apart(pid_t pid, tw_apart_fn fn, const void *in, void *out, size_t size);

/* The same for what takes its time: waits for @ms, whoever else is mute; the child may go on for longer */
ssize_t tw_apart_for(pid_t pid, int ms, tw_apart_fn fn, const void *in, void *out, size_t size);

/* One of many things that are done with as few children as can be */
struct tw_apart_job {
	pid_t pid;			/* as above, and below */
	const void *in;
	void *out;
	size_t size;
	ssize_t n;			/* what tw_apart() would return */
};

/* tw_apart() for each of them, in their order: one that is mute keeps the others waiting no longer than that */
void tw_apart_each(struct tw_apart_job *jobs, size_t n, tw_apart_fn fn);

/* From here on this process is such a child itself: what it would do apart it does */
void tw_apart_here(void);

/* Whether something waits for a process at this time */
bool tw_is_mute(pid_t pid);

/* What an errno of these says, for "cannot be read: " and the like */
const char *tw_apart_error(int code);

#endif /* TW_APART_H */
