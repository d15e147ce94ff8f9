// SPDX-License-Identifier: GPL-2.0
#include "when.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "parse.h"

#define NS_PER_SEC 1000000000LL
#define NS_PER_MSEC 1000000LL
#define LAST_YEAR 2261

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Exactly so many digits, as a number; -1 if there are others */
static int fixed_digits(const char **s, int n)
{
	int value = 0;

	for (; n; n--, (*s)++) {
		if (!is_digit(**s))
			return -1;
		value = value * 10 + (**s - '0');
	}
	return value;
}

static bool skip(const char **s, char c)
{
	if (**s != c)
		return false;
	(*s)++;
	return true;
}

static bool is_leap(int year)
{
	return (year % 4 == 0 && year % 100) || year % 400 == 0;
}

static int days_in_month(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return days[month - 1] + (month == 2 && is_leap(year));
}

static int64_t days_before_year(int year)
{
	int y = year - 1;

	return (year - 1970) * 365LL + (y / 4 - 1969 / 4) - (y / 100 - 1969 / 100) +
	       (y / 400 - 1969 / 400);
}

/* YYYY-MM-DD as days since 1970; -1 if it is none, -2 if there is no such day */
static int64_t read_day(const char **s)
{
	int year = fixed_digits(s, 4), month, day, m;
	int64_t days;

	if (year < 0 || !skip(s, '-'))
		return -1;
	month = fixed_digits(s, 2);
	if (month < 0 || !skip(s, '-'))
		return -1;
	day = fixed_digits(s, 2);
	if (day < 0)
		return -1;
	if (year < 1970 || year > LAST_YEAR || month < 1 || month > 12 || day < 1 ||
	    day > days_in_month(year, month))
		return -2;
	days = days_before_year(year) + day - 1;
	for (m = 1; m < month; m++)
		days += days_in_month(year, m);
	return days;
}

/* What follows a dot, up to nine digits, in ns; -1 if there are none or more */
static int64_t read_fraction(const char **s)
{
	int64_t ns = 0, unit = NS_PER_SEC;

	if (!is_digit(**s))
		return -1;
	for (; is_digit(**s); (*s)++) {
		unit /= 10;
		if (!unit)
			return -1;
		ns += unit * (**s - '0');
	}
	return ns;
}

/* HH:MM[:SS[.fraction]] in ns; -1 if it is none, -2 if there is no such time of day */
static int64_t read_time(const char **s)
{
	int hour = fixed_digits(s, 2), minute, second = 0;
	int64_t fraction = 0;

	if (hour < 0 || !skip(s, ':'))
		return -1;
	minute = fixed_digits(s, 2);
	if (minute < 0)
		return -1;
	if (skip(s, ':')) {
		second = fixed_digits(s, 2);
		if (second < 0)
			return -1;
		if (skip(s, '.'))
			fraction = read_fraction(s);
		if (fraction < 0)
			return -1;
	}
	if (hour > 23 || minute > 59 || second > 59)
		return -2;
	return ((hour * 60 + minute) * 60 + second) * NS_PER_SEC + fraction;
}

int tw_parse_date(const char *text, uint64_t *ns, const char **why)
{
	const char *s = text;
	int64_t days = read_day(&s), time = 0;

	*why = "not a date; a date is such as 2038-01-19 or 2038-01-19T03:14:07, in UTC";
	if (days == -1)
		return -1;
	if (days >= 0 && (skip(&s, 'T') || skip(&s, ' ')))
		time = read_time(&s);
	if (time == -1)
		return -1;
	if (days == -2 || time == -2) {
		*why = "not a date that there is, from 1970 to 2261";
		return -1;
	}
	skip(&s, 'Z');
	if (*s)
		return -1;
	*ns = days * 86400 * NS_PER_SEC + time;
	return 0;
}

