// SPDX-License-Identifier: GPL-2.0
/*
 * kvm_fuzz - throws what a VMM can ask of KVM at what an administrator can do with timewarp
 *
 *	kvm_fuzz [--seed N] [--seconds N] [--attacker PROGRAM]
 *
 * Some VMMs, each with a few vCPUs that run a guest, have threads that ask random things of their VM and
 * vCPUs, and die in one of several ways soon. An attacker, a process of its own as it needs libbpf, attaches,
 * sets, swaps and detaches policies. This process starts both anew, stops and kills either, writes the
 * module's switch, and reads the state files.
 *
 * Everything that is random comes from the seed, by a generator for each thread; how the threads interleave is
 * the host's. It finds nothing itself: the host's kernel log, its debug options and tests/fuzz/kvm-fuzz.t do.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <glob.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kvm_fuzz.h"

#define SWITCH "/sys/module/kvm/parameters/timewarp"

static struct fuzz_shared *sh;
static int shared_fd;
static uint64_t seed = 1;
static unsigned int seconds = 60, born;
static const char *attacker_path = "build/tests/kvm-fuzz/kvm_fuzz_attack";
static pid_t attacker;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void start_vmm(unsigned int slot)
{
	uint64_t s = fuzz_part(seed, 1000 + born++).s;
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fuzz_vmm(sh, slot, s);
	}
	sh->pid[slot] = pid;
}

static void start_attacker(void)
{
	char fd[16], s[32];

	snprintf(fd, sizeof(fd), "%d", shared_fd);
	snprintf(s, sizeof(s), "%" PRIu64, fuzz_part(seed, 100000 + born++).s);
	attacker = fork();
	if (!attacker) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl(attacker_path, attacker_path, fd, s, NULL);
		perror(attacker_path);
		_exit(127);
	}
}

/* Whoever has ended starts anew. */
static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == attacker) {
			if (WIFEXITED(status) && WEXITSTATUS(status)) {
				printf("Bail out! the attacker cannot go on (status %d)\n", WEXITSTATUS(status));
				exit(2);
			}
			start_attacker();
		}
		for (unsigned int i = 0; i < FUZZ_VMMS; i++)
			if (pid == sh->pid[i]) {
				sh->vm_fd[i] = -1;
				start_vmm(i);
			}
	}
}

static bool write_switch(const char *text)
{
	int fd = open(SWITCH, O_WRONLY | O_CLOEXEC);
	bool good = fd >= 0 && write(fd, text, 1) == 1;

	if (fd >= 0)
		close(fd);
	return good;
}

