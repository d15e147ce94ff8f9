// SPDX-License-Identifier: GPL-2.0
/* Command lines, from rows of options. */
#include "twctl.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"

#define MAX_OPTIONS 32
#define LONG_BASE 256		/* above all letters */

const struct tw_option tw_common_options[] = {
	TW_OPTION("json", 'j', TW_FLAG, json, NULL, "write JSON, errors included", NULL),
	TW_OPTION("verbose", 'v', TW_FLAG, verbose, NULL, "show what libbpf says", NULL),
	TW_OPTION("help", 'h', TW_FLAG, help, NULL, "show this help", NULL),
	{ 0 },
};

struct rows {
	const struct tw_option *row[MAX_OPTIONS];
	struct option longs[MAX_OPTIONS + 1];
	char letters[2 * MAX_OPTIONS + 3];
	int n;
};

static void add_rows(struct rows *r, const struct tw_option *o)
{
	for (; o && o->name && r->n < MAX_OPTIONS; o++, r->n++) {
		struct option *l = &r->longs[r->n];
		char letter[3] = { o->letter, o->type == TW_FLAG ? 0 : ':', 0 };

		r->row[r->n] = o;
		l->name = o->name;
		l->has_arg = o->type == TW_FLAG ? no_argument : required_argument;
		l->val = LONG_BASE + r->n;
		if (o->letter)
			strcat(r->letters, letter);
	}
}

static const struct tw_option *find_row(const struct rows *r, int c)
{
	int i;

	if (c >= LONG_BASE)
		return r->row[c - LONG_BASE];
	for (i = 0; i < r->n; i++)
		if (r->row[i]->letter == c)
			return r->row[i];
	return NULL;
}

static int usage(struct tw_err *e, const struct tw_verb *verb, const char *word, const char *fact)
{
	tw_fail(e, TW_USAGE, "cannot %s", verb->name);
	tw_fact(e, "%s %s", TW_QUOTE(word), fact);
	return tw_cure(e, "see twctl help %s", verb->name);
}

static int store(const struct tw_option *o, const char *value, struct tw_args *args)
{
	char *to = (char *)args + o->offset;

	switch (o->type) {
	case TW_FLAG:
		*(bool *)to = true;
		return TW_OK;
	case TW_LIST:
		tw_strings_add((struct tw_strings *)to, value);
		return TW_OK;
	default:
		/* the last one wins, so that an alias or a script can be added to */
		*(const char **)to = value;
		return TW_OK;
	}
}

static const struct tw_option *vm_row(const struct tw_verb *verb)
{
	const struct tw_option *o;

	for (o = verb->options; o->name && strcmp(o->name, "vm"); o++)
		;
	return o;
}

/* Whether there is a VM, or are several, that go by a word */
static bool is_vm(const char *word)
{
	struct tw_selector sel;
	struct tw_vms vms;
	bool found = false;
	const char *why;
	size_t i;

	if (tw_selector_parse(word, &sel, &why))
		return false;
	tw_vms_scan(&vms);
	for (i = 0; i < vms.n; i++)
		found |= tw_selector_matches(&sel, &vms.v[i]);
	tw_vms_free(&vms);
	return found;
}

static int ambiguous(const struct tw_verb *verb, const char *word, struct tw_err *e)
{
	tw_fail(e, TW_USAGE, "cannot %s", verb->name);
	tw_fact(e, "%s is a VM, and a word of this verb's own", TW_QUOTE(word));
	return tw_cure(e, "write --vm %s if the VM is meant, else name a VM before it", TW_QUOTE(word));
}

/* "twctl status my-guest": the first operand is the VM, where --vm does not name it */
static int take_vm(const struct tw_verb *verb, struct tw_args *args, struct tw_err *e)
{
	struct tw_strings *o = &args->operands;
	int status;

	if (!verb->vm_operand || args->vm || args->vms.n || !o->n)
		return TW_OK;
	if (verb->own && verb->own(o->v[0]))
		return is_vm(o->v[0]) ? ambiguous(verb, o->v[0], e) : TW_OK;
	status = store(vm_row(verb), o->v[0], args);
	memmove(o->v, o->v + 1, --o->n * sizeof(*o->v));
	return status;
}

/* "twctl attach my-guest --policy until until=30d" */
static void take_params(const struct tw_verb *verb, struct tw_args *args)
{
	struct tw_strings *o = &args->operands;
	size_t i, left = 0;

	for (i = 0; i < o->n; i++) {
		if (verb->params_from && i + 1 >= verb->params_from && strchr(o->v[i], '='))
			tw_strings_add(&args->params, o->v[i]);
		else
			o->v[left++] = o->v[i];
	}
	o->n = left;
}

