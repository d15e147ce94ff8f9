// SPDX-License-Identifier: GPL-2.0
/*
 * Putting QEMU's clocks back, exactly once, whoever dies at it.
 *
 * While probes rewrite what QEMU reads, its clocks are ahead of the host's. When the timeline has stopped, what they are
 * ahead by is moved into QEMU's own words, and the probes cease to rewrite. Both at one moment: a clock is the
 * timeline's until one word of QEMU's, of 8 bytes, has its new value, and is the host's from then on. For the
 * virtual clock this is cpu_clock_offset; for the RTC, when it was last set. What it comes to stands in the probes'
 * own map, which lives as long as they do, before the word is written. So the word and the map together say how far it
 * has come, at each instruction, and each step is made once, by whoever comes:
 *
 *	FOLLOW		nothing has happened yet
 *	FOLDING		the new value is noted. The word has it: FOLDED. It has not: as FOLLOW, and QEMU may have
 *			changed it since, so that the value is found anew.
 *	FOLDED		done. The probes note it as well, at the next reading: QEMU's writers of either word read
 *			the clock before, so that none can hide that it was written.
 *
 * All of QEMU's threads are held from the look at a word until it is written, so that no writer of QEMU's comes between. An
 * odd sequence means that one is in the midst of it: QEMU is let go, and the next try comes. The sequence is never odd
 * on our account: it is made to leap, by an even number that QEMU itself never leaps by, before the offset is written.
 * Readers that are held in the midst of reading read again then; a death between the two changes nothing but that.
 *
 * By how much the RTC is less ahead than the timeline, as it stood while QEMU had the VM stopped, is told by that offset, and is
 * noted before the offset changes.
 *
 * The RTC's readers have no sequence. They are let out first, as far as that can be had: see tw_hold_is_quiet().
 * Its deadlines lose what its clock loses, after the clock has. Each is moved if it is still what was noted; one that
 * QEMU has set since then was set by the new clock, and is right.
 */
#include "qemu/fold.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "apart.h"
#include "qemu/hold.h"
#include "qemu/image.h"
#include "qemu/layout.h"
#include "qemu/probes.h"

/* Even, and more than a writer of QEMU's counts */
#define LEAP 256
/* So often QEMU is let go in the hope that nobody reads the RTC the next time */
#define QUIET_TRIES 20
/* For all of them. Whoever holds QEMU's threads for longer goes on, and is waited for by the next that comes */
#define FOLD_MS 10000

#define barrier() __asm__ __volatile__("" ::: "memory")

__attribute__((format(printf, 2, 3)))
static bool later(char why[TW_WHY_MAX], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, TW_WHY_MAX, fmt, ap);
	va_end(ap);
	return false;
}

bool tw_fold_is_done(const struct vmm_state *s)
{
	return s->fold[VMM_VIRTUAL].phase == VMM_FOLDED && s->fold[VMM_RTC].phase == VMM_FOLDED &&
	       !s->nr_moves;
}

static void set_phase(struct vmm_fold *f, unsigned int phase)
{
	barrier();
	*(volatile unsigned int *)&f->phase = phase;
	barrier();
}

/* Whether a clock has been put back already; if not, nothing has been done */
static bool is_folded(struct vmm_fold *f, uint64_t word)
{
	if (f->phase == VMM_FOLDED)
		return true;
	set_phase(f, f->phase == VMM_FOLDING && word == f->value ? VMM_FOLDED : VMM_FOLLOW);
	return f->phase == VMM_FOLDED;
}

static bool write_word(struct vmm_state *s, struct vmm_fold *f, uint64_t value, char why[TW_WHY_MAX])
{
	f->value = value;
	set_phase(f, VMM_FOLDING);
	if (!tw_mem_write_u64(s->pid, f->word, value))
		return later(why, "its memory cannot be written");
	set_phase(f, VMM_FOLDED);
	return true;
}

