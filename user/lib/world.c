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
	struct tw_vcpu_time t = { 0 };

	t.tid = text ? atoi(text) : 0;
	free(text);
	if (t.tid <= 0)
		return;
	path = tw_asprintf("/proc/%d/task/%d/schedstat", vm->pid, t.tid);
	text = tw_read_file(path, NULL);
	free(path);
	if (text && tw_world_parse(text, &t.run_ns, &t.steal_ns)) {
		w->v = tw_grow(w->v, w->vcpus + 1, sizeof(*w->v));
		w->v[w->vcpus++] = t;
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
	/* before 6.0 nobody tells, and a halt shows when it is over */
	if (!tw_kvmstats_sum(&s, "blocking", &w->blocking))
		w->blocking = 0;
	tw_kvmstats_free(&s);
}

void tw_world_free(struct tw_world *w)
{
	free(w->v);
	w->v = NULL;
	w->vcpus = 0;
}

static const struct tw_vcpu_time *find_thread(const struct tw_world *w, int tid)
{
	unsigned int i;

	for (i = 0; i < w->vcpus; i++)
		if (w->v[i].tid == tid)
			return &w->v[i];
	return NULL;
}

static uint64_t grown(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

static uint64_t at_most(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* What of the time slept were halts */
static uint64_t halted(struct tw_shares *s, uint64_t counted, uint64_t slept, bool ran, bool blocking)
{
	uint64_t halt = at_most(grown(counted, s->owed_ns), slept);

	/* A halt that was not over then is counted by now, if its vCPU has run since */
	s->owed_ns = ran ? 0 : grown(s->owed_ns, counted);
	if (!blocking)
		return halt;
	s->owed_ns += slept - halt;
	return slept;
}

void tw_shares_add(struct tw_shares *s, const struct tw_world *before, const struct tw_world *now)
{
	uint64_t span = grown(now->now_ns, before->now_ns), all, run = 0, steal = 0, halt = 0;
	unsigned int i, both = 0;

	s->vcpus = now->vcpus;
	s->stats = now->stats && before->stats;
	for (i = 0; i < now->vcpus; i++) {
		const struct tw_vcpu_time *t = find_thread(before, now->v[i].tid);

		if (!t)
			continue;
		both++;
		run += at_most(grown(now->v[i].run_ns, t->run_ns), span);
		steal += at_most(grown(now->v[i].steal_ns, t->steal_ns), span);
	}
	all = span * both;
	run = at_most(run, all);
	steal = at_most(steal, all - run);
	if (s->stats)
		halt = halted(s, grown(now->halt_ns, before->halt_ns), all - run - steal, run > 0,
			      now->blocking > 0);
	s->span_ns += all;
	s->run_ns += run;
	s->steal_ns += steal;
	s->halt_ns += halt;
	s->other_ns += all - run - steal - halt;
	if (!s->stats)
		return;
	s->poll_ok_ns += grown(now->poll_ok_ns, before->poll_ok_ns);
	s->poll_vain_ns += grown(now->poll_vain_ns, before->poll_vain_ns);
}

void tw_shares_sub(struct tw_shares *now, const struct tw_shares *before)
{
	now->span_ns -= before->span_ns;
	now->run_ns -= before->run_ns;
	now->steal_ns -= before->steal_ns;
	now->halt_ns -= before->halt_ns;
	now->other_ns -= before->other_ns;
	now->poll_ok_ns -= before->poll_ok_ns;
	now->poll_vain_ns -= before->poll_vain_ns;
}
