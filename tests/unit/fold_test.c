// SPDX-License-Identifier: GPL-2.0
/*
 * Putting QEMU's clocks back, with a process that keeps its clocks as QEMU does: whoever folds is killed at each
 * instruction of it, and at any moment while the clocks are read and written. Afterwards, and at each reading
 * meanwhile, they are right, and what they were ahead by is in them once.
 *
 * TW_LONG=1, as in make check-all: it dies after each step that changes something, and at random three times as often. Else
 * after each third of them: what each leaves is completed in a copy in any case.
 */
#include "tap.h"

#include <errno.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>

#include "apart.h"
#include "becomes.h"
#include "fake_vmm.h"
#include "qemu/fold.h"
#include "qemu/hold.h"
#include "qemu/image.h"

static struct fake_shared *m;
static bool thorough;
static const struct tw_lead lead = { LEAD_NS, LEAD_NS };

static void read_vmm(pid_t pid, struct fake_vmm *v)
{
	struct iovec l = { v, sizeof(*v) }, r = { &vmm, sizeof(vmm) };

	assert_int_equal(process_vm_readv(pid, &l, 1, &r, 1, 0), sizeof(*v));
}

/* The virtual clock, as the process itself reads it, minus the host's */
static int64_t ahead(const struct fake_vmm *v)
{
	const struct vmm_fold *f = &m->s.fold[VMM_VIRTUAL];
	bool follows = f->phase == VMM_FOLLOW || (f->phase == VMM_FOLDING && v->offset != f->value);

	return v->offset + (follows ? LEAD_NS : 0);
}

static int64_t rtc_ahead(const struct fake_vmm *v)
{
	const struct vmm_fold *f = &m->s.fold[VMM_RTC];
	uint64_t last = v->rtc[RTC_AT - 4];
	bool follows = f->phase == VMM_FOLLOW || (f->phase == VMM_FOLDING && last != f->value);

	return vmm.rtc[RTC_AT - 4] - last + (follows ? LEAD_NS : 0);
}

/* vmm, here, is as the process was in the beginning */
static void check_folded(pid_t pid)
{
	struct fake_vmm v;
	int i;

	assert_true(tw_fold_is_done(&m->s));
	read_vmm(pid, &v);
	assert_int_equal(v.offset, LEAD_NS);
	assert_int_equal(v.seq & 1, 0);
	assert_int_equal(v.rtc[RTC_AT - 4], vmm.rtc[RTC_AT - 4] - LEAD_NS);
	assert_int_equal(v.rtc[RTC_AT + 1], vmm.rtc[RTC_AT + 1] - LEAD_NS);
	assert_int_equal(v.rtc[RTC_AT + 3], UINT64_MAX);
	for (i = 0; i < NR_TIMERS; i++)
		assert_int_equal(v.timer[i].expire, vmm.timer[i].expire - LEAD_NS);
}

static void test_once(void **unused)
{
	char why[TW_WHY_MAX];
	pid_t pid = fake_start(m, 0);

	(void)unused;
	assert_true(tw_fold(&m->s, &lead, why));
	check_folded(pid);
	assert_true(tw_fold(&m->s, &lead, why));
	check_folded(pid);
	fake_end(pid);
}

/* A process that folds, stopped before its first instruction */
static pid_t start_stepping(void)
{
	char why[TW_WHY_MAX];
	pid_t pid = fork();
	int status;

	if (!pid) {
		tw_apart_here();
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		tw_fold_held(&m->s, &lead, why);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status));
	return pid;
}

/* One instruction, false at its end */
static bool step(pid_t pid)
{
	int status;

	assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, 0, 0), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSTOPPED(status);
}

static void check_moment(const struct fake_vmm *v)
{
	assert_int_equal(v->seq & 1, 0);
	assert_int_equal(ahead(v), LEAD_NS);
	assert_int_equal(rtc_ahead(v), LEAD_NS);
}

