// SPDX-License-Identifier: GPL-2.0
/* The page for people. */
#include "age/report.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "age/chart.h"
#include "age/format.h"
#include "judge/days.h"

static const char style[] =
	":root{color-scheme:light dark;--paper:#fff;--ink:#1c2126;--soft:#5b6670;--rule:#dde2e6;--card:#f6f7f8;"
	"--line:#1f6fbf;--band:#1f6fbf33;--trend:#c2410c;--fault:#b42318;--warn:#8a5a00;--note:#46535f;"
	"--ok:#1a7f47;--dst:#7a52b3;--year:#8b95a0;--leap:#0f8a8a;--late:#b42318}\n"
	"@media(prefers-color-scheme:dark){:root{--paper:#14181c;--ink:#e6e9ec;--soft:#9aa5af;--rule:#2d343b;"
	"--card:#1b2026;--line:#6cb2f5;--band:#6cb2f533;--trend:#fb9a66;--fault:#ff8a7d;--warn:#e6b450;"
	"--note:#aeb9c3;--ok:#5fd08c;--dst:#b79af0;--year:#77828d;--leap:#4fc9c9;--late:#ff8a7d}}\n"
	"*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);"
	"font:16px/1.5 system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif}\n"
	"main{max-width:56rem;margin:0 auto;padding:1.5rem 1rem 3rem}h1{font-size:1.7rem;line-height:1.25;margin:0 0 .3rem;"
	"overflow-wrap:anywhere}h2{font-size:1.2rem;margin:2.2rem 0 .6rem}h3{font-size:1rem;margin:0;overflow-wrap:anywhere}\n"
	"p{margin:.3rem 0}.soft{color:var(--soft)}.result{font-size:1.15rem;font-weight:600;margin:.8rem 0}\n"
	".bad{color:var(--fault)}.good{color:var(--ok)}\n"
	"ul.verdicts{list-style:none;margin:0;padding:0}ul.verdicts li{border-left:4px solid var(--note);background:var(--card);"
	"padding:.5rem .8rem;margin:.5rem 0;border-radius:0 .3rem .3rem 0;overflow-wrap:anywhere}\n"
	"ul.verdicts li.fault{border-color:var(--fault)}ul.verdicts li.warning{border-color:var(--warn)}\n"
	".tag{display:inline-block;min-width:5.8rem;font-size:.8rem;font-weight:600;text-transform:uppercase;letter-spacing:.04em}"
	".fault .tag{color:var(--fault)}.warning .tag{color:var(--warn)}.note .tag{color:var(--note)}"
	".news{font-size:.8rem;border:1px solid;border-radius:1rem;padding:0 .5rem;margin-left:.4rem}\n"
	"figure{margin:1.1rem 0 1.6rem;break-inside:avoid}figcaption{margin-bottom:.3rem}"
	"svg{display:block;width:100%;height:auto}svg.small{width:10rem}"
	"svg text{fill:var(--soft);font-size:12px}text.y{text-anchor:end}text.x{text-anchor:middle}text.last{text-anchor:end}\n"
	".grid{stroke:var(--rule);fill:none}.axis,.tick{stroke:var(--soft);fill:none}.band{fill:var(--band);stroke:none}"
	".line{fill:none;stroke:var(--line);stroke-width:1.6;stroke-linejoin:round}"
	".trend{stroke:var(--trend);stroke-width:2;stroke-dasharray:7 4;fill:none}"
	".limit{stroke:var(--fault);fill:none}text.limit{fill:var(--fault);stroke:none}"
	".change{stroke:var(--trend);stroke-dasharray:2 3;fill:none}\n"
	".mark{fill:none;stroke-width:1.2;stroke:var(--year);stroke-dasharray:3 4;opacity:.8}"
	".m0{stroke:var(--dst)}.m1{stroke:var(--year)}.m2{stroke:var(--leap)}.m3,.m4,.m5,.m6{stroke:var(--late)}"
	".m4,.m6{stroke-dasharray:none}.dot{fill:var(--paper);stroke-width:2.5}.dot.m3,.dot.m6{fill:var(--late)}\n"
	"table{border-collapse:collapse;width:100%;font-size:.9rem}td,th{text-align:left;padding:.3rem .6rem .3rem 0;"
	"border-top:1px solid var(--rule);vertical-align:middle;overflow-wrap:anywhere}th{border:0;color:var(--soft);font-weight:600}\n"
	".scroll{overflow-x:auto}details summary{cursor:pointer}\n"
	/* A picture that is not to be read at the width of a telephone is moved across it */
	"figure{overflow-x:auto}.date{white-space:nowrap}\n"
	"@media(max-width:40rem){svg text{font-size:17px}svg.chart{min-width:34rem}svg.small{width:6rem}.form{display:none}"
	".tag{display:block}}\n"
	"@media print{:root{color-scheme:light;--paper:#fff;--ink:#000;--soft:#444;--rule:#ccc;--card:#f4f4f4;--line:#14508c;"
	"--band:#14508c33;--trend:#a33605;--fault:#a01a10;--warn:#704800;--note:#333;--ok:#145f36;--dst:#5c3b90;"
	"--year:#777;--leap:#0a6a6a;--late:#a01a10}main{max-width:none;padding:0}body{font-size:11pt}"
	"li,figure,tr{break-inside:avoid}figure{overflow:visible}}\n";

