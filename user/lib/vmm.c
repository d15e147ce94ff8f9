// SPDX-License-Identifier: GPL-2.0
#include "btf.h"
#include "vmm.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "code.h"
#include "diagnose.h"
#include "host.h"
#include "policy.h"
#include "policy_priv.h"
#include "text.h"

/* By so much may a timer be late after a change that nobody told the main loop of */
#define LONGEST_SLEEP_NS 20000000

extern const char tw_vmm_bpf[], tw_vmm_bpf_end[];

/* ---- the process's memory */

static bool read_mem(pid_t pid, uint64_t from, void *to, size_t size)
{
	struct iovec l = { to, size }, r = { (void *)from, size };

	return process_vm_readv(pid, &l, 1, &r, 1, 0) == (ssize_t)size;
}

static uint64_t read_u64(pid_t pid, uint64_t from)
{
	uint64_t v;

	return read_mem(pid, from, &v, sizeof(v)) ? v : 0;
}

static bool write_u64(pid_t pid, uint64_t to, uint64_t v)
{
	struct iovec l = { &v, sizeof(v) }, r = { (void *)to, sizeof(v) };

	return process_vm_writev(pid, &l, 1, &r, 1, 0) == sizeof(v);
}

static bool add_u64(pid_t pid, uint64_t to, uint64_t d)
{
	uint64_t v;

	return read_mem(pid, to, &v, sizeof(v)) && write_u64(pid, to, v + d);
}

/* ---- looking */

struct place {
	const struct tw_vm *vm;
	struct tw_code code;
	uint64_t bias;			/* where the program was loaded minus where it was linked */
	struct tw_vmm_look *look;
};

