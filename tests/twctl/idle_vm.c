// SPDX-License-Identifier: GPL-2.0
/*
 * idle_vm VMS VCPUS [ARG...] - a process with KVM virtual machines whose vCPUs never run
 *
 * Enough for all that twctl does around a VM.  What follows the numbers looks like QEMU's command
 * line to whoever reads /proc.  Prints "up" and waits to be killed.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int make_vm(int kvm, int vcpus)
{
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);
	int i;

	if (vm < 0)
		return -1;
	for (i = 0; i < vcpus; i++)
		if (ioctl(vm, KVM_CREATE_VCPU, i) < 0)
			return -1;
	return 0;
}

int main(int argc, char **argv)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), i;

	if (kvm < 0 || argc < 3) {
		fputs("usage: idle_vm VMS VCPUS [ARG...], with /dev/kvm\n", stderr);
		return 1;
	}
	for (i = 0; i < atoi(argv[1]); i++)
		if (make_vm(kvm, atoi(argv[2]))) {
			perror("idle_vm");
			return 1;
		}
	puts("up");
	fflush(stdout);
	for (;;)
		pause();
}
