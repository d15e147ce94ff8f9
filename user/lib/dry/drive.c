// SPDX-License-Identifier: GPL-2.0
#include "dry/drive.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "policy_priv.h"

#define OPS_TABLE ".struct_ops.link"
#define MAX_BAD 16			/* answers in a row: the kernel ejects */
#define MAX_DECISIONS 50000000ULL
#define NEVER (~0ULL)
/* What a guest needs for what its timer has it do: a policy sees that it has run */
#define RUN_NS 1000ULL
#define FAR (1ULL << 62)		/* the timeline holds 292 years */

/* As a policy sees them; the ABI's number, which an object states, covers both */
struct view {
	uint32_t event, id, nr_vcpus, state;
	uint64_t host_tsc, host_ns, guest_ns, factor_num, factor_den, idle_ns, next_timer_ns;
	uint64_t lost_ticks, floors, late_ns, starved_ns, halted_ns;
};

struct answer {
	uint64_t factor_num, factor_den, next_host_ns, next_guest_ns, next_idle_ns, next_late_ns;
	uint64_t leap_ns, start_tsc, flags;
};

struct drive {
	const struct tw_policy *p;
	struct tw_dry_run *run;
	struct tw_machine machine;
	struct tw_outside outside;
	struct view view;
	struct answer answer;
	uint64_t args[2];
	size_t decide;
	/* The timeline */
	uint64_t host_ns, guest_ns, end_ns, asked_ns;
	struct timewarp_factor factor;
	bool held;
	uint64_t hold_at_ns;		/* guest time at which it will be; 0 */
	uint64_t next_host_ns, next_guest_ns, next_idle_ns;
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
	*s = (struct tw_dry_segment){ .guest_ns = d->guest_ns, .factor = d->factor, .held = d->held };
}

static bool same_factor(const struct timewarp_factor *a, const struct timewarp_factor *b)
{
	return (unsigned __int128)a->num * b->den == (unsigned __int128)b->num * a->den;
}

static void note_change(struct drive *d)
{
	const struct tw_dry_segment *s = &d->segment;

	if (s->held != d->held || (!d->held && !same_factor(&s->factor, &d->factor)))
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
			d->run->tells(d->run->arg, d->guest_ns, &d->told[i]);
	d->nr_told = 0;
}

/* ---- time */

static uint64_t mul_div(uint64_t a, uint64_t b, uint64_t c, bool up)
{
	unsigned __int128 q = ((unsigned __int128)a * b + (up ? c - 1 : 0)) / c;

	return q > FAR ? FAR : (uint64_t)q;
}

static void pass(struct drive *d, uint64_t host_ns)
{
	uint64_t guest = d->held ? 0 : mul_div(host_ns, d->factor.num, d->factor.den, false);

	if (d->hold_at_ns && d->guest_ns + guest >= d->hold_at_ns)
		guest = d->hold_at_ns > d->guest_ns ? d->hold_at_ns - d->guest_ns : 0;
	d->host_ns += host_ns;
	d->guest_ns += guest;
	d->segment.host_span_ns += host_ns;
	d->segment.guest_span_ns += guest;
	if (d->hold_at_ns && d->guest_ns >= d->hold_at_ns) {
		d->held = true;
		d->hold_at_ns = 0;
		note_change(d);
	}
}

/* Host time until the guest's is there */
static uint64_t until_guest(const struct drive *d, uint64_t guest_ns)
{
	if (d->held || (d->hold_at_ns && guest_ns > d->hold_at_ns))
		return NEVER;
	return guest_ns <= d->guest_ns ? 0 : mul_div(guest_ns - d->guest_ns, d->factor.den, d->factor.num, true);
}

/* The vCPUs have something to do, and wait again at once */
static void fire_timers(struct drive *d)
{
	if (d->guest_ns < d->timer_ns)
		return;
	d->timer_ns += ((d->guest_ns - d->timer_ns) / TW_DRY_TIMER_NS + 1) * TW_DRY_TIMER_NS;
	d->idle_since_ns = d->host_ns + RUN_NS;
	d->told_idle = false;
}

/* ---- answers */

static bool rate_ok(const struct answer *a)
{
	unsigned __int128 num = a->factor_num, den = a->factor_den;

	return num && den && num <= den * TIMEWARP_FACTOR_LIMIT && num * TIMEWARP_FACTOR_LIMIT >= den;
}

static bool leap_ok(const struct drive *d)
{
	uint64_t most = d->view.event == KVM_TIMEWARP_ATTACH ? TIMEWARP_MAX_START_NS : TIMEWARP_MAX_LEAP_NS;
	uint64_t to = d->answer.leap_ns;

	if (to && to < d->guest_ns)
		return !(d->p->withheld & KVM_TIMEWARP_F_BACKWARD) && d->guest_ns - to <= TIMEWARP_MAX_LEAP_NS;
	return !to || to - d->guest_ns <= most;
}