static bool no(struct tw_vmm_look *look, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static bool no(struct tw_vmm_look *look, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(look->why, sizeof(look->why), fmt, ap);
	va_end(ap);
	return false;
}

static bool no_rtc(struct tw_vmm_look *look, const char *why)
{
	snprintf(look->why_rtc, sizeof(look->why_rtc), "%s", why);
	return false;
}

/* Where the program's first byte stands in the process: its mapping of file offset 0 */
static bool find_bias(struct place *p)
{
	unsigned int major, minor;
	unsigned long from, offset, inode;
	uint64_t first;
	struct stat st;
	char path[48], *text, *line, *rest;
	bool found = false;

	/* what is linked at file offset 0, 0 for a program that can be loaded anywhere */
	if (fstat(p->code.fd, &st))
		return false;
	for (first = 0; first < (1ULL << 32); first += 0x400000) {
		uint64_t at;

		if (tw_code_offset(&p->code, first, &at) && !at)
			break;
	}
	snprintf(path, sizeof(path), "/proc/%d/maps", p->vm->pid);
	text = tw_read_file(path, NULL);
	for (rest = text; !found && rest && (line = strsep(&rest, "\n"));)
		found = sscanf(line, "%lx-%*x %*s %lx %x:%x %lu", &from, &offset, &major, &minor,
			       &inode) == 5 && !offset && inode == st.st_ino;
	free(text);
	p->bias = from - first;
	return found;
}

static void add_site(struct tw_vmm_look *look, uint64_t offset, uint64_t cookie)
{
	if (look->nr_sites == TW_VMM_MAX_SITES)
		return;
	look->offset[look->nr_sites] = offset;
	look->cookie[look->nr_sites++] = cookie;
}

static size_t add_calls(struct place *p, const char *function, const char *callee, uint64_t cookie)
{
	struct tw_call calls[8];
	size_t n = tw_code_calls(&p->code, function, callee, calls, 8), i;

	for (i = 0; i < n; i++) {
		add_site(p->look, calls[i].offset, cookie);
		add_site(p->look, calls[i].offset + calls[i].len,
			 cookie == VMM_CALL_PPOLL ? VMM_POLLED : VMM_RETURNED);
	}
	return n;
}

static bool variable(struct place *p, const char *name, uint64_t *addr)
{
	uint64_t linked;

	if (!tw_code_symbol(&p->code, name, &linked, NULL))
		return no(p->look, "it has no symbol %s", name);
	*addr = linked + p->bias;
	return true;
}

/*
 * struct TimersState of QEMU, private to it. The places are as in 5.0 to 10; whether the functions
 * that read them look there is asked of the program itself.
 */
#define STATE_SEQLOCK 0x10
#define STATE_ENABLED 0x18
#define STATE_OFFSET 0x38

static bool find_virtual_clock(struct place *p)
{
	struct vmm_state *s = &p->look->state;
	uint64_t state = 0, linked;
	const char *reader = "cpu_get_clock_locked";
	short enabled;

	if (!variable(p, "timers_state", &state))
		return false;
	linked = state - p->bias;
	s->seqlock = state + STATE_SEQLOCK;
	s->enabled = state + STATE_ENABLED;
	s->offset = state + STATE_OFFSET;
	if (!add_calls(p, reader, "clock_gettime", VMM_CALL_MONOTONIC)) {
		reader = "cpu_get_clock";
		if (!add_calls(p, reader, "clock_gettime", VMM_CALL_MONOTONIC))
			return no(p->look, "its cpu_get_clock() calls no clock_gettime()");
	} else {
		add_calls(p, "cpu_get_clock", "clock_gettime", VMM_CALL_MONOTONIC);
	}
	add_calls(p, "cpu_enable_ticks", "clock_gettime", VMM_CALL_MONOTONIC);
	add_calls(p, "cpu_disable_ticks", "clock_gettime", VMM_CALL_MONOTONIC);
	if (!tw_code_refers(&p->code, reader, linked + STATE_OFFSET) ||
	    !tw_code_refers(&p->code, reader, linked + STATE_ENABLED) ||
	    !tw_code_refers(&p->code, "cpu_get_clock", linked + STATE_SEQLOCK))
		return no(p->look, "its timers_state is laid out in a way that twctl does not know");
	if (!read_mem(p->vm->pid, s->enabled, &enabled, sizeof(enabled)) || enabled >> 1)
		return no(p->look, "its memory is not what its symbols say");
	return true;
}

/* The main loop's timers: a list for each clock, which names its clock */
static bool find_timers(struct place *p)
{
	struct vmm_state *s = &p->look->state;
	pid_t pid = p->vm->pid;
	uint64_t lists = 0, list, clock, timer, addr, entry;
	int i, type;

	if (!variable(p, "main_loop_tlg", &lists))
		return false;
	s->timerlists = lists;
	if (!add_calls(p, "qemu_poll_ns", "ppoll", VMM_CALL_PPOLL))
		return no(p->look, "its qemu_poll_ns() calls no ppoll()");
	if (!tw_code_symbol(&p->code, "qemu_poll_ns", &addr, NULL) ||
	    !tw_code_offset(&p->code, addr, &entry))
		return no(p->look, "it has no symbol qemu_poll_ns");
	add_site(p->look, entry, VMM_POLLS);
	for (i = 0; i < VMM_NR_CLOCKS; i++) {
		list = read_u64(pid, s->timerlists + 8 * i);
		clock = read_u64(pid, list);
		if (!read_mem(pid, clock + 8, &type, sizeof(type)) || type != i)
			return no(p->look, "its lists of timers are not where twctl looks for them");
		timer = read_u64(pid, list + VMM_LIST_ACTIVE);
		/* QEMUTimer: its list comes second */
		if (timer && read_u64(pid, timer + 8) != list)
			return no(p->look, "its timers are laid out in a way that twctl does not know");
	}
	return true;
}

/* An object's type, through QOM: object, class, type, name */
static bool is_object(pid_t pid, uint64_t object, const char *type)
{
	uint64_t name = read_u64(pid, read_u64(pid, read_u64(pid, object)));
	char text[32] = { 0 };

	return name && read_mem(pid, name, text, sizeof(text) - 1) && !strcmp(text, type);
}

static bool is_timer_of(pid_t pid, uint64_t timer, uint64_t list, uint64_t device)
{
	return timer && read_u64(pid, timer + 8) == list && read_u64(pid, timer + 24) == device;
}

/*
 * RTCState of QEMU: around the pointer to its periodic timer stand, in words of 8 bytes,
 *	-5 base_rtc (s), -4 last_update (ns), -3 offset (ns), -2 irq, -1 it_shift,
 *	 0 periodic_timer, 1 next_periodic_time, 2 update_timer, 3 next_alarm_time
 */
#define RTC_LAST_UPDATE (-4 * 8)
#define RTC_NEXT_PERIODIC (1 * 8)
#define RTC_UPDATE_TIMER (2 * 8)
#define RTC_NEXT_ALARM (3 * 8)
#define RTC_SEARCH 0x600

static uint64_t find_rtc_timer(pid_t pid, uint64_t device, uint64_t list)
{
	uint64_t at;

	for (at = device; at < device + RTC_SEARCH; at += 8)
		if (is_timer_of(pid, read_u64(pid, at), list, device) &&
		    is_timer_of(pid, read_u64(pid, at + RTC_UPDATE_TIMER), list, device))
			return at;
	return 0;
}

static bool find_rtc(struct place *p)
{
	struct vmm_state *s = &p->look->state;
	uint64_t head, clock_at, list, updated, now;
	pid_t pid = p->vm->pid;
	struct timespec ts;
	int type = -1;

	if (!tw_code_symbol(&p->code, "rtc_clock", &clock_at, NULL) ||
	    !read_mem(pid, clock_at + p->bias, &type, sizeof(type)))
		return no_rtc(p->look, "which clock the RTC runs by cannot be seen");
	if (type == VMM_CLOCK_VIRTUAL) {
		p->look->rtc_virtual = true;
		return true;
	}
	if (type != VMM_CLOCK_HOST)
		return no_rtc(p->look, "it was told to: -rtc clock=rt");
	head = tw_code_first_load(&p->code, "qmp_rtc_reset_reinjection");
	s->rtc_device = head ? read_u64(pid, head + p->bias) : 0;
	if (!s->rtc_device || !is_object(pid, s->rtc_device, "mc146818rtc"))
		return no_rtc(p->look, "the RTC is not where twctl looks for it");
	list = read_u64(pid, s->timerlists + 8 * VMM_CLOCK_HOST);
	s->rtc_periodic = find_rtc_timer(pid, s->rtc_device, list);
	updated = s->rtc_periodic ? read_u64(pid, s->rtc_periodic + RTC_LAST_UPDATE) : 0;
	clock_gettime(CLOCK_REALTIME, &ts);
	now = ts.tv_sec * 1000000000ULL + ts.tv_nsec;
	/* A clock that was set last within ten years, by the host's clock of today */
	if (!updated || updated > now || now - updated > 315360000ULL * 1000000000)
		return no_rtc(p->look, "the RTC is laid out in a way that twctl does not know");
	if (!add_calls(p, "qemu_clock_get_ns", "gettimeofday", VMM_CALL_REALTIME))
		return no_rtc(p->look, "QEMU's qemu_clock_get_ns() calls no gettimeofday()");
	s->rtc = 1;
	return true;
}

/* Whether every thread keeps the signal for a signalfd; else it would end the process */
static bool signal_is_blocked(pid_t pid)
{
	char *path = tw_asprintf("/proc/%d/task", pid), *text, *line;
	unsigned long long mask;
	struct dirent *d;
	DIR *dir = opendir(path);
	bool all = dir;

	free(path);
	while (all && (d = readdir(dir))) {
		if (*d->d_name == '.')
			continue;
		path = tw_asprintf("/proc/%d/task/%s/status", pid, d->d_name);
		text = tw_read_file(path, NULL);
		line = text ? strstr(text, "\nSigBlk:") : NULL;
		/* a thread that has just ended has no file */
		if (text && (!line || sscanf(line, "\nSigBlk: %llx", &mask) != 1 ||
			     !(mask >> (VMM_WAKE_SIGNAL - 1) & 1)))
			all = false;
		free(text);
		free(path);
	}
	if (dir)
		closedir(dir);
	return all;
}

/* Whether vCPUs halt in user space, as they do with a LAPIC there, and so may pass KVM's hooks late */
static bool halts_in_user_space(pid_t pid)
{
	struct tw_qemu_time q;
	size_t len = 0;
	char *argv = tw_read_cmdline(pid, &len);

	tw_qemu_time_parse(argv ? argv : "", argv ? len : 0, &q);
	free(argv);
	return q.irqchip == TW_IRQCHIP_USER;
}

static bool look_inside(struct place *p)
{
	struct tw_vmm_look *look = p->look;

	if (tw_code_is_static(&p->code))
		return no(look, "%.32s is linked statically", p->vm->comm);
	if (!tw_code_symbol(&p->code, "cpu_get_clock", &(uint64_t){0}, NULL))
		return no(look, "%.32s is not QEMU, or has no symbols", p->vm->comm);
	if (!find_bias(p))
		return no(look, "where its program is loaded cannot be seen");
	if (!find_virtual_clock(p) || !find_timers(p))
		return false;
	if (!signal_is_blocked(p->vm->pid))
		return no(look, "one of its threads would be ended by the signal that wakes it");
	find_rtc(p);
	look->state.longest_ns = halts_in_user_space(p->vm->pid) ? LONGEST_SLEEP_NS : 0;
	return true;
}

/* Lockdown forbids writing to a process's memory from BPF, in either of its modes but none */
static bool locked_down(void)
{
	char *text = tw_read_file("/sys/kernel/security/lockdown", NULL);
	bool yes = text && !strstr(text, "[none]");

	free(text);
	return yes;
}

bool tw_vmm_uring(pid_t pid)
{
	char *path = tw_asprintf("/proc/%d/fd", pid), to[64];
	DIR *dir = opendir(path);
	bool found = false;
	struct dirent *d;
	ssize_t len;

	free(path);
	while (dir && !found && (d = readdir(dir))) {
		len = readlinkat(dirfd(dir), d->d_name, to, sizeof(to) - 1);
		to[len > 0 ? len : 0] = 0;
		found = !strcmp(to, "anon_inode:[io_uring]");
	}
	if (dir)
		closedir(dir);
	return found;
}

/* KVM has a directory for each, PID-FD */
static int vms_of(const struct tw_vm *vm)
{
	char *pattern = tw_asprintf("%.*s/%d-*", (int)(strrchr(vm->dir, '/') - vm->dir), vm->dir,
				    vm->pid);
	glob_t g;
	int n = 0;

	if (!glob(pattern, GLOB_NOSORT, NULL, &g)) {
		n = g.gl_pathc;
		globfree(&g);
	}
	free(pattern);
	return n;
}

void tw_vmm_look(const struct tw_vm *vm, struct tw_vmm_look *look)
{
	struct place p = { .vm = vm, .look = look };
	char *exe = tw_asprintf("/proc/%d/exe", vm->pid);
	int vms = vm->dir ? vms_of(vm) : 0;

	memset(look, 0, sizeof(*look));
	look->state.pid = vm->pid;
	if (!vm->dir)
		no(look, "KVM's state files are not to be seen");
	else if (locked_down())
		no(look, "the kernel is locked down");
	else if (vms > 1)
		no(look, "its process has %d VMs, and clocks follow one timeline only", vms);
	else if (!tw_code_open(&p.code, exe))
		no(look, "its program cannot be read: %s", errno ? strerror(errno) : "no x86-64 ELF");
	else
		look->possible = look_inside(&p);
	if (p.code.elf)
		tw_code_close(&p.code);
	free(exe);
}

/* ---- attaching */

static int explain(struct tw_err *e, const char *doing, int err)
{
	tw_fail(e, TW_UNSUPPORTED, "cannot have the VMM's clocks follow");
	e->code = -err;
	tw_fact(e, "%s: %s", doing,
		*tw_bpf_last_warning() ? tw_bpf_last_warning() : strerror(-err));
	return tw_cure(e, "leave them on host time: --vmm off");
}

static void *initial_value(struct bpf_object *obj, const char *section, size_t expected)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj, section);
	size_t size = 0;
	void *data = map ? bpf_map__initial_value(map, &size) : NULL;

	return size == expected ? data : NULL;
}

