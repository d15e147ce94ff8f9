/* SPDX-License-Identifier: GPL-2.0 */
/* What the verbs share: the table's row, the options, and steps that several of them take. */
#ifndef TWCTL_H
#define TWCTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "json.h"
#include "policy.h"
#include "print.h"
#include "session/session.h"
#include "state.h"
#include "text.h"
#include "vm.h"

/* All that command lines can say; each verb's option rows point into it */
struct tw_args {
	const char *verb;		/* that was given, also for the verbs that it is made of */
	bool json, verbose, help;
	bool pin, ids, man, dry_run, await, done;
	bool exit_when_done, stale;
	/* Of attach, for the verbs that are made of it: the policy told that it is done; the VM went */
	bool *was_done, *was_gone;
	bool chaos, allow_backward;
	bool csv, cpu, all;
	const char *vm, *factor, *policy, *tsc, *vmm, *every, *count, *completion, *exec, *output;
	const char *duration, *vcpu, *perfetto, *action, *svg, *prometheus, *linear, *jump;
	const char *timeout, *samples, *report, *baseline, *horizon, *span, *until, *workload;
	const char *from, *date, *event, *vm_name, *image, *memory, *smp, *ssh, *grace, *age;
	bool resume, snapshot, quick, busy;
	struct tw_going *going;		/* of a guest that has not run yet: twctl run */
	struct tw_strings params;	/* --param */
	struct tw_strings vms;		/* --vm of the verbs that take several */
	struct tw_strings sources;	/* --source */
	struct tw_strings thresholds;	/* --on-threshold */
	struct tw_strings operands;	/* what is no option */
};

/*
 * A guest that attach finds stopped, before its first instruction.  It is made to stand at a date while
 * @go starts it, and lives by the policy asked for from there on.  @lost ends it if that fails: it shall
 * not live by another.  @gone says that it lives.
 */
struct tw_going {
	int (*go)(struct tw_going *g, struct tw_err *e);
	void (*gone)(struct tw_going *g);
	void (*lost)(struct tw_going *g);
};

enum tw_option_type { TW_FLAG, TW_TEXT, TW_LIST };

struct tw_option {
	const char *name;
	char letter;			/* 0 if there is only the long form */
	enum tw_option_type type;
	size_t offset;			/* in struct tw_args */
	const char *arg;		/* how help calls its argument */
	const char *help;
	const char *choices;		/* for completion: words, "@vm", "@file", or NULL */
};

#define TW_OPTION(name, letter, type, member, arg, help, choices)			\
	{ name, letter, type, offsetof(struct tw_args, member), arg, help, choices }

#define TW_OPTION_VM									\
	TW_OPTION("vm", 0, TW_TEXT, vm, "VM", "where it is no operand: PID, guest name, PID-FD or UUID", "@vm")
#define TW_OPTION_FACTOR								\
	TW_OPTION("factor", 0, TW_TEXT, factor, "F",					\
		  "guest seconds per host second: 50, 0.02, 1/3", NULL)
#define TW_OPTION_POLICY								\
	TW_OPTION("policy", 0, TW_TEXT, policy, "POLICY",				\
		  "a name, see twctl policy list, or a file; without it, 'constant'", "@file")
#define TW_OPTION_PARAM									\
	TW_OPTION("param", 0, TW_LIST, params, "NAME=VALUE",				\
		  "set a parameter of the policy; may be repeated", NULL)

#define TW_OPTION_CHAOS									\
	TW_OPTION("chaos", 0, TW_FLAG, chaos, NULL,					\
		  "take a policy that gives the guest a bad clock on purpose", NULL)

#define TW_OPTION_VMS									\
	TW_OPTION("vm", 0, TW_LIST, vms, "VM",						\
		  "one that is there: PID, guest name, PID-FD or UUID; may be repeated; without: all, those to come too", "@vm")
#define TW_OPTION_DURATION								\
	TW_OPTION("duration", 'd', TW_TEXT, duration, "TIME", "stop after it: 30s", NULL)
#define TW_OPTIONS_INTERVAL								\
	TW_OPTION("every", 0, TW_TEXT, every, "TIME",					\
		  "again and again, so far apart: 500ms, 2s; a bare number is seconds", NULL), \
	TW_OPTION("count", 0, TW_TEXT, count, "N", "stop after N times", NULL)
#define TW_OPTION_VCPU									\
	TW_OPTION("vcpu", 0, TW_TEXT, vcpu, "N", "only this vCPU", NULL)
#define TW_OPTION_SOURCE								\
	TW_OPTION("source", 0, TW_LIST, sources, "SOURCE",				\
		  "only this source of ticks; may be repeated",				\
		  "oneshot periodic deadline pit rtc irq0 stimer xen hvtimer")
#define TW_OPTION_JUMP									\
	TW_OPTION("jump", 0, TW_TEXT, jump, "TIME",					\
		  "smaller steps of a clock are drift (default 1us)", NULL)

