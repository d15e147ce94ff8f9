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

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f;
}

const char *tw_quote(char *buf, size_t size, const char *text)
{
	size_t used = 0, i;
	int n;

	n = snprintf(buf, size, "'");
	used += n;
	for (i = 0; text[i] && i < QUOTE_BYTES && used + 10 < size; i++) {
		unsigned char c = text[i];

		n = snprintf(buf + used, size - used, is_plain(c) ? "%c" : "\\x%02x", c);
		used += n;
	}
	snprintf(buf + used, size - used, text[i] ? "...'" : "'");
	return buf;
}

const char *tw_printable(char *buf, size_t size, const char *text)
{
	size_t i;

	for (i = 0; text[i] && i + 1 < size; i++)
		buf[i] = is_plain(text[i]) ? text[i] : '?';
	if (text[i] && i)
		buf[i - 1] = '~';
	buf[i] = 0;
	return buf;
}

char *tw_read_file(const char *path, size_t *len)
{
	size_t used = 0, room = 4096;
	char *buf = tw_grow(NULL, room, 1);
	ssize_t n;
	int fd, err;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		err = errno;
		free(buf);
		errno = err;
		return NULL;
	}
	/* sizes of /proc and /sys files are not known beforehand */
	while ((n = read(fd, buf + used, room - used - 1)) > 0) {
		used += n;
		if (used + 1 == room) {
			room *= 2;
			buf = tw_grow(buf, room, 1);
		}
	}
	err = errno;
	close(fd);
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

char *tw_read_cmdline(int pid, size_t *len)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	return tw_read_file(path, len);
}
