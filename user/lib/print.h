/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Printing for people.
 *
 * What others call themselves (processes, guests, policies, files) may hold anything: sequences that a
 * terminal obeys, and newlines that make lines of their own.  It reaches a terminal or a log through
 * these functions alone; tests/unit/layers.t looks that nothing passes them by.
 */
#ifndef TW_PRINT_H
#define TW_PRINT_H

#include <stdarg.h>
#include <stdio.h>

/*
 * As fprintf(), with each %s through tw_escape(): a string stays in its line, and what is no text that
 * shows becomes \xNN.  The format itself is ours.  Takes the conversions that twctl uses: d i u x c s f g.
 */
int tw_fprintf(FILE *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int tw_vfprintf(FILE *f, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
#define tw_printf(...) tw_fprintf(stdout, __VA_ARGS__)

/* Text of several lines, such as a verifier's log: newlines and tabs stay, all else as above */
void tw_put_lines(FILE *f, const char *text);

#endif /* TW_PRINT_H */
