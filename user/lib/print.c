// SPDX-License-Identifier: GPL-2.0
#include "print.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

/* One conversion of a format: %[flags][width][.precision][length]letter */
struct spec {
	char text[24];		/* width and precision as numbers, for printf() */
	int precision;		/* -1: none */
	int longs;		/* 1: l, z, j or t, all of which are 64 bits here; 2: ll */
	bool big;		/* L */
	char letter;
};

static const char *read_number(const char *s, int *n)
{
	for (*n = 0; *s >= '0' && *s <= '9'; s++)
		*n = *n * 10 + (*s - '0');
	return s;
}

/* Reads the one at s, behind its '%'; returns what follows it */
static const char *read_spec(const char *s, struct spec *sp, va_list *ap)
{
	size_t flags = strspn(s, "-+ #0");
	char precision[12] = "", width[12] = "";
	const char *length;
	int n;

	if (flags > 5)
		flags = 5;
	length = s + flags;
	if (*length == '*') {
		n = va_arg(*ap, int);
		length++;
	} else {
		length = read_number(length, &n);
	}
	if (n)
		snprintf(width, sizeof(width), "%d", n);
	sp->precision = -1;
	if (*length == '.') {
		length++;
		if (*length == '*') {
			sp->precision = va_arg(*ap, int);
			length++;
		} else {
			length = read_number(length, &sp->precision);
		}
		snprintf(precision, sizeof(precision), ".%d", sp->precision);
	}
	for (sp->longs = 0, sp->big = false; strchr("lzjtL", *length) && *length; length++) {
		sp->big |= *length == 'L';
		sp->longs += *length != 'L';
	}
	sp->letter = *length;
	snprintf(sp->text, sizeof(sp->text), "%%%.*s%s", (int)flags, s, width);
	if (*length != 's')
		snprintf(sp->text + strlen(sp->text), sizeof(sp->text) - strlen(sp->text), "%.11s%s%c",
			 precision, sp->big ? "L" : sp->longs ? "ll" : "", *length);
	return *length ? length + 1 : length;
}

/* Continuation bytes take no column, so the width is that much more in bytes */
static void put_string(FILE *f, const struct spec *sp, const char *s)
{
	size_t len = strnlen(s, sp->precision < 0 ? SIZE_MAX : (size_t)sp->precision), extra = 0, i;
	char *raw = tw_grow(NULL, len + 1, 1), *safe = tw_grow(NULL, len + 1, 4);
	const char *digits = sp->text + 1 + strspn(sp->text + 1, "-+ #0");
	int width = atoi(digits);

	memcpy(raw, s, len);
	raw[len] = 0;
	tw_escape(safe, 4 * len + 4, raw, "");
	for (i = 0; safe[i]; i++)
		extra += ((unsigned char)safe[i] & 0xc0) == 0x80;
	width = width ? width + (int)extra : 0;
	fprintf(f, strchr(sp->text, '-') ? "%-*s" : "%*s", width, safe);
	free(safe);
	free(raw);
}

/* The formats are ours, piece by piece */
#pragma GCC diagnostic ignored "-Wformat-nonliteral"

static void put_spec(FILE *f, const struct spec *sp, va_list *ap)
{
	switch (sp->letter) {
	case 's':
		put_string(f, sp, va_arg(*ap, const char *));
		break;
	case 'd':
	case 'i':
		if (sp->longs)
			fprintf(f, sp->text, va_arg(*ap, long long));
		else
			fprintf(f, sp->text, va_arg(*ap, int));
		break;
	case 'u':
	case 'x':
		if (sp->longs)
			fprintf(f, sp->text, va_arg(*ap, unsigned long long));
		else
			fprintf(f, sp->text, va_arg(*ap, unsigned int));
		break;
	case 'c':
		fprintf(f, sp->text, va_arg(*ap, int));
		break;
	case 'f':
	case 'g':
		if (sp->big)
			fprintf(f, sp->text, va_arg(*ap, long double));
		else
			fprintf(f, sp->text, va_arg(*ap, double));
		break;
	case '%':
		putc('%', f);
		break;
	default:
		/* a mistake of ours, which no user shall pay for */
		abort();
	}
}

int tw_vfprintf(FILE *f, const char *fmt, va_list ap)
{
	struct spec sp;
	va_list copy;

	va_copy(copy, ap);
	while (*fmt) {
		size_t plain = strcspn(fmt, "%");

		fwrite(fmt, 1, plain, f);
		fmt += plain;
		if (!*fmt)
			break;
		fmt = read_spec(fmt + 1, &sp, &copy);
		put_spec(f, &sp, &copy);
	}
	va_end(copy);
	return ferror(f) ? -1 : 0;
}

int tw_fprintf(FILE *f, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = tw_vfprintf(f, fmt, ap);
	va_end(ap);
	return n;
}

void tw_put_lines(FILE *f, const char *text)
{
	size_t size = 4 * strlen(text) + 4;
	char *safe = tw_grow(NULL, size, 1);

	tw_escape(safe, size, text, "\n\t");
	fputs(safe, f);
	free(safe);
}
