// SPDX-License-Identifier: GPL-2.0
/* twctl step: grant a frozen guest some of its time, and wait until that has passed. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "readiness.h"
#include "parse.h"
#include "twctl.h"

/* A guest that has not come to stand for so long is not going to */
#define POLL_NS 500000ULL
#define PATIENCE_NS 10000000000ULL

static int bad_span(struct tw_err *e, const char *text, const char *why)
{
	tw_fail(e, TW_USAGE, "cannot step by %s", TW_QUOTE(text));
	tw_fact(e, "it is %s", why);
	return tw_cure(e, "give a span of guest time, such as 10ms");
}

static int parse_span(const char *text, uint64_t *ns, struct tw_err *e)
{
	const char *why;

	if (tw_parse_duration(text, ns, &why))
		return bad_span(e, text, why);
	return *ns ? TW_OK : bad_span(e, text, "not above zero");
}

static uint64_t number(const struct tw_params *params, const void *data, size_t size,
		       const char *name, void **at)
{
	uint64_t value = 0;
	size_t i;

	*at = NULL;
	for (i = 0; i < params->n; i++) {
		const struct tw_param *p = &params->v[i];

		if (strcmp(p->name, name) || p->size != sizeof(value) ||
		    p->offset + p->size > size || !data)
			continue;
		*at = (char *)data + p->offset;
		memcpy(&value, *at, sizeof(value));
	}
	return value;
}

static int no_freeze(const struct tw_target *t, struct tw_err *e)
{
	char name[TW_TARGET_NAME_MAX];

	tw_fail(e, TW_REFUSED, "cannot step %s", tw_target_name(t, name, sizeof(name)));
	tw_fact(e, "its policy is %s, and only freeze grants time", t->st.policy);
	return tw_cure(e, "twctl detach --vm %s; twctl attach --vm %s --policy freeze --pin",
		       t->vm->id, t->vm->id);
}

/* The policy says by "lived" when the guest stands where it shall */
static int wait_for(struct tw_target *t, struct tw_live *l, uint64_t budget, uint64_t patience,
		    struct tw_err *e)
{
	uint64_t end = tw_now_ns() + patience, lived;
	void *at;

	for (;;) {
		tw_live_recount(l);
		lived = number(&l->counters, l->counts, l->counts_size, "lived", &at);
		if (lived >= budget)
			break;
		if (tw_stop || tw_now_ns() > end) {
			tw_fail(e, TW_FAILED, "cannot tell that %s stands again", t->vm->id);
			tw_fact(e, "%" PRIu64 " ns of %" PRIu64 " ns granted have passed%s", lived,
				budget, tw_stop ? " when it was interrupted" : "");
			return tw_cure(e, "see twctl status --vm %s", t->vm->id);
		}
		tw_sleep_until(tw_now_ns() + POLL_NS);
	}
	return tw_state_read(t->vm->dir, &t->st, e);
}

static void report(const struct tw_args *args, const struct tw_target *t, uint64_t step,
		   uint64_t lived)
{
	struct tw_json j = { .f = stdout };

	if (!args->json) {
		tw_printf("%s: stands at guest_ns %" PRIu64 ", %" PRIu64 " ns after it was frozen\n",
			  t->vm->id, t->st.guest_ns, lived);
		fflush(stdout);
		return;
	}
	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "event", "step");
	tw_json_vm(&j, t->vm);
	tw_json_u64(&j, "step_ns", step);
	tw_json_u64(&j, "lived_ns", lived);
	tw_json_u64(&j, "guest_ns", t->st.guest_ns);
	tw_json_u64(&j, "host_ns", t->st.host_ns);
	tw_json_close(&j, '}');
	tw_json_end(&j);
	fflush(stdout);
}

static int step(const struct tw_args *args, struct tw_target *t, struct tw_live *l, uint64_t ns,
		struct tw_err *e)
{
	void *budget, *lived;
	uint64_t all = number(&l->params, l->data, l->size, "budget", &budget);

	if (!budget)
		return no_freeze(t, e);
	if (all + ns < all || (all + ns) >> 62)
		return bad_span(e, "that", "more than a guest has time");
	all += ns;
	memcpy(budget, &all, sizeof(all));
	if (tw_live_update(l, t->st.id, e))
		return tw_what(e, "cannot step %s", t->vm->id);
	/* at the slowest factor that a policy would take; a policy of its own may do as it likes */
	if (wait_for(t, l, all, PATIENCE_NS + (ns > UINT64_MAX / 20000 ? UINT64_MAX / 2 :
					       ns * 10000), e))
		return e->status;
	report(args, t, ns, number(&l->counters, l->counts, l->counts_size, "lived", &lived));
	return TW_OK;
}

