// SPDX-License-Identifier: GPL-2.0
/*
 * What a hostile VMM does: it waits until somebody has looked at its program, and becomes another one before what was found
 * there is made use of. Its VM stays. Loaded into QEMU by LD_PRELOAD:
 *
 *	BECOMES_FROM	the program in which it is to do so
 *	BECOMES_TO	the other one, run as "qemu-system-x86_64", which waits for nothing
 *	BECOMES_AT	a file: once it is there, with a number N in it, the N-th time that its program is closed counts
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

static void keep_vm(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *d;
	char to[64];
	ssize_t len;

	while (dir && (d = readdir(dir))) {
		len = readlinkat(dirfd(dir), d->d_name, to, sizeof(to) - 1);
		to[len > 0 ? len : 0] = 0;
		if (!strcmp(to, "anon_inode:kvm-vm"))
			fcntl(atoi(d->d_name), F_SETFD, 0);
	}
}

static int times(void)
{
	FILE *f = fopen(getenv("BECOMES_AT"), "r");
	int n = 0;

	if (f && fscanf(f, "%d", &n) != 1)
		n = 0;
	if (f)
		fclose(f);
	return n;
}

static void *become(void *unused)
{
	char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	char *const argv[] = { "qemu-system-x86_64", "-machine", "none", "-nodefaults", "-display", "none", NULL };
	int fd = inotify_init1(IN_CLOEXEC), n;
	ssize_t len, at;

	(void)unused;
	inotify_add_watch(fd, getenv("BECOMES_FROM"), IN_CLOSE_NOWRITE);
	while (!(n = times()))
		usleep(10000);
	unlink(getenv("BECOMES_AT"));
	while (n > 0 && (len = read(fd, buf, sizeof(buf))) > 0)
		for (at = 0; at < len; at += sizeof(struct inotify_event) + ((struct inotify_event *)(buf + at))->len)
			n--;
	keep_vm();
	unsetenv("LD_PRELOAD");
	execv(getenv("BECOMES_TO"), argv);
	return NULL;
}

/* With all signals blocked, as QEMU's own threads have them that twctl wakes */
static void begin(void)
{
	sigset_t all, was;
	pthread_t t;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	pthread_create(&t, NULL, become, NULL);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
}

__attribute__((constructor)) static void load(void)
{
	const char *from = getenv("BECOMES_FROM");
	char exe[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	exe[len > 0 ? len : 0] = 0;
	/* QEMU goes on in a child, which has no threads yet */
	if (from && !strcmp(exe, from))
		pthread_atfork(NULL, NULL, begin);
}
