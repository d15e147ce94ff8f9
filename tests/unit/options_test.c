// SPDX-License-Identifier: GPL-2.0
/* Command lines: what is written two ways means the same. */
#include "tap.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "twctl.h"

static const struct tw_verb *verb(const char *name)
{
	const struct tw_verb *const *v;

	for (v = tw_verbs; *v; v++)
		if (!strcmp((*v)->name, name))
			return *v;
	fail();
	return NULL;
}

static void release(struct tw_args *args)
{
	free(args->params.v);
	free(args->operands.v);
	free(args->vms.v);
	free(args->thresholds.v);
}

/* The words of a command line behind twctl */
static int parse(struct tw_args *args, const char *line, struct tw_err *e)
{
	static char text[8][256];
	static char *argv[8][16];
	static unsigned int nr;
	char *copy = text[nr % 8], **v = argv[nr++ % 8], *word;
	int n = 0;

	snprintf(copy, sizeof(text[0]), "%s", line);
	for (word = strtok(copy, " "); word; word = strtok(NULL, " "))
		v[n++] = word;
	v[n] = NULL;
	memset(args, 0, sizeof(*args));
	memset(e, 0, sizeof(*e));
	optind = 0;
	return tw_parse_args(verb(v[0]), n, v, args, e);
}

/* The parameters that a command line gives, each followed by ';', and the words that are left */
static const char *params_of(const char *line)
{
	static char text[256];
	struct tw_args args;
	struct tw_err e;
	size_t i;

	assert_int_equal(parse(&args, line, &e), TW_OK);
	for (*text = 0, i = 0; i < args.params.n; i++)
		strcat(strcat(text, args.params.v[i]), ";");
	for (i = 0; i < args.operands.n; i++)
		strcat(strcat(text, " "), args.operands.v[i]);
	release(&args);
	return text;
}

static void a_parameter_is_given_as_operand_or_option(void **state)
{
	struct tw_args args;
	struct tw_err e;

	(void)state;
	assert_string_equal(params_of("attach web --policy until --param until=30d --param factor=2"), "until=30d;factor=2;");
	assert_string_equal(params_of("attach web --policy until until=30d factor=2"), "until=30d;factor=2;");
	assert_string_equal(params_of("attach --vm web --vm db factor=2"), "factor=2;");
	assert_string_equal(params_of("swap web --policy until until=30d --param factor=2"), "factor=2;until=30d;");
	assert_string_equal(params_of("set web until=30d"), "until=30d;");
	assert_string_equal(params_of("set web --param until=30d factor=2"), "until=30d;factor=2;");
	/* the first word is the VM, whatever it looks like */
	assert_string_equal(params_of("set a=b c=d"), "c=d;");
	/* what is none is told by whoever takes it */
	assert_string_equal(params_of("set web until"), " until");
	assert_int_equal(parse(&args, "attach web until", &e), TW_USAGE);
	assert_string_equal(e.fact, "'until' is one word too many");
	release(&args);
	tw_err_free(&e);
	/* and where no policy is named, it is a word like others */
	assert_int_equal(parse(&args, "detach web a=b", &e), TW_USAGE);
	release(&args);
	tw_err_free(&e);
	assert_string_equal(params_of("policy build a=b.bpf.c"), " build a=b.bpf.c");
	assert_string_equal(params_of("policy run until until=30d"), "until=30d; run until");
}

static void a_command_is_given_by_exec(void **state)
{
	struct tw_args args;
	struct tw_err e;

	(void)state;
	assert_int_equal(parse(&args, "attach web --factor 2 --exec reboot", &e), TW_OK);
	assert_string_equal(args.exec, "reboot");
	release(&args);
	assert_int_equal(parse(&args, "trace web --on-threshold lost --exec reboot", &e), TW_OK);
	assert_string_equal(args.exec, "reboot");
	release(&args);
	assert_int_equal(parse(&args, "trace web --on-threshold lost --exec reboot --action stop", &e), TW_OK);
	assert_int_equal(verb("trace")->run(&args, &e), TW_USAGE);
	assert_string_equal(e.fact, "--exec is an action, and --action names one, too");
	release(&args);
	tw_err_free(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_parameter_is_given_as_operand_or_option),
		cmocka_unit_test(a_command_is_given_by_exec),
	};

	return RUN_TAP(tests);
}
