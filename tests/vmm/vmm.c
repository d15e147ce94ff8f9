// SPDX-License-Identifier: GPL-2.0
/*
 * A small VMM that runs bare guest code on KVM and holds what the guest sees
 * of its clocks and timers against the timeline of the VM's state file, in
 * TAP. It runs as well on stock modules: the timeline is then that of a VM
 * that nobody attached to.
 *
 * It is a long-running process on purpose: a script attaches to it, changes
 * the factor and detaches while it keeps checking.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef uint8_t u8;
typedef int8_t s8;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t s64;

#include "model.h"
#include "shared.h"

#define CPUID_ENTRIES	128

extern const char guest_image[], guest_image_end[];

struct vcpu {
	int index;
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	volatile bool done;
	u64 pinch_before;
};

static struct {
	unsigned int nr_vcpus;
	double seconds;
	u64 reads;
	u64 tsc_khz;
	bool hold;
	int expect_attached;		/* -1: do not care */
	double expect_factor;		/* 0: do not care */
	const char *expect_mode;
	u64 expect_changes;
	const char *until;
	double stall;
	u64 delay_min_ns, delay_max_ns, period_ns;
	u64 rounds, roundtrip_ns;
	int cpu;
	bool no_aux;
	bool no_reinject;
	bool hyperv, xen;
} opt = {
	.nr_vcpus = 1, .seconds = 2, .expect_attached = -1, .stall = 30,
	.delay_min_ns = 200000, .delay_max_ns = 5000000, .period_ns = 20000000,
	.rounds = 1000, .roundtrip_ns = 200000, .cpu = -1,
};

static int kvm_fd, vm_fd;
static u64 waited_before_ns;
static char *memory;
static struct shared *sh;
static struct vcpu vcpus[MAX_VCPUS];
static char state_path[96];
static bool tsc_control;
static bool tsc_moved;			/* by the VMM, with the guest's clocks on it */
static u64 stock_offset;		/* of vCPU 0's TSC */

/* TAP */

static int tests, failures;
static const char *case_name = "";

__attribute__((format(printf, 2, 3)))
static bool ok(bool good, const char *fmt, ...)
{
	va_list ap;

	printf("%sok %d - %s: ", good ? "" : "not ", ++tests, case_name);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	failures += !good;
	return good;
}

__attribute__((format(printf, 1, 2)))
static void note(const char *fmt, ...)
{
	va_list ap;

	printf("# ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

__attribute__((format(printf, 1, 2), noreturn))
static void bail(const char *fmt, ...)
{
	va_list ap;

	printf("Bail out! ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	_exit(2);
}

/* For twctl qualify, which shows it beside the verdict: of several under one name the sum, or of what ends in _ns the largest. */
static void figure(const char *name, double value)
{
	note("figure %s %.12g", name, value);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void sleep_ms(unsigned int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&ts, NULL);
}

static inline u64 rdtsc(void)
{
	u32 lo, hi;

	asm volatile("lfence; rdtsc; lfence" : "=a"(lo), "=d"(hi) : : "memory");
	return lo | (u64)hi << 32;
}

static u64 abs_diff(u64 a, u64 b)
{
	return (s64)(a - b) < 0 ? b - a : a - b;
}

/* The machine */

static int vm_ioctl(int fd, unsigned long nr, void *arg, const char *name)
{
	int ret = ioctl(fd, nr, arg);

	if (ret < 0)
		bail("%s: %s", name, strerror(errno));
	return ret;
}

#define IOCTL(fd, nr, arg)	vm_ioctl(fd, nr, (void *)(arg), #nr)

/* Flat 64-bit segments, and the first GB mapped one to one in 2 MB pages. */
static void setup_memory(void)
{
	struct kvm_userspace_memory_region region = {
		.memory_size = MEM_SIZE,
	};
	u64 *gdt, *pml4, *pdpt, *pd;
	int i;

	memory = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		bail("mmap of guest memory: %s", strerror(errno));
	region.userspace_addr = (uintptr_t)memory;
	IOCTL(vm_fd, KVM_SET_USER_MEMORY_REGION, &region);

	gdt = (u64 *)(memory + GDT_ADDR);
	gdt[1] = 0x00af9b000000ffffULL;		/* code, long mode */
	gdt[2] = 0x00cf93000000ffffULL;		/* data */
	pml4 = (u64 *)(memory + PML4_ADDR);
	pdpt = (u64 *)(memory + PDPT_ADDR);
	pd = (u64 *)(memory + PD_ADDR);
	pml4[0] = PDPT_ADDR | 3;
	pdpt[0] = PD_ADDR | 3;
	for (i = 0; i < 512; i++)
		pd[i] = ((u64)i << 21) | 0x83;

	memcpy(memory + IMAGE_ADDR, guest_image, guest_image_end - guest_image);
	sh = (struct shared *)(memory + SHARED_ADDR);
}

static void setup_cpuid(struct vcpu *v)
{
	struct kvm_cpuid2 *c;
	u32 i;

	c = calloc(1, sizeof(*c) + CPUID_ENTRIES * sizeof(c->entries[0]));
	c->nent = CPUID_ENTRIES;
	IOCTL(kvm_fd, KVM_GET_SUPPORTED_CPUID, c);
	for (i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *e = &c->entries[i];

		if (e->function == 1) {
			e->ebx = (e->ebx & 0x00ffffff) | (u32)v->index << 24;
			/* x2APIC and TSC-deadline; KVM leaves the latter to the VMM */
			e->ecx |= 1u << 21 | 1u << 24;
		} else if (e->function == 0xb || e->function == 0x1f) {
			e->edx = v->index;
		} else if (e->function == 0x40000001 && opt.hyperv) {
			e->eax = 0x31237648;	/* "Hv#1" */
		}
	}
	IOCTL(v->fd, KVM_SET_CPUID2, c);
	free(c);
}

static void setup_regs(struct vcpu *v)
{
	struct kvm_segment code = {
		.limit = 0xffffffff, .selector = 0x08, .type = 0xb, .present = 1,
		.s = 1, .l = 1, .g = 1,
	};
	struct kvm_segment data = {
		.limit = 0xffffffff, .selector = 0x10, .type = 0x3, .present = 1,
		.s = 1, .db = 1, .g = 1,
	};
	struct kvm_segment tss = { .limit = 0x67, .type = 0xb, .present = 1 };
	struct kvm_regs regs = {
		.rip = IMAGE_ADDR,
		.rsp = STACK_ADDR + (v->index + 1) * STACK_SIZE,
		.rdi = v->index,
		.rflags = 2,
	};
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_sregs s;

	IOCTL(v->fd, KVM_GET_SREGS, &s);
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.tr = tss;
	s.gdt.base = GDT_ADDR;
	s.gdt.limit = 3 * 8 - 1;
	s.cr0 = 0x80010033;	/* PG WP NE ET MP PE */
	s.cr3 = PML4_ADDR;
	s.cr4 = 0x20;		/* PAE */
	s.efer = 0x500;		/* LMA LME */
	IOCTL(v->fd, KVM_SET_SREGS, &s);
	IOCTL(v->fd, KVM_SET_REGS, &regs);
	/* APs would wait for INIT and SIPI otherwise. */
	IOCTL(v->fd, KVM_SET_MP_STATE, &mp);
}

/* KVM's Xen, as far as clocks and timers need it. */
static void setup_xen(void)
{
	struct kvm_xen_hvm_config config = {
		.flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL | KVM_XEN_HVM_CONFIG_EVTCHN_SEND,
		.msr = 0x40000200,	/* where Hyper-V's are not */
	};
	struct kvm_xen_hvm_attr attr = { .type = KVM_XEN_ATTR_TYPE_LONG_MODE, .u.long_mode = 1 };
	unsigned int i;

	IOCTL(vm_fd, KVM_XEN_HVM_CONFIG, &config);
	IOCTL(vm_fd, KVM_XEN_HVM_SET_ATTR, &attr);
	attr = (struct kvm_xen_hvm_attr) {
		.type = KVM_XEN_ATTR_TYPE_SHARED_INFO, .u.shared_info.gfn = XEN_SHINFO_ADDR >> 12,
	};
	IOCTL(vm_fd, KVM_XEN_HVM_SET_ATTR, &attr);
	for (i = 0; i < opt.nr_vcpus; i++) {
		u64 base = XEN_VCPU_ADDR + i * 4096UL;
		struct kvm_xen_vcpu_attr attrs[] = {
			{ .type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID, .u.vcpu_id = i },
			{ .type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO, .u.gpa = base },
			{ .type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO, .u.gpa = base + XEN_TIME_INFO },
			{ .type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR, .u.gpa = base + XEN_RUNSTATE },
			{ .type = KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR, .u.vector = DEVICE_VECTOR },
			{ .type = KVM_XEN_VCPU_ATTR_TYPE_TIMER, .u.timer.port = XEN_PORT,
			  .u.timer.priority = KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL },
		};
		unsigned int j;

		for (j = 0; j < sizeof(attrs) / sizeof(attrs[0]); j++)
			IOCTL(vcpus[i].fd, KVM_XEN_VCPU_SET_ATTR, &attrs[j]);
	}
}

static void create_vm(void)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	struct kvm_reinject_control reinject = { .pit_reinject = !opt.no_reinject };
	unsigned int i;
	int size;

	kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm_fd < 0)
		bail("/dev/kvm: %s", strerror(errno));
	vm_fd = IOCTL(kvm_fd, KVM_CREATE_VM, 0);
	IOCTL(vm_fd, KVM_SET_TSS_ADDR, 0xfffbd000UL);
	IOCTL(vm_fd, KVM_CREATE_IRQCHIP, 0);
	IOCTL(vm_fd, KVM_CREATE_PIT2, &pit);
	IOCTL(vm_fd, KVM_REINJECT_CONTROL, &reinject);
	setup_memory();
	tsc_control = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_CONTROL) > 0;

	size = IOCTL(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	for (i = 0; i < opt.nr_vcpus; i++) {
		struct vcpu *v = &vcpus[i];

		v->index = i;
		v->fd = IOCTL(vm_fd, KVM_CREATE_VCPU, (unsigned long)i);
		v->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
		if (v->run == MAP_FAILED)
			bail("mmap of kvm_run: %s", strerror(errno));
		setup_cpuid(v);
		if (opt.hyperv) {
			struct kvm_enable_cap cap = { .cap = KVM_CAP_HYPERV_SYNIC };

			IOCTL(v->fd, KVM_ENABLE_CAP, &cap);
		}
		if (opt.tsc_khz && ioctl(v->fd, KVM_SET_TSC_KHZ, opt.tsc_khz))
			bail("KVM_SET_TSC_KHZ %" PRIu64 ": %s", opt.tsc_khz, strerror(errno));
	}
	if (opt.xen)
		setup_xen();
	sh->tsc_khz = IOCTL(vcpus[0].fd, KVM_GET_TSC_KHZ, 0);
	snprintf(state_path, sizeof(state_path), "/sys/kernel/debug/kvm/%d-%d/timewarp",
		 getpid(), vm_fd);
}

/* Running it */

static void record_pinch(struct vcpu *v)
{
	struct vcpu_area *a = &sh->vcpu[v->index];
	u64 after = rdtsc();

	if (a->nr_pinches >= MAX_PINCHES)
		return;
	a->pinch[a->nr_pinches].host_before = v->pinch_before;
	a->pinch[a->nr_pinches].tsc = a->pinch_tsc;
	a->pinch[a->nr_pinches].host_after = after;
	a->nr_pinches++;
}

static void *vcpu_loop(void *arg)
{
	struct vcpu *v = arg;
	struct vcpu_area *a = &sh->vcpu[v->index];
	struct kvm_run *run = v->run;

	setup_regs(v);
	for (;;) {
		if (ioctl(v->fd, KVM_RUN, 0) < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			bail("vCPU %d: KVM_RUN: %s", v->index, strerror(errno));
		}
		if (run->exit_reason == KVM_EXIT_HYPERV)	/* to let us know */
			continue;
		if (run->exit_reason != KVM_EXIT_IO)
			bail("vCPU %d: exit reason %u, fail entry 0x%llx, suberror %u",
			     v->index, run->exit_reason,
			     (unsigned long long)run->fail_entry.hardware_entry_failure_reason,
			     run->internal.suberror);
		switch (run->io.port) {
		case PORT_PINCHED:
			record_pinch(v);
			break;
		case PORT_PINCH:
			v->pinch_before = rdtsc();
			break;
		case PORT_IDLE:
			while (sh->batch == a->batch_done && !sh->stop)
				sleep_ms(1);
			break;
		case PORT_DONE:
			/* Let KVM finish the OUT: the registers are set anew next time. */
			run->immediate_exit = 1;
			ioctl(v->fd, KVM_RUN, 0);
			run->immediate_exit = 0;
			v->done = true;
			return NULL;
		case PORT_FAULT:
			bail("vCPU %d: exception %" PRIu64 " code 0x%" PRIx64 " at 0x%" PRIx64,
			     v->index, a->fault_vector, a->fault_code, a->fault_rip);
		default:
			bail("vCPU %d: unexpected port 0x%x", v->index, run->io.port);
		}
	}
}

/* An ioctl of a vCPU waits until that one leaves KVM_RUN: so, not while it runs. */
static void read_stock_offset(void)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)&stock_offset,
	};

	IOCTL(vcpus[0].fd, KVM_GET_DEVICE_ATTR, &attr);
}

