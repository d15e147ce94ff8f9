// SPDX-License-Identifier: GPL-2.0
#include "parse.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

typedef unsigned __int128 u128;

static const char too_long[] = "longer than 64 bits can hold exactly";

/* digits[.digits] as value / scale, scale a power of ten */
struct decimal {
	uint64_t value;
	uint64_t scale;
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool push_digit(uint64_t *value, char c)
{
	return !__builtin_mul_overflow(*value, 10, value) &&
	       !__builtin_add_overflow(*value, (uint64_t)(c - '0'), value);
}

/* Length of the fraction without the zeros at its end, which would only eat precision */
static size_t fraction_len(const char *s)
{
	size_t i, len = 0;

	for (i = 0; is_digit(s[i]); i++)
		if (s[i] != '0')
			len = i + 1;
	return len;
}

/*
 * Reads a decimal at s.  Returns where it ends, NULL if there is none, and leaves *overflow set if
 * the value does not fit; then it still returns the end.
 */
static const char *read_decimal(const char *s, struct decimal *d, bool *overflow)
{
	bool digits = is_digit(*s);
	size_t i, len;

	d->value = 0;
	d->scale = 1;
	for (; is_digit(*s); s++)
		if (!*overflow && !push_digit(&d->value, *s))
			*overflow = true;
	if (*s != '.')
		return digits ? s : NULL;
	s++;
	if (!is_digit(*s))
		return NULL;
	len = fraction_len(s);
	for (i = 0; i < len && !*overflow; i++)
		if (!push_digit(&d->value, s[i]) ||
		    __builtin_mul_overflow(d->scale, 10, &d->scale))
			*overflow = true;
	while (is_digit(*s))
		s++;
	return s;
}

static u128 gcd(u128 a, u128 b)
{
	while (b) {
		u128 r = a % b;

		a = b;
		b = r;
	}
	return a;
}

/* Words for what starts out as something else than a number */
static const char *not_a_factor(const char *text)
{
	if (!*text)
		return "empty; a factor is a decimal such as 50, 0.02 or 1/3";
	if (*text == '-')
		return "negative; a guest's time never runs backwards";
	if (strchr(text, ','))
		return "not a factor: write the decimal point as '.'";
	if (is_digit(*text) && strpbrk(text, "eE"))
		return "not a factor: write it without an exponent";
	return "not a factor; a factor is a decimal such as 50, 0.02 or 1/3";
}

/* An integer part too long for 64 bits is above the limit, and needs no better reason */
static bool is_huge(const char *text)
{
	while (*text == '0')
		text++;
	return strspn(text, "0123456789") > 19;
}

static int check_limits(u128 num, u128 den, const char **why)
{
	if (num > den * TIMEWARP_FACTOR_LIMIT) {
		*why = "above the limit of 10000, beyond which no guest TSC rate can be expressed";
		return -1;
	}
	if (num * TIMEWARP_FACTOR_LIMIT < den) {
		*why = num ? "below the limit of 1/10000, beyond which clocks lose precision"
			   : "below the limit of 1/10000; 0 would stop the guest's time";
		return -1;
	}
	return 0;
}

int tw_parse_factor(const char *text, struct timewarp_factor *f, const char **why)
{
	struct decimal a, b = { 1, 1 };
	bool overflow = false;
	const char *end;
	u128 num, den, g;

	*why = not_a_factor(text);
	end = read_decimal(text, &a, &overflow);
	if (!end)
		return -1;
	if (*end == '/')
		end = read_decimal(end + 1, &b, &overflow);
	if (!end || *end)
		return -1;
	if (overflow) {
		*why = too_long;
		if (is_huge(text) && !strchr(text, '/'))
			check_limits(TIMEWARP_FACTOR_LIMIT + 1, 1, why);
		return -1;
	}
	if (!b.value) {
		*why = "not a factor: it divides by 0";
		return -1;
	}
	/* (a.value / a.scale) / (b.value / b.scale) */
	num = (u128)a.value * b.scale;
	den = (u128)a.scale * b.value;
	g = gcd(num, den);
	num /= g;
	den /= g;
	/* before the limits, whose products need room */
	if (num > UINT64_MAX || den > UINT64_MAX) {
		*why = too_long;
		return -1;
	}
	if (check_limits(num, den, why))
		return -1;
	f->num = num;
	f->den = den;
	return 0;
}

static const struct {
	const char *name;
	uint64_t ns;
} units[] = {
	{ "ns", 1 },
	{ "us", 1000 },
	{ "ms", 1000000 },
	{ "s", 1000000000 },
	{ "m", 60000000000 },
	{ "h", 3600000000000 },
	{ "d", 86400000000000 },
};

#define NR_UNITS (sizeof(units) / sizeof(*units))
#define SECONDS 3		/* where they stand there */

/* Where the unit at s stands in the list, the number of units if there is none */
static size_t find_unit(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < NR_UNITS; i++)
		if (strlen(units[i].name) == len && !strncmp(units[i].name, s, len))
			break;
	return i;
}

