// SPDX-License-Identifier: GPL-2.0
/* A VMM of the fuzzer: a VM, the threads that run its vCPUs, those that ask things of it, and its end. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kvm_fuzz.h"
#include "tinyvm.h"

#define OP_THREADS 2

static void nothing(int sig)
{
}

struct runner_arg { struct fuzz_vm *vm; unsigned int index; };

static guest_fn *const guests[] = { guest_halt, guest_spin, guest_read, guest_ticks, guest_ticks, guest_deadline };

static void restart(struct fuzz_vm *vm, unsigned int i, struct fuzz_rng *r)
{
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };
	uint64_t arg = fuzz_one_in(r, 2) ? fuzz_below(r, 5000000) : fuzz_number(r);
	struct iovec from = { &arg, sizeof(arg) };
	struct iovec to = { vm->mem + TINY_AREA + i * 4096UL + offsetof(struct guest_area, arg), sizeof(arg) };

	/* Not by a plain write: the memory may be gone just now. */
	process_vm_writev(getpid(), &from, 1, &to, 1, 0);
	tiny_set_regs(vm->vcpu[i].fd, i, guests[fuzz_below(r, sizeof(guests) / sizeof(guests[0]))]);
	ioctl(vm->vcpu[i].fd, KVM_SET_MP_STATE, &mp);
}

static void *run_vcpu(void *arg)
{
	struct fuzz_vm *vm = ((struct runner_arg *)arg)->vm;
	unsigned int i = ((struct runner_arg *)arg)->index;
	struct fuzz_rng r = fuzz_part(vm->seed, 10 + i);
	struct kvm_run *run = vm->vcpu[i].run;

	free(arg);
	restart(vm, i, &r);
	while (!vm->stop) {
		int ret;

		run->immediate_exit = fuzz_one_in(&r, 8);
		ret = ioctl(vm->vcpu[i].fd, KVM_RUN, 0);
		fuzz_count(vm->sh, FUZZ_OP_RUN, "KVM_RUN", !ret);
		if (ret && errno == EBADF)
			fuzz_sleep_us(1000);
		if (!ret && run->exit_reason != KVM_EXIT_HYPERV && fuzz_one_in(&r, 2))
			restart(vm, i, &r);
		else if (ret && errno != EINTR && fuzz_one_in(&r, 4))
			restart(vm, i, &r);
		if (fuzz_one_in(&r, 64))
			restart(vm, i, &r);
	}
	vm->vcpu[i].running = false;
	return NULL;
}

int fuzz_add_vcpu(struct fuzz_vm *vm, struct fuzz_rng *r)
{
	unsigned int i = __atomic_fetch_add(&vm->nr, 1, __ATOMIC_SEQ_CST);
	struct fuzz_vcpu *v = &vm->vcpu[i < FUZZ_VCPUS ? i : 0];
	struct runner_arg *arg = malloc(sizeof(*arg));
	int size = ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	void *run = MAP_FAILED;
	int fd = i < FUZZ_VCPUS ? ioctl(vm->fd, KVM_CREATE_VCPU, i) : -1;

	if (fd >= 0)
		run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (run == MAP_FAILED || !arg) {
		if (fd >= 0)
			close(fd);
		__atomic_fetch_sub(&vm->nr, 1, __ATOMIC_SEQ_CST);
		free(arg);
		return -1;
	}
	v->run = run;
	v->fd = fd;
	tiny_set_cpuid(vm->kvm, fd, i, fuzz_one_in(r, 2));
	*arg = (struct runner_arg){ vm, i };
	v->running = true;
	if (pthread_create(&v->runner, NULL, run_vcpu, arg))
		v->running = false;
	return 0;
}

static void *ask(void *arg)
{
	struct fuzz_vm *vm = ((struct runner_arg *)arg)->vm;
	struct fuzz_rng r = fuzz_part(vm->seed, 100 + ((struct runner_arg *)arg)->index);

	while (!vm->stop)
		fuzz_vm_op(vm, &r);
	return NULL;
}

