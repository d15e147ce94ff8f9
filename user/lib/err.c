// SPDX-License-Identifier: GPL-2.0
#include "err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "print.h"

static void format(char *buf, size_t size, const char *fmt, va_list ap)
{
	vsnprintf(buf, size, fmt, ap);
}

int tw_fail(struct tw_err *e, int status, const char *fmt, ...)
{
	va_list ap;

	tw_err_free(e);
	memset(e, 0, sizeof(*e));
	e->status = status;
	va_start(ap, fmt);
	format(e->what, sizeof(e->what), fmt, ap);
	va_end(ap);
	return status;
}

int tw_what(struct tw_err *e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	format(e->what, sizeof(e->what), fmt, ap);
	va_end(ap);
	return e->status;
}

int tw_fact(struct tw_err *e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	format(e->fact, sizeof(e->fact), fmt, ap);
	va_end(ap);
	return e->status;
}

int tw_cure(struct tw_err *e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	format(e->cure, sizeof(e->cure), fmt, ap);
	va_end(ap);
	return e->status;
}

int tw_detail(struct tw_err *e, char *detail)
{
	free(e->detail);
	e->detail = detail;
	return e->status;
}

int tw_kind(struct tw_err *e, const char *kind)
{
	e->kind = kind;
	return e->status;
}

static const char *status_word(int status)
{
	switch (status) {
	case TW_USAGE:
		return "usage";
	case TW_UNSUPPORTED:
		return "unsupported";
	case TW_NO_VM:
		return "no-vm";
	case TW_REFUSED:
		return "refused";
	case TW_EJECTED:
		return "ejected";
	case TW_THRESHOLD:
		return "threshold";
	default:
		return "failed";
	}
}

static const char *or_null(const char *s)
{
	return *s ? s : NULL;
}

static void print_json(const struct tw_err *e)
{
	struct tw_json j = { .f = stdout };

	tw_json_open(&j, NULL, '{');
	tw_json_open(&j, "error", '{');
	tw_json_int(&j, "status", e->status);
	tw_json_str(&j, "kind", e->kind ? e->kind : status_word(e->status));
	tw_json_str(&j, "what", e->what);
	tw_json_str(&j, "fact", or_null(e->fact));
	tw_json_str(&j, "cure", or_null(e->cure));
	tw_json_int(&j, "errno", e->code);
	tw_json_str(&j, "detail", e->detail);
	tw_json_close(&j, '}');
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

void tw_err_print(const struct tw_err *e, bool json)
{
	if (json) {
		print_json(e);
		return;
	}
	fflush(stdout);
	tw_fprintf(stderr, "twctl: %s%s%s%s%s\n", e->what, *e->fact ? ": " : "", e->fact,
		   *e->cure ? "; " : "", e->cure);
	if (e->detail)
		tw_put_lines(stderr, e->detail);
}

void tw_err_free(struct tw_err *e)
{
	free(e->detail);
	e->detail = NULL;
}
