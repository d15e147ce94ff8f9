// SPDX-License-Identifier: GPL-2.0
#include "warps.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "state.h"
#include "text.h"

static void add(struct tw_warps *w, char *file)
{
	struct tw_err ignored = { 0 };
	struct tw_state st;
	struct tw_warp *one;

	/* the file's directory */
	*strrchr(file, '/') = 0;
	if (tw_state_read(file, &st, &ignored)) {
		tw_err_free(&ignored);
		return;
	}
	w->v = tw_grow(w->v, w->n + 1, sizeof(*w->v));
	one = &w->v[w->n++];
	memset(one, 0, sizeof(*one));
	snprintf(one->id, sizeof(one->id), "%s", strrchr(file, '/') + 1);
	one->attached = st.attached;
	one->force = st.force;
}

void tw_warps_read(struct tw_warps *w)
{
	glob_t g;
	size_t i;

	memset(w, 0, sizeof(*w));
	if (glob(TW_KVM_DEBUGFS "/*-*/timewarp", GLOB_NOSORT, NULL, &g))
		return;
	for (i = 0; i < g.gl_pathc; i++)
		add(w, g.gl_pathv[i]);
	globfree(&g);
}

void tw_warps_free(struct tw_warps *w)
{
	free(w->v);
	memset(w, 0, sizeof(*w));
}
