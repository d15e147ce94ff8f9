// SPDX-License-Identifier: GPL-2.0
#include "readiness.h"

#include <errno.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "host.h"
#include "session/dir.h"
#include "session/session.h"
#include "text.h"
#include "timewarp.h"
#include "trace_names.h"
#include "trace_places.h"
#include "types.h"

#define DEBUGFS_MAGIC 0x64626720
#define BPF_FS_MAGIC 0xcafe4a11
#define CAP_SYS_PTRACE 19
#define CAP_SYS_ADMIN 21

#define LOAD "modprobe kvm_intel || modprobe kvm_amd"
#define INSTALL "install timewarp-dkms (or make kvm install-kvm KERNEL=$(uname -r)), then timewarp-reload"

static void fact(struct tw_check *c, enum tw_verdict verdict, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void fact(struct tw_check *c, enum tw_verdict verdict, const char *fmt, ...)
{
	va_list ap;

	c->verdict = verdict;
	va_start(ap, fmt);
	vsnprintf(c->fact, sizeof(c->fact), fmt, ap);
	va_end(ap);
}

static void cure(struct tw_check *c, const char *text)
{
	snprintf(c->cure, sizeof(c->cure), "%s", text);
}

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static void check_kernel(struct tw_check *c)
{
	struct utsname u;

	uname(&u);
	fact(c, TW_PRESENT, "%s %s", u.sysname, u.release);
}

static bool has_cap(int cap)
{
	char *text = tw_read_file("/proc/self/status", NULL);
	const char *s = text ? strstr(text, "\nCapEff:") : NULL;
	unsigned long long set = s ? strtoull(s + 8, NULL, 16) : 0;

	free(text);
	return set >> cap & 1;
}

static void check_privilege(struct tw_check *c)
{
	if (has_cap(CAP_SYS_ADMIN) && has_cap(CAP_SYS_PTRACE)) {
		fact(c, TW_PRESENT, "CAP_SYS_ADMIN and CAP_SYS_PTRACE are held");
		return;
	}
	fact(c, TW_MISSING, "CAP_SYS_ADMIN and CAP_SYS_PTRACE are not both held");
	c->status = TW_FAILED;
	cure(c, "run twctl as root");
}

/* As the kernel numbers the first ones of all; which they are is the same in each kernel (PROC_USER_INIT_INO, PROC_PID_INIT_INO) */
#define FIRST_USER_NS 0xeffffffdU
#define FIRST_PID_NS 0xeffffffcU

/* Root in a container holds all capabilities, of its own namespaces */
static void check_namespace(struct tw_check *c)
{
	struct stat user, pid;

	if (stat("/proc/self/ns/user", &user) || stat("/proc/self/ns/pid", &pid)) {
		fact(c, TW_UNKNOWN, "the namespaces of this process are not shown");
		return;
	}
	c->status = TW_FAILED;
	cure(c, "run twctl on the host itself, outside of the container");
	if (user.st_ino != FIRST_USER_NS)
		fact(c, TW_MISSING, "this is a user namespace, whose root may not load BPF programs");
	else if (pid.st_ino != FIRST_PID_NS)
		fact(c, TW_MISSING, "this is a PID namespace, and KVM names VMs by the host's PIDs");
	else
		fact(c, TW_PRESENT, "the host's own user and PID namespaces");
}

static void check_lockdown(struct tw_check *c)
{
	enum tw_lockdown lockdown = tw_host_lockdown();

	if (lockdown == TW_LOCKDOWN_UNKNOWN) {
		fact(c, TW_UNKNOWN, "securityfs is not mounted on " TW_SECURITYFS);
		cure(c, "mount -t securityfs securityfs " TW_SECURITYFS);
	} else if (lockdown == TW_LOCKDOWN_NONE) {
		fact(c, TW_PRESENT, "not locked down");
	} else {
		fact(c, TW_LIMITED, "locked down for %s: unsigned modules do not load, and QEMU's own clocks stay on host time",
		     lockdown == TW_LOCKDOWN_INTEGRITY ? "integrity" : "confidentiality");
		cure(c, "sign the patched modules, or boot without lockdown");
	}
}

static void check_bpf_read(struct tw_check *c)
{
	switch (tw_host_lockdown()) {
	case TW_LOCKDOWN_UNKNOWN:
		fact(c, TW_UNKNOWN, "BPF programs may read the kernel's memory unless it is locked down for confidentiality");
		break;
	case TW_LOCKDOWN_CONFIDENTIALITY:
		fact(c, TW_MISSING, "locked down for confidentiality: BPF programs may not read the kernel's memory, and so nothing can be traced");
		cure(c, "boot with lockdown=integrity, or without lockdown");
		break;
	default:
		fact(c, TW_PRESENT, "BPF programs may read the kernel's memory");
	}
}

static void check_btf(struct tw_check *c)
{
	if (exists("/sys/kernel/btf/vmlinux")) {
		fact(c, TW_PRESENT, "/sys/kernel/btf/vmlinux");
		return;
	}
	fact(c, TW_MISSING, "the kernel carries no BTF (CONFIG_DEBUG_INFO_BTF)");
	cure(c, "boot the distribution's own kernel");
}

static long read_sysctl(const char *path)
{
	char line[32];

	return tw_read_line(path, line, sizeof(line)) ? atol(line) : -1;
}

/* Where there is no such file, the kernel knows no other way than the JIT */
static void check_jit(struct tw_check *c)
{
	if (read_sysctl("/proc/sys/net/core/bpf_jit_enable") == 0) {
		fact(c, TW_MISSING, "BPF's JIT compiler is off: no policy, probe or tracer loads");
		cure(c, "sysctl net.core.bpf_jit_enable=1");
		return;
	}
	if (read_sysctl("/proc/sys/net/core/bpf_jit_harden") == 2) {
		fact(c, TW_LIMITED, "the JIT blinds constants (bpf_jit_harden=2): programs cost more");
		cure(c, "sysctl net.core.bpf_jit_harden=1, which spares root's");
		return;
	}
	fact(c, TW_PRESENT, "BPF programs are compiled");
}

static void check_kptr(struct tw_check *c)
{
	if (read_sysctl("/proc/sys/kernel/kptr_restrict") == 2) {
		fact(c, TW_LIMITED, "addresses are hidden from root, too (kptr_restrict=2)");
		cure(c, "sysctl kernel.kptr_restrict=1: the tracer then knows how late a TSC deadline is that KVM finds past");
		return;
	}
	fact(c, TW_PRESENT, "the tracer may see where the kernel keeps its clock");
}

static void check_pidfd(struct tw_check *c)
{
	if (syscall(SYS_pidfd_getfd, -1, -1, 0) < 0 && errno == ENOSYS) {
		fact(c, TW_MISSING, "the kernel has no pidfd_getfd()");
		cure(c, "boot a kernel of 6.12 or later");
		return;
	}
	fact(c, TW_PRESENT, "pidfd_getfd()");
}

static bool is_module(void)
{
	return exists("/sys/module/kvm/initstate");
}

static void check_kvm(struct tw_check *c)
{
	if (!exists("/sys/module/kvm")) {
		fact(c, TW_MISSING, "the kvm module is not loaded");
		cure(c, LOAD);
		return;
	}
	/* The device, which a service with a /dev of its own need not see */
	if (!exists("/sys/class/misc/kvm")) {
		fact(c, TW_MISSING, "kvm is loaded without kvm_intel or kvm_amd: no /dev/kvm");
		cure(c, LOAD "; virtualization may be off in the firmware");
		return;
	}
	fact(c, TW_PRESENT, "%s, /dev/kvm", is_module() ? "module" : "built in");
}

/* A module can be replaced while the host runs; built in, it cannot */
static void cure_by_install(struct tw_check *c)
{
	if (is_module())
		cure(c, INSTALL);
	else
		cure(c, "KVM is built into this kernel: boot one with kvm as a module (Debian's)");
}

/* Whether a file of this pattern, with the release for %s, is there */
static bool matches(const char *pattern)
{
	struct utsname u;
	glob_t found;
	char *path;
	bool any;

	uname(&u);
	path = tw_asprintf(pattern, u.release);
	any = !glob(path, GLOB_NOSORT, NULL, &found);
	if (any)
		globfree(&found);
	free(path);
	return any;
}

/* By tools/build-kvm --install, or by DKMS, which may compress it */
static bool patched_is_installed(void)
{
	return matches("/lib/modules/%s/updates/timewarp/kvm.ko") ||
	       matches("/lib/modules/%s/updates/dkms/kvm.ko*");
}

static void check_hook(struct tw_check *c)
{
	if (!exists("/sys/module/kvm")) {
		fact(c, TW_MISSING, "kvm is not loaded");
		cure(c, LOAD);
		return;
	}
	if (tw_types_find(tw_types_of_kvm(), BTF_KIND_STRUCT, "kvm_timewarp_ops") >= 0) {
		fact(c, TW_PRESENT, "kvm has struct kvm_timewarp_ops");
		return;
	}
	if (tw_host_has_hook()) {
		fact(c, TW_MISSING, "kvm is patched, but /sys/kernel/btf/kvm is not there");
	} else if (patched_is_installed()) {
		fact(c, TW_MISSING, "a patched kvm is installed, but the stock one was loaded: from the "
		     "initramfs, or before it was there");
		cure(c, "timewarp-reload; if it comes back at the next boot: update-initramfs -u");
		return;
	} else if (is_module() && matches("/usr/src/timewarp-*/dkms.conf")) {
		fact(c, TW_MISSING, "a stock kvm runs: timewarp-dkms has built none for this kernel");
		cure(c, "dkms autoinstall, which says why if it cannot; then timewarp-reload");
		return;
	} else {
		fact(c, TW_MISSING, "the kvm that runs is a stock one, without the hook");
	}
	cure_by_install(c);
}

static void check_abi(struct tw_check *c)
{
	int abi = tw_host_abi();

	if (abi == KVM_TIMEWARP_ABI) {
		fact(c, TW_PRESENT, "version %d", abi);
		return;
	}
	if (abi < 0) {
		fact(c, TW_MISSING, "no hook (twctl speaks version %d)", KVM_TIMEWARP_ABI);
		cure_by_install(c);
		return;
	}
	fact(c, TW_MISSING, "the kernel's is version %d, twctl's %d", abi, KVM_TIMEWARP_ABI);
	cure(c, "install timewarp and timewarp-dkms of one version, then timewarp-reload");
}

static void check_switch(struct tw_check *c)
{
	if (!tw_host_has_hook()) {
		fact(c, TW_UNKNOWN, "no hook");
		return;
	}
	if (tw_host_switched_on()) {
		fact(c, TW_PRESENT, "kvm.timewarp is on");
		return;
	}
	fact(c, TW_MISSING, "switched off by the module parameter kvm.timewarp");
	cure(c, "echo 1 > " TW_SWITCH);
}

/* Whether a word stands in the kernel's command line */
static bool kernel_option(const char *word)
{
	char *text = tw_read_file("/proc/cmdline", NULL), *rest = text, *w;
	bool found = false;

	while (!found && rest && (w = strsep(&rest, " \n")))
		found = !strcmp(w, word);
	free(text);
	return found;
}

static void check_debugfs(struct tw_check *c)
{
	struct statfs fs;

	if (statfs("/sys/kernel/debug", &fs) || fs.f_type != DEBUGFS_MAGIC) {
		c->status = TW_FAILED;
		if (kernel_option("debugfs=off")) {
			fact(c, TW_MISSING, "the kernel was booted with debugfs=off");
			cure(c, "boot without it");
			return;
		}
		fact(c, TW_MISSING, "debugfs is not mounted on /sys/kernel/debug");
		cure(c, "mount -t debugfs debugfs /sys/kernel/debug");
		return;
	}
	if (exists(TW_KVM_DEBUGFS)) {
		fact(c, TW_PRESENT, TW_KVM_DEBUGFS);
		return;
	}
	if (access("/sys/kernel/debug", X_OK)) {
		fact(c, TW_UNKNOWN, "/sys/kernel/debug may not be read");
		cure(c, "run twctl as root");
		return;
	}
	fact(c, TW_MISSING, "debugfs is mounted, but KVM is not there");
	cure(c, LOAD);
}

static void check_bpffs(struct tw_check *c)
{
	struct statfs fs;

	if (!statfs(TW_BPFFS, &fs) && fs.f_type == (__typeof__(fs.f_type))BPF_FS_MAGIC) {
		fact(c, TW_PRESENT, TW_BPFFS);
		return;
	}
	fact(c, TW_MISSING, "no BPF file system on " TW_BPFFS " (for attach --pin)");
	c->status = TW_FAILED;
	cure(c, "mount -t bpf -o mode=700 bpf " TW_BPFFS);
}

/* What sessions have left that nobody completes, or that somebody cannot */
static void check_left(struct tw_check *c)
{
	char ids[100], why[TW_WHY_MAX];

	if (access(tw_pin_root, F_OK) && errno != ENOENT) {
		fact(c, TW_UNKNOWN, "%s may not be read", tw_pin_root);
		cure(c, "run twctl as root");
		return;
	}
	fact(c, TW_PRESENT, "nothing is left of VMs that are gone");
	if (tw_pins_left(ids, sizeof(ids))) {
		fact(c, TW_LIMITED, "pinned for VMs that are gone: %s", ids);
		cure(c, "twctl detach --stale");
	} else if (tw_session_stuck(NULL, why)) {
		fact(c, TW_LIMITED, "%.159s", why);
		cure(c, "end what is in its way");
	}
}

static void check_clocksource(struct tw_check *c)
{
	char line[64];

	if (!tw_read_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", line,
			  sizeof(line))) {
		fact(c, TW_UNKNOWN, "the host's clocksource is not shown");
		return;
	}
	if (!strcmp(line, "tsc")) {
		fact(c, TW_PRESENT, "the host keeps time by its TSC");
		return;
	}
	fact(c, TW_LIMITED, "the host's clocksource is %s: attach wants a stable TSC", line);
	cure(c, "look for 'clocksource' and 'TSC' in the kernel log");
}

