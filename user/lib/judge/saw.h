/* SPDX-License-Identifier: GPL-2.0 */
/* Saw-teeth: what grows until something puts it back, as logs do that are rotated. */
#ifndef TW_JUDGE_SAW_H
#define TW_JUDGE_SAW_H

#include <stdbool.h>
#include <stddef.h>

struct tw_saw {
	size_t drops;
	double period;		/* between drops, the median in seconds; 0 with fewer than two */
	double height;		/* of a tooth, the median; negative where it falls and is lifted */
	size_t teeth;		/* whole ones: between two drops */
	double *t, *y;		/* of each whole tooth: its middle and its median */
};

/**
 * tw_saw - recognize saw-teeth
 * @t: times, strictly rising
 * @y: values
 * @n: how many
 * @s: result, to be freed with tw_saw_free(), whatever is returned
 *
 * A drop takes back two fifths of the spread or more within one sample, jumps of that size the other
 * way are rare, and between drops it rises. A single drop must undo what rose before it.
 */
bool tw_saw(const double *t, const double *y, size_t n, struct tw_saw *s);

void tw_saw_free(struct tw_saw *s);

#endif /* TW_JUDGE_SAW_H */