/*
 * Where the timeline is that the VM has had, if it has; and what the VMM's clocks are not to be ahead by:
 * it was before their time, or is in their offsets.
 */
static void set_bases(const struct tw_vm *vm, struct vmm_state *s, struct vmm_segments *segments)
{
	struct tw_err ignored = { 0 };
	struct tw_state st;

	if (!vm->dir || tw_state_read(vm->dir, &st, &ignored))
		memset(&st, 0, sizeof(st));
	tw_err_free(&ignored);
	s->mono_base_ns = st.mono_ahead_ns;
	s->wall_base_ns = st.wall_ahead_ns;
	s->tsc_frac_bits = st.tsc_frac_bits;
	snprintf(s->vm, sizeof(s->vm), "%s", vm->id);
	segments->slot[0].mono_ahead_ns = st.mono_ahead_ns;
	segments->slot[0].wall_ahead_ns = st.wall_ahead_ns;
}

static int load(struct tw_vmm *v, const struct tw_vm *vm, const struct tw_vmm_look *look,
		unsigned int nr, int view_fd)
{
	struct bpf_map *view;
	int err;
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "vmm");
	struct vmm_segments *segments;
	struct vmm_state *s;

	opts.btf_custom_path = tw_btf_of_running_kvm();
	v->obj = bpf_object__open_mem(tw_vmm_bpf, tw_vmm_bpf_end - tw_vmm_bpf, &opts);
	if (!v->obj)
		return -errno;
	s = initial_value(v->obj, VMM_SECTION, sizeof(*s));
	segments = initial_value(v->obj, VMM_SEGMENTS_SECTION, sizeof(*segments));
	if (!s || !segments)
		return -EINVAL;
	*s = look->state;
	s->awaits = VMM_AWAITS_UNKNOWN;		/* until it is seen to sleep */
	s->nr = nr;
	set_bases(vm, s, segments);
	view = bpf_object__find_map_by_name(v->obj, TIMEWARP_VMMS_SECTION);
	if (!view)
		return -EINVAL;
	err = view_fd < 0 ? 0 : bpf_map__reuse_fd(view, view_fd);
	if (err)
		return err;
	err = bpf_object__load(v->obj);
	if (!err)
		v->view_fd = bpf_map__fd(view);
	return err;
}

