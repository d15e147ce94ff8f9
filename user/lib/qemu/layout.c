// SPDX-License-Identifier: GPL-2.0
#include "qemu/layout.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "apart.h"
#include "code.h"
#include "host.h"
#include "proc.h"
#include "qemu/cmdline.h"
#include "qemu/image.h"
#include "text.h"

/* By so much may a timer be late after a change that nobody told the main loop of */
#define LONGEST_SLEEP_NS 20000000

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
	s->fold[VMM_VIRTUAL].word = s->offset;
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
	if (!tw_mem_read(p->vm->pid, s->enabled, &enabled, sizeof(enabled)) || enabled >> 1)
		return no(p->look, "its memory is not what its symbols say");
	p->look->stopped = !enabled;
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
		list = tw_mem_u64(pid, s->timerlists + 8 * i);
		clock = tw_mem_u64(pid, list);
		if (!tw_mem_read(pid, clock + 8, &type, sizeof(type)) || type != i)
			return no(p->look, "its lists of timers are not where twctl looks for them");
		timer = tw_mem_u64(pid, list + VMM_LIST_ACTIVE);
		/* QEMUTimer: its list comes second */
		if (timer && tw_mem_u64(pid, timer + 8) != list)
			return no(p->look, "its timers are laid out in a way that twctl does not know");
	}
	return true;
}

/* Through QOM: object, class, type, name */
bool tw_vmm_is_object(pid_t pid, uint64_t object, const char *type)
{
	uint64_t name = tw_mem_u64(pid, tw_mem_u64(pid, tw_mem_u64(pid, object)));
	char text[32] = { 0 };

	return name && tw_mem_read(pid, name, text, sizeof(text) - 1) && !strcmp(text, type);
}

static bool is_timer_of(pid_t pid, uint64_t timer, uint64_t list, uint64_t device)
{
	return timer && tw_mem_u64(pid, timer + 8) == list && tw_mem_u64(pid, timer + 24) == device;
}

#define RTC_SEARCH 0x600

static uint64_t find_rtc_timer(pid_t pid, uint64_t device, uint64_t list)
{
	uint64_t at;

	for (at = device; at < device + RTC_SEARCH; at += 8)
		if (is_timer_of(pid, tw_mem_u64(pid, at), list, device) &&
		    is_timer_of(pid, tw_mem_u64(pid, at + VMM_RTC_UPDATE_TIMER), list, device))
			return at;
	return 0;
}

#define MACHINE_SEARCH 0x400

/* QEMU 7.2 has a list of RTCs; in 10.0 the machine has its own, somewhere in its state */
static uint64_t rtc_device(struct place *p)
{
	uint64_t list = tw_code_first_load(&p->code, "qmp_rtc_reset_reinjection");
	uint64_t machine = tw_code_first_load(&p->code, "qdev_get_machine"), at, device;
	pid_t pid = p->vm->pid;

	device = list ? tw_mem_u64(pid, list + p->bias) : 0;
	if (device)
		return tw_vmm_is_object(pid, device, "mc146818rtc") ? device : 0;
	machine = machine ? tw_mem_u64(pid, machine + p->bias) : 0;
	for (at = machine; machine && at < machine + MACHINE_SEARCH; at += 8) {
		device = tw_mem_u64(pid, at);
		if (device && tw_vmm_is_object(pid, device, "mc146818rtc"))
			return device;
	}
	return 0;
}

/* The device, whichever clock it runs by; false if it is not where QEMU keeps it */
static bool find_rtc_device(struct place *p, int clock)
{
	struct vmm_state *s = &p->look->state;
	uint64_t updated, base, offset;
	pid_t pid = p->vm->pid;

	s->rtc_device = rtc_device(p);
	if (!s->rtc_device)
		return no_rtc(p->look, "the RTC is not where twctl looks for it");
	s->rtc_periodic = find_rtc_timer(pid, s->rtc_device, tw_mem_u64(pid, s->timerlists + 8 * clock));
	updated = s->rtc_periodic ? tw_mem_u64(pid, s->rtc_periodic + VMM_RTC_LAST_UPDATE) : 0;
	base = s->rtc_periodic ? tw_mem_u64(pid, s->rtc_periodic + VMM_RTC_BASE) : 0;
	offset = s->rtc_periodic ? tw_mem_u64(pid, s->rtc_periodic + VMM_RTC_OFFSET) : 0;
	/* seconds since 1970, of which QEMU's own are some centuries; when that was may lie as far off as a guest was ahead */
	if ((!updated && clock == VMM_CLOCK_HOST) || base >> 34 || offset >= 1000000000) {
		s->rtc_periodic = 0;
		return no_rtc(p->look, "the RTC is laid out in a way that twctl does not know");
	}
	return true;
}

static bool find_rtc(struct place *p)
{
	struct vmm_state *s = &p->look->state;
	int type = -1;
	uint64_t at;

	if (!tw_code_symbol(&p->code, "rtc_clock", &at, NULL) ||
	    !tw_mem_read(p->vm->pid, at + p->bias, &type, sizeof(type)))
		return no_rtc(p->look, "which clock the RTC runs by cannot be seen");
	p->look->rtc_virtual = type == VMM_CLOCK_VIRTUAL;
	if (type != VMM_CLOCK_VIRTUAL && type != VMM_CLOCK_HOST)
		return no_rtc(p->look, "it was told to: -rtc clock=rt");
	if (!find_rtc_device(p, type)) {
		/* it follows wherever it is */
		if (p->look->rtc_virtual)
			*p->look->why_rtc = 0;
		return p->look->rtc_virtual;
	}
	if (p->look->rtc_virtual)
		return true;
	if (!add_calls(p, "qemu_clock_get_ns", "gettimeofday", VMM_CALL_REALTIME))
		return no_rtc(p->look, "QEMU's qemu_clock_get_ns() calls no gettimeofday()");
	s->fold[VMM_RTC].word = s->rtc_periodic + VMM_RTC_LAST_UPDATE;
	s->rtc = 1;
	return true;
}

