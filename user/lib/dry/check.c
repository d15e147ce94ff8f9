// SPDX-License-Identifier: GPL-2.0
#include "dry/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#define RUN 200				/* decisions of one attachment */
#define SECOND 1000000000ULL
#define DAY (86400 * SECOND)
/* An instruction takes a nanosecond at most, so that the kernel's limit of 20 ms for a decision is behind it */
#define SLOW_STEPS 20000000UL
/* What is slow takes its time here as well: enough of it is known then */
#define MAX_SLOW TW_DRY_MAX_BAD
#define MAX_HANGS 2

struct check {
	const struct tw_policy *p;
	struct tw_dry_check *out;
	struct tw_dry dry;
	uint64_t rng;
	unsigned int count[TW_CRIMES];
	/* The attachment at hand */
	char *given;
	unsigned int bad;		/* answers in a row */
	uint64_t idle_ns;		/* all vCPUs are halted since */
	uint64_t lost_ticks, floors;
	bool probed;			/* its VMM */
	enum kvm_timewarp_event event;	/* that comes next */
};

/* What a decision leads to */
enum outcome { TAKEN, KEPT, OVER };

/* ---- chance */

static uint64_t rnd(struct check *c)
{
	c->rng ^= c->rng << 13;
	c->rng ^= c->rng >> 7;
	c->rng ^= c->rng << 17;
	return c->rng * 2685821657736338717ULL;
}

/* Any size is as likely as any other */
static uint64_t rnd_size(struct check *c, uint64_t lo, uint64_t hi)
{
	uint64_t v = rnd(c) >> (rnd(c) % 64);

	switch (rnd(c) % 8) {
	case 0:
		return lo;
	case 1:
		return hi;
	default:
		return hi - lo == ~0ULL ? v : lo + v % (hi - lo + 1);
	}
}

static struct timewarp_factor rnd_factor(struct check *c)
{
	uint64_t limit = TIMEWARP_FACTOR_LIMIT, num = 1, den = 1;

	switch (rnd(c) % 4) {
	case 0:
		den = 1 + rnd(c) % limit;
		break;
	case 1:
		num = 1 + rnd(c) % limit;
		break;
	case 2:	/* many digits */
		den = limit * limit;
		num = limit + rnd(c) % (den * 100);
		break;
	default:
		den = 1 + rnd(c) % 1000;
		num = 1 + rnd(c) % (den * 50);
	}
	return (struct timewarp_factor){ num, den };
}

static struct timewarp_when rnd_when(struct check *c)
{
	struct timewarp_when w = { .kind = TIMEWARP_AT_GUEST + rnd(c) % 4 };

	w.ns = rnd_size(c, 1, rnd(c) % 4 ? 100 * SECOND : 3650 * DAY);
	if (w.kind == TIMEWARP_AT_GUEST)
		w.ns += c->dry.guest_ns;
	if (w.kind == TIMEWARP_AT_HOST)
		w.ns += c->dry.host_ns;
	return w;
}

static struct timewarp_schedule rnd_schedule(struct check *c)
{
	struct timewarp_schedule s = { .n = 1 + rnd(c) % TIMEWARP_PIECES };
	uint64_t i;

	for (i = 0; i < s.n; i++) {
		s.piece[i].factor = rnd_factor(c);
		if (i + 1 < s.n)
			s.piece[i].end = rnd_when(c);
	}
	return s;
}

/* ---- parameters */

/* As user space would set it, and how: " name=value" */
static void rnd_param(struct check *c, const struct tw_param *p, const char *before)
{
	union {
		struct timewarp_factor f;
		struct timewarp_when w;
		struct timewarp_schedule s;
		uint64_t n;
	} v = { .s = { 0 } };
	char value[TW_PARAM_MAX], *given = c->given;
	size_t size;
	char *data = tw_dry_params(&c->dry, &size);
	uint64_t lo, hi;

	if (!data || p->size > sizeof(v) || p->offset > size || p->size > size - p->offset)
		return;
	if (tw_param_range(p, &lo, &hi))
		v.n = rnd_size(c, lo, hi);
	else if (p->type == TW_PARAM_FACTOR)
		v.f = rnd_factor(c);
	else if (p->type == TW_PARAM_WHEN)
		v.w = rnd_when(c);
	else if (p->type == TW_PARAM_SCHEDULE)
		v.s = rnd_schedule(c);
	else
		return;
	memcpy(data + p->offset, &v, p->size);
	c->given = tw_asprintf("%s%s%s=%s", given, before, p->name, tw_param_format(p, data, size, value, sizeof(value)));
	free(given);
}

