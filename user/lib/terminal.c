// SPDX-License-Identifier: GPL-2.0
#include "terminal.h"

#include <curses.h>
#include <stdlib.h>
#include <term.h>
#include <unistd.h>

const char *tw_no_terminal(void)
{
	const char *type = getenv("TERM"), *why = NULL;
	int err;

	if (!isatty(STDOUT_FILENO))
		return "standard output is no terminal";
	if (!isatty(STDIN_FILENO))
		return "standard input is no terminal";
	if (!type || !*type)
		return "TERM is not set, so the terminal is not known";
	if (setupterm(NULL, STDOUT_FILENO, &err) != OK)
		return "the terminal that TERM names is not known";
	if (!cursor_address)
		why = "the terminal that TERM names cannot move its cursor";
	del_curterm(cur_term);
	return why;
}
