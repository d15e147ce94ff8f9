/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A process that keeps its clocks as QEMU does, and what probes on it would do, in C: its virtual clock under a
 * sequence, its RTC with a timer and deadlines, threads that read both, and one that stops and starts the clock.
 */
#ifndef FAKE_VMM_H
#define FAKE_VMM_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proc.h"
#include "qemu/image.h"
#include "qemu/layout.h"
#include "vmm_state.h"

#define LEAD_NS 31536000000000000LL	/* a year */
#define NR_TIMERS 3

struct fake_timer {
	uint64_t expire;
	void *list;
	uint64_t callback;
	void *device;
	struct fake_timer *next;
};

/* At the same address in each process that has come of the test's */
static struct fake_vmm {
	volatile unsigned int seq;
	volatile short enabled;
	volatile uint64_t offset;
	pthread_mutex_t lock;		/* writers' own */
	void *object[1], *class[1], *type[1];
	char name[16];
	uint64_t rtc[10];		/* the fifth is where its periodic timer stands */
	void *lists[VMM_NR_CLOCKS];
	void *list[VMM_LIST_ACTIVE / 8 + 1];
	struct fake_timer timer[NR_TIMERS];
} vmm;

#define RTC_AT 5

/* What the test, who folds, and the process share: the probes' map, and what the readers have seen */
struct fake_shared {
	struct vmm_state s;
	volatile bool writes;		/* stop and start the clock all the time */
	volatile bool slow;		/* readers dwell between the clock and its offset */
	volatile unsigned int readings, wrong, up;
	volatile int64_t off_by;	/* one of those that were wrong */
};

