// SPDX-License-Identifier: GPL-2.0
#include "age/format.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "judge/days.h"
#include "judge/jobs.h"

#define YEAR_10000 253402300800.0
#define MINUTES_COUNT_S (7 * TW_DAY)

static const char *format_date(char *buf, size_t size, double t, int minutes)
{
	int month, day, minute;
	long year;

	if (!(t >= 0 && t < YEAR_10000)) {
		snprintf(buf, size, "never");
		return buf;
	}
	tw_date_of(floor(t / TW_DAY), &year, &month, &day);
	minute = fmod(t, TW_DAY) / 60;
	if (minutes)
		snprintf(buf, size, "%04ld-%02d-%02d %02d:%02d", year, month, day, minute / 60, minute % 60);
	else
		snprintf(buf, size, "%04ld-%02d-%02d", year, month, day);
	return buf;
}

const char *tw_format_day(char *buf, size_t size, double t)
{
	return format_date(buf, size, t, 0);
}

const char *tw_format_fine(char *buf, size_t size, double t, double span)
{
	return format_date(buf, size, t, span < MINUTES_COUNT_S);
}

const char *tw_format_minute(char *buf, size_t size, double t)
{
	return format_date(buf, size, t, 1);
}

/* Three digits that count, and no more behind the point than that takes */
static void digits(char *buf, size_t size, double v)
{
	double a = fabs(v);

	if (a >= 99.95 || a == floor(a))
		snprintf(buf, size, "%.0f", v);
	else if (a >= 9.995)
		snprintf(buf, size, "%.1f", v);
	else if (a >= 0.9995)
		snprintf(buf, size, "%.2f", v);
	else
		snprintf(buf, size, "%.3g", v);
}

const char *tw_format_amount(char *buf, size_t size, double v, const char *unit)
{
	static const char *const prefix[] = { "", "k", "M", "G", "T", "P", "E" };
	int bytes = unit && !strcmp(unit, "B"), i = 0;
	char number[32];

	if (!isfinite(v)) {
		snprintf(buf, size, "%s", v > 0 ? "unlimited" : "unknown");
		return buf;
	}
	/* counts up to 99,999 are told in full */
	if (bytes || fabs(v) >= 99999.5)
		for (; fabs(v) >= 999.5 && i < 6; i++)
			v /= 1000;
	digits(number, sizeof(number), v);
	if (bytes)
		snprintf(buf, size, "%s %sB", number, prefix[i]);
	else if (unit && *unit)
		snprintf(buf, size, "%s%s %.12s", number, prefix[i], unit);
	else
		snprintf(buf, size, "%s%s", number, prefix[i]);
	return buf;
}

const char *tw_format_period(char *buf, size_t size, double s)
{
	static const struct {
		double seconds, from;
		const char *name;
	} units[] = {
		{ 365.25 * TW_DAY, 3 * 365.25 * TW_DAY, "year" }, { TW_DAY, 2 * TW_DAY, "day" },
		{ 3600, 2 * 3600, "hour" }, { 60, 120, "minute" }, { 1, 0, "second" },
	};
	size_t i = 0;
	double n;

	while (i + 1 < sizeof(units) / sizeof(*units) && s < units[i].from)
		i++;
	n = round(s / units[i].seconds);
	snprintf(buf, size, "%.0f %s%s", n, units[i].name, n == 1 ? "" : "s");
	return buf;
}
