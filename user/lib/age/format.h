/* SPDX-License-Identifier: GPL-2.0 */
/* Dates, amounts and rates for people. */
#ifndef TW_AGE_FORMAT_H
#define TW_AGE_FORMAT_H

#include <stddef.h>

#define TW_AMOUNT_MAX 48

/* "2038-01-19"; "never" of what is no date, or lies beyond the year 9999 */
const char *tw_format_day(char *buf, size_t size, double t);

/* "2038-01-19 03:14", in UTC */
const char *tw_format_minute(char *buf, size_t size, double t);

/* A date of something that takes @span seconds: the minute, where a day would say little */
const char *tw_format_fine(char *buf, size_t size, double t, double span);

/* "65.5 kB", "12", "0.25 %": three digits that count, decimal prefixes for bytes and for big counts */
const char *tw_format_amount(char *buf, size_t size, double v, const char *unit);

/* "400 days", "5 hours": the unit that fits, rounded */
const char *tw_format_period(char *buf, size_t size, double seconds);

/* As above, into compound literals that live until the end of the enclosing block */
#define TW_DAY_OF(t) tw_format_day((char[TW_AMOUNT_MAX]){0}, TW_AMOUNT_MAX, (t))
#define TW_DATE_OF(t, span) tw_format_fine((char[TW_AMOUNT_MAX]){0}, TW_AMOUNT_MAX, (t), (span))
#define TW_MINUTE_OF(t) tw_format_minute((char[TW_AMOUNT_MAX]){0}, TW_AMOUNT_MAX, (t))
#define TW_AMOUNT(v, unit) tw_format_amount((char[TW_AMOUNT_MAX]){0}, TW_AMOUNT_MAX, (v), (unit))
#define TW_PERIOD(s) tw_format_period((char[TW_AMOUNT_MAX]){0}, TW_AMOUNT_MAX, (s))

#endif /* TW_AGE_FORMAT_H */
