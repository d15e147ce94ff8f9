// SPDX-License-Identifier: GPL-2.0
/*
 * Which process gets probes, and which is woken: that one and no other that has its PID by now, or has become another
 * program. The kernel's part is left out: loading does nothing, and attaching is an occasion.
 */
#include "tap.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "becomes.h"
#include "proc.h"
#include "qemu/image.h"
#include "qemu/probes.h"

/* A word for a process that the test goes on with */
static volatile unsigned int *word;
static int loaded, probed;
static pid_t ends_when_probed, becomes_when_loaded;
/* Where a process meets a probe */
static pid_t met_by;
static uint64_t met_at;
/* The file that the probes are put on */
static struct stat probed_file;

/* A process of the test's, which ends with it */
static void stay(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* As the kernel does it, into a page of the process's own */
static void put_breakpoint(pid_t pid, uint64_t at)
{
	const unsigned char breakpoint = 0xcc;
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, &breakpoint, 1, at), 1);
	close(fd);
}

int __wrap_bpf_object__load_skeleton(struct bpf_object_skeleton *s);
int __wrap_bpf_object__attach_skeleton(struct bpf_object_skeleton *s);
struct bpf_link *__wrap_bpf_program__attach_uprobe_multi(const struct bpf_program *prog, pid_t pid, const char *path,
							 const char *func, const struct bpf_uprobe_multi_opts *opts);

int __wrap_tw_btf_fit(struct bpf_object *obj);
int __wrap_tw_btf_fit(struct bpf_object *obj)
{
	(void)obj;
	return 0;
}

int __wrap_tw_btf_aim(struct bpf_object *obj, struct bpf_program **program);
int __wrap_tw_btf_aim(struct bpf_object *obj, struct bpf_program **program)
{
	(void)obj;
	*program = NULL;
	return 0;
}

int __wrap_bpf_object__load_skeleton(struct bpf_object_skeleton *s)
{
	(void)s;
	loaded++;
	if (becomes_when_loaded)
		become(becomes_when_loaded, word);
	return 0;
}

int __wrap_bpf_object__attach_skeleton(struct bpf_object_skeleton *s)
{
	(void)s;
	return 0;
}

/* A link of nothing, libbpf's own to free */
struct bpf_link *__wrap_bpf_program__attach_uprobe_multi(const struct bpf_program *prog, pid_t pid, const char *path,
							 const char *func, const struct bpf_uprobe_multi_opts *opts)
{
	(void)prog, (void)pid, (void)func, (void)opts;
	probed++;
	assert_int_equal(stat(path, &probed_file), 0);
	if (ends_when_probed)
		end(ends_when_probed);
	if (met_by)
		put_breakpoint(met_by, met_at);
	return calloc(1, 256);
}

/* What twctl knows of a process, and has seen of its program */
static void look_at(pid_t pid, struct tw_vm *vm, struct tw_vmm_look *look)
{
	struct tw_proc p;
	uint64_t exec;
	char exe[32];

	memset(vm, 0, sizeof(*vm));
	memset(look, 0, sizeof(*look));
	assert_true(tw_proc_read(pid, &p));
	vm->pid = pid;
	vm->start = p.start;
	strcpy(vm->id, "4711-9");
	snprintf(exe, sizeof(exe), "/proc/%d/exe", pid);
	assert_int_equal(stat(exe, &look->program), 0);
	assert_int_equal(tw_image_exec(pid, &exec), 0);
	look->state.exec = exec;
}

/* One that does nothing, and is looked at */
static pid_t idle_process(struct tw_vm *vm, struct tw_vmm_look *look)
{
	pid_t pid = fork();

	if (!pid)
		stay();
	look_at(pid, vm, look);
	return pid;
}

static void refused(const struct tw_vm *vm, const struct tw_vmm_look *look, const char *fact, int loads, int probes)
{
	char expected[160];
	struct tw_err e = { 0 };
	struct tw_vmm v;

	loaded = probed = 0;
	assert_int_equal(tw_vmm_attach(&v, vm, look, 0, -1, &e), TW_UNSUPPORTED);
	snprintf(expected, sizeof(expected), "process %d %s", vm->pid, fact);
	assert_string_equal(e.fact, expected);
	assert_int_equal(loaded, loads);
	assert_int_equal(probed, probes);
	tw_err_free(&e);
	tw_vmm_close(&v);
}

static const char other_program[] = "does not run the program any more that was looked at";

/* The attack: what has been looked at, and found to be root's, becomes another program before the probes come */
static void test_exec(void **unused)
{
	pid_t pid = changing_process(word);
	struct tw_vmm_look look;
	struct tw_vm vm;

	(void)unused;
	look_at(pid, &vm, &look);
	become(pid, word);
	refused(&vm, &look, other_program, 0, 0);
	/* the same file, written to meanwhile */
	look_at(pid, &vm, &look);
	look.program.st_ctim.tv_nsec ^= 1;
	refused(&vm, &look, other_program, 0, 0);
	end(pid);
	/* and one that has ended */
	refused(&vm, &look, "has ended", 0, 0);
}

