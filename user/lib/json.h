/* SPDX-License-Identifier: GPL-2.0 */
/* A JSON writer: one object a line, so that streams are NDJSON. */
#ifndef TW_JSON_H
#define TW_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * The first key of each object that twctl writes.  Another number means that a key has gone or changed its
 * meaning; new ones come without.  doc/json.md has them all, which tests/unit/layers.t checks.
 */
#define TW_JSON_SCHEMA 1

struct tw_json {
	FILE *f;
	int depth;
	bool foreign;		/* a format that is not ours, whose objects carry no "schema" */
	bool unflushed;		/* a stream: whoever writes it flushes */
	bool more[16];		/* at each depth: something was written, so a comma is due */
};

/* Keys are string literals of ours; NULL inside arrays */

void tw_json_open(struct tw_json *j, const char *key, char bracket);	/* '{' or '[' */
void tw_json_close(struct tw_json *j, char bracket);			/* '}' or ']' */
/* A string of any bytes: what is not UTF-8 becomes U+FFFD.  NULL is written as null. */
void tw_json_str(struct tw_json *j, const char *key, const char *value);
void tw_json_int(struct tw_json *j, const char *key, long long value);
/* null where it is no finite number */
void tw_json_real(struct tw_json *j, const char *key, double value);
void tw_json_bool(struct tw_json *j, const char *key, bool value);
void tw_json_null(struct tw_json *j, const char *key);
/* Nanoseconds and ticks are decimal strings: at 50x a TSC passes 2^53 within a day */
void tw_json_u64(struct tw_json *j, const char *key, uint64_t value);
void tw_json_s64(struct tw_json *j, const char *key, int64_t value);
/* A plain number with so many decimals, for formats that are not ours */
void tw_json_decimal(struct tw_json *j, const char *key, double value, int decimals);
/* Ends the line and flushes it, unless told otherwise */
void tw_json_end(struct tw_json *j);

#endif /* TW_JSON_H */
