// SPDX-License-Identifier: GPL-2.0
/*
 * warped.so - LD_PRELOADed into a test of KVM: each VM is attached to when it has its first vCPU
 *
 * TW_WARP names the factor. The policy is pinned, and goes with the VM.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define CREATE_VM 0xae01
#define CREATE_VCPU 0xae41
#define MAX_FDS 1024

static void attach(int fd)
{
	char vm[40];
	int status;
	pid_t pid;

	snprintf(vm, sizeof(vm), "id:%d-%d", getpid(), fd);
	pid = fork();
	if (!pid) {
		unsetenv("LD_PRELOAD");
		dup2(2, 1);
		execl("build/twctl", "twctl", "attach", "--vm", vm, "--factor", getenv("TW_WARP"),
		      "--vmm", "off", "--pin", NULL);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid || status) {
		fprintf(stderr, "warped: attach to %s failed\n", vm);
		_exit(99);
	}
}

int ioctl(int fd, unsigned long request, ...)
{
	static int (*real)(int, unsigned long, void *);
	static char attached[MAX_FDS];
	va_list ap;
	void *arg;
	int ret;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (!real)
		real = dlsym(RTLD_NEXT, "ioctl");
	ret = real(fd, request, arg);
	if (ret >= 0 && request == CREATE_VM && ret < MAX_FDS)
		attached[ret] = 0;
	if (ret >= 0 && request == CREATE_VCPU && fd < MAX_FDS && !attached[fd]++)
		attach(fd);
	return ret;
}