static uint64_t raw(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* As in vmm.bpf.c */
static bool fake_following(struct fake_shared *m, unsigned int clock)
{
	volatile struct vmm_fold *f = &m->s.fold[clock];

	if (f->phase != VMM_FOLDING)
		return f->phase == VMM_FOLLOW;
	if (*(volatile uint64_t *)f->word != f->value)
		return true;
	f->phase = VMM_FOLDED;
	return false;
}

static uint64_t fake_clock(struct fake_shared *m, unsigned int clock)
{
	uint64_t ns = raw(clock == VMM_RTC ? CLOCK_REALTIME : CLOCK_MONOTONIC);

	return fake_following(m, clock) ? ns + LEAD_NS : ns;
}

/* cpu_get_clock() */
static uint64_t fake_virtual(struct fake_shared *m)
{
	unsigned int seq;
	uint64_t ns;

	do {
		seq = vmm.seq & ~1U;
		ns = vmm.enabled ? fake_clock(m, VMM_VIRTUAL) : 0;
		if (m->slow)
			usleep(3000);
		ns += vmm.offset;
	} while (seq != vmm.seq);
	return ns;
}

/* By several threads at once, of which one would be lost now and then */
static void count(volatile unsigned int *n)
{
	__atomic_add_fetch(n, 1, __ATOMIC_SEQ_CST);
}

static void fake_note(struct fake_shared *m, int64_t off_by)
{
	count(&m->readings);
	/* some threads may have to wait */
	if (llabs(off_by) < 3600000000000LL)
		return;
	m->off_by = off_by;
	count(&m->wrong);
}

static void *fake_reader(void *arg)
{
	struct timespec pause = { .tv_nsec = 200000 };
	struct fake_shared *m = arg;

	count(&m->up);
	for (;;) {
		fake_note(m, fake_virtual(m) - raw(CLOCK_MONOTONIC) - LEAD_NS);
		fake_note(m, fake_clock(m, VMM_RTC) - vmm.rtc[RTC_AT - 4] - LEAD_NS);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

/* cpu_disable_ticks(), cpu_enable_ticks() */
static void *fake_writer(void *arg)
{
	struct timespec pause = { .tv_nsec = 300000 };
	struct fake_shared *m = arg;

	count(&m->up);
	for (;; nanosleep(&pause, NULL)) {
		if (!m->writes)
			continue;
		vmm.seq++;
		vmm.offset += fake_clock(m, VMM_VIRTUAL);
		vmm.enabled = 0;
		vmm.seq++;
		vmm.seq++;
		vmm.offset -= fake_clock(m, VMM_VIRTUAL);
		vmm.enabled = 1;
		vmm.seq++;
	}
	return NULL;
}

static void fake_fill(void)
{
	uint64_t now = raw(CLOCK_REALTIME);
	int i;

	memset(&vmm, 0, sizeof(vmm));
	vmm.enabled = 1;
	strcpy(vmm.name, "mc146818rtc");
	vmm.type[0] = vmm.name;
	vmm.class[0] = vmm.type;
	vmm.object[0] = vmm.class;
	/* set when the guest's clock was the host's; it shows a lead of a year */
	vmm.rtc[RTC_AT - 4] = now;
	vmm.rtc[RTC_AT] = (uint64_t)&vmm.timer[0];
	vmm.rtc[RTC_AT + 1] = now + LEAD_NS + 1000;
	vmm.rtc[RTC_AT + 2] = (uint64_t)&vmm.timer[1];
	vmm.rtc[RTC_AT + 3] = UINT64_MAX;
	vmm.lists[VMM_CLOCK_HOST] = vmm.list;
	vmm.list[VMM_LIST_ACTIVE / 8] = &vmm.timer[0];
	for (i = 0; i < NR_TIMERS; i++)
		vmm.timer[i] = (struct fake_timer) {
			.expire = now + LEAD_NS + 1000 * i, .list = vmm.list, .device = vmm.object,
			.next = i < NR_TIMERS - 1 ? &vmm.timer[i + 1] : NULL,
		};
}

/* As what it runs now is seen */
static void fake_program(struct vmm_state *s)
{
	struct stat exe;
	uint64_t exec;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/exe", s->pid);
	assert_int_equal(stat(path, &exe), 0);
	assert_int_equal(tw_image_exec(s->pid, &exec), 0);
	s->program_dev = exe.st_dev;
	s->program_ino = exe.st_ino;
	s->exec = exec;
}

static void fake_state(struct vmm_state *s, pid_t pid)
{
	struct tw_proc p;

	memset(s, 0, sizeof(*s));
	s->pid = pid;
	s->start = tw_proc_read(pid, &p) ? p.start : 0;
	fake_program(s);
	s->seqlock = (uint64_t)&vmm.seq;
	s->enabled = (uint64_t)&vmm.enabled;
	s->offset = (uint64_t)&vmm.offset;
	s->timerlists = (uint64_t)vmm.lists;
	s->rtc = 1;
	s->rtc_device = (uint64_t)vmm.object;
	s->rtc_periodic = (uint64_t)&vmm.rtc[RTC_AT];
	s->fold[VMM_VIRTUAL].word = s->offset;
	s->fold[VMM_RTC].word = s->rtc_periodic + VMM_RTC_LAST_UPDATE;
}

/* The process, with so many threads that read; 0 is one that keeps still */
static pid_t fake_start(struct fake_shared *m, int readers)
{
	pthread_t t;
	pid_t pid;
	int i;

	memset(m, 0, sizeof(*m));
	fake_fill();
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* for who is not root, where Yama is about */
		prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
		while (!m->s.pid)
			usleep(100);
		for (i = 0; i < readers; i++)
			pthread_create(&t, NULL, fake_reader, m);
		if (readers)
			pthread_create(&t, NULL, fake_writer, m);
		for (;;)
			pause();
	}
	fake_state(&m->s, pid);
	while (readers && m->up < (unsigned int)readers + 1)
		usleep(100);
	return pid;
}

static void fake_end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static struct fake_shared *fake_map(void)
{
	return mmap(NULL, sizeof(struct fake_shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		    -1, 0);
}

#endif /* FAKE_VMM_H */