/* With a moment or a schedule to be told, there may be nothing to do by default */
static bool waits_to_be_told(const struct check *c)
{
	size_t i;

	for (i = 0; i < c->p->params.n; i++)
		if (c->p->params.v[i].type == TW_PARAM_WHEN || c->p->params.v[i].type == TW_PARAM_SCHEDULE)
			return true;
	return false;
}

/* ---- crimes */

static void crime(struct check *c, enum tw_crime kind)
{
	struct tw_dry_crime *new = &c->out->crime[c->out->n];

	c->out->crimes++;
	if (c->count[kind]++)
		return;
	c->out->n++;
	*new = (struct tw_dry_crime){
		.kind = kind, .view = c->dry.view, .answer = c->dry.answer, .given = tw_strdup(c->given),
	};
	if (kind == TW_CRIME_CRASH)
		snprintf(new->why, sizeof(new->why), "%s", c->dry.machine.fault);
}

/* What the kernel would find in the answer; false if that adds up to an ejection */
static bool judge(struct check *c, bool answered)
{
	unsigned int wrong = answered ? tw_dry_wrong(&c->dry) : 0;
	bool slow = c->dry.machine.steps >= SLOW_STEPS;
	enum tw_crime i;

	for (i = 0; i < TW_CRIME_ANSWERS; i++)
		if (wrong & 1 << i)
			crime(c, i);
	if (c->dry.machine.zero_divisions)
		crime(c, TW_CRIME_DIVIDE);
	if (slow)
		crime(c, TW_CRIME_SLOW);
	c->bad = wrong || slow ? c->bad + 1 : 0;
	if (c->bad < TW_DRY_MAX_BAD)
		return true;
	crime(c, TW_CRIME_EJECT);
	return false;
}

/* ---- the guest and its host */

/* The VMM's timers and devices, where probes on it tell of them */
static void rnd_vmm(struct check *c)
{
	struct timewarp_vmms *vmms = tw_dry_vmms(&c->dry);
	struct timewarp_vmm_view *vm = vmms && c->probed ? &vmms->vm[0] : NULL;
	uint64_t kicks;

	if (!vm)
		return;
	kicks = rnd(c) % 4 ? 0 : rnd_size(c, 0, 100);
	vm->pid = 1;
	vm->due_ns = rnd(c) % 4 == 0 ? 0 : rnd(c) % 4 == 0 ? TW_DRY_NEVER :
		     c->dry.guest_ns + vm->mono_ns + rnd_size(c, 0, DAY);
	vm->kicks += kicks;
	vm->own_kicks += kicks / 2;
	vm->wakes += rnd(c) % 2;
	vm->pm_reads += rnd(c) % 8 ? 0 : rnd_size(c, 0, 1000);
	vm->hpet_reads += rnd(c) % 8 ? 0 : rnd_size(c, 0, 1000);
}

/* What the policy is told beside the timeline: a timer is due soon, late, just now, or none is armed */
static void look(struct check *c, enum kvm_timewarp_event event)
{
	struct tw_dry *d = &c->dry;
	uint64_t since = d->host_ns - d->asked_ns;

	tw_dry_look(d, event);
	d->view.nr_vcpus = 1 + rnd(c) % 8;
	d->view.state |= (rnd(c) % 2 ? KVM_TIMEWARP_TELLS : 0) | (rnd(c) % 2 ? KVM_TIMEWARP_ONE_SHOT : 0) |
			 (rnd(c) % 2 ? KVM_TIMEWARP_PASSED_TIMERS : 0);
	d->view.idle_ns = c->idle_ns;
	if (rnd(c) % 8)
		d->view.next_timer_ns = d->guest_ns + rnd_size(c, 0, DAY);
	d->view.lost_ticks = c->lost_ticks;
	d->view.floors = c->floors;
	d->view.halted_ns = rnd_size(c, 0, since);
	d->view.starved_ns = rnd_size(c, 0, since - d->view.halted_ns);
	d->view.late_ns = event == KVM_TIMEWARP_LATE ? d->next_late_ns + rnd_size(c, 0, SECOND) :
			  rnd_size(c, 0, d->next_late_ns ? d->next_late_ns - 1 : SECOND);
	rnd_vmm(c);
}

