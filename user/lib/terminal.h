/* SPDX-License-Identifier: GPL-2.0 */
/* Whether there is a screen to write on; apart, as term.h takes words such as "lines". */
#ifndef TW_TERMINAL_H
#define TW_TERMINAL_H

/* What keeps standard input and output from being a screen, or NULL */
const char *tw_no_terminal(void);

#endif /* TW_TERMINAL_H */