/* All state files; one of them stays open for a while, whatever becomes of its VM. */
static bool read_states(struct fuzz_rng *r)
{
	static int kept = -1;
	static char text[16384];
	bool any = false;
	glob_t g;

	if (glob("/sys/kernel/debug/kvm/*-*/timewarp", 0, NULL, &g))
		return false;
	for (size_t i = 0; i < g.gl_pathc; i++) {
		int fd = open(g.gl_pathv[i], O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			continue;
		any |= read(fd, text, sizeof(text)) > 0;
		if (fuzz_one_in(r, 4)) {
			if (kept >= 0) {
				lseek(kept, 0, SEEK_SET);
				any |= read(kept, text, sizeof(text)) > 0;
				close(kept);
			}
			kept = fd;
		} else {
			close(fd);
		}
	}
	globfree(&g);
	return any;
}

static void disturb(struct fuzz_rng *r)
{
	static uint64_t killed;
	pid_t vmm = sh->pid[fuzz_below(r, FUZZ_VMMS)];

	switch (fuzz_below(r, 16)) {
	case 0 ... 2:
		fuzz_count(sh, FUZZ_OP_STOP_VMM, "SIGSTOP to a VMM", vmm && !kill(vmm, SIGSTOP));
		fuzz_sleep_us(fuzz_below(r, 20000));
		kill(vmm, SIGCONT);
		break;
	case 3:
		if (sh->attacks - killed < 12)
			break;
		killed = sh->attacks;
		fuzz_count(sh, FUZZ_OP_KILL_VMM, "SIGKILL to a VMM", vmm && !kill(vmm, SIGKILL));
		break;
	case 4:
		fuzz_count(sh, FUZZ_OP_STOP_ATTACKER, "SIGSTOP to the attacker", !kill(attacker, SIGSTOP));
		fuzz_sleep_us(fuzz_below(r, 20000));
		kill(attacker, SIGCONT);
		break;
	case 5:
		if (fuzz_one_in(r, 8))
			fuzz_count(sh, FUZZ_OP_KILL_ATTACKER, "SIGKILL to the attacker", !kill(attacker, SIGKILL));
		break;
	case 6:
		/* Which ends all that is attached */
		if (fuzz_one_in(r, 16)) {
			fuzz_count(sh, FUZZ_OP_SWITCH, "kvm.timewarp 0, 1", write_switch("0"));
			fuzz_sleep_us(fuzz_below(r, 5000));
			write_switch("1");
		}
		break;
	default:
		fuzz_count(sh, FUZZ_OP_READ_STATE, "read of the state files", read_states(r));
	}
}

/* The three errors that it had most often */
static void report_errors(const struct fuzz_count *c)
{
	uint64_t below = UINT64_MAX;

	for (int n = 0; n < 3; n++) {
		int most = 0;

		for (int e = 1; e < FUZZ_ERRNOS; e++)
			if (c->failed[e] < below && c->failed[e] > c->failed[most])
				most = e;
		if (!most)
			return;
		below = c->failed[most];
		printf("%s %" PRIu64 " %s", n ? "," : ", not:", below, strerror(most));
	}
}

static void report(double took)
{
	uint64_t all = 0;

	for (unsigned int i = 0; i < FUZZ_OPS; i++) {
		struct fuzz_count *c = &sh->op[i];

		all += c->tried;
		if (!c->tried)
			continue;
		printf("# %-32s %9" PRIu64 " tried %9" PRIu64 " worked", c->name, c->tried, c->worked);
		report_errors(c);
		printf("\n");
	}
	printf("# seed %" PRIu64 ": %" PRIu64 " operations in %.1f s, %.0f a second; %u processes\n",
	       seed, all, took, all / took, born);
}

/* Everything ends, however it stands; whether it does */
static bool end_all(void)
{
	double end = now() + 60;
	pid_t pid;

	sh->stop = true;
	kill(attacker, SIGCONT);
	fuzz_sleep_us(100000);
	kill(attacker, SIGKILL);
	for (unsigned int i = 0; i < FUZZ_VMMS; i++)
		kill(sh->pid[i], SIGKILL);
	while (now() < end) {
		while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
			;
		if (pid < 0 && errno == ECHILD)
			return true;
		fuzz_sleep_us(20000);
	}
	return false;
}

/* The state files of dead VMs are gone once whoever held them is. */
static bool all_gone(void)
{
	glob_t g;

	for (int i = 0; i < 500; i++) {
		if (glob("/sys/kernel/debug/kvm/*-*", 0, NULL, &g) == GLOB_NOMATCH)
			return true;
		globfree(&g);
		fuzz_sleep_us(20000);
	}
	return false;
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' }, { "seconds", required_argument, NULL, 't' },
		{ "attacker", required_argument, NULL, 'a' }, { 0 },
	};
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o == 's')
			seed = strtoull(optarg, NULL, 0);
		else if (o == 't')
			seconds = strtoul(optarg, NULL, 10);
		else if (o == 'a')
			attacker_path = optarg;
		else
			break;
	}
	if (o != -1 || optind < argc || !seconds) {
		fputs("usage: kvm_fuzz [--seed N] [--seconds N] [--attacker PROGRAM]\n", stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct fuzz_rng r;
	double start, took;
	bool ended;
	int fd;

	setvbuf(stdout, NULL, _IOLBF, 0);
	parse(argc, argv);
	printf("# seed %" PRIu64 ", %u s\n", seed, seconds);
	/* Not closed at exec: the attacker maps it too. */
	shared_fd = memfd_create("kvm_fuzz", 0);
	if (shared_fd < 0 || ftruncate(shared_fd, sizeof(*sh)))
		return 2;
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED, shared_fd, 0);
	fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (sh == MAP_FAILED || fd < 0) {
		perror("/dev/kvm");
		return 2;
	}
	close(fd);
	r = fuzz_part(seed, 0);
	for (unsigned int i = 0; i < FUZZ_VMMS; i++) {
		sh->vm_fd[i] = -1;
		start_vmm(i);
	}
	start_attacker();
	for (start = now(); now() < start + seconds; ) {
		reap();
		disturb(&r);
		fuzz_sleep_us(fuzz_below(&r, 20000));
	}
	took = now() - start;
	ended = end_all();
	write_switch("1");
	report(took);
	printf("%sok 1 - all processes end when they are killed\n", ended ? "" : "not ");
	/* What was kept open is closed by then */
	for (fd = 3; fd < 64; fd++)
		close(fd);
	took = all_gone();
	printf("%sok 2 - no VM is left\n1..2\n", took ? "" : "not ");
	return ended && took ? 0 : 1;
}
