/* SPDX-License-Identifier: GPL-2.0 */
/* One series judged: all that trend.h, saw.h and shape.h have to say of it. */
#ifndef TW_JUDGE_SERIES_H
#define TW_JUDGE_SERIES_H

#include <stddef.h>

#include "judge/shape.h"
#include "judge/slope.h"

enum tw_form {
	TW_FORM_SHORT,		/* too few samples to say anything */
	TW_FORM_STEADY,		/* no trend; or none that this many samples show */
	TW_FORM_TREND,		/* it goes on up or down at its end */
	TW_FORM_STEP,		/* another level, or two; no trend at either */
	TW_FORM_FILLED,		/* it filled up and stays */
	TW_FORM_SAW,		/* saw-teeth; where p is small, of teeth that grow */
};

struct tw_judged {
	enum tw_form form;
	double p;		/* that it does not go on growing or falling; not yet corrected for many series */
	struct tw_slope slope;	/* per second, of its last stretch */
	double since;		/* when that stretch began */
	double step_p;		/* that there is no change of level; 1 where none was looked at */
	double changes[TW_STEPS_MAX];	/* when it bends or steps, in order */
	size_t n_changes;
	double settled;		/* FILLED: the level */
	double period, height;	/* SAW */
	size_t teeth;
};

#define TW_SERIES_LEAST 8	/* samples; fewer are SHORT */

/**
 * tw_judge_series - judge one series
 * @t: seconds, strictly rising
 * @y: values
 * @n: how many
 *
 * The form is what it looks like if it is anything: correct @p of all series with tw_holm(), and take
 * TREND and growing teeth for real only where that stays below alpha.
 */
struct tw_judged tw_judge_series(const double *t, const double *y, size_t n);

#endif /* TW_JUDGE_SERIES_H */