struct tw_verb {
	const char *name;
	const char *synopsis;		/* what follows the name */
	const char *summary;		/* one line */
	const char *more;		/* paragraphs for "twctl help VERB"; or NULL */
	const struct tw_option *options; /* ends with a row without a name; or NULL */
	size_t max_operands;		/* beside the VM's */
	bool vm_operand;		/* without --vm, the first operand is the VM */
	size_t params_from;		/* of the others, from which on NAME=VALUE is as with --param; 0: none is */
	bool (*own)(const char *word);	/* unless it is one of these; NULL: there are none */
	bool screen;			/* has no -j */
	bool command;			/* operands are a command: options end where they begin */
	int (*run)(const struct tw_args *args, struct tw_err *e);
};

/* The table; ends with NULL */
extern const struct tw_verb *const tw_verbs[];

/* Options that every verb has */
extern const struct tw_option tw_common_options[];

/* Those of a verb: a screen is no JSON, which stands first */
const struct tw_option *tw_common(const struct tw_verb *v);

const struct tw_verb *tw_find_verb(const char *name);

/**
 * tw_parse_args - read a verb's command line
 * @verb: the verb
 * @argc: as main() has it, from the verb's name on
 * @argv: likewise
 * @args: result
 * @e: error
 *
 * Return: 0 or TW_USAGE
 */
int tw_parse_args(const struct tw_verb *verb, int argc, char **argv, struct tw_args *args,
		  struct tw_err *e);

/* Prints the help of a verb, or of all if NULL */
void tw_print_help(FILE *f, const struct tw_verb *verb);

/* twctl's own version */
const char *tw_version(void);

/* Prints what completes command lines of twctl in a shell: bash, fish, zsh; 0 or TW_USAGE */
int tw_print_completion(const char *shell, struct tw_err *e);

/* The VM that a command is about, with its state */
struct tw_target {
	struct tw_vms vms;
	struct tw_vm *vm;
	struct tw_state st;
	struct tw_state before;	/* as tw_target_change() found it */
	struct tw_session session;	/* its lock keeps two twctl from changing one VM at once */
};

/**
 * tw_target_find - find the VM that --vm names
 * @args: the command line
 * @doing: such as "attach to", for errors
 * @t: result, to be closed, errors included
 * @e: error
 *
 * Return: 0 or an exit status
 */
int tw_target_find(const struct tw_args *args, const char *doing, struct tw_target *t,
		   struct tw_err *e);

/* Takes the VM's lock; @doing begins with a verb; @over: it gets through, whoever holds it. And lets it go before its end */
int tw_target_lock(struct tw_target *t, const char *doing, bool over, struct tw_err *e);
void tw_target_unlock(struct tw_target *t);

/* Tells on stderr that a lock is waited for, and whose */
void tw_tell_wait(const struct tw_vm *vm, const struct tw_holder *holder);

/*
 * Refuses to warp a VM that QEMU has stopped: what is done to it is lost with its kvmclock when it goes on, and its RTC
 * is left alone with it. For all verbs; 0 or TW_REFUSED.
 */
int tw_check_runs(const struct tw_vm *vm, const char *doing, struct tw_err *e);

/* Reads its state; an error if nothing is attached. Without the lock, that may change at once */
int tw_target_attached(struct tw_target *t, const char *doing, struct tw_err *e);

/* Waits until there is each of the VMs that --vm names, and QEMU does not have it stopped; says on stderr what for; 0 or an exit status */
int tw_await_vms(const struct tw_args *args, struct tw_err *e);

void tw_target_close(struct tw_target *t);

/* Changes an attached policy: @live is open, the VM locked; 0 or an exit status */
typedef int (*tw_change_fn)(const struct tw_args *args, struct tw_target *t, struct tw_live *live,
			    struct tw_err *e);

/**
 * tw_target_change - change the policy that is attached to the VM that --vm names
 * @args: the command line
 * @doing: such as "set parameters of", for errors
 * @change: does it
 * @t: result, with the state after the change; to be closed, errors included
 * @e: error
 *
 * Return: 0 or an exit status
 */
int tw_target_change(const struct tw_args *args, const char *doing, tw_change_fn change,
		     struct tw_target *t, struct tw_err *e);

/* Tells the journal of a change of a VM's, from before to after (NULL: nothing is attached then), as the command line has it */
void tw_args_journal(const struct tw_args *args, const struct tw_vm *vm, const struct tw_state *before,
		     const struct tw_state *after);

/* "1234-9 (name)" for messages */
const char *tw_target_name(const struct tw_target *t, char *buf, size_t size);
#define TW_TARGET_NAME_MAX 80

/* Opens the policy that the options name and sets its parameters, with dates that count from there; 0 or an exit status */
int tw_args_policy(const struct tw_args *args, struct tw_epoch epoch, struct tw_policy *p, struct tw_err *e);

/* "twctl policy run": drives an object through a span of guest time, without a VM; 0 or an exit status */
int tw_policy_dry(const struct tw_args *args, const char *policy, struct tw_err *e);