/* A leap that is for idle vCPUs alone may come too late, or end at a timer that has been armed since */
static void leap(struct check *c)
{
	uint64_t to = tw_dry_leap_ns(&c->dry);

	if (to > c->dry.guest_ns && c->dry.answer.flags & KVM_TIMEWARP_IF_IDLE) {
		if (!c->idle_ns || rnd(c) % 4 == 0)
			return;
		if (to > c->dry.view.next_timer_ns && !(c->dry.answer.flags & KVM_TIMEWARP_PAST_TIMERS))
			to = c->dry.view.next_timer_ns;
	}
	if (to)
		c->dry.guest_ns = to;
}

static int unknown(struct check *c, struct tw_err *e)
{
	tw_fact(e, "%s", c->dry.machine.fault);
	return tw_cure(e, "see what the verifier says, on a patched host; and try it on a VM that you can spare");
}

static int decide(struct check *c, enum kvm_timewarp_event event, enum outcome *outcome, struct tw_err *e)
{
	struct tw_dry *d = &c->dry;
	int ret;

	look(c, event);
	d->next_late_ns = 0;
	c->out->decisions++;
	*outcome = OVER;
	if (!tw_dry_ask(d, &ret)) {
		if (d->machine.how == TW_FAULT_UNKNOWN)
			return unknown(c, e);
		crime(c, d->machine.how == TW_FAULT_ENDLESS ? TW_CRIME_HANG : TW_CRIME_CRASH);
		return TW_OK;
	}
	if (ret > 0 || ret < -4095)
		crime(c, TW_CRIME_CODE);
	if (!judge(c, !ret))
		return TW_OK;
	*outcome = ret ? KEPT : TAKEN;
	if (ret)
		return TW_OK;
	tw_dry_take(d);
	leap(c);
	tw_dry_stand(d);
	return TW_OK;
}

static void let_pass(struct check *c, uint64_t host_ns)
{
	tw_dry_pass(&c->dry, host_ns);
	if (rnd(c) % 4)
		return;
	c->lost_ticks += rnd_size(c, 0, 10000);
	c->floors += rnd_size(c, 0, 10000);
}

/* When it is to be asked, in host ns, and why; TW_DRY_NEVER if it asks for nothing */
static uint64_t next_call(struct check *c, uint64_t halted_ns)
{
	struct tw_dry *d = &c->dry;
	uint64_t delay = TW_DRY_NEVER, one;

	if (d->next_host_ns) {
		delay = d->next_host_ns > d->host_ns ? d->next_host_ns - d->host_ns : 0;
		c->event = KVM_TIMEWARP_HOST_TIME;
	}
	one = d->next_guest_ns ? tw_dry_until(d, d->next_guest_ns) : TW_DRY_NEVER;
	if (one < delay) {
		delay = one;
		c->event = KVM_TIMEWARP_GUEST_TIME;
	}
	if (d->next_late_ns && !d->held && rnd(c) % 8 == 0) {
		one = rnd_size(c, 0, SECOND);
		delay = one < delay ? one : delay;
		c->event = KVM_TIMEWARP_LATE;
	}
	/* that they have halted is told once, and what the policy does about it wakes nobody */
	if (d->next_idle_ns && !d->held && !halted_ns && rnd(c) % 4) {
		one = d->next_idle_ns + rnd(c) % (10 * TIMEWARP_MIN_INTERVAL_NS);
		if (one < delay) {
			delay = one;
			c->idle_ns = one;
			c->event = KVM_TIMEWARP_IDLE;
		}
	}
	return delay;
}

/* How long it takes until it is asked */
static uint64_t rnd_delay(struct check *c, uint64_t delay)
{
	if (delay < TIMEWARP_MIN_INTERVAL_NS)
		delay = TIMEWARP_MIN_INTERVAL_NS;
	switch (rnd(c) % 4) {
	case 0:	/* on time */
		return delay;
	case 1:	/* the host's clock is disciplined: early */
		return delay - delay / 10000;
	case 2:	/* some microseconds late */
		return delay + rnd(c) % 100000;
	default:	/* the host was busy, or suspended */
		return delay + rnd(c) % (rnd(c) % 16 ? 20 * TIMEWARP_MIN_INTERVAL_NS : 3600 * SECOND);
	}
}