static const char *const wakes[TW_VMM_WAKES] = { "vmm_change", "vmm_wake", "vmm_enter" };

int tw_vmm_attach(struct tw_vmm *v, const struct tw_vm *vm, const struct tw_vmm_look *look,
		  unsigned int nr, int view_fd, struct tw_err *e)
{
	LIBBPF_OPTS(bpf_uprobe_multi_opts, opts, .offsets = look->offset, .cookies = look->cookie,
		    .cnt = look->nr_sites);
	struct bpf_program *prog;
	char path[48];
	int err, i;

	memset(v, 0, sizeof(*v));
	v->keeper_pipe = -1;
	err = load(v, vm, look, nr, view_fd);
	if (err)
		return explain(e, "the probes do not load", err);
	snprintf(path, sizeof(path), "/proc/%d/exe", vm->pid);
	prog = bpf_object__find_program_by_name(v->obj, VMM_PROGRAM);
	v->sites = bpf_program__attach_uprobe_multi(prog, vm->pid, path, NULL, &opts);
	if (!v->sites)
		return explain(e, "the probes do not attach", -errno);
	for (i = 0; i < TW_VMM_WAKES; i++) {
		v->wake[i] = bpf_program__attach(bpf_object__find_program_by_name(v->obj, wakes[i]));
		if (!v->wake[i])
			return explain(e, "the probes on KVM do not attach", -errno);
	}
	/* its sleep, if it sleeps, was not looked at */
	tw_vmm_wake(vm->pid);
	return TW_OK;
}

