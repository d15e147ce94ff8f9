// SPDX-License-Identifier: GPL-2.0
#include "host.h"

#include <bpf/btf.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "text.h"

const struct btf *tw_host_kvm_btf(void)
{
	static struct btf *btf;
	struct btf *base;

	if (btf)
		return btf;
	base = btf__parse("/sys/kernel/btf/vmlinux", NULL);
	if (!base)
		return NULL;
	if (!access("/sys/kernel/btf/kvm", F_OK))
		btf = btf__parse_split("/sys/kernel/btf/kvm", base);
	else
		btf = base;	/* KVM built in */
	return btf;
}

int tw_host_own_type(const struct btf *btf, const char *name, unsigned int kind)
{
	const struct btf *base = btf ? btf__base_btf(btf) : NULL;
	int id = base ? btf__type_cnt(base) : 1, n = btf ? btf__type_cnt(btf) : 0;

	for (; id < n; id++) {
		const struct btf_type *t = btf__type_by_id(btf, id);

		if (btf_kind(t) == kind && !strcmp(btf__name_by_offset(btf, t->name_off), name))
			return id;
	}
	return -1;
}

bool tw_host_knows(const char *type, const char *member)
{
	const struct btf *btf = tw_host_kvm_btf();
	int id = tw_host_own_type(btf, type, BTF_KIND_STRUCT), i;
	const struct btf_type *t = id < 0 ? NULL : btf__type_by_id(btf, id);

	for (i = 0; t && i < btf_vlen(t); i++)
		if (!strcmp(btf__name_by_offset(btf, btf_members(t)[i].name_off), member))
			return true;
	return false;
}

int tw_host_abi(void)
{
	const struct btf *btf = tw_host_kvm_btf();
	const struct btf_type *t;
	int id, i;

	if (tw_host_own_type(btf, "kvm_timewarp_ops", BTF_KIND_STRUCT) < 0)
		return -1;
	id = tw_host_own_type(btf, "kvm_timewarp_abi", BTF_KIND_ENUM);
	if (id < 0)
		return -1;
	t = btf__type_by_id(btf, id);
	for (i = 0; i < btf_vlen(t); i++)
		if (!strcmp(btf__name_by_offset(btf, btf_enum(t)[i].name_off), "KVM_TIMEWARP_ABI"))
			return btf_enum(t)[i].val;
	return -1;
}

bool tw_host_has_hook(void)
{
	return !access(TW_SWITCH, F_OK);
}

enum tw_lockdown tw_host_lockdown(void)
{
	struct statfs fs;
	char line[64];

	if (!tw_read_line(TW_SECURITYFS "/lockdown", line, sizeof(line))) {
		bool none = errno == ENOENT && !statfs(TW_SECURITYFS, &fs) && fs.f_type == SECURITYFS_MAGIC;

		return none ? TW_LOCKDOWN_NONE : TW_LOCKDOWN_UNKNOWN;
	}
	if (strstr(line, "[confidentiality]"))
		return TW_LOCKDOWN_CONFIDENTIALITY;
	return strstr(line, "[integrity]") ? TW_LOCKDOWN_INTEGRITY : TW_LOCKDOWN_NONE;
}

bool tw_host_switched_on(void)
{
	char line[16];

	return !tw_read_line(TW_SWITCH, line, sizeof(line)) || *line == 'Y' || *line == '1';
}

/* A word in a line of /proc/cpuinfo: "flags" (AMD) or "vmx flags" (Intel) */
static bool cpu_flag(const char *cpuinfo, const char *line, const char *flag)
{
	const char *s = strstr(cpuinfo, line), *end, *hit;
	size_t len = strlen(flag);

	if (!s)
		return false;
	end = s + 1 + strcspn(s + 1, "\n");
	for (hit = s; (hit = strstr(hit, flag)) && hit < end; hit += len)
		if (hit[-1] == ' ' && (hit[len] == ' ' || hit[len] == '\n' || !hit[len]))
			return true;
	return false;
}

const char *tw_host_tsc_scaling(void)
{
	char *cpuinfo = tw_read_file("/proc/cpuinfo", NULL);
	bool svm = cpuinfo && cpu_flag(cpuinfo, "\nflags", "tsc_scale");
	bool vmx = cpuinfo && cpu_flag(cpuinfo, "\nvmx flags", "tsc_scaling");
	bool known = cpuinfo;

	free(cpuinfo);
	return !known ? NULL : svm ? "SVM" : vmx ? "VMX" : "";
}

bool tw_host_scales_tsc(void)
{
	const char *by = tw_host_tsc_scaling();

	return by && *by;
}

static int64_t clock_ns(clockid_t id)
{
	struct timespec ts = { 0 };

	clock_gettime(id, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

int64_t tw_host_epoch_ns(void)
{
	int64_t best = INT64_MAX, epoch = 0;
	int i;

	/* Whoever is preempted between two readings has them apart: the tightest of some */
	for (i = 0; i < 5; i++) {
		int64_t begin = clock_ns(CLOCK_MONOTONIC_RAW), boot = clock_ns(CLOCK_BOOTTIME);
		int64_t mono = clock_ns(CLOCK_MONOTONIC), real = clock_ns(CLOCK_REALTIME);
		int64_t end = clock_ns(CLOCK_MONOTONIC_RAW), suspended = boot - mono;

		if (end - begin >= best)
			continue;
		best = end - begin;
		/* what is less than a millisecond lies between the two readings */
		epoch = real - (begin + best / 2) - (suspended > 1000000 ? suspended : 0);
	}
	return epoch;
}
