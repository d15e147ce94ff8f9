// SPDX-License-Identifier: GPL-2.0
#include "awake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "text.h"

#define LOOK_NS 10000000000ULL

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* The first word of /proc/PID/task/TID/schedstat: ns on a CPU. -1 if there is no such vCPU */
static int64_t ran(const struct tw_vm *vm, int vcpu)
{
	char *path = tw_asprintf("%s/vcpu%d/pid", vm->dir, vcpu), *text = tw_read_file(path, NULL);
	int tid = text ? atoi(text) : 0;
	int64_t ns = -1;

	free(path);
	free(text);
	if (tid <= 0)
		return -1;
	path = tw_asprintf("/proc/%d/task/%d/schedstat", vm->pid, tid);
	text = tw_read_file(path, NULL);
	if (text)
		ns = strtoll(text, NULL, 10);
	free(path);
	free(text);
	return ns;
}

static void begin(struct tw_awake *a, const struct tw_vm *vm, uint64_t now, uint64_t leaps)
{
	int i;

	a->since_ns = now;
	a->leaps = leaps;
	for (i = 0; i < TW_AWAKE_VCPUS; i++)
		a->ran_ns[i] = ran(vm, i);
}

/* Who halts now and then has not run for most of it: half, on a host that is busy itself */
static void explain(const struct tw_awake *a, const struct tw_vm *vm, uint64_t span, char *why, size_t size)
{
	size_t len;
	int i, n = 0;

	len = snprintf(why, size, "nothing was skipped for %llu s:", (unsigned long long)(span / 1000000000));
	for (i = 0; i < TW_AWAKE_VCPUS && len < size; i++) {
		int64_t ns = ran(vm, i);

		if (ns < 0 || a->ran_ns[i] == UINT64_MAX || ns - a->ran_ns[i] < span / 2)
			continue;
		len += snprintf(why + len, size - len, "%s vCPU %d", n++ ? "," : "", i);
	}
	if (len >= size)
		return;
	if (n)
		snprintf(why + len, size - len, " %s not halt (a busy program, or idle=poll, cpu-pm=on)", n == 1 ? "does" : "do");
	else
		snprintf(why + len, size - len, " no vCPU is busy, so QEMU is awake, or a timer is always near");
}

bool tw_awake_look(struct tw_awake *a, const struct tw_vm *vm, uint64_t leaps, char *why, size_t size)
{
	uint64_t now = now_ns(), span = now - a->since_ns;

	if (!vm->dir || a->told)
		return false;
	if (!a->since_ns || leaps != a->leaps) {
		begin(a, vm, now, leaps);
		return false;
	}
	if (span < LOOK_NS)
		return false;
	a->told = true;
	explain(a, vm, span, why, size);
	return true;
}
