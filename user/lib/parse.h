/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Numbers that people write.  The whole string must parse, exactly, or none of it does.
 *
 * Each function returns 0 and stores the value, or returns -1 and points *why to a phrase that
 * completes "'text' is ...".  No locale has a say in any of this.
 */
#ifndef TW_PARSE_H
#define TW_PARSE_H

#include <stddef.h>
#include <stdint.h>

#include "timewarp.h"

/**
 * tw_parse_factor - "50", "0.02", "1/3", "1.5/7": guest seconds per host second
 * @text: what the user wrote
 * @f: the exact value, reduced
 * @why: what is wrong with it
 *
 * Refuses what lies outside [1/10000, 10000] and what takes more than 64 bits to write exactly.
 */
int tw_parse_factor(const char *text, struct timewarp_factor *f, const char **why);

/**
 * tw_parse_duration - "5s", "100us", "1.5h", "1h30m", "0s": nanoseconds
 *
 * Units: ns us ms s m h d, each once, the greatest first.  The value must be a whole number of
 * nanoseconds.
 */
int tw_parse_duration(const char *text, uint64_t *ns, const char **why);

/* Likewise with a sign in front: "-500ms" */
int tw_parse_signed_duration(const char *text, int64_t *ns, const char **why);

/**
 * tw_format_duration - nanoseconds for people, exactly, as they may be written: "3d7h50m3.78s", "1.5ms"
 *
 * Return: @buf, for which TW_DURATION_MAX bytes are enough
 */
#define TW_DURATION_MAX 48
const char *tw_format_duration(char *buf, size_t size, int64_t ns);

/**
 * tw_parse_u64 - decimal digits
 */
int tw_parse_u64(const char *text, uint64_t *value, const char **why);

/**
 * tw_parse_s64 - decimal digits, with or without a minus sign
 */
int tw_parse_s64(const char *text, int64_t *value, const char **why);

/**
 * tw_format_factor - a rational as a decimal of up to 12 significant digits
 *
 * Return: @buf, which holds "-" for a denominator of 0
 */
const char *tw_format_factor(char *buf, size_t size, uint64_t num, uint64_t den);

/**
 * tw_format_span - nanoseconds for people: "+3m 5.250s", "-12.000ms", "+17ns"
 */
const char *tw_format_span(char *buf, size_t size, int64_t ns);

#endif /* TW_PARSE_H */
