// SPDX-License-Identifier: GPL-2.0
/* The text, and writing files. */
#include "age/report.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "age/format.h"
#include "judge/days.h"
#include "text.h"

#define WIDTH 80
#define SUBJECT_WIDTH 28
#define NOTES_MAX 12		/* a screen has no more room; the page has all */

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

const char *tw_report_counts(const struct tw_verdicts *v, char *buf, size_t size)
{
	snprintf(buf, size, "%zu fault%s, %zu warning%s, %zu note%s", v->count[TW_MARK_FAULT],
		 plural(v->count[TW_MARK_FAULT]), v->count[TW_MARK_WARNING],
		 plural(v->count[TW_MARK_WARNING]), v->count[TW_MARK_NOTE], plural(v->count[TW_MARK_NOTE]));
	return buf;
}

/* Words of @text from column @at on, broken before the 80th */
static void wrap(FILE *f, const char *text, int indent, int at)
{
	while (*text) {
		size_t len = strcspn(text, " ");

		if (at > indent && at + 1 + (int)len > WIDTH) {
			fprintf(f, "\n%*s", indent, "");
			at = indent;
		} else if (at > indent) {
			putc(' ', f);
			at++;
		}
		fwrite(text, 1, len, f);
		at += len;
		text += len + strspn(text + len, " ");
	}
	putc('\n', f);
}

static void print_verdict(FILE *f, const struct tw_age_verdict *one, bool compared)
{
	char text[1024], subject[256];
	int indent, at;

	tw_printable(text, sizeof(text), one->text);
	tw_printable(subject, sizeof(subject), one->subject);
	indent = compared ? 11 : 2;
	fprintf(f, "  ");
	if (compared)
		fprintf(f, "%-8s ", tw_news_name(one->news));
	at = indent + fprintf(f, "%-*s", SUBJECT_WIDTH, subject);
	if (at > indent + SUBJECT_WIDTH) {
		at = fprintf(f, "\n%*s", indent + 4, "") - 1;
	} else {
		putc(' ', f);
		at++;
	}
	wrap(f, text, at, at);
}

static void print_marks(FILE *f, const struct tw_verdicts *v, enum tw_mark mark, const char *title)
{
	size_t i, shown = 0;

	if (!v->count[mark])
		return;
	fprintf(f, "\n%s\n", title);
	for (i = 0; i < v->n; i++) {
		if (v->v[i].mark != mark)
			continue;
		if (mark == TW_MARK_NOTE && shown++ == NOTES_MAX) {
			fprintf(f, "  and %zu more: see report.html\n", v->count[mark] - NOTES_MAX);
			break;
		}
		print_verdict(f, &v->v[i], v->compared);
	}
}

static void print_forms(FILE *f, const struct tw_verdicts *v)
{
	static const enum tw_form forms[] = { TW_FORM_STEADY, TW_FORM_STEP, TW_FORM_FILLED, TW_FORM_SAW,
					      TW_FORM_SHORT };
	static const char *const words[] = { "steady", "with steps", "filled up and stay",
					     "with saw-teeth", "with too few samples" };
	size_t i, k, grow = 0;
	char *text, *more;

	for (i = 0; i < v->n_series; i++)
		grow += v->series[i].grows;
	text = tw_asprintf("%zu series: %zu grow or fall", v->n_series, grow);
	for (k = 0; k < sizeof(forms) / sizeof(*forms); k++) {
		size_t n = 0;

		for (i = 0; i < v->n_series; i++)
			n += !v->series[i].grows &&
			     (v->series[i].j.form == forms[k] ||
			      (forms[k] == TW_FORM_STEADY && v->series[i].j.form == TW_FORM_TREND));
		if (!n)
			continue;
		more = tw_asprintf("%s, %zu %s", text, n, words[k]);
		free(text);
		text = more;
	}
	putc('\n', f);
	wrap(f, text, 0, 0);
	free(text);
}

