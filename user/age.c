// SPDX-License-Identifier: GPL-2.0
/* twctl age: what a span of life does to a system. */
#include <stdio.h>

#include "age/report.h"
#include "parse.h"
#include "twctl.h"

static int check(const struct tw_args *args, struct tw_age_options *o, struct tw_err *e)
{
	uint64_t ns = 0;

	*o = tw_age_defaults;
	if (!args->samples) {
		tw_fail(e, TW_USAGE, "cannot age");
		tw_fact(e, "it is not said which recording to judge");
		return tw_cure(e, "add --samples FILE");
	}
	if (tw_args_duration("judge", "--horizon", args->horizon, &ns, e))
		return e->status;
	if (ns)
		o->horizon = ns / 1e9;
	return TW_OK;
}

static int report(const struct tw_args *args, const struct tw_recording *r, struct tw_verdicts *v,
		  struct tw_err *e)
{
	int status = TW_OK;

	if (args->baseline)
		status = tw_report_compare(args->baseline, v, e);
	if (!status && args->report)
		status = tw_report_write(args->report, r, v, e);
	if (status)
		return status;
	if (args->json)
		tw_report_json(stdout, r, v);
	else
		tw_report_text(stdout, r, v);
	return tw_verdicts_status(v);
}

static int run(const struct tw_args *args, struct tw_err *e)
{
	struct tw_age_options o;
	struct tw_recording r;
	struct tw_verdicts v;
	int status = check(args, &o, e);

	if (status)
		return status;
	status = tw_recording_read(args->samples, &r, e);
	if (!status) {
		tw_verdicts_find(&r, &o, &v);
		status = report(args, &r, &v, e);
		tw_verdicts_free(&v);
	}
	tw_recording_free(&r);
	return status;
}

static const struct tw_option options[] = {
	TW_OPTION("samples", 0, TW_TEXT, samples, "FILE", "judge this recording", "@file"),
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
	.synopsis = "--samples FILE [--report DIR] [--baseline FILE] [...]",
	.summary = "report what a span of life did to a system",
	.more = "Judges a recording of samples: what grows and when that meets its limit, what\n"
		"failed and when it first did, jobs that ran not, twice or at another time, what\n"
		"expired or will. doc/aging.md has the format, the methods and their limits.\n"
		"\n"
		"    twctl age --samples run.ndjson --report report\n"
		"    twctl age --samples candidate.ndjson --baseline release/report.json\n"
		"\n"
		"Status 10 if there is a fault; with --baseline, if there is one that is new or\n"
		"worse.\n",
	.options = options,
	.run = run,
};
