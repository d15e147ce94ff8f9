/* SPDX-License-Identifier: GPL-2.0 */
/* Files that are written whole or not at all, in directories that others may write to. */
#ifndef TW_WHOLE_H
#define TW_WHOLE_H

#include <stdio.h>

#include "err.h"

struct tw_whole {
	FILE *f;		/* write here */
	const char *path;
	char *name;		/* of the file in its directory */
	char tmp[32];		/* until then; nobody can know it beforehand */
	int dir;
};

/**
 * tw_whole_open - begin a file that is to replace the one of that name
 * @w: result; ends with tw_whole_commit() or tw_whole_drop()
 * @path: a regular file, or none yet: links, devices and all else are refused, never followed
 * @e: error
 *
 * Return: 0 or an exit status
 */
int tw_whole_open(struct tw_whole *w, const char *path, struct tw_err *e);

/* Puts it in place: a reader sees the old file or the new one, never a part; 0 or an exit status */
int tw_whole_commit(struct tw_whole *w, struct tw_err *e);

/* Leaves the old one as it is */
void tw_whole_drop(struct tw_whole *w);

/**
 * tw_stream_open - open a file that is written for as long as a verb runs
 * @path: as above, but a terminal, a pipe or /dev/null will do
 * @f: result
 * @e: error
 *
 * Return: 0 or an exit status
 */
int tw_stream_open(const char *path, FILE **f, struct tw_err *e);

#endif /* TW_WHOLE_H */