/* By one process, as tw_fold() has it done */
static bool fold_held(void)
{
	char why[TW_WHY_MAX];
	pid_t pid = fork();
	int status;

	if (!pid) {
		tw_apart_here();
		_exit(!tw_fold_held(&m->s, &lead, why));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return !status;
}

/* What a death at this moment leaves is completed, in a copy of the process */
static void complete_copy(pid_t copy, const struct fake_vmm *v)
{
	struct iovec l = { (void *)v, sizeof(*v) }, r = { &vmm, sizeof(vmm) };
	struct vmm_state was = m->s;

	assert_int_equal(process_vm_writev(copy, &l, 1, &r, 1, 0), sizeof(*v));
	m->s.pid = copy;
	assert_true(fold_held());
	check_folded(copy);
	m->s = was;
}

#define MAX_CHANGES 256

/* Steps through all of it; those after which something is other than before, and how many there are */
static unsigned int step_through(unsigned int changed[MAX_CHANGES], unsigned int *steps)
{
	pid_t copy = fake_start(m, 0), pid = fake_start(m, 0), folds = start_stepping();
	struct fake_vmm v, last = { 0 };
	struct vmm_state s = { 0 };
	unsigned int n = 0;

	for (*steps = 0; step(folds); ++*steps) {
		read_vmm(pid, &v);
		if (!memcmp(&v, &last, sizeof(v)) && !memcmp(&s, &m->s, sizeof(s)))
			continue;
		last = v;
		s = m->s;
		check_moment(&v);
		complete_copy(copy, &v);
		assert_true(n < MAX_CHANGES);
		changed[n++] = *steps + 1;
	}
	check_folded(pid);
	fake_end(copy);
	fake_end(pid);
	return n;
}

static void test_each_step(void **unused)
{
	unsigned int changed[MAX_CHANGES], steps, n, i, k;
	char why[TW_WHY_MAX];
	struct fake_vmm v;

	(void)unused;
	n = step_through(changed, &steps);
	print_message("# %u instructions, %u of them change something\n", steps, n);
	assert_true(n > 10);
	for (i = 0; i < n; i += thorough ? 1 : 3) {
		pid_t pid = fake_start(m, 0), folds = start_stepping();

		for (k = 0; k < changed[i]; k++)
			assert_true(step(folds));
		fake_end(folds);
		read_vmm(pid, &v);
		check_moment(&v);
		assert_true(tw_fold(&m->s, &lead, why));
		check_folded(pid);
		fake_end(pid);
	}
}

/* One that is killed after so many microseconds; whether it was done before */
static bool fold_for(unsigned int us)
{
	char why[TW_WHY_MAX];
	pid_t pid = fork();
	int status;

	if (!pid) {
		tw_apart_here();
		_exit(!tw_fold_here(&m->s, &lead, why));
	}
	usleep(us);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

static void kill_at_random(bool writes)
{
	unsigned int rounds = thorough ? 60 : 20, round, tries, kills = 0, readings = 0;

	for (round = 0; round < rounds; round++) {
		pid_t pid = fake_start(m, 2);
		struct fake_vmm v;

		m->writes = writes;
		usleep(1000);
		/* Twice the time after each four: on a busy machine none may come to its end in three milliseconds */
		for (tries = 0; !fold_for(100 + random() % (3000 << tries / 4)); tries++)
			kills++;
		assert_true(tw_fold_is_done(&m->s));
		readings = m->readings;
		while (m->readings < readings + 10)
			usleep(200);
		if (m->wrong)
			print_message("# %u readings of %u are wrong, one by %lld\n", m->wrong, m->readings,
				      (long long)m->off_by);
		assert_int_equal(m->wrong, 0);
		read_vmm(pid, &v);
		assert_int_equal(rtc_ahead(&v), LEAD_NS);
		fake_end(pid);
	}
	print_message("# %u killed\n", kills);
}

static void test_random(void **unused)
{
	(void)unused;
	kill_at_random(false);
}

static void test_random_writers(void **unused)
{
	(void)unused;
	kill_at_random(true);
}

/* Who has read the clock before, and its offset afterwards, reads again */
static void test_slow_readers(void **unused)
{
	char why[TW_WHY_MAX];
	unsigned int round, readings;
	pid_t pid;

	(void)unused;
	for (round = 0; round < 5; round++) {
		pid = fake_start(m, 3);
		m->slow = true;
		usleep(10000);
		assert_true(tw_fold(&m->s, &lead, why));
		readings = m->readings;
		while (m->readings < readings + 20)
			usleep(1000);
		assert_int_equal(m->wrong, 0);
		fake_end(pid);
	}
}

/* QEMU stops its clock between the write and the note that it was made */
static void test_stopped_between(void **unused)
{
	char why[TW_WHY_MAX];
	pid_t pid = fake_start(m, 2);

	(void)unused;
	assert_true(tw_fold(&m->s, &lead, why));
	m->s.fold[VMM_VIRTUAL].phase = VMM_FOLDING;
	m->writes = true;
	usleep(20000);
	m->writes = false;
	usleep(5000);
	assert_int_equal(m->s.fold[VMM_VIRTUAL].phase, VMM_FOLDED);
	assert_true(tw_fold(&m->s, &lead, why));
	assert_int_equal(m->wrong, 0);
	fake_end(pid);
}

static void write_vmm(pid_t pid, const volatile void *at, unsigned int value)
{
	assert_true(tw_mem_write_u32(pid, (uint64_t)at, value));
}

static void test_writer_inside(void **unused)
{
	char why[TW_WHY_MAX];
	pid_t pid = fake_start(m, 0);

	(void)unused;
	write_vmm(pid, &vmm.seq, 7);
	assert_false(tw_fold(&m->s, &lead, why));
	assert_non_null(strstr(why, "write its clock itself"));
	write_vmm(pid, &vmm.seq, 8);
	assert_true(tw_fold(&m->s, &lead, why));
	check_folded(pid);
	fake_end(pid);
}

static void test_standing(void **unused)
{
	char why[TW_WHY_MAX];
	struct fake_vmm v;
	pid_t pid = fake_start(m, 0);

	(void)unused;
	write_vmm(pid, &vmm.enabled, 0);
	assert_true(tw_fold(&m->s, &lead, why));
	read_vmm(pid, &v);
	assert_int_equal(v.offset, 0);
	assert_int_equal(rtc_ahead(&v), LEAD_NS);
	fake_end(pid);
}

#define STOOD_NS 5000000000LL

/* Its RTC has stood with its virtual clock: it is that much less ahead, whoever completes it */
static void test_stood(void **unused)
{
	const uint64_t offset = -STOOD_NS;
	char why[TW_WHY_MAX];
	struct fake_vmm v;
	pid_t pid = fake_start(m, 0);

	(void)unused;
	m->s.stands = 1;
	assert_true(tw_mem_write_u64(pid, m->s.offset, offset));
	assert_true(tw_fold(&m->s, &lead, why));
	read_vmm(pid, &v);
	assert_int_equal(v.offset, LEAD_NS - STOOD_NS);
	assert_int_equal(v.rtc[RTC_AT - 4], vmm.rtc[RTC_AT - 4] - (LEAD_NS - STOOD_NS));
	assert_int_equal(v.timer[0].expire, vmm.timer[0].expire - (LEAD_NS - STOOD_NS));
	/* by one who comes when the virtual clock has been put back, and the RTC has not */
	m->s.fold[VMM_RTC].phase = VMM_FOLLOW;
	assert_true(tw_mem_write_u64(pid, m->s.fold[VMM_RTC].word, vmm.rtc[RTC_AT - 4]));
	assert_true(tw_fold(&m->s, &lead, why));
	read_vmm(pid, &v);
	assert_int_equal(v.rtc[RTC_AT - 4], vmm.rtc[RTC_AT - 4] - (LEAD_NS - STOOD_NS));
	fake_end(pid);
}

/* The same while QEMU has it stopped: its offset is its virtual clock */
static void test_stands(void **unused)
{
	uint64_t offset;
	char why[TW_WHY_MAX];
	struct fake_vmm v;
	pid_t pid;
	int64_t off;

	(void)unused;
	pid = fake_start(m, 0);
	m->s.stands = 1;
	offset = raw(CLOCK_MONOTONIC) + LEAD_NS - STOOD_NS;
	assert_true(tw_mem_write_u64(pid, m->s.offset, offset));
	write_vmm(pid, &vmm.enabled, 0);
	assert_true(tw_fold(&m->s, &lead, why));
	read_vmm(pid, &v);
	assert_int_equal(v.offset, offset);
	off = v.rtc[RTC_AT - 4] - (vmm.rtc[RTC_AT - 4] - (LEAD_NS - STOOD_NS));
	assert_in_range(off, 0, 2000000000);
	fake_end(pid);
}

static void test_back(void **unused)
{
	const struct tw_lead behind = { -LEAD_NS, -LEAD_NS };
	char why[TW_WHY_MAX];
	struct fake_vmm v;
	pid_t pid = fake_start(m, 0);
	int i;

	(void)unused;
	assert_true(tw_fold(&m->s, &behind, why));
	read_vmm(pid, &v);
	assert_int_equal(v.offset, -LEAD_NS);
	for (i = 0; i < NR_TIMERS; i++)
		assert_int_equal(v.timer[i].expire, vmm.timer[i].expire + LEAD_NS);
	fake_end(pid);
}

static void test_traced(void **unused)
{
	char why[TW_WHY_MAX], expected[32];
	pid_t pid = fake_start(m, 0);

	(void)unused;
	assert_int_equal(ptrace(PTRACE_SEIZE, pid, 0, 0), 0);
	snprintf(expected, sizeof(expected), "process %d traces it", getpid());
	assert_false(tw_fold(&m->s, &lead, why));
	assert_string_equal(why, expected);
	assert_int_equal(m->s.fold[VMM_VIRTUAL].phase, VMM_FOLLOW);
	fake_end(pid);
}

/* SIGSTOP, and what a thread was about to take, stay what they were */
static void test_stopped(void **unused)
{
	char why[TW_WHY_MAX];
	struct tw_proc p;
	pid_t pid = fake_start(m, 1);
	int status, i;

	(void)unused;
	kill(pid, SIGSTOP);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(tw_fold(&m->s, &lead, why));
	check_folded(pid);
	/* it goes back there by itself, once it is let go */
	for (i = 0; i < 2000 && tw_proc_read(pid, &p) && p.state != 'T'; i++)
		usleep(1000);
	assert_int_equal(p.state, 'T');
	kill(pid, SIGCONT);
	kill(pid, SIGTERM);
	assert_true(tw_fold(&m->s, &lead, why));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WTERMSIG(status), SIGTERM);
}

/* Threads that start and end others all the time: once held, nothing of them moves */
static void *spawn(void *arg)
{
	pthread_t t;

	(void)arg;
	for (;;) {
		__sync_fetch_and_add(&m->readings, 1);
		if (m->readings % 16 == 0 && !pthread_create(&t, NULL, spawn, NULL)) {
			pthread_detach(t);
			return NULL;
		}
	}
	return NULL;
}

static pid_t start_spawning(void)
{
	pid_t pid = fork();
	pthread_t t;
	int i;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	for (i = 0; i < 3; i++)
		pthread_create(&t, NULL, spawn, NULL);
	for (;;)
		pause();
}

static void test_hold(void **unused)
{
	unsigned int round, seen;
	struct tw_proc p;
	pid_t pid;

	(void)unused;
	memset(m, 0, sizeof(*m));
	pid = start_spawning();
	assert_true(tw_proc_read(pid, &p));
	for (round = 0; round < 50; round++) {
		struct tw_hold hold = { 0 };

		while (!m->readings)
			usleep(100);
		if (!tw_hold_take(&hold, pid, p.start))
			print_message("# %s\n", hold.why);
		assert_string_equal(hold.why, "");
		assert_true(hold.n >= 1);
		seen = m->readings;
		usleep(1000);
		assert_int_equal(m->readings, seen);
		m->readings = 0;
		tw_hold_release(&hold);
	}
	fake_end(pid);
}

static void test_gone(void **unused)
{
	char why[TW_WHY_MAX];
	pid_t pid = fake_start(m, 0);

	(void)unused;
	m->s.start++;
	assert_true(tw_fold(&m->s, &lead, why));
	assert_int_equal(m->s.fold[VMM_VIRTUAL].phase, VMM_FOLLOW);
	m->s.start--;
	fake_end(pid);
	assert_true(tw_fold(&m->s, &lead, why));
}

/* It has become another program, whose memory is none of ours to write to: that has no clocks to be put back */
static void test_other_program(void **unused)
{
	char why[TW_WHY_MAX];
	pid_t pid;

	(void)unused;
	memset(m, 0, sizeof(*m));
	pid = changing_process(&m->up);
	fake_state(&m->s, pid);
	become(pid, &m->up);
	assert_true(tw_fold(&m->s, &lead, why));
	assert_int_equal(m->s.fold[VMM_VIRTUAL].phase, VMM_FOLLOW);
	fake_end(pid);
}

/* It has executed its own program anew, whose clocks are its own from the first on */
static void test_program_anew(void **unused)
{
	char why[TW_WHY_MAX];
	pid_t pid = anew_process();

	(void)unused;
	fake_state(&m->s, pid);
	/* it keeps no clocks at those places, and is taken for a VMM that does until it is another */
	assert_false(tw_fold(&m->s, &lead, why));
	assert_non_null(strstr(why, "memory cannot be read"));
	execute_anew(pid);
	assert_true(tw_fold(&m->s, &lead, why));
	assert_int_equal(m->s.fold[VMM_VIRTUAL].phase, VMM_FOLLOW);
	fake_end(pid);
}

/* Whoever cannot look has not seen another program: its clocks would stay as they are, and nobody would try again */
static void test_program_unseen(void **unused)
{
	struct rlimit was, none;
	struct stat st;
	uint64_t exec;

	(void)unused;
	assert_int_equal(stat("/proc/self/exe", &st), 0);
	assert_int_equal(tw_image_runs(getpid(), st.st_dev, st.st_ino), 1);
	assert_int_equal(tw_image_runs(getpid(), st.st_dev, st.st_ino + 1), 0);
	assert_int_equal(tw_image_exec(getpid(), &exec), 0);
	assert_int_equal(tw_image_still_runs(getpid(), st.st_dev, st.st_ino, exec), 1);
	assert_int_equal(tw_image_still_runs(getpid(), st.st_dev, st.st_ino, exec + 1), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = (struct rlimit){ 0, was.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(tw_image_runs(getpid(), st.st_dev, st.st_ino), -EMFILE);
	assert_int_equal(tw_image_still_runs(getpid(), st.st_dev, st.st_ino, exec), -EMFILE);
	assert_int_equal(tw_image_exec(getpid(), &exec), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_each_step),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_random_writers),
		cmocka_unit_test(test_slow_readers),
		cmocka_unit_test(test_stopped_between),
		cmocka_unit_test(test_writer_inside),
		cmocka_unit_test(test_standing),
		cmocka_unit_test(test_stood),
		cmocka_unit_test(test_stands),
		cmocka_unit_test(test_back),
		cmocka_unit_test(test_traced),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_other_program),
		cmocka_unit_test(test_program_anew),
		cmocka_unit_test(test_program_unseen),
	};

	thorough = getenv("TW_LONG");
	m = fake_map();
	return RUN_TAP(tests);
}