void tw_vmm_wake(pid_t pid)
{
	if (signal_is_blocked(pid))
		syscall(SYS_tgkill, pid, pid, VMM_WAKE_SIGNAL);
}

/* No dots: a BPF file system reserves them */
static char *pin_path(const char *vm_id, const char *what)
{
	return tw_asprintf(TW_BPFFS "/timewarp/%s-%s", vm_id, what);
}

int tw_vmm_pin(struct tw_vmm *v, const char *vm_id)
{
	char *path = pin_path(vm_id, "vmm");
	int err, i;

	tw_vmm_unpin(vm_id);
	mkdir(TW_BPFFS "/timewarp", 0700);
	err = bpf_link__pin(v->sites, path);
	free(path);
	for (i = 0; !err && i < TW_VMM_WAKES; i++) {
		path = pin_path(vm_id, wakes[i]);
		err = bpf_link__pin(v->wake[i], path);
		free(path);
	}
	return err;
}

void tw_vmm_unpin(const char *vm_id)
{
	char *path = pin_path(vm_id, "vmm");
	int i;

	unlink(path);
	free(path);
	for (i = 0; i < TW_VMM_WAKES; i++) {
		path = pin_path(vm_id, wakes[i]);
		unlink(path);
		free(path);
	}
}

void tw_vmm_close(struct tw_vmm *v)
{
	int i;

	if (v->keeper > 0) {
		kill(v->keeper, SIGKILL);
		waitpid(v->keeper, NULL, 0);
		close(v->keeper_pipe);
	}
	bpf_link__destroy(v->sites);
	for (i = 0; i < TW_VMM_WAKES; i++)
		bpf_link__destroy(v->wake[i]);
	bpf_object__close(v->obj);
	memset(v, 0, sizeof(*v));
}

