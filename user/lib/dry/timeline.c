// SPDX-License-Identifier: GPL-2.0
#include "dry/timeline.h"

#include <bpf/libbpf.h>
#include <string.h>

#include "policy_priv.h"

#define OPS_TABLE ".struct_ops.link"
#define SECOND 1000000000ULL

static const struct {
	const char *word, *text;
} crimes[TW_CRIMES] = {
	[TW_CRIME_ZERO] = { "zero", "a factor with a zero in it" },
	[TW_CRIME_RANGE] = { "range", "a factor outside 1/10000 to 10000" },
	[TW_CRIME_PAST] = { "past", "asks to be called at a time that has passed" },
	[TW_CRIME_BACK] = { "back", "leaps to a guest time that has passed, or too far back" },
	[TW_CRIME_FAR] = { "far", "leaps further than half an hour at once" },
	[TW_CRIME_BITS] = { "bits", "answers with bits that there are not, or do not go with the rest" },
	[TW_CRIME_START] = { "start", "wants to go on more than a second from now, or while time is to stand" },
	[TW_CRIME_CODE] = { "code", "returns what is neither 0 nor a negative errno" },
	[TW_CRIME_SLOW] = { "slow", "takes 20 million instructions and more to decide: longer than 20 ms" },
	[TW_CRIME_DIVIDE] = { "divide", "divides by zero, of which BPF makes 0" },
	[TW_CRIME_CRASH] = { "crash", "does what no program may" },
	[TW_CRIME_HANG] = { "hang", "does not come to an end within 50 million instructions" },
	[TW_CRIME_EJECT] = { "eject", "gives 16 unusable answers in a row: the kernel ejects it" },
	[TW_CRIME_REFUSED] = { "refused", "refuses to be attached with its defaults" },
};

const char *tw_crime_word(enum tw_crime crime)
{
	return crimes[crime].word;
}

const char *tw_crime_text(enum tw_crime crime)
{
	return crimes[crime].text;
}

/* ---- the policy */

void *tw_dry_params(const struct tw_dry *d, size_t *size)
{
	*size = 0;
	return tw_machine_data(&d->machine, TIMEWARP_PARAMS_SECTION, size);
}

struct timewarp_vmms *tw_dry_vmms(const struct tw_dry *d)
{
	size_t size = sizeof(struct timewarp_vmms);

	return tw_machine_data(&d->machine, TIMEWARP_VMMS_SECTION, &size);
}

/* Parameters as they were assigned, which libbpf keeps apart from the object */
static void fill_params(struct tw_dry *d, const struct tw_policy *p)
{
	size_t size = 0, room;
	const void *from = p->data ? bpf_map__initial_value(p->data, &size) : NULL;
	void *to = tw_dry_params(d, &room);

	if (from && to && room == size)
		memcpy(to, from, size);
}

int tw_dry_open(struct tw_dry *d, const struct tw_policy *p, uint64_t now_ns, struct tw_err *e)
{
	long decide;
	int status;

	*d = (struct tw_dry){ .host_ns = now_ns, .guest_ns = now_ns, .asked_ns = now_ns, .factor = { 1, 1 } };
	status = tw_machine_open(&d->machine, p->elf, p->elf_size, e);
	if (status)
		return status;
	d->machine.outside = &d->outside;
	d->outside.random = 0x9e3779b97f4a7c15ULL;
	/* decide() is the first of the table */
	decide = tw_machine_function(&d->machine, OPS_TABLE, 0);
	if (decide < 0)
		return tw_explain_no_decide(e);
	d->decide = decide;
	d->may = tw_policy_flags(p);
	fill_params(d, p);
	d->args[0] = (uint64_t)(uintptr_t)&d->view;
	d->args[1] = (uint64_t)(uintptr_t)&d->answer;
	tw_machine_lend(&d->machine, d->args, sizeof(d->args), true);
	tw_machine_lend(&d->machine, &d->view, sizeof(d->view), true);
	tw_machine_lend(&d->machine, &d->answer, sizeof(d->answer), false);
	return TW_OK;
}

void tw_dry_close(struct tw_dry *d)
{
	tw_machine_close(&d->machine);
}

void tw_dry_look(struct tw_dry *d, enum kvm_timewarp_event event)
{
	d->view = (struct tw_dry_view){
		.event = event, .id = 1, .nr_vcpus = 1, .state = d->held ? KVM_TIMEWARP_HELD : 0,
		.host_tsc = d->host_ns, .host_ns = d->host_ns, .guest_ns = d->guest_ns,
		.factor_num = d->factor.num, .factor_den = d->factor.den, .next_timer_ns = TW_DRY_NEVER,
	};
	d->answer = (struct tw_dry_answer){ .factor_num = d->factor.num, .factor_den = d->factor.den };
}

bool tw_dry_ask(struct tw_dry *d, int *ret)
{
	uint64_t r0 = 0;
	bool ended;

	d->asked_ns = d->host_ns;
	d->outside.now_ns = d->host_ns;
	ended = tw_machine_call(&d->machine, d->decide, (uint64_t)(uintptr_t)d->args, &r0);
	*ret = (int32_t)r0;
	return ended;
}

/* ---- answers */

