// SPDX-License-Identifier: GPL-2.0
/*
 * Whose program is looked into: never one that others than root have made, not even to see that it is theirs. And that nobody
 * waits for memory that its owner has made mute. His file system is a real one here.
 */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <linux/fuse.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "apart.h"
#include "proc.h"
#include "qemu/fold.h"
#include "qemu/image.h"
#include "qemu/layout.h"
#include "text.h"

#define PROGRAM "/bin/sleep"

static char dir[] = "/tmp/layout-test.XXXXXX";

/* What the file system that a tenant runs shares with the test */
static struct shared {
	volatile bool sulks;		/* answers nothing any more but what the running program reads of itself */
	volatile bool mute;		/* answers nothing at all */
	volatile unsigned int asked;	/* since then */
	volatile bool ready;
	struct tw_vmm_look look;
	struct vmm_state state;
	bool done, quick;
	char why[TW_WHY_MAX];
	size_t named, nameless;
} *shared;

#define VM_FILE "kvm-vm"

ssize_t __real_readlinkat(int dir, const char *path, char *buf, size_t size);
ssize_t __wrap_readlinkat(int dir, const char *path, char *buf, size_t size);

/* A file in memory is a VM here */
ssize_t __wrap_readlinkat(int at, const char *path, char *buf, size_t size)
{
	ssize_t n = __real_readlinkat(at, path, buf, size);

	if (n > 0 && !strncmp(buf, "/memfd:" VM_FILE " ", strlen("/memfd:" VM_FILE " ")))
		n = snprintf(buf, size, "anon_inode:" VM_FILE);
	return n;
}

/* ---- a file system of one file, said to be root's */

static void fill(struct fuse_attr *a, uint64_t node, off_t size)
{
	a->ino = node;
	a->size = node == 1 ? 0 : size;
	a->mode = node == 1 ? S_IFDIR | 0755 : S_IFREG | 0755;
	a->nlink = 1;
	a->blksize = 4096;
}

static void answer(int fd, const struct fuse_in_header *in, int error, const void *data, size_t len)
{
	struct {
		struct fuse_out_header h;
		char data[1 << 17];
	} out = { .h = { .len = sizeof(out.h) + len, .error = -error, .unique = in->unique } };

	memcpy(out.data, data, len);
	if (write(fd, &out, out.h.len) < 0)
		return;
}

static void serve_one(int fd, int file, off_t size, const struct fuse_in_header *in)
{
	const struct fuse_init_in *init = (const void *)(in + 1);
	const struct fuse_read_in *rd = (const void *)(in + 1);
	struct fuse_init_out io = { .major = 7, .minor = init->minor, .max_write = 4096, .max_readahead = 65536 };
	struct fuse_entry_out entry = { .nodeid = 2 };
	struct fuse_attr_out attr = { 0 };
	struct fuse_open_out opened = { 0 };
	static char data[1 << 17];
	ssize_t n;

	switch (in->opcode) {
	case FUSE_INIT:
		answer(fd, in, 0, &io, sizeof(io));
		break;
	case FUSE_LOOKUP:
		fill(&entry.attr, 2, size);
		answer(fd, in, 0, &entry, sizeof(entry));
		break;
	case FUSE_GETATTR:
		fill(&attr.attr, in->nodeid, size);
		answer(fd, in, 0, &attr, sizeof(attr));
		break;
	case FUSE_OPEN:
		answer(fd, in, 0, &opened, sizeof(opened));
		break;
	case FUSE_READ:
		n = pread(file, data, rd->size, rd->offset);
		answer(fd, in, n < 0 ? EIO : 0, data, n < 0 ? 0 : n);
		break;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
		answer(fd, in, 0, "", 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		answer(fd, in, ENOSYS, "", 0);
	}
}

static void serve(int fd)
{
	int file = open(PROGRAM, O_RDONLY);
	static char buf[1 << 18];
	const struct fuse_in_header *in = (const void *)buf;
	struct stat st;

	fstat(file, &st);
	while (read(fd, buf, sizeof(buf)) > 0) {
		if (shared->mute || (shared->sulks && in->opcode != FUSE_READ))
			shared->asked++;
		else
			serve_one(fd, file, st.st_size, in);
	}
	_exit(0);
}

/* As fusermount does it for a tenant */
static pid_t mount_fuse(const char *where)
{
	char options[96];
	int fd = open("/dev/fuse", O_RDWR);
	pid_t pid;

	shared->sulks = shared->mute = false;
	shared->asked = 0;
	if (fd < 0)
		return -1;
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=1000,group_id=1000,allow_other", fd);
	if (mount("tenant", where, "fuse", MS_NOSUID | MS_NODEV, options)) {
		close(fd);
		return -1;
	}
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(fd);
	}
	close(fd);
	return pid;
}

