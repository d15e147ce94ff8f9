/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Errors have three parts: what could not be done, the fact found, the cure.
 *
 * Functions that can fail take a struct tw_err, fill it, and return the exit status; 0 is success.
 */
#ifndef TW_ERR_H
#define TW_ERR_H

#include <stdbool.h>
#include <stddef.h>

enum tw_status {
	TW_OK = 0,
	TW_FAILED = 1,
	TW_USAGE = 2,
	TW_UNSUPPORTED = 3,	/* kernel or CPU lacks it */
	TW_NO_VM = 4,		/* no such VM, or ambiguous */
	TW_REFUSED = 5,		/* by the policy, the verifier, or because there is one already */
	TW_EJECTED = 6,
	TW_THRESHOLD = 10,
};

struct tw_err {
	int status;
	int code;		/* errno behind it, 0 if none */
	const char *kind;	/* a word for programs, where the status has several meanings; NULL: the status's own */
	char what[256];
	char fact[768];
	char cure[512];
	char *detail;		/* more lines: candidates, the verifier's log */
};

/**
 * tw_fail - fill an error
 * @e: the error
 * @status: exit status
 * @fmt: what could not be done, such as "cannot attach to 1234-9"
 *
 * Return: @status, so that callers can "return tw_fail(...)"
 */
int tw_fail(struct tw_err *e, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* What was found; returns the status again */
int tw_fact(struct tw_err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* What to do about it, preferably a command; returns the status again */
int tw_cure(struct tw_err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Tells one meaning of a status from its others, with a word that doc/json.md has; returns the status again */
int tw_kind(struct tw_err *e, const char *kind);

/* Replaces the first part, for callers who know better what was being done */
int tw_what(struct tw_err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Takes over detail, which was allocated; returns the status again */
int tw_detail(struct tw_err *e, char *detail);

/**
 * tw_err_print - print an error: one line on stderr, or one JSON object on stdout
 */
void tw_err_print(const struct tw_err *e, bool json);

void tw_err_free(struct tw_err *e);

#endif /* TW_ERR_H */