static void read_time(pid_t pid, struct tw_qemu_time *q)
{
	size_t len = 0;
	char *argv = tw_read_cmdline(pid, &len);

	tw_qemu_time_parse(argv ? argv : "", argv ? len : 0, q);
	free(argv);
}

static bool look_inside(struct place *p)
{
	struct tw_vmm_look *look = p->look;
	struct tw_qemu_time q;

	if (tw_code_is_static(&p->code))
		return no(look, "%.32s is linked statically", p->vm->comm);
	if (!tw_code_symbol(&p->code, "cpu_get_clock", &(uint64_t){0}, NULL))
		return no(look, "%.32s is not QEMU, or has no symbols", p->vm->comm);
	if (!tw_image_bias(&p->code, p->vm->pid, &p->bias))
		return no(look, "where its program is loaded cannot be seen");
	if (!find_virtual_clock(p) || !find_timers(p))
		return false;
	if (!tw_image_blocks(p->vm->pid, VMM_WAKE_SIGNAL))
		return no(look, "one of its threads would be ended by the signal that wakes it");
	find_rtc(p);
	read_time(p->vm->pid, &q);
	/* vCPUs halt in user space with a LAPIC there, and so may pass KVM's hooks late */
	look->state.longest_ns = q.irqchip == TW_IRQCHIP_USER ? LONGEST_SLEEP_NS : 0;
	/* a guest without it goes on by its TSC while QEMU has it stopped, as the RTC does then */
	look->state.stands = look->state.rtc && q.kvmclock;
	return true;
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

/* By its descriptor, and by no name that could lead elsewhere meanwhile */
static bool open_program(struct place *p, int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (tw_code_open(&p->code, path) && !fstat(p->code.fd, &p->look->program))
		return true;
	return no(p->look, "its program cannot be read: %s", errno ? strerror(errno) : "no x86-64 ELF");
}

/* Before its places are looked for: what it executes from here on has other places, and another word */
static bool note_exec(struct place *p)
{
	uint64_t exec;
	int err = tw_image_exec(p->vm->pid, &exec);

	p->look->state.exec = exec;
	return !err || no(p->look, "its memory cannot be read: %s", strerror(-err));
}

struct subject {
	const struct tw_vm *vm;
	bool foreign;			/* is no reason to look no further */
};

static void begin(const struct tw_vm *vm, struct tw_vmm_look *look)
{
	memset(look, 0, sizeof(*look));
	look->state.pid = vm->pid;
	look->state.start = vm->start;
}

static ssize_t look_apart(const void *in, void *out, size_t size)
{
	const struct subject *subject = in;
	const struct tw_vm *vm = subject->vm;
	struct tw_vmm_look *look = out;
	struct place p = { .vm = vm, .look = look };
	int program = -1, err;
	size_t vms;

	begin(vm, look);
	if (!vm->dir)
		no(look, "KVM's state files are not to be seen");
	else if (tw_host_lockdown() >= TW_LOCKDOWN_INTEGRITY)
		no(look, "the kernel is locked down");
	else if ((err = tw_vms_of(vm->pid, &vms)))
		no(look, "its VMs cannot be counted: %s", strerror(-err));
	else if (vms > 1)
		no(look, "its process has %zu VMs, and clocks follow one timeline only", vms);
	else if ((program = tw_image_program(vm->pid, &look->foreign)) < 0)
		no(look, "its program cannot be read: %s", strerror(errno));
	else if (look->foreign && !subject->foreign)
		no(look, "its program is not root's alone; --vmm on takes it nevertheless");
	else
		look->possible = open_program(&p, program) && note_exec(&p) && look_inside(&p);
	if (p.code.elf)
		tw_code_close(&p.code);
	if (program >= 0)
		close(program);
	return size;
}

void tw_vmm_look(const struct tw_vm *vm, bool foreign, struct tw_vmm_look *look)
{
	struct subject subject = { vm, foreign };
	ssize_t n = tw_apart(vm->pid, look_apart, &subject, look, sizeof(*look));

	if (n >= 0)
		return;
	begin(vm, look);
	no(look, "its memory cannot be read: %s", tw_apart_error(-n));
}

/* Whether the thread of the VM's first vCPU is in the kernel's KVM_RUN, or runs: quickly told, where it can be */
static bool runs(const struct tw_vm *vm)
{
	char *path = tw_asprintf("%s/vcpu0/pid", vm->dir), *text = tw_read_file(path, NULL);
	int tid = text ? atoi(text) : 0;
	bool in_kvm;

	free(path);
	free(text);
	path = tw_asprintf("/proc/%d/task/%d/syscall", vm->pid, tid);
	text = tid > 0 ? tw_read_file(path, NULL) : NULL;
	in_kvm = text && (!strncmp(text, "running", 7) || atoi(text) == SYS_ioctl);
	free(path);
	free(text);
	return in_kvm;
}

/*
 * Whether its guest is still to begin, as of -S, which libvirt gives: no vCPU has ever run, and no state of a guest that
 * has run elsewhere comes in
 */
static bool is_new(const struct tw_vm *vm)
{
	struct tw_qemu_time q;

	if (tw_vm_has_run(vm))
		return false;
	read_time(vm->pid, &q);
	return !q.incoming;
}

bool tw_vmm_is_stopped(const struct tw_vm *vm)
{
	struct tw_vmm_look look;

	if (!vm->dir || runs(vm) || is_new(vm))
		return false;
	tw_vmm_look(vm, false, &look);
	return look.possible && look.stopped;
}