static void check_scaling(struct tw_check *c)
{
	const char *by = tw_host_tsc_scaling();

	if (!by)
		fact(c, TW_UNKNOWN, "/proc/cpuinfo cannot be read");
	else if (*by)
		fact(c, TW_PRESENT, "the CPU scales its guests' TSC (%s)", by);
	else
		fact(c, TW_LIMITED, "the CPU cannot: auto means trapped, an exit for each RDTSC");
}

/* What trace, hist and stat see here: each subject once */
static void check_trace(struct tw_check *c)
{
	struct tw_strings names;
	size_t i, k, len;

	if (tw_host_lockdown() == TW_LOCKDOWN_CONFIDENTIALITY) {
		fact(c, TW_MISSING, "none of KVM's timers and clocks can be traced: see bpf-read");
		return;
	}
	if (!exists("/sys/kernel/btf/vmlinux") || !exists("/sys/module/kvm")) {
		fact(c, TW_UNKNOWN, "no BTF of KVM to look into");
		return;
	}
	tw_places_missing(&names);
	fact(c, TW_PRESENT, "all of KVM's timers and clocks can be traced");
	for (i = 0; i < names.n; i++) {
		const char *what = tw_subject_name(names.v[i]);

		for (k = 0; k < i && strcmp(tw_subject_name(names.v[k]), what); k++)
			;
		if (!i)
			fact(c, TW_LIMITED, "this kernel gives no view of: %s", what);
		len = strlen(c->fact);
		if (i && k == i)
			snprintf(c->fact + len, sizeof(c->fact) - len, ", %s", what);
	}
	for (i = 0; i < names.n; i++)
		free((char *)names.v[i]);
	free(names.v);
}

