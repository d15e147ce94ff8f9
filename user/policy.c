// SPDX-License-Identifier: GPL-2.0
/* twctl policy: write, build, look at and check policies; show those that there are. */
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "author.h"
#include "parse.h"
#include "twctl.h"

/* ---- new */

static const char skeleton[] =
"// SPDX-License-Identifier: GPL-2.0\n"
"/*\n"
" * %1$s - TODO: what it does\n"
" *\n"
" *	twctl policy build %1$s.bpf.c\n"
" *	twctl policy check %1$s.bpf.c\n"
" *	twctl attach --vm my-guest --policy ./%1$s.bpf.o --factor 10\n"
" */\n"
"#include \"timewarp.bpf.h\"\n"
"\n"
"TIMEWARP_SUMMARY(\"TODO: what it does, in a sentence\");\n"
"\n"
"TIMEWARP_PARAM_FACTOR(factor, 1, 1, \"guest seconds per host second\");\n"
"TIMEWARP_PARAM(__u64, period, 1000000000ULL, 1000000, 86400000000000ULL, \"ns\",\n"
"	       \"how often to decide, in guest time\");\n"
"\n"
"TIMEWARP_COUNTER(decisions, \"\", \"how often it has been asked\");\n"
"TIMEWARP_EXIT_RECORD(%1$s_exit)\n"
"\n"
"/* Say which factor is wanted from now on, and when to be asked again */\n"
"TIMEWARP_DECIDE(%1$s_decide, view, answer)\n"
"{\n"
"	decisions++;\n"
"	answer->factor_num = factor.num;\n"
"	answer->factor_den = factor.den;\n"
"	answer->next_guest_ns = view->guest_ns + period;\n"
"	return 0;\n"
"}\n"
"\n"
"TIMEWARP_OPS(%1$s, .decide = (void *)%1$s_decide, .exit = (void *)%1$s_exit);\n";

static int check_name(const char *name, struct tw_err *e)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz_";
	static const char more[] = "abcdefghijklmnopqrstuvwxyz_0123456789";
	size_t len = strlen(name);

	if (len && len < 16 && strchr(letters, *name) && strspn(name, more) == len)
		return TW_OK;
	tw_fail(e, TW_USAGE, "cannot call a policy %s", TW_QUOTE(name));
	tw_fact(e, "a name is 1 to 15 lower case letters, digits and '_', no digit first");
	return tw_cure(e, "take another");
}

static void write_event(const char *event, const char *key, const char *path)
{
	struct tw_json j = { .f = stdout };

	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "event", event);
	tw_json_str(&j, key, path);
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

