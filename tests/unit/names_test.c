// SPDX-License-Identifier: GPL-2.0
/* What names a VM: QEMU's command line, selectors, /proc/PID/stat. */
#include "tap.h"

#include <stdlib.h>
#include <string.h>

#include "proc.h"
#include "qemu/cmdline.h"
#include "vm.h"

#define UUID "12345678-1234-1234-1234-123456789abc"

/* Words of a command line, each with its NUL, as /proc shows them */
#define CMDLINE(words) words, sizeof(words)

static void expect_names(const char *argv, size_t len, const char *name, const char *uuid)
{
	struct tw_guest_names n;

	tw_qemu_names(argv, len, &n);
	if (name)
		assert_string_equal(n.name, name);
	else
		assert_null(n.name);
	if (uuid)
		assert_string_equal(n.uuid, uuid);
	else
		assert_null(n.uuid);
	tw_guest_names_free(&n);
}

static void qemu_command_lines(void **state)
{
	(void)state;
	expect_names(CMDLINE("qemu\0-name\0web"), "web", NULL);
	expect_names(CMDLINE("qemu\0--name\0web"), "web", NULL);
	expect_names(CMDLINE("qemu\0-name\0guest=web,debug-threads=on"), "web", NULL);
	expect_names(CMDLINE("qemu\0-name\0debug-threads=on,guest=web"), "web", NULL);
	expect_names(CMDLINE("qemu\0-name\0debug-threads=on"), NULL, NULL);
	expect_names(CMDLINE("qemu\0-enable-kvm\0-S\0-name\0web\0-uuid\0" UUID), "web", UUID);
	expect_names(CMDLINE("qemu\0-uuid\0" "12345678-1234-1234-1234-123456789ABC"), NULL, UUID);
	expect_names(CMDLINE("qemu\0-m\0" "512\0disk.img"), NULL, NULL);
	/* as libvirt writes them */
	expect_names(CMDLINE("/usr/bin/qemu-system-x86_64\0-name\0guest=db-1,debug-threads=on\0"
			     "-S\0-object\0{\"qom-type\":\"secret\"}\0-machine\0pc-q35-7.2\0"
			     "-uuid\0" UUID "\0-no-user-config\0-nodefaults"), "db-1", UUID);
}

static void hostile_command_lines(void **state)
{
	static const char unended[] = { 'q', 0, '-', 'n', 'a', 'm', 'e', 0, 'w', 'e', 'b' };

	(void)state;
	expect_names(CMDLINE("qemu\0-name\0guest=a,,b"), "a,b", NULL);
	expect_names(CMDLINE("qemu\0-name\0a,,b,,"), "a,b,", NULL);
	expect_names(CMDLINE("qemu\0-name\0guest=a=b"), "a=b", NULL);
	expect_names(CMDLINE("qemu\0-name\0web,process=guest=x"), "web", NULL);
	expect_names(CMDLINE("qemu\0-name\0web,process=x,,guest=y"), "web", NULL);
	expect_names(CMDLINE("qemu\0-name\0one\0-name\0two"), "two", NULL);
	expect_names(CMDLINE("qemu\0-name\0name=guest=web"), NULL, NULL);
	expect_names(CMDLINE("qemu\0-append\0-name\0-name\0web"), "web", NULL);
	expect_names(CMDLINE("qemu\0-append\0-name web"), NULL, NULL);
	expect_names(CMDLINE("qemu\0-append\0-name\0web"), NULL, NULL);
	expect_names(CMDLINE("qemu\0-name\0-uuid"), "-uuid", NULL);
	expect_names(CMDLINE("qemu\0-name\0"), NULL, NULL);
	expect_names(CMDLINE("qemu\0-name"), NULL, NULL);
	expect_names(CMDLINE("qemu\0-name\0guest="), NULL, NULL);
	expect_names(CMDLINE("qemu\0-name\0,"), NULL, NULL);
	expect_names(CMDLINE("qemu\0-name\0,,,,"), ",,", NULL);
	expect_names(CMDLINE("qemu\0-uuid\0not-a-uuid"), NULL, NULL);
	expect_names(CMDLINE("qemu\0-name\0\xff\x1b[31m"), "\xff\x1b[31m", NULL);
	expect_names(unended, sizeof(unended), NULL, NULL);
	expect_names("", 0, NULL, NULL);
	expect_names("\0\0\0", 3, NULL, NULL);
}

