/* SPDX-License-Identifier: GPL-2.0 */
/* What the judges are made of: order, ranks, pairs and the normal distribution.  No I/O. */
#ifndef TW_JUDGE_RANK_H
#define TW_JUDGE_RANK_H

#include <stddef.h>

/* Fresh memory for @n doubles; ends the program when there is none */
double *tw_doubles(size_t n);

double *tw_doubles_copy(const double *v, size_t n);

void tw_sort(double *v, size_t n);

/* The median; sorts @v.  0 of nothing. */
double tw_median(double *v, size_t n);

/* Of sorted values: the value at share @q of them, between neighbours by proportion */
double tw_quantile(const double *sorted, size_t n, double q);

/* Ranks from 1; those that are equal share their mean rank */
void tw_ranks(const double *v, size_t n, double *rank);

/* Pairs i < j with v[j] < v[i]; sorts @v.  In O(n log n), by merging. */
double tw_inversions(double *v, size_t n);

/* Of sorted values: pairs that are equal, and the sum of t(t-1)(2t+5) over groups of t equals */
double tw_tied_pairs(const double *sorted, size_t n);
double tw_tied_variance(const double *sorted, size_t n);

/* Both tails of the standard normal distribution beyond |z| */
double tw_normal_p(double z);

/* The z which leaves @p in both tails together: 1.96 for 0.05 */
double tw_normal_z(double p);

#endif /* TW_JUDGE_RANK_H */