static const char *format_date(char *buf, size_t size, uint64_t ns, bool always)
{
	uint64_t ms = (ns + NS_PER_MSEC / 2) / NS_PER_MSEC, s = ms / 1000;
	int64_t days = s / 86400;
	int year = 1970, month = 1;
	int n;

	while (days >= 365 + is_leap(year))
		days -= 365 + is_leap(year++);
	while (days >= days_in_month(year, month))
		days -= days_in_month(year, month++);
	n = snprintf(buf, size, "%04d-%02d-%02dT%02d:%02d:%02d", year, month, (int)days + 1,
		     (int)(s / 3600 % 24), (int)(s / 60 % 60), (int)(s % 60));
	if ((ms % 1000 || always) && n < (int)size)
		n += snprintf(buf + n, size - n, ".%03d", (int)(ms % 1000));
	if (n < (int)size)
		snprintf(buf + n, size - n, "Z");
	return buf;
}

const char *tw_format_date(char *buf, size_t size, uint64_t ns)
{
	return format_date(buf, size, ns, false);
}

const char *tw_format_date_ms(char *buf, size_t size, uint64_t ns)
{
	return format_date(buf, size, ns, true);
}

/* "WORDS host" without its last word; false if that is another */
static bool strip_word(char *text, const char *word)
{
	size_t len = strlen(text), cut = strlen(word);

	if (len < cut + 2 || strcmp(text + len - cut, word) || text[len - cut - 1] != ' ')
		return false;
	len -= cut;
	while (len && text[len - 1] == ' ')
		len--;
	text[len] = 0;
	return true;
}

/* A date starts with a year and a dash, which no span does */
static bool looks_like_date(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	return digits && text[digits] == '-';
}

static int at_date(const char *text, int64_t epoch_ns, struct timewarp_when *when,
		   const char **why)
{
	uint64_t date;
	__int128 ns;

	if (tw_parse_date(text, &date, why))
		return -1;
	ns = (__int128)date - epoch_ns;
	if (ns <= 0 || ns > INT64_MAX) {
		*why = "a date from before this host was booted";
		return -1;
	}
	when->ns = ns;
	return 0;
}

int tw_parse_when(const char *text, struct tw_epoch epoch, struct timewarp_when *when,
		  const char **why)
{
	struct timewarp_when w = { 0 };
	char words[64];
	uint64_t ns;
	bool host;

	if (!strcmp(text, "never")) {
		*when = w;
		return 0;
	}
	*why = "neither a date (2038-01-19T03:14:07) nor a span (30d)";
	if (strlen(text) >= sizeof(words))
		return -1;
	strcpy(words, text);
	host = strip_word(words, "host");
	if (!host)
		strip_word(words, "guest");
	if (looks_like_date(words)) {
		w.kind = host ? TIMEWARP_AT_HOST : TIMEWARP_AT_GUEST;
		if (at_date(words, host ? epoch.host_ns : epoch.guest_ns, &w, why))
			return -1;
	} else {
		w.kind = host ? TIMEWARP_AFTER_HOST : TIMEWARP_AFTER_GUEST;
		if (!is_digit(*words) && *words != '.')
			return -1;
		if (tw_parse_duration(words, &ns, why))
			return -1;
		if (!ns) {
			*why = "a span of no length";
			return -1;
		}
		w.ns = ns;
	}
	*when = w;
	return 0;
}

/* The greatest unit in which it is a whole number */
static void format_exact(char *buf, size_t size, uint64_t ns)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {
		{ "d", 86400 * NS_PER_SEC }, { "h", 3600 * NS_PER_SEC }, { "m", 60 * NS_PER_SEC },
		{ "s", NS_PER_SEC }, { "ms", NS_PER_MSEC }, { "us", 1000 }, { "ns", 1 },
	};
	size_t i = 0;

	while (ns % units[i].ns)
		i++;
	snprintf(buf, size, "%" PRIu64 "%s", ns / units[i].ns, units[i].name);
}

