// SPDX-License-Identifier: GPL-2.0
#include "world.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kvmstat.h"
#include "text.h"

bool tw_world_parse(const char *schedstat, uint64_t *run_ns, uint64_t *wait_ns)
{
	unsigned long long run, wait, slices;

	if (sscanf(schedstat, "%llu %llu %llu", &run, &wait, &slices) != 3)
		return false;
	*run_ns = run;
	*wait_ns = wait;
	return true;
}

/* The thread that runs a vCPU stands in debugfs, as vcpuN/pid */
static void add_vcpu(const struct tw_vm *vm, const char *file, struct tw_world *w)
{
	char *text = tw_read_file(file, NULL), *path;
	uint64_t run, wait;
	int tid = text ? atoi(text) : 0;

	free(text);
	if (tid <= 0)
		return;
	path = tw_asprintf("/proc/%d/task/%d/schedstat", vm->pid, tid);
	text = tw_read_file(path, NULL);
	free(path);
	if (text && tw_world_parse(text, &run, &wait)) {
		w->vcpus++;
		w->run_ns += run;
		w->steal_ns += wait;
	}
	free(text);
}

void tw_world_read(const struct tw_vm *vm, struct tw_world *w)
{
	struct tw_kvmstats s;
	struct timespec ts;
	char *pattern;
	glob_t g;
	size_t i;

	memset(w, 0, sizeof(*w));
	clock_gettime(CLOCK_MONOTONIC, &ts);
	w->now_ns = ts.tv_sec * 1000000000ULL + ts.tv_nsec;
	if (!vm->dir)
		return;
	pattern = tw_asprintf("%s/vcpu*/pid", vm->dir);
	if (!glob(pattern, 0, NULL, &g)) {
		for (i = 0; i < g.gl_pathc; i++)
			add_vcpu(vm, g.gl_pathv[i], w);
		globfree(&g);
	}
	free(pattern);
	if (!w->vcpus)
		return;
	tw_kvmstats_open(vm, &s);
	w->stats = tw_kvmstats_sum(&s, "halt_wait_ns", &w->halt_ns) &&
		   tw_kvmstats_sum(&s, "halt_poll_success_ns", &w->poll_ok_ns) &&
		   tw_kvmstats_sum(&s, "halt_poll_fail_ns", &w->poll_vain_ns);
	tw_kvmstats_free(&s);
}

void tw_world_sub(struct tw_world *now, const struct tw_world *before)
{
	now->run_ns -= before->run_ns;
	now->steal_ns -= before->steal_ns;
	now->stats = now->stats && before->stats;
	now->halt_ns -= before->halt_ns;
	now->poll_ok_ns -= before->poll_ok_ns;
	now->poll_vain_ns -= before->poll_vain_ns;
}

uint64_t tw_world_other_ns(const struct tw_world *w, uint64_t span_ns)
{
	uint64_t known = w->run_ns + w->steal_ns + (w->stats ? w->halt_ns : 0);
	uint64_t all = span_ns * w->vcpus;

	return all > known ? all - known : 0;
}