static void start_case(enum guest_case what)
{
	struct model m;
	unsigned int i;

	read_stock_offset();
	/* Offset mode warps kvmclock alone: the guest must not compare the two. */
	sh->clocks_agree = !model_read(&m, state_path) || strcmp(m.mode, "offset");
	sh->guest_case = what;
	sh->nr_vcpus = opt.nr_vcpus;
	sh->delay_min_ns = opt.delay_min_ns;
	sh->delay_max_ns = opt.delay_max_ns;
	sh->period_ns = opt.period_ns;
	sh->rounds = opt.rounds;
	sh->roundtrip_ns = opt.roundtrip_ns;
	sh->seed = 0x2545f4914f6cdd1dULL;
	sh->pit_reinject = !opt.no_reinject;
	sh->stop = 0;
	sh->batch = 0;
	sh->started = 0;
	sh->last_clk = sh->last_tsc = 0;
	for (i = 0; i < opt.nr_vcpus; i++) {
		struct vcpu_area *a = &sh->vcpu[i];

		/* The page stays KVM's. */
		memset((char *)a + sizeof(a->page), 0, sizeof(*a) - sizeof(a->page));
		vcpus[i].done = false;
	}
	__sync_synchronize();
	for (i = 0; i < opt.nr_vcpus; i++)
		if (pthread_create(&vcpus[i].thread, NULL, vcpu_loop, &vcpus[i]))
			bail("pthread_create failed");
}

/*
 * A vCPU that gets nowhere is the sign of a lost timer. Nothing can be
 * checked after that, so it ends the run.
 */
static void check_stall(void)
{
	static u64 seen[MAX_VCPUS];
	static double since[MAX_VCPUS];
	unsigned int i;

	for (i = 0; i < opt.nr_vcpus; i++) {
		struct vcpu_area *a = &sh->vcpu[i];

		if (vcpus[i].done || a->progress != seen[i] || !since[i]) {
			seen[i] = a->progress;
			since[i] = now();
		} else if (now() - since[i] > opt.stall) {
			ok(false, "vCPU %u goes on (%.0f s without progress, mode %u, timer %s)",
			   i, opt.stall, a->mode, a->armed_now ? "armed" : "not armed");
			printf("Bail out! a vCPU hangs\n");
			fflush(stdout);
			_exit(1);
		}
	}
}

static bool all_done(void)
{
	unsigned int i;

	for (i = 0; i < opt.nr_vcpus; i++)
		if (!vcpus[i].done)
			return false;
	return true;
}

static void finish_case(void)
{
	unsigned int i;

	sh->stop = 1;
	while (!all_done()) {
		check_stall();
		sleep_ms(5);
	}
	for (i = 0; i < opt.nr_vcpus; i++)
		pthread_join(vcpus[i].thread, NULL);
}

/* Whether what --until waits for has not come: a file, or for "-" the end of standard input. */
static bool until_left(void)
{
	struct pollfd in = { .fd = 0 };
	struct stat st;

	if (!opt.until)
		return false;
	if (strcmp(opt.until, "-"))
		return stat(opt.until, &st) != 0;
	return !poll(&in, 1, 0) || !(in.revents & (POLLHUP | POLLERR | POLLNVAL));
}

static bool time_left(double start)
{
	u64 reads = 0;
	unsigned int i;

	if (now() - start < opt.seconds)
		return true;
	if (until_left())
		return true;
	for (i = 0; i < opt.nr_vcpus; i++) {
		/* Each kind of timer at least once, however slow guest time is. */
		if ((sh->guest_case == CASE_TIMERS || sh->guest_case == CASE_HYPERV ||
		     sh->guest_case == CASE_XEN || (sh->guest_case == CASE_PIT && !i)) &&
		    !sh->vcpu[i].rounds)
			return true;
		reads += sh->vcpu[i].reads;
	}
	return sh->guest_case == CASE_CLOCK && reads < opt.reads;
}