/* ---- finding them again */

static int map_of_prog(unsigned int prog_id)
{
	unsigned int ids[8], len, i;
	struct bpf_prog_info info = { .nr_map_ids = 8, .map_ids = (unsigned long)ids };
	struct bpf_map_info map;
	int fd = bpf_prog_get_fd_by_id(prog_id), found = -1;

	if (fd < 0)
		return -1;
	len = sizeof(info);
	if (!bpf_prog_get_info_by_fd(fd, &info, &len) && !strcmp(info.name, VMM_PROGRAM))
		for (i = 0; found < 0 && i < info.nr_map_ids && i < 8; i++) {
			int m = bpf_map_get_fd_by_id(ids[i]);

			memset(&map, 0, sizeof(map));
			len = sizeof(map);
			if (m >= 0 && !bpf_map_get_info_by_fd(m, &map, &len) &&
			    !strcmp(map.name, VMM_SECTION))
				found = m;
			else if (m >= 0)
				close(m);
		}
	close(fd);
	return found;
}

static bool get_state(int map, struct vmm_state *s)
{
	unsigned int zero = 0;

	return !bpf_map_lookup_elem(map, &zero, s);
}

static void set_state(int map, const struct vmm_state *s)
{
	unsigned int zero = 0;

	bpf_map_update_elem(map, &zero, s, BPF_EXIST);
}

/* The map of the next probes after link *ID, on PID or, if that is 0, any process; -1 if none */
static int next_map(unsigned int *id, pid_t pid, struct vmm_state *s)
{
	struct bpf_link_info info;
	unsigned int len;
	int fd, map;

	while (!bpf_link_get_next_id(*id, id)) {
		fd = bpf_link_get_fd_by_id(*id);
		if (fd < 0)
			continue;
		memset(&info, 0, sizeof(info));
		len = sizeof(info);
		map = -1;
		if (!bpf_link_get_info_by_fd(fd, &info, &len) &&
		    info.type == BPF_LINK_TYPE_UPROBE_MULTI &&
		    (!pid || info.uprobe_multi.pid == (unsigned int)pid))
			map = map_of_prog(info.prog_id);
		close(fd);
		if (map < 0)
			continue;
		if (get_state(map, s) && (!pid || s->pid == (unsigned int)pid))
			return map;
		close(map);
	}
	return -1;
}

static int find_map(pid_t pid, struct vmm_state *s)
{
	unsigned int id = 0;

	return next_map(&id, pid, s);
}

void tw_vmm_wake_all(void)
{
	struct vmm_state s;
	unsigned int id = 0;
	int map;

	while ((map = next_map(&id, 0, &s)) >= 0) {
		close(map);
		if (s.phase == VMM_FOLLOW)
			tw_vmm_wake(s.pid);
	}
}

bool tw_vmm_find(pid_t pid, struct vmm_state *state)
{
	int map = find_map(pid, state);

	if (map >= 0)
		close(map);
	return map >= 0;
}

/* ---- finishing */

/*
 * Moves the virtual clock's lead into QEMU's offset, as a writer of QEMU's seqlock: whoever reads
 * the clock meanwhile reads again. One system call writes all of it, so that nothing can end this
 * process halfway.
 */
static bool fold_virtual_clock(int map, struct vmm_state *s, int64_t lead)
{
	unsigned int odd, even, seq;
	uint64_t offset;
	short enabled;
	pid_t pid = s->pid;

	if (!read_mem(pid, s->seqlock, &seq, sizeof(seq)) ||
	    !read_mem(pid, s->enabled, &enabled, sizeof(enabled)) ||
	    !read_mem(pid, s->offset, &offset, sizeof(offset)))
		return true;	/* it is gone, and its clocks with it */
	if (seq & 1)
		return false;
	/* A clock that stands (QMP stop) is its offset; there is nothing that would be lost. */
	if (enabled && lead) {
		offset += lead;
		odd = seq + 1;
		even = seq + 2;
		struct iovec l[] = { { &odd, sizeof(odd) }, { &offset, sizeof(offset) },
				     { &even, sizeof(even) } };
		struct iovec r[] = { { (void *)s->seqlock, sizeof(odd) },
				     { (void *)s->offset, sizeof(offset) },
				     { (void *)s->seqlock, sizeof(even) } };

		s->folded_offset = offset;
		set_state(map, s);
		s->phase = VMM_FOLDING;
		set_state(map, s);
		if (process_vm_writev(pid, l, 3, r, 3, 0) != sizeof(odd) + sizeof(offset) + sizeof(even)) {
			s->phase = VMM_FOLLOW;
			set_state(map, s);
			return false;
		}
	}
	return true;
}