/* Whoever cannot look has not seen another program */
static void test_unseen(void **unused)
{
	struct tw_vmm_look look;
	struct rlimit was, none;
	struct tw_err e = { 0 };
	struct tw_vmm v;
	struct tw_vm vm;
	pid_t pid = idle_process(&vm, &look);
	char expected[96];

	(void)unused;
	snprintf(expected, sizeof(expected), "what process %d runs cannot be seen: Too many open files", pid);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = (struct rlimit){ 0, was.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(tw_vmm_attach(&v, &vm, &look, 0, -1, &e), TW_UNSUPPORTED);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_string_equal(e.fact, expected);
	assert_int_equal(e.code, EMFILE);
	tw_err_free(&e);
	tw_vmm_close(&v);
	end(pid);
}

/* It does so while they are loaded: they are put on the file that was looked at all the same, and are taken off again */
static void test_exec_meanwhile(void **unused)
{
	pid_t pid = changing_process(word);
	struct tw_vmm_look look;
	struct tw_vm vm;

	(void)unused;
	look_at(pid, &vm, &look);
	becomes_when_loaded = pid;
	refused(&vm, &look, other_program, 1, 1);
	becomes_when_loaded = 0;
	assert_int_equal(probed_file.st_dev, look.program.st_dev);
	assert_int_equal(probed_file.st_ino, look.program.st_ino);
	end(pid);
}

/* The same file, executed anew: what was found in its memory is elsewhere by now */
static void test_exec_same(void **unused)
{
	pid_t pid = anew_process();
	struct tw_vmm_look look;
	struct tw_vm vm;

	(void)unused;
	look_at(pid, &vm, &look);
	execute_anew(pid);
	refused(&vm, &look, other_program, 0, 0);
	end(pid);
}

/* None of these: it is probed */
static void test_itself(void **unused)
{
	struct tw_vmm_look look;
	struct tw_err e = { 0 };
	struct tw_vmm v;
	struct tw_vm vm;
	pid_t pid = idle_process(&vm, &look);

	(void)unused;
	assert_int_equal(tw_vmm_attach(&v, &vm, &look, 0, -1, &e), TW_OK);
	tw_vmm_close(&v);
	end(pid);
}

/* The kernel has put them where the process does not come by: on another file than the one that it has mapped */
static void test_unmet(void **unused)
{
	unsigned long from, to, offset, inode;
	struct tw_vmm_look look;
	struct tw_err e = { 0 };
	char path[32], line[512];
	struct tw_vmm v;
	struct tw_vm vm;
	pid_t pid = idle_process(&vm, &look);
	FILE *f;

	(void)unused;
	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f) && !look.nr_sites)
		if (sscanf(line, "%lx-%lx r-xp %lx %*x:%*x %lu", &from, &to, &offset, &inode) == 4 && inode == look.program.st_ino) {
			look.offset[0] = offset + 5;
			look.offset[1] = offset + 9;
			look.nr_sites = 1;
		}
	if (f)
		fclose(f);
	assert_int_equal(look.nr_sites, 1);
	refused(&vm, &look, "meets no probe: its overlay has copied the program's file since it started", 1, 1);
	met_by = pid;
	met_at = from + 5;
	assert_int_equal(tw_vmm_attach(&v, &vm, &look, 0, -1, &e), TW_OK);
	tw_vmm_close(&v);
	/* all of them */
	look.nr_sites = 2;
	refused(&vm, &look, "meets no probe: its overlay has copied the program's file since it started", 1, 1);
	met_by = 0;
	end(pid);
}

/* The PID is another process's, which runs the same program: before, or as the kernel is about to take it */
static void test_reused_pid(void **unused)
{
	struct tw_vmm_look look;
	struct tw_vm vm;
	pid_t pid = idle_process(&vm, &look);

	(void)unused;
	vm.start++;
	refused(&vm, &look, "has ended", 1, 1);
	look_at(pid, &vm, &look);
	ends_when_probed = pid;
	refused(&vm, &look, "has ended", 1, 1);
	ends_when_probed = 0;
}

static bool is_pending(pid_t pid)
{
	unsigned long long own = 0, shared = 0;
	char path[32], line[128];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f)) {
		sscanf(line, "SigPnd: %llx", &own);
		sscanf(line, "ShdPnd: %llx", &shared);
	}
	if (f)
		fclose(f);
	return (own | shared) >> (VMM_WAKE_SIGNAL - 1) & 1;
}

static pid_t sleeper(bool blocks)
{
	sigset_t set;
	pid_t pid;

	*word = 0;
	pid = fork();
	if (!pid) {
		sigemptyset(&set);
		sigaddset(&set, VMM_WAKE_SIGNAL);
		if (blocks)
			sigprocmask(SIG_BLOCK, &set, NULL);
		*word = 1;
		stay();
	}
	while (!*word)
		usleep(1000);
	return pid;
}

static void test_wake(void **unused)
{
	struct vmm_state s = { 0 };
	struct tw_proc p;
	struct stat exe;
	pid_t pid = sleeper(true);

	(void)unused;
	assert_int_equal(stat("/proc/self/exe", &exe), 0);
	s.program_dev = exe.st_dev;
	s.program_ino = exe.st_ino;
	assert_true(tw_proc_read(pid, &p));
	s.pid = pid;
	/* probes of a VMM that has ended, whose PID is a process's that blocks the signal, too */
	s.start = p.start + 1;
	tw_vmm_wake(&s);
	assert_false(is_pending(pid));
	s.start = p.start;
	/* nor one that runs another program, of which nothing is known */
	s.program_ino++;
	tw_vmm_wake(&s);
	assert_false(is_pending(pid));
	s.program_ino--;
	tw_vmm_wake(&s);
	assert_true(is_pending(pid));
	end(pid);
	/* and one that would die of it */
	pid = sleeper(false);
	assert_true(tw_proc_read(pid, &p));
	s.pid = pid;
	s.start = p.start;
	tw_vmm_wake(&s);
	usleep(20000);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	end(pid);
	tw_vmm_wake(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_exec_meanwhile),
		cmocka_unit_test(test_exec_same),
		cmocka_unit_test(test_unseen),
		cmocka_unit_test(test_unmet),
		cmocka_unit_test(test_itself),
		cmocka_unit_test(test_reused_pid),
		cmocka_unit_test(test_wake),
	};

	word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return RUN_TAP(tests);
}