/* ---- VMs, as far as their programs are concerned */

static pid_t start(const char *program)
{
	char path[32], comm[32];
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl(program, "qemu", "1000", NULL);
		_exit(1);
	}
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	while (!tw_read_line(path, comm, sizeof(comm)) || strcmp(comm, "qemu"))
		usleep(1000);
	usleep(100000);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static bool ends_within(pid_t pid, int seconds)
{
	int i;

	for (i = 0; i < seconds * 1000; i++) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return true;
		usleep(1000);
	}
	return false;
}

/* Whether it comes to an end, in which case what it has found is in shared->look; else it is *stuck */
static bool looks(pid_t vm, bool foreign, pid_t *stuck)
{
	char vm_dir[] = "/nosuch/1-9";
	struct tw_vm v = { .pid = vm, .comm = "qemu", .dir = vm_dir };

	memset(&shared->look, 0, sizeof(shared->look));
	*stuck = fork();
	if (!*stuck) {
		tw_vmm_look(&v, foreign, &shared->look);
		_exit(0);
	}
	return ends_within(*stuck, 10);
}

static char *copy(const char *where, const char *name)
{
	char *path = tw_asprintf("%s/%s", where, name), *command = tw_asprintf("cp %s %s", PROGRAM, path);

	assert_int_equal(system(command), 0);
	free(command);
	return path;
}

/* Who may mount, in a namespace of its own; others skip this */
static bool alone(void)
{
	return !geteuid() && !unshare(CLONE_NEWNS) && !mount("none", "/", "", MS_REC | MS_PRIVATE, NULL);
}

static void test_owners(void **unused)
{
	pid_t vm, stuck;
	char *path;

	(void)unused;
	if (!alone() || mount("none", dir, "tmpfs", 0, NULL))
		skip();
	path = copy(dir, "qemu");
	vm = start(path);
	assert_true(looks(vm, false, &stuck));
	assert_false(shared->look.foreign);
	assert_string_equal(shared->look.why, "qemu is not QEMU, or has no symbols");
	/* a file system that says of itself that its owners are not to be believed */
	assert_int_equal(mount("none", dir, "", MS_REMOUNT | MS_BIND | MS_NOSUID, NULL), 0);
	assert_true(looks(vm, false, &stuck));
	assert_true(shared->look.foreign);
	assert_int_equal(mount("none", dir, "", MS_REMOUNT | MS_BIND, NULL), 0);
	assert_int_equal(chmod(path, 0775), 0);
	assert_true(looks(vm, false, &stuck));
	assert_true(shared->look.foreign);
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(chown(path, 65534, 65534), 0);
	assert_true(looks(vm, false, &stuck));
	assert_true(shared->look.foreign);
	assert_true(strstr(shared->look.why, "not root's alone"));
	/* --vmm on */
	assert_true(looks(vm, true, &stuck));
	assert_string_equal(shared->look.why, "qemu is not QEMU, or has no symbols");
	end(vm);
	free(path);
	umount2(dir, MNT_DETACH);
}

/* His file system, where such a one can be mounted; else the test is passed over, and has no use for @path */
static pid_t mount_or_skip(char *path)
{
	pid_t server = alone() ? mount_fuse(dir) : -1;

	if (server < 0) {
		free(path);
		skip();
	}
	return server;
}

/* A tenant's file system lets whoever opens its file wait for ever, and says that it is root's */
static void test_fuse(void **unused)
{
	char *path = tw_asprintf("%s/qemu", dir);
	pid_t server, vm, stuck;
	unsigned int asked;
	bool ended, waits;

	(void)unused;
	server = mount_or_skip(path);
	vm = start(path);
	shared->sulks = true;
	ended = looks(vm, false, &stuck);
	asked = shared->asked;
	/* it would have, and is not waited for then either */
	waits = ended && looks(vm, true, &stuck) && strstr(shared->look.why, "does not answer");
	end(server);
	end(vm);
	umount2(dir, MNT_DETACH);
	free(path);
	assert_true(ended);
	assert_int_equal(asked, 0);
	assert_true(waits && shared->asked > 0);
}

/* ---- memory that does not answer */

/*
 * Puts a file where the kernel has put the bytes of chance that tell one execve(2) from another. Anybody can. The caller's own
 * part of the stack is to be further down.
 */
__attribute__((noinline))
static void fall_mute(int fd)
{
	uintptr_t page = getauxval(AT_RANDOM) & -4096UL;

	if (mmap((void *)page, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0) == MAP_FAILED)
		_exit(1);
}

/*
 * The kernel takes the command line from no file, but the lock of the whole memory for it. That is held while a file's mapping
 * makes way for another, and what was written there goes to the file first.
 */
