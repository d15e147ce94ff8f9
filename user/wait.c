// SPDX-License-Identifier: GPL-2.0
/* twctl wait: until a moment of an attachment, or its end. Nothing is held meanwhile that would keep it alive. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attached.h"
#include "proc.h"
#include "qemu/date.h"
#include "readiness.h"
#include "twctl.h"
#include "when.h"

/* So often it is looked, and sooner where the moment is nearer */
#define LOOK_NS 200000000ULL
#define LEAST_NS 1000000ULL

struct waiting {
	const struct tw_args *args;
	struct tw_target t;
	struct tw_state st;		/* as last seen */
	unsigned int link_id;		/* of the attachment */
	struct tw_live live;		/* its policy, if that was reached */
	bool reached;
	bool hears;			/* an event is waited for */
	unsigned int kind;		/* of it, below TW_EVENT_KINDS */
	bool listens;			/* by what was told before */
	uint32_t told;			/* how often, by then */
	unsigned int number;		/* of the event that came */
	bool on_host;
	uint64_t at_ns;			/* on the host's scale or the guest's */
	int64_t ahead_ns;		/* of its dates */
	uint64_t end_ns;		/* of the patience */
};

enum outcome { NOT_YET, REACHED, ENDED, GONE };

static int usage(struct tw_err *e, const char *fact, const char *cure)
{
	tw_fail(e, TW_USAGE, "cannot wait");
	tw_fact(e, "%s", fact);
	return tw_cure(e, "%s", cure);
}

static int check_until(const char *text, struct tw_err *e)
{
	struct timewarp_when when;
	const char *why;
	bool parsed;

	if (!text)
		return TW_OK;
	parsed = !tw_parse_when(text, (struct tw_epoch) { 0 }, &when, &why);
	if (parsed && when.kind != TIMEWARP_NEVER)
		return TW_OK;
	tw_fail(e, TW_USAGE, "cannot wait until %s", TW_QUOTE(text));
	tw_fact(e, "it is %s", parsed ? "no moment" : why);
	return tw_cure(e, "give a date or a span: 2038-01-19T03:14:00, 1d, '1h host'");
}

/* By the words that attach has for them */
static int check_event(struct waiting *w, struct tw_err *e)
{
	const char *word = w->args->done ? "done" : w->args->event;
	unsigned int kind;

	for (kind = 0; word && kind < TW_EVENT_KINDS; kind++) {
		if (strcmp(word, tw_event_word(kind)))
			continue;
		w->hears = true;
		w->kind = kind;
		return TW_OK;
	}
	if (!word)
		return TW_OK;
	tw_fail(e, TW_USAGE, "cannot wait for the event %s", TW_QUOTE(word));
	tw_fact(e, "no policy tells such");
	return tw_cure(e, "give one of those that attach prints: done, step, leaps-ms, or event for any other");
}

static void find_moment(struct waiting *w)
{
	struct tw_epoch epoch = tw_epoch_now(w->ahead_ns);
	struct timewarp_when when;
	const char *why;

	/* what its words mean was checked: a date of before the host's boot has passed */
	if (tw_parse_when(w->args->until, epoch, &when, &why))
		when = (struct timewarp_when) { .kind = TIMEWARP_AT_GUEST };
	w->on_host = when.kind == TIMEWARP_AT_HOST || when.kind == TIMEWARP_AFTER_HOST;
	w->at_ns = when.ns;
	if (when.kind == TIMEWARP_AFTER_HOST)
		w->at_ns += w->st.host_ns;
	if (when.kind == TIMEWARP_AFTER_GUEST)
		w->at_ns += w->st.guest_ns;
}

static uint64_t now(const struct waiting *w)
{
	return w->on_host ? w->st.host_ns : w->st.guest_ns;
}

/* The policy that is in force, opened anew only when that is another one; false while it cannot be reached */
static bool reach(struct waiting *w)
{
	struct tw_err ignored = { 0 };

	if (w->reached && !tw_live_is_current(&w->live)) {
		tw_live_close(&w->live);
		w->reached = false;
		/* all that another one tells is told meanwhile */
		w->told = 0;
	}
	if (!w->reached)
		w->reached = !tw_live_open(&w->live, &w->st, &ignored);
	if (w->reached)
		tw_live_let_go(&w->live);
	tw_err_free(&ignored);
	return w->reached;
}

/* That it is done may have been told before; of what else there is, only what comes is waited for */
static bool hears(struct waiting *w)
{
	uint64_t told;

	if (!reach(w))
		return false;
	if (w->kind == TIMEWARP_EVENT_DONE)
		return tw_live_is_done(&w->live);
	told = tw_live_told(&w->live, w->kind);
	if (!w->listens)
		w->told = told >> 32;
	w->listens = true;
	w->number = told;
	return told >> 32 != w->told;
}

