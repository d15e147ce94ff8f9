/* SPDX-License-Identifier: GPL-2.0 */
/* Many series judged at once. */
#ifndef TW_JUDGE_MULTIPLE_H
#define TW_JUDGE_MULTIPLE_H

#include <stddef.h>

/**
 * tw_holm - correct probabilities for their number (Holm 1979)
 * @p: one probability a series
 * @n: how many
 * @adjusted: result: below alpha where the series can be blamed and the chance that any blame of
 *	      the whole report is wrong is still below alpha
 *
 * Holm and not Benjamini and Hochberg: a report that fails a release must not be wrong by a share of
 * what it blames, but hardly ever at all; and the series of one machine depend on each other (one leak
 * moves memory, cache and swap), which Holm's bound bears and theirs does only in part.
 */
void tw_holm(const double *p, size_t n, double *adjusted);

#endif /* TW_JUDGE_MULTIPLE_H */
