// SPDX-License-Identifier: GPL-2.0
/* twctl help: help and manual pages, out of the table of verbs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "examples.h"
#include "twctl.h"

/* When the manual pages last changed in what they say */
#define MAN_DATE "2026-11-29"

static const char words[] =
	"A VM is named by PID, guest name, PID-FD or UUID: twctl list shows them. It\n"
	"is a verb's first operand, or given with --vm.\n"
	"A factor is guest seconds per host second: 50, 0.02, 1/3.\n";
static const char statuses[] =
	"0 done, 1 failed, 2 usage, 3 kernel or CPU lacks it, 4 no such VM\n"
	"or ambiguous, 5 policy refused, 6 policy ejected, 10 a threshold was hit.\n";

static void print_options(FILE *f, const struct tw_option *o)
{
	const char *help;
	char left[40];

	for (; o && o->name; o++) {
		snprintf(left, sizeof(left), "%s%c%s--%s%s%s", o->letter ? "-" : "",
			 o->letter ? o->letter : ' ', o->letter ? ", " : "   ", o->name,
			 o->arg ? " " : "", o->arg ? o->arg : "");
		fprintf(f, "  %-24s ", left + !o->letter);
		for (help = o->help; strlen(help) > 53; help += strlen(help) > 0) {
			const char *cut = help + 53;

			while (cut > help && *cut != ' ')
				cut--;
			fprintf(f, "%.*s\n%27s", (int)(cut - help), help, "");
			help = cut;
		}
		fprintf(f, "%s\n", help);
	}
}

const struct tw_option *tw_common(const struct tw_verb *v)
{
	return tw_common_options + v->screen;
}

static void print_verb(FILE *f, const struct tw_verb *v)
{
	fprintf(f, "twctl %s - %s\n\nusage: twctl %s%s%s\n", v->name, v->summary, v->name,
		*v->synopsis ? " " : "", v->synopsis);
	if (v->more)
		fprintf(f, "\n%s", v->more);
	fputs("\noptions:\n", f);
	print_options(f, v->options);
	print_options(f, tw_common(v));
}

static void print_all(FILE *f)
{
	const struct tw_verb *const *v;

	fputs("twctl - give a virtual machine a time of its own\n\n"
	      "usage: twctl VERB [OPTION]...\n\n", f);
	for (v = tw_verbs; *v; v++)
		fprintf(f, "  %-8s %s\n", (*v)->name, (*v)->summary);
	fprintf(f, "\nEach verb: -h for its help, and -j for JSON, but for top.\n%s\nExit status: %s", words, statuses);
}

void tw_print_help(FILE *f, const struct tw_verb *verb)
{
	if (verb)
		print_verb(f, verb);
	else
		print_all(f);
}

static void man_words(const char *text)
{
	for (; *text; text++) {
		if (*text == '\\' || *text == '-')
			putchar('\\');
		putchar(*text == '\\' ? 'e' : *text);
		/* What man would take for a request */
		if (*text == '\n' && (text[1] == '.' || text[1] == '\''))
			fputs("\\&", stdout);
	}
}

/* Paragraphs; a line that begins with a space is shown as it stands. */
static void man_text(const char *text)
{
	bool shown = false, apart = false, first = true;
	char *line, *rest = tw_strdup(text), *all = rest;

	for (; (line = strsep(&rest, "\n")); first = false) {
		if (!*line) {
			apart = true;
			continue;
		}
		if ((*line == ' ') != shown) {
			fputs(shown ? ".fi\n" : "", stdout);
			fputs(first ? "" : ".PP\n", stdout);
			fputs(shown ? "" : ".nf\n", stdout);
			shown = !shown;
		} else if (apart) {
			puts(".PP");
		}
		apart = false;
		if (*line == '.' || *line == '\'')
			fputs("\\&", stdout);
		man_words(line);
		putchar('\n');
	}
	if (shown)
		puts(".fi");
	free(all);
}

static void man_options(const struct tw_option *o)
{
	for (; o && o->name; o++) {
		puts(".TP");
		if (o->letter)
			printf(".BR \\-%c \", \"\\c\n", o->letter);
		printf(o->arg ? ".BI \\-\\-" : ".B \\-\\-");
		man_words(o->name);
		if (o->arg) {
			fputs(" \" ", stdout);
			man_words(o->arg);
			putchar('"');
		}
		putchar('\n');
		man_text(o->help);
	}
}

static void man_verb(const struct tw_verb *v)
{
	printf(".SS twctl %s\n", v->name);
	man_text(v->summary);
	printf(".PP\n.nf\ntwctl %s ", v->name);
	man_words(v->synopsis);
	puts("\n.fi");
	if (v->more) {
		puts(".PP");
		man_text(v->more);
	}
	man_options(v->options);
}

