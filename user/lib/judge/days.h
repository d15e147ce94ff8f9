/* SPDX-License-Identifier: GPL-2.0 */
/* Samples by day and time of day, so that a daily rhythm can be told from a trend. */
#ifndef TW_JUDGE_DAYS_H
#define TW_JUDGE_DAYS_H

#include <stddef.h>

#define TW_DAY 86400.0

struct tw_days {
	size_t n;		/* blocks, in the order of time */
	double *t, *y;		/* the middle of each, in seconds, and its median */
	double length;		/* of a block, in seconds */
	size_t rows, slots;	/* days that have each time of day; 0 rows where there are too few */
	double *matrix;		/* theirs: rows x slots */
};

#define TW_DAYS_LEAST 24	/* with fewer days, blocks are shorter than a day */

/**
 * tw_days - cut a series into blocks of a day each, or of a sample each if there are too few days
 * @t: seconds since 1970, strictly rising
 * @y: values
 * @n: how many, 2 or more
 * @d: result, to be freed with tw_days_free()
 *
 * Where there are two days or more, but fewer than TW_DAYS_LEAST, what a time of day has above the
 * median of all is taken off its samples.
 */
void tw_days(const double *t, const double *y, size_t n, struct tw_days *d);

/* Joins each @k blocks into one, by their median; the rest at the start is left out: the end counts */
void tw_days_join(const struct tw_days *from, size_t k, struct tw_days *d);

void tw_days_free(struct tw_days *d);

#endif /* TW_JUDGE_DAYS_H */