/* What the RTC is not ahead by; as stood() in vmm.bpf.c has it */
static int64_t stood(const struct vmm_state *s, int64_t lead, uint64_t offset, short enabled)
{
	struct timespec ts;
	int64_t ns = s->stood_from_ns - (int64_t)offset;

	if (!s->stands || enabled)
		return s->stands ? ns : 0;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ns + ts.tv_sec * 1000000000LL + ts.tv_nsec + lead;
}

static bool fold_virtual(struct vmm_state *s, int64_t lead, char why[TW_WHY_MAX])
{
	struct vmm_fold *f = &s->fold[VMM_VIRTUAL];
	unsigned int seq;
	uint64_t offset;
	short enabled;

	if (!tw_mem_read(s->pid, s->seqlock, &seq, sizeof(seq)) ||
	    !tw_mem_read(s->pid, s->enabled, &enabled, sizeof(enabled)) ||
	    !tw_mem_read(s->pid, f->word, &offset, sizeof(offset)))
		return later(why, "its memory cannot be read");
	if (is_folded(f, offset))
		return true;
	if (seq & 1)
		return later(why, "QEMU is about to write its clock itself");
	s->stood_ns = stood(s, lead, offset, enabled);
	barrier();
	/* A clock that stands (QMP stop) is its offset; there is nothing that would be lost. */
	if (!enabled || !lead) {
		set_phase(f, VMM_FOLDED);
		return true;
	}
	if (!tw_mem_write_u32(s->pid, s->seqlock, seq + LEAP))
		return later(why, "its memory cannot be written");
	return write_word(s, f, offset + lead, why);
}

/* One that is set: 0 and all ones are none */
static void add_move(struct vmm_state *s, uint64_t at, int64_t by)
{
	uint64_t v = tw_mem_u64(s->pid, at);

	if (v && v != UINT64_MAX && s->nr_moves < VMM_MAX_MOVES)
		s->move[s->nr_moves++] = (struct vmm_move) { at, v, v + by };
}

static void plan_moves(struct vmm_state *s, int64_t by)
{
	uint64_t list, timer;
	unsigned int i, n;
	pid_t pid = s->pid;

	s->nr_moves = 0;
	list = tw_mem_u64(pid, s->timerlists + 8 * VMM_CLOCK_HOST);
	timer = list ? tw_mem_u64(pid, list + VMM_LIST_ACTIVE) : 0;
	for (n = 0; timer && n < VMM_MAX_MOVES - 2 && tw_mem_u64(pid, timer + 8) == list; n++) {
		add_move(s, timer, by);
		timer = tw_mem_u64(pid, timer + 32);
	}
	/* The list stays in order at each step: its first go back first, its last go forth first. */
	for (i = 0, n = s->nr_moves; by > 0 && i < n / 2; i++) {
		struct vmm_move m = s->move[i];

		s->move[i] = s->move[n - 1 - i];
		s->move[n - 1 - i] = m;
	}
	add_move(s, s->rtc_periodic + VMM_RTC_NEXT_PERIODIC, by);
	add_move(s, s->rtc_periodic + VMM_RTC_NEXT_ALARM, by);
}

static bool make_moves(struct vmm_state *s, char why[TW_WHY_MAX])
{
	unsigned int i;

	for (i = 0; i < s->nr_moves && i < VMM_MAX_MOVES; i++) {
		const struct vmm_move *m = &s->move[i];

		if (tw_mem_u64(s->pid, m->at) == m->from && !tw_mem_write_u64(s->pid, m->at, m->to))
			return later(why, "its memory cannot be written");
	}
	barrier();
	*(volatile unsigned int *)&s->nr_moves = 0;
	return true;
}

/* Moves the RTC and its timers back by what its clock is about to lose */
static bool fold_rtc(struct vmm_state *s, int64_t lead, char why[TW_WHY_MAX])
{
	struct vmm_fold *f = &s->fold[VMM_RTC];
	uint64_t updated = 0;

	if (f->phase != VMM_FOLDED && s->rtc && !tw_mem_read(s->pid, f->word, &updated, sizeof(updated)))
		return later(why, "its memory cannot be read");
	if (is_folded(f, updated))
		return make_moves(s, why);
	s->nr_moves = 0;
	if (!s->rtc || !lead || !tw_vmm_is_object(s->pid, s->rtc_device, "mc146818rtc")) {
		set_phase(f, VMM_FOLDED);
		return true;
	}
	plan_moves(s, -lead);
	return write_word(s, f, updated - lead, why) && make_moves(s, why);
}

