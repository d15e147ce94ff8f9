// SPDX-License-Identifier: GPL-2.0
/*
 * The host's date at its monotonic clock's zero, read by one who is preempted between two clocks. How far a kernel is
 * locked down, where that can be seen.
 */
#include "tap.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>

#include "host.h"

#define SECOND_NS 1000000000LL
#define EPOCH_NS (1790000000 * SECOND_NS)
#define READ_NS 40		/* that a reading takes */

/* The clocks of this test, by the linker's --wrap */
static int64_t at_ns, suspended_ns;
static int reading, preempted_at[8], nr_preempted;

int __wrap_clock_gettime(clockid_t id, struct timespec *ts);

int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	int64_t ns = at_ns;
	int i;

	switch (id) {
	case CLOCK_REALTIME:
		ns += EPOCH_NS;
		break;
	case CLOCK_BOOTTIME:
		ns += suspended_ns;
		break;
	}
	ts->tv_sec = ns / SECOND_NS;
	ts->tv_nsec = ns % SECOND_NS;
	at_ns += READ_NS;
	for (i = 0; i < nr_preempted; i++)
		if (reading == preempted_at[i])
			at_ns += 7 * 1000000;
	reading++;
	return 0;
}

static int64_t off_by(void)
{
	int64_t ns;

	at_ns = 5000 * SECOND_NS;
	reading = 0;
	ns = tw_host_epoch_ns() - (EPOCH_NS - suspended_ns);
	return ns < 0 ? -ns : ns;
}

static void test_undisturbed(void **unused)
{
	(void)unused;
	nr_preempted = 0;
	suspended_ns = 0;
	assert_in_range(off_by(), 0, 5 * READ_NS);
	suspended_ns = 3600 * SECOND_NS;
	assert_in_range(off_by(), 0, 5 * READ_NS);
}

/* Wherever it is preempted, for 7 ms: in any one round, and in each but the last */
static void test_preempted(void **unused)
{
	int i, k;

	(void)unused;
	suspended_ns = 0;
	nr_preempted = 1;
	for (i = 0; i < 25; i++) {
		preempted_at[0] = i;
		assert_in_range(off_by(), 0, 5 * READ_NS);
	}
	nr_preempted = 4;
	for (k = 0; k < 4; k++) {
		for (i = 0; i < 4; i++)
			preempted_at[i] = 5 * i + k;
		assert_in_range(off_by(), 0, 5 * READ_NS);
	}
}

/* The file that says it, if there is one; what is mounted where it would be, 0 if there is nothing; and above that */
static const char *lockdown_file;
static long security_magic, kernel_magic;

bool __wrap_tw_read_line(const char *path, char *buf, size_t size);
int __wrap_statfs(const char *path, struct statfs *fs);

bool __wrap_tw_read_line(const char *path, char *buf, size_t size)
{
	assert_string_equal(path, "/sys/kernel/security/lockdown");
	errno = ENOENT;
	snprintf(buf, size, "%s", lockdown_file ? lockdown_file : "");
	return lockdown_file;
}

int __wrap_statfs(const char *path, struct statfs *fs)
{
	memset(fs, 0, sizeof(*fs));
	fs->f_type = security_magic;
	if (strcmp(path, "/sys/kernel/security")) {
		assert_string_equal(path, "/sys/kernel");
		fs->f_type = kernel_magic;
	}
	errno = ENOENT;
	return fs->f_type ? 0 : -1;
}

/* A file that is not there says that the kernel knows no lockdown only where securityfs is mounted, or not in the kernel */
static void test_lockdown(void **unused)
{
	(void)unused;
	security_magic = kernel_magic = SYSFS_MAGIC;
	lockdown_file = NULL;
	assert_int_equal(tw_host_lockdown(), TW_LOCKDOWN_UNKNOWN);
	security_magic = 0;
	assert_int_equal(tw_host_lockdown(), TW_LOCKDOWN_NONE);
	/* in a container, or without any sysfs */
	kernel_magic = TMPFS_MAGIC;
	assert_int_equal(tw_host_lockdown(), TW_LOCKDOWN_UNKNOWN);
	kernel_magic = 0;
	assert_int_equal(tw_host_lockdown(), TW_LOCKDOWN_UNKNOWN);
	security_magic = SECURITYFS_MAGIC;
	assert_int_equal(tw_host_lockdown(), TW_LOCKDOWN_NONE);
	lockdown_file = "[none] integrity confidentiality";
	assert_int_equal(tw_host_lockdown(), TW_LOCKDOWN_NONE);
	lockdown_file = "none [integrity] confidentiality";
	assert_int_equal(tw_host_lockdown(), TW_LOCKDOWN_INTEGRITY);
	lockdown_file = "none integrity [confidentiality]";
	assert_int_equal(tw_host_lockdown(), TW_LOCKDOWN_CONFIDENTIALITY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_undisturbed),
		cmocka_unit_test(test_preempted),
		cmocka_unit_test(test_lockdown),
	};

	return RUN_TAP(tests);
}