/* "twctl policy check": drives an object through all sorts of situations, and asks the verifier; 0 or an exit status */
int tw_policy_check(const struct tw_args *args, const char *object, struct tw_err *e);
#define TW_CHECK_DECISIONS "20000"	/* without --count */

/* Whether twctl age can do what run's --age and the options beside it say; 0 or an exit status */
int tw_age_check(const struct tw_args *args, struct tw_err *e);

/* "--tsc WORD" as enum kvm_timewarp_tsc_mode; 0 or TW_USAGE */
int tw_args_tsc(const struct tw_args *args, unsigned int *mode, struct tw_err *e);

/* Whether it is "--factor max": policy backoff, which finds the highest that the guest bears */
bool tw_args_factor_max(const struct tw_args *args);

/* Refuses a factor that does not parse, before anything else is looked at; 0 or TW_USAGE */
int tw_args_check_factor(const struct tw_args *args, struct tw_err *e);

/* Says so on standard error if the memory of a VM's process does not answer; after what was read of it */
void tw_tell_mute(const struct tw_vm *vm);

/* Writes the keys by which all verbs name a VM in JSON */
void tw_json_vm(struct tw_json *j, const struct tw_vm *vm);

/* Writes a factor: exact, and as a decimal string */
void tw_json_factor(struct tw_json *j, const char *key, const struct timewarp_factor *f);

struct tw_clock;

/* Parameters or counters with their values, in lines under a title or as an object; and clocks, by whom they go */
void tw_print_values(const char *title, const struct tw_params *params, const void *data, size_t size);
void tw_json_values(struct tw_json *j, const char *key, const struct tw_params *params, const void *data, size_t size);
void tw_print_clocks(const struct tw_clock *c, size_t n);
void tw_json_clocks(struct tw_json *j, const struct tw_clock *c, size_t n);

struct tw_tracer;
struct tw_tracer_opts;
struct tw_shares;

/* Writes where the vCPUs' time went, as "cpu": run, steal, halt and other are together span_ns */
void tw_json_shares(struct tw_json *j, const struct tw_shares *s);

/* What trace, hist, stat and top have in common: --vm, --vcpu, --source, --jump; 0 or TW_USAGE */
int tw_args_tracer(const struct tw_args *args, const char *doing, struct tw_tracer_opts *o,
		   struct tw_err *e);

/* An argument that is a whole number above zero; *n is left alone where there is none; 0 or TW_USAGE */
int tw_args_count(const char *doing, const char *option, const char *text, uint64_t *n,
		  struct tw_err *e);

/*
 * An argument that is a time above zero, with its unit, or a bare number of seconds; 0 where there is none;
 * 0 or TW_USAGE
 */
int tw_args_duration(const char *doing, const char *option, const char *text, uint64_t *ns,
		     struct tw_err *e);

/*
 * vmstat's operands, INTERVAL and COUNT: a bare number is seconds; without them, a second, for ever;
 * 0 or TW_USAGE
 */
int tw_args_interval(const struct tw_args *args, const char *verb, uint64_t *every,
		     uint64_t *times, struct tw_err *e);

/* Whether a word is a time as tw_args_interval() takes it, and so no VM's name */
bool tw_is_interval(const char *word);

/* From here on SIGINT and SIGTERM only set tw_stop */
void tw_catch_stop(void);

/**
 * tw_signal_fd - block the signals that end a command, to be read
 * @doing: what cannot be done without, for the error
 * @sig: one more of them
 * @flags: of signalfd(2), beside SFD_CLOEXEC
 * @e: error
 *
 * SIGINT, SIGTERM, and SIGHUP unless that is ignored.
 *
 * Return: a descriptor, or -1
 */
int tw_signal_fd(const char *doing, int sig, int flags, struct tw_err *e);

/* Whether a signal is meant for us, by its si_code: Ctrl-C on a script is not, for what that has in the background */
bool tw_signal_counts(int sig, int code);

/* Whether one has come that is */
bool tw_signal_read(int fd);
extern volatile int tw_stop;

/* Sleeps until CLOCK_MONOTONIC is there, or tw_stop */
void tw_sleep_until(uint64_t ns);
uint64_t tw_now_ns(void);

/* What a verb does while the tracer runs: 0 or an exit status */
typedef int (*tw_watch_fn)(struct tw_tracer *t, void *arg, struct tw_err *e);

/**
 * tw_watch - run the tracer for as long as a verb looks
 * @opts: of the tracer
 * @watch: looks; what has begun was said on stderr, with what this kernel gave no place for
 * @arg: for @watch
 * @e: error
 *
 * From here on SIGINT and SIGTERM only set tw_stop.
 *
 * Return: 0 or an exit status
 */
int tw_watch(const struct tw_tracer_opts *opts, tw_watch_fn watch, void *arg, struct tw_err *e);

/* For those that run a tracer themselves */
void tw_tell_start(const struct tw_tracer *t);

/* The last words: VMs that have gone, and how much was lost; 0, or TW_NO_VM with the error filled */
int tw_tell_end(const struct tw_tracer *t, bool all_gone, struct tw_err *e);

#endif /* TWCTL_H */
