/* SPDX-License-Identifier: GPL-2.0 */
/* The VMs that KVM's hook knows, and how fast each one's time runs: what is seen without looking for processes. */
#ifndef TW_WARPS_H
#define TW_WARPS_H

#include <stdbool.h>
#include <stddef.h>

#include "timewarp.h"

struct tw_warp {
	char id[32];			/* PID-FD */
	bool attached;
	struct timewarp_factor force;	/* where it is */
};

struct tw_warps {
	struct tw_warp *v;
	size_t n;
};

/**
 * tw_warps_read - read the state file of each VM
 * @w: result, to be freed with tw_warps_free(); empty where KVM is not a patched one
 *
 * A VM that ends meanwhile is left out.
 */
void tw_warps_read(struct tw_warps *w);

void tw_warps_free(struct tw_warps *w);

#endif /* TW_WARPS_H */
