/* SPDX-License-Identifier: GPL-2.0 */
/* Text that comes from, or goes to, people. */
#ifndef TW_TEXT_H
#define TW_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/**
 * tw_escape - make text safe for a terminal: UTF-8 that shows stays, all else becomes \xNN
 * @buf: result, cut to fit
 * @size: of @buf
 * @text: the text
 * @keep: control characters that stay, such as "\n\t"
 *
 * Return: its length
 */
size_t tw_escape(char *buf, size_t size, const char *text, const char *keep);

/* Length of the UTF-8 sequence at @text, 0 if it is none: overlong forms and surrogates are none */
size_t tw_utf8_len(const char *text);

/**
 * tw_quote - render untrusted text so that it is safe to print in a message
 * @buf: result: 'text' with control characters as \xNN, and "..." after 40 bytes
 * @size: of @buf
 * @text: the text
 *
 * Return: @buf
 */
const char *tw_quote(char *buf, size_t size, const char *text);

/* A buffer long enough for what tw_quote() makes: 40 bytes of 4 characters, quotes, dots */
#define TW_QUOTE_MAX 176

/* As tw_quote() into a compound literal that lives until the end of the enclosing block */
#define TW_QUOTE(text) tw_quote((char[TW_QUOTE_MAX]){0}, TW_QUOTE_MAX, (text))

/**
 * tw_printable - copy text for a table cell: what a terminal would obey becomes '?'
 * @buf: result, cut to fit with '~' as the last character
 * @size: of @buf
 * @text: the text
 *
 * Return: @buf
 */
const char *tw_printable(char *buf, size_t size, const char *text);

/* As tw_printable(), cut or filled up to so many columns, a character each; @size has 4 bytes for each */
const char *tw_cell(char *buf, size_t size, const char *text, int width);

/**
 * tw_read_file - read a small file, such as those of /proc and /sys
 * @path: the file
 * @len: its length is stored here, unless NULL
 *
 * Return: its contents with a NUL byte appended, to be freed; NULL with errno set, EFBIG from 64 MiB on
 */
char *tw_read_file(const char *path, size_t *len);
/* Likewise what is left of an open file */
char *tw_read_fd(int fd, size_t *len);

/* The first line of a file, without its end; false, and an empty one, if it cannot be read */
bool tw_read_line(const char *path, char *buf, size_t size);

/**
 * tw_asprintf - format into fresh memory; ends the program when there is none
 */
char *tw_asprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/**
 * tw_strdup - copy a string; NULL stays NULL; ends the program when there is no memory
 */
char *tw_strdup(const char *s);

/**
 * tw_grow - realloc() for arrays that ends the program when there is no memory
 */
void *tw_grow(void *array, size_t n, size_t size);

/* A list of strings which belong to others */
struct tw_strings {
	const char **v;
	size_t n;
};

void tw_strings_add(struct tw_strings *list, const char *s);

#endif /* TW_TEXT_H */