/* How long all tasks together have waited for a CPU: /proc/schedstat's run_delay, in host ns. */
static u64 waited_ns(void)
{
	FILE *f = fopen("/proc/schedstat", "r");
	u64 sum = 0, delay;
	char line[1024];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "cpu%*u %*u %*u %*u %*u %*u %*u %*u %" SCNu64, &delay) == 1)
			sum += delay;
	if (f)
		fclose(f);
	return sum;
}

static void run_for_a_while(enum guest_case what)
{
	double start = now();

	waited_before_ns = waited_ns();
	start_case(what);
	while (time_left(start)) {
		check_stall();
		sleep_ms(20);
	}
	finish_case();
}

/* Sum of a counter over the vCPUs, and the largest of one. */
#define SUM(field) ({						\
	u64 sum_ = 0;						\
	for (unsigned int i_ = 0; i_ < opt.nr_vcpus; i_++)	\
		sum_ += sh->vcpu[i_].field;			\
	sum_; })
#define MAX(field) ({						\
	u64 max_ = 0;						\
	for (unsigned int i_ = 0; i_ < opt.nr_vcpus; i_++)	\
		if (sh->vcpu[i_].field > max_)			\
			max_ = sh->vcpu[i_].field;		\
	max_; })

/*
 * The model of the moment. Without a timeline in the state file (stock
 * modules, or nobody has ever attached) it is put together from what KVM
 * tells: the TSC offset of vCPU 0, taken before it runs, and the page of vCPU 0. Other vCPUs'
 * pages and TSCs then still have to agree with it.
 */
static bool read_model(struct model *m)
{
	struct clock_sample *s = &sh->vcpu[0].sample[0];

	if (model_read(m, state_path) && m->missing[0])
		bail("%s has no key '%s'", state_path, m->missing);
	if (m->valid)
		return true;
	if (opt.tsc_khz)	/* see model_possible() */
		return false;
	m->ratio = 1;
	m->frac = 0;
	m->kvmclock_offset = 0;
	m->offset = stock_offset;
	m->pv_tsc = s->page_tsc;
	m->pv_ns = s->page_ns;
	m->mul = s->page_mul;
	m->shift = s->page_shift;
	return true;
}

/*
 * A scaled TSC without a timeline: the ratio is nowhere to be read. And no
 * model knows of what the VMM added to a TSC.
 */
static bool model_possible(void)
{
	struct model m;

	return !tsc_moved && (!opt.tsc_khz || (model_read(&m, state_path) && m.valid));
}

/*
 * A tick is merged into the one before when that still waits to be taken: because the vCPU, or
 * the thread that raises the PIT's interrupt, waits for a CPU. On a host that has its CPUs to
 * itself few are; where others, or the other vCPU, want them, as many as the waiting lasts.
 */
static void report_merged(const char *name, u64 merged, u64 armed)
{
	u64 waited = waited_ns() - waited_before_ns;
	double factor = 1;
	struct model m;

	if (model_read(&m, state_path) && m.force_den)
		factor = (double)m.force_num / m.force_den;
	ok(merged <= armed / 10 + waited * factor / opt.period_ns,
	   "%s%sat most a tenth of the ticks are merged, beside those for which the host had no CPU (%"
	   PRIu64 " of %" PRIu64 "; tasks waited %" PRIu64 " ns)", name, *name ? ": " : "", merged, armed,
	   waited);
}

static void sum_up_expectations(u64 seq_before)
{
	struct model m;

	if (!model_read(&m, state_path)) {
		if (opt.expect_attached > 0 || opt.expect_factor || opt.expect_changes)
			ok(false, "the kernel has a timeline (no %s)", state_path);
		return;
	}
	if (opt.expect_attached >= 0)
		ok(m.attached == opt.expect_attached, "the VM is %s at the end",
		   opt.expect_attached ? "attached" : "not attached");
	if (opt.expect_factor) {
		double force = m.force_den ? (double)m.force_num / m.force_den : 0;

		ok(force > opt.expect_factor * (1 - 1e-6) &&
		   force < opt.expect_factor * (1 + 1e-6),
		   "factor in force is %g within 1 ppm (%.12g)", opt.expect_factor, force);
	}
	if (opt.expect_mode)
		ok(!strcmp(m.mode, opt.expect_mode), "TSC mode is %s (%s)",
		   opt.expect_mode, m.mode);
	if (opt.expect_changes)
		ok(m.seq - seq_before >= opt.expect_changes,
		   "at least %" PRIu64 " segments came in meanwhile (%" PRIu64 ")",
		   opt.expect_changes, m.seq - seq_before);
}

/* clock */

struct clock_check {
	u64 batches, moving;		/* batches checked; dropped, as the segment changed */
	u64 samples;
	u64 clk_bad, clk_worst;		/* kvmclock against the model */
	u64 pinches, tsc_bad;		/* guest TSC against the host's through the model */
	u64 pinch_width;		/* narrowest sandwich, host cycles */
	u64 line_bad, line_worst;	/* TSC against kvmclock, across all segments */
	u64 state_bad;			/* the file against its own formulas */
	u64 rate_bad, rates;		/* factor_force against host and guest time */
	double rate_worst;
	u64 get_clock_bad, get_clocks, get_clock_worst;
	struct clock_sample first, last;
	bool have_first;
	u64 seq_first;
	struct model prev;
	bool saw_offset;
};

static void check_state(struct clock_check *c, const struct model *m)
{
	double rate, want;

	if (!m->valid)
		return;
	if (model_tsc(m, m->host_tsc) != m->guest_tsc ||
	    model_guest_ns(m, m->guest_tsc) != m->guest_ns) {
		c->state_bad++;
		note("state seq=%" PRIu64 " attached=%d: guest_tsc off by %" PRId64
		     ", guest_ns off by %" PRId64, m->seq, m->attached,
		     (s64)(m->guest_tsc - model_tsc(m, m->host_tsc)),
		     (s64)(m->guest_ns - model_guest_ns(m, m->guest_tsc)));
	}
	if (!strcmp(m->mode, "offset"))
		c->saw_offset = true;

	if (!c->prev.valid) {
		c->prev = *m;
		return;
	}
	if (!model_same_segment(&c->prev, m)) {
		c->prev = *m;
		return;
	}
	/* 2 ns of rounding must weigh less than 1 ppm at either end. */
	if (m->host_ns - c->prev.host_ns < 100000000 ||
	    m->guest_ns - c->prev.guest_ns < 10000000)
		return;
	rate = (double)(m->guest_ns - c->prev.guest_ns) / (m->host_ns - c->prev.host_ns);
	want = (double)m->force_num / m->force_den;
	rate = rate / want - 1;
	if (rate < 0)
		rate = -rate;
	if (rate > c->rate_worst)
		c->rate_worst = rate;
	c->rates++;
	c->rate_bad += rate > 1e-6;
}

static void check_samples(struct clock_check *c, const struct model *m)
{
	unsigned int i, j;

	for (i = 0; i < opt.nr_vcpus; i++) {
		struct vcpu_area *a = &sh->vcpu[i];

		for (j = 0; j < a->nr_samples; j++) {
			struct clock_sample *s = &a->sample[j];
			u64 diff = abs_diff(s->clk, model_kvmclock(m, s->tsc));

			c->samples++;
			c->clk_bad += diff > 2;
			if (diff > c->clk_worst)
				c->clk_worst = diff;
		}
		for (j = 0; j < a->nr_pinches; j++) {
			struct pinch *p = &a->pinch[j];
			u64 low = model_tsc(m, p->host_before);
			u64 high = model_tsc(m, p->host_after);

			c->pinches++;
			c->tsc_bad += p->tsc < low || p->tsc > high;
			if (p->host_after - p->host_before < c->pinch_width)
				c->pinch_width = p->host_after - p->host_before;
		}
	}
}

/*
 * TSC and kvmclock are one line through all segments: kvmclock is what the
 * first page makes of any later TSC. Each new page may round its anchor by
 * a nanosecond. Only in offset mode do the two part.
 */
