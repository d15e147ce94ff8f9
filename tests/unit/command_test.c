// SPDX-License-Identifier: GPL-2.0
/* QEMU's command line for a disk image, and what twctl run adds to one. */
#include "tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "parse.h"
#include "when.h"

static void shows(struct tw_words *w, const char *want)
{
	char *got = tw_words_shell(w);

	assert_string_equal(got, want);
	free(got);
	assert_null(w->v[w->n]);
	tw_words_free(w);
}

static void an_image(void **state)
{
	struct tw_image image = {
		.path = "disk.qcow2", .format = "qcow2", .name = "disk", .folder = "/run/twctl/7",
		.memory_mib = 2048, .cpus = 2,
	};
	struct tw_words w = { 0 };

	(void)state;
	tw_command_image(&image, &w);
	shows(&w, "qemu-system-x86_64 -name guest=disk,debug-threads=on -no-user-config -nodefaults -display none "
		  "-machine q35,accel=kvm -cpu host -smp 2 -m 2048 "
		  "-drive if=none,id=disk,file=disk.qcow2,format=qcow2,discard=unmap -device virtio-blk-pci,drive=disk "
		  "-netdev user,id=net -device virtio-net-pci,netdev=net "
		  "-device virtio-balloon-pci,id=balloon,free-page-reporting=on -device virtio-rng-pci "
		  "-chardev stdio,id=console,signal=on -serial chardev:console -device virtio-serial-pci "
		  "-chardev socket,id=agent,path=/run/twctl/7/agent,server=on,wait=off "
		  "-device virtserialport,chardev=agent,name=org.qemu.guest_agent.0 "
		  "-qmp unix:/run/twctl/7/monitor,server=on,wait=off");
}

static bool has(const struct tw_words *w, const char *option, const char *argument)
{
	size_t i;

	for (i = 0; i + 1 < w->n; i++)
		if (!strcmp(w->v[i], option) && !strcmp(w->v[i + 1], argument))
			return true;
	return false;
}

static void an_image_with_all(void **state)
{
	struct tw_image image = {
		.path = "/a, b/it's.img", .format = "raw", .name = "a,b", .folder = "/r,un",
		.memory_mib = 512, .cpus = 1, .ssh = 2222, .snapshot = true, .silent = true,
	};
	struct tw_words w = { 0 };
	char *shell;

	(void)state;
	tw_command_image(&image, &w);
	assert_true(has(&w, "-name", "guest=a,,b,debug-threads=on"));
	assert_true(has(&w, "-drive", "if=none,id=disk,file=/a,, b/it's.img,format=raw,discard=unmap,snapshot=on"));
	assert_true(has(&w, "-netdev", "user,id=net,hostfwd=tcp:127.0.0.1:2222-:22"));
	assert_true(has(&w, "-chardev", "null,id=console"));
	assert_true(has(&w, "-qmp", "unix:/r,,un/monitor,server=on,wait=off"));
	shell = tw_words_shell(&w);
	assert_non_null(strstr(shell, " 'if=none,id=disk,file=/a,, b/it'\\''s.img,format=raw,discard=unmap,snapshot=on' "));
	free(shell);
	tw_words_free(&w);
}

static void names(void **state)
{
	static const char *const rows[][2] = {
		{ "disk.qcow2", "disk" }, { "/var/lib/a.b.img", "a.b" }, { "plain", "plain" },
		{ ".hidden", ".hidden" }, { "/ends/", "guest" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		char *name = tw_command_name(rows[i][0]);

		assert_string_equal(name, rows[i][1]);
		free(name);
	}
}

static struct tw_words words_of(const char *text)
{
	struct tw_words w = { 0 };
	char *copy = strdup(text), *word, *next;

	for (word = strtok_r(copy, " ", &next); word; word = strtok_r(NULL, " ", &next))
		tw_words_add(&w, "%s", word);
	free(copy);
	return w;
}

/* What tw_command_start() makes of a command line, or NULL with the fact it found */
static void starts(const char *given, const char *name, const char *date, const char *want, const char *fact)
{
	struct tw_command_start s = { .name = name, .date = date, .monitor = 5 };
	struct tw_words w = words_of(given);
	struct tw_err e = { 0 };
	const char *why;
	int status;

	if (date)
		assert_int_equal(tw_parse_date(date, &s.date_ns, &why), 0);
	status = tw_command_start(&s, &w, &e);
	if (want) {
		assert_int_equal(status, 0);
		shows(&w, want);
		return;
	}
	assert_int_equal(status, TW_USAGE);
	assert_non_null(strstr(e.fact, fact));
	assert_true(*e.cure);
	tw_words_free(&w);
}

#define OURS " -S -chardev socket,id=twctl-run,fd=5 -mon chardev=twctl-run,mode=control"

static void what_run_adds(void **state)
{
	(void)state;
	starts("qemu -m 1G", NULL, NULL, "qemu -m 1G" OURS, NULL);
	starts("qemu", "a,b", NULL, "qemu -name guest=a,,b,debug-threads=on" OURS, NULL);
	starts("qemu", NULL, "2038-01-18", "qemu -rtc base=2038-01-18T00:00:00,clock=vm" OURS, NULL);
	starts("qemu", NULL, "2100-02-28T23:59:59.5", "qemu -rtc base=2100-02-28T23:59:59,clock=vm" OURS, NULL);
	/* what the user says of the clock holds */
	starts("qemu -rtc clock=vm,driftfix=slew", NULL, "2038-01-18",
	       "qemu -rtc clock=vm,driftfix=slew -rtc base=2038-01-18T00:00:00" OURS, NULL);
	starts("qemu -rtc clock=host", NULL, NULL, "qemu -rtc clock=host" OURS, NULL);
	starts("qemu -rtc driftfix=slew", NULL, "2038-01-18",
	       "qemu -rtc driftfix=slew -rtc base=2038-01-18T00:00:00,clock=vm" OURS, NULL);
	starts("qemu -rtc base=utc", NULL, NULL, "qemu -rtc base=utc" OURS, NULL);
}

static void what_contradicts(void **state)
{
	(void)state;
	starts("qemu -daemonize", NULL, NULL, NULL, "-daemonize");
	starts("qemu --daemonize", NULL, NULL, NULL, "-daemonize");
	starts("qemu -m 1G -S", NULL, NULL, NULL, "-S");
	starts("qemu -rtc clock=host,base=utc", NULL, "2038-01-18", NULL, "twice");
	starts("qemu -rtc driftfix=slew,clock=host", NULL, "2038-01-18", NULL, "the host's clock");
	starts("qemu -rtc clock=rt", NULL, "2038-01-18", NULL, "the host's clock");
	/* the argument of another option is none */
	starts("qemu -append -S", NULL, NULL, "qemu -append -S" OURS, NULL);
	starts("qemu -append base=1", NULL, "2038-01-18",
	       "qemu -append base=1 -rtc base=2038-01-18T00:00:00,clock=vm" OURS, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_image),
		cmocka_unit_test(an_image_with_all),
		cmocka_unit_test(names),
		cmocka_unit_test(what_run_adds),
		cmocka_unit_test(what_contradicts),
	};

	return RUN_TAP(tests);
}