/* How long a date is that stands there, 0 if none does */
static size_t date_len(const char *text)
{
	static const char form[] = "dddd-dd-dd";
	size_t i;

	for (i = 0; form[i]; i++)
		if (form[i] == 'd' ? !isdigit((unsigned char)text[i]) : text[i] != form[i])
			return 0;
	return i;
}

/* With dates that are not broken at their hyphens */
static void print_text(FILE *f, const char *text)
{
	char part[512];
	size_t n = 0;

	while (*text) {
		size_t len = date_len(text);

		/* in between characters, as they may have four bytes */
		if (len || n == sizeof(part) - 1 || (n > sizeof(part) - 8 && (*text & 0xc0) != 0x80)) {
			part[n] = 0;
			tw_html_text(f, part);
			n = 0;
		}
		if (len)
			fprintf(f, "<span class=\"date\">%.*s</span>", (int)len, text);
		else
			part[n++] = *text;
		text += len ? len : 1;
	}
	part[n] = 0;
	tw_html_text(f, part);
}

static void print_head(FILE *f, const struct tw_recording *r)
{
	fprintf(f, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
		"<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>Aging report: ");
	tw_html_text(f, r->vm);
	fprintf(f, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<main>\n", style);
}

static void print_summary(FILE *f, const struct tw_recording *r, const struct tw_verdicts *v)
{
	char counts[96];
	bool bad = tw_verdicts_status(v) != TW_OK;

	fprintf(f, "<h1>");
	tw_html_text(f, r->vm);
	fprintf(f, " lived %s</h1>\n<p class=\"soft\">from %s to %s by its own clock (UTC), %zu samples",
		TW_PERIOD(r->end - r->start), TW_DATE_OF(r->start, r->end - r->start),
		TW_DATE_OF(r->end, r->end - r->start), r->samples);
	if (r->policy) {
		fprintf(f, ", policy ");
		tw_html_text(f, r->policy);
	}
	if (r->host_seconds > 0)
		fprintf(f, "; it took %s of the host's: %s guest seconds a host second", TW_PERIOD(r->host_seconds),
			TW_AMOUNT((r->end - r->start) / r->host_seconds, ""));
	fprintf(f, "</p>\n<p class=\"result %s\">%s", bad ? "bad" : "good",
		tw_report_counts(v, counts, sizeof(counts)));
	if (v->compared)
		fprintf(f, "; against the baseline %zu new or worse, %zu gone", v->fresh, v->n_gone);
	fprintf(f, "</p>\n");
	if (!r->ended) {
		fprintf(f, "<p class=\"bad\">It was interrupted: this is of what there is.</p>\n");
	} else if (strcmp(r->ended, "span")) {
		fprintf(f, "<p class=\"bad\">It ended early: ");
		tw_html_text(f, r->ended);
		fprintf(f, "</p>\n");
	}
}

static void print_verdicts(FILE *f, const struct tw_verdicts *v)
{
	size_t i;

	fprintf(f, "<h2>Verdicts</h2>\n<ul class=\"verdicts\">\n");
	if (!v->n)
		fprintf(f, "<li>Nothing grows, nothing broke, and each job ran when it should.</li>\n");
	for (i = 0; i < v->n; i++) {
		const struct tw_age_verdict *one = &v->v[i];

		fprintf(f, "<li class=\"%s\"><span class=\"tag\">%s</span><strong>", tw_mark_name(one->mark),
			tw_mark_name(one->mark));
		tw_html_text(f, one->subject);
		fprintf(f, "</strong>");
		if (one->news)
			fprintf(f, "<span class=\"news\">%s</span>", tw_news_name(one->news));
		fprintf(f, "<br>");
		print_text(f, one->text);
		fprintf(f, "</li>\n");
	}
	for (i = 0; i < v->n_gone; i++) {
		fprintf(f, "<li class=\"note\"><span class=\"tag\">gone</span>");
		tw_html_text(f, v->gone[i]);
		fprintf(f, "</li>\n");
	}
	fprintf(f, "</ul>\n");
}

/* The verdict that a series has, or NULL */
static const struct tw_age_verdict *verdict_of(const struct tw_verdicts *v, size_t series)
{
	size_t i;

	for (i = 0; i < v->n; i++)
		if (v->v[i].series == (int)series)
			return &v->v[i];
	return NULL;
}

static void print_figure(FILE *f, const struct tw_recording *r, const struct tw_verdicts *v,
			 const struct tw_marks_at *m, size_t at, const struct tw_age_verdict *one)
{
	const struct tw_series *s = &r->series[at];

	fprintf(f, "<figure class=\"%s\"><figcaption><h3>", tw_mark_name(one->mark));
	tw_html_text(f, s->name);
	fprintf(f, "</h3><p class=\"soft\">");
	if (s->title) {
		tw_html_text(f, s->title);
		fprintf(f, "%s: ", s->counter ? ", a day" : "");
	}
	print_text(f, one->text);
	fprintf(f, "</p></figcaption>\n");
	tw_chart_series(f, r, at, v, m);
	fprintf(f, "</figure>\n");
}

/* Those that have a verdict, in the order of the verdicts */
static void print_figures(FILE *f, const struct tw_recording *r, const struct tw_verdicts *v,
			  const struct tw_marks_at *m)
{
	size_t i, n = 0;

	for (i = 0; i < v->n; i++) {
		if (v->v[i].series < 0 || verdict_of(v, v->v[i].series) != &v->v[i])
			continue;
		if (!n++)
			fprintf(f, "<h2>What changed</h2>\n<p class=\"soft\">Line: median; band: lowest to highest; "
				"dashes: the trend (Theil-Sen). Upright: marks of the calendar and of faults.</p>\n");
		print_figure(f, r, v, m, v->v[i].series, &v->v[i]);
	}
}

static const char *form_text(const struct tw_seen *seen)
{
	switch (seen->j.form) {
	case TW_FORM_SAW:
		return "saw-teeth: it grows and is put back";
	case TW_FORM_FILLED:
		return "filled up, and stays";
	case TW_FORM_SHORT:
		return "too few samples";
	default:
		return "steady";
	}
}

static void print_row(FILE *f, const struct tw_recording *r, const struct tw_verdicts *v, size_t i)
{
	const struct tw_seen *seen = &v->series[i];
	double least = INFINITY, most = -INFINITY;
	size_t k;

	for (k = 0; k < seen->n; k++) {
		least = fmin(least, seen->y[k]);
		most = fmax(most, seen->y[k]);
	}
	fprintf(f, "<tr><td>");
	tw_html_text(f, r->series[i].name);
	fprintf(f, "</td><td>");
	tw_chart_small(f, r, seen);
	fprintf(f, "</td><td>");
	if (seen->n) {
		tw_html_text(f, TW_AMOUNT(least, seen->unit));
		fprintf(f, " to ");
		tw_html_text(f, TW_AMOUNT(most, seen->unit));
		fprintf(f, "%s", r->series[i].counter ? " a day" : "");
	}
	fprintf(f, "</td><td class=\"form\">%s</td></tr>\n", form_text(seen));
}

static void print_rest(FILE *f, const struct tw_recording *r, const struct tw_verdicts *v)
{
	size_t i, n = 0;

	for (i = 0; i < r->n_series; i++)
		n += !verdict_of(v, i);
	if (!n)
		return;
	fprintf(f, "<h2>What did not change</h2>\n<details%s><summary>%zu series</summary>\n<div class=\"scroll\"><table>\n"
		"<tr><th>series</th><th>over the span</th><th>lowest to highest</th><th class=\"form\">form</th></tr>\n",
		n <= 40 ? " open" : "", n);
	for (i = 0; i < r->n_series; i++)
		if (!verdict_of(v, i))
			print_row(f, r, v, i);
	fprintf(f, "</table></div></details>\n");
}

static void print_method(FILE *f, const struct tw_recording *r, const struct tw_verdicts *v)
{
	size_t i;

	for (i = 0; i < r->n_missing; i++) {
		fprintf(f, "%s<li>", i ? "" : "<h2>What was not seen</h2>\n<ul>\n");
		tw_html_text(f, r->missing[i].source);
		fprintf(f, ": ");
		tw_html_text(f, r->missing[i].why);
		fprintf(f, "</li>\n%s", i + 1 == r->n_missing ? "</ul>\n" : "");
	}
	fprintf(f, "<h2>How it was judged</h2>\n<p class=\"soft\">Growth: Mann-Kendall at each time scale, seasonal by time "
		"of day, corrected for serial correlation and (Holm) for %zu series: the chance that any growth named here "
		"is none is below %g %%. Rates: Theil-Sen with an interval of 95 %%. Growth that needs more than %s to meet "
		"its limit, or to double, is a note. Dates are the guest's own. doc/aging.md of timewarp has the methods "
		"and their limits.</p>\n", v->n_series, 100 * v->o.alpha, TW_PERIOD(v->o.horizon));
}

void tw_report_html(FILE *f, const struct tw_recording *r, const struct tw_verdicts *v)
{
	struct tw_marks_at m;

	tw_marks_find(r, v, &m);
	print_head(f, r);
	print_summary(f, r, v);
	print_verdicts(f, v);
	if (m.n) {
		fprintf(f, "<h2>When</h2>\n<figure>\n");
		tw_chart_marks(f, r, &m);
		fprintf(f, "</figure>\n");
	}
	print_figures(f, r, v, &m);
	print_rest(f, r, v);
	print_method(f, r, v);
	fprintf(f, "</main>\n</body>\n</html>\n");
	tw_marks_free(&m);
}
