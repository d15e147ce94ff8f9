// SPDX-License-Identifier: GPL-2.0
#include "host.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "text.h"
#include "types.h"

bool tw_host_knows(const char *type, const char *member)
{
	return tw_types_member(tw_types_of_kvm(), type, member);
}

int tw_host_abi(void)
{
	struct tw_types *kvm = tw_types_of_kvm();
	int id = tw_types_find(kvm, BTF_KIND_ENUM, "kvm_timewarp_abi"), i;
	const struct btf_type *t = id < 0 ? NULL : tw_types_own(kvm, id);

	if (tw_types_find(kvm, BTF_KIND_STRUCT, "kvm_timewarp_ops") < 0)
		return -1;
	for (i = 0; t && i < btf_vlen(t); i++)
		if (!strcmp(tw_types_name(kvm, btf_enum(t)[i].name_off), "KVM_TIMEWARP_ABI"))
			return btf_enum(t)[i].val;
	return -1;
}

bool tw_host_has_hook(void)
{
	return !access(TW_SWITCH, F_OK);
}

/* Whether a kernel that shows no lockdown file has no lockdown: its securityfs is mounted, or it has not even that */
static bool knows_no_lockdown(void)
{
	struct statfs fs;

	if (!statfs(TW_SECURITYFS, &fs))
		return fs.f_type == SECURITYFS_MAGIC;
	/* the kernel makes that directory in sysfs for it */
	return errno == ENOENT && !statfs("/sys/kernel", &fs) && fs.f_type == SYSFS_MAGIC;
}

enum tw_lockdown tw_host_lockdown(void)
{
	char line[64];

	if (!tw_read_line(TW_SECURITYFS "/lockdown", line, sizeof(line)))
		return errno == ENOENT && knows_no_lockdown() ? TW_LOCKDOWN_NONE : TW_LOCKDOWN_UNKNOWN;
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