static enum outcome look(struct waiting *w)
{
	struct tw_err ignored = { 0 };
	struct tw_state st;

	if (tw_state_read(w->t.vm->dir, &st, &ignored)) {
		bool gone = ignored.status == TW_NO_VM;

		/* what else there is against reading it may pass */
		tw_err_free(&ignored);
		return gone ? GONE : NOT_YET;
	}
	w->st = st;
	/* it was being attached when it was first looked at */
	if (!w->link_id)
		w->link_id = st.link_id;
	if (!st.attached || st.link_id != w->link_id)
		return ENDED;
	if (w->args->until)
		return now(w) >= w->at_ns ? REACHED : NOT_YET;
	/* a policy that goes meanwhile is not done; those of a group share what they tell */
	return w->hears && hears(w) ? REACHED : NOT_YET;
}

/* Until it is to be looked at again, or the VM's process ends */
static void sleep_once(const struct waiting *w, int process)
{
	uint64_t left = LOOK_NS, patience = w->end_ns - tw_now_ns();
	struct pollfd p = { .fd = process, .events = POLLIN };
	struct timespec ts;
	double rest;

	if (w->args->until) {
		rest = (double)(w->at_ns - now(w));
		if (!w->on_host && w->st.force.num)
			rest = rest * w->st.force.den / w->st.force.num;
		if ((w->on_host || w->st.force.num) && rest < left)
			left = rest > LEAST_NS ? rest : LEAST_NS;
	}
	if (w->end_ns != UINT64_MAX && patience < left)
		left = patience;
	ts = (struct timespec) { .tv_nsec = left };
	ppoll(&p, 1, &ts, NULL);
}

static enum outcome wait_long(struct waiting *w)
{
	int process = tw_proc_open(w->t.vm->pid, w->t.vm->start);
	enum outcome o;

	for (;;) {
		o = process < 0 ? GONE : look(w);
		if (o != NOT_YET || tw_stop || tw_now_ns() >= w->end_ns)
			break;
		sleep_once(w, process);
	}
	if (process >= 0)
		close(process);
	return o;
}

static void report(const struct waiting *w, enum outcome o)
{
	char name[TW_TARGET_NAME_MAX], date[TW_DATE_MAX];
	uint64_t date_ns = tw_guest_date_ns(&w->st, w->ahead_ns);
	bool tells = w->hears && w->kind != TIMEWARP_EVENT_DONE;
	struct tw_json j = { .f = stdout };

	tw_target_name(&w->t, name, sizeof(name));
	tw_format_date(date, sizeof(date), date_ns);
	if (!w->args->json) {
		if (o == REACHED && tells)
			tw_printf("%s: %s tells: %s %u, guest at %s\n", name, w->st.policy, tw_event_word(w->kind), w->number, date);
		else if (o == REACHED)
			tw_printf("%s: %s, guest at %s\n", name, w->hears ? "the policy is done" : "the moment has come", date);
		else
			tw_printf("%s: %s\n", name, o == GONE ? "the VM is gone" : "the attachment has ended");
		return;
	}
	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "event", o == REACHED ? tells ? "policy" : w->hears ? "done" : "reached" : o == GONE ? "gone" : "ended");
	tw_json_vm(&j, w->t.vm);
	if (o == REACHED) {
		tw_json_str(&j, "policy", w->st.policy);
		if (tells) {
			tw_json_str(&j, "tells", tw_event_word(w->kind));
			tw_json_int(&j, "number", w->number);
		}
		tw_json_u64(&j, "host_ns", w->st.host_ns);
		tw_json_u64(&j, "guest_ns", w->st.guest_ns);
		tw_json_str(&j, "guest_date", tw_format_date_ms(date, sizeof(date), date_ns));
	}
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

/* What was waited for does not come any more, or not in time */
static int fail(const struct waiting *w, enum outcome o, struct tw_err *e)
{
	char name[TW_TARGET_NAME_MAX];

	tw_fail(e, TW_FAILED, "cannot wait for %s any longer", tw_target_name(&w->t, name, sizeof(name)));
	if (o == GONE) {
		e->status = TW_NO_VM;
		tw_fact(e, "the VM has gone");
	} else if (o == ENDED && w->st.exit_kind == KVM_TIMEWARP_EXIT_EJECTED) {
		e->status = TW_EJECTED;
		tw_fact(e, "its policy was ejected: %s", w->st.exit_reason);
	} else if (o == ENDED) {
		tw_fact(e, "its attachment has ended before");
	} else if (tw_stop) {
		tw_fact(e, "it was interrupted");
	} else {
		e->status = TW_THRESHOLD;
		tw_fact(e, "what was waited for did not come within %s", w->args->timeout);
	}
	return tw_cure(e, "see how it stands: twctl status");
}

