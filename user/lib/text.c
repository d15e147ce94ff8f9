// SPDX-License-Identifier: GPL-2.0
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUOTE_BYTES 40
#define READ_MAX (64 << 20)

size_t tw_utf8_len(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || (s[1] & 0xc0) != 0x80)
		return 0;
	if (s[0] < 0xe0)
		return 2;
	if ((s[2] & 0xc0) != 0x80)
		return 0;
	if (s[0] < 0xf0) {
		if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f))
			return 0;
		return 3;
	}
	if (s[0] > 0xf4 || (s[3] & 0xc0) != 0x80)
		return 0;
	if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return 4;
}

static unsigned int code_point(const unsigned char *s, size_t len)
{
	unsigned int c = len == 1 ? s[0] : s[0] & (0xff >> (len + 1));
	size_t i;

	for (i = 1; i < len; i++)
		c = c << 6 | (s[i] & 0x3f);
	return c;
}

/*
 * Bytes of the character at s that a terminal shows and does not obey; 0 if it is none: control
 * characters of C0 and C1, what turns the direction of writing or has no width, and no UTF-8 at all.
 */
static size_t shown_len(const char *s)
{
	size_t len = tw_utf8_len(s);
	unsigned int c = len ? code_point((const unsigned char *)s, len) : 0;

	if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0xfeff || c == 0x061c)
		return 0;
	if ((c >= 0x200b && c < 0x2010) || (c >= 0x2028 && c < 0x2030) || (c >= 0x2060 && c < 0x2070))
		return 0;
	return c >= 0xe0000 ? 0 : len;
}

size_t tw_escape(char *buf, size_t size, const char *text, const char *keep)
{
	size_t used = 0, len;

	for (; *text; text += len ? len : 1) {
		len = strchr(keep, *text) ? 1 : shown_len(text);
		if (used + (len ? len : 4) >= size)
			break;
		if (len)
			memcpy(buf + used, text, len);
		else
			snprintf(buf + used, 5, "\\x%02x", (unsigned char)*text);
		used += len ? len : 4;
	}
	buf[used] = 0;
	return used;
}

const char *tw_quote(char *buf, size_t size, const char *text)
{
	char head[QUOTE_BYTES + 4];
	size_t used, cut = strnlen(text, QUOTE_BYTES), len = cut;

	/* not in the middle of a character */
	while (text[cut] && len && len + 4 > cut && ((unsigned char)text[len] & 0xc0) == 0x80)
		len--;
	snprintf(head, sizeof(head), "%.*s", (int)len, text);
	used = snprintf(buf, size, "'");
	used += tw_escape(buf + used, size - used - 4, head, "");
	snprintf(buf + used, size - used, text[len] ? "...'" : "'");
	return buf;
}

const char *tw_printable(char *buf, size_t size, const char *text)
{
	size_t used = 0, last = 0, len;

	for (; *text; text += len ? len : 1) {
		len = shown_len(text);
		if (used + (len ? len : 1) >= size)
			break;
		last = used;
		if (len)
			memcpy(buf + used, text, len);
		else
			buf[used] = '?';
		used += len ? len : 1;
	}
	if (*text && used) {
		if (used + 1 >= size)
			used = last;
		buf[used++] = '~';
	}
	buf[used] = 0;
	return buf;
}

const char *tw_cell(char *buf, size_t size, const char *text, int width)
{
	size_t used = 0, last = 0, len;
	int columns = 0;

	for (; *text && columns < width; text += len ? len : 1, columns++) {
		len = shown_len(text);
		if (used + (len ? len : 1) >= size)
			break;
		last = used;
		if (len)
			memcpy(buf + used, text, len);
		else
			buf[used] = '?';
		used += len ? len : 1;
	}
	if (*text && used) {
		used = last;
		buf[used++] = '~';
	}
	while (columns++ < width && used + 1 < size)
		buf[used++] = ' ';
	buf[used] = 0;
	return buf;
}

char *tw_read_fd(int fd, size_t *len)
{
	size_t used = 0, room = 4096;
	char *buf = tw_grow(NULL, room, 1);
	ssize_t n = 0;
	int err;

	/* sizes of /proc and /sys files are not known beforehand */
	while (used < READ_MAX && (n = read(fd, buf + used, room - used - 1)) > 0) {
		used += n;
		if (used + 1 == room) {
			room *= 2;
			buf = tw_grow(buf, room, 1);
		}
	}
	err = errno;
	if (used >= READ_MAX) {
		err = EFBIG;
		n = -1;
	}
	if (n < 0) {
		free(buf);
		errno = err;
		return NULL;
	}
	buf[used] = 0;
	if (len)
		*len = used;
	return buf;
}

char *tw_read_file(const char *path, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err;
	char *text = fd < 0 ? NULL : tw_read_fd(fd, len);

	err = errno;
	if (fd >= 0)
		close(fd);
	errno = err;
	return text;
}

bool tw_read_line(const char *path, char *buf, size_t size)
{
	char *text = tw_read_file(path, NULL);

	snprintf(buf, size, "%.*s", text ? (int)strcspn(text, "\n") : 0, text ? text : "");
	if (!text)
		return false;
	free(text);
	return true;
}

static void out_of_memory(void)
{
	fputs("twctl: out of memory\n", stderr);
	exit(1);
}

char *tw_asprintf(const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		out_of_memory();
	return s;
}

char *tw_strdup(const char *s)
{
	char *copy;

	if (!s)
		return NULL;
	copy = strdup(s);
	if (!copy)
		out_of_memory();
	return copy;
}

void *tw_grow(void *array, size_t n, size_t size)
{
	void *p = reallocarray(array, n ? n : 1, size);

	if (!p)
		out_of_memory();
	return p;
}

void tw_strings_add(struct tw_strings *list, const char *s)
{
	list->v = tw_grow(list->v, list->n + 1, sizeof(*list->v));
	list->v[list->n++] = s;
}
