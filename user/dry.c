// SPDX-License-Identifier: GPL-2.0
/* twctl policy run: what a policy would do over a span of guest time. */
#include "attached.h"
#include "dry/drive.h"

#include <time.h>

#include "parse.h"
#include "twctl.h"
#include "when.h"

struct dry {
	bool json;
	const char *policy;		/* its name */
	int64_t epoch_ns;		/* the guest's date minus its guest_ns */
	bool any;			/* a row was printed */
};

static const char *date(const struct dry *d, uint64_t guest_ns, char *buf)
{
	return d->json ? tw_format_date_ms(buf, TW_DATE_MAX, guest_ns + d->epoch_ns) :
	       tw_format_date(buf, TW_DATE_MAX, guest_ns + d->epoch_ns);
}

/* To the microsecond: less of it is arithmetic */
static const char *span(uint64_t ns, char *buf)
{
	return tw_format_duration(buf, TW_DURATION_MAX, ns < 1000000 ? ns : (ns + 500) / 1000 * 1000);
}

static void print_titles(struct dry *d)
{
	if (!d->any)
		tw_printf("%-25s %-14s %-20s %s\n", "GUEST DATE", "FACTOR", "GUEST TIME", "HOST TIME");
	d->any = true;
}

static void print_segment(const struct dry *d, const struct tw_dry_segment *s)
{
	char begin[TW_DATE_MAX], factor[48], guest[TW_DURATION_MAX], host[TW_DURATION_MAX];

	tw_printf("%-25s %-14s %-20s %s", date(d, s->guest_ns, begin),
		  s->held ? "stands" : tw_format_factor(factor, sizeof(factor), s->factor.num, s->factor.den),
		  span(s->guest_span_ns, guest), span(s->host_span_ns, host));
	if (s->leaps)
		tw_printf(", %llu leaps of %s in all", (unsigned long long)s->leaps,
			  tw_format_span(guest, sizeof(guest), s->leapt_ns));
	tw_printf("\n");
}

static void write_segment(const struct dry *d, const struct tw_dry_segment *s)
{
	struct tw_json j = { .f = stdout };
	char buf[TW_DATE_MAX];

	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "event", "segment");
	tw_json_str(&j, "policy", d->policy);
	tw_json_str(&j, "guest_date", date(d, s->guest_ns, buf));
	tw_json_factor(&j, "factor", &s->factor);
	tw_json_bool(&j, "held", s->held);
	tw_json_u64(&j, "guest_span_ns", s->guest_span_ns);
	tw_json_u64(&j, "host_span_ns", s->host_span_ns);
	tw_json_u64(&j, "leaps", s->leaps);
	tw_json_s64(&j, "leapt_ns", s->leapt_ns);
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

static void show_segment(void *arg, const struct tw_dry_segment *s)
{
	struct dry *d = arg;

	if (d->json) {
		write_segment(d, s);
		return;
	}
	print_titles(d);
	print_segment(d, s);
}

static void show_event(void *arg, uint64_t guest_ns, const struct timewarp_event *event)
{
	const char *what = tw_event_word(event->kind);
	struct tw_json j = { .f = stdout };
	struct dry *d = arg;
	char buf[TW_DATE_MAX];

	if (!d->json) {
		print_titles(d);
		tw_printf("%-25s tells: %s %u\n", date(d, guest_ns, buf), what, event->number);
		return;
	}
	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "event", "policy");
	tw_json_str(&j, "policy", d->policy);
	tw_json_str(&j, "tells", what);
	tw_json_int(&j, "number", event->number);
	tw_json_str(&j, "guest_date", date(d, guest_ns, buf));
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

static void show_end(struct dry *d, const struct tw_dry_run *r)
{
	const char *guest = r->busy ? TW_DRY_ASSUMES_BUSY : TW_DRY_ASSUMES_IDLE;
	char a[TW_DURATION_MAX], b[TW_DURATION_MAX], buf[TW_DATE_MAX];
	uint64_t end_ns = r->host_ns + r->guest_span_ns;
	struct tw_json j = { .f = stdout };

	if (!d->json) {
		print_titles(d);
		tw_printf("%-25s %-14s %-20s %s\n", date(d, end_ns, buf), r->stands ? "stands from here on" : "in all",
			  span(r->guest_span_ns, a), span(r->host_span_ns, b));
		tw_printf("%llu decisions; assumed: %s; " TW_DRY_ASSUMES_HOST "\n", (unsigned long long)r->decisions,
			  guest);
		return;
	}
	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "event", "ran");
	tw_json_str(&j, "policy", d->policy);
	tw_json_str(&j, "guest_date", date(d, end_ns, buf));
	tw_json_bool(&j, "held", r->stands);
	tw_json_u64(&j, "guest_span_ns", r->guest_span_ns);
	tw_json_u64(&j, "host_span_ns", r->host_span_ns);
	tw_json_u64(&j, "decisions", r->decisions);
	tw_json_open(&j, "assumed", '[');
	tw_json_str(&j, NULL, guest);
	tw_json_str(&j, NULL, TW_DRY_ASSUMES_HOST);
	tw_json_close(&j, ']');
	tw_json_close(&j, '}');
	tw_json_end(&j);
}

static int read_from(const char *text, uint64_t now_ns, uint64_t *ns, struct tw_err *e)
{
	const char *why;

	*ns = now_ns;
	if (!text || !tw_parse_date(text, ns, &why))
		return TW_OK;
	tw_fail(e, TW_USAGE, "cannot run a policy from --from %s", TW_QUOTE(text));
	tw_fact(e, "it is %s", why);
	return tw_cure(e, "give a date in UTC, such as 2038-01-18 or 2038-01-18T12:00");
}

/* The timeline begins as that of a VM which was never warped, at the host's time: ten years after its boot, so that dates may be told that are past */
#define BEGIN_NS 315360000000000000ULL
/* With that a timeline's 292 years are far */
#define MAX_SPAN_NS (36525ULL * 86400 * 1000000000)

int tw_policy_dry(const struct tw_args *args, const char *policy, struct tw_err *e)
{
	struct tw_dry_run r = {
		.host_ns = BEGIN_NS, .span_ns = 86400000000000ULL, .busy = args->busy,
		.segment = show_segment, .tells = show_event,
	};
	struct dry d = { .json = args->json };
	struct tw_args with = *args;
	struct tw_policy p = { 0 };
	struct tw_epoch epoch;
	struct timespec now;
	uint64_t now_ns, from_ns;
	int status;

	clock_gettime(CLOCK_REALTIME, &now);
	now_ns = now.tv_sec * 1000000000ULL;
	if (read_from(args->from, now_ns, &from_ns, e) ||
	    (args->span && tw_args_duration("run a policy", "--span", args->span, &r.span_ns, e)))
		return e->status;
	if (r.span_ns > MAX_SPAN_NS) {
		tw_fail(e, TW_USAGE, "cannot run a policy for --span %s", TW_QUOTE(args->span));
		tw_fact(e, "that is more than a hundred years");
		return tw_cure(e, "give a shorter one");
	}
	epoch = (struct tw_epoch) { .host_ns = now_ns - BEGIN_NS, .guest_ns = from_ns - BEGIN_NS };
	d.epoch_ns = epoch.guest_ns;
	r.arg = &d;
	with.policy = policy;
	/* nothing is harmed by a bad clock here */
	with.chaos = true;
	status = tw_args_policy(&with, epoch, &p, e);
	if (!status) {
		d.policy = p.name;
		status = tw_dry_drive(&p, &r, e);
	}
	if (!status)
		show_end(&d, &r);
	tw_policy_close(&p);
	return status;
}
