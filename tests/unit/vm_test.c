// SPDX-License-Identifier: GPL-2.0
/*
 * The VMs that there are, each once, however often and by whom it is held open, and in a time that does not grow with the
 * square of that. A VM is a file in memory here, which goes by a name of KVM's, and the kernel's order of files a made-up one.
 */
#include "tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc.h"
#include "vm.h"

#define NR_VMS 300
#define OFTEN 500	/* so often does the first process hold one of them */
#define NAME "timewarp-test"
#define MEMFD "/memfd:" NAME "."

static pid_t first, second;	/* hold all VMs; the second has a vCPU, too */
static pid_t without;	/* holds none */
static int vm_fd[NR_VMS];
static pid_t brief;	/* ends once its descriptors have been seen: when one of them is looked at again */
static pid_t no_fds = -1;	/* whose descriptors the kernel has no memory for */
static unsigned int compared;

DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path);

ssize_t __real_readlinkat(int dir, const char *path, char *buf, size_t size);
ssize_t __wrap_readlinkat(int dir, const char *path, char *buf, size_t size);
long __real_syscall(long nr, ...);
long __wrap_syscall(long nr, ...);

ssize_t __wrap_readlinkat(int dir, const char *path, char *buf, size_t size)
{
	char link[64] = "", as[64], again[32];
	ssize_t n;

	snprintf(again, sizeof(again), "/proc/%d/fd/", brief);
	if (brief && !strncmp(path, again, strlen(again))) {
		kill(brief, SIGKILL);
		waitpid(brief, NULL, 0);
		brief = 0;
	}
	n = __real_readlinkat(dir, path, link, sizeof(link) - 1);

	if (strncmp(link, MEMFD, strlen(MEMFD)))
		return __real_readlinkat(dir, path, buf, size);
	link[n - strlen(" (deleted)")] = 0;
	n = snprintf(as, sizeof(as), "anon_inode:%s", link + strlen(MEMFD));
	n = n < (ssize_t)size ? n : (ssize_t)size;
	memcpy(buf, as, n);
	return n;
}

/* The kernel scatters the addresses of files over all of 64 bits, that with the sign among them */
static uint64_t address(pid_t pid, unsigned long fd)
{
	char path[48];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/fd/%lu", pid, fd);
	assert_int_equal(stat(path, &st), 0);
	return (st.st_ino + 1) * 0x9e3779b97f4a7c15ULL;
}

long __wrap_syscall(long nr, ...)
{
	uint64_t one, two;
	long a[6];
	va_list ap;
	int i;

	va_start(ap, nr);
	for (i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (nr != SYS_kcmp)
		return __real_syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	assert_int_equal((int)a[2], KCMP_FILE);
	compared++;
	one = address(a[0], a[3]);
	two = address(a[1], a[4]);
	/* kcmp(2): 1, the first one's is less; 2, it is greater */
	return one == two ? 0 : one < two ? 1 : 2;
}

DIR *__wrap_opendir(const char *path)
{
	char fds[32];

	snprintf(fds, sizeof(fds), "/proc/%d/fd", no_fds);
	if (strcmp(path, fds))
		return __real_opendir(path);
	errno = ENOMEM;
	return NULL;
}

static int make(const char *as)
{
	char name[32];
	int fd;

	snprintf(name, sizeof(name), NAME ".%s", as);
	fd = memfd_create(name, 0);
	assert_true(fd >= 0);
	return fd;
}

static pid_t hold(bool often)
{
	int up[2], i;
	pid_t pid;
	char byte;

	assert_int_equal(pipe(up), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (i = 0; often && i < OFTEN; i++)
			if (dup(vm_fd[7]) < 0)
				_exit(1);
		if (!often)
			make("kvm-vcpu:0");
		close(up[0]);
		close(up[1]);
		for (;;)
			pause();
	}
	close(up[1]);
	/* its end of the pipe is closed when all is open */
	assert_int_equal(read(up[0], &byte, 1), 0);
	close(up[0]);
	return pid;
}

/* Of what is open so far */
static pid_t hold_none(void)
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return pid;
}

static int make_vms(void **unused)
{
	struct rlimit limit;
	int i;

	(void)unused;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	without = hold_none();
	for (i = 0; i < NR_VMS; i++)
		vm_fd[i] = make("kvm-vm");
	first = hold(true);
	second = hold(false);
	return 0;
}

static int end_vms(void **unused)
{
	(void)unused;
	kill(first, SIGKILL);
	kill(second, SIGKILL);
	kill(without, SIGKILL);
	waitpid(without, NULL, 0);
	waitpid(first, NULL, 0);
	waitpid(second, NULL, 0);
	return 0;
}