static int new(const struct tw_args *args, const char *name, struct tw_err *e)
{
	char *path;
	int fd, code;
	bool ok;

	if (check_name(name, e))
		return e->status;
	path = tw_asprintf("%s" TW_SOURCE_SUFFIX, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	ok = fd >= 0 && dprintf(fd, skeleton, name) >= 0;
	code = errno;
	if (fd >= 0 && close(fd) && ok) {
		ok = false;
		code = errno;
	}
	if (!ok) {
		/* half a source is none */
		if (fd >= 0)
			unlink(path);
		tw_fail(e, TW_FAILED, "cannot write %s", path);
		tw_fact(e, "%s", strerror(code));
		tw_cure(e, code == EEXIST ? "it is left as it is; take another name" :
			"go where you may write");
	} else if (args->json) {
		write_event("written", "source", path);
	} else {
		tw_printf("wrote %s; then: twctl policy build %s\n", path, path);
	}
	free(path);
	return e->status;
}

/* ---- build */

static bool is_source(const char *file)
{
	size_t len = strlen(file), cut = strlen(TW_SOURCE_SUFFIX);

	return len > cut && !strcmp(file + len - cut, TW_SOURCE_SUFFIX);
}

/* NAME.bpf.o beside NAME.bpf.c */
static char *object_of(const char *source)
{
	char *object = tw_strdup(source);

	object[strlen(object) - 1] = 'o';
	return object;
}

static int build(const struct tw_args *args, const char *source, struct tw_err *e)
{
	struct tw_policy p = { 0 };
	char *object;
	int status;

	if (!is_source(source)) {
		tw_fail(e, TW_USAGE, "cannot build %s", TW_QUOTE(source));
		tw_fact(e, "a policy's source is called NAME" TW_SOURCE_SUFFIX);
		return tw_cure(e, "see twctl help policy");
	}
	object = args->output ? tw_strdup(args->output) : object_of(source);
	status = tw_author_build(source, object, e);
	if (!status)
		status = tw_policy_open_file(&p, object, e);
	if (!status && args->json)
		write_event("built", "object", object);
	else if (!status)
		tw_printf("built %s: policy %s, %zu parameters\n", object, p.name, p.params.n);
	tw_policy_close(&p);
	free(object);
	return status;
}

/* ---- inspect */

static const char *range_end(const struct tw_param *p, bool upper, char *buf, size_t size)
{
	const char *text = upper ? p->max : p->min;

	if (p->type == TW_PARAM_FACTOR)
		return upper ? "10000" : "1/10000";
	if (!text || p->type == TW_PARAM_BOOL)
		return "";
	return tw_param_bound(p, text, buf, size);
}

static void print_param(const struct tw_policy *p, const struct tw_param *param)
{
	char value[TW_PARAM_MAX], lo[TW_DURATION_MAX], hi[TW_DURATION_MAX];
	size_t size = 0;
	const void *data = p->data ? bpf_map__initial_value(p->data, &size) : NULL;
	const char *min = range_end(param, false, lo, sizeof(lo));

	if (data)
		tw_param_format(param, data, size, value, sizeof(value));
	else
		strcpy(value, "?");
	tw_printf("  %s=%s", param->name, value);
	if (*min)
		tw_printf("  from %s to %s", min, range_end(param, true, hi, sizeof(hi)));
	if (*param->unit && strcmp(param->unit, "ns"))
		tw_printf("  [%s]", param->unit);
	tw_printf("\n      %s\n", param->help);
}

static void print_policy(const struct tw_policy *p)
{
	size_t i;

	tw_printf("%s: %s\n", p->name, p->summary ? p->summary : "(no summary)");
	tw_printf("object %s, ops version %s\n", p->path ? p->path : p->title,
		  p->abi ? p->abi : "unknown");
	tw_printf("parameters%s\n", p->params.n ? ", with their defaults:" : ": none");
	for (i = 0; i < p->params.n; i++)
		print_param(p, &p->params.v[i]);
	if (p->counters.n)
		tw_printf("counters:\n");
	for (i = 0; i < p->counters.n; i++)
		tw_printf("  %s  %s\n", p->counters.v[i].name, p->counters.v[i].help);
	if (p->chaos)
		tw_printf("gives the guest a bad clock on purpose: attach wants --chaos\n");
	if (p->tells_done)
		tw_printf("tells when it is done: --exec and --exit-when-done work\n");
	else if (p->tells)
		tw_printf("has events, but is never done: --exec and --exit-when-done do not work\n");
}

static void write_param(struct tw_json *j, const struct tw_policy *p, const struct tw_param *param)
{
	char value[TW_PARAM_MAX], lo[TW_DURATION_MAX], hi[TW_DURATION_MAX];
	size_t size = 0;
	const void *data = p->data ? bpf_map__initial_value(p->data, &size) : NULL;
	const char *min = range_end(param, false, lo, sizeof(lo));

	tw_json_open(j, NULL, '{');
	tw_json_str(j, "name", param->name);
	tw_json_str(j, "unit", param->unit);
	tw_json_str(j, "default", data ? tw_param_plain(param, data, size, value, sizeof(value)) :
		    NULL);
	tw_json_str(j, "min", *min ? min : NULL);
	tw_json_str(j, "max", *min ? range_end(param, true, hi, sizeof(hi)) : NULL);
	tw_json_str(j, "help", param->help);
	tw_json_close(j, '}');
}

static void write_policy(const struct tw_policy *p)
{
	struct tw_json j = { .f = stdout };
	size_t i;

	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "policy", p->name);
	tw_json_str(&j, "summary", p->summary);
	tw_json_str(&j, "object", p->path ? p->path : p->title);
	tw_json_str(&j, "ops_version", p->abi);
	tw_json_bool(&j, "tells", p->tells);
	tw_json_bool(&j, "tells_done", p->tells_done);
	tw_json_bool(&j, "chaos", p->chaos);
	tw_json_open(&j, "parameters", '[');
	for (i = 0; i < p->params.n; i++)
		write_param(&j, p, &p->params.v[i]);
	tw_json_close(&j, ']');
	tw_json_open(&j, "counters", '[');
	for (i = 0; i < p->counters.n; i++) {
		tw_json_open(&j, NULL, '{');
		tw_json_str(&j, "name", p->counters.v[i].name);
		tw_json_str(&j, "unit", p->counters.v[i].unit);
		tw_json_str(&j, "help", p->counters.v[i].help);
		tw_json_close(&j, '}');
	}
	tw_json_close(&j, ']');
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

static int inspect(const struct tw_args *args, const char *file, struct tw_err *e)
{
	struct tw_policy p = { 0 };
	int status = tw_policy_open(&p, file, e);

	if (!status && args->json)
		write_policy(&p);
	else if (!status)
		print_policy(&p);
	tw_policy_close(&p);
	return status;
}

/* ---- check, run */

/* Has it done with the object of a policy, which is made for it if @file is a source */
static int with_object(const struct tw_args *args, const char *file,
		       int (*doing)(const struct tw_args *args, const char *object, struct tw_err *e), struct tw_err *e)
{
	char *dir, *object;
	int status;

	if (!is_source(file))
		return doing(args, file, e);
	dir = tw_scratch_dir();
	object = tw_asprintf("%s/policy" TW_POLICY_SUFFIX, dir);
	status = tw_author_build(file, object, e);
	if (!status)
		status = doing(args, object, e);
	tw_scratch_remove(dir);
	free(object);
	return status;
}

static int check(const struct tw_args *args, const char *file, struct tw_err *e)
{
	return with_object(args, file, tw_policy_check, e);
}

static int run_dry(const struct tw_args *args, const char *file, struct tw_err *e)
{
	return with_object(args, file, tw_policy_dry, e);
}

/* ---- list */

static void list_one(const char *name, const char *path, int fd, void *arg)
{
	const struct tw_args *args = arg;
	struct tw_json j = { .f = stdout };
	struct tw_policy p = { 0 };
	struct tw_err e = { 0 };
	bool good = !tw_policy_open_fd(&p, path, fd, &e);

	if (!args->json) {
		tw_printf("%-15s %-8s %s\n", name, "", good ? p.summary ? p.summary : "" : e.fact);
		tw_printf("%-15s %-8s   %s\n", "", "", path);
	} else {
		tw_json_open(&j, NULL, '{');
		tw_json_str(&j, "name", name);
		tw_json_str(&j, "object", path);
		tw_json_str(&j, "summary", p.summary);
		tw_json_close(&j, '}');
		tw_json_end(&j);
	}
	tw_policy_close(&p);
	tw_err_free(&e);
}

static void list_attached(const struct tw_args *args, const struct tw_vm *vm)
{
	struct tw_json j = { .f = stdout };
	struct tw_err ignored = { 0 };
	struct tw_state st;
	char title[40];

	if (vm->dir && !tw_state_read(vm->dir, &st, &ignored) && st.attached) {
		if (!args->json) {
			tw_printf("%-15s attached to %s (%s)\n", st.policy, vm->id,
				  tw_printable(title, sizeof(title), tw_vm_title(vm)));
		} else {
			tw_json_open(&j, NULL, '{');
			tw_json_str(&j, "name", st.policy);
			tw_json_str(&j, "attached_to", vm->id);
			tw_json_close(&j, '}');
			tw_json_end(&j);
		}
	}
	tw_err_free(&ignored);
}

static int list(const struct tw_args *args)
{
	struct tw_vms vms;
	size_t i;

	tw_policy_each(list_one, (void *)args);
	tw_vms_scan(&vms);
	for (i = 0; i < vms.n; i++)
		list_attached(args, &vms.v[i]);
	tw_vms_free(&vms);
	return TW_OK;
}

/* ---- */

static const struct {
	const char *name;
	int (*run)(const struct tw_args *args, const char *what, struct tw_err *e);
} commands[] = {
	{ "new", new },
	{ "build", build },
	{ "inspect", inspect },
	{ "check", check },
	{ "run", run_dry },
};

static int usage(struct tw_err *e, const char *fact)
{
	tw_fail(e, TW_USAGE, "cannot do that with policies");
	tw_fact(e, "%s", fact);
	return tw_cure(e, "twctl policy new NAME, or build, inspect, check, run with a FILE, or list");
}

static int run(const struct tw_args *args, struct tw_err *e)
{
	const char *const *word = args->operands.v;
	size_t i;

	if (!args->operands.n)
		return usage(e, "it is not told what to do");
	if (!strcmp(word[0], "list"))
		return args->operands.n == 1 ? list(args) : usage(e, "list takes no argument");
	for (i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(word[0], commands[i].name))
			return args->operands.n == 2 ? commands[i].run(args, word[1], e) :
			       usage(e, "that takes a name or a file");
	return usage(e, "it can new, build, inspect, check, run and list");
}

static const struct tw_option options[] = {
	TW_OPTION("output", 'o', TW_TEXT, output, "FILE", "with build: where to put the object",
		  "@file"),
	TW_OPTION("count", 0, TW_TEXT, count, "N", "with check: decisions to drive, " TW_CHECK_DECISIONS,
		  NULL),
	TW_OPTION("from", 0, TW_TEXT, from, "DATE", "with run: the guest's date at its beginning; without, now", NULL),
	TW_OPTION("span", 0, TW_TEXT, span, "TIME", "with run: guest time to go through, 1d without", NULL),
	TW_OPTION("busy", 0, TW_FLAG, busy, NULL, "with run: the guest's vCPUs never wait", NULL),
	TW_OPTION_FACTOR,
	TW_OPTION_PARAM,
	{ 0 },
};

const struct tw_verb tw_verb_policy = {
	.name = "policy",
	.synopsis = "new NAME | build FILE [-o FILE] | inspect POLICY |\n"
		    "                    check POLICY [--count N] | list |\n"
		    "                    run POLICY [--from DATE] [--span TIME] [NAME=VALUE]...",
	.summary = "write, build, look at and check policies",
	.more = "new      writes NAME.bpf.c, which compiles\n"
		"build    makes NAME.bpf.o of NAME.bpf.c, with clang and the flags it takes\n"
		"inspect  shows what an object says about itself; loads nothing\n"
		"check    drives its decisions through thousands of situations, and shows\n"
		"         what the kernel would clamp or eject it for (status 5); on a patched\n"
		"         host it asks the verifier, too\n"
		"list     shows what is installed, and what is attached\n"
		"run      dry, without a VM: goes through a span of guest time and shows with\n"
		"         which factors, and what host time it takes. The host is taken for one\n"
		"         that is never late, the guest for one that waits, with a timer each\n"
		"         minute and quiet devices; --busy: never\n"
		"\n"
		"check and run interpret the object. Of a source, NAME.bpf.c, they build it\n"
		"first.\n"
		"\n"
		"A POLICY is a file or a name. A name is NAME.bpf.o in $TIMEWARP_POLICY_PATH\n"
		"(directories, separated by ':'), without it in /usr/local/lib/timewarp/policies\n"
		"and /usr/lib/timewarp/policies; then in 'bpf' beside twctl. The file and all\n"
		"directories on the way to it must be root's, or twctl's owner's, and writable by\n"
		"nobody else.\n"
		"The compiler is $TIMEWARP_CLANG, else the newest clang; the headers are in\n"
		"$TIMEWARP_INCLUDE, else beside twctl. doc/policies.md is the guide.\n",
	.options = options,
	.max_operands = 2,
	.params_from = 3,
	.run = run,
};
