/* SPDX-License-Identifier: GPL-2.0 */
/* Has the kernel call the policy of a timeline: bpf/kick.bpf.c. */
#ifndef TW_KICK_H
#define TW_KICK_H

#include <stdbool.h>

/**
 * tw_kick - have a policy asked for a segment, and wait for it
 * @id: of the timeline
 * @loaded: result: false if it is the program that does not load
 *
 * Return: 0, or -errno of the policy or the kernel
 */
int tw_kick(unsigned int id, bool *loaded);

/* The same soon, without waiting for it: for one whose group is to look what there is to do; 0 or -errno */
int tw_ask(unsigned int id);

#endif /* TW_KICK_H */
