// SPDX-License-Identifier: GPL-2.0
#include "qemu/date.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "apart.h"
#include "host.h"
#include "proc.h"
#include "qemu/cmdline.h"
#include "qemu/image.h"
#include "qemu/probes.h"
#include "text.h"
#include "when.h"

#define NS_PER_SEC 1000000000LL
/* It tells seconds */
#define RTC_NS (2 * NS_PER_SEC)
/* So long may a VMM take from its first vCPU to its first instruction */
#define START_NS (3 * NS_PER_SEC)

static bool within(int64_t ns, int64_t bound)
{
	return ns > -bound && ns < bound;
}

int64_t tw_date_ahead_ns(const struct tw_date_look *d)
{
	int64_t ahead = d->rtc_ns - d->lead_ns, rest = ahead - d->base_ns;
	int64_t stood = d->rtc_virtual ? 0 : d->stood_ns;
	/* Of what it stood, its RTC may have stood all, some or nothing */
	int64_t rtc_stood = d->rtc_stood_ns < stood ? d->rtc_stood_ns : stood;

	if (!d->rtc)
		return -d->stood_ns;
	if (!d->fixed && rest > -stood - RTC_NS && rest < RTC_NS)
		return -stood;
	/* twctl run has a guest begin with timeline and RTC at one date */
	if (d->rtc_virtual && within(ahead, START_NS))
		return 0;
	if (within(rest, START_NS))
		return ahead - stood;
	if (within(rest + stood, START_NS))
		return ahead;
	/* what it lacks is some of the lead */
	if (d->lead_ns && (rest < 0) == (d->lead_ns > 0) && within(rest, llabs(d->lead_ns) + START_NS))
		return d->base_ns - stood;
	return ahead - (stood - rtc_stood);
}

int64_t tw_stood_of(int64_t host_ns, int64_t kvmclock_offset, int64_t age_ns)
{
	int64_t stood = age_ns - host_ns - kvmclock_offset;

	/* the host's raw clock and its age part by what NTP makes of the one: 100 ppm are more than that, as a rule */
	return stood > START_NS + age_ns / 10000 ? stood : 0;
}

static int64_t now_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

/* Since the thread of its first vCPU was started; 0 if that cannot be seen */
static int64_t age_ns(const struct tw_vm *vm)
{
	char *path = tw_asprintf("%s/vcpu0/pid", vm->dir), *text = tw_read_file(path, NULL);
	int tid = text ? atoi(text) : 0;
	struct tw_proc p = { 0 };

	free(path);
	free(text);
	if (tid <= 0 || !tw_proc_read(tid, &p) || p.tgid != vm->pid)
		return 0;
	return now_ns(CLOCK_BOOTTIME) - (int64_t)(p.start * (NS_PER_SEC / sysconf(_SC_CLK_TCK)));
}

/* False if it is not QEMU */
static bool read_options(const struct tw_vm *vm, struct tw_qemu_time *q)
{
	size_t len = 0;
	char *argv = tw_read_cmdline(vm->pid, &len);
	bool is_qemu = argv && tw_is_qemu(argv, vm->comm);

	tw_qemu_time_parse(argv ? argv : "", argv ? len : 0, q);
	free(argv);
	return is_qemu;
}

int64_t tw_kept_of(const struct tw_date_look *d, int64_t host_ns, int64_t kvmclock_offset)
{
	/* what its RTC is ahead by is in its age and in its clock; NTP has made nothing of that */
	int64_t ahead = d->fixed ? 0 : d->rtc_ns;

	if (!d->rtc || !d->rtc_set_ns)
		return 0;
	return tw_stood_of(host_ns + d->lead_ns - ahead, kvmclock_offset, d->rtc_set_ns - ahead);
}

/* Of a guest without kvmclock nothing can be said */
static int64_t stood_ns(const struct tw_vm *vm, const struct tw_qemu_time *q, const struct tw_state *st,
			const struct tw_date_look *d)
{
	int64_t age;

	/* twctl run has it begin ahead, with an RTC that stands with it */
	if (!q->kvmclock || q->rtc_clock_vm)
		return 0;
	if (q->incoming)
		return tw_kept_of(d, st->host_ns, st->kvmclock_offset);
	age = age_ns(vm);
	return age ? tw_stood_of(st->host_ns, st->kvmclock_offset, age) : 0;
}

