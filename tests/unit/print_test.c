// SPDX-License-Identifier: GPL-2.0
/* What others call themselves reaches a terminal as text, in its line and in its column; and is not read without end. */
#include "tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "err.h"
#include "print.h"
#include "proc.h"
#include "text.h"

static char *printed;
static size_t printed_len;

#define PRINTED(...)								\
	({									\
		FILE *f_ = open_memstream(&printed, &printed_len);		\
		free(printed);							\
		printed = NULL;							\
		tw_fprintf(f_, __VA_ARGS__);					\
		fclose(f_);							\
		printed;							\
	})

static void what_terminals_obey(void **state)
{
	(void)state;
	assert_string_equal(PRINTED("%s", "\x1b[2J\x1b]0;pwn\a"), "\\x1b[2J\\x1b]0;pwn\\x07");
	assert_string_equal(PRINTED("%s", "one\ntwo\ttab\rback"), "one\\x0atwo\\x09tab\\x0dback");
	/* C1: CSI in one character; and as a byte of its own, which is no UTF-8 */
	assert_string_equal(PRINTED("%s", "\xc2\x9b" "31m"), "\\xc2\\x9b31m");
	assert_string_equal(PRINTED("%s", "\x9b" "31m"), "\\x9b31m");
	/* what turns the direction of writing, and what has no width */
	assert_string_equal(PRINTED("%s", "\xe2\x80\xae" "x"), "\\xe2\\x80\\xaex");
	assert_string_equal(PRINTED("%s", "\xe2\x80\x8b"), "\\xe2\\x80\\x8b");
	assert_string_equal(PRINTED("%s", "\xc0\x9b"), "\\xc0\\x9b");
	assert_string_equal(PRINTED("%s", "b\xc3\xbcro"), "b\xc3\xbcro");
	assert_string_equal(PRINTED("a\n%s\n", "b"), "a\nb\n");
}

static void as_printf_does(void **state)
{
	(void)state;
	assert_string_equal(PRINTED("%-6s|%6s|%.2s|%-4.2s|%.*s|%*s", "ab", "cd", "efg", "hij", 1, "kl", 3, "m"),
			    "ab    |    cd|ef|hi  |k|  m");
	assert_string_equal(PRINTED("%-6s|", "b\xc3\xbcro"), "b\xc3\xbcro  |");
	assert_string_equal(PRINTED("%d %u %5d %-5d| %05d %+d %x %c %%", -1, 4000000000U, 7, 8, 9, 10, 0xabcU, 'z'),
			    "-1 4000000000     7 8    | 00009 +10 abc z %");
	assert_string_equal(PRINTED("%lld %llu %zu %ld %lu %+lld", -5LL, ~0ULL, (size_t)3, -4L, ~0UL, 6LL),
			    "-5 18446744073709551615 3 -4 18446744073709551615 +6");
	assert_string_equal(PRINTED("%.2f %7.2f %g %.9f %.3Lg %.*f", 1.005, 2.5, 0.5, 1e-9, 1.5L, 1, 2.25),
			    "1.00    2.50 0.5 0.000000001 1.5 2.2");
	assert_string_equal(PRINTED("%4llu.%09llu", 12ULL, 345ULL), "  12.000000345");
}

/* An error is one line, whatever its parts hold; its candidates keep theirs */
static void errors(void **state)
{
	struct tw_err e = { 0 };
	char text[4096] = "", file[] = "/tmp/print_test.XXXXXX";
	int fd = mkstemp(file), saved = dup(2);
	ssize_t n;

	(void)state;
	assert_true(fd >= 0);
	unlink(file);
	tw_fail(&e, TW_NO_VM, "cannot detach\x1b[2J");
	tw_fact(&e, "process 7 (\x1b]0;pwn\a\nroot# ) runs no VM");
	tw_cure(&e, "see\x9b");
	tw_detail(&e, tw_strdup("  one\n  t\x1bwo\n"));
	dup2(fd, 2);
	tw_err_print(&e, false);
	fflush(stderr);
	dup2(saved, 2);
	n = pread(fd, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	assert_string_equal(text, "twctl: cannot detach\\x1b[2J: process 7 (\\x1b]0;pwn\\x07\\x0aroot# ) runs no VM; "
			    "see\\x9b\n  one\n  t\\x1bwo\n");
	tw_err_free(&e);
	close(fd);
	close(saved);
}

static void cells(void **state)
{
	char buf[64];

	(void)state;
	assert_string_equal(tw_cell(buf, sizeof(buf), "ab", 4), "ab  ");
	assert_string_equal(tw_cell(buf, sizeof(buf), "b\xc3\xbcro", 5), "b\xc3\xbcro ");
	assert_string_equal(tw_cell(buf, sizeof(buf), "abcd", 4), "abcd");
	assert_string_equal(tw_cell(buf, sizeof(buf), "abcde", 4), "abc~");
	assert_string_equal(tw_cell(buf, sizeof(buf), "\xc3\xbc\xc3\xbc\xc3\xbc", 2), "\xc3\xbc~");
	assert_string_equal(tw_cell(buf, sizeof(buf), "a\x1b" "b", 4), "a?b ");
	assert_string_equal(tw_printable(buf, 5, "b\xc3\xbcros"), "b\xc3\xbc~");
}

/* A process of nobody's may have made its command line as long as its memory */
static void long_command_lines(void **state)
{
	char *word = malloc(100001), *argv;
	int in[2], status;
	size_t len = 0;
	pid_t pid;

	(void)state;
	memset(word, 'x', 100000);
	word[100000] = 0;
	assert_int_equal(pipe(in), 0);
	pid = fork();
	if (!pid) {
		dup2(in[0], 0);
		close(in[1]);
		execl("/bin/sh", "sh", "-c", "read x", word, word, word, word, word, (char *)NULL);
		_exit(1);
	}
	close(in[0]);
	/* until it has become the shell: one that becomes it while it is read has the beginning of what it was */
	do {
		argv = tw_read_cmdline(pid, &len);
		if (len < 200000 || strcmp(argv, "sh")) {
			free(argv);
			argv = NULL;
			usleep(1000);
		}
	} while (!argv && !waitpid(pid, &status, WNOHANG));
	assert_non_null(argv);
	assert_true(len >= 256 << 10);
	assert_true(len < 300 << 10);
	assert_string_equal(argv, "sh");
	free(argv);
	close(in[1]);
	waitpid(pid, &status, 0);
	/* and what has no end is an error, no swallowed memory */
	assert_null(tw_read_file("/dev/zero", &len));
	free(word);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_terminals_obey),
		cmocka_unit_test(as_printf_does),
		cmocka_unit_test(errors),
		cmocka_unit_test(cells),
		cmocka_unit_test(long_command_lines),
	};
	int failed = RUN_TAP(tests);

	free(printed);
	return failed;
}
