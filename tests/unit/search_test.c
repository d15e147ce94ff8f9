// SPDX-License-Identifier: GPL-2.0
/*
 * Which file a policy is read from: the one that was looked at. Whoever may write to the directory above, or did when the
 * look came by, puts another in its place at the worst of moments: the look itself.
 */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy.h"
#include "text.h"

static char dir[] = "/tmp/search-test.XXXXXX";
/* What is exchanged as soon as it is looked at: NOW becomes AWAY, OTHER becomes NOW */
static const char *now, *away, *other;
static ino_t at;

int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);

int __wrap_fstat(int fd, struct stat *st)
{
	int err = __real_fstat(fd, st);

	if (!err && at && st->st_ino == at) {
		at = 0;
		assert_int_equal(rename(now, away), 0);
		assert_int_equal(rename(other, now), 0);
	}
	return err;
}

static void put(const char *policy, const char *as)
{
	char *from = tw_asprintf(POLICIES "/%s.bpf.o", policy), *data;
	size_t len;
	int fd;

	data = tw_read_file(from, &len);
	assert_non_null(data);
	fd = open(as, O_CREAT | O_TRUNC | O_WRONLY, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
	free(data);
	free(from);
}

/* The policy by that name is "until", though what was looked at goes meanwhile, and another comes in its place */
static void opens_what_it_looked_at(const char *looked_at, const char *goes, const char *comes)
{
	struct tw_err e = { 0 };
	struct tw_policy p;
	struct stat st;

	now = looked_at;
	away = goes;
	other = comes;
	assert_int_equal(stat(now, &st), 0);
	at = st.st_ino;
	assert_int_equal(tw_policy_open(&p, "mine", &e), TW_OK);
	assert_int_equal(at, 0);
	assert_string_equal(p.name, "until");
	tw_policy_close(&p);
}

static void a_file_that_is_exchanged(void **unused)
{
	(void)unused;
	put("until", "way/safe/mine.bpf.o");
	put("ramp", "ramp.bpf.o");
	opens_what_it_looked_at("way/safe/mine.bpf.o", "away.bpf.o", "ramp.bpf.o");
	unlink("away.bpf.o");
}

static void a_directory_that_is_exchanged(void **unused)
{
	(void)unused;
	put("until", "way/safe/mine.bpf.o");
	assert_int_equal(mkdir("evil", 0755), 0);
	put("ramp", "evil/mine.bpf.o");
	opens_what_it_looked_at("way/safe", "away", "evil");
	unlink("away/mine.bpf.o");
	rmdir("away");
}

/* One above that in which it lies */
static void a_directory_on_the_way_that_is_exchanged(void **unused)
{
	(void)unused;
	put("until", "way/safe/mine.bpf.o");
	assert_int_equal(mkdir("evil", 0755), 0);
	assert_int_equal(mkdir("evil/safe", 0755), 0);
	put("ramp", "evil/safe/mine.bpf.o");
	opens_what_it_looked_at("way", "away", "evil");
	unlink("away/safe/mine.bpf.o");
	rmdir("away/safe");
	rmdir("away");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_that_is_exchanged),
		cmocka_unit_test(a_directory_that_is_exchanged),
		cmocka_unit_test(a_directory_on_the_way_that_is_exchanged),
	};
	char *path;
	int failed;

	if (!mkdtemp(dir) || chdir(dir) || mkdir("way", 0755) || mkdir("way/safe", 0755))
		return 1;
	path = tw_asprintf("%s/way/safe", dir);
	setenv("TIMEWARP_POLICY_PATH", path, 1);
	free(path);
	failed = RUN_TAP(tests);
	unlink("way/safe/mine.bpf.o");
	rmdir("way/safe");
	rmdir("way");
	rmdir(dir);
	return failed;
}
