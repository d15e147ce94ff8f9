// SPDX-License-Identifier: GPL-2.0
#include "dry/drive.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dry/timeline.h"
#include "policy_priv.h"

#define MAX_DECISIONS 50000000ULL
/* What a guest needs for what its timer has it do: a policy sees that it has run */
#define RUN_NS 1000ULL

struct drive {
	const struct tw_policy *p;
	struct tw_dry_run *run;
	struct tw_dry dry;
	uint64_t end_ns;
	/* The guest */
	uint64_t idle_since_ns, timer_ns;
	bool told_idle;
	struct tw_dry_segment segment;
	struct timewarp_event told[4];	/* by the decision at hand */
	unsigned int nr_told, bad;
};

/* ---- what goes out */

static void flush_segment(struct drive *d)
{
	struct tw_dry_segment *s = &d->segment;

	if ((s->guest_span_ns || s->host_span_ns) && d->run->segment)
		d->run->segment(d->run->arg, s);
	d->run->guest_span_ns += s->guest_span_ns;
	d->run->host_span_ns += s->host_span_ns;
	*s = (struct tw_dry_segment){ .guest_ns = d->dry.guest_ns, .factor = d->dry.factor, .held = d->dry.held };
}

static bool same_factor(const struct timewarp_factor *a, const struct timewarp_factor *b)
{
	return (unsigned __int128)a->num * b->den == (unsigned __int128)b->num * a->den;
}

static void note_change(struct drive *d)
{
	const struct tw_dry_segment *s = &d->segment;

	if (s->held != d->dry.held || (!d->dry.held && !same_factor(&s->factor, &d->dry.factor)))
		flush_segment(d);
}

static void take_event(void *arg, const void *data, size_t size)
{
	struct drive *d = arg;

	if (size == sizeof(*d->told) && d->nr_told < sizeof(d->told) / sizeof(*d->told))
		memcpy(&d->told[d->nr_told++], data, size);
}

/* What is told stands between the segment that it ends and the one that it begins */
static void tell(struct drive *d)
{
	unsigned int i;

	if (d->nr_told)
		flush_segment(d);
	for (i = 0; i < d->nr_told; i++)
		if (d->run->tells)
			d->run->tells(d->run->arg, d->dry.guest_ns, &d->told[i]);
	d->nr_told = 0;
}

/* ---- time */

static void pass(struct drive *d, uint64_t host_ns)
{
	bool held = d->dry.held;

	d->segment.host_span_ns += host_ns;
	d->segment.guest_span_ns += tw_dry_pass(&d->dry, host_ns);
	if (d->dry.held != held)
		note_change(d);
}

/* The vCPUs have something to do, and wait again at once */
static void fire_timers(struct drive *d)
{
	if (d->dry.guest_ns < d->timer_ns)
		return;
	d->timer_ns += ((d->dry.guest_ns - d->timer_ns) / TW_DRY_TIMER_NS + 1) * TW_DRY_TIMER_NS;
	d->idle_since_ns = d->dry.host_ns + RUN_NS;
	d->told_idle = false;
}

/* ---- answers */

static void leap(struct drive *d)
{
	uint64_t to = tw_dry_leap_ns(&d->dry);

	if (!to)
		return;
	if (d->dry.answer.flags & KVM_TIMEWARP_IF_IDLE) {
		if (d->run->busy)
			return;
		if (!(d->dry.answer.flags & KVM_TIMEWARP_PAST_TIMERS) && to > d->timer_ns)
			to = d->timer_ns;
	}
	if (to > d->end_ns)
		to = d->end_ns;
	d->segment.leaps++;
	d->segment.leapt_ns += to - d->dry.guest_ns;
	d->segment.guest_span_ns += to - d->dry.guest_ns;
	d->dry.guest_ns = to;
	fire_timers(d);
}

static void take_answer(struct drive *d)
{
	tw_dry_take(&d->dry);
	note_change(d);
	tell(d);
	leap(d);
	d->segment.host_span_ns += tw_dry_stand(&d->dry);
}

static int broken(struct drive *d, struct tw_err *e)
{
	tw_fail(e, TW_FAILED, "cannot run %s dry", d->p->name);
	tw_fact(e, "%s", d->dry.machine.fault);
	return tw_cure(e, "see what the verifier says: twctl policy check; and try it on a VM that you can spare");
}

/* What the policy has refused at the attach; later it leaves the segment as it was */
static int refused(struct drive *d, int code, struct tw_err *e)
{
	struct tw_refused r = { .title = d->p->title, .given = d->p->given, .btf = bpf_object__btf(d->p->obj) };

	if (d->dry.view.event != KVM_TIMEWARP_ATTACH)
		return TW_OK;
	tw_fail(e, TW_REFUSED, "cannot run %s dry", d->p->name);
	if (tw_explain_code(e, code))
		return e->status;
	return tw_explain_refusal(e, code, &r);
}

static int ejected(struct drive *d, struct tw_err *e)
{
	tw_fail(e, TW_EJECTED, "cannot run %s dry to its end", d->p->name);
	tw_fact(e, "it gives %d unusable answers in a row, for which the kernel would eject it", TW_DRY_MAX_BAD);
	return tw_cure(e, "see which: twctl policy check");
}