static void check_line(struct clock_check *c, u64 segments)
{
	unsigned int i, j;

	for (i = 0; i < opt.nr_vcpus; i++) {
		struct vcpu_area *a = &sh->vcpu[i];

		for (j = 0; j < a->nr_samples; j++) {
			struct clock_sample *s = &a->sample[j], *f = &c->first;
			u64 line, diff;

			if (!c->have_first) {
				*f = *s;
				c->have_first = true;
				c->last = *s;
			}
			/* of one batch, the last vCPU's samples need not be the last */
			if ((s64)(s->tsc - c->last.tsc) > 0)
				c->last = *s;
			line = f->page_ns + pv_scale(s->tsc - f->page_tsc, f->page_mul,
						     f->page_shift);
			diff = abs_diff(s->clk, line);
			c->line_bad += diff > 2 + segments;
			if (diff > c->line_worst)
				c->line_worst = diff;
		}
	}
}

/* KVM_GET_CLOCK names the host TSC it was taken at. */
static void check_get_clock(struct clock_check *c, const struct model *m,
			    const struct kvm_clock_data *d)
{
	u64 diff, limit;

	if (!(d->flags & KVM_CLOCK_HOST_TSC))
		return;
	diff = abs_diff(d->clock, model_kvmclock(m, model_tsc(m, d->host_tsc)));
	/*
	 * Without a timeline KVM_GET_CLOCK has a formula of its own, which
	 * drifts from the page's by up to some 100 ppb.
	 */
	limit = m->valid ? 2 : 1000 + (d->clock - m->pv_ns) / 1000000;
	c->get_clocks++;
	c->get_clock_bad += diff > limit;
	if (diff > c->get_clock_worst)
		c->get_clock_worst = diff;
}

static bool take_batch(void)
{
	unsigned int i;

	sh->batch++;
	for (i = 0; i < opt.nr_vcpus; i++)
		while (sh->vcpu[i].batch_done != sh->batch) {
			check_stall();
			if (vcpus[i].done)
				return false;
			sleep_ms(1);
		}
	return true;
}

static void clock_batch(struct clock_check *c)
{
	struct kvm_clock_data d = { 0 };
	struct model before, after;
	bool had = read_model(&before);

	if (!take_batch())
		return;
	/* The stand-in for a timeline rests on a sample, so it comes after them. */
	if (!before.valid)
		had = read_model(&before) && !before.valid;
	if (had)
		IOCTL(vm_fd, KVM_GET_CLOCK, &d);
	if (!read_model(&after) || !had || !model_same_segment(&before, &after)) {
		c->moving++;
	} else {
		check_get_clock(c, &before, &d);
		check_state(c, &after);
		check_samples(c, &before);
		c->batches++;
	}
	check_line(c, after.valid ? after.seq - c->seq_first + 1 : 0);
}

static void report_clock(struct clock_check *c)
{
	u64 dt, dk, want, reads = SUM(reads);
	u64 stale = MAX(back_clk_worst);

	figure("readings", reads);
	if (model_possible())
		figure("apart_ns", c->clk_worst);
	if (!c->saw_offset)
		figure("line_ns", c->line_worst);

	note("reads=%" PRIu64 " batches=%" PRIu64 " dropped=%" PRIu64 " samples=%" PRIu64
	     " narrowest_sandwich=%" PRIu64 "_cycles", reads, c->batches, c->moving,
	     c->samples, c->pinches ? c->pinch_width : 0);
	ok(reads >= opt.reads && reads > 0, "the guest read its clocks %" PRIu64 " times", reads);
	ok(SUM(back_clk) == 0, "kvmclock never steps back on a vCPU (%" PRIu64 ", worst %" PRIu64 " ns)",
	   SUM(back_clk), stale);
	ok(SUM(back_tsc) == 0, "the TSC never steps back on a vCPU (%" PRIu64 ", worst %" PRIu64 ")",
	   SUM(back_tsc), MAX(back_tsc_worst));
	if (opt.nr_vcpus > 1) {
		ok(SUM(cross_clk) == 0,
		   "kvmclock never is behind another vCPU's (%" PRIu64 ", worst %" PRIu64 " ns)",
		   SUM(cross_clk), MAX(cross_clk_worst));
		ok(SUM(cross_tsc) == 0,
		   "the TSC never is behind another vCPU's (%" PRIu64 ", worst %" PRIu64 ")",
		   SUM(cross_tsc), MAX(cross_tsc_worst));
	}
	ok(SUM(unstable) == 0, "kvmclock keeps its stable bit (%" PRIu64 " reads without)",
	   SUM(unstable));
	if (model_possible()) {
		ok(c->batches > 0 && c->clk_bad == 0,
		   "kvmclock is the timeline's at the same TSC to 2 ns (%" PRIu64 " of %" PRIu64
		   " off, worst %" PRIu64 " ns)", c->clk_bad, c->samples, c->clk_worst);
		ok(c->batches > 0 && c->tsc_bad == 0,
		   "the guest's TSC is the timeline's of the host TSC around it (%" PRIu64 " of %" PRIu64
		   " off)", c->tsc_bad, c->pinches);
		ok(c->get_clocks > 0 && c->get_clock_bad == 0,
		   "KVM_GET_CLOCK is what the guest's page says (%" PRIu64 " of %" PRIu64
		   " off, worst %" PRIu64 " ns)", c->get_clock_bad, c->get_clocks, c->get_clock_worst);
	} else {
		note("no model of a TSC that the VMM has set: clocks are held against each other only");
	}
	if (!c->saw_offset) {
		ok(c->have_first && c->line_bad == 0,
		   "TSC and kvmclock stay on one line throughout (%" PRIu64 " off, worst %" PRIu64
		   " ns)", c->line_bad, c->line_worst);
		dt = c->last.tsc - c->first.tsc;
		dk = c->last.clk - c->first.clk;
		want = (u64)((unsigned __int128)dt * 1000000 / sh->tsc_khz);
		ok(dk > 0 && abs_diff(dk, want) <= 2 + dk / 1000000,
		   "the TSC keeps its nominal %" PRIu64 " kHz by kvmclock within 1 ppm (%+.3f ppm)",
		   sh->tsc_khz, dk ? ((double)want - dk) / dk * 1e6 : 0);
	}
	if (c->prev.valid) {
		ok(c->state_bad == 0, "the state file fits its own formulas (%" PRIu64 " do not)",
		   c->state_bad);
		/*
		 * Segments that come and go are too short to measure, and so is
		 * what setclock leaves of its time.
		 */
		if (c->rates)
			figure("rate_ppm", c->rate_worst * 1e6);
		if (c->rates || (!opt.expect_changes && !strcmp(case_name, "clock")))
			ok(c->rates > 0 && c->rate_bad == 0,
			   "guest time passes at the factor in force within 1 ppm (%" PRIu64 " of %"
			   PRIu64 " off, worst %.3f ppm)", c->rate_bad, c->rates,
			   c->rate_worst * 1e6);
	}
}

/* A rate takes longer to measure in slow motion. */
#define RATE_SECONDS	10

static bool rate_is_owed(const struct clock_check *c, double start)
{
	return opt.expect_factor && !c->rates && now() - start < RATE_SECONDS;
}

static void check_clock_for_a_while(struct clock_check *c)
{
	double start = now();

	start_case(CASE_CLOCK);
	do {
		clock_batch(c);
		check_stall();
		sleep_ms(20);
	} while (time_left(start) || rate_is_owed(c, start));
	finish_case();
}

static void run_clock(void)
{
	struct clock_check c = { .pinch_width = -1 };
	struct model m;

	if (model_read(&m, state_path))
		c.seq_first = m.seq;
	check_clock_for_a_while(&c);
	report_clock(&c);
	sum_up_expectations(c.seq_first);
}

/* timers, tmcct, tscmsr, rdtscp: the guest judges, the VMM tells */

static void run_timers(void)
{
	static const char *const names[NR_MODES] = {
		[MODE_ONESHOT] = "one-shot",
		[MODE_PERIODIC] = "periodic",
		[MODE_DEADLINE] = "TSC-deadline",
	};
	int m;

	run_for_a_while(CASE_TIMERS);
	for (m = 0; m < NR_MODES; m++) {
		u64 armed = SUM(timer[m].armed), fired = SUM(timer[m].fired);
		u64 cancelled = SUM(timer[m].cancelled), merged = SUM(timer[m].merged);

		note("%s: armed=%" PRIu64 " fired=%" PRIu64 " cancelled=%" PRIu64 " merged=%" PRIu64
		     " late_worst=%" PRIu64 "_ns late_mean=%" PRIu64 "_ns", names[m], armed, fired,
		     cancelled, merged, MAX(timer[m].late_worst),
		     fired ? SUM(timer[m].late_sum) / fired : 0);
		figure("timers", fired);
		figure("late_ns", MAX(timer[m].late_worst));
		ok(fired > 0, "%s timers fire (%" PRIu64 ")", names[m], fired);
		ok(armed == fired + cancelled + merged && SUM(timer[m].spurious) == 0,
		   "%s: armed = fired + cancelled%s, none doubled (%" PRIu64 " = %" PRIu64 " + %"
		   PRIu64 ", %" PRIu64 " spurious)", names[m],
		   m == MODE_PERIODIC ? " + merged" : "", armed, fired, cancelled + merged,
		   SUM(timer[m].spurious));
		ok(SUM(timer[m].early) == 0, "%s is never early (%" PRIu64 ", worst by %" PRIu64 " %s)",
		   names[m], SUM(timer[m].early), MAX(timer[m].early_worst),
		   m == MODE_DEADLINE ? "TSC ticks" : "ns");
		if (m == MODE_PERIODIC)
			report_merged("", merged, armed);
		else
			ok(cancelled > 0, "%s timers were cancelled as well (%" PRIu64 ")",
			   names[m], cancelled);
	}
	sum_up_expectations(0);
}

