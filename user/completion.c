// SPDX-License-Identifier: GPL-2.0
/* Completion for shells, out of the table of verbs. */
#include <stdio.h>
#include <string.h>

#include "twctl.h"

/* What may follow "twctl policy"; its own parser is in policy.c */
#define POLICY_VERBS "new build inspect check list"
/* Names of policies, a line each */
#define POLICY_NAMES								\
	"twctl policy list -j 2>/dev/null | sed -n 's/.*\"name\":\"\\([^\"]*\\)\",\"object\".*/\\1/p'"

static bool takes_policy(const struct tw_option *o)
{
	return o->choices && !strcmp(o->choices, "@file") && !strcmp(o->name, "policy");
}

/* ---- bash */

static void bash_option_names(const struct tw_option *o)
{
	for (; o && o->name; o++)
		printf(" --%s", o->name);
}

static void bash_choices(const struct tw_verb *v)
{
	const struct tw_option *o;

	for (o = v->options; o && o->name; o++) {
		if (!o->choices)
			continue;
		printf("\t%s:--%s) ", v->name, o->name);
		/* names of policies, and files */
		if (takes_policy(o))
			puts("COMPREPLY=($(compgen -W \"$(" POLICY_NAMES ")\" -- \"$cur\")"
			     " $(compgen -f -- \"$cur\")); return ;;");
		else if (!strcmp(o->choices, "@vm"))
			puts("words=$(twctl list --ids 2>/dev/null) ;;");
		else if (!strcmp(o->choices, "@file"))
			puts("COMPREPLY=($(compgen -f -- \"$cur\")); return ;;");
		else
			printf("words=\"%s\" ;;\n", o->choices);
	}
}

static void bash_verb(const struct tw_verb *v)
{
	bash_choices(v);
	if (!strcmp(v->name, "policy")) {
		puts("\tpolicy:policy) words=\"" POLICY_VERBS "\" ;;");
		puts("\tpolicy:build|policy:check|policy:inspect) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;");
	} else if (!strcmp(v->name, "help")) {
		puts("\thelp:help) words=\"$verbs\" ;;");
	} else if (v->vm_operand) {
		printf("\t%s:%s) words=\"$(twctl list --ids 2>/dev/null)", v->name, v->name);
		bash_option_names(v->options);
		puts("\" ;;");
	}
	printf("\t%s:*) words=\"", v->name);
	bash_option_names(v->options);
	bash_option_names(tw_common(v));
	puts("\" ;;");
}

static void print_bash(void)
{
	const struct tw_verb *const *v;

	puts("# bash completion for twctl; made by: twctl help --completion bash\n"
	     "_twctl() {\n"
	     "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=\n"
	     "\tlocal verb=${COMP_WORDS[1]}");
	fputs("\tlocal verbs=\"", stdout);
	for (v = tw_verbs; *v; v++)
		printf("%s%s", v == tw_verbs ? "" : " ", (*v)->name);
	puts("\"\n"
	     "\t# options of all verbs may stand before the verb\n"
	     "\tlocal at=1\n"
	     "\twhile [ \"$at\" -lt \"$COMP_CWORD\" ] && [ \"${COMP_WORDS[at]#-}\" != \"${COMP_WORDS[at]}\" ]; do\n"
	     "\t\tat=$((at + 1))\n"
	     "\tdone\n"
	     "\tverb=${COMP_WORDS[at]}\n"
	     "\tif [ \"$COMP_CWORD\" -eq \"$at\" ]; then\n"
	     "\t\tCOMPREPLY=($(compgen -W \"$verbs\" -- \"$cur\"))\n"
	     "\t\treturn\n"
	     "\tfi\n"
	     "\tcase $verb:$prev in");
	for (v = tw_verbs; *v; v++)
		bash_verb(*v);
	puts("\tesac\n"
	     "\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	     "}\n"
	     "complete -F _twctl twctl");
}

/* ---- fish */

/* Text in single quotes */
static void fish_quoted(const char *text)
{
	putchar('\'');
	for (; *text; text++) {
		if (*text == '\'' || *text == '\\')
			putchar('\\');
		putchar(*text);
	}
	putchar('\'');
}

static void fish_option(const struct tw_verb *v, const struct tw_option *o)
{
	printf("complete -c twctl -n '__fish_seen_subcommand_from %s' -l %s", v->name, o->name);
	if (o->letter)
		printf(" -s %c", o->letter);
	if (takes_policy(o))
		printf(" -r -F -a '(__twctl_policies)'");
	else if (o->choices && !strcmp(o->choices, "@vm"))
		printf(" -x -a '(__twctl_vms)'");
	else if (o->choices && !strcmp(o->choices, "@file"))
		printf(" -r -F");
	else if (o->choices)
		printf(" -x -a '%s'", o->choices);
	else if (o->type != TW_FLAG)
		printf(" -x");
	printf(" -d ");
	fish_quoted(o->help);
	putchar('\n');
}

