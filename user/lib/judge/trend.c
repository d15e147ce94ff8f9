// SPDX-License-Identifier: GPL-2.0
#include "judge/trend.h"


#include "judge/kendall.h"

static void doubt(struct tw_trend *r, const struct tw_kendall *k, double scale)
{
	if (k->p < r->p)
		return;
	r->p = k->p;
	r->z = k->z;
	r->inflation = k->inflation;
	r->scale = scale;
}

/* Weeks where there are enough, as what comes weekly is no trend either */
static size_t next_scale(size_t n, double length, size_t k)
{
	if (k == 1 && length == TW_DAY && n / 7 >= TW_TREND_BLOCKS)
		return 7;
	return 2 * k;
}

struct tw_trend tw_trend(const struct tw_days *d, double slope_p)
{
	struct tw_trend r = { .inflation = 1 };
	struct tw_kendall k = tw_kendall_serial(d->t, d->y, d->n);
	double inflation = k.inflation;
	size_t by;

	if (d->n < 4) {
		r.p = 1;
		return r;
	}
	doubt(&r, &k, d->length);
	if (d->rows >= TW_DAYS_LEAST && d->slots > 1) {
		k = tw_kendall_seasonal(d->matrix, d->rows, d->slots);
		tw_kendall_inflate(&k, inflation);
		doubt(&r, &k, d->length / d->slots);
	}
	for (by = next_scale(d->n, d->length, 1); d->n / by >= TW_TREND_BLOCKS;
	     by = next_scale(d->n, d->length, by)) {
		struct tw_days joined;

		tw_days_join(d, by, &joined);
		k = tw_kendall_serial(joined.t, joined.y, joined.n);
		doubt(&r, &k, joined.length);
		tw_days_free(&joined);
	}
	r.slope = tw_slope(d->t, d->y, d->n, slope_p, r.inflation);
	return r;
}
