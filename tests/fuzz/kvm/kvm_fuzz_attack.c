// SPDX-License-Identifier: GPL-2.0
/*
 * kvm_fuzz_attack SHARED-FD SEED - the fuzzer's administrator
 *
 * Attaches policies to the VMMs' VMs, most of them by libbpf, for speed; sets, swaps and detaches them; and
 * runs twctl now and then. Started and killed by kvm_fuzz.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvm_fuzz.h"
#include "polbpf.h"

#define HELD 8

static struct fuzz_shared *sh;
static struct fuzz_rng rng;

static struct held {
	struct pol pol;
	int vm_fd;
	pid_t pid;
	int number;		/* of the VM's descriptor in its process */
} held[HELD];

static const char *const policies[] = {
	"build/tests/kvm-fuzz/fuzz_policy.bpf.o", "build/tests/kvm-fuzz/fuzz_policy.bpf.o",
	"build/tests/kvm-fuzz/fuzz_policy.bpf.o", "build/tests/policies/random.bpf.o",
	"build/tests/policies/nonsense.bpf.o", "build/bpf/constant.bpf.o", "build/bpf/skip-idle.bpf.o",
	"build/bpf/backoff.bpf.o", "build/tests/policies/refuse.bpf.o",
};

/* A VM that there is, as long as there is one */
static int a_vm(pid_t *pid, int *number)
{
	unsigned int i, from = fuzz_below(&rng, FUZZ_VMMS);
	int pidfd, fd;

	for (i = from; i < from + FUZZ_VMMS; i++) {
		*pid = sh->pid[i % FUZZ_VMMS];
		*number = sh->vm_fd[i % FUZZ_VMMS];
		if (*pid && *number >= 0)
			break;
	}
	errno = ESRCH;
	if (i == from + FUZZ_VMMS)
		return -1;
	pidfd = syscall(SYS_pidfd_open, *pid, 0);
	if (pidfd < 0)
		return -1;
	fd = syscall(SYS_pidfd_getfd, pidfd, *number, 0);
	close(pidfd);
	return fd;
}

static void set_params(struct pol *p)
{
	volatile uint64_t *seed = pol_u64(p, "seed"), *changes = pol_u64(p, "changes"), *rude = pol_u64(p, "rude");
	volatile uint32_t *kind = (volatile uint32_t *)pol_var(p, "kind");
	volatile uint64_t *factor = pol_u64(p, "factor");

	if (seed)
		*seed = fuzz_next(&rng) | 1;
	if (changes)
		*changes = 1000000;
	if (rude)
		*rude = fuzz_one_in(&rng, 3) ? 4 : 1000;
	if (kind)
		*kind = fuzz_below(&rng, 10);
	if (factor) {
		factor[0] = 1 + fuzz_below(&rng, 200);
		factor[1] = 1 + fuzz_below(&rng, 200);
	}
}

static int open_one(struct pol *p, int vm_fd)
{
	int r = pol_open(p, policies[fuzz_below(&rng, sizeof(policies) / sizeof(policies[0]))]);

	if (r)
		return r;
	set_params(p);
	return pol_load(p, vm_fd, fuzz_one_in(&rng, 3) ? 0 : fuzz_below(&rng, 4));
}

static void let_go(struct held *h)
{
	pol_close(&h->pol);
	if (h->vm_fd > 0)
		close(h->vm_fd);
	memset(h, 0, sizeof(*h));
}

static bool attach(struct held *h)
{
	int r;

	let_go(h);
	h->vm_fd = a_vm(&h->pid, &h->number);
	r = h->vm_fd < 0 ? -ESRCH : open_one(&h->pol, h->vm_fd);
	if (!r)
		r = pol_attach(&h->pol);
	if (r) {
		let_go(h);
		errno = -r;
		return false;
	}
	/* Some hold the VM by its descriptor, some do not. */
	if (fuzz_one_in(&rng, 2)) {
		close(h->vm_fd);
		h->vm_fd = 0;
	}
	return true;
}

static bool swap(struct held *h)
{
	int fd = fuzz_one_in(&rng, 4) ? a_vm(&(pid_t){ 0 }, &(int){ 0 }) : h->vm_fd;
	struct pol p;
	bool good;

	good = !open_one(&p, fd) && h->pol.link && !pol_swap(&h->pol, &p);
	if (good) {
		pol_close(&h->pol);
		h->pol = p;
	} else if (p.obj) {
		pol_close(&p);
	}
	if (fd > 0 && fd != h->vm_fd)
		close(fd);
	return good;
}

