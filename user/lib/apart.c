// SPDX-License-Identifier: GPL-2.0
#include "apart.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "text.h"

#define PATIENCE_MS 5000
#define PATIENCE_MIN_MS 250
/* A child ends itself after this, unless the kernel does not let it */
#define LIFE_S 60

/* So much is done by one child */
#define BATCH 64

/* Shared with the child */
struct room {
	volatile size_t done;
	ssize_t n[BATCH];		/* of those that are done */
	_Alignas(max_align_t) char out[];
};

struct batch {
	struct tw_apart_job *jobs;
	size_t n;
	tw_apart_fn fn;
	int ms;				/* for each of them */
	struct room *room;
};

struct asleep {
	pid_t pid, child;
};

static struct asleep *asleep;
static size_t nr_asleep;
static bool here;

static void forget_those_that_ended(void)
{
	size_t i;

	for (i = nr_asleep; i-- > 0;)
		if (waitpid(asleep[i].child, NULL, WNOHANG))
			asleep[i] = asleep[--nr_asleep];
}

bool tw_is_mute(pid_t pid)
{
	size_t i;

	forget_those_that_ended();
	for (i = 0; i < nr_asleep; i++)
		if (asleep[i].pid == pid)
			return true;
	return false;
}

void tw_apart_here(void)
{
	here = true;
}

/* No pipe of the caller's stays open, and no lock taken, for as long as this may sleep */
static void leave_files(int but)
{
	int null, i;

	if (but > 0)
		close_range(0, but - 1, 0);
	close_range(but + 1, UINT_MAX, 0);
	null = open("/dev/null", O_RDWR);
	for (i = null + 1; i < 3; i++)
		if (i != but)
			dup2(null, i);
}

static size_t aligned(size_t size)
{
	return (size + _Alignof(max_align_t) - 1) & -_Alignof(max_align_t);
}

__attribute__((noreturn))
static void run(const struct batch *b, int up)
{
	char *out = b->room->out;
	sigset_t none;
	size_t i;

	/* what the terminal sends is for the caller: with QEMU's threads held, this neither stops nor ends by it */
	setpgid(0, 0);
	/* it ends by the signals that end whoever has no use for them */
	signal(SIGALRM, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	alarm(LIFE_S);
	leave_files(up);
	tw_apart_here();
	for (i = 0; i < b->n; i++) {
		b->room->n[i] = b->fn(b->jobs[i].in, out, b->jobs[i].size);
		out += aligned(b->jobs[i].size);
		__atomic_store_n(&b->room->done, i + 1, __ATOMIC_RELEASE);
	}
	_exit(0);
}

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* The child's end of a pipe is closed when it has ended */
static bool ends_within(int pipe, int ms)
{
	struct pollfd p = { .fd = pipe };
	long long until = now_ms() + ms, left = ms;

	while (left >= 0) {
		int n = poll(&p, 1, left);

		if (n > 0)
			return true;
		if (n < 0 && errno != EINTR)
			return false;
		left = n ? until - now_ms() : -1;
	}
	return false;
}

static void leave_asleep(pid_t pid, pid_t child)
{
	asleep = tw_grow(asleep, nr_asleep + 1, sizeof(*asleep));
	asleep[nr_asleep++] = (struct asleep) { pid, child };
}

/* Copies what is done; how many those are */
static size_t take(struct batch *b)
{
	size_t done = __atomic_load_n(&b->room->done, __ATOMIC_ACQUIRE), i;
	const char *out = b->room->out;

	for (i = 0; i < done; i++) {
		struct tw_apart_job *job = &b->jobs[i];

		job->n = b->room->n[i];
		if (job->n > 0)
			memcpy(job->out, out, job->n);
		out += aligned(job->size);
	}
	return done;
}

/* Waits for the child; how many are settled then: at least one */
static size_t await(struct batch *b, pid_t child, int pipe)
{
	size_t seen, done = 0;
	int status = 0;
	bool ended;

	do {
		seen = done;
		ended = ends_within(pipe, b->ms);
		done = take(b);
	} while (!ended && done != seen);
	if (!ended) {
		/* one that has done all, and is slow to end, is no sign of anybody's being mute */
		leave_asleep(done < b->n ? b->jobs[done].pid : 0, child);
		if (done == b->n)
			return done;
		b->jobs[done].n = -ETIMEDOUT;
		return done + 1;
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (done == b->n && !status)
		return done;
	/* one that did not end well is not believed */
	done -= done == b->n;
	b->jobs[done].n = -EINTR;
	return done + 1;
}

static size_t fail(struct batch *b, int err)
{
	size_t i;

	for (i = 0; i < b->n; i++)
		b->jobs[i].n = -err;
	return b->n;
}

/* How many are settled */
static size_t start(struct batch *b)
{
	int fds[2], err;
	pid_t child;
	size_t n;

	if (pipe2(fds, O_CLOEXEC))
		return fail(b, errno);
	child = fork();
	if (!child)
		run(b, fds[1]);
	err = errno;
	close(fds[1]);
	n = child < 0 ? fail(b, err) : await(b, child, fds[0]);
	close(fds[0]);
	return n;
}

static size_t do_batch(struct tw_apart_job *jobs, size_t n, int ms, tw_apart_fn fn)
{
	struct batch b = { .jobs = jobs, .fn = fn, .ms = ms };
	size_t size = sizeof(*b.room);

	if (tw_is_mute(jobs->pid)) {
		jobs->n = -ETIMEDOUT;
		return 1;
	}
	for (; b.n < n && b.n < BATCH && (!b.n || !tw_is_mute(jobs[b.n].pid)); b.n++)
		size += aligned(jobs[b.n].size);
	b.room = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (b.room == MAP_FAILED)
		return fail(&b, errno);
	n = start(&b);
	munmap(b.room, size);
	return n;
}

/* Who has a thousand of them has not the thousandfold time of whoever lists VMs */
static int patience_ms(void)
{
	int ms;

	forget_those_that_ended();
	ms = PATIENCE_MS / (nr_asleep + 1);
	return ms < PATIENCE_MIN_MS ? PATIENCE_MIN_MS : ms;
}

/* @ms: 0 is the usual patience */
static void do_all(struct tw_apart_job *jobs, size_t n, int ms, tw_apart_fn fn)
{
	size_t i;

	for (i = 0; here && i < n; i++)
		jobs[i].n = fn(jobs[i].in, jobs[i].out, jobs[i].size);
	while (i < n)
		i += do_batch(jobs + i, n - i, ms ? ms : patience_ms(), fn);
}

void tw_apart_each(struct tw_apart_job *jobs, size_t n, tw_apart_fn fn)
{
	do_all(jobs, n, 0, fn);
}

ssize_t tw_apart_for(pid_t pid, int ms, tw_apart_fn fn, const void *in, void *out, size_t size)
{
	struct tw_apart_job job = { .pid = pid, .in = in, .out = out, .size = size };

	do_all(&job, 1, ms, fn);
	return job.n;
}

ssize_t tw_apart(pid_t pid, tw_apart_fn fn, const void *in, void *out, size_t size)
{
	return tw_apart_for(pid, 0, fn, in, out, size);
}

const char *tw_apart_error(int code)
{
	switch (code) {
	case ETIMEDOUT:
		return "it does not answer";
	case EINTR:
		return "who was to do it was killed";
	}
	return strerror(code);
}