/* Lets time pass until it is to be asked; false if that is never */
static bool wait_for_call(struct check *c)
{
	struct tw_dry *d = &c->dry;
	uint64_t halted = c->idle_ns && rnd(c) % 2 ? c->idle_ns : 0, delay;

	c->idle_ns = 0;
	delay = next_call(c, halted);
	if (delay == TW_DRY_NEVER)
		return false;
	delay = rnd_delay(c, delay);
	/* nobody waits so long here */
	if (delay >= TW_DRY_FAR || tw_dry_mul_div(delay, d->factor.num, d->factor.den) == TW_DRY_FAR ||
	    d->guest_ns >= TW_DRY_FAR || d->host_ns >= TW_DRY_FAR)
		return false;
	if (halted)
		c->idle_ns = halted + delay;
	let_pass(c, delay);
	return true;
}

/* ---- attachments */

static void count_event(void *arg, const void *data, size_t size)
{
	struct check *c = arg;

	(void)data, (void)size;
	c->out->told++;
}

static int begin(struct check *c, bool defaults, enum outcome *outcome, struct tw_err *e)
{
	enum kvm_timewarp_event event = rnd(c) % 8 ? KVM_TIMEWARP_ATTACH : KVM_TIMEWARP_SWAP;
	uint64_t host_ns = rnd(c) % 2 ? 60 * SECOND : rnd_size(c, SECOND, 365 * DAY);
	size_t i;
	int status;

	status = tw_dry_open(&c->dry, c->p, host_ns, e);
	if (status)
		return status;
	/* at its first attachment it equals the host's, and later it is ahead by what there was */
	c->dry.guest_ns += rnd(c) % 2 ? 0 : rnd(c) % (1000 * SECOND);
	c->dry.outside.random = rnd(c) | 1;
	c->dry.outside.output = count_event;
	c->dry.outside.arg = c;
	c->bad = 0;
	c->idle_ns = c->lost_ticks = c->floors = 0;
	c->probed = rnd(c) % 2;
	free(c->given);
	c->given = tw_strdup(defaults ? "with its defaults" : "with");
	for (i = 0; i < c->p->params.n && !defaults; i++)
		rnd_param(c, &c->p->params.v[i], " ");
	c->out->attachments++;
	status = decide(c, event, outcome, e);
	c->out->refused += *outcome == KEPT;
	if (*outcome == KEPT && defaults && !waits_to_be_told(c))
		crime(c, TW_CRIME_REFUSED);
	return status;
}

/* User space changes a parameter */
static int change(struct check *c, enum outcome *outcome, struct tw_err *e)
{
	let_pass(c, 1 + rnd(c) % (10 * SECOND));
	rnd_param(c, &c->p->params.v[rnd(c) % c->p->params.n], ", then ");
	return decide(c, KVM_TIMEWARP_PARAMS, outcome, e);
}

static int attach(struct check *c, bool defaults, struct tw_err *e)
{
	enum outcome outcome = OVER;
	int status = begin(c, defaults, &outcome, e), i;
	bool more = outcome == TAKEN;

	for (i = 0; i < RUN && more && !status; i++) {
		if (c->p->params.n && rnd(c) % 40 == 0) {
			status = change(c, &outcome, e);
			c->out->kept += outcome == KEPT;
			/* a policy that refuses a change is left alone, as it was */
			more = outcome == TAKEN;
		} else if (wait_for_call(c)) {
			status = decide(c, c->event, &outcome, e);
			c->out->kept += outcome == KEPT;
			more = outcome != OVER;
		} else {
			more = c->p->params.n;
		}
	}
	tw_dry_close(&c->dry);
	return status;
}

int tw_dry_check(const struct tw_policy *p, struct tw_dry_check *out, struct tw_err *e)
{
	struct check c = { .p = p, .out = out, .rng = 0x9e3779b97f4a7c15ULL };
	uint64_t runs = 0;
	int status;

	*out = (struct tw_dry_check){ .want = out->want };
	status = attach(&c, true, e);
	while (!status && out->decisions < out->want && runs++ < out->want / 10 && c.count[TW_CRIME_HANG] < MAX_HANGS &&
	       c.count[TW_CRIME_SLOW] < MAX_SLOW)
		status = attach(&c, false, e);
	free(c.given);
	return status;
}

void tw_dry_check_free(struct tw_dry_check *c)
{
	unsigned int i;

	for (i = 0; i < c->n; i++)
		free(c->crime[i].given);
	c->n = 0;
}