static void hold_lock(int fd)
{
	char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		_exit(1);
	*map = 1;
	shared->ready = true;
	while (!shared->mute)
		usleep(1000);
	mmap(map, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	_exit(1);
}

enum how { ANSWERS, MUTE_MEMORY, MUTE_LOCK };

__attribute__((noreturn))
static void hold_vm(enum how how, const char *file)
{
	volatile char apart[1 << 16];
	int fd = how == ANSWERS ? -1 : open(file, O_RDWR);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	memset((char *)apart, 0, sizeof(apart));
	if (memfd_create(VM_FILE, 0) < 0)
		_exit(1);
	if (how == MUTE_LOCK)
		hold_lock(fd);
	if (how == MUTE_MEMORY)
		fall_mute(fd);
	shared->ready = true;
	for (;;)
		pause();
}

/* A process with a VM */
static pid_t start_vm(enum how how, const char *file)
{
	pid_t pid = fork();

	if (!pid)
		hold_vm(how, file);
	while (!shared->ready && !waitpid(pid, NULL, WNOHANG))
		usleep(1000);
	assert_true(shared->ready);
	shared->ready = false;
	return pid;
}

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* As list and status do, the second time as with --every */
static void scan(pid_t mute, pid_t other)
{
	struct tw_vms vms;
	long long begun;
	size_t i;

	tw_vms_scan(&vms);
	for (i = 0; i < vms.n; i++) {
		shared->nameless += vms.v[i].pid == mute && !vms.v[i].names.name && tw_is_mute(mute);
		shared->named += vms.v[i].pid == other && !tw_is_mute(other);
	}
	tw_vms_free(&vms);
	begun = now_ms();
	tw_vms_scan(&vms);
	tw_vms_free(&vms);
	shared->quick = now_ms() - begun < 2000;
}

/* Whoever reads from its pipe is not kept waiting by what it has left asleep either */
static bool is_closed(int fd)
{
	struct pollfd p = { .fd = fd };

	return poll(&p, 1, 1000) == 1 && p.revents & POLLHUP;
}

static void test_mute_cmdline(void **unused)
{
	char *path = tw_asprintf("%s/qemu", dir);
	pid_t server, mute, other, lists;
	bool ended, closed;
	int pipes[2];

	(void)unused;
	server = mount_or_skip(path);
	mute = start_vm(MUTE_LOCK, path);
	other = start_vm(ANSWERS, NULL);
	shared->mute = true;
	/* its lock is held then */
	while (!shared->asked)
		usleep(1000);
	shared->named = shared->nameless = 0;
	assert_int_equal(pipe(pipes), 0);
	lists = fork();
	if (!lists) {
		scan(mute, other);
		_exit(0);
	}
	close(pipes[1]);
	ended = ends_within(lists, 12);
	closed = ended && is_closed(pipes[0]);
	close(pipes[0]);
	end(server);
	end(mute);
	end(other);
	umount2(dir, MNT_DETACH);
	free(path);
	assert_true(ended);
	assert_true(closed);
	assert_int_equal(shared->nameless, 1);
	assert_int_equal(shared->named, 1);
	assert_true(shared->quick);
}

/* Both to look at its clocks, and to put them back, which holds its threads meanwhile */
static void test_mute_memory(void **unused)
{
	char *path = tw_asprintf("%s/qemu", dir);
	struct tw_lead lead = { .mono_ns = 1000 };
	bool looked, folded;
	pid_t server, mute, stuck;
	struct tw_proc p = { 0 };
	struct stat st;

	(void)unused;
	server = mount_or_skip(path);
	mute = start_vm(MUTE_MEMORY, path);
	shared->mute = true;
	looked = looks(mute, true, &stuck);
	assert_int_equal(stat("/proc/self/exe", &st), 0);
	assert_true(tw_proc_read(mute, &p));
	shared->state = (struct vmm_state) { .pid = mute, .start = p.start, .program_dev = st.st_dev, .program_ino = st.st_ino };
	shared->done = true;
	stuck = fork();
	if (!stuck) {
		shared->done = tw_fold(&shared->state, &lead, shared->why);
		_exit(0);
	}
	folded = ends_within(stuck, 20);
	end(server);
	end(mute);
	umount2(dir, MNT_DETACH);
	free(path);
	assert_true(looked);
	assert_string_equal(shared->look.why, "its memory cannot be read: it does not answer");
	assert_true(folded);
	assert_false(shared->done);
	assert_string_equal(shared->why, "its memory cannot be reached: it does not answer");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_owners),
		cmocka_unit_test(test_fuse),
		cmocka_unit_test(test_mute_cmdline),
		cmocka_unit_test(test_mute_memory),
	};
	int failed;

	if (!mkdtemp(dir))
		return 1;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	failed = RUN_TAP(tests);
	rmdir(dir);
	return failed;
}
