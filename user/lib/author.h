/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For those who write policies: the compiler, called the right way.
 *
 * The compiler is $TIMEWARP_CLANG, else the newest of clang-20 to clang-17, else clang; the headers
 * are where tw_include_dir() says.
 */
#ifndef TW_AUTHOR_H
#define TW_AUTHOR_H

#include "err.h"

#define TW_SOURCE_SUFFIX ".bpf.c"

/**
 * tw_author_build - make an object of a policy's source
 * @source: NAME.bpf.c
 * @object: where to put it
 * @e: error; what the compiler says goes to stderr
 *
 * Return: 0 or an exit status
 */
int tw_author_build(const char *source, const char *object, struct tw_err *e);

/* A directory for what nobody needs to keep, and its end with all files in it */
char *tw_scratch_dir(void);
void tw_scratch_remove(char *dir);

#endif /* TW_AUTHOR_H */
