// SPDX-License-Identifier: GPL-2.0
#include "json.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>

#include "text.h"

static void quote(FILE *f, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	putc('"', f);
	while (*s) {
		/* a strict reader would refuse the whole line for what is no UTF-8 */
		size_t n = tw_utf8_len((const char *)s);

		if (*s == '"' || *s == '\\')
			fprintf(f, "\\%c", *s);
		else if (*s < 0x20 || *s == 0x7f)
			fprintf(f, "\\u%04x", *s);
		else if (!n)
			fputs("\xef\xbf\xbd", f);
		else
			fwrite(s, 1, n, f);
		s += n ? n : 1;
	}
	putc('"', f);
}

static void begin(struct tw_json *j, const char *key)
{
	if (j->more[j->depth])
		putc(',', j->f);
	j->more[j->depth] = true;
	if (key) {
		quote(j->f, key);
		putc(':', j->f);
	}
}

void tw_json_open(struct tw_json *j, const char *key, char bracket)
{
	begin(j, key);
	putc(bracket, j->f);
	j->more[++j->depth] = false;
	if (j->depth == 1 && bracket == '{' && !j->foreign)
		tw_json_int(j, "schema", TW_JSON_SCHEMA);
}

void tw_json_close(struct tw_json *j, char bracket)
{
	j->depth--;
	putc(bracket, j->f);
}

void tw_json_str(struct tw_json *j, const char *key, const char *value)
{
	if (!value) {
		tw_json_null(j, key);
		return;
	}
	begin(j, key);
	quote(j->f, value);
}

void tw_json_int(struct tw_json *j, const char *key, long long value)
{
	begin(j, key);
	fprintf(j->f, "%lld", value);
}

void tw_json_real(struct tw_json *j, const char *key, double value)
{
	if (!isfinite(value)) {
		tw_json_null(j, key);
		return;
	}
	begin(j, key);
	fprintf(j->f, "%.15g", value);
}

void tw_json_bool(struct tw_json *j, const char *key, bool value)
{
	begin(j, key);
	fputs(value ? "true" : "false", j->f);
}

void tw_json_null(struct tw_json *j, const char *key)
{
	begin(j, key);
	fputs("null", j->f);
}

void tw_json_u64(struct tw_json *j, const char *key, uint64_t value)
{
	begin(j, key);
	fprintf(j->f, "\"%" PRIu64 "\"", value);
}

void tw_json_s64(struct tw_json *j, const char *key, int64_t value)
{
	begin(j, key);
	fprintf(j->f, "\"%" PRId64 "\"", value);
}

void tw_json_decimal(struct tw_json *j, const char *key, double value, int decimals)
{
	begin(j, key);
	fprintf(j->f, "%.*f", decimals, value);
}

void tw_json_end(struct tw_json *j)
{
	putc('\n', j->f);
	if (!j->unflushed)
		fflush(j->f);
	j->more[0] = false;
}
