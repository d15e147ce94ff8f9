// SPDX-License-Identifier: GPL-2.0
#include "judge/days.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "judge/rank.h"

#define SLOTS_MAX 24

static double middle_step(const double *t, size_t n)
{
	double *step = tw_doubles(n - 1), m;
	size_t i;

	for (i = 0; i + 1 < n; i++)
		step[i] = t[i + 1] - t[i];
	m = tw_median(step, n - 1);
	free(step);
	return m;
}

/* How many times of day are told apart; 1 where samples are further apart than half a day */
static size_t count_slots(double step)
{
	double slots = floor(TW_DAY / step + 0.01);

	return slots < 2 ? 1 : slots > SLOTS_MAX ? SLOTS_MAX : slots;
}

/* Days begin half a slot early, so that samples taken late or early stay in theirs */
static void place(double t, double start, size_t slots, size_t *day, size_t *slot)
{
	double since = t - start + TW_DAY / slots / 2, d = floor(since / TW_DAY);
	size_t s = (since - d * TW_DAY) / (TW_DAY / slots);

	*day = d;
	*slot = s < slots ? s : slots - 1;
}

/* Days without a sample are left out: the order is what counts */
static void by_day(const double *t, const double *y, size_t n, size_t slots, struct tw_days *d)
{
	size_t days = (t[n - 1] - t[0]) / TW_DAY + 2, i, j, k, day, next, slot, seen;
	double *v = tw_doubles(n), *row = tw_doubles(slots);

	d->t = tw_doubles(days);
	d->y = tw_doubles(days);
	d->matrix = tw_doubles(days * slots);
	d->length = TW_DAY;
	d->slots = slots;
	for (i = 0; i < n; i = j) {
		double sum = 0;

		for (k = 0; k < slots; k++)
			row[k] = NAN;
		place(t[i], t[0], slots, &day, &slot);
		for (j = i, next = day, seen = 0; j < n; j++) {
			place(t[j], t[0], slots, &next, &slot);
			if (next != day)
				break;
			sum += t[j];
			v[j - i] = y[j];
			seen += isnan(row[slot]);
			row[slot] = y[j];
		}
		/* half a day at either end would compare times of day */
		if (slots > 1 && 2 * seen < slots)
			continue;
		d->t[d->n] = sum / (j - i);
		d->y[d->n++] = tw_median(v, j - i);
		if (seen == slots)
			memcpy(d->matrix + d->rows++ * slots, row, slots * sizeof(*row));
	}
	free(v);
	free(row);
}

/* Takes off what a time of day has above the rest */
static void level_slots(const double *t, size_t n, size_t slots, double *y)
{
	double *v = tw_doubles_copy(y, n), all = tw_median(v, n);
	size_t s, i, k, day, slot;

	for (s = 0; s < slots; s++) {
		double off;

		for (i = 0, k = 0; i < n; i++) {
			place(t[i], t[0], slots, &day, &slot);
			if (slot == s)
				v[k++] = y[i];
		}
		off = k ? tw_median(v, k) - all : 0;
		for (i = 0; i < n; i++) {
			place(t[i], t[0], slots, &day, &slot);
			if (slot == s)
				y[i] -= off;
		}
	}
	free(v);
}

void tw_days(const double *t, const double *y, size_t n, struct tw_days *d)
{
	double step = middle_step(t, n), span = t[n - 1] - t[0];
	size_t slots = count_slots(step);

	*d = (struct tw_days){ 0 };
	if (span >= (TW_DAYS_LEAST - 1) * TW_DAY && step < 1.01 * TW_DAY) {
		by_day(t, y, n, slots, d);
		if (d->n >= TW_DAYS_LEAST)
			return;
		tw_days_free(d);
	}
	d->t = tw_doubles_copy(t, n);
	d->y = tw_doubles_copy(y, n);
	d->n = n;
	d->length = step;
	if (slots > 1 && span >= 2 * TW_DAY)
		level_slots(t, n, slots, d->y);
}

void tw_days_join(const struct tw_days *from, size_t k, struct tw_days *d)
{
	size_t skip = from->n % k, i, j;
	double *v = tw_doubles(k);

	*d = (struct tw_days){ .length = from->length * k };
	d->t = tw_doubles(from->n / k);
	d->y = tw_doubles(from->n / k);
	for (i = skip; i < from->n; i += k) {
		double sum = 0;

		for (j = 0; j < k; j++)
			sum += from->t[i + j];
		memcpy(v, from->y + i, k * sizeof(*v));
		d->t[d->n] = sum / k;
		d->y[d->n++] = tw_median(v, k);
	}
	free(v);
}

void tw_days_free(struct tw_days *d)
{
	free(d->t);
	free(d->y);
	free(d->matrix);
	*d = (struct tw_days){ 0 };
}
