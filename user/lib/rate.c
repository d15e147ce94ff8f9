// SPDX-License-Identifier: GPL-2.0
#include "rate.h"

#include <string.h>

/* A counter by its name; false if there is none */
static bool counter(const struct tw_params *counters, const void *counts, size_t size, const char *name, uint64_t *value)
{
	size_t i;

	for (i = 0; i < counters->n && counts; i++) {
		const struct tw_param *p = &counters->v[i];

		if (strcmp(p->name, name) || p->size != sizeof(*value) || p->offset > size ||
		    sizeof(*value) > size - p->offset)
			continue;
		memcpy(value, (const char *)counts + p->offset, sizeof(*value));
		return true;
	}
	return false;
}

/* What took most of the host's time: a leap itself takes none */
static enum tw_rate_bound most(uint64_t span, uint64_t guard, uint64_t vmm)
{
	uint64_t guest = guard + vmm < span ? span - guard - vmm : 0;

	if (guest >= guard && guest >= vmm)
		return TW_RATE_GUEST;
	return guard > vmm ? TW_RATE_IDLE : TW_RATE_VMM;
}

void tw_rate_look(const struct tw_state *st, const struct tw_params *counters, const void *counts, size_t size,
		  struct tw_rate_look *look)
{
	memset(look, 0, sizeof(*look));
	look->host_ns = st->host_ns;
	look->guest_ns = st->guest_ns;
	look->leaps = st->leaps;
	look->skips = counters && counter(counters, counts, size, "guard_ns", &look->guard_ns) &&
		      counter(counters, counts, size, "vmm_ns", &look->vmm_ns);
}

void tw_rate_judge(const struct tw_state *st, const struct tw_rate_look *from, const struct tw_rate_look *now,
		   struct tw_rate *r)
{
	const struct tw_rate_look attach = {
		.host_ns = st->since_host_ns, .guest_ns = st->since_host_ns + st->lead_ns,
	};
	uint64_t guard = now->guard_ns, vmm = now->vmm_ns;

	memset(r, 0, sizeof(*r));
	r->since_attach = !from;
	if (!from)
		from = &attach;
	r->span_ns = now->host_ns - from->host_ns;
	if (r->span_ns)
		r->rate = (double)(int64_t)(now->guest_ns - from->guest_ns) / r->span_ns;
	/* less than by then: another policy was swapped in, and has counted since */
	if (guard >= from->guard_ns && vmm >= from->vmm_ns) {
		guard -= from->guard_ns;
		vmm -= from->vmm_ns;
	}
	if (now->skips)
		r->bound = most(r->span_ns, guard, vmm);
	else if (st->force.den && r->rate > 1.01 * st->force.num / st->force.den && now->leaps > from->leaps)
		r->bound = TW_RATE_LEAPS;
	else if ((unsigned __int128)st->asked.num * st->force.den > (unsigned __int128)st->force.num * st->asked.den &&
		 (unsigned __int128)st->force.num * st->max.den >= (unsigned __int128)st->max.num * st->force.den)
		r->bound = TW_RATE_LIMIT;
}

const char *tw_rate_bound_name(enum tw_rate_bound bound)
{
	static const char *const names[] = { "factor", "limit", "guest", "vmm", "idle", "leaps" };

	return names[bound];
}

const char *tw_rate_bound_text(enum tw_rate_bound bound)
{
	static const char *const texts[] = {
		"by the factor that its policy asks for",
		"by the highest factor that its TSC mode bears: see --tsc",
		"by the guest, which was awake, or had timers due, for most of the time",
		"by the VMM, which was awake, or had a timer due, for most of the time",
		"by the wait for devices that had been used: see the parameter idle",
		"by the leaps that its policy makes",
	};

	return texts[bound];
}
