// SPDX-License-Identifier: GPL-2.0
/*
 * idle_vm VMS VCPUS [ARG...] - a process with KVM virtual machines whose vCPUs never run
 *
 * Enough for all that twctl does around a VM.  What follows the numbers looks like QEMU's command
 * line to whoever reads /proc.  Prints "up" and waits to be killed.  For a line on standard input,
 * the n-th VM, from 0, loses n ticks of its first vCPU's LAPIC timer; then it prints "lost".
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
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

int main(int argc, char **argv)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vms, i;
	char line[16];

	if (kvm < 0 || argc < 3) {
		fputs("usage: idle_vm VMS VCPUS [ARG...], with /dev/kvm\n", stderr);
		return 1;
	}
	vms = atoi(argv[1]);
	for (i = 0; i < vms && i < VMS_MAX; i++)
		if (make_vm(kvm, atoi(argv[2]), &vcpu[i])) {
			perror("idle_vm");
			return 1;
		}
	puts("up");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		lose_ticks(vms);
		puts("lost");
		fflush(stdout);
	}
	for (;;)
		pause();
}