static int endless(struct drive *d, struct tw_err *e)
{
	tw_fail(e, TW_FAILED, "cannot run %s dry to its end", d->p->name);
	tw_fact(e, "at %llu decisions and %llu days of the host the span is not over",
		(unsigned long long)d->run->decisions,
		(unsigned long long)((d->dry.host_ns - d->run->host_ns) / 86400000000000ULL));
	return tw_cure(e, "give a shorter --span");
}

static int ask(struct drive *d, uint32_t event, struct tw_err *e)
{
	struct tw_dry_view *view = &d->dry.view;
	int ret;

	tw_dry_look(&d->dry, event);
	view->state |= KVM_TIMEWARP_TELLS | KVM_TIMEWARP_ONE_SHOT;
	if (!d->run->busy) {
		view->idle_ns = d->dry.host_ns < d->idle_since_ns ? 0 : d->dry.host_ns - d->idle_since_ns;
		view->next_timer_ns = d->timer_ns;
		view->halted_ns = d->dry.host_ns - d->dry.asked_ns;
	}
	d->run->decisions++;
	if (!tw_dry_ask(&d->dry, &ret))
		return broken(d, e);
	if (ret)
		return refused(d, ret > 0 ? EINVAL : -ret, e);
	d->bad = tw_dry_wrong(&d->dry) ? d->bad + 1 : 0;
	if (d->bad >= TW_DRY_MAX_BAD)
		return ejected(d, e);
	/* of a bad one the rest counts */
	take_answer(d);
	tell(d);
	return TW_OK;
}

/* ---- the run */

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* When the policy is to be asked next, in host ns from now, and why */
static uint64_t next_call(const struct drive *d, uint32_t *event)
{
	const struct tw_dry *t = &d->dry;
	uint64_t host = t->next_host_ns ? t->next_host_ns - min_u64(t->host_ns, t->next_host_ns) : TW_DRY_NEVER;
	uint64_t guest = t->next_guest_ns ? tw_dry_until(t, t->next_guest_ns) : TW_DRY_NEVER, delay, idle;
	uint64_t since = t->host_ns - t->asked_ns;
	uint64_t least = since < TIMEWARP_MIN_INTERVAL_NS ? TIMEWARP_MIN_INTERVAL_NS - since : 0;

	*event = host <= guest ? KVM_TIMEWARP_HOST_TIME : KVM_TIMEWARP_GUEST_TIME;
	delay = min_u64(host, guest);
	if (delay < least)
		delay = least;
	if (d->run->busy || !t->next_idle_ns || d->told_idle || t->held)
		return delay;
	idle = d->idle_since_ns + t->next_idle_ns;
	idle = idle > t->host_ns ? idle - t->host_ns : 0;
	if (idle > delay)
		return delay;
	*event = KVM_TIMEWARP_IDLE;
	return idle;
}

/* To the next moment at which something happens; whether there is one */
static int advance(struct drive *d, bool *more, struct tw_err *e)
{
	uint32_t event;
	uint64_t call = next_call(d, &event), end = tw_dry_until(&d->dry, d->end_ns);
	uint64_t timer = d->run->busy ? TW_DRY_NEVER : tw_dry_until(&d->dry, d->timer_ns);

	if (d->dry.host_ns >= TW_DRY_FAR || d->run->decisions >= MAX_DECISIONS)
		return endless(d, e);
	*more = min_u64(call, end) != TW_DRY_NEVER;
	if (!*more) {
		d->run->stands = true;
		return TW_OK;
	}
	if (end <= min_u64(call, timer)) {
		pass(d, end);
		*more = false;
		return TW_OK;
	}
	if (timer < call) {
		pass(d, timer);
		fire_timers(d);
		return TW_OK;
	}
	pass(d, call);
	if (!d->run->busy)
		fire_timers(d);
	if (event == KVM_TIMEWARP_IDLE)
		d->told_idle = true;
	return ask(d, event, e);
}

/* Its VMM is known, and asleep */
static int begin(struct drive *d, struct tw_err *e)
{
	struct timewarp_vmms *vmms;
	int status;

	tw_fail(e, TW_FAILED, "cannot run %s dry", d->p->name);
	status = tw_dry_open(&d->dry, d->p, d->run->host_ns, e);
	if (status)
		return status;
	d->dry.outside.output = take_event;
	d->dry.outside.arg = d;
	vmms = tw_dry_vmms(&d->dry);
	if (vmms)
		vmms->vm[0] = (struct timewarp_vmm_view){ .pid = 1, .due_ns = TW_DRY_NEVER };
	return ask(d, KVM_TIMEWARP_ATTACH, e);
}

int tw_dry_drive(const struct tw_policy *p, struct tw_dry_run *r, struct tw_err *e)
{
	struct drive d = {
		.p = p, .run = r, .end_ns = r->host_ns + r->span_ns,
		.idle_since_ns = r->host_ns, .timer_ns = r->host_ns + TW_DRY_TIMER_NS,
		.segment = { .guest_ns = r->host_ns, .factor = { 1, 1 } },
	};
	bool more = true;
	int status;

	status = begin(&d, e);
	while (!status && more && d.dry.guest_ns < d.end_ns)
		status = advance(&d, &more, e);
	flush_segment(&d);
	tw_dry_close(&d.dry);
	return status;
}
