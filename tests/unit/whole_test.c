// SPDX-License-Identifier: GPL-2.0
/* Files that twctl replaces: whole or not at all, and nothing that others have planted is followed. */
#include "tap.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "text.h"
#include "whole.h"

static char dir[] = "/tmp/whole_test.XXXXXX";

static char *in(const char *name)
{
	static char path[2][128];
	static int i;

	i = !i;
	snprintf(path[i], sizeof(path[i]), "%s/%s", dir, name);
	return path[i];
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(in(name), "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void holds(const char *name, const char *text)
{
	char *got = tw_read_file(in(name), NULL);

	assert_non_null(got);
	assert_string_equal(got, text);
	free(got);
}

static int entries(void)
{
	DIR *d = opendir(dir);
	int n = -2;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void replaces(void **state)
{
	struct tw_err e = { 0 };
	struct tw_whole w;

	(void)state;
	put("old", "old");
	assert_int_equal(tw_whole_open(&w, in("old"), &e), 0);
	fputs("new", w.f);
	fflush(w.f);
	holds("old", "old");
	assert_int_equal(tw_whole_commit(&w, &e), 0);
	holds("old", "new");
	assert_int_equal(tw_whole_open(&w, in("old"), &e), 0);
	fputs("never", w.f);
	tw_whole_drop(&w);
	holds("old", "new");
	assert_int_equal(entries(), 1);
	assert_int_equal(tw_whole_open(&w, in("no/such"), &e), TW_FAILED);
	assert_int_equal(tw_whole_open(&w, dir, &e), TW_FAILED);
	unlink(in("old"));
}

/* Who may write to the directory may not lead root's pen */
static void planted_links(void **state)
{
	struct tw_err e = { 0 };
	struct tw_whole w, twin;
	char guess[64];
	FILE *f;

	(void)state;
	put("victim", "root's");
	assert_int_equal(symlink(in("victim"), in("link")), 0);
	assert_int_equal(tw_whole_open(&w, in("link"), &e), TW_FAILED);
	assert_string_equal(e.fact, "it is a link, which is left as it is");
	assert_int_equal(tw_stream_open(in("link"), &f, &e), TW_FAILED);
	holds("victim", "root's");
	/* the name in between, as it once was: FILE.PID.tmp */
	snprintf(guess, sizeof(guess), "out.%d.tmp", getpid());
	assert_int_equal(symlink(in("victim"), in(guess)), 0);
	assert_int_equal(tw_whole_open(&w, in("out"), &e), 0);
	assert_int_equal(tw_whole_open(&twin, in("out"), &e), 0);
	assert_string_not_equal(w.tmp, twin.tmp);
	tw_whole_drop(&twin);
	fputs("ours", w.f);
	assert_int_equal(tw_whole_commit(&w, &e), 0);
	holds("victim", "root's");
	holds("out", "ours");
	/* devices are no files to be replaced */
	assert_int_equal(tw_whole_open(&w, "/dev/null", &e), TW_FAILED);
	assert_int_equal(mkfifo(in("fifo"), 0600), 0);
	assert_int_equal(tw_whole_open(&w, in("fifo"), &e), TW_FAILED);
	unlink(in("fifo"));
	unlink(in(guess));
	unlink(in("link"));
	unlink(in("out"));
	unlink(in("victim"));
	tw_err_free(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replaces),
		cmocka_unit_test(planted_links),
	};
	int failed;

	if (!mkdtemp(dir))
		return 1;
	failed = RUN_TAP(tests);
	rmdir(dir);
	return failed;
}