static bool needs_quiet(const struct vmm_state *s, const struct tw_lead *lead)
{
	return s->rtc && (lead->wall_ns || s->stands) && s->fold[VMM_RTC].phase != VMM_FOLDED;
}

bool tw_fold_held(struct vmm_state *s, const struct tw_lead *lead, char why[TW_WHY_MAX])
{
	return fold_virtual(s, lead->mono_ns, why) && fold_rtc(s, lead->wall_ns - s->stood_ns, why);
}

/* Only the program that was looked at has these clocks. In another, or the same one executed anew, there is nothing to write */
static bool has_its_clocks(const struct vmm_state *s, struct tw_hold *hold)
{
	int runs = tw_image_still_runs(s->pid, s->program_dev, s->program_ino, s->exec);

	if (!runs)
		hold->gone = true;
	else if (runs < 0)
		snprintf(hold->why, sizeof(hold->why), "what it runs cannot be seen: %s", tw_apart_error(-runs));
	return runs == 1;
}

bool tw_fold_here(struct vmm_state *s, const struct tw_lead *lead, char why[TW_WHY_MAX])
{
	struct timespec pause = { .tv_nsec = 1000000 };
	struct tw_hold hold;
	bool done = false;
	int tries;

	for (tries = 0; ; tries++) {
		memset(&hold, 0, sizeof(hold));
		if (!tw_hold_take(&hold, s->pid, s->start))
			break;
		if (!has_its_clocks(s, &hold))
			break;
		if (tries == QUIET_TRIES || !needs_quiet(s, lead) || tw_hold_is_quiet(&hold)) {
			done = tw_fold_held(s, lead, why);
			break;
		}
		tw_hold_release(&hold);
		nanosleep(&pause, NULL);
	}
	if (hold.gone)
		done = true;	/* and its clocks with it */
	else if (*hold.why)
		later(why, "%s", hold.why);
	tw_hold_release(&hold);
	return done;
}

/* What the one that does it is given, and what it tells the one that waits for it */
struct task {
	struct vmm_state *s;
	const struct tw_lead *lead;
};

struct word {
	bool done;
	char why[TW_WHY_MAX];
};

static ssize_t fold_apart(const void *in, void *out, size_t size)
{
	const struct task *t = in;
	struct word *w = out;

	*w->why = 0;
	w->done = tw_fold_here(t->s, t->lead, w->why);
	return size;
}

bool tw_fold(struct vmm_state *s, const struct tw_lead *lead, char why[TW_WHY_MAX])
{
	struct task task = { s, lead };
	struct word w;
	ssize_t n = tw_apart_for(s->pid, FOLD_MS, fold_apart, &task, &w, sizeof(w));

	if (n < 0)
		return later(why, "its memory cannot be reached: %s", tw_apart_error(-n));
	memcpy(why, w.why, TW_WHY_MAX);
	return w.done;
}

bool tw_vmm_finish(const struct tw_vm *vm, char why[TW_WHY_MAX])
{
	char ignored[TW_WHY_MAX];
	struct tw_vmm_found found;
	struct tw_lead lead;
	bool done;

	if (!why)
		why = ignored;
	*why = 0;
	if (tw_vm_is_gone(vm) || !tw_vmm_find(vm, &found))
		return true;
	if (tw_fold_is_done(found.state))
		done = true;
	else if (!tw_vmm_at_rest(&found, &lead.mono_ns, &lead.wall_ns))
		done = later(why, "the kernel has not stopped the VM's timeline yet");
	else
		done = tw_fold(found.state, &lead, why);
	if (done)
		tw_vmm_wake(found.state);
	tw_vmm_found_close(&found);
	return done;
}