static void run_tmcct(void)
{
	run_for_a_while(CASE_TMCCT);
	ok(SUM(tmcct_reads) > 0, "the remaining count was read %" PRIu64 " times",
	   SUM(tmcct_reads));
	ok(SUM(tmcct_bad) == 0,
	   "the remaining count is the initial one less the guest time gone by (%" PRIu64
	   " off, worst %" PRIu64 " ns)", SUM(tmcct_bad), MAX(tmcct_worst));
	ok(SUM(tmcct_zero) == 0, "the count does not run out before its time (%" PRIu64 ")",
	   SUM(tmcct_zero));
	sum_up_expectations(0);
}

static void run_tscmsr(void)
{
	run_for_a_while(CASE_TSCMSR);
	ok(SUM(tries) > 0, "the MSRs were written (%" PRIu64 " rounds)", SUM(tries));
	ok(SUM(bad_rdmsr) == 0, "RDMSR of IA32_TSC lies between the RDTSCs around it (%" PRIu64 " off)",
	   SUM(bad_rdmsr));
	ok(SUM(bad_adjust_read) == 0, "TSC_ADJUST reads back what was written (%" PRIu64 " off)",
	   SUM(bad_adjust_read));
	ok(SUM(bad_adjust_tsc) == 0, "the TSC moves by what TSC_ADJUST moves (%" PRIu64 " off)",
	   SUM(bad_adjust_tsc));
	if (sh->clocks_agree)
		ok(SUM(bad_adjust_clk) == 0, "TSC_ADJUST does not move kvmclock (%" PRIu64
		   " off, worst %" PRIu64 " ns)", SUM(bad_adjust_clk), MAX(worst_adjust_clk));
	ok(SUM(bad_write_tsc) == 0, "the TSC goes on from what IA32_TSC is set to (%" PRIu64 " off)",
	   SUM(bad_write_tsc));
	ok(SUM(bad_write_adjust) == 0, "TSC_ADJUST takes up a write of IA32_TSC (%" PRIu64 " off)",
	   SUM(bad_write_adjust));
	sum_up_expectations(0);
}

static void run_rdtscp(void)
{
	run_for_a_while(CASE_RDTSCP);
	ok(SUM(tries) > 0, "RDTSCP was executed (%" PRIu64 " times)", SUM(tries));
	ok(SUM(bad_order) == 0, "RDTSCP lies between the RDTSCs around it (%" PRIu64 " off)",
	   SUM(bad_order));
	if (opt.no_aux)
		note("TSC_AUX is not looked at: %" PRIu64 " of %" PRIu64 " off", SUM(bad_aux), SUM(tries));
	else
		ok(SUM(bad_aux) == 0, "RDTSCP returns TSC_AUX (%" PRIu64 " off)", SUM(bad_aux));
	sum_up_expectations(0);
}

/* pit */

static void report_read(const struct read_result *r, const char *what, const char *unit)
{
	ok(r->reads && !r->bad, "%s: %" PRIu64 " reads, %" PRIu64 " off, worst by %" PRIu64 " %s",
	   what, r->reads, r->bad, r->worst, unit);
}

static void run_pit(void)
{
	static const char * const names[NR_PIT_TIMERS] = { "mode 0", "mode 4", "modes 2 and 3" };
	struct model before, after;
	u64 lost = 0;
	unsigned int i;

	model_read(&before, state_path);
	run_for_a_while(CASE_PIT);
	if (model_read(&after, state_path))
		lost = after.lost_ticks - (before.valid ? before.lost_ticks : 0);
	for (i = 0; i < NR_PIT_TIMERS; i++) {
		const struct timer_result *r = &sh->vcpu[0].pit[i];

		ok(r->fired > 0 && r->armed == r->fired + r->merged && !r->spurious,
		   "%s: armed = fired%s, none doubled (%" PRIu64 " = %" PRIu64 " + %" PRIu64 ", %"
		   PRIu64 " spurious)", names[i], i == PIT_PERIODIC ? " + merged" : "", r->armed,
		   r->fired, r->merged, r->spurious);
		ok(!r->early, "%s is never early (%" PRIu64 ", worst by %" PRIu64 " ns)", names[i],
		   r->early, r->early_worst);
		note("%s: late by %" PRIu64 " ns on average, %" PRIu64 " at worst", names[i],
		     r->fired ? r->late_sum / r->fired : 0, r->late_worst);
		figure("timers", r->fired);
		figure("late_ns", r->late_worst);
		if (i != PIT_PERIODIC)
			continue;
		if (opt.no_reinject)
			report_merged("", r->merged, r->armed);
		else
			ok(r->merged <= lost, "%s: a tick that is missing is counted as lost (%" PRIu64
			   " missing, %" PRIu64 " lost)", names[i], r->merged, lost);
	}
	report_read(&sh->vcpu[0].pit_count[0], "channel 0's counter follows guest time", "cycles");
	report_read(&sh->vcpu[0].pit_count[1], "channel 2's counter follows guest time", "cycles");
	report_read(&sh->vcpu[0].pit_out, "channel 2's output goes up in its time", "ns");
	sum_up_expectations(0);
}

/* pairing */

static void run_pairing(void)
{
	struct vcpu_area *a = &sh->vcpu[0];
	struct read_result clock = { 0 };
	struct kvm_clock_data d, last = { 0 };
	u64 no_realtime = 0, back = 0, off;
	double start = now();

	start_case(CASE_PAIRING);
	while (time_left(start) || !a->epoch || !(clock.reads + no_realtime)) {
		memset(&d, 0, sizeof(d));
		IOCTL(vm_fd, KVM_GET_CLOCK, &d);
		/* Before a vCPU has run, KVM has no clock to pair. */
		if (a->epoch && !(d.flags & KVM_CLOCK_REALTIME)) {
			no_realtime++;
		} else if (a->epoch) {
			off = abs_diff(d.realtime - d.clock, a->epoch);
			clock.reads++;
			clock.bad += off > 1000;
			if (off > clock.worst)
				clock.worst = off;
			back += d.realtime < last.realtime;
			last = d;
		}
		check_stall();
		sleep_ms(5);
	}
	finish_case();
	report_read(&a->wall_epoch, "the wall clock's epoch stays", "ns");
	ok(!a->pair_refused && !no_realtime, "KVM pairs clocks (%" PRIu64 " refused, %" PRIu64
	   " without realtime)", a->pair_refused, no_realtime);
	report_read(&a->pair_tsc, "the pair's TSC lies between the RDTSCs around it", "ticks");
	report_read(&a->pair_wall, "the pair's wall clock is kvmclock plus the epoch", "ns");
	report_read(&clock, "KVM_GET_CLOCK's realtime is its clock plus the epoch", "ns");
	ok(!a->pair_back && !back, "the wall clock does not step back (%" PRIu64 ")",
	   a->pair_back + back);
	sum_up_expectations(0);
}

/* vmware */

static u64 boottime_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/*
 * Each change of a segment and each clock rounds; and with no timeline boot time has the rate of the
 * host's clocksource, whose multiplier of 24 bits is half of its last one off at the most.
 */
#define VMWARE_SLACK_NS(real_ns)	(8 + (s64)((real_ns) >> 24))