int tw_parse_duration(const char *text, uint64_t *ns, const char **why)
{
	size_t last = NR_UNITS, unit, len;
	bool overflow = false;
	struct decimal d;
	u128 sum = 0, product;

	do {
		*why = "not a duration; a duration has a unit, such as 5s, 100us, 1.5h or 1h30m";
		text = read_decimal(text, &d, &overflow);
		if (!text)
			return -1;
		len = strspn(text, "nsumhd");
		unit = find_unit(text, len);
		/* each once, the greatest first */
		if (unit >= last)
			return -1;
		last = unit;
		text += len;
		product = (u128)d.value * units[unit].ns;
		if (overflow || product / d.scale > INT64_MAX || sum + product / d.scale > INT64_MAX) {
			*why = "longer than the 292 years that 64-bit nanoseconds hold";
			return -1;
		}
		if (product % d.scale) {
			*why = "not a whole number of nanoseconds";
			return -1;
		}
		sum += product / d.scale;
	} while (*text);
	*ns = sum;
	return 0;
}

int tw_parse_signed_duration(const char *text, int64_t *ns, const char **why)
{
	bool negative = *text == '-';
	uint64_t u;

	if (tw_parse_duration(text + (negative || *text == '+'), &u, why))
		return -1;
	*ns = negative ? -(int64_t)u : (int64_t)u;
	return 0;
}

/* "1.5ms": a value with the decimals that it has, and no more */
static void format_part(char *buf, size_t size, uint64_t ns, uint64_t unit, const char *name)
{
	char digits[24] = "";
	uint64_t rest = ns % unit;
	size_t n = 0;

	if (rest)
		digits[n++] = '.';
	for (; rest && n + 1 < sizeof(digits); rest %= unit) {
		unit /= 10;
		digits[n++] = '0' + rest / unit;
	}
	snprintf(buf, size, "%s%s", digits, name);
}

const char *tw_format_duration(char *buf, size_t size, int64_t ns)
{
	uint64_t left = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
	size_t n, unit = NR_UNITS;
	char part[40];

	n = snprintf(buf, size, "%s", ns < 0 ? "-" : "");
	while (unit-- > SECONDS + 1) {
		if (left < units[unit].ns || n >= size)
			continue;
		n += snprintf(buf + n, size - n, "%" PRIu64 "%s", left / units[unit].ns, units[unit].name);
		left %= units[unit].ns;
	}
	if ((!left && n > (ns < 0)) || n >= size)
		return buf;
	/* the rest in one unit */
	for (unit = SECONDS; unit && left < units[unit].ns; unit--)
		;
	if (!left)
		unit = SECONDS;
	format_part(part, sizeof(part), left, units[unit].ns, units[unit].name);
	snprintf(buf + n, size - n, "%" PRIu64 "%s", left / units[unit].ns, part);
	return buf;
}

int tw_parse_u64(const char *text, uint64_t *value, const char **why)
{
	uint64_t v = 0;
	const char *s;

	*why = "not a whole number";
	if (!is_digit(*text))
		return -1;
	for (s = text; is_digit(*s); s++)
		if (!push_digit(&v, *s)) {
			*why = "longer than 64 bits";
			return -1;
		}
	if (*s)
		return -1;
	*value = v;
	return 0;
}

int tw_parse_s64(const char *text, int64_t *value, const char **why)
{
	bool negative = *text == '-';
	uint64_t v;

	if (tw_parse_u64(text + negative, &v, why))
		return -1;
	if (v > (uint64_t)INT64_MAX + negative) {
		*why = "longer than 64 bits";
		return -1;
	}
	*value = negative ? (int64_t)(0 - v) : (int64_t)v;
	return 0;
}

const char *tw_format_factor(char *buf, size_t size, uint64_t num, uint64_t den)
{
	/* long double has 64 bits of mantissa: some 19 digits */
	if (den)
		snprintf(buf, size, "%.12Lg", (long double)num / den);
	else
		snprintf(buf, size, "-");
	return buf;
}

static void format_small(char *buf, size_t size, char sign, uint64_t ns)
{
	if (ns < 1000)
		snprintf(buf, size, "%c%" PRIu64 "ns", sign, ns);
	else if (ns < 1000000)
		snprintf(buf, size, "%c%.3fus", sign, ns / 1e3);
	else if (ns < 1000000000)
		snprintf(buf, size, "%c%.3fms", sign, ns / 1e6);
	else
		snprintf(buf, size, "%c%" PRIu64 ".%03" PRIu64 "s", sign, ns / 1000000000,
			 ns / 1000000 % 1000);
}

const char *tw_format_span(char *buf, size_t size, int64_t ns)
{
	uint64_t abs = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
	uint64_t s = abs / 1000000000, ms = abs / 1000000 % 1000;
	char sign = ns < 0 ? '-' : '+';

	if (s < 60)
		format_small(buf, size, sign, abs);
	else if (s < 3600)
		snprintf(buf, size, "%c%" PRIu64 "m %" PRIu64 ".%03" PRIu64 "s", sign, s / 60,
			 s % 60, ms);
	else if (s < 86400)
		snprintf(buf, size, "%c%" PRIu64 "h %" PRIu64 "m %" PRIu64 "s", sign, s / 3600,
			 s / 60 % 60, s % 60);
	else
		snprintf(buf, size, "%c%" PRIu64 "d %" PRIu64 "h %" PRIu64 "m", sign, s / 86400,
			 s / 3600 % 24, s / 60 % 60);
	return buf;
}