static void fish_verb(const struct tw_verb *v)
{
	const struct tw_option *o;

	printf("complete -c twctl -n __fish_use_subcommand -a %s -d ", v->name);
	fish_quoted(v->summary);
	putchar('\n');
	if (!strcmp(v->name, "policy")) {
		puts("complete -c twctl -n '__fish_seen_subcommand_from policy; and not __fish_seen_subcommand_from "
		     POLICY_VERBS "' -a '" POLICY_VERBS "'\n"
		     "complete -c twctl -n '__fish_seen_subcommand_from build inspect check' -F");
	} else if (!strcmp(v->name, "help")) {
		puts("complete -c twctl -n '__fish_seen_subcommand_from help' -a \"$__twctl_verbs\"");
	} else if (v->vm_operand) {
		printf("complete -c twctl -n '__fish_seen_subcommand_from %s' -a '(__twctl_vms)'\n", v->name);
	}
	for (o = v->options; o && o->name; o++)
		fish_option(v, o);
	for (o = tw_common(v); o->name; o++)
		fish_option(v, o);
}

static void print_fish(void)
{
	const struct tw_verb *const *v;

	puts("# fish completion for twctl; made by: twctl help --completion fish\n"
	     "function __twctl_vms\n\ttwctl list --ids 2>/dev/null | string split -n ' '\nend\n"
	     "function __twctl_policies\n\t" POLICY_NAMES "\nend\n"
	     "complete -c twctl -f");
	printf("set -g __twctl_verbs");
	for (v = tw_verbs; *v; v++)
		printf(" %s", (*v)->name);
	putchar('\n');
	for (v = tw_verbs; *v; v++)
		fish_verb(*v);
}

/* ---- zsh */

/* Text within the single quotes and brackets of an argument of _arguments */
static void zsh_text(const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\'", stdout);
		else if (strchr("[]:\\", *text))
			putchar('\\');
		putchar(*text);
	}
}

static void zsh_option(const struct tw_option *o)
{
	bool list = o->type == TW_LIST, arg = o->type != TW_FLAG;

	fputs(" \\\n\t\t'", stdout);
	if (list)
		putchar('*');
	if (o->letter && !list)
		printf("(-%c --%s)", o->letter, o->name);
	if (o->letter)
		printf("'{-%c%s,--%s%s}'[", o->letter, arg ? "+" : "", o->name, arg ? "=" : "");
	else
		printf("--%s%s[", o->name, arg ? "=" : "");
	zsh_text(o->help);
	putchar(']');
	if (arg) {
		putchar(':');
		zsh_text(o->arg);
		putchar(':');
		if (takes_policy(o))
			fputs("_twctl_policies", stdout);
		else if (o->choices && !strcmp(o->choices, "@vm"))
			fputs("_twctl_vms", stdout);
		else if (o->choices && !strcmp(o->choices, "@file"))
			fputs("_files", stdout);
		else if (o->choices)
			printf("(%s)", o->choices);
		else
			putchar(' ');
	}
	putchar('\'');
}

static void zsh_verb(const struct tw_verb *v)
{
	const struct tw_option *o;

	printf("\t%s)\n\t\t_arguments -s", v->name);
	for (o = v->options; o && o->name; o++)
		zsh_option(o);
	for (o = tw_common(v); o->name; o++)
		zsh_option(o);
	if (!strcmp(v->name, "policy"))
		puts(" \\\n\t\t'1:what:(" POLICY_VERBS ")' '*:file:_files' ;;");
	else if (!strcmp(v->name, "help"))
		puts(" \\\n\t\t'1:verb:_twctl_verbs' ;;");
	else if (v->command)
		puts(" \\\n\t\t'*::command:_normal' ;;");
	else if (v->vm_operand)
		puts(" \\\n\t\t'*:VM:_twctl_vms' ;;");
	else
		puts(" ;;");
}

static void print_zsh(void)
{
	const struct tw_verb *const *v;

	puts("#compdef twctl\n"
	     "# zsh completion for twctl; made by: twctl help --completion zsh\n"
	     "_twctl_vms() {\n\tlocal -a vms\n\tvms=(${=$(twctl list --ids 2>/dev/null)})\n\tcompadd -a vms\n}\n"
	     "_twctl_policies() {\n\tlocal -a names\n\tnames=(${(f)\"$(" POLICY_NAMES ")\"})\n"
	     "\tcompadd -a names\n\t_files\n}\n"
	     "_twctl_verbs() {\n\tlocal -a verbs\n\tverbs=(");
	for (v = tw_verbs; *v; v++) {
		printf("\t\t'%s:", (*v)->name);
		zsh_text((*v)->summary);
		puts("'");
	}
	puts("\t)\n\t_describe verb verbs\n}\n"
	     "_twctl() {\n"
	     "\tif (( CURRENT == 2 )); then\n\t\t_twctl_verbs\n\t\treturn\n\tfi\n"
	     "\tshift words\n\t(( CURRENT-- ))\n"
	     "\tcase $words[1] in");
	for (v = tw_verbs; *v; v++)
		zsh_verb(*v);
	puts("\tesac\n}\n"
	     /* As a file of $fpath it is the function's body; or it is read by source */
	     "if [ \"$funcstack[1]\" = _twctl ]; then _twctl \"$@\"; else compdef _twctl twctl; fi");
}

int tw_print_completion(const char *shell, struct tw_err *e)
{
	if (!strcmp(shell, "bash")) {
		print_bash();
	} else if (!strcmp(shell, "fish")) {
		print_fish();
	} else if (!strcmp(shell, "zsh")) {
		print_zsh();
	} else {
		tw_fail(e, TW_USAGE, "cannot complete for %s", TW_QUOTE(shell));
		tw_fact(e, "only bash, fish and zsh are known");
		return tw_cure(e, "use twctl help --completion bash");
	}
	return TW_OK;
}