static bool is_usable(const struct drive *d)
{
	const struct answer *a = &d->answer;

	return rate_ok(a) && (!a->next_host_ns || a->next_host_ns > d->host_ns) &&
	       (!a->next_guest_ns || a->next_guest_ns > d->guest_ns) && leap_ok(d);
}

static void leap(struct drive *d)
{
	uint64_t to = d->answer.leap_ns;

	if (!to || !leap_ok(d))
		return;
	if (d->answer.flags & KVM_TIMEWARP_IF_IDLE) {
		if (d->run->busy)
			return;
		if (!(d->answer.flags & KVM_TIMEWARP_PAST_TIMERS) && to > d->timer_ns)
			to = d->timer_ns;
	}
	if (to > d->end_ns)
		to = d->end_ns;
	d->segment.leaps++;
	d->segment.leapt_ns += to - d->guest_ns;
	d->segment.guest_span_ns += to - d->guest_ns;
	d->guest_ns = to;
	fire_timers(d);
}

static void take_answer(struct drive *d)
{
	const struct answer *a = &d->answer;

	if (rate_ok(a))
		d->factor = (struct timewarp_factor){ a->factor_num, a->factor_den };
	d->next_host_ns = a->next_host_ns;
	d->next_guest_ns = a->next_guest_ns;
	d->next_idle_ns = a->next_idle_ns && a->next_idle_ns < TIMEWARP_MIN_IDLE_NS ? TIMEWARP_MIN_IDLE_NS :
										      a->next_idle_ns;
	d->held = a->flags & KVM_TIMEWARP_HOLD;
	d->hold_at_ns = !d->held && a->flags & KVM_TIMEWARP_HOLD_NEXT ? a->next_guest_ns : 0;
	note_change(d);
	tell(d);
	leap(d);
	/* until then it stands */
	if (a->start_tsc > d->host_ns) {
		d->segment.host_span_ns += a->start_tsc - d->host_ns;
		d->host_ns = a->start_tsc;
	}
}

static int broken(struct drive *d, struct tw_err *e)
{
	tw_fail(e, TW_FAILED, "cannot run %s dry", d->p->name);
	tw_fact(e, "%s", d->machine.fault);
	return tw_cure(e, "see what the verifier says: twctl policy check; and try it on a VM that you can spare");
}

/* What the policy has refused at the attach; later it leaves the segment as it was */
static int refused(struct drive *d, int code, struct tw_err *e)
{
	struct tw_refused r = { .title = d->p->title, .given = d->p->given, .params = &d->p->params };

	if (d->view.event != KVM_TIMEWARP_ATTACH)
		return TW_OK;
	tw_fail(e, TW_REFUSED, "cannot run %s dry", d->p->name);
	if (tw_explain_code(e, code))
		return e->status;
	r.data = d->p->data ? bpf_map__initial_value(d->p->data, &r.size) : NULL;
	return tw_explain_refusal(e, code, &r);
}

static int ejected(struct drive *d, struct tw_err *e)
{
	tw_fail(e, TW_EJECTED, "cannot run %s dry to its end", d->p->name);
	tw_fact(e, "it gives %d unusable answers in a row, for which the kernel would eject it", MAX_BAD);
	return tw_cure(e, "see which: twctl policy check, with its source");
}

static int endless(struct drive *d, struct tw_err *e)
{
	tw_fail(e, TW_FAILED, "cannot run %s dry to its end", d->p->name);
	tw_fact(e, "at %llu decisions and %llu days of the host the span is not over",
		(unsigned long long)d->run->decisions,
		(unsigned long long)((d->host_ns - d->run->host_ns) / 86400000000000ULL));
	return tw_cure(e, "give a shorter --span");
}

