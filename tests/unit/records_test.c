// SPDX-License-Identifier: GPL-2.0
/* What is written and read: JSON, quoting, the kernel's state file, errors. */
#include "tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"
#include "json.h"
#include "state.h"
#include "text.h"

static void expect_json(const char *text, const char *expected)
{
	struct tw_json j = { 0 };
	char *buf = NULL;
	size_t size;

	j.f = open_memstream(&buf, &size);
	tw_json_open(&j, NULL, '[');
	tw_json_str(&j, NULL, text);
	tw_json_close(&j, ']');
	tw_json_end(&j);
	fclose(j.f);
	assert_string_equal(buf, expected);
	free(buf);
}

static void json_escapes(void **state)
{
	(void)state;
	expect_json("plain", "[\"plain\"]\n");
	expect_json("", "[\"\"]\n");
	expect_json(NULL, "[null]\n");
	expect_json("a\"b\\c", "[\"a\\\"b\\\\c\"]\n");
	expect_json("\n\t\x1b\x7f", "[\"\\u000a\\u0009\\u001b\\u007f\"]\n");
	expect_json("gr\xc3\xbc\xc3\x9f", "[\"gr\xc3\xbc\xc3\x9f\"]\n");
	expect_json("\xf0\x9f\x95\x92", "[\"\xf0\x9f\x95\x92\"]\n");
	/* a lone byte, a cut sequence, an overlong one, a surrogate, beyond the last plane */
	expect_json("\xff", "[\"\xef\xbf\xbd\"]\n");
	expect_json("a\xc3", "[\"a\xef\xbf\xbd\"]\n");
	expect_json("\xe2\x82", "[\"\xef\xbf\xbd\xef\xbf\xbd\"]\n");
	expect_json("\xc0\xaf", "[\"\xef\xbf\xbd\xef\xbf\xbd\"]\n");
	expect_json("\xed\xa0\x80", "[\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"]\n");
	expect_json("\xf4\x90\x80\x80",
		    "[\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"]\n");
}

static void json_structure(void **state)
{
	struct tw_json j = { 0 };
	char *buf = NULL;
	size_t size;

	(void)state;
	j.f = open_memstream(&buf, &size);
	tw_json_open(&j, NULL, '{');
	tw_json_open(&j, "a", '[');
	tw_json_int(&j, NULL, -1);
	tw_json_bool(&j, NULL, true);
	tw_json_close(&j, ']');
	tw_json_u64(&j, "ns", UINT64_MAX);
	tw_json_s64(&j, "d", INT64_MIN);
	tw_json_null(&j, "n");
	tw_json_close(&j, '}');
	tw_json_end(&j);
	tw_json_open(&j, NULL, '{');
	tw_json_close(&j, '}');
	tw_json_end(&j);
	fclose(j.f);
	assert_string_equal(buf, "{\"schema\":1,\"a\":[-1,true],\"ns\":\"18446744073709551615\","
			    "\"d\":\"-9223372036854775808\",\"n\":null}\n{\"schema\":1}\n");
	free(buf);
}