/* Without it no vCPU would leave KVM_RUN for long, and no ioctl of one get its turn. */
static void *signal_runners(void *arg)
{
	struct fuzz_vm *vm = arg;
	struct fuzz_rng r = fuzz_part(vm->seed, 200);

	while (!vm->stop) {
		unsigned int i = fuzz_below(&r, FUZZ_VCPUS);

		if (vm->vcpu[i].running)
			fuzz_count(vm->sh, FUZZ_OP_SIGNAL, "signal to a vCPU's thread",
				   !pthread_kill(vm->vcpu[i].runner, SIGUSR1));
		fuzz_sleep_us(fuzz_below(&r, 2000));
	}
	return NULL;
}

static void set_up(struct fuzz_vm *vm, struct fuzz_rng *r)
{
	struct kvm_userspace_memory_region region = { .memory_size = TINY_MEM };
	struct kvm_pit_config pit = { 0 };

	vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	vm->fd = ioctl(vm->kvm, KVM_CREATE_VM, 0);
	if (vm->fd < 0)
		_exit(1);
	ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfffbd000UL);
	/* Some without an interrupt controller in the kernel, some with a split one */
	if (fuzz_below(r, 8) > 0) {
		ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0);
		ioctl(vm->fd, KVM_CREATE_PIT2, &pit);
	} else if (fuzz_one_in(r, 2)) {
		struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };

		ioctl(vm->fd, KVM_ENABLE_CAP, &cap);
	}
	vm->mem = mmap(NULL, TINY_MEM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (vm->mem == MAP_FAILED)
		_exit(1);
	region.userspace_addr = (uintptr_t)vm->mem;
	ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
	tiny_fill_memory(vm->mem);
}

/* One of the ways in which a VMM ends */
static void die(struct fuzz_vm *vm, struct fuzz_rng *r)
{
	switch (fuzz_below(r, 6)) {
	case 0:
		kill(getpid(), SIGKILL);
		break;
	case 1:
		munmap(vm->mem, TINY_MEM);
		break;
	case 2:
		close(vm->fd);
		for (unsigned int i = 0; i < FUZZ_VCPUS; i++)
			if (vm->vcpu[i].fd > 0)
				close(vm->vcpu[i].fd);
		fuzz_sleep_us(fuzz_below(r, 20000));
		break;
	case 3:
		vm->stop = true;
		fuzz_sleep_us(20000);
		break;
	case 4:
		execl("/bin/true", "true", NULL);
		break;
	default:
		break;
	}
	_exit(0);
}

void fuzz_vmm(struct fuzz_shared *sh, unsigned int slot, uint64_t seed)
{
	static struct fuzz_vm vm;
	struct fuzz_rng r = fuzz_part(seed, 0);
	struct runner_arg arg[OP_THREADS];
	uint64_t born, life;
	pthread_t t;
	int khz;

	vm.sh = sh;
	vm.seed = seed;
	sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = nothing }, NULL);
	set_up(&vm, &r);
	khz = ioctl(vm.fd, KVM_GET_TSC_KHZ);
	vm.most_khz = khz > 0 && !fuzz_one_in(&r, 8) ? (unsigned int)khz : UINT32_MAX;
	for (unsigned int n = 1 + fuzz_below(&r, 3); n; n--)
		fuzz_add_vcpu(&vm, &r);
	sh->vm_fd[slot] = vm.fd;
	pthread_create(&t, NULL, signal_runners, &vm);
	for (unsigned int i = 0; i < OP_THREADS; i++) {
		arg[i] = (struct runner_arg){ &vm, i };
		pthread_create(&t, NULL, ask, &arg[i]);
	}
	born = sh->attacks;
	life = fuzz_below(&r, 48);
	do {
		fuzz_sleep_us(100000 + fuzz_below(&r, 200000));
	} while (sh->attacks - born < life);
	sh->vm_fd[slot] = -1;
	fuzz_count(sh, FUZZ_OP_LIFE, "VMM's end", true);
	die(&vm, &r);
	_exit(0);
}