const char *tw_format_when(char *buf, size_t size, struct tw_epoch epoch,
			   const struct timewarp_when *when)
{
	const char *host = when->kind == TIMEWARP_AT_HOST || when->kind == TIMEWARP_AFTER_HOST ?
			   " host" : "";
	char text[48] = "never";

	if (when->kind == TIMEWARP_AT_GUEST || when->kind == TIMEWARP_AT_HOST)
		tw_format_date(text, sizeof(text), when->ns +
			       (uint64_t)(when->kind == TIMEWARP_AT_HOST ? epoch.host_ns : epoch.guest_ns));
	else if (when->kind != TIMEWARP_NEVER)
		format_exact(text, sizeof(text), when->ns);
	snprintf(buf, size, "%s%s", text, host);
	return buf;
}

/* Copies what stands between blanks; false if that is too long */
static bool copy_trimmed(char *to, size_t size, const char *from, size_t len)
{
	while (len && *from == ' ')
		from++, len--;
	while (len && from[len - 1] == ' ')
		len--;
	if (len >= size)
		return false;
	memcpy(to, from, len);
	to[len] = 0;
	return true;
}

static int parse_end(const char *word, const char *text, struct tw_epoch epoch,
		     struct timewarp_when *end, const char **why)
{
	bool until = !strcmp(word, "until");

	if (!until && strcmp(word, "for")) {
		*why = "not a schedule: behind a factor stands 'until DATE' or 'for SPAN'";
		return -1;
	}
	*why = "not a schedule: a date stands behind 'until' and a span behind 'for'";
	if (looks_like_date(text) != until || !strcmp(text, "never"))
		return -1;
	return tw_parse_when(text, epoch, end, why);
}

static int parse_piece(const char *text, struct tw_epoch epoch, struct timewarp_piece *p,
		       const char **why)
{
	size_t len = strcspn(text, " ");
	char factor[64], word[8];
	const char *rest;

	*why = "not a schedule; one is such as '100 until 2038-01-19T03:13:00, 1'";
	if (!copy_trimmed(factor, sizeof(factor), text, len))
		return -1;
	memset(&p->end, 0, sizeof(p->end));
	if (tw_parse_factor(factor, &p->factor, why))
		return -1;
	rest = text + len + strspn(text + len, " ");
	if (!*rest)
		return 0;
	len = strcspn(rest, " ");
	if (!copy_trimmed(word, sizeof(word), rest, len))
		strcpy(word, "?");
	rest += len;
	return parse_end(word, rest + strspn(rest, " "), epoch, &p->end, why);
}

int tw_parse_schedule(const char *text, struct tw_epoch epoch, struct timewarp_schedule *s,
		      const char **why)
{
	struct timewarp_schedule r = { 0 };
	char piece[128];
	size_t len;

	for (;; text += len + 1) {
		len = strcspn(text, ",");
		if (r.n == TIMEWARP_PIECES) {
			*why = "a schedule of more than 16 pieces";
			return -1;
		}
		*why = "not a schedule; one is such as '100 until 2038-01-19T03:13:00, 1'";
		if (!copy_trimmed(piece, sizeof(piece), text, len) ||
		    parse_piece(piece, epoch, &r.piece[r.n], why))
			return -1;
		*why = text[len] ? "a schedule with a piece that has no end before its last one"
				 : "a schedule whose last piece ends; say how it goes on: ', 1'";
		if (!r.piece[r.n++].end.kind != !text[len])
			return -1;
		if (!text[len])
			break;
	}
	*s = r;
	return 0;
}

const char *tw_format_schedule(char *buf, size_t size, struct tw_epoch epoch,
			       const struct timewarp_schedule *s)
{
	size_t i, n = 0;

	snprintf(buf, size, "empty");
	for (i = 0; i < s->n && i < TIMEWARP_PIECES && n < size; i++) {
		const struct timewarp_piece *p = &s->piece[i];
		const char *word = p->end.kind == TIMEWARP_AT_GUEST ||
				   p->end.kind == TIMEWARP_AT_HOST ? "until" : "for";
		char end[48];

		n += snprintf(buf + n, size - n, p->factor.den == 1 ? "%s%llu" : "%s%llu/%llu",
			      i ? ", " : "", p->factor.num, p->factor.den);
		if (p->end.kind && n < size)
			n += snprintf(buf + n, size - n, " %s %s", word,
				      tw_format_when(end, sizeof(end), epoch, &p->end));
	}
	return buf;
}