static const struct {
	const char *name;
	unsigned int needs;
	void (*check)(struct tw_check *c);
} table[] = {
	{ "kernel", 0, check_kernel },
	{ "privilege", TW_NEED_HOOK | TW_NEED_TRACE, check_privilege },
	{ "namespace", TW_NEED_HOOK | TW_NEED_TRACE, check_namespace },
	{ "lockdown", 0, check_lockdown },
	{ "kernel-btf", TW_NEED_HOOK | TW_NEED_TRACE, check_btf },
	{ "bpf-jit", TW_NEED_HOOK | TW_NEED_TRACE, check_jit },
	{ "bpf-read", TW_NEED_TRACE, check_bpf_read },
	{ "kptr", 0, check_kptr },
	{ "pidfd", TW_NEED_HOOK, check_pidfd },
	{ "kvm", TW_NEED_HOOK | TW_NEED_TRACE, check_kvm },
	{ "hook", TW_NEED_HOOK, check_hook },
	{ "abi", TW_NEED_HOOK, check_abi },
	{ "switch", TW_NEED_HOOK, check_switch },
	{ "debugfs", TW_NEED_STATE | TW_NEED_TRACE, check_debugfs },
	{ "bpffs", TW_NEED_PIN, check_bpffs },
	{ "left", 0, check_left },
	{ "clocksource", 0, check_clocksource },
	{ "tsc-scaling", 0, check_scaling },
	{ "trace", 0, check_trace },
};

