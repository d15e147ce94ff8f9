// SPDX-License-Identifier: GPL-2.0
/* What makes a guest's time pass, as a process of its own, ends with whoever wanted it: this program is its twctl attach. */
#include <unistd.h>

static int execute_self(const char *path, char *const argv[]);
#define execv execute_self
#include "../../user/lib/age/drive.c"
#undef execv

#include "tap.h"

/* Under valgrind, /proc/self/exe is the test for whoever reads that link, and valgrind for whoever executes it */
static int execute_self(const char *path, char *const argv[])
{
	char self[4096];
	ssize_t n = readlink(path, self, sizeof(self) - 1);

	self[n < 0 ? 0 : n] = 0;
	return execv(self, argv);
}

/* Until it is told to end */
static int attach(void)
{
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fprintf(stderr, "attached\n");
	return sigwait(&set, &sig) || sig != SIGTERM;
}

/* Who is killed has had it detached: its output's last end is closed then */
static void who_is_killed_leaves_nothing_attached(void **state)
{
	const char *const argv[] = { "twctl", "attach", NULL };
	struct pollfd p = { .events = POLLIN };
	int ends[2], said, status;
	char words[64] = "";
	pid_t age;

	(void)state;
	assert_false(pipe(ends));
	age = fork();
	if (!age) {
		pid_t pid = spawn(argv, &said);

		while (strcmp(words, "attached"))
			last_words(said, words, sizeof(words));
		if (pid > 0 && write(ends[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	close(ends[1]);
	p.fd = ends[0];
	assert_int_equal(poll(&p, 1, 20000), 1);
	assert_int_equal(read(ends[0], words, 1), 1);
	kill(age, SIGKILL);
	waitpid(age, &status, 0);
	assert_int_equal(poll(&p, 1, 20000), 1);
	assert_int_equal(read(ends[0], words, 1), 0);
	close(ends[0]);
}

static void what_it_said_last_is_kept(void **state)
{
	const char *const argv[] = { "twctl", "nonsense", NULL };
	char words[64];
	int said, status;
	pid_t pid = spawn(argv, &said);

	(void)state;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 3);
	last_words(said, words, sizeof(words));
	assert_string_equal(words, "no such verb");
	close(said);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_killed_leaves_nothing_attached),
		cmocka_unit_test(what_it_said_last_is_kept),
	};

	if (argc > 1 && !strcmp(argv[1], "attach"))
		return attach();
	if (argc > 1) {
		fprintf(stderr, "first\ntwctl: no such verb\n");
		return 3;
	}
	return RUN_TAP(tests);
}
