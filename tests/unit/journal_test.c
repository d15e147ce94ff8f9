// SPDX-License-Identifier: GPL-2.0
/* What the journal hears of a change: who, which VM, from what to what, in one line; and nobody waits for it. */
#include "tap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "journal.h"

static char dir[] = "/tmp/journal_test.XXXXXX", path[64];
static int journal;

static int listens(void **state)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	(void)state;
	snprintf(path, sizeof(path), "%s/log", dir);
	memcpy(at.sun_path, path, sizeof(path));
	unlink(path);
	journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	tw_journal_path = path;
	return bind(journal, (struct sockaddr *)&at, sizeof(at));
}

static int closes(void **state)
{
	(void)state;
	close(journal);
	return unlink(path);
}

/* The next line without what begins each; "" if there is none */
static const char *heard(void)
{
	static char line[2048];
	char *text;
	ssize_t len = recv(journal, line, sizeof(line) - 1, 0);

	line[len > 0 ? len : 0] = 0;
	text = strstr(line, "]: ");
	return text ? text + 3 : line;
}

static struct tw_vm web(void)
{
	return (struct tw_vm) {
		.pid = 12, .id = "12-9", .comm = "qemu",
		.names = { .name = "web", .uuid = "6d9d3a8c-0000-4000-8000-000000000001" },
	};
}

static void who_which_from_what_to_what(void **state)
{
	struct tw_state before = { .attached = true, .policy = "constant", .asked = { 2, 1 } };
	struct tw_state after = { .attached = true, .policy = "until", .asked = { 1, 4 } };
	struct tw_vm vm = web();
	struct tw_change c = { .verb = "swap", .vm = &vm, .before = &before, .after = &after, .given = "factor=1/4" };
	char want[64];

	(void)state;
	tw_journal_change(&c);
	snprintf(want, sizeof(want), "; by user %u (", getuid());
	c.given = heard();
	assert_ptr_equal(strstr(c.given, "swap of VM 12-9 (UUID 6d9d3a8c-0000-4000-8000-000000000001): from constant at factor 2 "
				"to until at factor 0.25, given factor=1/4; by user "), c.given);
	assert_non_null(strstr(c.given, want));
	assert_non_null(strstr(c.given, "; its name is 'web'"));
	assert_string_equal(heard(), "");
	c = (struct tw_change) { .verb = "attach", .vm = &vm, .after = &after };
	tw_journal_change(&c);
	assert_non_null(strstr(heard(), ": from the host's rate to until at factor 0.25; by user "));
	after.attached = false;
	c = (struct tw_change) { .verb = "detach", .vm = &vm, .before = &before, .after = &after };
	tw_journal_change(&c);
	assert_non_null(strstr(heard(), ": from constant at factor 2 to the host's rate; by user "));
}

/* A name can make no line of its own, and nothing that is told stands behind it */
static void names_come_last_and_stay_in_their_line(void **state)
{
	char name[] = "x', UUID -)\nattach of VM 1-1 \x1b[2J";
	struct tw_vm vm = web();
	struct tw_change c = { .verb = "detach", .vm = &vm, .given = "a=\n" };
	const char *line;

	(void)state;
	vm.names.name = name;
	vm.names.uuid = NULL;
	tw_journal_change(&c);
	line = heard();
	assert_null(strchr(line, '\n'));
	assert_null(strchr(line, '\x1b'));
	assert_ptr_equal(strstr(line, "detach of VM 12-9 (UUID -): from the host's rate"), line);
	assert_non_null(strstr(line, "; its name is 'x', UUID -)"));
	assert_true(strstr(line, "; its name is ") > strstr(line, "; by user "));
	assert_string_equal(heard(), "");
}

static void each_line_has_its_priority_and_process(void **state)
{
	char line[256], want[64];
	ssize_t len;

	(void)state;
	tw_journal(LOG_WARNING, "%s", "hears");
	len = recv(journal, line, sizeof(line) - 1, 0);
	assert_true(len > 0);
	line[len] = 0;
	assert_int_equal(strncmp(line, "<28>", 4), 0);
	snprintf(want, sizeof(want), " twctl[%d]: hears", getpid());
	assert_non_null(strstr(line, want));
}

/* A journal that hangs, and one that is not there */
static void nothing_waits_for_it(void **state)
{
	int i;

	(void)state;
	alarm(20);
	for (i = 0; i < 5000; i++)
		tw_journal(LOG_NOTICE, "%d", i);
	tw_journal_path = "/nowhere/log";
	tw_journal(LOG_NOTICE, "%s", "nobody hears");
	tw_journal_path = path;
	alarm(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_which_from_what_to_what, listens, closes),
		cmocka_unit_test_setup_teardown(names_come_last_and_stay_in_their_line, listens, closes),
		cmocka_unit_test_setup_teardown(each_line_has_its_priority_and_process, listens, closes),
		cmocka_unit_test_setup_teardown(nothing_waits_for_it, listens, closes),
	};

	if (!mkdtemp(dir))
		return 1;
	return RUN_TAP(tests) | rmdir(dir);
}
