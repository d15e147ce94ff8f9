// SPDX-License-Identifier: GPL-2.0
/* twctl: dispatch.  The table below drives help and completion too. */
#include "twctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct tw_verb tw_verb_attach, tw_verb_set, tw_verb_swap, tw_verb_detach,
	tw_verb_run, tw_verb_jump, tw_verb_step, tw_verb_wait, tw_verb_list, tw_verb_status, tw_verb_policy, tw_verb_trace,
	tw_verb_hist, tw_verb_stat, tw_verb_top, tw_verb_age, tw_verb_doctor, tw_verb_probe,
	tw_verb_qualify, tw_verb_version, tw_verb_help;

const struct tw_verb *const tw_verbs[] = {
	&tw_verb_attach, &tw_verb_set, &tw_verb_swap, &tw_verb_detach, &tw_verb_run,
	&tw_verb_jump, &tw_verb_step, &tw_verb_wait, &tw_verb_list, &tw_verb_status, &tw_verb_policy,
	&tw_verb_trace, &tw_verb_hist, &tw_verb_stat, &tw_verb_top, &tw_verb_age,
	&tw_verb_doctor, &tw_verb_probe, &tw_verb_qualify, &tw_verb_version, &tw_verb_help, NULL,
};

const struct tw_verb *tw_find_verb(const char *name)
{
	const struct tw_verb *const *v;

	for (v = tw_verbs; *v; v++)
		if (!strcmp((*v)->name, name))
			return *v;
	return NULL;
}

/* Errors of usage shall be JSON too, so this is looked for before options are understood */
static bool wants_json(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "-j") || !strcmp(argv[i], "--json"))
			return true;
	return false;
}

static int unknown_verb(const char *name, struct tw_err *e)
{
	tw_fail(e, TW_USAGE, "cannot run %s", TW_QUOTE(name));
	tw_fact(e, "twctl has no such verb");
	return tw_cure(e, "see twctl help");
}

static int run_verb(const struct tw_verb *verb, int argc, char **argv, struct tw_err *e)
{
	struct tw_args args = { 0 };
	int status;

	status = tw_parse_args(verb, argc, argv, &args, e);
	if (!status && args.help) {
		tw_print_help(stdout, verb);
	} else if (!status) {
		tw_bpf_verbose(args.verbose);
		status = verb->run(&args, e);
	}
	free(args.params.v);
	free(args.vms.v);
	free(args.sources.v);
	free(args.thresholds.v);
	free(args.operands.v);
	return status;
}

/* "twctl --help" and "twctl --version" are what everybody tries first */
static const char *verb_name(const char *word)
{
	if (!strcmp(word, "--help") || !strcmp(word, "-h"))
		return "help";
	if (!strcmp(word, "--version") || !strcmp(word, "-V"))
		return "version";
	return word;
}

/* Options common to all verbs may stand before the verb; moves the verb to the front */
static int skip_common(int argc, char **argv)
{
	int i = 1;
	char *verb;

	while (i < argc && (!strcmp(argv[i], "-j") || !strcmp(argv[i], "--json") ||
			    !strcmp(argv[i], "-v") || !strcmp(argv[i], "--verbose")))
		i++;
	if (i == argc)
		return 0;
	verb = argv[i];
	memmove(argv + 2, argv + 1, (i - 1) * sizeof(*argv));
	argv[1] = verb;
	return 1;
}

int main(int argc, char **argv)
{
	bool json = wants_json(argc, argv);
	const struct tw_verb *verb;
	struct tw_err e = { 0 };
	int status;

	if (!skip_common(argc, argv)) {
		tw_print_help(stderr, NULL);
		return TW_USAGE;
	}
	verb = tw_find_verb(verb_name(argv[1]));
	status = verb ? run_verb(verb, argc - 1, argv + 1, &e) : unknown_verb(argv[1], &e);
	if (status && *e.what)
		tw_err_print(&e, json);
	tw_err_free(&e);
	if ((fflush(stdout) || ferror(stdout)) && !status)
		status = TW_FAILED;
	return status;
}
