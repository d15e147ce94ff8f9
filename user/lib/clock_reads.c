// SPDX-License-Identifier: GPL-2.0
#include "clock_reads.h"

#include <errno.h>
#include <string.h>

#include "policy_priv.h"
#include "reads.skel.h"

static int explain(struct tw_err *e, const char *doing, int err)
{
	tw_fail(e, err == -EPERM ? TW_FAILED : TW_UNSUPPORTED, "cannot see which clocks the guest reads");
	e->code = -err;
	tw_fact(e, "%s: %s", doing, *tw_bpf_last_warning() ? tw_bpf_last_warning() : strerror(-err));
	return tw_cure(e, "%s", err == -EPERM ? "run twctl as root" : "see twctl probe");
}

int tw_clock_reads_begin(struct tw_clock_reads *r, const struct tw_vm *vm, struct tw_err *e)
{
	int err;

	r->skel = tw_reads_bpf__open();
	if (!r->skel)
		return explain(e, "its programs cannot be opened", -errno);
	r->skel->bss->reads.pid = vm->pid;
	err = tw_reads_bpf__load(r->skel);
	if (err)
		return explain(e, "its programs do not load", err);
	err = tw_reads_bpf__attach(r->skel);
	if (err)
		return explain(e, "its programs do not attach", err);
	return TW_OK;
}

void tw_clock_reads_take(const struct tw_clock_reads *r, struct tw_reads *reads)
{
	memset(reads, 0, sizeof(*reads));
	if (r->skel)
		*reads = r->skel->bss->reads;
}

void tw_clock_reads_end(struct tw_clock_reads *r)
{
	tw_reads_bpf__destroy(r->skel);
	r->skel = NULL;
}
