// SPDX-License-Identifier: GPL-2.0
#include "awake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kvmstat.h"
#include "text.h"

#define LOOK_NS 10000000000ULL
#define AGAIN_NS 600000000000ULL

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

static void read_exits(const struct tw_vm *vm, uint64_t exits[TW_NR_EXITS])
{
	static const char *const names[] = { "exits", "io_exits", "mmio_exits", "irq_exits", "halt_exits", "hypercalls" };
	struct tw_kvmstats s;
	int i;

	tw_kvmstats_open(vm, &s);
	for (i = 0; i < TW_NR_EXITS; i++)
		if (!tw_kvmstats_sum(&s, names[i], &exits[i]))
			exits[i] = 0;
	tw_kvmstats_free(&s);
}

const char *tw_awake_exits(const uint64_t before[TW_NR_EXITS], const uint64_t now[TW_NR_EXITS], uint64_t span_ns, char *buf,
			   size_t size)
{
	static const char *const what[] = { "", "ports", "registers of devices", "interrupts of the host", "halts", "hypercalls" };
	uint64_t all = now[TW_EXITS] - before[TW_EXITS], most = 0;
	int i, found = 0;

	snprintf(buf, size, "%s", "");
	if (!now[TW_EXITS] || now[TW_EXITS] < before[TW_EXITS] || span_ns < 1000000000)
		return buf;
	for (i = TW_EXITS_IO; i < TW_NR_EXITS; i++)
		if (now[i] > before[i] && now[i] - before[i] > most) {
			most = now[i] - before[i];
			found = i;
		}
	snprintf(buf, size, ", %llu exits/s%s%s", (unsigned long long)(all / (span_ns / 1000000000)),
		 most > all / 2 ? ", mostly for " : "", most > all / 2 ? what[found] : "");
	return buf;
}

static void begin(struct tw_awake *a, const struct tw_vm *vm, uint64_t now, uint64_t leaps)
{
	int i;

	a->since_ns = now;
	a->leaps = leaps;
	for (i = 0; i < TW_AWAKE_VCPUS; i++)
		a->ran_ns[i] = ran(vm, i);
	read_exits(vm, a->exits);
	a->told = false;
}

/* Who halts now and then has not run for most of it: half, on a host that is busy itself */
static void explain(const struct tw_awake *a, const struct tw_vm *vm, uint64_t span, char *why, size_t size)
{
	uint64_t exits[TW_NR_EXITS];
	char how[80];
	size_t len;
	int i, n = 0;

	read_exits(vm, exits);
	tw_awake_exits(a->exits, exits, span, how, sizeof(how));
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
		snprintf(why + len, size - len, " %s not halt (a busy program, or idle=poll, cpu-pm=on)%s", n == 1 ? "does" : "do", how);
	else
		snprintf(why + len, size - len, " no vCPU is busy, so QEMU is awake, or a timer is always near%s", how);
}

bool tw_awake_look(struct tw_awake *a, const struct tw_vm *vm, uint64_t leaps, char *why, size_t size)
{
	uint64_t now = now_ns(), span = now - a->since_ns;

	if (!vm->dir)
		return false;
	if (!a->since_ns || leaps != a->leaps) {
		begin(a, vm, now, leaps);
		return false;
	}
	if (span < LOOK_NS || a->told || (a->told_ns && now - a->told_ns < AGAIN_NS))
		return false;
	a->told = true;
	a->told_ns = now;
	explain(a, vm, span, why, size);
	return true;
}
