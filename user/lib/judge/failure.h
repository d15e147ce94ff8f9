/* SPDX-License-Identifier: GPL-2.0 */
/* What broke, and when it first did. */
#ifndef TW_JUDGE_FAILURE_H
#define TW_JUDGE_FAILURE_H

#include <stddef.h>

struct tw_occurrence {
	double t;
	const char *subject;	/* what it happened to */
	const char *text;
};

struct tw_failure {
	const char *subject, *text;	/* text: of the first */
	double first, last;
	size_t count;
};

/**
 * tw_failures - sum up occurrences by what they happened to
 * @o: in any order
 * @n: how many
 * @f: result, to be freed; the strings are @o's; the first failure first
 *
 * Return: how many
 */
size_t tw_failures(const struct tw_occurrence *o, size_t n, struct tw_failure **f);

#endif /* TW_JUDGE_FAILURE_H */