/* A page of its own: twctl-VERB.8 */
static int print_man_of(const struct tw_verb *v)
{
	const char *text = tw_examples(v->name);

	printf(".TH TWCTL\\-%s 8 " MAN_DATE " timewarp \"System Administration\"\n", v->name);
	printf(".SH NAME\ntwctl\\-%s \\- ", v->name);
	man_words(v->summary);
	printf("\n.SH SYNOPSIS\n.nf\ntwctl %s ", v->name);
	man_words(v->synopsis);
	puts("\n.fi\n.SH DESCRIPTION");
	man_text(v->more ? v->more : v->summary);
	puts(".SH OPTIONS");
	man_options(v->options);
	man_options(tw_common(v));
	if (text) {
		puts(".SH EXAMPLES");
		man_text(text);
	}
	puts(".SH EXIT STATUS");
	man_text(statuses);
	puts(".SH SEE ALSO\n.BR twctl (8)");
	return TW_OK;
}

static int print_man(void)
{
	const struct tw_verb *const *v;

	puts(".TH TWCTL 8 " MAN_DATE " timewarp \"System Administration\"");
	puts(".SH NAME\ntwctl \\- give a virtual machine a time of its own\n"
	     ".SH SYNOPSIS\n.B twctl\n.I VERB\n.RI [ OPTION ]...\n.SH DESCRIPTION\n"
	     "Lets an unmodified guest of KVM live faster or slower than its host, and tells what happens\n"
	     "to its clocks and timer interrupts.  All of the guest's clocks follow one timeline, which a\n"
	     "policy, a BPF program, decides while the guest runs.\n.PP");
	man_text(words);
	puts(".SH VERBS");
	for (v = tw_verbs; *v; v++)
		man_verb(*v);
	puts(".SH COMMON OPTIONS");
	man_options(tw_common_options);
	puts(".SH EXIT STATUS");
	man_text(statuses);
	puts(".SH ENVIRONMENT\n.TP\n.B TIMEWARP_POLICY_PATH\ndirectories of policies, separated by colons\n"
	     ".TP\n.B TIMEWARP_INCLUDE\nwhere timewarp.bpf.h is, for\n.B twctl policy build\n"
	     ".TP\n.B NO_COLOR\nno colours on a terminal\n"
	     ".SH FILES\n.TP\n.I /sys/fs/bpf/timewarp\nwhat is pinned, a directory a VM\n"
	     ".TP\n.I /run/timewarp\nlocks, one a VM, keepers, and what status saw last\n"
	     ".TP\n.I /sys/kernel/debug/kvm/PID\\-FD/timewarp\nhow the time of a VM stands\n"
	     ".TP\n.I /usr/local/lib/timewarp/policies\nwhere policies are installed\n"
	     ".SH SEE ALSO\n.BR bpftrace (8),\n.BR perf\\-kvm (1),\n.BR virsh (1)");
	return TW_OK;
}

static void write_options(struct tw_json *j, const struct tw_option *o)
{
	for (; o && o->name; o++) {
		tw_json_open(j, NULL, '{');
		tw_json_str(j, "name", o->name);
		tw_json_str(j, "argument", o->arg);
		tw_json_str(j, "help", o->help);
		tw_json_close(j, '}');
	}
}

static void print_json(const struct tw_verb *only)
{
	struct tw_json j = { .f = stdout };
	const struct tw_verb *const *v;

	tw_json_open(&j, NULL, '{');
	tw_json_open(&j, "verbs", '[');
	for (v = tw_verbs; *v; v++) {
		if (only && *v != only)
			continue;
		tw_json_open(&j, NULL, '{');
		tw_json_str(&j, "name", (*v)->name);
		tw_json_str(&j, "synopsis", (*v)->synopsis);
		tw_json_str(&j, "summary", (*v)->summary);
		tw_json_open(&j, "options", '[');
		write_options(&j, (*v)->options);
		write_options(&j, tw_common(*v));
		tw_json_close(&j, ']');
		tw_json_close(&j, '}');
	}
	tw_json_close(&j, ']');
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

static int run(const struct tw_args *args, struct tw_err *e)
{
	const char *name = args->operands.n ? args->operands.v[0] : NULL;
	const struct tw_verb *verb = name ? tw_find_verb(name) : NULL;

	if (name && !verb) {
		tw_fail(e, TW_USAGE, "cannot help with %s", TW_QUOTE(name));
		tw_fact(e, "there is no such verb");
		return tw_cure(e, "see twctl help");
	}
	if (args->completion)
		return tw_print_completion(args->completion, e);
	if (args->man)
		return verb ? print_man_of(verb) : print_man();
	if (args->json)
		print_json(verb);
	else
		tw_print_help(stdout, verb);
	return TW_OK;
}

static const struct tw_option options[] = {
	TW_OPTION("completion", 0, TW_TEXT, completion, "SHELL",
		  "print completion for a shell: bash, fish, zsh", "bash fish zsh"),
	TW_OPTION("man", 0, TW_FLAG, man, NULL, "print the manual page, for man -l", NULL),
	{ 0 },
};

const struct tw_verb tw_verb_help = {
	.name = "help",
	.synopsis = "[VERB] [--completion SHELL | --man]",
	.summary = "show help",
	.options = options,
	.max_operands = 1,
	.run = run,
};