void tw_report_text(FILE *f, const struct tw_recording *r, const struct tw_verdicts *v)
{
	char counts[96], name[80];
	size_t i;

	fprintf(f, "%s lived %s, from %s to %s (%zu samples)\n", tw_printable(name, sizeof(name), r->vm),
		TW_PERIOD(r->end - r->start), TW_DATE_OF(r->start, r->end - r->start),
		TW_DATE_OF(r->end, r->end - r->start), r->samples);
	if (r->host_seconds > 0)
		fprintf(f, "in %s of the host's: %s guest seconds a host second\n", TW_PERIOD(r->host_seconds),
			TW_AMOUNT((r->end - r->start) / r->host_seconds, ""));
	if (r->policy)
		fprintf(f, "policy %s\n", tw_printable(name, sizeof(name), r->policy));
	fprintf(f, "%s", tw_report_counts(v, counts, sizeof(counts)));
	if (v->compared)
		fprintf(f, "; against the baseline %zu new or worse, %zu gone", v->fresh, v->n_gone);
	fprintf(f, "\n");
	if (r->ended && strcmp(r->ended, "span"))
		fprintf(f, "It ended early: %s\n", tw_printable(counts, sizeof(counts), r->ended));
	else if (!r->ended)
		fprintf(f, "It was interrupted: this is of what there is.\n");
	print_marks(f, v, TW_MARK_FAULT, "FAULTS");
	print_marks(f, v, TW_MARK_WARNING, "WARNINGS");
	print_marks(f, v, TW_MARK_NOTE, "NOTES");
	for (i = 0; i < v->n_gone; i++)
		fprintf(f, "%s  gone     %s\n", i ? "" : "\nNO LONGER\n",
			tw_printable(name, sizeof(name), v->gone[i]));
	print_forms(f, v);
	for (i = 0; i < r->n_missing; i++) {
		char why[160];

		fprintf(f, "Not seen: %s: ", tw_printable(name, sizeof(name), r->missing[i].source));
		fprintf(f, "%s\n", tw_printable(why, sizeof(why), r->missing[i].why));
	}
}

static int fail_write(struct tw_err *e, const char *path)
{
	int code = errno;

	tw_fail(e, TW_FAILED, "cannot write %s", TW_QUOTE(path));
	tw_fact(e, "%s", strerror(code));
	return tw_cure(e, "name a directory with --report that can be written to, with some room in it");
}

static int write_one(const char *dir, const char *name,
		     void (*print)(FILE *f, const struct tw_recording *r, const struct tw_verdicts *v),
		     const struct tw_recording *r, const struct tw_verdicts *v, struct tw_err *e)
{
	char *path = tw_asprintf("%s/%s", dir, name), *temporary = tw_asprintf("%s/.%s.XXXXXX", dir, name);
	int fd = mkostemp(temporary, 0600), status = TW_OK;
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

	if (f) {
		print(f, r, v);
		/* flushed first: what a full disk says must be heard before the old report is gone */
		if (fflush(f) || ferror(f) || fchmod(fd, 0644) || fsync(fd) || rename(temporary, path)) {
			status = fail_write(e, path);
			unlink(temporary);
		}
		fclose(f);
	} else {
		status = fail_write(e, path);
		if (fd >= 0)
			close(fd);
	}
	free(temporary);
	free(path);
	return status;
}

int tw_report_write(const char *dir, const struct tw_recording *r, const struct tw_verdicts *v,
		    struct tw_err *e)
{
	int status;

	if (mkdir(dir, 0755) && errno != EEXIST)
		return fail_write(e, dir);
	status = write_one(dir, "report.txt", tw_report_text, r, v, e);
	if (!status)
		status = write_one(dir, "report.json", tw_report_json, r, v, e);
	if (!status)
		status = write_one(dir, "report.html", tw_report_html, r, v, e);
	return status;
}