/* One that is set: 0 and all ones are none */
static void move_deadline(pid_t pid, uint64_t at, int64_t by)
{
	uint64_t v = read_u64(pid, at);

	if (v && v != UINT64_MAX)
		write_u64(pid, at, v + by);
}

/* Moves the RTC and its timers back by what its clock is about to lose */
static void fold_rtc(const struct vmm_state *s, int64_t lead)
{
	uint64_t list, timer;
	pid_t pid = s->pid;
	int n;

	if (!s->rtc || !lead || !is_object(pid, s->rtc_device, "mc146818rtc"))
		return;
	add_u64(pid, s->rtc_periodic + RTC_LAST_UPDATE, -lead);
	move_deadline(pid, s->rtc_periodic + RTC_NEXT_PERIODIC, -lead);
	move_deadline(pid, s->rtc_periodic + RTC_NEXT_ALARM, -lead);
	list = read_u64(pid, s->timerlists + 8 * VMM_CLOCK_HOST);
	timer = list ? read_u64(pid, list + VMM_LIST_ACTIVE) : 0;
	/* All of a list by the same amount: it stays in order */
	for (n = 0; timer && n < 64 && read_u64(pid, timer + 8) == list; n++) {
		add_u64(pid, timer, -lead);
		timer = read_u64(pid, timer + 32);
	}
}

static bool fold(int map, struct vmm_state *s, const struct tw_state *st)
{
	int tries;

	for (tries = 0; s->phase != VMM_FOLDED && tries < 1000; tries++) {
		if (!fold_virtual_clock(map, s, st->mono_ahead_ns - s->mono_base_ns))
			continue;
		fold_rtc(s, st->wall_ahead_ns - s->wall_base_ns);
		s->phase = VMM_FOLDED;
		set_state(map, s);
	}
	tw_vmm_wake(s->pid);
	return s->phase == VMM_FOLDED;
}

bool tw_vmm_finish(const struct tw_vm *vm)
{
	struct tw_err ignored = { 0 };
	struct vmm_state s;
	struct tw_state st;
	bool done = true;
	int lock, map;

	/* Whoever attached, whoever detaches, and the keeper may all come at once. */
	lock = vm->dir ? open(vm->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (lock >= 0)
		flock(lock, LOCK_EX);
	map = find_map(vm->pid, &s);
	/* no state: the VM is gone, and its clocks with it */
	if (map >= 0 && lock >= 0 && !tw_state_read(vm->dir, &st, &ignored))
		done = !strcmp(st.tsc_mode, "-") && fold(map, &s, &st);
	tw_err_free(&ignored);
	if (map >= 0)
		close(map);
	if (lock >= 0)
		close(lock);
	return done;
}

/*
 * The keeper: holds the probes until its parent is gone, however that ends; then the policy's link
 * is gone too, and the clocks can be let go.
 */
static void keep(const struct tw_vm *vm, int pipe_fd)
{
	struct timespec pause = { .tv_nsec = 2000000 };
	char byte;

	while (read(pipe_fd, &byte, 1) < 0 && errno == EINTR)
		;
	while (!tw_vmm_finish(vm))
		nanosleep(&pause, NULL);
	_exit(0);
}

void tw_vmm_keep(struct tw_vmm *v, const struct tw_vm *vm)
{
	int fds[2], null, i;
	sigset_t none;

	if (pipe(fds))
		return;
	v->keeper = fork();
	if (v->keeper) {
		close(fds[0]);
		v->keeper_pipe = fds[1];
		fcntl(fds[1], F_SETFD, FD_CLOEXEC);
		return;
	}
	close(fds[1]);
	setsid();
	null = open("/dev/null", O_RDWR);
	for (i = 0; i < 3 && null >= 0; i++)
		dup2(null, i);
	/* SIGTERM ends the parent in order, and with it the keeper */
	sigemptyset(&none);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigprocmask(SIG_SETMASK, &none, NULL);
	keep(vm, fds[0]);
}
