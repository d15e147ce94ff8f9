// SPDX-License-Identifier: GPL-2.0
/* twctl policy check: what the kernel would find in a policy. */
#include <stdio.h>
#include <string.h>

#include "dry/check.h"
#include "parse.h"
#include "readiness.h"
#include "twctl.h"

struct verdict {
	struct tw_dry_check driven;
	bool verified;
	char why_not[200];		/* where it was not */
};

/* Loads it as attach would, without a VM to attach it to */
static int verify(struct tw_policy *p, struct verdict *v, struct tw_err *e)
{
	struct tw_err lacks = { 0 };
	int status;

	if (tw_host_require(TW_NEED_HOOK, &lacks)) {
		snprintf(v->why_not, sizeof(v->why_not), "%.190s", lacks.fact);
		tw_err_free(&lacks);
		return TW_OK;
	}
	status = tw_policy_load(p, -1, KVM_TIMEWARP_TSC_AUTO, e);
	v->verified = !status;
	return status;
}

static const char *event_word(unsigned int event)
{
	static const char *const words[] = { "none", "attach", "swap", "params", "host_time", "guest_time", "idle", "late" };

	return event < sizeof(words) / sizeof(*words) ? words[event] : "event";
}

static void print_crime(const struct tw_dry_crime *c)
{
	const struct tw_dry_answer *a = &c->answer;

	tw_printf("crime: %s%s%s; %s; asked for %s at host_ns %llu, guest_ns %llu, answer %llu/%llu, next_host_ns %llu, "
		  "next_guest_ns %llu", tw_crime_text(c->kind), *c->why ? ": " : "", c->why, c->given,
		  event_word(c->view.event), (unsigned long long)c->view.host_ns, (unsigned long long)c->view.guest_ns,
		  (unsigned long long)a->factor_num, (unsigned long long)a->factor_den,
		  (unsigned long long)a->next_host_ns, (unsigned long long)a->next_guest_ns);
	if (a->leap_ns)
		tw_printf(", leap_ns %llu", (unsigned long long)a->leap_ns);
	if (a->start_tsc)
		tw_printf(", start_tsc %llu", (unsigned long long)a->start_tsc);
	if (a->flags)
		tw_printf(", flags 0x%llx", (unsigned long long)a->flags);
	tw_printf("\n");
}

static void print_verdict(const struct verdict *v)
{
	const struct tw_dry_check *d = &v->driven;
	unsigned int i;

	for (i = 0; i < d->n; i++)
		print_crime(&d->crime[i]);
	tw_printf("decisions %llu, attachments %llu, refused %llu, segments kept %llu, events told %llu, crimes %llu\n",
		  (unsigned long long)d->decisions, (unsigned long long)d->attachments, (unsigned long long)d->refused,
		  (unsigned long long)d->kept, (unsigned long long)d->told, (unsigned long long)d->crimes);
	if (v->verified)
		tw_printf("verifier: accepts it\n");
	else if (*v->why_not)
		tw_printf("verifier: not asked: %s\n", v->why_not);
	fflush(stdout);
}

static void write_crime(struct tw_json *j, const struct tw_dry_crime *c)
{
	tw_json_open(j, NULL, '{');
	tw_json_str(j, "kind", tw_crime_word(c->kind));
	tw_json_str(j, "event", event_word(c->view.event));
	tw_json_u64(j, "host_ns", c->view.host_ns);
	tw_json_u64(j, "guest_ns", c->view.guest_ns);
	tw_json_u64(j, "factor_num", c->answer.factor_num);
	tw_json_u64(j, "factor_den", c->answer.factor_den);
	tw_json_u64(j, "next_host_ns", c->answer.next_host_ns);
	tw_json_u64(j, "next_guest_ns", c->answer.next_guest_ns);
	tw_json_u64(j, "leap_ns", c->answer.leap_ns);
	tw_json_u64(j, "start_tsc", c->answer.start_tsc);
	tw_json_u64(j, "flags", c->answer.flags);
	tw_json_str(j, "given", c->given);
	tw_json_str(j, "why", *c->why ? c->why : NULL);
	tw_json_close(j, '}');
}

/* Of the crimes one of a kind each, the first of it; how many there were in all is in the sums */
static void write_verdict(const struct verdict *v, const char *file, int status)
{
	const struct tw_dry_check *d = &v->driven;
	struct tw_json j = { .f = stdout };
	unsigned int i;

	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "event", "checked");
	tw_json_str(&j, "policy", file);
	tw_json_bool(&j, "passed", !status);
	tw_json_bool(&j, "verified", v->verified);
	tw_json_str(&j, "not_verified_because", *v->why_not ? v->why_not : NULL);
	tw_json_open(&j, "crimes", '[');
	for (i = 0; i < d->n; i++)
		write_crime(&j, &d->crime[i]);
	tw_json_close(&j, ']');
	tw_json_u64(&j, "decisions", d->decisions);
	tw_json_u64(&j, "attachments", d->attachments);
	tw_json_u64(&j, "refused", d->refused);
	tw_json_u64(&j, "kept", d->kept);
	tw_json_u64(&j, "told", d->told);
	tw_json_u64(&j, "committed", d->crimes);
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

/* The verifier is asked, too, where the decisions cannot be driven, or not be passed */
static int judge(struct tw_policy *p, const char *file, struct verdict *v, struct tw_err *e)
{
	struct tw_err of_verifier = { 0 };
	int status;

	tw_fail(e, TW_FAILED, "cannot drive the decisions of %s", TW_QUOTE(file));
	status = tw_dry_check(p, &v->driven, e);
	if (!status && v->driven.crimes) {
		status = tw_fail(e, TW_REFUSED, "cannot pass %s", TW_QUOTE(file));
		tw_fact(e, "its decisions are not ones that the kernel takes");
		tw_cure(e, "see the crimes above");
	}
	if (!verify(p, v, &of_verifier))
		return status;
	tw_err_free(e);
	*e = of_verifier;
	return e->status;
}

int tw_policy_check(const struct tw_args *args, const char *object, struct tw_err *e)
{
	const char *decisions = args->count ? args->count : TW_CHECK_DECISIONS, *file = args->operands.v[1], *why;
	struct tw_policy p = { 0 };
	struct verdict v = { 0 };
	int status;

	if (tw_parse_u64(decisions, &v.driven.want, &why) || !v.driven.want || v.driven.want > 100000000) {
		tw_fail(e, TW_USAGE, "cannot use --count %s", TW_QUOTE(decisions));
		tw_fact(e, "it is no count from 1 to 100000000");
		return tw_cure(e, "leave it out for " TW_CHECK_DECISIONS);
	}
	status = tw_policy_open(&p, object, e);
	if (!status) {
		status = judge(&p, file, &v, e);
		if (args->json)
			write_verdict(&v, file, status);
		else
			print_verdict(&v);
	}
	tw_dry_check_free(&v.driven);
	tw_policy_close(&p);
	return status;
}
