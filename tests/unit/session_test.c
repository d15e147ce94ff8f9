// SPDX-License-Identifier: GPL-2.0
/* The lock of a VM, its keeper, and what is pinned for it, between processes that are killed. */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host.h"
#include "proc.h"
#include "qemu/keeper.h"
#include "session/dir.h"
#include "session/session.h"
#include "text.h"

#define ID "4711-9"
#define MS 1000000LL

static char dir[] = "/tmp/session-test.XXXXXX";
static volatile int *shared;

/* A process that has the lock, until it is killed */
static pid_t hold(const char *verb)
{
	struct tw_lock l;
	pid_t pid;

	*shared = 0;
	pid = fork();
	if (pid) {
		while (!*shared)
			usleep(1000);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	*shared = tw_lock_try(&l, ID, verb, NULL) ? -1 : 1;
	for (;;)
		pause();
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void test_lock(void **unused)
{
	struct tw_holder holder;
	struct tw_lock l, m;
	struct tw_proc p;
	pid_t pid = hold("attach");

	(void)unused;
	assert_int_equal(*shared, 1);
	assert_int_equal(tw_lock_try(&l, ID, "set", &holder), -EBUSY);
	assert_int_equal(holder.pid, pid);
	assert_true(tw_proc_read(pid, &p));
	assert_int_equal(holder.start, p.start);
	assert_string_equal(holder.verb, "attach");
	/* another VM's is another one */
	assert_int_equal(tw_lock_try(&m, "4711-10", "set", &holder), 0);
	tw_lock_release(&m);
	/* it goes with its holder, and leaves nothing */
	end(pid);
	assert_int_equal(tw_lock_try(&l, ID, "set", &holder), 0);
	tw_lock_release(&l);
	assert_int_equal(access(l.path, F_OK), -1);
}

/* Many at once: never two in it */
static void test_exclusive(void **unused)
{
	volatile int *in = shared + 1, *twice = shared + 2, *times = shared + 3;
	pid_t pid[4];
	int i, n;

	(void)unused;
	*in = *twice = *times = 0;
	for (i = 0; i < 4; i++) {
		pid[i] = fork();
		for (n = 0; !pid[i] && n < 300;) {
			struct tw_lock l;

			if (tw_lock_try(&l, ID, "set", NULL))
				continue;
			if (__sync_fetch_and_add(in, 1))
				*twice = 1;
			__sync_fetch_and_add(times, 1);
			__sync_fetch_and_sub(in, 1);
			tw_lock_release(&l);
			n++;
		}
		if (!pid[i])
			_exit(0);
	}
	for (i = 0; i < 4; i++)
		waitpid(pid[i], NULL, 0);
	assert_int_equal(*twice, 0);
	assert_int_equal(*times, 1200);
}

int __real_flock(int fd, int operation);

/* Once: whoever had the lock lets go of it, and removes its file, between our look at the file and our lock of it */
static bool let_go;

int __wrap_flock(int fd, int operation)
{
	if (let_go)
		unlink(ID ".lock");
	let_go = false;
	return __real_flock(fd, operation);
}

/* A lock on a file that is by its name no more keeps out nobody */
static void test_removed_file(void **unused)
{
	struct tw_holder holder;
	struct tw_lock l, m;

	(void)unused;
	let_go = true;
	assert_int_equal(tw_lock_try(&l, ID, "set", NULL), 0);
	assert_false(let_go);
	assert_int_equal(tw_lock_try(&m, ID, "detach", &holder), -EBUSY);
	assert_int_equal(holder.pid, getpid());
	tw_lock_release(&l);
}

static struct tw_holder told;
static int times_told;

static void tell(const struct tw_vm *vm, const struct tw_holder *holder)
{
	(void)vm;
	told = *holder;
	times_told++;
}

static int take(struct tw_session *s, struct tw_vm *vm, bool over, volatile int *stop, struct tw_err *e)
{
	struct tw_wait wait = { .verb = "test", .over = over, .tell = tell, .stop = stop,
				.patience_ns = 600 * MS };
	struct tw_proc p;

	memset(vm, 0, sizeof(*vm));
	tw_proc_read(getpid(), &p);
	vm->pid = getpid();
	vm->start = p.start;
	strcpy(vm->id, ID);
	times_told = 0;
	tw_session_open(s, vm);
	return tw_session_lock(s, &wait, e);
}

static void test_wait(void **unused)
{
	struct tw_err e = { 0 };
	struct tw_session s;
	struct tw_vm vm;
	char expected[80];
	volatile int stop = 1;
	pid_t pid = hold("step");

	(void)unused;
	/* who waits says for whom, once, and gives up */
	assert_int_equal(take(&s, &vm, false, NULL, &e), TW_REFUSED);
	assert_int_equal(times_told, 1);
	assert_int_equal(told.pid, pid);
	snprintf(expected, sizeof(expected), "twctl step, process %d, holds it", pid);
	assert_string_equal(e.fact, expected);
	tw_session_close(&s);
	/* Ctrl-C is no lock */
	assert_int_equal(take(&s, &vm, false, &stop, &e), TW_REFUSED);
	assert_int_equal(s.lock.fd, -1);
	tw_session_close(&s);
	end(pid);
}

static void take_over(bool stopped)
{
	struct tw_err e = { 0 };
	struct tw_session s;
	struct tw_holder holder;
	struct tw_lock l;
	struct tw_vm vm;
	pid_t pid = hold("attach");
	int status;

	if (stopped)
		kill(pid, SIGSTOP);
	assert_int_equal(take(&s, &vm, true, NULL, &e), TW_OK);
	assert_true(s.lock.fd >= 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WTERMSIG(status), SIGKILL);
	/* and has it alone */
	assert_int_equal(tw_lock_try(&l, ID, "set", &holder), -EBUSY);
	assert_int_equal(holder.pid, getpid());
	tw_session_close(&s);
}

static void test_take_over(void **unused)
{
	(void)unused;
	take_over(false);
	take_over(true);
}

/* A PID that has come round again is nobody's to end */
static void test_reused_pid(void **unused)
{
	struct tw_holder holder;
	struct tw_lock l;
	pid_t pid = hold("attach");

	(void)unused;
	assert_int_equal(tw_lock_try(&l, ID, "set", &holder), -EBUSY);
	holder.start++;
	assert_false(tw_lock_break(&holder));
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	end(pid);
}

static void test_directory(void **unused)
{
	struct tw_lock l;
	char *link = tw_asprintf("%s/link", dir), *path = tw_asprintf("%s/" ID ".lock", dir);
	const char *was = tw_run_dir;

	(void)unused;
	assert_int_equal(chmod(dir, 0777), 0);
	assert_int_equal(tw_lock_try(&l, ID, "set", NULL), -EPERM);
	assert_int_equal(chmod(dir, 0700), 0);
	/* neither the directory nor a file in it may be a link */
	assert_int_equal(symlink(dir, link), 0);
	tw_run_dir = link;
	assert_int_equal(tw_lock_try(&l, ID, "set", NULL), -EPERM);
	tw_run_dir = was;
	/* a killed holder's file is there still */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/tmp/session-test-nothing", path), 0);
	assert_int_equal(tw_lock_try(&l, ID, "set", NULL), -ELOOP);
	unlink(path);
	unlink(link);
	free(path);
	free(link);
}

/* ---- the keeper */

static int kept, other;

static void keep(void *arg, int parent)
{
	struct pollfd p = { .fd = parent, .events = POLLIN };

	(void)arg;
	shared[1] = fcntl(kept, F_GETFD) >= 0 && fcntl(other, F_GETFD) < 0;
	shared[2] = getpid();
	tw_keeper_is_up();
	poll(&p, 1, -1);
	shared[3] = 1;
	for (;;)
		pause();
}

static void test_keeper(void **unused)
{
	struct tw_keeper k = { 0 };
	struct tw_proc p;
	pid_t pid;
	int i;

	(void)unused;
	memset((void *)shared, 0, 4 * sizeof(*shared));
	kept = open("/dev/null", O_RDONLY);
	other = open("/dev/null", O_RDONLY);
	pid = fork();
	if (!pid) {
		shared[0] = tw_keeper_start(&k, &kept, 1, keep, NULL) ? -1 : 1;
		for (;;)
			pause();
	}
	while (!shared[0])
		usleep(1000);
	assert_int_equal(shared[0], 1);
	assert_int_equal(shared[1], 1);
	usleep(20000);
	assert_int_equal(shared[3], 0);
	/* its parent is killed, and it goes on */
	end(pid);
	for (i = 0; i < 1000 && !shared[3]; i++)
		usleep(1000);
	assert_int_equal(shared[3], 1);
	assert_true(tw_proc_read(shared[2], &p));
	kill(shared[2], SIGKILL);
	/* and is ended by its parent */
	assert_int_equal(tw_keeper_start(&k, &kept, 1, keep, NULL), 0);
	assert_int_equal(k.pid, shared[2]);
	tw_keeper_end(&k);
	assert_int_equal(k.pid, 0);
	assert_false(tw_proc_read(shared[2], &p));
	tw_keeper_end(&k);
	close(kept);
	close(other);
}

static pid_t fork_with_pid(pid_t pid)
{
	struct clone_args args = { .exit_signal = SIGCHLD, .set_tid = (unsigned long)&pid, .set_tid_size = 1 };

	return syscall(SYS_clone3, &args, sizeof(args));
}

/*
 * In a PID namespace: who began a keeper ignores SIGCHLD, as it may have been started so; the keeper is killed, and its
 * PID comes round to a process that has nothing to do with it.
 */
static int end_reused(void)
{
	volatile int *stranger = shared + 4;
	struct tw_keeper k = { 0 };

	signal(SIGCHLD, SIG_IGN);
	*stranger = 0;
	if (tw_keeper_start(&k, NULL, 0, keep, NULL))
		return 2;
	kill(k.pid, SIGKILL);
	while (!kill(k.pid, 0))
		usleep(1000);
	if (!fork()) {
		pid_t pid = fork_with_pid(k.pid);

		if (pid)
			*stranger = pid;
		for (;;)
			pause();
	}
	while (!*stranger)
		usleep(1000);
	if (*stranger != k.pid)
		return 3;
	tw_keeper_end(&k);
	usleep(50000);
	return kill(*stranger, 0) ? 1 : 0;
}

static void test_reused_keeper(void **unused)
{
	pid_t pid = fork(), first;
	int status;

	(void)unused;
	if (!pid) {
		if (unshare(geteuid() ? CLONE_NEWUSER | CLONE_NEWPID : CLONE_NEWPID))
			_exit(77);
		first = fork();
		if (!first)
			_exit(end_reused());
		waitpid(first, &status, 0);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 4);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

/* QEMU's clocks are not put back yet: who goes on trying is named, and is started again if there is nobody */
static void test_goes_on(void **unused)
{
	struct tw_err e = { 0 };
	struct tw_holder keeper;
	struct rlimit was, none;
	struct tw_session s;
	char expected[80];
	struct tw_vm vm;

	(void)unused;
	assert_int_equal(take(&s, &vm, false, NULL, &e), TW_OK);
	assert_int_equal(tw_session_fail(&s, "a debugger has it", &e), TW_FAILED);
	assert_string_equal(e.fact, "a debugger has it");
	assert_true(s.keeper.pid > 0);
	assert_true(tw_session_keeper(&vm, &keeper));
	assert_int_equal(keeper.pid, s.keeper.pid);
	snprintf(expected, sizeof(expected), "process %d goes on trying", keeper.pid);
	assert_string_equal(e.cure, expected);
	tw_err_free(&e);
	memset(&e, 0, sizeof(e));
	/* the same one again */
	assert_int_equal(tw_session_fail(&s, "a debugger has it", &e), TW_FAILED);
	assert_string_equal(e.cure, expected);
	tw_err_free(&e);
	memset(&e, 0, sizeof(e));
	tw_keeper_end(&s.keeper);
	/* and where there can be none, what is to be done */
	getrlimit(RLIMIT_NOFILE, &was);
	none = (struct rlimit) { .rlim_cur = s.lock.fd + 2, .rlim_max = was.rlim_max };
	setrlimit(RLIMIT_NOFILE, &none);
	assert_int_equal(tw_session_fail(&s, "a debugger has it", &e), TW_FAILED);
	setrlimit(RLIMIT_NOFILE, &was);
	assert_string_equal(e.cure, "once that has ended: twctl detach --vm " ID);
	tw_err_free(&e);
	tw_session_close(&s);
	unlink(ID ".keeper");
}

/* No process to be had is no keeper, and is told */
static void test_no_keeper(void **unused)
{
	struct tw_keeper k = { 0 };
	pid_t pid = fork();
	int status;

	(void)unused;
	if (!pid) {
		while (dup(0) >= 0)
			;
		_exit(tw_keeper_start(&k, NULL, 0, keep, NULL) == -1 && errno == EMFILE && !k.pid ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* What is pinned is pinned with somebody who removes it, or not at all */
static void test_pin_without_keeper(void **unused)
{
	struct tw_err e = { 0 };
	struct tw_session s;
	struct tw_vm vm;
	char *path;
	int i, status;
	pid_t pid;

	(void)unused;
	assert_int_equal(take(&s, &vm, false, NULL, &e), TW_OK);
	path = tw_pin_path(&vm, "");
	pid = fork();
	if (!pid) {
		while ((i = dup(0)) >= 0)
			;
		status = tw_session_plain(&s, &e);
		_exit(status == TW_FAILED && !s.ours && e.code == EMFILE && strstr(e.fact, "no process that removes it") &&
		      access(path, F_OK) ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* where there is room, there is both */
	assert_int_equal(tw_session_plain(&s, &e), TW_OK);
	assert_true(s.ours && s.keeper.pid > 0 && !access(path, F_OK));
	tw_keeper_end(&s.keeper);
	assert_true(tw_pin_remove(&vm));
	tw_session_close(&s);
	free(path);
	path = tw_asprintf("%s/" ID ".keeper", dir);
	unlink(path);
	free(path);
}

/* ---- what is pinned */

static void make_vm(struct tw_vm *vm, const char *id, pid_t pid, unsigned long long start)
{
	char *path;
	int fd;

	memset(vm, 0, sizeof(*vm));
	snprintf(vm->id, sizeof(vm->id), "%s", id);
	vm->pid = pid;
	vm->start = start;
	assert_int_equal(tw_pin_make(vm), 0);
	path = tw_pin_path(vm, "policy");
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	free(path);
}

static bool there(const struct tw_vm *vm)
{
	char *path = tw_pin_path(vm, "");
	bool is = !access(path, F_OK);

	free(path);
	return is;
}

static void test_pins(void **unused)
{
	struct tw_vm lives, gone, reused, busy;
	struct tw_lock lock;
	struct tw_pins pins;
	struct tw_proc p;
	struct stat st;
	char text[64];

	(void)unused;
	assert_true(tw_proc_read(getpid(), &p));
	make_vm(&lives, "1-2", getpid(), p.start);
	make_vm(&gone, "4194303-2", 4194303, 1);
	make_vm(&reused, "2-2", getpid(), p.start + 1);
	make_vm(&busy, ID, 4194303, 1);
	assert_int_equal(stat(tw_pin_root, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	/* not ours: left alone */
	assert_int_equal(mkdir("notes", 0700), 0);
	tw_pins_stale(&pins);
	assert_int_equal(pins.n, 3);
	tw_pins_free(&pins);
	assert_int_equal(tw_lock_try(&lock, ID, "attach", NULL), 0);
	assert_int_equal(tw_pins_sweep("7-7", NULL, NULL), 0);
	assert_int_equal(tw_pins_sweep(gone.id, NULL, NULL), 1);
	assert_false(there(&gone));
	assert_int_equal(tw_pins_sweep(NULL, NULL, NULL), 1);
	assert_true(there(&lives));
	assert_false(there(&gone));
	assert_false(there(&reused));
	assert_true(there(&busy));
	tw_lock_release(&lock);
	assert_int_equal(tw_pins_left(text, sizeof(text)), 1);
	assert_string_equal(text, ID);
	assert_int_equal(tw_pins_sweep(NULL, NULL, NULL), 1);
	assert_int_equal(tw_pins_left(text, sizeof(text)), 0);
	assert_true(tw_pin_remove(&lives));
	assert_false(tw_pin_remove(&lives));
	rmdir("notes");
}

/* What is left of a VM that is gone goes with the next attach, to whichever VM */
static void test_next_attach_sweeps(void **unused)
{
	struct tw_err e = { 0 };
	struct tw_session s;
	struct tw_vm vm, gone;

	(void)unused;
	make_vm(&gone, "4194303-2", 4194303, 1);
	assert_int_equal(take(&s, &vm, false, NULL, &e), TW_OK);
	assert_int_equal(tw_session_clear(&s, &e), TW_OK);
	assert_false(tw_session_is_others(&s));
	assert_false(there(&gone));
	tw_session_close(&s);
}

static void flat(const char *name, bool is_there)
{
	char *path = tw_asprintf("%s/%s", tw_pin_root, name);
	int fd = is_there ? open(path, O_CREAT | O_EXCL | O_WRONLY, 0600) : -1;

	assert_true(is_there ? fd >= 0 : access(path, F_OK));
	if (fd >= 0)
		close(fd);
	free(path);
}

/* As twctl pinned them before a VM had a directory; of one that lives they stay */
static void test_flat_pins(void **unused)
{
	char *own = tw_asprintf("%d-1023", getpid()), *path = tw_asprintf("%s/%s", tw_pin_root, own), text[128];
	bool no_debugfs = access(TW_KVM_DEBUGFS, X_OK);

	(void)unused;
	mkdir(tw_pin_root, 0700);
	flat("4194303-2", true);
	flat("4194303-2-vmm", true);
	flat("4194303-2-vmm_change", true);
	flat("4194303-2-other", true);
	flat(own, true);
	assert_int_equal(tw_pins_left(text, sizeof(text)), no_debugfs ? 3 : 4);
	assert_int_equal(tw_pins_sweep("4194303-2", NULL, NULL), 3);
	flat("4194303-2", false);
	flat("4194303-2-vmm", false);
	flat("4194303-2-vmm_change", false);
	/* of no VM: that there is a process is not enough, where it can be told */
	assert_int_equal(tw_pins_sweep(NULL, NULL, NULL), no_debugfs ? 0 : 1);
	assert_int_equal(!access(path, F_OK), no_debugfs);
	unlink(path);
	free(path);
	path = tw_asprintf("%s/4194303-2-other", tw_pin_root);
	assert_int_equal(unlink(path), 0);
	free(path);
	free(own);
}

/* Where anybody may write, somebody was there first: nothing of what a link of his names is removed */
static void test_planted_link(void **unused)
{
	char *path = tw_asprintf("%s/4194303-2@4194303-1", tw_pin_root);
	struct tw_vm vm = { .id = "4194303-2", .pid = 4194303, .start = 1 };
	struct tw_pins pins;
	int fd;

	(void)unused;
	mkdir(tw_pin_root, 0700);
	assert_int_equal(mkdir("precious", 0700), 0);
	fd = open("precious/file", O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(symlink("../precious", path), 0);
	assert_int_equal(tw_pins_sweep(NULL, NULL, NULL), 0);
	assert_false(tw_pin_remove(&vm));
	assert_true(tw_pin_make(&vm) < 0);
	assert_int_equal(access("precious/file", F_OK), 0);
	unlink(path);
	/* nor is a root that others may write to looked at */
	assert_int_equal(chmod(tw_pin_root, 0777), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	tw_pins_stale(&pins);
	assert_int_equal(pins.n, 0);
	tw_pins_free(&pins);
	assert_false(tw_pin_remove(&vm));
	rmdir(path);
	chmod(tw_pin_root, 0700);
	unlink("precious/file");
	rmdir("precious");
	free(path);
}

#define NOBODY 65534

/* Whoever made it chooses what is found in it, whatever its mode: nothing is made in it, removed or taken for ours */
static void test_foreign_owner(void **unused)
{
	struct tw_vm vm;
	struct tw_pins pins;
	struct tw_lock l;
	char *path, *file;

	(void)unused;
	if (geteuid())
		skip();
	make_vm(&vm, "4194303-2", 4194303, 1);
	path = tw_pin_path(&vm, "");
	file = tw_pin_path(&vm, "policy");
	/* a VM's directory */
	assert_int_equal(chown(path, NOBODY, -1), 0);
	assert_int_equal(tw_pin_make(&vm), -EPERM);
	assert_false(tw_pin_remove(&vm));
	assert_int_equal(tw_pins_sweep(NULL, NULL, NULL), 0);
	assert_int_equal(access(file, F_OK), 0);
	assert_int_equal(chown(path, 0, -1), 0);
	/* the root of all */
	assert_int_equal(chown(tw_pin_root, NOBODY, -1), 0);
	assert_int_equal(tw_pin_make(&vm), -EPERM);
	tw_pins_stale(&pins);
	assert_int_equal(pins.n, 0);
	tw_pins_free(&pins);
	assert_false(tw_pin_remove(&vm));
	assert_int_equal(access(file, F_OK), 0);
	assert_int_equal(chown(tw_pin_root, 0, -1), 0);
	assert_true(tw_pin_remove(&vm));
	/* the locks' */
	assert_int_equal(chown(dir, NOBODY, -1), 0);
	assert_int_equal(tw_lock_try(&l, ID, "set", NULL), -EPERM);
	assert_int_equal(chown(dir, 0, -1), 0);
	free(path);
	free(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lock),
		cmocka_unit_test(test_exclusive),
		cmocka_unit_test(test_removed_file),
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_take_over),
		cmocka_unit_test(test_reused_pid),
		cmocka_unit_test(test_directory),
		cmocka_unit_test(test_keeper),
		cmocka_unit_test(test_reused_keeper),
		cmocka_unit_test(test_goes_on),
		cmocka_unit_test(test_no_keeper),
		cmocka_unit_test(test_pin_without_keeper),
		cmocka_unit_test(test_pins),
		cmocka_unit_test(test_next_attach_sweeps),
		cmocka_unit_test(test_flat_pins),
		cmocka_unit_test(test_planted_link),
		cmocka_unit_test(test_foreign_owner),
	};
	int failed;

	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	tw_run_dir = dir;
	tw_pin_root = tw_asprintf("%s/pins", dir);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	failed = RUN_TAP(tests);
	rmdir(tw_pin_root);
	free((char *)tw_pin_root);
	if (rmdir(dir))
		fprintf(stderr, "# %s is not empty\n", dir);
	return failed;
}