static int ask(struct drive *d, uint32_t event, struct tw_err *e)
{
	bool awake = d->run->busy || d->host_ns < d->idle_since_ns;
	uint64_t idle = awake ? 0 : d->host_ns - d->idle_since_ns, ret = 0;

	d->view = (struct view){
		.event = event, .id = 1, .nr_vcpus = 1,
		.state = (d->held ? KVM_TIMEWARP_HELD : 0) | KVM_TIMEWARP_TELLS | KVM_TIMEWARP_ONE_SHOT,
		.host_tsc = d->host_ns, .host_ns = d->host_ns, .guest_ns = d->guest_ns,
		.factor_num = d->factor.num, .factor_den = d->factor.den, .idle_ns = idle,
		.next_timer_ns = d->run->busy ? NEVER : d->timer_ns,
		.halted_ns = d->run->busy ? 0 : d->host_ns - d->asked_ns,
	};
	d->answer = (struct answer){ .factor_num = d->factor.num, .factor_den = d->factor.den };
	d->asked_ns = d->host_ns;
	d->outside.now_ns = d->host_ns;
	d->run->decisions++;
	if (!tw_machine_call(&d->machine, d->decide, (uint64_t)(uintptr_t)d->args, &ret))
		return broken(d, e);
	if ((int32_t)ret)
		return refused(d, -(int32_t)ret, e);
	d->bad = is_usable(d) ? 0 : d->bad + 1;
	if (d->bad >= MAX_BAD)
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
	uint64_t host = d->next_host_ns ? d->next_host_ns - min_u64(d->host_ns, d->next_host_ns) : NEVER;
	uint64_t guest = d->next_guest_ns ? until_guest(d, d->next_guest_ns) : NEVER, delay, idle;
	uint64_t since = d->host_ns - d->asked_ns;
	uint64_t least = since < TIMEWARP_MIN_INTERVAL_NS ? TIMEWARP_MIN_INTERVAL_NS - since : 0;

	*event = host <= guest ? KVM_TIMEWARP_HOST_TIME : KVM_TIMEWARP_GUEST_TIME;
	delay = min_u64(host, guest);
	if (delay < least)
		delay = least;
	if (d->run->busy || !d->next_idle_ns || d->told_idle || d->held)
		return delay;
	idle = d->idle_since_ns + d->next_idle_ns;
	idle = idle > d->host_ns ? idle - d->host_ns : 0;
	if (idle > delay)
		return delay;
	*event = KVM_TIMEWARP_IDLE;
	return idle;
}

/* To the next moment at which something happens; whether there is one */
static int advance(struct drive *d, bool *more, struct tw_err *e)
{
	uint32_t event;
	uint64_t call = next_call(d, &event), end = until_guest(d, d->end_ns);
	uint64_t timer = d->run->busy ? NEVER : until_guest(d, d->timer_ns);

	if (d->host_ns >= FAR || d->run->decisions >= MAX_DECISIONS)
		return endless(d, e);
	*more = min_u64(call, end) != NEVER;
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

/* Parameters as they were assigned, and a VMM that is known and asleep */
static void fill_sections(struct drive *d)
{
	struct timewarp_vmms *vmms;
	size_t size = 0, want;
	const void *from = d->p->data ? bpf_map__initial_value(d->p->data, &size) : NULL;
	void *to;

	want = size;
	to = from ? tw_machine_data(&d->machine, TIMEWARP_PARAMS_SECTION, &want) : NULL;
	if (to)
		memcpy(to, from, size);
	want = sizeof(*vmms);
	vmms = tw_machine_data(&d->machine, TIMEWARP_VMMS_SECTION, &want);
	if (vmms)
		vmms->vm[0] = (struct timewarp_vmm_view){ .pid = 1, .due_ns = NEVER };
}

static int begin(struct drive *d, struct tw_err *e)
{
	long decide;
	int status;

	tw_fail(e, TW_FAILED, "cannot run %s dry", d->p->name);
	status = tw_machine_open(&d->machine, d->p->elf, d->p->elf_size, e);
	if (status)
		return status;
	d->machine.outside = &d->outside;
	/* decide() is the first of the table */
	decide = tw_machine_function(&d->machine, OPS_TABLE, 0);
	if (decide < 0) {
		tw_fact(e, "it has no decide()");
		return tw_cure(e, "write one with TIMEWARP_DECIDE(), and name it in TIMEWARP_OPS()");
	}
	d->decide = decide;
	fill_sections(d);
	d->args[0] = (uint64_t)(uintptr_t)&d->view;
	d->args[1] = (uint64_t)(uintptr_t)&d->answer;
	tw_machine_lend(&d->machine, d->args, sizeof(d->args), true);
	tw_machine_lend(&d->machine, &d->view, sizeof(d->view), true);
	tw_machine_lend(&d->machine, &d->answer, sizeof(d->answer), false);
	return ask(d, KVM_TIMEWARP_ATTACH, e);
}

int tw_dry_drive(const struct tw_policy *p, struct tw_dry_run *r, struct tw_err *e)
{
	struct drive d = {
		.p = p, .run = r, .host_ns = r->host_ns, .guest_ns = r->host_ns,
		.end_ns = r->host_ns + r->span_ns, .asked_ns = r->host_ns, .factor = { 1, 1 },
		.idle_since_ns = r->host_ns, .timer_ns = r->host_ns + TW_DRY_TIMER_NS,
		.segment = { .guest_ns = r->host_ns, .factor = { 1, 1 } },
		.outside = { .random = 0x9e3779b97f4a7c15ULL, .output = take_event, .arg = &d },
	};
	bool more = true;
	int status;

	status = begin(&d, e);
	while (!status && more && d.guest_ns < d.end_ns)
		status = advance(&d, &more, e);
	flush_segment(&d);
	tw_machine_close(&d.machine);
	return status;
}
