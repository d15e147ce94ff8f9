/* SPDX-License-Identifier: GPL-2.0 */
/* What people type: the EXAMPLES of each verb's help and manual page. */
#ifndef TW_EXAMPLES_H
#define TW_EXAMPLES_H

/* Lines of "    COMMAND" and of what it does; NULL if there are none for that verb */
const char *tw_examples(const char *verb);

#endif /* TW_EXAMPLES_H */
