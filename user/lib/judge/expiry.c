// SPDX-License-Identifier: GPL-2.0
#include "judge/expiry.h"

#include <math.h>

struct tw_expiry tw_expiry(const struct tw_expiry_seen *seen, size_t n, double ahead)
{
	struct tw_expiry r = { .state = TW_EXPIRY_VALID, .when = seen[n - 1].ends };
	double least = INFINITY, left = seen[n - 1].ends - seen[n - 1].t;
	size_t i;

	for (i = 0; i < n; i++) {
		if (i && seen[i].ends > seen[i - 1].ends) {
			r.renewals++;
			least = fmin(least, seen[i - 1].ends - seen[i].t);
		}
		/* a renewal between two looks came too late if the old one had ended by the second */
		if (r.state != TW_EXPIRY_ENDED &&
		    (seen[i].t >= seen[i].ends || (i && seen[i - 1].ends <= seen[i].t))) {
			r.state = TW_EXPIRY_ENDED;
			r.when = seen[i].t >= seen[i].ends ? seen[i].ends : seen[i - 1].ends;
		}
		if (r.state == TW_EXPIRY_ENDED && !r.back && seen[i].ends > seen[i].t)
			r.back = seen[i].t;
	}
	if (r.state == TW_EXPIRY_ENDED)
		return r;
	/* one that is always renewed a week before is not overdue with eight days left */
	if (r.renewals && left >= least)
		r.state = TW_EXPIRY_RENEWED;
	else if (left <= ahead)
		r.state = TW_EXPIRY_ENDS;
	return r;
}