static void run_vmware(void)
{
	struct vcpu_area *a = &sh->vcpu[0];
	u64 ns0 = boottime_ns(), tsc0 = rdtsc(), ns1, tsc1;
	s64 apart, slack;

	run_for_a_while(CASE_VMWARE);
	tsc1 = rdtsc();
	ns1 = boottime_ns();
	if (a->gp_seen) {
		/* Needs kvm.enable_vmware_backdoor=1 and, oddly, a PMU. */
		note("skipped: this KVM has no VMware counters");
		return;
	}
	ok(a->vmware_tsc[0] > tsc0 && a->vmware_tsc[1] < tsc1, "counter 0x10000 is the host's TSC");
	ok(a->vmware_real[0] > ns0 && a->vmware_real[1] < ns1, "counter 0x10001 is real time");
	/*
	 * What is between the two is what NTP has corrected on the host since it started,
	 * so nobody may steer the host while it goes on with no timeline.
	 */
	apart = a->vmware_least - a->vmware_most;
	slack = VMWARE_SLACK_NS(a->vmware_real[1] - a->vmware_real[0]);
	ok(a->vmware_reads && apart <= slack,
	   "counter 0x10002 keeps its distance to kvmclock (%" PRIu64 " reads; %" PRId64 " to %" PRId64
	   " ns fit all, or they cross by less than %" PRId64 ")", a->vmware_reads, a->vmware_least,
	   a->vmware_most, slack);
	if (apart > slack)
		note("it moved by at least %" PRId64 " ns", apart);
	if (opt.expect_factor) {
		double rate = (double)(a->vmware_apparent[1] - a->vmware_apparent[0]) /
			      (a->vmware_real[1] - a->vmware_real[0]);

		ok(rate > opt.expect_factor * 0.999 && rate < opt.expect_factor * 1.001,
		   "apparent time by real time is %g within 0.1 %% (%.9g)", opt.expect_factor, rate);
	}
	ok(!a->vmware_back, "none of them steps back (%" PRIu64 ")", a->vmware_back);
	sum_up_expectations(0);
}

/* steal */

static void run_steal(void)
{
	unsigned int i;

	run_for_a_while(CASE_STEAL);
	ok(!SUM(steal_back), "steal time does not step back (%" PRIu64 ")", SUM(steal_back));
	for (i = 0; i < opt.nr_vcpus; i++) {
		struct vcpu_area *a = &sh->vcpu[i];

		report_read(&a->steal_step, "no more is stolen than has elapsed", "ns");
		/* vCPUs that share a CPU take it from each other, half the time. */
		if (opt.nr_vcpus == 2 && sysconf(_SC_NPROCESSORS_ONLN) == 1)
			ok(a->steal_ns > a->steal_elapsed / 5 &&
			   a->steal_ns < a->steal_elapsed / 5 * 4,
			   "vCPU %u of two on a CPU waits for a fifth to four fifths of its time (%"
			   PRIu64 " of %" PRIu64 " ns)", i, a->steal_ns, a->steal_elapsed);
	}
	sum_up_expectations(0);
}

/* hyperv, xen */

static void report_device_timer(unsigned int i, const char *name, bool periodic)
{
	u64 armed = SUM(device[i].armed), fired = SUM(device[i].fired);
	u64 cancelled = SUM(device[i].cancelled), merged = SUM(device[i].merged);

	ok(fired > 0 && armed == fired + cancelled + merged && !SUM(device[i].spurious),
	   "%s: armed = fired + cancelled + merged, none doubled (%" PRIu64 " = %" PRIu64 " + %"
	   PRIu64 " + %" PRIu64 ", %" PRIu64 " spurious)", name, armed, fired, cancelled, merged,
	   SUM(device[i].spurious));
	ok(!SUM(device[i].early), "%s: never early (%" PRIu64 ", worst by %" PRIu64 " ns)", name,
	   SUM(device[i].early), MAX(device[i].early_worst));
	note("%s: late by %" PRIu64 " ns on average, %" PRIu64 " at worst", name,
	     fired ? SUM(device[i].late_sum) / fired : 0, MAX(device[i].late_worst));
	figure("timers", fired);
	figure("late_ns", MAX(device[i].late_worst));
	/* Whoever changes the factor meanwhile needs a CPU too. */
	if (periodic && !opt.until)
		report_merged(name, merged, armed);
}

static void run_hyperv(void)
{
	unsigned int i;

	if (!opt.hyperv)
		bail("hyperv needs --hyperv");
	run_for_a_while(CASE_HYPERV);
	for (i = 0; i < opt.nr_vcpus; i++) {
		report_read(&sh->vcpu[i].ref_page, "the reference TSC page is kvmclock", "ns");
		report_read(&sh->vcpu[i].ref_msr, "the reference counter is kvmclock", "ns");
	}
	ok(!SUM(ref_back), "reference time does not step back (%" PRIu64 ", worst by %" PRIu64 ")",
	   SUM(ref_back), MAX(ref_back_worst));
	report_device_timer(0, "one-shot synthetic timers", false);
	report_device_timer(1, "periodic synthetic timers", true);
	sum_up_expectations(0);
}

static void run_xen(void)
{
	unsigned int i;

	if (!opt.xen)
		bail("xen needs --xen");
	run_for_a_while(CASE_XEN);
	for (i = 0; i < opt.nr_vcpus; i++) {
		report_read(&sh->vcpu[i].xen_page[0], "vcpu_time_info is kvmclock", "ns");
		report_read(&sh->vcpu[i].xen_page[1], "vcpu_info's time is kvmclock", "ns");
		report_read(&sh->vcpu[i].xen_runstate, "runstates' times add up", "ns");
	}
	report_device_timer(0, "set_timer_op", false);
	report_device_timer(1, "set_singleshot_timer", false);
	sum_up_expectations(0);
}

/* setclock: the VMM's own means to move the guest's clocks */

struct set_check {
	u64 sets, bad, worst, skipped, by_realtime;
};

/*
 * KVM_SET_CLOCK took effect between host TSCs h0 and h1; from there on the
 * clock has to run on from the value set. By realtime it runs on from when
 * the value was got, as KVM adds what the wall clock has gone on by since.
 */
static void try_set_clock(struct set_check *c, u64 forward, bool by_realtime)
{
	struct kvm_clock_data d = { 0 };
	struct model before, after;
	unsigned int i, j;
	u64 h0, h1;

	h0 = rdtsc();
	IOCTL(vm_fd, KVM_GET_CLOCK, &d);
	h1 = rdtsc();
	if (by_realtime && !(d.flags & KVM_CLOCK_REALTIME))
		return;
	d.clock += forward;
	d.flags = by_realtime ? KVM_CLOCK_REALTIME : 0;
	if (by_realtime)
		usleep(1000);
	else
		h0 = rdtsc();
	IOCTL(vm_fd, KVM_SET_CLOCK, &d);
	if (!by_realtime)
		h1 = rdtsc();
	if (!read_model(&before) || !take_batch())
		return;
	if (!before.valid && !read_model(&before))
		return;
	if (!read_model(&after) || !model_same_segment(&before, &after)) {
		c->skipped++;
		return;
	}
	c->sets++;
	c->by_realtime += by_realtime;
	for (i = 0; i < opt.nr_vcpus; i++)
		for (j = 0; j < sh->vcpu[i].nr_samples; j++) {
			struct clock_sample *s = &sh->vcpu[i].sample[j];
			u64 low = d.clock + pv_scale(s->tsc - model_tsc(&after, h1),
						     s->page_mul, s->page_shift);
			u64 high = d.clock + pv_scale(s->tsc - model_tsc(&after, h0),
						      s->page_mul, s->page_shift);
			u64 off = 0;

			if (s->clk + 1000 < low)
				off = low - s->clk;
			else if (s->clk > high + 1000)
				off = s->clk - high;
			c->bad += off > 0;
			if (off > c->worst)
				c->worst = off;
		}
}

static void write_tsc(struct vcpu *v, u64 val)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} m = { .head.nmsrs = 1, .entry = { .index = 0x10, .data = val } };

	if (ioctl(v->fd, KVM_SET_MSRS, &m) != 1)
		bail("KVM_SET_MSRS of IA32_TSC: %s", strerror(errno));
}

