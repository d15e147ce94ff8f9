/* SPDX-License-Identifier: GPL-2.0 */
/* What stat counts as metrics, in Prometheus' text format. */
#ifndef TW_METRICS_H
#define TW_METRICS_H

#include <stdint.h>
#include <stdio.h>

#include "roster.h"
#include "rows.h"
#include "warps.h"

struct tw_metrics {
	const struct tw_rows *rows;
	struct tw_roster *roster;
	const struct tw_warps *warps;
	uint64_t events_lost, units_lost;	/* see tw_tracer_losses() */
};

/**
 * tw_metrics_write - write all families
 *
 * A family's samples stand together, as the format wants it.  VMs that have gone are left out: a
 * series that goes on as it was would be a VM that lives.
 */
void tw_metrics_write(FILE *f, const struct tw_metrics *m);

#endif /* TW_METRICS_H */
