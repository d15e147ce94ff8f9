// SPDX-License-Identifier: GPL-2.0
/*
 * What is told once a VM is attached: to whoever has started that as a service, that it is ready, and nothing that a guest's name
 * would say; to people, what in the guest works against a factor.
 */
#include "tap.h"

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attached.h"
#include "notify.h"

static char path[] = "/tmp/attached_test.XXXXXX";

/* That of its policy */
static struct timewarp_factor asked = { 1, 1 };

int __wrap_tw_state_read(const char *dir, struct tw_state *st, struct tw_err *e);

int __wrap_tw_state_read(const char *dir, struct tw_state *st, struct tw_err *e)
{
	(void)dir, (void)e;
	memset(st, 0, sizeof(*st));
	st->attached = true;
	st->asked = asked;
	return 0;
}

/* A service's manager; its socket */
static int listens_at(const char *at)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	memcpy(to.sun_path, at, strlen(at));
	if (*at == '@')
		*to.sun_path = 0;
	assert_int_equal(bind(fd, (struct sockaddr *)&to, offsetof(struct sockaddr_un, sun_path) + strlen(at)), 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", at, 1), 0);
	return fd;
}

static const char *heard(int fd)
{
	static char text[512];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = 0;
	return text;
}

/* What is told of it on standard error; to be freed */
static char *told(struct attachment *a)
{
	int out = dup(1), err = dup(2), null = open("/dev/null", O_WRONLY), file = memfd_create("told", 0);
	char *text = calloc(1, 4096);

	fflush(stdout);
	dup2(null, 1);
	dup2(file, 2);
	tw_tell_attached(a);
	fflush(stdout);
	dup2(out, 1);
	dup2(err, 2);
	assert_true(pread(file, text, 4095, 0) >= 0);
	close(out);
	close(err);
	close(null);
	close(file);
	return text;
}

static void an_attachment_is_ready_when_it_is_attached(void **unused)
{
	struct tw_args args = { 0 };
	struct tw_vm vm = { .id = "4711-9", .dir = "nowhere" };
	struct attachment a = { .args = &args, .t.vm = &vm, .name = "4711-9 (web\nMAINPID=1)", .policy = "until" };
	int fd = listens_at(path);

	(void)unused;
	free(told(&a));
	assert_string_equal(heard(fd), "READY=1\nSTATUS=attached until to 4711-9 (web\\x0aMAINPID=1)");
	/* nor does a command that is run when it is done */
	assert_null(getenv("NOTIFY_SOCKET"));
	tw_notify_ready("again");
	assert_string_equal(heard(fd), "");
	close(fd);
	unlink(path);
}

static void a_socket_may_have_a_name_and_no_file(void **unused)
{
	char at[64];
	int fd;

	(void)unused;
	snprintf(at, sizeof(at), "@attached_test.%d", getpid());
	fd = listens_at(at);
	tw_notify_ready("attached %s", "it");
	assert_string_equal(heard(fd), "READY=1\nSTATUS=attached it");
	close(fd);
}

/* Nobody, or whom it cannot reach, keeps it from what it does */
static void who_is_not_there_hears_nothing(void **unused)
{
	static const char *const at[] = { "", "vsock:2:3", "/nonexistent/notify", "notify" };
	char far[200];
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(at) / sizeof(*at); i++) {
		setenv("NOTIFY_SOCKET", at[i], 1);
		tw_notify_ready("attached");
	}
	memset(far, 'x', sizeof(far) - 1);
	far[sizeof(far) - 1] = 0;
	*far = '/';
	setenv("NOTIFY_SOCKET", far, 1);
	tw_notify_ready("attached");
}

/* A process that a QEMU with this option would look like; its PID, until end() */
static pid_t qemu(const char *option, const char *value)
{
	int up[2], in[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(up), 0);
	/* nothing comes of it: the process waits for that */
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(up[1], 1);
		dup2(in[0], 0);
		execl("/bin/sh", "qemu-system-x86_64", "-c", "echo; read x", option, value, (char *)NULL);
		_exit(1);
	}
	close(up[1]);
	close(in[0]);
	assert_int_equal(read(up[0], &byte, 1), 1);
	close(up[0]);
	/* in[1] stays open, and ends with the test */
	return pid;
}

static void an_ntp_client_may_work_against_a_factor(void **unused)
{
	static const struct {
		const char *value;
		struct timewarp_factor asked;
		bool says;
	} rows[] = { { "user", { 50, 1 }, true }, { "none", { 50, 1 }, false }, { "user", { 1, 1 }, false }, { "user", { 3, 3 }, false } };
	struct tw_args args = { 0 };
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct tw_vm vm = { .id = "4711-9", .dir = "nowhere", .pid = qemu("-nic", rows[i].value) };
		struct attachment a = { .args = &args, .t.vm = &vm, .name = "4711-9", .policy = "constant" };
		char *text;

		tw_attachment_add(&a.made, &vm);
		strcpy(a.made.session[0].look.why, "this is a test");
		asked = rows[i].asked;
		text = told(&a);
		kill(vm.pid, SIGKILL);
		waitpid(vm.pid, NULL, 0);
		if (!!strstr(text, "twctl: VM 4711-9 has a network: an NTP client in it works against the factor") != rows[i].says)
			fail_msg("row %zu: %s", i, text);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_attachment_is_ready_when_it_is_attached),
		cmocka_unit_test(a_socket_may_have_a_name_and_no_file),
		cmocka_unit_test(who_is_not_there_hears_nothing),
		cmocka_unit_test(an_ntp_client_may_work_against_a_factor),
	};
	int fd = mkstemp(path);

	if (fd < 0 || close(fd) || unlink(path))
		return 1;
	return RUN_TAP(tests);
}