static void run_setclock(void)
{
	const u64 new_tsc = (u64)1 << 50;
	struct set_check c = { 0 };
	struct clock_check cc = { .pinch_width = -1 };
	double start = now();
	struct model m;
	unsigned int i;
	u64 clk;

	start_case(CASE_CLOCK);
	if (!take_batch())
		return;
	do {
		try_set_clock(&c, 3600ULL * 1000000000, false);
		try_set_clock(&c, 1000000, false);
		try_set_clock(&c, 60ULL * 1000000000, true);
		check_stall();
	} while (time_left(start));
	clk = sh->vcpu[0].sample[0].clk;
	finish_case();
	ok(c.by_realtime > 0, "KVM_SET_CLOCK was tried (%" PRIu64 " times, %" PRIu64
	   " by realtime, %" PRIu64 " dropped)", c.sets, c.by_realtime, c.skipped);
	ok(c.bad == 0, "kvmclock goes on from what KVM_SET_CLOCK set (%" PRIu64 " off, worst %"
	   PRIu64 " ns)", c.bad, c.worst);
	ok(SUM(back_clk) == 0, "KVM_SET_CLOCK forward takes no vCPU back (%" PRIu64 ")",
	   SUM(back_clk));
	ok(SUM(back_tsc) + SUM(cross_tsc) == 0, "KVM_SET_CLOCK does not move the TSC (%" PRIu64 ")",
	   SUM(back_tsc) + SUM(cross_tsc));

	if (!tsc_control) {
		note("no TSC scaling here: KVM_SET_TSC_KHZ is not tried");
		return;
	}
	/*
	 * Half as fast again and all TSCs set to one value, while the guest is not
	 * running; that is how a VMM does it. Only with the TSC's write does KVM
	 * bring the pages in line. The state file's formulas are for TSCs that
	 * nobody moved, so they do not hold from here on.
	 */
	for (i = 0; i < opt.nr_vcpus; i++)
		IOCTL(vcpus[i].fd, KVM_SET_TSC_KHZ, sh->tsc_khz * 3 / 2);
	for (i = 0; i < opt.nr_vcpus; i++)
		write_tsc(&vcpus[i], new_tsc);
	opt.tsc_khz = sh->tsc_khz = IOCTL(vcpus[0].fd, KVM_GET_TSC_KHZ, 0);
	tsc_moved = true;
	note("TSC set to %" PRIu64 " kHz", (u64)sh->tsc_khz);
	if (model_read(&m, state_path))
		cc.seq_first = m.seq;
	check_clock_for_a_while(&cc);
	ok(cc.first.tsc - new_tsc < sh->tsc_khz * 1000 * 3600,
	   "the TSC goes on from what the VMM wrote (%" PRIu64 " ticks on)",
	   cc.first.tsc - new_tsc);
	ok(cc.first.clk > clk && cc.first.clk - clk < 3600ULL * 1000000000,
	   "kvmclock goes on when the VMM sets TSC and frequency (%" PRId64 " ns)",
	   (s64)(cc.first.clk - clk));
	report_clock(&cc);
}

/*
 * coherence: every clock of the guest's between two readings of its TSC, in the form that
 * tests/guest/coherence.c has; tests/coherence/measure compares them. A batch each 50 ms.
 */
static const struct {
	const char *name;
	u64 hz, wrap;
} clocks[NR_CLOCKS] = {
	[CLOCK_HV_PAGE] = { "hv_page", 10000000, 0 },
	[CLOCK_HV_REF] = { "hv_ref", 10000000, 0 },
	[CLOCK_XEN_INFO] = { "xen_info", 1000000000, 0 },
	[CLOCK_XEN_TIME] = { "xen_time", 1000000000, 0 },
	[CLOCK_PIT0] = { "pit0", PIT_HZ, PIT_WRAP },
	[CLOCK_PIT2] = { "pit2", PIT_HZ, PIT_WRAP },
	[CLOCK_LAPIC] = { "lapic", 1000000000 / LAPIC_DIVIDE, LAPIC_INITIAL },
};

static void run_coherence(void)
{
	double start = now();
	unsigned int i, j;

	if (!opt.hyperv || !opt.xen)
		bail("coherence needs --hyperv and --xen");
	for (j = 0; j < NR_CLOCKS; j++)
		printf("unit %s %" PRIu64 " %" PRIu64 "\n", clocks[j].name, clocks[j].hz, clocks[j].wrap);
	start_case(CASE_COHERENCE);
	while (time_left(start)) {
		if (!take_batch())
			break;
		for (i = 0; i < opt.nr_vcpus; i++) {
			struct vcpu_area *a = &sh->vcpu[i];
			struct clock_sample *s = &a->sample[0];

			printf("page %" PRIu64 " %" PRIu64 " %u %d\n", s->page_tsc, s->page_ns, s->page_mul,
			       s->page_shift);
			for (j = 0; j < NR_CLOCKS; j++)
				if (a->reading[j].before)
					printf("%s %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", clocks[j].name,
					       a->reading[j].before, a->reading[j].value, a->reading[j].after);
		}
		sleep_ms(50);
	}
	finish_case();
	ok(SUM(progress) > 0, "the guest has read its clocks (%" PRIu64 " batches)", SUM(progress));
}

/*
 * costs: what it costs to read a clock, in ns of the host's. The least of some sandwiches, less the least
 * of those with nothing between.
 */
static void run_costs(void)
{
	static const char * const names[] = { "exit", "tsc_read", "kvmclock_read" };
	u64 least[3] = { -1, -1, -1 }, khz = 0;
	struct vcpu_area *a = &sh->vcpu[0];
	double start = now(), ns;
	u64 tsc = rdtsc();
	unsigned int i;

	start_case(CASE_COSTS);
	while (a->nr_pinches < MAX_PINCHES - MAX_PINCHES % 3) {
		check_stall();
		sleep_ms(5);
	}
	finish_case();
	/* The guest's frequency is not the host's where the VMM sets it. */
	khz = (rdtsc() - tsc) / (now() - start) / 1000;
	for (i = 0; i < a->nr_pinches; i++)
		if (a->pinch[i].host_after - a->pinch[i].host_before < least[i % 3])
			least[i % 3] = a->pinch[i].host_after - a->pinch[i].host_before;
	for (i = 1; i < 3; i++) {
		ns = ((double)least[i] - least[0]) / COST_READS * 1e6 / khz;
		ok(ns > 0, "%s took time (%.1f ns of the host's)", names[i], ns);
		printf("# figure %s_ns %.1f\n", names[i], ns);
	}
	sum_up_expectations(0);
}

/*
 * roundtrip: what a guest's timer costs its host, from arming over halting to
 * firing, less the wait. A thread of SCHED_IDLE takes all time that nobody
 * else wants on this CPU and sees the gaps: their sum is what the round trips
 * took, interrupts and VM exits included. Under -icount that is a number of
 * instructions.
 */
static struct {
	volatile bool stop;
	volatile u64 gaps;
	volatile u64 busy;
} spinner;

#define SPIN_GAP	150	/* cycles; a turn of the loop is far below */

static void *spin(void *arg)
{
	struct sched_param p = { 0 };
	u64 last, t;

	(void)arg;
	if (sched_setscheduler(0, SCHED_IDLE, &p))
		bail("sched_setscheduler: %s", strerror(errno));
	last = rdtsc();
	while (!spinner.stop) {
		t = rdtsc();
		if (t - last > SPIN_GAP) {
			spinner.busy += t - last;
			spinner.gaps++;
		}
		last = t;
	}
	return NULL;
}

