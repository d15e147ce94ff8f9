/* SPDX-License-Identifier: GPL-2.0 */
/* Mann-Kendall: is there a trend at all?  By order alone, so that no outlier tips it. */
#ifndef TW_JUDGE_KENDALL_H
#define TW_JUDGE_KENDALL_H

#include <stddef.h>

struct tw_kendall {
	double s;		/* pairs that rise less pairs that fall */
	double var;		/* of S where there is no trend, with ties accounted for */
	double inflation;	/* of the variance, by serial correlation: 1 for none */
	double z, p;		/* p for both directions together */
};

/**
 * tw_kendall - Mann-Kendall's test (Mann 1945, Kendall 1975)
 * @y: values in the order of time, independent of each other
 * @n: how many
 *
 * Exact up to 10 values without ties (Kendall's table), else by the normal distribution with
 * Kendall's correction for ties and for continuity.
 */
struct tw_kendall tw_kendall(const double *y, size_t n);

/* The same, with the variance widened by tw_kendall_inflation() */
struct tw_kendall tw_kendall_serial(const double *t, const double *y, size_t n);

/**
 * tw_kendall_inflation - by how much serial correlation widens the variance of S
 * @t: times, strictly rising, at nearly even intervals
 * @y: values
 * @n: how many
 *
 * The larger of two estimates from the ranks of what a Theil-Sen line leaves: of Hamed and Rao (1998),
 * over the lags that are significant; and of an autoregression of first order whose coefficient is
 * corrected for its bias (Hamed 2009) and taken at its upper 95 % bound, as short series hide their
 * memory.  Never below 1: noise which alternates shall not make anything more certain.
 */
double tw_kendall_inflation(const double *t, const double *y, size_t n);

/**
 * tw_kendall_seasonal - the seasonal test (Hirsch, Slack and Smith 1982), with covariances between
 * seasons (Hirsch and Slack 1984)
 * @y: @days rows of @slots values: one row a day, one column a time of day
 * @days: rows
 * @slots: columns
 *
 * Values are compared with those of the same time of day only, so that a daily rhythm is no trend.
 * Serial correlation from day to day is left to the caller: see inflation.
 */
struct tw_kendall tw_kendall_seasonal(const double *y, size_t days, size_t slots);

/* Applies an inflation to a result */
void tw_kendall_inflate(struct tw_kendall *k, double inflation);

#endif /* TW_JUDGE_KENDALL_H */