static void quoting_is_safe_to_print(void **state)
{
	char buf[TW_QUOTE_MAX], longer[500], cell[6];

	(void)state;
	assert_string_equal(tw_quote(buf, sizeof(buf), "web"), "'web'");
	assert_string_equal(tw_quote(buf, sizeof(buf), "\x1b[2J"), "'\\x1b[2J'");
	memset(longer, '\xff', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	tw_quote(buf, sizeof(buf), longer);
	assert_true(strlen(buf) < sizeof(buf));
	assert_string_equal(buf + strlen(buf) - 4, "...'");
	assert_string_equal(tw_printable(cell, sizeof(cell), "abc"), "abc");
	assert_string_equal(tw_printable(cell, sizeof(cell), "abcde"), "abcde");
	assert_string_equal(tw_printable(cell, sizeof(cell), "abcdef"), "abcd~");
	assert_string_equal(tw_printable(cell, sizeof(cell), "a\nb"), "a?b");
}

static const char sample[] =
	"abi 1\nattached 1\nid 7\npolicy constant\nlink_id 12\ntsc_mode trapped\n"
	"factor_asked 50/1\nfactor_force 18446744073709551615/368934881474191032\n"
	"factor_min 1/10000\nfactor_max 10000/1\nsince_host_ns 5\nhost_ns 100\nguest_ns 5000\n"
	"host_tsc 1\nguest_tsc 2\nseq 3\nseg_host_tsc 9\npv_shift -1\nheld_last_ns 4\n"
	"held_max_ns 6\ndecisions 1\nchanges 2\nclamps 3\nfloors 4\nlost_ticks 5\nexit_kind 3\n"
	"exit_code -34\nexit_reason clamps\nexit_message too many bad answers in a row\n";

static void state_file(void **state)
{
	struct tw_state st;
	const char *why;

	(void)state;
	assert_int_equal(tw_state_parse(sample, &st, &why), 0);
	assert_true(st.attached);
	assert_int_equal(st.id, 7);
	assert_string_equal(st.policy, "constant");
	assert_int_equal(st.asked.num, 50);
	assert_true(st.force.num == UINT64_MAX);
	assert_int_equal(st.guest_ns, 5000);
	assert_int_equal(st.exit_code, -34);
	assert_string_equal(st.exit_message, "too many bad answers in a row");
	assert_string_equal(tw_exit_kind_name(st.exit_kind), "ejected");
	assert_string_equal(tw_exit_kind_name(99), "unknown");
}

static void bad_state_files(void **state)
{
	char *longer = malloc(5000);
	struct tw_state st;
	const char *why;

	(void)state;
	assert_int_equal(tw_state_parse("", &st, &why), -1);
	assert_int_equal(tw_state_parse("abi 1\n", &st, &why), -1);
	assert_int_equal(tw_state_parse("abi x\n", &st, &why), -1);
	assert_int_equal(tw_state_parse("factor_asked 1\n", &st, &why), -1);
	assert_int_equal(tw_state_parse("factor_asked 1/\n", &st, &why), -1);
	assert_int_equal(tw_state_parse("\n\n \nabi", &st, &why), -1);
	strcpy(longer, sample);
	strcat(longer, "policy ");
	memset(longer + strlen(longer), 'x', 3000);
	longer[strlen(sample) + 3000] = 0;
	assert_int_equal(tw_state_parse(longer, &st, &why), 0);
	assert_int_equal(strlen(st.policy), sizeof(st.policy) - 1);
	free(longer);
}

/* A VM that goes while a verb is at it is no fault of the kernel's */
static void state_file_of_none(void **state)
{
	char kvm[] = "/tmp/records-test.XXXXXX", dir[64];
	struct tw_err e = { 0 };
	struct tw_state st;

	(void)state;
	assert_non_null(mkdtemp(kvm));
	snprintf(dir, sizeof(dir), "%s/1-9", kvm);
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(tw_state_read(dir, &st, &e), TW_UNSUPPORTED);
	assert_string_equal(e.fact, "No such file or directory");
	rmdir(dir);
	assert_int_equal(tw_state_read(dir, &st, &e), TW_NO_VM);
	assert_string_equal(e.fact, "the VM has gone");
	rmdir(kvm);
	/* debugfs was unmounted: nothing is known of the VM */
	assert_int_equal(tw_state_read(dir, &st, &e), TW_UNSUPPORTED);
}

static void errors_have_three_parts(void **state)
{
	struct tw_err e = { 0 };

	(void)state;
	assert_int_equal(tw_fail(&e, TW_NO_VM, "cannot %s", "attach"), TW_NO_VM);
	assert_int_equal(tw_fact(&e, "%d", 7), TW_NO_VM);
	assert_int_equal(tw_cure(&e, "do"), TW_NO_VM);
	tw_detail(&e, tw_strdup("more\n"));
	assert_string_equal(e.what, "cannot attach");
	assert_string_equal(e.fact, "7");
	tw_fail(&e, TW_FAILED, "again");
	assert_null(e.detail);
	assert_string_equal(e.cure, "");
	tw_err_free(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_escapes),
		cmocka_unit_test(json_structure),
		cmocka_unit_test(quoting_is_safe_to_print),
		cmocka_unit_test(state_file),
		cmocka_unit_test(bad_state_files),
		cmocka_unit_test(state_file_of_none),
		cmocka_unit_test(errors_have_three_parts),
	};

	return RUN_TAP(tests);
}
