// SPDX-License-Identifier: GPL-2.0
#include "clock_reads.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "policy_priv.h"

/* 32 bits at QEMU's 100 MHz are 42.9 s, 24 bits at 3.579545 MHz 4.7 s */
#define HPET_BEARS_NS 10000000000ULL
#define PM_TIMER_BEARS_NS 1000000000ULL

extern const char tw_reads_bpf[], tw_reads_bpf_end[];

static int explain(struct tw_err *e, const char *doing, int err)
{
	tw_fail(e, err == -EPERM ? TW_FAILED : TW_UNSUPPORTED, "cannot see which clocks the guest reads");
	e->code = -err;
	tw_fact(e, "%s: %s", doing, *tw_bpf_last_warning() ? tw_bpf_last_warning() : strerror(-err));
	return tw_cure(e, "%s", err == -EPERM ? "run twctl as root" : "see twctl probe");
}

int tw_clock_reads_begin(struct tw_clock_reads *r, const struct tw_vm *vm, struct tw_err *e)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "reads");
	struct bpf_program *prog;
	struct bpf_map *map;
	struct tw_reads *reads;
	size_t size = 0;
	int err, i = 0;

	memset(r, 0, sizeof(*r));
	r->obj = bpf_object__open_mem(tw_reads_bpf, tw_reads_bpf_end - tw_reads_bpf, &opts);
	map = r->obj ? bpf_object__find_map_by_name(r->obj, TW_READS_SECTION) : NULL;
	reads = map ? bpf_map__initial_value(map, &size) : NULL;
	if (!reads || size != sizeof(*reads))
		return explain(e, "its programs cannot be opened", -EINVAL);
	reads->pid = vm->pid;
	err = bpf_object__load(r->obj);
	if (err)
		return explain(e, "its programs do not load", err);
	bpf_object__for_each_program(prog, r->obj) {
		r->links[i] = bpf_program__attach(prog);
		if (!r->links[i++])
			return explain(e, "its programs do not attach", -errno);
	}
	return TW_OK;
}

void tw_clock_reads_take(const struct tw_clock_reads *r, struct tw_reads *reads)
{
	struct bpf_map *map = r->obj ? bpf_object__find_map_by_name(r->obj, TW_READS_SECTION) : NULL;
	unsigned int zero = 0;

	memset(reads, 0, sizeof(*reads));
	if (map)
		bpf_map_lookup_elem(bpf_map__fd(map), &zero, reads);
}

void tw_clock_reads_end(struct tw_clock_reads *r)
{
	int i;

	for (i = 0; i < 2; i++)
		bpf_link__destroy(r->links[i]);
	bpf_object__close(r->obj);
	memset(r, 0, sizeof(*r));
}

uint64_t tw_clock_bears_ns(const struct tw_reads *reads)
{
	return reads->pm_timer ? PM_TIMER_BEARS_NS : reads->hpet ? HPET_BEARS_NS : 0;
}
