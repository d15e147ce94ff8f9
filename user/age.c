// SPDX-License-Identifier: GPL-2.0
/* twctl age: what a span of life does to a system. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "age/live.h"
#include "age/report.h"
#include "readiness.h"
#include "parse.h"
#include "twctl.h"
#include "when.h"

#define EVERY_S 21600.0
#define YEAR_S (365 * 86400.0)

static int usage(struct tw_err *e, const char *fact, const char *cure)
{
	tw_fail(e, TW_USAGE, "cannot age");
	tw_fact(e, "%s", fact);
	return tw_cure(e, "%s", cure);
}

/* A span above zero, in seconds; years too: "1y" is 365 days */
static int read_span(const char *option, const char *text, double *seconds, struct tw_err *e)
{
	size_t len = text ? strlen(text) : 0;
	const char *why;
	uint64_t ns;

	if (!text)
		return TW_OK;
	if (len > 1 && text[len - 1] == 'y') {
		char *number = strndup(text, len - 1);
		int bad = !number || tw_parse_u64(number, &ns, &why) || !ns || ns > 200;

		free(number);
		*seconds = bad ? 0 : ns * YEAR_S;
		if (!bad)
			return TW_OK;
	} else {
		int status = tw_args_duration("age", option, text, &ns, e);

		*seconds = ns / 1e9;
		return status;
	}
	tw_fail(e, TW_USAGE, "cannot age");
	tw_fact(e, "%s %s is not a whole number of years from 1 to 200", option, TW_QUOTE(text));
	return tw_cure(e, "write 1y, 400d, 6h");
}

static int read_live(const struct tw_args *args, struct tw_live_age *l, struct tw_err *e)
{
	const char *why;
	uint64_t ns;

	l->every = EVERY_S;
	if (!args->span == !args->until)
		return usage(e, args->span ? "both --span and --until are given" : "it is not said how long",
			     "add --span 1y or --until DATE");
	if (read_span(args->age ? "--age" : "--span", args->span, &l->span, e) || read_span("--every", args->every, &l->every, e))
		return e->status;
	if (args->every && l->every < 1) {
		tw_fail(e, TW_USAGE, "cannot age");
		tw_fact(e, "--every %s is less than a second, and a sample takes about that", TW_QUOTE(args->every));
		return tw_cure(e, "take samples less often: --every 6h");
	}
	if (!args->samples && !args->report)
		return usage(e, "it is not said where to record",
			     args->age ? "add --report DIR" : "add --report DIR, or --samples FILE");
	if (args->until && tw_parse_date(args->until, &ns, &why)) {
		tw_fail(e, TW_USAGE, "cannot age");
		tw_fact(e, "--until %s is %s", TW_QUOTE(args->until), why);
		return tw_cure(e, "write a date: 2038-01-19");
	}
	if (args->until)
		l->until = ns / 1e9;
	return TW_OK;
}

static int check(const struct tw_args *args, struct tw_age_options *o, struct tw_live_age *l,
		 struct tw_err *e)
{
	struct tw_verdicts none = { 0 };
	int status;

	*o = tw_age_defaults;
	if (read_span("--horizon", args->horizon, &o->horizon, e))
		return e->status;
	/* now, and not after a year was lived */
	status = args->baseline ? tw_report_compare(args->baseline, &none, e) : TW_OK;
	tw_verdicts_free(&none);
	if (status)
		return status;
	if (args->vm)
		return read_live(args, l, e);
	if (!args->samples)
		return usage(e, "it is not said which recording to judge", "add --samples FILE, or --vm VM");
	if (args->span || args->until || args->policy || args->every || args->workload || args->resume ||
	    args->params.n)
		return usage(e, "nothing lives without --vm", "add --vm VM to age a guest");
	return TW_OK;
}

int tw_age_check(const struct tw_args *args, struct tw_err *e)
{
	struct tw_live_age l = { 0 };
	struct tw_age_options o;
	struct tw_args a = *args;

	a.vm = "";
	a.span = args->age;
	return check(&a, &o, &l, e);
}

static int live(const struct tw_args *args, const char *path, struct tw_live_age *l, struct tw_err *e)
{
	struct tw_target t;
	int status = tw_host_require(TW_NEED_HOOK | TW_NEED_STATE, e);

	if (status)
		return tw_what(e, "cannot age a VM");
	if (args->report && mkdir(args->report, 0755) && errno != EEXIST) {
		tw_fail(e, TW_FAILED, "cannot make %s", TW_QUOTE(args->report));
		return tw_fact(e, "%s", strerror(errno));
	}
	status = tw_target_find(args, "age", &t, e);
	if (!status) {
		tw_catch_stop();
		l->vm = t.vm;
		l->policy = args->policy;
		l->params = &args->params;
		l->workload = args->workload;
		l->path = path;
		l->resume = args->resume;
		l->stop = &tw_stop;
		status = tw_live_run(l, e);
	}
	tw_target_close(&t);
	return status;
}

