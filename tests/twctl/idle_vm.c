// SPDX-License-Identifier: GPL-2.0
/*
 * idle_vm VMS VCPUS [ARG...] - a process with KVM virtual machines whose vCPUs never run
 *
 * Enough for all that twctl does around a VM.  What follows the numbers looks like QEMU's command
 * line to whoever reads /proc.  Prints "up" and waits to be killed.  For a line on standard input,
 * the n-th VM, from 0, loses n ticks of its first vCPU's LAPIC timer; then it prints "lost".
 *
 * IDLE_VM_MAKER=lives: another thread than the first makes the VMs, as some VMMs do; ends: it is no more then, and each
 * vCPU was entered once, by which KVM knows whose it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define VMS_MAX 256
#define PERIOD_NS 20000000

static int vcpu[VMS_MAX];	/* the first of each VM */

static int make_vm(int kvm, int vcpus, int *first)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[128];
	} cpuid = { .head.nent = 128 };
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);
	int i, fd;

	if (vm < 0 || ioctl(vm, KVM_CREATE_IRQCHIP, 0) < 0 ||
	    ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid) < 0)
		return -1;
	for (i = 0; i < vcpus; i++) {
		fd = ioctl(vm, KVM_CREATE_VCPU, i);
		/* Without CPUID a LAPIC timer knows no mode but one-shot */
		if (fd < 0 || ioctl(fd, KVM_SET_CPUID2, &cpuid) < 0)
			return -1;
		/* KVM gives statistics to none but the VMM, which may hold them open */
		ioctl(fd, KVM_GET_STATS_FD, NULL);
		if (!i)
			*first = fd;
	}
	return 0;
}

static void lapic_write(struct kvm_lapic_state *s, int reg, uint32_t value)
{
	memcpy(s->regs + reg, &value, 4);
}

/* Divider 1: the LAPIC's bus counts nanoseconds */
static void set_timer(int fd, uint32_t lvtt, uint32_t count)
{
	struct kvm_lapic_state s;

	if (ioctl(fd, KVM_GET_LAPIC, &s) < 0)
		goto bad;
	lapic_write(&s, 0xf0, 0x1ff);
	lapic_write(&s, 0x3e0, 0xb);
	lapic_write(&s, 0x320, lvtt);
	lapic_write(&s, 0x380, count);
	lapic_write(&s, 0x390, count);	/* KVM starts at the count that remains */
	if (ioctl(fd, KVM_SET_LAPIC, &s) >= 0)
		return;
bad:
	perror("idle_vm: LAPIC");
	exit(1);
}

static void sleep_until(const struct timespec *start, uint64_t ns)
{
	struct timespec t = *start;

	ns += t.tv_nsec;
	t.tv_sec += ns / 1000000000;
	t.tv_nsec = ns % 1000000000;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL))
		;
}

/* No vCPU runs: the first expiry of each is pending, and those that follow find it so */
static void lose_ticks(int vms)
{
	struct timespec start[VMS_MAX];
	int i;

	for (i = 0; i < vms; i++) {
		set_timer(vcpu[i], 0x20040, PERIOD_NS);
		clock_gettime(CLOCK_MONOTONIC, &start[i]);
	}
	for (i = 0; i < vms; i++) {
		sleep_until(&start[i], (i + 1) * (uint64_t)PERIOD_NS + PERIOD_NS / 2);
		set_timer(vcpu[i], 0x10040, 0);
	}
}

/* Enters a vCPU, and leaves it before its first instruction */
static int enter(int kvm, int fd)
{
	struct kvm_run *run = mmap(NULL, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, NULL), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (run == MAP_FAILED)
		return -1;
	run->immediate_exit = 1;
	return ioctl(fd, KVM_RUN, NULL) < 0 && errno == EINTR ? 0 : -1;
}

struct plan {
	int kvm, vms, vcpus, failed;
	const char *maker;
};

static void *make_all(void *arg)
{
	struct plan *p = arg;
	int i;

	for (i = 0; i < p->vms && i < VMS_MAX; i++)
		if (make_vm(p->kvm, p->vcpus, &vcpu[i]))
			p->failed = errno;
	while (p->maker && !p->failed && !strcmp(p->maker, "lives"))
		pause();
	return NULL;
}

/* By another thread, if that is asked for */
static int make(struct plan *p)
{
	pthread_t maker;
	int i;

	if (!p->maker) {
		make_all(p);
		return p->failed;
	}
	if (pthread_create(&maker, NULL, make_all, p))
		return errno;
	if (!strcmp(p->maker, "lives")) {
		while (!p->failed && !*(volatile int *)&vcpu[p->vms - 1])
			usleep(1000);
		return p->failed;
	}
	pthread_join(maker, NULL);
	for (i = 0; i < p->vms && !p->failed; i++)
		if (enter(p->kvm, vcpu[i]))
			p->failed = errno;
	return p->failed;
}

int main(int argc, char **argv)
{
	struct plan plan = { .kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), .maker = getenv("IDLE_VM_MAKER") };
	char line[16];

	if (plan.kvm < 0 || argc < 3) {
		fputs("usage: idle_vm VMS VCPUS [ARG...], with /dev/kvm\n", stderr);
		return 1;
	}
	plan.vms = atoi(argv[1]);
	plan.vcpus = atoi(argv[2]);
	if (plan.vms > VMS_MAX || (errno = make(&plan))) {
		perror("idle_vm");
		return 1;
	}
	puts("up");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		lose_ticks(plan.vms);
		puts("lost");
		fflush(stdout);
	}
	for (;;)
		pause();
}
