// SPDX-License-Identifier: GPL-2.0
#include "qemu/fold.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/uio.h>
#include <unistd.h>

#include "qemu/image.h"
#include "qemu/layout.h"
#include "qemu/probes.h"
#include "state.h"

/*
 * Moves the virtual clock's lead into QEMU's offset, as a writer of QEMU's seqlock: whoever reads
 * the clock meanwhile reads again. One system call writes all of it, so that nothing can end this
 * process halfway.
 */
static bool fold_virtual_clock(int map, struct vmm_state *s, int64_t lead)
{
	unsigned int odd, even, seq;
	uint64_t offset;
	short enabled;
	pid_t pid = s->pid;

	if (!tw_mem_read(pid, s->seqlock, &seq, sizeof(seq)) ||
	    !tw_mem_read(pid, s->enabled, &enabled, sizeof(enabled)) ||
	    !tw_mem_read(pid, s->offset, &offset, sizeof(offset)))
		return true;	/* it is gone, and its clocks with it */
	if (seq & 1)
		return false;
	/* A clock that stands (QMP stop) is its offset; there is nothing that would be lost. */
	if (enabled && lead) {
		offset += lead;
		odd = seq + 1;
		even = seq + 2;
		struct iovec l[] = { { &odd, sizeof(odd) }, { &offset, sizeof(offset) },
				     { &even, sizeof(even) } };
		struct iovec r[] = { { (void *)s->seqlock, sizeof(odd) },
				     { (void *)s->offset, sizeof(offset) },
				     { (void *)s->seqlock, sizeof(even) } };

		s->folded_offset = offset;
		tw_vmm_set_state(map, s);
		s->phase = VMM_FOLDING;
		tw_vmm_set_state(map, s);
		if (process_vm_writev(pid, l, 3, r, 3, 0) != sizeof(odd) + sizeof(offset) + sizeof(even)) {
			s->phase = VMM_FOLLOW;
			tw_vmm_set_state(map, s);
			return false;
		}
	}
	return true;
}

/* One that is set: 0 and all ones are none */
static void move_deadline(pid_t pid, uint64_t at, int64_t by)
{
	uint64_t v = tw_mem_u64(pid, at);

	if (v && v != UINT64_MAX)
		tw_mem_write_u64(pid, at, v + by);
}

/* Moves the RTC and its timers back by what its clock is about to lose */
static void fold_rtc(const struct vmm_state *s, int64_t lead)
{
	uint64_t list, timer;
	pid_t pid = s->pid;
	int n;

	if (!s->rtc || !lead || !tw_vmm_is_object(pid, s->rtc_device, "mc146818rtc"))
		return;
	tw_mem_add_u64(pid, s->rtc_periodic + VMM_RTC_LAST_UPDATE, -lead);
	move_deadline(pid, s->rtc_periodic + VMM_RTC_NEXT_PERIODIC, -lead);
	move_deadline(pid, s->rtc_periodic + VMM_RTC_NEXT_ALARM, -lead);
	list = tw_mem_u64(pid, s->timerlists + 8 * VMM_CLOCK_HOST);
	timer = list ? tw_mem_u64(pid, list + VMM_LIST_ACTIVE) : 0;
	/* All of a list by the same amount: it stays in order */
	for (n = 0; timer && n < 64 && tw_mem_u64(pid, timer + 8) == list; n++) {
		tw_mem_add_u64(pid, timer, -lead);
		timer = tw_mem_u64(pid, timer + 32);
	}
}

static bool fold(int map, struct vmm_state *s, const struct tw_state *st)
{
	int tries;

	for (tries = 0; s->phase != VMM_FOLDED && tries < 1000; tries++) {
		if (!fold_virtual_clock(map, s, st->mono_ahead_ns - s->mono_base_ns))
			continue;
		fold_rtc(s, st->wall_ahead_ns - s->wall_base_ns);
		s->phase = VMM_FOLDED;
		tw_vmm_set_state(map, s);
	}
	tw_vmm_wake(s->pid);
	return s->phase == VMM_FOLDED;
}

bool tw_vmm_finish(const struct tw_vm *vm)
{
	struct tw_err ignored = { 0 };
	struct vmm_state s;
	struct tw_state st;
	bool done = true;
	int lock, map;

	/* Whoever attached, whoever detaches, and the keeper may all come at once. */
	lock = vm->dir ? open(vm->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (lock >= 0)
		flock(lock, LOCK_EX);
	map = tw_vmm_map(vm->pid, &s);
	/* no state: the VM is gone, and its clocks with it */
	if (map >= 0 && lock >= 0 && !tw_state_read(vm->dir, &st, &ignored))
		done = !strcmp(st.tsc_mode, "-") && fold(map, &s, &st);
	tw_err_free(&ignored);
	if (map >= 0)
		close(map);
	if (lock >= 0)
		close(lock);
	return done;
}