int tw_parse_args(const struct tw_verb *verb, int argc, char **argv, struct tw_args *args,
		  struct tw_err *e)
{
	struct rows r = { .letters = ":" };
	const struct tw_option *o;
	int c;

	args->verb = verb->name;
	if (verb->command)
		memcpy(r.letters, "+:", 2);
	add_rows(&r, tw_common_options);
	add_rows(&r, verb->options);
	opterr = 0;
	while ((c = getopt_long(argc, argv, r.letters, r.longs, NULL)) != -1) {
		if (c == '?') {
			/* A letter may stand in a word that getopt has not done with. */
			const char letter[] = { '-', optopt, 0 };
			bool unknown = optopt > ' ' && optopt < 127 && !find_row(&r, optopt);

			return usage(e, verb, unknown ? letter : argv[optind - 1],
				     "is no option of this verb");
		}
		if (c == ':')
			return usage(e, verb, argv[optind - 1], "needs an argument");
		o = find_row(&r, c);
		if (!o || store(o, optarg, args))
			return TW_USAGE;
	}
	while (optind < argc)
		tw_strings_add(&args->operands, argv[optind++]);
	if (take_vm(verb, args, e))
		return e->status;
	take_params(verb, args);
	if (args->operands.n > verb->max_operands)
		return usage(e, verb, args->operands.v[verb->max_operands], "is one word too many");
	return TW_OK;
}

bool tw_args_factor_max(const struct tw_args *args)
{
	return args->factor && !strcmp(args->factor, "max");
}

int tw_args_check_factor(const struct tw_args *args, struct tw_err *e)
{
	struct timewarp_factor f;
	const char *why;

	if (!args->factor || !tw_parse_factor(args->factor, &f, &why))
		return TW_OK;
	tw_fail(e, TW_USAGE, "cannot use factor %s", TW_QUOTE(args->factor));
	tw_fact(e, "it is %s", why);
	return tw_cure(e, "give a factor from 1/10000 to 10000");
}

int tw_args_tsc(const struct tw_args *args, unsigned int *mode, struct tw_err *e)
{
	static const char *const modes[] = {
		[KVM_TIMEWARP_TSC_AUTO] = "auto",
		[KVM_TIMEWARP_TSC_SCALED] = "scaled",
		[KVM_TIMEWARP_TSC_TRAPPED] = "trapped",
		[KVM_TIMEWARP_TSC_OFFSET] = "offset",
	};
	size_t i;

	*mode = KVM_TIMEWARP_TSC_AUTO;
	if (!args->tsc)
		return TW_OK;
	for (i = 0; i < sizeof(modes) / sizeof(*modes); i++)
		if (!strcmp(args->tsc, modes[i])) {
			*mode = i;
			return TW_OK;
		}
	tw_fail(e, TW_USAGE, "cannot use TSC mode %s", TW_QUOTE(args->tsc));
	tw_fact(e, "there is no such mode");
	return tw_cure(e, "use one of: auto, scaled, trapped, offset");
}

int tw_args_policy(const struct tw_args *args, struct tw_epoch epoch, struct tw_policy *p, struct tw_err *e)
{
	bool max = tw_args_factor_max(args);
	int status = tw_policy_open(p, max && !args->policy ? "backoff" : args->policy, e);
	char *assignment;
	size_t i;

	if (!status && max && strcmp(p->name, "backoff")) {
		tw_fail(e, TW_USAGE, "cannot use factor max");
		tw_fact(e, "policy %s cannot find out what that is, only backoff can", p->name);
		return tw_cure(e, "leave out --policy, or give it a number");
	}
	if (!status && p->chaos && !args->chaos) {
		tw_fail(e, TW_USAGE, "cannot attach policy %s like that", p->name);
		tw_fact(e, "it gives the guest a bad clock on purpose");
		return tw_cure(e, "if that is meant, add --chaos");
	}
	if (!args->chaos)
		p->withheld = args->allow_backward ? 0 : KVM_TIMEWARP_F_BACKWARD;
	if (!status)
		tw_params_epoch(&p->params, epoch);
	if (!status && args->factor && !max) {
		assignment = tw_asprintf("factor=%s", args->factor);
		status = tw_policy_assign(p, assignment, e);
		free(assignment);
	}
	for (i = 0; !status && i < args->params.n; i++)
		status = tw_policy_assign(p, args->params.v[i], e);
	return status;
}