/* What QEMU's clock that the RTC goes by shows to whom no probe tells otherwise; false where it cannot be seen */
static bool rtc_clock(const struct tw_vm *vm, const struct tw_vmm_look *look, int64_t *ns)
{
	int64_t offset;
	short enabled;

	*ns = now_ns(CLOCK_REALTIME);
	if (!look->rtc_virtual)
		return true;
	if (!tw_mem_read(vm->pid, look->state.offset, &offset, sizeof(offset)) ||
	    !tw_mem_read(vm->pid, look->state.enabled, &enabled, sizeof(enabled)))
		return false;
	*ns = offset + (enabled ? now_ns(CLOCK_MONOTONIC) : 0);
	return true;
}

static void look_at_rtc(const struct tw_vm *vm, const struct tw_qemu_time *q, struct tw_date_look *d)
{
	struct tw_vmm_look look;
	const char *why;
	uint64_t at, base;
	int64_t clock, set;

	tw_vmm_look(vm, false, &look);
	at = look.state.rtc_periodic;
	/* whoever has it in local time knows: it is the date that is meant here */
	if (!look.possible || !at || q->rtc_localtime || !rtc_clock(vm, &look, &clock))
		return;
	d->rtc = true;
	d->rtc_virtual = look.rtc_virtual;
	d->fixed = q->rtc_fixed;
	set = tw_mem_u64(vm->pid, at + VMM_RTC_LAST_UPDATE);
	d->rtc_set_ns = set ? clock - set : 0;
	d->rtc_ns = tw_mem_u64(vm->pid, at + VMM_RTC_BASE) * NS_PER_SEC + tw_mem_u64(vm->pid, at + VMM_RTC_OFFSET) +
		    clock - set - now_ns(CLOCK_REALTIME);
	if (q->rtc_fixed && !tw_parse_date(q->rtc_base, &base, &why))
		d->base_ns = base - (now_ns(CLOCK_REALTIME) - age_ns(vm));
}

struct subject {
	const struct tw_vm *vm;
	const struct tw_state *st;
};

static ssize_t look_apart(const void *in, void *out, size_t size)
{
	const struct subject *subject = in;
	const struct tw_vm *vm = subject->vm;
	const struct tw_state *st = subject->st;
	struct tw_date_look *d = out;
	struct tw_qemu_time q;
	struct vmm_state s;
	short enabled;
	int64_t offset;
	bool follows;

	memset(d, 0, sizeof(*d));
	if (!read_options(vm, &q))
		return size;
	follows = tw_vmm_follows(vm, &s);
	d->lead_ns = follows ? s.wall_base_ns : st->lead_ns;
	d->ahead_ns = (int64_t)(st->guest_ns - st->host_ns);
	look_at_rtc(vm, &q, d);
	d->stood_ns = stood_ns(vm, &q, st, d);
	if (!follows || !d->rtc || !s.stands)
		return size;
	/* that a stop which is not over yet goes on is not in its offset; nothing is known of such */
	if (tw_mem_read(vm->pid, s.enabled, &enabled, sizeof(enabled)) && enabled &&
	    tw_mem_read(vm->pid, s.offset, &offset, sizeof(offset)))
		d->rtc_stood_ns = s.stood_from_ns - offset;
	d->rtc_ns -= d->rtc_stood_ns;
	return size;
}

void tw_date_look(const struct tw_vm *vm, const struct tw_state *st, struct tw_date_look *d)
{
	struct subject subject = { vm, st };

	if (!vm->dir || tw_apart(vm->pid, look_apart, &subject, d, sizeof(*d)) < 0)
		memset(d, 0, sizeof(*d));
}

int64_t tw_dates_ahead_ns(const struct tw_vm *vm)
{
	struct tw_err ignored = { 0 };
	struct tw_date_look d;
	struct tw_state st;
	bool known = vm->dir && !tw_state_read(vm->dir, &st, &ignored);

	tw_err_free(&ignored);
	if (!known)
		return 0;
	tw_date_look(vm, &st, &d);
	return tw_date_ahead_ns(&d);
}

int64_t tw_date_behind_ns(const struct tw_date_look *d)
{
	int64_t apart = d->rtc_ns - d->lead_ns - tw_date_ahead_ns(d);

	return d->stood_ns && (!d->rtc || apart >= RTC_NS || d->stood_ns - d->ahead_ns >= RTC_NS) ? d->stood_ns : 0;
}

int64_t tw_date_behind_what(const struct tw_date_look *d, const char **what)
{
	int64_t behind = tw_date_behind_ns(d), ahead = d->ahead_ns + tw_date_ahead_ns(d);
	bool host = ahead < 0;

	*what = host ? "the host's" : "its RTC's";
	return behind && host ? -ahead : behind;
}

uint64_t tw_guest_date_ns(const struct tw_state *st, int64_t ahead_ns)
{
	return st->guest_ns + (uint64_t)(tw_host_epoch_ns() + ahead_ns);
}
