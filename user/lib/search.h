/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where policies are found by name, and what an author's build needs.
 *
 * A policy NAME is NAME.bpf.o in one of: the directories of $TIMEWARP_POLICY_PATH, separated by
 * colons, or without it /usr/local/lib/timewarp/policies and /usr/lib/timewarp/policies; then the
 * folder "bpf" beside twctl, which is what the tree has built. Neither the file, nor its directory,
 * nor any above it may be anybody's to change but root's or, for those who run it from their tree, that
 * of twctl's owner.  The file is opened once, by way of those directories: what was looked at is used.
 */
#ifndef TW_SEARCH_H
#define TW_SEARCH_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"

#define TW_POLICY_SUFFIX ".bpf.o"

/* Whether it names a policy rather than a file: no slash, and no suffix of an object */
bool tw_is_policy_name(const char *text);

/**
 * tw_policy_find - find an installed policy, and open it
 * @name: without suffix
 * @path: result, to be freed
 * @fd: the file that was looked at: what is at the path may be another a moment later
 * @e: error, which names the places looked at
 *
 * Return: 0 or an exit status
 */
int tw_policy_find(const char *name, char **path, int *fd, struct tw_err *e);

/* Calls back for each installed policy, hidden ones excluded: one that an earlier place has, too */
void tw_policy_each(void (*found)(const char *name, const char *path, int fd, void *arg), void *arg);

/**
 * tw_helper_find - find a program that belongs to twctl
 * @place: from twctl's own directory on
 * @wrong: why it is not to be run: what is asked of policies is asked of it; or NULL
 *
 * Return: its path, to be freed; NULL if it is not there
 */
char *tw_helper_find(const char *place, const char **wrong);

/**
 * tw_include_dir - where timewarp.bpf.h is, and what goes with it
 *
 * $TIMEWARP_INCLUDE, else "include" beside twctl, else ../include/timewarp from there.
 *
 * Return: to be freed; NULL if there is none
 */
char *tw_include_dir(void);

#endif /* TW_SEARCH_H */