static void run_roundtrip(void)
{
	u64 min = -1, base = -1, total = 0, h0;
	cpu_set_t set;
	pthread_t thread;
	double start;
	int i;

	CPU_ZERO(&set);
	CPU_SET(opt.cpu < 0 ? 0 : opt.cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		bail("sched_setaffinity: %s", strerror(errno));
	if (opt.nr_vcpus != 1)
		bail("roundtrip is for one vCPU");
	spinner.stop = false;
	if (pthread_create(&thread, NULL, spin, NULL))
		bail("pthread_create failed");

	/* The host's own ticks, in as long a time, are not the timer's. */
	for (i = 0; i < 5; i++) {
		u64 busy;

		h0 = rdtsc();
		busy = spinner.busy;
		sleep_ms(50);
		busy = spinner.busy - busy;
		busy = (unsigned __int128)busy * 1000000 / (rdtsc() - h0);
		if (busy < base)
			base = busy;
	}

	for (i = 0; i < 5; i++) {
		u64 busy = spinner.busy, cost, took;
		struct vcpu_area *a = &sh->vcpu[0];

		start = now();
		h0 = rdtsc();
		start_case(CASE_ROUNDTRIP);
		while (!vcpus[0].done) {
			/* Wake up rarely: this is on the same CPU. */
			sleep_ms(200);
			check_stall();
			if (a->rounds >= opt.rounds)
				break;
			if (now() - start > opt.stall)
				break;
		}
		finish_case();
		took = rdtsc() - h0;
		busy = spinner.busy - busy;
		(void)took;
		cost = a->rounds ? busy / a->rounds : 0;
		total += cost;
		if (cost < min)
			min = cost;
		note("run=%d rounds=%" PRIu64 " busy_cycles=%" PRIu64 " per_round=%" PRIu64
		     " arm_mean=%" PRIu64 " arm_min=%" PRIu64 " late_mean=%" PRIu64
		     " late_min=%" PRIu64 " rdtsc64_min=%" PRIu64, i, a->rounds, busy, cost,
		     a->rounds ? a->arm_cycles / a->rounds : 0, a->arm_cycles_min,
		     a->rounds ? a->late_cycles / a->rounds : 0, a->late_cycles_min,
		     a->read_cycles_min);
		ok(a->rounds == opt.rounds, "all %" PRIu64 " round trips end (%" PRIu64 ")",
		   opt.rounds, a->rounds);
	}
	spinner.stop = true;
	pthread_join(thread, NULL);
	printf("roundtrip_cycles_min %" PRIu64 "\n", min);
	printf("roundtrip_cycles_mean %" PRIu64 "\n", total / 5);
	printf("roundtrip_arm_guest_cycles_min %" PRIu64 "\n", sh->vcpu[0].arm_cycles_min);
	printf("roundtrip_late_guest_cycles_min %" PRIu64 "\n", sh->vcpu[0].late_cycles_min);
	printf("host_background_ppm %" PRIu64 "\n", base);
	printf("rdtsc64_guest_cycles_min %" PRIu64 "\n", sh->vcpu[0].read_cycles_min);
}

static const struct {
	const char *name;
	void (*run)(void);
	const char *help;
} cases[] = {
	{ "clock", run_clock, "kvmclock and TSC of each vCPU against the timeline, monotonic" },
	{ "timers", run_timers, "LAPIC one-shot, periodic, TSC-deadline: none lost, doubled, early" },
	{ "tmcct", run_tmcct, "the LAPIC's remaining count follows guest time" },
	{ "tscmsr", run_tscmsr, "IA32_TSC and TSC_ADJUST compose" },
	{ "rdtscp", run_rdtscp, "RDTSCP agrees with RDTSC, TSC_AUX is kept" },
	{ "pit", run_pit, "PIT: interrupts of channel 0, counters, channel 2 through port 0x61" },
	{ "pairing", run_pairing, "wall clock, KVM_HC_CLOCK_PAIRING and KVM_GET_CLOCK agree" },
	{ "vmware", run_vmware, "VMware's counters: host TSC, real and apparent time" },
	{ "steal", run_steal, "steal time is in guest time, and never more than elapsed" },
	{ "hyperv", run_hyperv, "with --hyperv: reference time and synthetic timers" },
	{ "xen", run_xen, "with --xen: pvclock pages, one-shot timers, runstates" },
	{ "coherence", run_coherence, "with --hyperv --xen: prints readings of all clocks, for tests/coherence" },
	{ "setclock", run_setclock, "KVM_SET_CLOCK and KVM_SET_TSC_KHZ; moves the guest's clocks" },
	{ "costs", run_costs, "what it costs to read a clock" },
	{ "roundtrip", run_roundtrip, "cost of arm, halt, fire; prints figures" },
};

#define NR_CASES	(sizeof(cases) / sizeof(cases[0]))

static const struct option options[] = {
	{ "vcpus", required_argument, NULL, 'n' },
	{ "seconds", required_argument, NULL, 's' },
	{ "reads", required_argument, NULL, 'r' },
	{ "tsc-khz", required_argument, NULL, 'k' },
	{ "hold", no_argument, NULL, 'H' },
	{ "until", required_argument, NULL, 'u' },
	{ "expect-attached", required_argument, NULL, 'a' },
	{ "expect-factor", required_argument, NULL, 'f' },
	{ "expect-mode", required_argument, NULL, 'm' },
	{ "expect-changes", required_argument, NULL, 'c' },
	{ "delay-us", required_argument, NULL, 'd' },
	{ "period-us", required_argument, NULL, 'p' },
	{ "rounds", required_argument, NULL, 'R' },
	{ "roundtrip-us", required_argument, NULL, 'T' },
	{ "stall", required_argument, NULL, 'S' },
	{ "cpu", required_argument, NULL, 'C' },
	{ "no-aux", no_argument, NULL, 'A' },
	{ "no-reinject", no_argument, NULL, 'J' },
	{ "hyperv", no_argument, NULL, 'V' },
	{ "xen", no_argument, NULL, 'X' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static void usage(FILE *to)
{
	unsigned int i;

	fprintf(to,
		"usage: vmm [OPTION]... CASE...\n"
		"  --vcpus N             vCPUs, 1 to %d\n"
		"  --seconds S           host seconds of each case\n"
		"  --reads N             clock: go on until the guest has read its clocks N times\n"
		"  --until FILE          ... and until FILE exists; -: until standard input ends\n"
		"  --hold                wait for SIGUSR1 before the first case\n"
		"  --tsc-khz K           KVM_SET_TSC_KHZ at the start\n"
		"  --expect-attached 0|1 at the end of each case, the VM must (not) be attached\n"
		"  --expect-factor F     ... the factor in force must be F within 1 ppm\n"
		"  --expect-mode MODE    ... the TSC mode must be MODE\n"
		"  --expect-changes N    clock: at least N new segments must have come in\n"
		"  --delay-us MIN:MAX    timers: guest time of one-shot and deadline timers\n"
		"  --period-us P         timers: guest time of the periodic one\n"
		"  --rounds N, --roundtrip-us U, --cpu C    roundtrip: how many, how long, where\n"
		"  --stall S             host seconds without progress that count as a hang\n"
		"  --no-aux              rdtscp: do not judge TSC_AUX\n"
		"  --no-reinject         pit: ticks that the guest misses are dropped\n"
		"  --hyperv, --xen       the guest sees that hypervisor's clocks\n"
		"cases:\n", MAX_VCPUS);
	for (i = 0; i < NR_CASES; i++)
		fprintf(to, "  %-12s %s\n", cases[i].name, cases[i].help);
}

static void parse(int argc, char **argv)
{
	char *end;
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case 'n':
			opt.nr_vcpus = atoi(optarg);
			break;
		case 's':
			opt.seconds = atof(optarg);
			break;
		case 'r':
			opt.reads = strtoull(optarg, NULL, 10);
			break;
		case 'k':
			opt.tsc_khz = strtoull(optarg, NULL, 10);
			break;
		case 'H':
			opt.hold = true;
			break;
		case 'u':
			opt.until = optarg;
			break;
		case 'a':
			opt.expect_attached = atoi(optarg);
			break;
		case 'f':
			opt.expect_factor = atof(optarg);
			break;
		case 'm':
			opt.expect_mode = optarg;
			break;
		case 'c':
			opt.expect_changes = strtoull(optarg, NULL, 10);
			break;
		case 'd':
			opt.delay_min_ns = strtoull(optarg, &end, 10) * 1000;
			opt.delay_max_ns = *end == ':' ? strtoull(end + 1, NULL, 10) * 1000 : 0;
			break;
		case 'p':
			opt.period_ns = strtoull(optarg, NULL, 10) * 1000;
			break;
		case 'R':
			opt.rounds = strtoull(optarg, NULL, 10);
			break;
		case 'T':
			opt.roundtrip_ns = strtoull(optarg, NULL, 10) * 1000;
			break;
		case 'S':
			opt.stall = atof(optarg);
			break;
		case 'C':
			opt.cpu = atoi(optarg);
			break;
		case 'A':
			opt.no_aux = true;
			break;
		case 'V':
			opt.hyperv = true;
			break;
		case 'X':
			opt.xen = true;
			break;
		case 'J':
			opt.no_reinject = true;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
	}
	if (opt.nr_vcpus < 1 || opt.nr_vcpus > MAX_VCPUS || optind == argc ||
	    !opt.period_ns || opt.delay_max_ns < opt.delay_min_ns) {
		usage(stderr);
		exit(2);
	}
}

static int find_case(const char *name)
{
	unsigned int i;

	for (i = 0; i < NR_CASES; i++)
		if (!strcmp(cases[i].name, name))
			return i;
	fprintf(stderr, "vmm: no case '%s'\n", name);
	usage(stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	sigset_t usr1;
	int i, sig;

	setvbuf(stdout, NULL, _IOLBF, 0);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);

	parse(argc, argv);
	for (i = optind; i < argc; i++)
		find_case(argv[i]);
	create_vm();
	printf("# vmm pid=%d vm_fd=%d vcpus=%u tsc_khz=%" PRIu64 " tsc_control=%d state=%s\n",
	       getpid(), vm_fd, opt.nr_vcpus, (u64)sh->tsc_khz, tsc_control, state_path);
	if (opt.hold)
		sigwait(&usr1, &sig);

	for (i = optind; i < argc; i++) {
		case_name = argv[i];
		cases[find_case(argv[i])].run();
	}
	printf("1..%d\n", tests);
	return failures ? 1 : 0;
}