static void each_vm_once(void **unused)
{
	unsigned int seen[NR_VMS] = { 0 };
	struct tw_vms vms;
	size_t i, k;

	(void)unused;
	tw_vms_scan(&vms);
	for (i = 0; i < vms.n; i++) {
		/* the process that has its vCPUs */
		assert_int_not_equal(vms.v[i].pid, first);
		for (k = 0; vms.v[i].pid == second && k < NR_VMS; k++)
			seen[k] += vms.v[i].fd == vm_fd[k];
	}
	for (k = 0; k < NR_VMS; k++)
		assert_int_equal(seen[k], 1);
	tw_vms_free(&vms);
}

/* It is said of none that its state cannot be seen, as of one without a directory */
static void one_that_ends_meanwhile_is_not_there(void **unused)
{
	struct tw_vms vms;
	pid_t was;
	size_t i;

	(void)unused;
	was = brief = fork();
	if (!was) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		make("kvm-vm");
		make("kvm-vcpu:0");
		for (;;)
			pause();
	}
	usleep(100000);
	tw_vms_scan(&vms);
	assert_int_equal(brief, 0);
	for (i = 0; i < vms.n; i++)
		assert_int_not_equal(vms.v[i].pid, was);
	tw_vms_free(&vms);
}

/* Whatever KVM calls them, and however often it holds one of them */
static void a_process_has_each_of_its_vms_once(void **unused)
{
	size_t n;

	(void)unused;
	assert_int_equal(tw_vms_of(first, &n), 0);
	assert_int_equal(n, NR_VMS);
	assert_int_equal(tw_vms_of(getpid(), &n), 0);
	assert_int_equal(n, NR_VMS);
	assert_int_equal(tw_vms_of(without, &n), 0);
	assert_int_equal(n, 0);
}

/* That none is seen is not that there is none */
static void what_cannot_be_read_is_an_error(void **unused)
{
	char pid[16], name[16], quoted[96];
	struct tw_vms vms = { 0 };
	struct rlimit was, none;
	struct tw_err e = { 0 };
	struct tw_vm *vm;
	size_t n;

	(void)unused;
	assert_int_equal(tw_vms_of(1 << 30, &n), -ENOENT);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = (struct rlimit){ 0, was.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(tw_vms_of(first, &n), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);

	/* the process is there, and its descriptors are not to be had: of its fd/, the test has it so */
	no_fds = first;
	assert_int_equal(tw_vms_of(first, &n), -ENOMEM);
	snprintf(pid, sizeof(pid), "%d", first);
	assert_int_equal(tw_vm_find(&vms, pid, "attach to", &vm, &e), TW_NO_VM);
	/* under valgrind it has valgrind's */
	assert_int_equal(prctl(PR_GET_NAME, name), 0);
	snprintf(quoted, sizeof(quoted), "the descriptors of process %d (%s) cannot be read: Cannot allocate memory", first, name);
	assert_string_equal(e.fact, quoted);
	no_fds = -1;
	tw_err_free(&e);
}

/* With each other VM, a tenant who holds many would have root's scan take the square of them */
static void compared_in_halves(void **unused)
{
	unsigned int halves = 0, most;
	struct tw_vms vms;

	(void)unused;
	compared = 0;
	tw_vms_scan(&vms);
	while (1U << halves <= vms.n)
		halves++;
	/* two processes hold all; the third part is what the first one holds so often */
	most = (2 * vms.n + OFTEN) * halves;
	if (compared > most)
		fail_msg("%u comparisons of %zu VMs, %u at most", compared, vms.n, most);
	assert_true(compared >= vms.n);
	tw_vms_free(&vms);
}

/* Without debugfs, which is not mounted, or not any more, that the VM's directory is not there tells nothing */
static void a_vm_without_debugfs_is_there(void **unused)
{
	char dir[64];
	struct tw_vm vm = { .pid = first, .dir = dir };
	struct tw_proc p;
	int pidfd = __real_syscall(SYS_pidfd_open, first, 0);

	(void)unused;
	if (pidfd < 0 && errno == ENOSYS) {
		print_message("# there is no pidfd_open(2), which valgrind 3.19 does not know\n");
		skip();
	}
	close(pidfd);
	assert_true(tw_proc_read(first, &p));
	vm.start = p.start;
	snprintf(dir, sizeof(dir), "/sys/kernel/debug/kvm/%d-%d", first, vm_fd[0]);
	/* where there is one: in a namespace of its own */
	if (!access("/sys/kernel/debug/kvm", F_OK) &&
	    (unshare(CLONE_NEWNS) || mount("none", "/", "", MS_REC | MS_PRIVATE, NULL) ||
	     mount("none", "/sys/kernel/debug", "tmpfs", 0, NULL)))
		skip();
	assert_false(tw_vm_is_gone(&vm));
	vm.start++;
	assert_true(tw_vm_is_gone(&vm));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_vm_once),
		cmocka_unit_test(one_that_ends_meanwhile_is_not_there),
		cmocka_unit_test(a_process_has_each_of_its_vms_once),
		cmocka_unit_test(what_cannot_be_read_is_an_error),
		cmocka_unit_test(compared_in_halves),
		cmocka_unit_test(a_vm_without_debugfs_is_there),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_vms, end_vms);
}
