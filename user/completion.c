// SPDX-License-Identifier: GPL-2.0
/* Completion for shells, out of the table of verbs. */
#include <stdio.h>
#include <string.h>

#include "twctl.h"

/* What may follow "twctl policy"; its own parser is in policy.c */
#define POLICY_VERBS "new build inspect check run list"
/* Names of policies, a line each */
#define POLICY_NAMES								\
	"twctl policy list -j 2>/dev/null | sed -n 's/.*\"name\":\"\\([^\"]*\\)\",\"object\".*/\\1/p'"

/*
 * VMs, a line each. Names are what their owners choose, and shells expand what they complete: only those of plain letters,
 * and none of digits alone, which is a PID
 */
#define VM_NAMES								\
	"twctl list -j 2>/dev/null | grep -o '\"pid\":[0-9]*,\"name\":\"[A-Za-z][A-Za-z0-9._+-]*\"' | cut -d'\"' -f6; "	\
	"twctl list --ids 2>/dev/null"
/* Parameters "NAME=", a line each: of the policy or the VM that a shell's variable names */
#define EACH_NAME "cut -d'\"' -f2 | sed 's/$/=/'"
#define POLICY_PARAMS(policy)							\
	"twctl policy inspect " policy " -j 2>/dev/null | sed 's/,\"counters\":.*//; s/.*\"parameters\"://' | "	\
	"grep -o '\"name\":\"[A-Za-z_0-9]*\"' | cut -d: -f2 | " EACH_NAME
#define VM_PARAMS(vm)								\
	"twctl status --vm " vm " -j 2>/dev/null | sed -n 's/,\"counters\":.*//; s/.*\"parameters\":{//p' | "	\
	"grep -o '\"[A-Za-z_0-9]*\":\"' | " EACH_NAME

static bool takes_param(const struct tw_option *o)
{
	return !strcmp(o->name, "param");
}

/* Its operands behind the VM are parameters */
static bool sets_params(const struct tw_verb *v)
{
	return !strcmp(v->name, "set");
}

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
		if (!o->choices && !takes_param(o))
			continue;
		printf("\t%s:--%s) ", v->name, o->name);
		if (takes_param(o)) {
			puts("words=$(_twctl_params \"$policy\"); compopt -o nospace 2>/dev/null ;;");
			continue;
		}
		/* names of policies, and files */
		if (takes_policy(o))
			puts("COMPREPLY=($(compgen -W \"$(" POLICY_NAMES ")\" -- \"$cur\")"
			     " $(compgen -f -- \"$cur\")); return ;;");
		else if (!strcmp(o->choices, "@vm"))
			puts("words=$(_twctl_vms) ;;");
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
		puts("\tpolicy:build|policy:check) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;");
		puts("\tpolicy:run|policy:inspect) COMPREPLY=($(compgen -W \"$(" POLICY_NAMES ")\" -- \"$cur\")"
		     " $(compgen -f -- \"$cur\")); return ;;");
	} else if (!strcmp(v->name, "help")) {
		puts("\thelp:help) words=\"$verbs\" ;;");
	} else if (v->vm_operand) {
		printf("\t%s:%s) words=\"$(_twctl_vms)", v->name, v->name);
		bash_option_names(v->options);
		puts("\" ;;");
	}
	printf("\t%s:*) words=\"", v->name);
	bash_option_names(v->options);
	bash_option_names(tw_common(v));
	if (v->vm_operand && v->params_from)
		printf("\"\n\t\tcase $cur in -*) ;; *) words=$(%s); compopt -o nospace 2>/dev/null ;; esac ;;\n",
		       sets_params(v) ? "_twctl_vm_params \"${vm:-${COMP_WORDS[at+1]}}\"" : "_twctl_params \"$policy\"");
	else
		puts("\" ;;");
}

static void print_bash(void)
{
	const struct tw_verb *const *v;

	puts("# bash completion for twctl; made by: twctl help --completion bash\n"
	     "_twctl_vms() { " VM_NAMES "; }\n"
	     "_twctl_params() { " POLICY_PARAMS("\"$1\"") "; }\n"
	     "_twctl_vm_params() { " VM_PARAMS("\"$1\"") "; }\n"
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
	     "\tlocal policy=constant vm= i\n"
	     "\tfor ((i = at + 1; i < COMP_CWORD; i++)); do\n"
	     "\t\tcase ${COMP_WORDS[i]} in\n"
	     "\t\t--policy) policy=${COMP_WORDS[i+1]} ;;\n"
	     "\t\t--vm) vm=${COMP_WORDS[i+1]} ;;\n"
	     "\t\tesac\n"
	     "\tdone\n"
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
	else if (takes_param(o))
		printf(" -x -a '(__twctl_params)'");
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
		     "complete -c twctl -n '__fish_seen_subcommand_from build inspect check run' -F");
	} else if (!strcmp(v->name, "help")) {
		puts("complete -c twctl -n '__fish_seen_subcommand_from help' -a \"$__twctl_verbs\"");
	} else if (v->vm_operand) {
		printf("complete -c twctl -n '__fish_seen_subcommand_from %s' -a '(%s)'\n", v->name,
		       sets_params(v) ? "__twctl_set" : "__twctl_vms");
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
	     "function __twctl_vms\n\t" VM_NAMES "\nend\n"
	     /* the word behind another one on the line; else the default */
	     "function __twctl_behind\n\tset -l words (commandline -opc)\n\tset -l i (contains -i -- $argv[1] $words)\n"
	     "\tand test (count $words) -gt $i\n\tand echo $words[(math $i + 1)]\n\tor echo $argv[2]\nend\n"
	     "function __twctl_params\n\tset -l policy (__twctl_behind --policy constant)\n\t" POLICY_PARAMS("$policy") "\nend\n"
	     "function __twctl_set\n\tset -l vm (__twctl_behind --vm (__twctl_behind set ''))\n"
	     "\tif test -z \"$vm\"\n\t\t__twctl_vms\n\telse\n\t\t" VM_PARAMS("$vm") "\n\tend\nend\n"
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
		else if (takes_param(o))
			fputs("_twctl_params", stdout);
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
		puts(sets_params(v) ? " \\\n\t\t'1:VM:_twctl_vms' '*:parameter:_twctl_vm_params' ;;" :
				      " \\\n\t\t'*:VM:_twctl_vms' ;;");
	else
		puts(" ;;");
}

static void print_zsh(void)
{
	const struct tw_verb *const *v;

	puts("#compdef twctl\n"
	     "# zsh completion for twctl; made by: twctl help --completion zsh\n"
	     "_twctl_vms() {\n\tlocal -a vms\n\tvms=(${(f)\"$(" VM_NAMES ")\"})\n\tcompadd -a vms\n}\n"
	     "_twctl_params() {\n\tlocal policy=constant i=${words[(I)--policy]}\n\tlocal -a names\n"
	     "\t(( i )) && policy=$words[i+1]\n\tnames=(${(f)\"$(" POLICY_PARAMS("$policy") ")\"})\n"
	     "\tcompadd -S '' -a names\n}\n"
	     "_twctl_vm_params() {\n\tlocal vm=$words[2] i=${words[(I)--vm]}\n\tlocal -a names\n"
	     "\t(( i )) && vm=$words[i+1]\n\tnames=(${(f)\"$(" VM_PARAMS("$vm") ")\"})\n"
	     "\tcompadd -S '' -a names\n}\n"
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