static uint64_t id_of(struct held *h)
{
	char path[96], text[128] = "", *id;
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/debug/kvm/%d-%d/timewarp", h->pid, h->number);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	id = strstr(text, "\nid ");
	return id ? strtoull(id + 4, NULL, 10) : 0;
}

static bool set(struct held *h)
{
	uint64_t id = fuzz_one_in(&rng, 16) ? fuzz_number(&rng) : id_of(h);

	errno = ENOENT;
	if (!h->pol.link)
		return false;
	set_params(&h->pol);
	return !pol_kick(id);
}

/* A second link of the same table, to whichever VM has its descriptor's number now */
static bool link_again(struct held *h)
{
	int fd = h->pol.ops && h->pol.link ? bpf_link_create(bpf_map__fd(h->pol.ops), 0, BPF_STRUCT_OPS, NULL) : -1;

	if (fd < 0)
		return false;
	fuzz_sleep_us(fuzz_below(&rng, 5000));
	close(fd);
	return true;
}

static bool force_detach(struct held *h)
{
	return h->pol.link && !bpf_link_detach(bpf_link__fd(h->pol.link));
}

/* One of twctl's verbs on a VM, for so long at most */
static bool run_twctl(void)
{
	static const char *const verbs[] = {
		"attach --vm %d --vmm off --factor 2", "attach --vm %d --vmm off --factor 50 --pin",
		"attach --vm %d --vmm off --policy build/bpf/freeze.bpf.o --pin",
		"set --vm %d --factor 3", "step --vm %d 1ms", "swap --vm %d --factor 7",
		"detach --vm %d", "detach --vm %d", "status --vm %d", "list",
	};
	pid_t vm = sh->pid[fuzz_below(&rng, FUZZ_VMMS)], pid;
	char args[128], line[512];
	int status;

	snprintf(args, sizeof(args), verbs[fuzz_below(&rng, sizeof(verbs) / sizeof(verbs[0]))], vm);
	snprintf(line, sizeof(line), "exec timeout -s %s %u.%03u build/twctl %s >/dev/null 2>&1",
		 fuzz_one_in(&rng, 2) ? "KILL" : "INT", fuzz_below(&rng, 8), fuzz_below(&rng, 1000), args);
	errno = 0;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		execl("/bin/sh", "sh", "-c", line, NULL);
		_exit(127);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status);
}

/* Whether the VM of a link still is the one that it was */
static bool is_alive(const struct held *h)
{
	for (unsigned int i = 0; i < FUZZ_VMMS; i++)
		if (h->pol.link && sh->pid[i] == h->pid && sh->vm_fd[i] == h->number)
			return true;
	return false;
}

/* One that holds a living VM more often than not: what is done to the others is soon said */
static struct held *pick(void)
{
	unsigned int i, from = fuzz_below(&rng, HELD);

	if (fuzz_one_in(&rng, 4))
		return &held[from];
	for (i = from; i < from + HELD; i++)
		if (is_alive(&held[i % HELD]))
			break;
	return &held[i % HELD];
}

static void attack(void)
{
	struct held *h = pick();

	switch (fuzz_below(&rng, 32)) {
	case 0 ... 11:
		h = &held[fuzz_below(&rng, HELD)];
		fuzz_count(sh, FUZZ_OP_ATTACK, "attach", attach(h));
		break;
	case 12 ... 16:
		errno = ENOENT;
		fuzz_count(sh, FUZZ_OP_ATTACK + 1, "detach", h->pol.link);
		let_go(h);
		break;
	case 17 ... 22:
		fuzz_count(sh, FUZZ_OP_ATTACK + 2, "set", set(h));
		break;
	case 23 ... 26:
		fuzz_count(sh, FUZZ_OP_ATTACK + 3, "swap", swap(h));
		break;
	case 27:
		fuzz_count(sh, FUZZ_OP_ATTACK + 4, "a second link of one table", link_again(h));
		break;
	case 28:
		fuzz_count(sh, FUZZ_OP_ATTACK + 5, "link detached by force", force_detach(h));
		break;
	case 29:
		if (fuzz_one_in(&rng, 4))
			fuzz_count(sh, FUZZ_OP_ATTACK + 6, "twctl", run_twctl());
		break;
	default:
		fuzz_sleep_us(fuzz_below(&rng, 20000));
	}
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED, atoi(argv[1]), 0);
	if (sh == MAP_FAILED)
		return 2;
	rng = (struct fuzz_rng){ strtoull(argv[2], NULL, 10) };
	/* Beside vCPUs that never rest */
	setpriority(PRIO_PROCESS, 0, -15);
	while (!sh->stop) {
		attack();
		sh->attacks++;
	}
	return 0;
}
