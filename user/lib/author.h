/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For those who write policies: the compiler, called the right way.
 *
 * The compiler is $TIMEWARP_CLANG, else the newest of clang-20 to clang-17, else clang; the headers
 * are where tw_include_dir() says.
 */
#ifndef TW_AUTHOR_H
#define TW_AUTHOR_H

#include <stdbool.h>

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

/**
 * tw_author_drive - compile a policy for the host and drive its decisions there
 * @source: NAME.bpf.c
 * @decisions: how many, in digits
 * @words: for programs: what tw_drive_read() takes, in place of sentences
 * @report: result, to be freed: lines that start with "crime: ", and a last one with sums
 * @e: error
 *
 * Return: 0; TW_REFUSED if there were crimes; or another exit status
 */
int tw_author_drive(const char *source, const char *decisions, bool words, char **report, struct tw_err *e);

/* What the driver says in words */
struct tw_drive_crime {
	char kind[16];
	unsigned int event;		/* enum kvm_timewarp_event */
	unsigned long long host_ns, guest_ns, factor_num, factor_den, next_host_ns, next_guest_ns;
	char given[512];		/* parameters as the driver writes them: "with factor=1/3" */
};

struct tw_drive_sums {
	unsigned long long decisions, attachments, refused, kept, told, crimes;
};

/* Reads a line of it: 1 for a crime, 2 for the sums, 0 for what is neither, as a policy may print as well */
int tw_drive_read(const char *line, struct tw_drive_crime *c, struct tw_drive_sums *s);

/* A directory for what nobody needs to keep, and its end with all files in it */
char *tw_scratch_dir(void);
void tw_scratch_remove(char *dir);

#endif /* TW_AUTHOR_H */