/* The VM is nobody's between two steps: a scheduler may take its time */
static int locked_step(const struct tw_args *args, struct tw_target *t, struct tw_live *l, uint64_t ns,
		       struct tw_err *e)
{
	int status = tw_target_lock(t, "step", false, e);

	if (status)
		return status;
	if (tw_check_runs(t->vm, "step", e)) {
		status = e->status;
	} else if (tw_live_is_current(l)) {
		status = step(args, t, l, ns, e);
	} else {
		tw_fail(e, TW_NO_VM, "cannot step %s", t->vm->id);
		tw_fact(e, "its policy was detached or swapped meanwhile");
		status = tw_cure(e, "see what there is: twctl status");
	}
	tw_target_unlock(t);
	return status;
}

static int interrupted(const struct tw_target *t, uint64_t left, struct tw_err *e)
{
	tw_fail(e, TW_FAILED, "cannot step %s any longer", t->vm->id);
	tw_fact(e, "it was interrupted, with %" PRIu64 " steps left", left);
	return tw_cure(e, "the guest stands where the last line says");
}

static int step_lines(const struct tw_args *args, struct tw_target *t, struct tw_live *l,
		      struct tw_err *e)
{
	char line[64];
	uint64_t ns;

	while (!tw_stop && fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		if (parse_span(line, &ns, e) || locked_step(args, t, l, ns, e))
			return e->status;
	}
	return TW_OK;
}

static int change(const struct tw_args *args, struct tw_target *t, struct tw_live *l,
		  struct tw_err *e)
{
	uint64_t ns, count = 1;

	if (strcmp(t->st.policy, "freeze"))
		return no_freeze(t, e);
	tw_target_unlock(t);
	if (!strcmp(args->operands.v[0], "-"))
		return step_lines(args, t, l, e);
	if (parse_span(args->operands.v[0], &ns, e))
		return e->status;
	if (tw_args_count("step", "--count", args->count, &count, e))
		return e->status;
	for (; count && !tw_stop; count--)
		if (locked_step(args, t, l, ns, e))
			return e->status;
	return count ? interrupted(t, count, e) : TW_OK;
}

static int run(const struct tw_args *args, struct tw_err *e)
{
	struct tw_target t = { 0 };
	uint64_t n;
	int status;

	if (args->operands.n != 1) {
		tw_fail(e, TW_USAGE, "cannot step");
		tw_fact(e, "it is not said how far");
		return tw_cure(e, "add a span of guest time such as 10ms, or - to read them");
	}
	if (strcmp(args->operands.v[0], "-") && parse_span(args->operands.v[0], &n, e))
		return e->status;
	if (tw_args_count("step", "--count", args->count, &n, e))
		return e->status;
	status = tw_host_require(TW_NEED_HOOK | TW_NEED_STATE, e);
	if (status)
		return tw_what(e, "cannot step");
	tw_catch_stop();
	status = tw_target_change(args, "step", change, &t, e);
	tw_target_close(&t);
	return status;
}

static const struct tw_option options[] = {
	TW_OPTION_VM,
	TW_OPTION("count", 0, TW_TEXT, count, "N", "so many steps", NULL),
	{ 0 },
};

const struct tw_verb tw_verb_step = {
	.name = "step",
	.synopsis = "VM SPAN|- [--count N]",
	.summary = "let exactly so much guest time pass in a VM that is frozen",
	.more = "The VM's policy has to be freeze. Returns when the guest stands again, and\n"
		"prints where: at the moment of the freeze plus all that was granted.\n"
		"\n"
		"    twctl attach --vm my-guest --policy freeze --pin\n"
		"    twctl step --vm my-guest 10ms --count 1000\n"
		"    twctl detach --vm my-guest\n"
		"\n"
		"With - it reads one span a line from standard input and answers each with a line\n"
		"(with -j, an object: step_ns, lived_ns, guest_ns, host_ns) once it has passed:\n"
		"the protocol for a scheduler that keeps the guest in step with something else.\n"
		"A program may do without twctl: it raises the parameter 'budget' in the policy's\n"
		"map '.data.params', calls the kfunc kvm_timewarp_kick() from a BPF program of\n"
		"type syscall, and waits until the counter 'lived' in '.data.counts' is there.\n",
	.options = options,
	.max_operands = 1,
	.vm_operand = true,
	.run = run,
};
