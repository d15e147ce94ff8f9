/* SPDX-License-Identifier: GPL-2.0 */
/* A child that outlives its parent, to complete what that began. */
#ifndef TW_QEMU_KEEPER_H
#define TW_QEMU_KEEPER_H

#include <stddef.h>
#include <sys/types.h>

struct tw_keeper {
	pid_t pid;			/* 0 if none */
	int pidfd;			/* readable once it has ended */
};

/**
 * tw_keeper_start - start one
 * @k: result
 * @keep: descriptors that it is to hold; all others it closes
 * @n: how many
 * @run: what it does, with a pidfd of its parent; it ends when that returns
 * @arg: for @run
 *
 * Returns once the child has called tw_keeper_is_up().
 *
 * Return: 0 or -1 with errno
 */
int tw_keeper_start(struct tw_keeper *k, const int *keep, size_t n, void (*run)(void *arg, int parent),
		    void *arg);

void tw_keeper_is_up(void);

/* Ends it at once */
void tw_keeper_end(struct tw_keeper *k);

/* Leaves it to itself */
void tw_keeper_leave(struct tw_keeper *k);

#endif /* TW_QEMU_KEEPER_H */