static void uuids(void **state)
{
	char uuid[37];

	(void)state;
	assert_false(tw_uuid_normalize("1234567812341234123412345678 abc", uuid));
	assert_true(tw_uuid_normalize("12345678123412341234123456789abc", uuid));
	assert_string_equal(uuid, UUID);
	assert_false(tw_uuid_normalize("", uuid));
	assert_false(tw_uuid_normalize(UUID "0", uuid));
	assert_false(tw_uuid_normalize("12345678-1234-1234-1234-123456789abg", uuid));
	assert_false(tw_uuid_normalize("123456781-234-1234-1234-123456789abc", uuid));
	assert_false(tw_uuid_normalize("{2345678-1234-1234-1234-123456789abc", uuid));
}

static char web[] = "web", number[] = "77", id[] = "5-9", uuid_text[] = UUID;
static const struct tw_vm vms[] = {
	{ .pid = 77, .fd = 9, .id = "77-9", .names = { .name = web } },
	{ .pid = 5, .fd = 8, .id = "5-8", .names = { .name = number } },
	{ .pid = 6, .fd = 3, .id = "6-3", .names = { .name = id, .uuid = uuid_text } },
	{ .pid = 7, .fd = 3, .id = "7-3" },
};

/* Which of the VMs a selector names, as bits; -1 if it does not parse */
static int selects(const char *text)
{
	struct tw_selector sel;
	const char *why;
	int set = 0;
	size_t i;

	if (tw_selector_parse(text, &sel, &why))
		return -1;
	for (i = 0; i < ARRAY_SIZE(vms); i++)
		set |= tw_selector_matches(&sel, &vms[i]) << i;
	return set;
}

static void selectors(void **state)
{
	(void)state;
	assert_int_equal(selects("web"), 1);
	assert_int_equal(selects("we"), 0);
	assert_int_equal(selects("webs"), 0);
	assert_int_equal(selects("WEB"), 0);
	assert_int_equal(selects("5"), 2);
	assert_int_equal(selects("78"), 0);
	assert_int_equal(selects("5-8"), 2);
	assert_int_equal(selects("5-9"), 4);
	assert_int_equal(selects("6-3"), 4);
	assert_int_equal(selects("7"), 8);
	assert_int_equal(selects(UUID), 4);
	assert_int_equal(selects("12345678123412341234123456789ABC"), 4);
	assert_int_equal(selects("uuid:" UUID), 4);
	/* a guest that calls itself by another's PID gains nothing by it */
	assert_int_equal(selects("77"), 1);
	assert_int_equal(selects("pid:77"), 1);
	assert_int_equal(selects("name:77"), 2);
	assert_int_equal(selects("name:5-9"), 4);
	assert_int_equal(selects("id:5-9"), 0);
	assert_int_equal(selects("0"), 0);
	assert_int_equal(selects("-1"), 0);
	assert_int_equal(selects("99999999999999999999"), -1);
	assert_int_equal(selects("7-"), 0);
	assert_int_equal(selects("-3"), 0);
}

static void bad_selectors(void **state)
{
	(void)state;
	assert_int_equal(selects(""), -1);
	assert_int_equal(selects("pid:"), -1);
	assert_int_equal(selects("pid:x"), -1);
	assert_int_equal(selects("pid:-1"), -1);
	assert_int_equal(selects("name:"), -1);
	assert_int_equal(selects("uuid:1"), -1);
	assert_int_equal(selects("id:5"), -1);
	assert_int_equal(selects("id:5-"), -1);
}

static void process_stat(void **state)
{
	static const char tail[] = " S 1 1 1 0 -1 2097216 0 0 0 0 0 0 0 0 20 0 1 0 4242 0 0";
	struct tw_proc p;
	char text[256];

	(void)state;
	strcpy(text, "12 (qemu)");
	strcat(text, tail);
	assert_true(tw_proc_parse_stat(text, &p));
	assert_string_equal(p.comm, "qemu");
	assert_int_equal(p.state, 'S');
	assert_true(p.kthread);
	assert_int_equal(p.start, 4242);
	strcpy(text, "12 (a) Z 1 (b) c)");
	strcat(text, tail);
	assert_true(tw_proc_parse_stat(text, &p));
	assert_string_equal(p.comm, "a) Z 1 (b) c");
	assert_int_equal(p.state, 'S');
	assert_false(tw_proc_parse_stat("", &p));
	assert_false(tw_proc_parse_stat("12 (qemu", &p));
	assert_false(tw_proc_parse_stat(") 12 (", &p));
	assert_false(tw_proc_parse_stat("12 (qemu) S 1", &p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(qemu_command_lines),
		cmocka_unit_test(hostile_command_lines),
		cmocka_unit_test(uuids),
		cmocka_unit_test(selectors),
		cmocka_unit_test(bad_selectors),
		cmocka_unit_test(process_stat),
	};

	return RUN_TAP(tests);
}
