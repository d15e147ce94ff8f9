// SPDX-License-Identifier: GPL-2.0
/* Whose program is looked into: never one that others than root have made, not even to see that it is theirs. */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qemu/layout.h"
#include "text.h"

#define PROGRAM "/bin/sleep"

static char dir[] = "/tmp/layout-test.XXXXXX";

/* What the file system that a tenant runs shares with the test */
static struct shared {
	volatile bool sulks;		/* answers nothing any more but what the running program reads of itself */
	volatile unsigned int asked;	/* since then */
	struct tw_vmm_look look;
} *shared;

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
		if (shared->sulks && in->opcode != FUSE_READ)
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

/* Whether it comes to an end, in which case what it has found is in shared->look; else it is *stuck */
static bool looks(pid_t vm, bool foreign, pid_t *stuck)
{
	char vm_dir[] = "/nosuch/1-9";
	struct tw_vm v = { .pid = vm, .comm = "qemu", .dir = vm_dir };
	int i;

	memset(&shared->look, 0, sizeof(shared->look));
	*stuck = fork();
	if (!*stuck) {
		tw_vmm_look(&v, foreign, &shared->look);
		_exit(0);
	}
	for (i = 0; i < 3000; i++) {
		if (waitpid(*stuck, NULL, WNOHANG) == *stuck)
			return true;
		usleep(1000);
	}
	return false;
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

/* A tenant's file system lets whoever opens its file wait for ever, and says that it is root's */
static void test_fuse(void **unused)
{
	char *path = tw_asprintf("%s/qemu", dir);
	pid_t server, vm, stuck;
	unsigned int asked;
	bool ended, waits;

	(void)unused;
	server = alone() ? mount_fuse(dir) : -1;
	if (server < 0) {
		free(path);
		skip();
	}
	vm = start(path);
	shared->sulks = true;
	ended = looks(vm, false, &stuck);
	asked = shared->asked;
	/* it would have, and nobody can kill who waits then */
	waits = ended && !looks(vm, true, &stuck);
	end(server);
	end(vm);
	waitpid(stuck, NULL, 0);
	umount2(dir, MNT_DETACH);
	free(path);
	assert_true(ended);
	assert_int_equal(asked, 0);
	assert_true(waits && shared->asked > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_owners),
		cmocka_unit_test(test_fuse),
	};
	int failed;

	if (!mkdtemp(dir))
		return 1;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	failed = RUN_TAP(tests);
	rmdir(dir);
	return failed;
}