static bool rate_ok(const struct tw_dry_answer *a)
{
	unsigned __int128 num = a->factor_num, den = a->factor_den;

	return num <= den * TIMEWARP_FACTOR_LIMIT && num * TIMEWARP_FACTOR_LIMIT >= den;
}

/* At an attach, the guest may be one that has not run yet */
static unsigned int wrong_leap(const struct tw_dry *d)
{
	uint64_t most = d->view.event == KVM_TIMEWARP_ATTACH ? TIMEWARP_MAX_START_NS : TIMEWARP_MAX_LEAP_NS;
	uint64_t to = d->answer.leap_ns, now = d->view.guest_ns;

	if (!to)
		return 0;
	if (to < now)
		return d->may & KVM_TIMEWARP_F_BACKWARD && now - to <= TIMEWARP_MAX_LEAP_NS ? 0 : 1 << TW_CRIME_BACK;
	return to - now > most ? 1 << TW_CRIME_FAR : 0;
}

static bool start_ok(const struct tw_dry *d)
{
	uint64_t start = d->answer.start_tsc, now = d->view.host_tsc;

	if (!start)
		return true;
	return !(d->answer.flags & KVM_TIMEWARP_HOLD) && (start > now ? start - now : now - start) <= SECOND;
}

static uint64_t known_flags(const struct tw_dry *d)
{
	const struct tw_dry_answer *a = &d->answer;
	uint64_t known = KVM_TIMEWARP_HOLD | KVM_TIMEWARP_IF_IDLE;

	if (a->next_guest_ns > d->view.guest_ns && !(a->flags & KVM_TIMEWARP_HOLD))
		known |= KVM_TIMEWARP_HOLD_NEXT;
	if (a->flags & KVM_TIMEWARP_IF_IDLE || a->leap_ns)
		known |= KVM_TIMEWARP_PAST_TIMERS;
	return known;
}

unsigned int tw_dry_wrong(const struct tw_dry *d)
{
	const struct tw_dry_answer *a = &d->answer;
	unsigned int wrong = wrong_leap(d);

	if (!a->factor_num || !a->factor_den)
		wrong |= 1 << TW_CRIME_ZERO;
	else if (!rate_ok(a))
		wrong |= 1 << TW_CRIME_RANGE;
	if ((a->next_host_ns && a->next_host_ns <= d->view.host_ns) ||
	    (a->next_guest_ns && a->next_guest_ns <= d->view.guest_ns))
		wrong |= 1 << TW_CRIME_PAST;
	if (a->flags & ~known_flags(d))
		wrong |= 1 << TW_CRIME_BITS;
	if (!start_ok(d))
		wrong |= 1 << TW_CRIME_START;
	return wrong;
}

/* ---- the timeline */

void tw_dry_take(struct tw_dry *d)
{
	const struct tw_dry_answer *a = &d->answer;

	if (a->factor_num && a->factor_den && rate_ok(a))
		d->factor = (struct timewarp_factor){ a->factor_num, a->factor_den };
	d->next_host_ns = a->next_host_ns;
	d->next_guest_ns = a->next_guest_ns;
	d->next_late_ns = a->next_late_ns;
	d->next_idle_ns = a->next_idle_ns && a->next_idle_ns < TIMEWARP_MIN_IDLE_NS ? TIMEWARP_MIN_IDLE_NS :
										      a->next_idle_ns;
	d->held = a->flags & KVM_TIMEWARP_HOLD;
	d->hold_at_ns = !d->held && a->flags & KVM_TIMEWARP_HOLD_NEXT ? a->next_guest_ns : 0;
}

uint64_t tw_dry_leap_ns(const struct tw_dry *d)
{
	return wrong_leap(d) ? 0 : d->answer.leap_ns;
}

uint64_t tw_dry_stand(struct tw_dry *d)
{
	uint64_t stood;

	if (!start_ok(d) || d->answer.start_tsc <= d->host_ns)
		return 0;
	stood = d->answer.start_tsc - d->host_ns;
	d->host_ns += stood;
	return stood;
}

static uint64_t divide(unsigned __int128 a, uint64_t c)
{
	return a / c > TW_DRY_FAR ? TW_DRY_FAR : (uint64_t)(a / c);
}

uint64_t tw_dry_mul_div(uint64_t a, uint64_t b, uint64_t c)
{
	return divide((unsigned __int128)a * b, c);
}

uint64_t tw_dry_pass(struct tw_dry *d, uint64_t host_ns)
{
	uint64_t guest = d->held ? 0 : tw_dry_mul_div(host_ns, d->factor.num, d->factor.den);

	if (d->hold_at_ns && d->guest_ns + guest >= d->hold_at_ns) {
		guest = d->hold_at_ns > d->guest_ns ? d->hold_at_ns - d->guest_ns : 0;
		d->held = true;
		d->hold_at_ns = 0;
	}
	d->host_ns += host_ns;
	d->guest_ns += guest;
	return guest;
}

uint64_t tw_dry_until(const struct tw_dry *d, uint64_t guest_ns)
{
	if (d->held || (d->hold_at_ns && guest_ns > d->hold_at_ns))
		return TW_DRY_NEVER;
	if (guest_ns <= d->guest_ns)
		return 0;
	return divide((unsigned __int128)(guest_ns - d->guest_ns) * d->factor.den + d->factor.num - 1, d->factor.num);
}