static int never_tells(const struct waiting *w, struct tw_err *e)
{
	if (w->kind == TIMEWARP_EVENT_DONE) {
		tw_fail(e, TW_USAGE, "cannot wait until %s is done", w->st.policy);
		tw_fact(e, "it does not tell when that is");
		return tw_cure(e, "leave out --%s, or wait for a policy such as until", w->args->done ? "done" : "event");
	}
	tw_fail(e, TW_USAGE, "cannot wait for %s of %s", tw_event_word(w->kind), w->st.policy);
	tw_fact(e, "it does not tell such");
	return tw_cure(e, "wait for what it tells; one that was built for an earlier twctl is to be built anew");
}

static int wait_attached(struct waiting *w, uint64_t patience, struct tw_err *e)
{
	enum outcome o;

	w->st = w->t.st;
	w->link_id = w->st.link_id;
	w->ahead_ns = tw_dates_ahead_ns(w->t.vm);
	w->end_ns = patience ? tw_now_ns() + patience : UINT64_MAX;
	if (w->args->until)
		find_moment(w);
	if (w->hears && reach(w) && !tw_live_tells(&w->live, w->kind))
		return never_tells(w, e);
	o = wait_long(w);
	if (o == NOT_YET || (o != REACHED && (w->args->until || w->hears)))
		return fail(w, o, e);
	report(w, o);
	return TW_OK;
}

static int run(const struct tw_args *args, struct tw_err *e)
{
	struct waiting w = { .args = args };
	uint64_t patience;
	int status;

	if (!!args->until + args->done + !!args->event > 1)
		return usage(e, "of --until, --done and --event more than one is given", "leave out all but one");
	if (check_until(args->until, e) || check_event(&w, e) ||
	    tw_args_duration("wait", "--timeout", args->timeout, &patience, e))
		return e->status;
	status = tw_host_require(TW_NEED_HOOK | TW_NEED_STATE, e);
	if (status)
		return tw_what(e, "cannot wait");
	tw_catch_stop();
	status = tw_target_find(args, "wait for", &w.t, e);
	if (!status)
		status = tw_target_attached(&w.t, "wait for", e);
	if (!status)
		status = wait_attached(&w, patience, e);
	if (w.reached)
		tw_live_close(&w.live);
	tw_target_close(&w.t);
	return status;
}

static const struct tw_option options[] = {
	TW_OPTION_VM,
	TW_OPTION("until", 0, TW_TEXT, until, "WHEN", "a date or a span of the guest's: 1d; '1h host' by the host's clock", NULL),
	TW_OPTION("done", 0, TW_FLAG, done, NULL, "the policy has told that it is done", NULL),
	TW_OPTION("event", 0, TW_TEXT, event, "WORD", "the policy tells it: step, leaps-ms, done, or event for any other",
		  "step leaps-ms done event"),
	TW_OPTION("timeout", 0, TW_TEXT, timeout, "TIME", "no longer than that, of the host's", NULL),
	{ 0 },
};

const struct tw_verb tw_verb_wait = {
	.name = "wait",
	.synopsis = "VM [--until WHEN | --done | --event WORD] [--timeout TIME]",
	.summary = "wait for a moment of an attachment, or for its end",
	.more = "For scripts, whoever has attached: a command in the foreground, or a pin.\n"
		"Without --until, --done and --event it waits until the attachment has ended,\n"
		"however.\n"
		"\n"
		"--until waits until the guest's clocks show a date, or so much of its time has\n"
		"passed. It looks five times a second, and more often shortly before.\n"
		"\n"
		"--done is for policies that tell, such as until and jump, and waits no longer\n"
		"where that was told before, since it was attached or swapped in, or was given\n"
		"other parameters: twctl set has it begin anew.\n"
		"\n"
		"--event is for the next of what a policy tells, by the word that attach in the\n"
		"foreground has for it, and says its number: step of schedule and freeze,\n"
		"leaps-ms of jump, event for kinds of your own. What was told before does not\n"
		"count; of several within a fifth of a second it has the last. done is --done.\n"
		"\n"
		"Status 0 when that has come; 1 if the attachment ended before, or at Ctrl-C;\n"
		"4 if the VM has gone before; 6 if the policy was ejected before; 10 when TIME is\n"
		"over. Status 2 for a policy that never tells what is waited for, 1 where nothing\n"
		"is attached. It changes nothing, and keeps nothing attached.\n",
	.options = options,
	.vm_operand = true,
	.run = run,
};