static int report(const struct tw_args *args, const struct tw_recording *r, struct tw_verdicts *v,
		  struct tw_err *e)
{
	int status = TW_OK;

	if (args->baseline && tw_report_compare(args->baseline, v, e))
		return e->status;
	if (args->report)
		status = tw_report_write(args->report, r, v, e);
	/* also where there is no room for files */
	if (args->json)
		tw_report_json(stdout, r, v);
	else
		tw_report_text(stdout, r, v);
	return status ? status : tw_verdicts_status(v);
}

static int judge(const struct tw_args *args, const char *path, const struct tw_age_options *o,
		 struct tw_err *e)
{
	struct tw_recording r;
	struct tw_verdicts v;
	int status = tw_recording_read(path, &r, e);

	if (!status) {
		tw_verdicts_find(&r, o, &v);
		status = report(args, &r, &v, e);
		tw_verdicts_free(&v);
	}
	tw_recording_free(&r);
	return status;
}

/* What was recorded before the error @e is judged all the same */
static void judge_rest(const struct tw_args *args, const char *path, const struct tw_age_options *o)
{
	struct tw_err e = { 0 };

	if (judge(args, path, o, &e) && *e.what)
		tw_err_print(&e, args->json);
	tw_err_free(&e);
}

static int run(const struct tw_args *args, struct tw_err *e)
{
	struct tw_live_age l = { 0 };
	struct tw_age_options o;
	char *path;
	int status = check(args, &o, &l, e);

	if (status)
		return status;
	path = args->samples ? tw_strdup(args->samples) : tw_asprintf("%s/samples.ndjson", args->report);
	if (args->vm)
		status = live(args, path, &l, e);
	if (!status)
		status = judge(args, path, &o, e);
	else if (l.lived)
		judge_rest(args, path, &o);
	free(path);
	return status;
}

static const struct tw_option options[] = {
	TW_OPTION_VM,
	TW_OPTION("span", 0, TW_TEXT, span, "TIME", "let it live that long: 400d, 1y", NULL),
	TW_OPTION("until", 0, TW_TEXT, until, "DATE", "or up to that date of its own", NULL),
	TW_OPTION("policy", 0, TW_TEXT, policy, "POLICY",
		  "how its time passes; without it, 'skip-idle' or what is attached", "@file"),
	TW_OPTION_PARAM,
	TW_OPTION("every", 0, TW_TEXT, every, "TIME", "guest time between samples (default 6h)", NULL),
	TW_OPTION("workload", 0, TW_TEXT, workload, "COMMAND",
		  "run it on the host before each sample, with TWCTL_GUEST_TIME", NULL),
	TW_OPTION("resume", 0, TW_FLAG, resume, NULL, "go on with a recording that was interrupted", NULL),
	TW_OPTION("samples", 0, TW_TEXT, samples, "FILE",
		  "the recording: written with --vm, else judged; default: samples.ndjson in DIR", "@file"),
	TW_OPTION("report", 0, TW_TEXT, report, "DIR",
		  "write report.txt, report.json and report.html there", "@file"),
	TW_OPTION("baseline", 0, TW_TEXT, baseline, "FILE",
		  "the report.json of another run: tell what is new", "@file"),
	TW_OPTION("horizon", 0, TW_TEXT, horizon, "TIME",
		  "growth that needs longer to meet its limit, or to double, is a note (default 3652d)",
		  NULL),
	{ 0 },
};

const struct tw_verb tw_verb_age = {
	.name = "age",
	.synopsis = "--vm VM --span TIME|--until DATE --report DIR | --samples FILE",
	.summary = "report what a span of life did to a system",
	.more = "Lets a guest live a span, takes samples by its own time, and judges them: what\n"
		"grows and when that meets its limit, what failed and when it first did, jobs\n"
		"that ran not, twice or at another time, what expired or will. Samples come from\n"
		"the guest's agent, QEMU's monitor (QMP), the balloon, QEMU's process and KVM;\n"
		"what is not there is named. doc/aging.md has the methods and their limits.\n"
		"\n"
		"    twctl age --vm my-guest --span 1y --report report\n"
		"    twctl age --samples report/samples.ndjson --baseline release/report.json\n"
		"\n"
		"skip-idle makes time pass, with slack=1s: timers of the guest that fall close\n"
		"together fire together, late by a second at most. --param slack=0s: not late.\n"
		"\n"
		"Whatever ends it (Ctrl-C, the guest's end) leaves a report of what there is;\n"
		"--resume goes on. Status 10 if there is a fault; with --baseline, if there is\n"
		"one that is new or worse. The guest's end is a fault. Status 1 if the span was\n"
		"not lived for another reason, 6 if the policy was ejected, 5 for a policy\n"
		"under which time stands still.\n",
	.options = options,
	.run = run,
};
