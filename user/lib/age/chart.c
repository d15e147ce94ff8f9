// SPDX-License-Identifier: GPL-2.0
#include "age/chart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "age/format.h"
#include "json.h"
#include "judge/days.h"
#include "judge/rank.h"
#include "text.h"

#define WIDTH 760.0
#define HEIGHT 220.0
#define LEFT 84.0
#define RIGHT 14.0
#define TOP 10.0
#define BOTTOM 30.0
#define COLUMNS 334		/* two units wide each */
#define SMALL_COLUMNS 80
#define TICKS_MAX 12

void tw_html_text(FILE *f, const char *text)
{
	static const char *const names[] = { ['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;",
					     ['"'] = "&quot;", ['\''] = "&#39;" };

	while (*text) {
		unsigned char c = *text;
		size_t n = tw_utf8_len(text);

		if (c < sizeof(names) / sizeof(*names) && names[c])
			fputs(names[c], f);
		else if (!n || c < 0x20 || c == 0x7f)
			fputs("\xef\xbf\xbd", f);
		else
			fwrite(text, 1, n, f);
		text += n ? n : 1;
	}
}

struct scale {
	double t0, t1, y0, y1;
	double left, right, top, bottom;	/* on the page, in units of the picture */
};

static double x_of(const struct scale *s, double t)
{
	return s->left + (t - s->t0) / (s->t1 - s->t0) * (s->right - s->left);
}

static double y_of(const struct scale *s, double y)
{
	double at = s->bottom - (y - s->y0) / (s->y1 - s->y0) * (s->bottom - s->top);

	return fmin(fmax(at, s->top), s->bottom);
}

/* 1, 2 or 5 times a power of ten, so that about @count of them make @span */
static double nice_step(double span, int count)
{
	double raw = span / count, power = pow(10, floor(log10(raw))), m = raw / power;

	return power * (m < 1.5 ? 1 : m < 3.5 ? 2 : m < 7.5 ? 5 : 10);
}

struct column {
	double x, low, middle, high;
	size_t n;
};

/* The values by columns of the picture: the lowest, the median and the highest of each */
static size_t fill_columns(const struct scale *s, const struct tw_seen *seen, size_t columns,
			   struct column *c)
{
	double *v = tw_doubles(seen->n);
	size_t i = 0, n = 0, at;

	while (i < seen->n) {
		size_t k = 0;

		at = (seen->t[i] - s->t0) / (s->t1 - s->t0) * columns;
		while (i < seen->n && (size_t)((seen->t[i] - s->t0) / (s->t1 - s->t0) * columns) == at)
			v[k++] = seen->y[i++];
		c[n].middle = tw_median(v, k);
		c[n].low = v[0];
		c[n].high = v[k - 1];
		c[n].n = k;
		c[n++].x = s->left + (fmin(at, columns - 1) + 0.5) / columns * (s->right - s->left);
	}
	free(v);
	return n;
}

static void draw_values(FILE *f, const struct scale *s, const struct tw_seen *seen, size_t columns)
{
	struct column *c;
	size_t n, i;

	if (!seen->n)
		return;
	c = tw_grow(NULL, columns + 2, sizeof(*c));
	n = fill_columns(s, seen, columns, c);
	fprintf(f, "<path class=\"band\" d=\"");
	for (i = 0; i < n; i++)
		fprintf(f, "%c%.4g %.4g", i ? 'L' : 'M', c[i].x, y_of(s, c[i].high));
	for (i = n; i-- > 0;)
		fprintf(f, "L%.4g %.4g", c[i].x, y_of(s, c[i].low));
	fprintf(f, "Z\"/>\n<polyline class=\"line\" points=\"");
	for (i = 0; i < n; i++)
		fprintf(f, "%.4g,%.4g ", c[i].x, y_of(s, c[i].middle));
	fprintf(f, "\"/>\n");
	free(c);
}

static void find_range(const struct tw_recording *r, const struct tw_series *series,
		       const struct tw_seen *seen, struct scale *s)
{
	size_t i;
	double range;

	s->t0 = r->start;
	s->t1 = r->end > r->start ? r->end : r->start + 1;
	s->y0 = INFINITY;
	s->y1 = -INFINITY;
	for (i = 0; i < seen->n; i++) {
		s->y0 = fmin(s->y0, seen->y[i]);
		s->y1 = fmax(s->y1, seen->y[i]);
	}
	if (!seen->n)
		s->y0 = s->y1 = 0;
	range = s->y1 - s->y0;
	/* a limit far off would press the series flat */
	if (series && series->has_limit && !series->counter && seen->grows &&
	    series->limit < s->y1 + 1.5 * range && series->limit > s->y0 - 1.5 * range) {
		s->y1 = fmax(s->y1, series->limit);
		s->y0 = fmin(s->y0, series->limit);
	}
	if (s->y0 > 0 && s->y0 < 0.35 * s->y1)
		s->y0 = 0;
	range = s->y1 - s->y0;
	if (!(range > 0))
		range = s->y1 ? fabs(s->y1) : 1;
	s->y1 += 0.05 * range;
	if (s->y0 != 0)
		s->y0 -= 0.05 * range;
	if (!(s->y1 > s->y0))
		s->y0 = s->y1 - 1;
}

static void draw_y_axis(FILE *f, const struct scale *s, const char *unit)
{
	double step = nice_step(s->y1 - s->y0, 4), y;
	/* what is counted stands above the picture */
	const char *shown = !strcmp(unit, "B") || !strcmp(unit, "%") || !strcmp(unit, "s") ? unit : "";
	int i;

	for (i = 0, y = ceil(s->y0 / step) * step; y <= s->y1 && i < TICKS_MAX; y += step, i++) {
		double at = y_of(s, y);

		fprintf(f, "<path class=\"grid\" d=\"M%.4g %.4gH%.4g\"/><text class=\"y\" x=\"%.4g\" y=\"%.4g\">",
			s->left, at, s->right, s->left - 6, at + 4);
		tw_html_text(f, TW_AMOUNT(fabs(y) < step / 1e6 ? 0 : y, shown));
		fprintf(f, "</text>\n");
	}
}

static void draw_tick(FILE *f, const struct scale *s, double t, const char *label)
{
	double at = x_of(s, t);

	if (at < s->left || at > s->right)
		return;
	fprintf(f, "<path class=\"tick\" d=\"M%.4g %.4gv5\"/><text class=\"x%s\" x=\"%.4g\" y=\"%.4g\">%s</text>\n", at,
		s->bottom, at > s->right - 30 ? " last" : "", at > s->right - 30 ? s->right : at,
		s->bottom + 19, label);
}

static void draw_day(FILE *f, const struct scale *s, long day, int years, int months)
{
	int month, of_month;
	char label[32];
	long year;

	tw_date_of(day, &year, &month, &of_month);
	if (years)
		snprintf(label, sizeof(label), "%ld", year);
	else if (months)
		snprintf(label, sizeof(label), "%04ld-%02d", year, month);
	else
		snprintf(label, sizeof(label), "%02d-%02d", month, of_month);
	draw_tick(f, s, day * TW_DAY, label);
}

/* Times of day, where there are few days; the day's own beginning has its date */
static void draw_times(FILE *f, const struct scale *s)
{
	static const int steps_s[] = { 60, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200 };
	size_t i = 0;
	char label[16];
	double t;
	int left;

	while (i + 1 < sizeof(steps_s) / sizeof(*steps_s) && (s->t1 - s->t0) / steps_s[i] > 8)
		i++;
	for (t = ceil(s->t0 / steps_s[i]) * steps_s[i]; t <= s->t1; t += steps_s[i]) {
		left = fmod(t, TW_DAY);
		if (!left) {
			draw_day(f, s, t / TW_DAY, 0, 0);
			continue;
		}
		snprintf(label, sizeof(label), "%02d:%02d", left / 3600, left / 60 % 60);
		draw_tick(f, s, t, label);
	}
}

/* Beginnings of years, of months or days, or times of day, so that no more than eight or so are written */
static void draw_x_axis(FILE *f, const struct scale *s)
{
	double days = (s->t1 - s->t0) / TW_DAY;
	long day = ceil(s->t0 / TW_DAY), last = floor(s->t1 / TW_DAY), year;
	int month, of_month, by;

	fprintf(f, "<path class=\"axis\" d=\"M%.4g %.4gH%.4g\"/>\n", s->left, s->bottom, s->right);
	if (days <= 3) {
		draw_times(f, s);
		return;
	}
	if (days <= 75) {
		by = ceil(days / 8);
		for (; day <= last; day += by > 0 ? by : 1)
			draw_day(f, s, day, 0, 0);
		return;
	}
	by = ceil(days / 30.44 / 8);
	by = by > 6 ? 12 * ceil(by / 12.0) : by > 3 ? 6 : by;
	for (; day <= last; day++) {
		tw_date_of(day, &year, &month, &of_month);
		if (of_month == 1 && (year * 12 + month - 1) % by == 0)
			draw_day(f, s, day, by >= 12, 1);
	}
}

static void draw_marks(FILE *f, const struct scale *s, const struct tw_marks_at *m)
{
	size_t i;

	for (i = 0; i < m->n; i++) {
		fprintf(f, "<path class=\"mark m%d\" d=\"M%.4g %.4gV%.4g\"><title>", m->v[i].flag,
			x_of(s, m->v[i].t), s->top, s->bottom);
		tw_html_text(f, m->v[i].text);
		fprintf(f, "</title></path>\n");
	}
}

/* The line from its beginning, and the interval of its slope as a wedge around its middle */
static void draw_trend(FILE *f, const struct scale *s, const struct tw_seen *seen)
{
	const struct tw_slope *l = &seen->j.slope;
	double from = seen->j.since, to = seen->t[seen->n - 1];
	double y1 = l->level, y0 = y1 - l->middle * (to - from);

	fprintf(f, "<path class=\"trend\" d=\"M%.4g %.4gL%.4g %.4g\"><title>Theil-Sen</title></path>\n",
		x_of(s, from), y_of(s, y0), x_of(s, to), y_of(s, y1));
}

void tw_chart_series(FILE *f, const struct tw_recording *r, size_t at, const struct tw_verdicts *v,
		     const struct tw_marks_at *m)
{
	struct scale s = { .left = LEFT, .right = WIDTH - RIGHT, .top = TOP, .bottom = HEIGHT - BOTTOM };
	const struct tw_series *series = &r->series[at];
	const struct tw_seen *seen = &v->series[at];
	size_t i;

	find_range(r, series, seen, &s);
	fprintf(f, "<svg class=\"chart\" viewBox=\"0 0 %g %g\" role=\"img\" aria-label=\"", WIDTH, HEIGHT);
	tw_html_text(f, series->name);
	fprintf(f, " over guest dates\">\n");
	draw_y_axis(f, &s, series->unit);
	draw_marks(f, &s, m);
	draw_values(f, &s, seen, COLUMNS);
	for (i = 0; i < seen->j.n_changes && seen->j.form == TW_FORM_STEP; i++)
		fprintf(f, "<path class=\"change\" d=\"M%.4g %.4gV%.4g\">"
			"<title>change of level, %s</title></path>\n",
			x_of(&s, seen->j.changes[i]), s.top, s.bottom, TW_DAY_OF(seen->j.changes[i]));
	if (seen->grows)
		draw_trend(f, &s, seen);
	if (series->has_limit && series->limit <= s.y1 && series->limit >= s.y0 && !series->counter)
		fprintf(f, "<path class=\"limit\" d=\"M%.4g %.4gH%.4g\"/>"
			"<text class=\"limit\" x=\"%.4g\" y=\"%.4g\">limit</text>\n",
			s.left, y_of(&s, series->limit), s.right, s.left + 4, y_of(&s, series->limit) - 4);
	draw_x_axis(f, &s);
	fprintf(f, "</svg>\n");
}

void tw_chart_small(FILE *f, const struct tw_recording *r, const struct tw_seen *seen)
{
	struct scale s = { .left = 1, .right = 159, .top = 2, .bottom = 34 };

	find_range(r, NULL, seen, &s);
	fprintf(f, "<svg class=\"small\" viewBox=\"0 0 160 36\" aria-hidden=\"true\">");
	draw_values(f, &s, seen, SMALL_COLUMNS);
	fprintf(f, "</svg>");
}

void tw_chart_marks(FILE *f, const struct tw_recording *r, const struct tw_marks_at *m)
{
	struct scale s = { .left = LEFT + 44, .right = WIDTH - RIGHT, .top = 4 };
	int rows[TW_FLAGS] = { 0 }, n = 0, flag;
	size_t i;

	for (i = 0; i < m->n; i++)
		rows[m->v[i].flag] = 1;
	for (flag = 0; flag < TW_FLAGS; flag++)
		rows[flag] = rows[flag] ? ++n : 0;
	if (!n)
		return;
	s.t0 = r->start;
	s.t1 = r->end > r->start ? r->end : r->start + 1;
	s.bottom = s.top + 22 * n + 4;
	fprintf(f, "<svg class=\"chart\" viewBox=\"0 0 %g %g\" role=\"img\" aria-label=\"What happened when\">\n",
		WIDTH, s.bottom + BOTTOM);
	for (flag = 0; flag < TW_FLAGS; flag++)
		if (rows[flag])
			fprintf(f, "<text class=\"y\" x=\"%.4g\" y=\"%d\">%s</text>"
				"<path class=\"grid\" d=\"M%.4g %dH%.4g\"/>\n",
				s.left - 8, 22 * rows[flag] - 3, tw_flag_name(flag), s.left, 22 * rows[flag] - 7,
				s.right);
	for (i = 0; i < m->n; i++) {
		fprintf(f, "<circle class=\"dot m%d\" cx=\"%.4g\" cy=\"%d\" r=\"5\"><title>", m->v[i].flag,
			x_of(&s, m->v[i].t), 22 * rows[m->v[i].flag] - 7);
		tw_html_text(f, m->v[i].text);
		fprintf(f, "</title></circle>\n");
	}
	draw_x_axis(f, &s);
	fprintf(f, "</svg>\n");
}
