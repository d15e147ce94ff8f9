/* SPDX-License-Identifier: GPL-2.0 */
/* When did the level change? */
#ifndef TW_JUDGE_CHANGE_H
#define TW_JUDGE_CHANGE_H

#include <stddef.h>

struct tw_change {
	size_t at;		/* the first value of the new level */
	double k;		/* Pettitt's statistic */
	double p;		/* both directions; of independent values */
	double before, after;	/* medians */
};

/**
 * tw_change - the one change point that is likeliest (Pettitt 1979)
 * @y: values in the order of time
 * @n: how many, 2 or more
 *
 * Where there is a trend it is found too, in its middle: shape.h tells the two apart.
 */
struct tw_change tw_change(const double *y, size_t n);

#define TW_CHANGES_MAX 8

/**
 * tw_changes - all change points, by splitting at each and looking at both sides again
 * @y: values
 * @n: how many
 * @p: no change point above it
 * @least: no piece is shorter
 * @change: result, in the order of time
 *
 * Return: how many
 */
size_t tw_changes(const double *y, size_t n, double p, size_t least,
		  struct tw_change change[TW_CHANGES_MAX]);

#endif /* TW_JUDGE_CHANGE_H */