#define NR_CHECKS (sizeof(table) / sizeof(*table))

static void run_check(size_t i, struct tw_check *c)
{
	memset(c, 0, sizeof(*c));
	c->name = table[i].name;
	c->needs = table[i].needs;
	c->status = TW_UNSUPPORTED;
	table[i].check(c);
}

size_t tw_host_probe(struct tw_check **checks)
{
	size_t i;

	*checks = tw_grow(NULL, NR_CHECKS, sizeof(**checks));
	for (i = 0; i < NR_CHECKS; i++)
		run_check(i, &(*checks)[i]);
	return NR_CHECKS;
}

int tw_host_require(unsigned int needs, struct tw_err *e)
{
	struct tw_check c;
	size_t i;

	for (i = 0; i < NR_CHECKS; i++) {
		if (!(table[i].needs & needs))
			continue;
		run_check(i, &c);
		if (c.verdict != TW_MISSING)
			continue;
		tw_fail(e, c.status, "this host lacks: %s", c.name);
		tw_fact(e, "%s", c.fact);
		return tw_cure(e, "%s (twctl probe shows all)", c.cure);
	}
	return TW_OK;
}

const char *tw_verdict_name(enum tw_verdict v)
{
	static const char *const names[] = {
		[TW_PRESENT] = "ok",
		[TW_MISSING] = "missing",
		[TW_LIMITED] = "limited",
		[TW_UNKNOWN] = "unknown",
	};

	return names[v];
}
