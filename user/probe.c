// SPDX-License-Identifier: GPL-2.0
/* twctl probe: what this host has, what is missing, and the command that cures it. */
#include <stdio.h>
#include <stdlib.h>

#include "readiness.h"
#include "twctl.h"

static bool blocks(const struct tw_check *c)
{
	return c->verdict == TW_MISSING && c->needs;
}

static void print_check(const struct tw_check *c)
{
	tw_printf("%-12s %-8s %s\n", c->name, tw_verdict_name(c->verdict), c->fact);
	if (c->verdict != TW_PRESENT && *c->cure)
		tw_printf("%-12s %-8s -> %s\n", "", "", c->cure);
}

static void write_check(struct tw_json *j, const struct tw_check *c)
{
	tw_json_open(j, NULL, '{');
	tw_json_str(j, "name", c->name);
	tw_json_str(j, "verdict", tw_verdict_name(c->verdict));
	tw_json_bool(j, "required", c->needs & TW_NEED_HOOK);
	tw_json_str(j, "fact", c->fact);
	tw_json_str(j, "cure", *c->cure ? c->cure : NULL);
	tw_json_close(j, '}');
}

static void print_json(const struct tw_check *checks, size_t n, bool ready)
{
	struct tw_json j = { .f = stdout };
	size_t i;

	tw_json_open(&j, NULL, '{');
	tw_json_bool(&j, "ready", ready);
	tw_json_open(&j, "checks", '[');
	for (i = 0; i < n; i++)
		write_check(&j, &checks[i]);
	tw_json_close(&j, ']');
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

static int run(const struct tw_args *args, struct tw_err *e)
{
	struct tw_check *checks;
	size_t n = tw_host_probe(&checks), i;
	int status = TW_OK;

	(void)e;
	/* the hook's needs decide; a missing bpffs only forbids --pin */
	for (i = 0; i < n; i++)
		if (blocks(&checks[i]) && checks[i].needs & TW_NEED_HOOK && !status)
			status = checks[i].status;
	for (i = 0; i < n && !args->json; i++)
		print_check(&checks[i]);
	if (args->json)
		print_json(checks, n, !status);
	else
		tw_printf("%s\n", status ? "this host cannot attach policies" :
				 "this host can attach policies");
	free(checks);
	return status;
}

const struct tw_verb tw_verb_probe = {
	.name = "probe",
	.synopsis = "",
	.summary = "tell what this host has, what is missing, and the cure",
	.more = "Status 0 if policies can be attached, 3 if the kernel or the CPU lacks\n"
		"something, 1 if only privilege is missing. list, probe and status need no\n"
		"patched kernel.\n",
	.run = run,
};
