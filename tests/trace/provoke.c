// SPDX-License-Identifier: GPL-2.0
/*
 * provoke SCENARIO - a small VM to which just one thing happens, a known number of times
 *
 * For tests/trace/in-host. Prints "vm PID-FD", waits for a line on standard input, provokes, prints
 * what the tracer must say as "expect KEY VALUE" or "expect KEY LOW HIGH", and exits.
 * The guest is a loop in real mode that does one step at a time for the VMM, with interrupts off
 * except where a step is to take them. The x2APIC is what reaches the LAPIC from real mode.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MSR_DEADLINE 0x6e0
#define MSR_KVMCLOCK 0x4b564d01
#define MSR_STEAL_TIME 0x4b564d03
#define X2APIC_SVR 0x80f
#define X2APIC_LVTT 0x832
#define X2APIC_TMICT 0x838
#define X2APIC_TDCR 0x83e
#define LVT_PERIODIC (1 << 17)
#define LVT_DEADLINE (2 << 17)
#define VECTOR 0x40

enum step {
	STEP_WRMSR = 1,		/* msr, value */
	STEP_DEADLINE,		/* IA32_TSC_DEADLINE = TSC + value */
	STEP_OUT,		/* port in msr, byte in value */
	STEP_TAKE,		/* interrupts on until the handlers have counted to target */
	STEP_SPIN,		/* nothing, interrupts off, for value TSC ticks */
	STEP_NOP,
	STEP_RUN,		/* as STEP_TAKE, but awake all the time */
};

/* Shared with the guest, whose code knows the offsets */
struct box {
	uint32_t step, msr;
	uint64_t value;
	uint32_t target;
	volatile uint32_t taken;	/* interrupts, by all handlers */
	volatile uint64_t tsc;		/* at the last interrupt */
	volatile uint64_t deadline;	/* that STEP_DEADLINE set */
};

#define BOX 0x2000
#define PAGE 0x3000
#define CODE 0x1000

extern const char guest_code[], guest_end[];
asm(".section .rodata\n"
    "guest_code:\n"
    ".code16\n"
    "1:	mov $0x10, %dx\n"
    "	out %al, %dx\n"			/* the VMM writes the next step */
    "	mov 0x2000, %ax\n"
    "	cmp $1, %ax\n	je 10f\n"
    "	cmp $2, %ax\n	je 20f\n"
    "	cmp $3, %ax\n	je 30f\n"
    "	cmp $4, %ax\n	je 40f\n"
    "	cmp $5, %ax\n	je 50f\n"
    "	cmp $7, %ax\n	je 70f\n"
    "	jmp 1b\n"
    "10:	movl 0x2004, %ecx\n"
    "	movl 0x2008, %eax\n"
    "	movl 0x200c, %edx\n"
    "	wrmsr\n"
    "	jmp 1b\n"
    "20:	rdtsc\n"
    "	addl 0x2008, %eax\n"
    "	adcl 0x200c, %edx\n"
    "	movl %eax, 0x2020\n"
    "	movl %edx, 0x2024\n"
    "	movl $0x6e0, %ecx\n"
    "	wrmsr\n"
    "	jmp 1b\n"
    "30:	mov 0x2004, %dx\n"
    "	mov 0x2008, %al\n"
    "	out %al, %dx\n"
    "	jmp 1b\n"
    "40:	movl 0x2010, %eax\n"
    "	cmpl %eax, 0x2014\n"
    "	jae 1b\n"
    "	sti\n"
    "	hlt\n"
    "	cli\n"
    "	jmp 40b\n"
    "50:	rdtsc\n"
    "	movl %eax, %esi\n"
    "	movl %edx, %edi\n"
    "	addl 0x2008, %esi\n"
    "	adcl 0x200c, %edi\n"
    "51:	movl $1000, %ecx\n"		/* reading the TSC is slow on an emulated host */
    "52:	decl %ecx\n"
    "	jnz 52b\n"
    "	rdtsc\n"
    "	subl %esi, %eax\n"
    "	sbbl %edi, %edx\n"
    "	jc 51b\n"
    "	jmp 1b\n"
    "70:	movl 0x2010, %eax\n"
    "	sti\n"
    "71:	cmpl %eax, 0x2014\n"
    "	jb 71b\n"
    "	cli\n"
    "	jmp 1b\n"
    /* LAPIC */
    ".org guest_code + 0x200\n"
    "	pushl %eax\n	pushl %ecx\n	pushl %edx\n"
    "	rdtsc\n"
    "	movl %eax, 0x2018\n"
    "	movl %edx, 0x201c\n"
    "	incl 0x2014\n"
    "	movl $0x80b, %ecx\n"
    "	xorl %eax, %eax\n"
    "	xorl %edx, %edx\n"
    "	wrmsr\n"
    "	popl %edx\n	popl %ecx\n	popl %eax\n"
    "	iret\n"
    /* PIC, both chips */
    ".org guest_code + 0x280\n"
    "	pushw %ax\n"
    "	incl 0x2014\n"
    "	movb $0x20, %al\n"
    "	outb %al, $0xa0\n"
    "	outb %al, $0x20\n"
    "	popw %ax\n"
    "	iret\n"
    ".code64\n"
    "guest_end:\n"
    ".previous\n");

struct pvclock {
	uint32_t version, pad;
	uint64_t tsc, ns;
	uint32_t mul;
	int8_t shift;
	uint8_t flags, pad2[2];
} __attribute__((packed));

static int kvm, vm, vcpu[2], nr_vcpus = 1;
static struct kvm_run *run[2];
static char *mem;
static struct box *box;
static uint64_t khz;
static bool hyperv;

static void die(const char *what)
{
	printf("failed %s: %s\n", what, strerror(errno));
	exit(1);
}

static int call(int fd, unsigned long nr, void *arg, const char *what)
{
	int r = ioctl(fd, nr, arg);

	if (r < 0)
		die(what);
	return r;
}
#define CALL(fd, nr, arg) call(fd, nr, (void *)(uintptr_t)(arg), #nr)

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
	struct timespec ts = { ns / 1000000000, ns % 1000000000 };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL))
		;
}

/* Until the guest asks for its next step */
static void enter(int i)
{
	for (;;) {
		if (ioctl(vcpu[i], KVM_RUN, 0) < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			die("KVM_RUN");
		}
		if (run[i]->exit_reason != KVM_EXIT_IO) {
			printf("failed exit %u\n", run[i]->exit_reason);
			exit(1);
		}
		if (run[i]->io.port == 0x10)
			return;
	}
}

static void step_on(int i, enum step s, uint32_t msr, uint64_t value)
{
	box->msr = msr;
	box->value = value;
	box->step = s;
	enter(i);
}

static void step(enum step s, uint32_t msr, uint64_t value)
{
	step_on(0, s, msr, value);
}

static void take(uint32_t target)
{
	box->target = target;
	step(STEP_TAKE, 0, 0);
}

static void create(void)
{
	struct kvm_userspace_memory_region r = { .memory_size = 1 << 20 };
	struct { struct kvm_cpuid2 head; struct kvm_cpuid_entry2 e[128]; } cpuid;
	struct kvm_pit_config pit = { 0 };
	uint16_t *ivt;
	int i, size, k;

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		die("/dev/kvm");
	vm = CALL(kvm, KVM_CREATE_VM, 0);
	CALL(vm, KVM_SET_TSS_ADDR, 0xfffbd000);
	CALL(vm, KVM_CREATE_IRQCHIP, 0);
	CALL(vm, KVM_CREATE_PIT2, &pit);
	mem = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	r.userspace_addr = (uintptr_t)mem;
	CALL(vm, KVM_SET_USER_MEMORY_REGION, &r);
	memcpy(mem + CODE, guest_code, guest_end - guest_code);
	box = (struct box *)(mem + BOX);
	ivt = (uint16_t *)mem;
	ivt[2 * VECTOR] = CODE + 0x200;
	for (i = 0x20; i < 0x30; i++)
		ivt[2 * i] = CODE + 0x280;
	size = CALL(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	for (i = 0; i < nr_vcpus; i++) {
		struct kvm_regs regs = { .rip = CODE, .rsp = 0x7000 - 0x800 * i, .rflags = 2 };
		struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };
		struct kvm_sregs s;

		vcpu[i] = CALL(vm, KVM_CREATE_VCPU, i);
		run[i] = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu[i], 0);
		memset(&cpuid, 0, sizeof(cpuid));
		cpuid.head.nent = 128;
		CALL(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid);
		for (k = 0; k < (int)cpuid.head.nent; k++)
			if (cpuid.e[k].function == 1)
				cpuid.e[k].ecx |= 1u << 21 | 1u << 24;	/* x2APIC, TSC-deadline */
			else if (cpuid.e[k].function == 0x40000001 && hyperv)
				cpuid.e[k].eax = 0x31237648;		/* "Hv#1" */
		CALL(vcpu[i], KVM_SET_CPUID2, &cpuid);
		if (hyperv) {
			struct kvm_enable_cap cap = { .cap = KVM_CAP_HYPERV_SYNIC2 };

			CALL(vcpu[i], KVM_ENABLE_CAP, &cap);
		}
		CALL(vcpu[i], KVM_GET_SREGS, &s);
		s.cs.base = s.cs.selector = 0;
		s.apic_base |= 0xc00;		/* x2APIC */
		CALL(vcpu[i], KVM_SET_SREGS, &s);
		CALL(vcpu[i], KVM_SET_REGS, &regs);
		CALL(vcpu[i], KVM_SET_MP_STATE, &mp);
	}
	khz = CALL(vcpu[0], KVM_GET_TSC_KHZ, 0);
	for (i = 0; i < nr_vcpus; i++) {
		enter(i);
		step_on(i, STEP_WRMSR, X2APIC_SVR, 0x1ff);
	}
}

static uint64_t ticks(uint64_t ns)
{
	return ns * khz / 1000000;
}

/* Periods that each scenario lets pass but for one, so what it loses is a prime number */
#define LOSE 23
#define PERIOD 10000000

static void start_periodic(void)
{
	step(STEP_WRMSR, X2APIC_LVTT, LVT_PERIODIC | VECTOR);
	step(STEP_WRMSR, X2APIC_TDCR, 0xb);
	step(STEP_WRMSR, X2APIC_TMICT, PERIOD);
}

static void stop_periodic(void)
{
	step(STEP_WRMSR, X2APIC_TMICT, 0);
}

static void expect_periodic(const char *how)
{
	printf("guest %u\n", box->taken);
	printf("expect periodic.armed 1\nexpect periodic.lost %u\nexpect periodic.%s %u\n"
	       "expect periodic.delivered %u\n", LOSE, how, LOSE, box->taken);
}

/* The guest has interrupts off: the first tick waits in the IRR, the others meet it there */
static void irqs_off(void)
{
	start_periodic();
	step(STEP_SPIN, 0, ticks((LOSE + 1) * (uint64_t)PERIOD + PERIOD / 2));
	take(1);
	stop_periodic();
	expect_periodic("coalesced");
}

/* The VMM does not run its vCPU, stopped or not: the first tick stays pending, the others find it */
static void stopped(void)
{
	uint64_t start, n;

	start_periodic();
	start = now_ns();
	printf("stopped\n");
	fflush(stdout);
	raise(SIGSTOP);
	/* The time for which it was stopped is not exact, the middle of a period is */
	n = (now_ns() - start) / PERIOD + 2;
	sleep_until(start + n * PERIOD + PERIOD / 2);
	take(1);
	stop_periodic();
	printf("guest %u\n", box->taken);
	printf("expect periodic.lost %llu\nexpect periodic.lost_pending %llu\n"
	       "expect periodic.delivered 1\n", (unsigned long long)n - 1, (unsigned long long)n - 1);
}

static void not_run(void)
{
	uint64_t start;

	start_periodic();
	start = now_ns();
	sleep_until(start + (LOSE + 1) * (uint64_t)PERIOD + PERIOD / 2);
	take(1);
	stop_periodic();
	expect_periodic("lost_pending");
}

/* A deadline that is past already by a known span; the guest's handler measures, too */
static void deadline_past(void)
{
	uint64_t span = 7000003, late;
	int i;

	/* The guest's TSC begins at 0: before it has come that far, a past deadline is none */
	sleep_until(now_ns() + 2 * span);
	step(STEP_WRMSR, X2APIC_LVTT, LVT_DEADLINE | VECTOR);
	for (i = 1; i <= 5; i++) {
		step(STEP_DEADLINE, 0, -ticks(span));
		take(i);
	}
	late = (box->tsc - box->deadline) * 1000000 / khz;
	printf("guest %u, late by %llu ns\n", box->taken, (unsigned long long)late);
	printf("expect deadline.armed 5\nexpect deadline.delivered 5\nexpect deadline.lost 0\n"
	       "expect deadline.late.total.min_ns %llu %llu\n"
	       "expect deadline.late.host.min_ns %llu %llu\n", (unsigned long long)span - 2,
	       (unsigned long long)late, (unsigned long long)span - 2,
	       (unsigned long long)span + 20000);
}

/* A deadline to come, and a guest that takes it late by a known span */
static void deadline_masked(void)
{
	uint64_t due = 3000000, spin = 8000000, late, least = UINT64_MAX, most = 0;
	int i;

	step(STEP_WRMSR, X2APIC_LVTT, LVT_DEADLINE | VECTOR);
	for (i = 1; i <= 3; i++) {
		step(STEP_DEADLINE, 0, ticks(due));
		step(STEP_SPIN, 0, ticks(spin));
		take(i);
		/* by the guest's own clock, when it took it: no part of it can be more */
		late = (box->tsc - box->deadline) * 1000000 / khz + 1;
		if (late < least)
			least = late;
		if (late > most)
			most = late;
	}
	printf("guest %u, late by %llu to %llu ns\n", box->taken, (unsigned long long)least,
	       (unsigned long long)most);
	printf("expect deadline.delivered 3\nexpect deadline.lost 0\n"
	       "expect deadline.late.total.min_ns %llu %llu\n"
	       "expect deadline.late.entry.max_ns %llu %llu\n"
	       "expect deadline.late.host.max_ns 0 50000\n",
	       (unsigned long long)(spin - due - 200000), (unsigned long long)least,
	       (unsigned long long)(spin - due - 200000), (unsigned long long)most);
}

/* Well-behaved: nothing provoked, nothing reported */
static void nothing(void)
{
	int i;

	step(STEP_WRMSR, MSR_KVMCLOCK, PAGE | 1);
	start_periodic();
	for (i = 1; i <= 11; i++)
		take(i);
	stop_periodic();
	step(STEP_WRMSR, X2APIC_LVTT, LVT_DEADLINE | VECTOR);
	for (i = 12; i <= 18; i++) {
		step(STEP_DEADLINE, 0, ticks(2000000));
		take(i);
	}
	printf("guest %u\n", box->taken);
	printf("expect periodic.delivered 11\nexpect periodic.lost 0\nexpect deadline.armed 7\n"
	       "expect deadline.delivered 7\nexpect deadline.lost 0\nexpect kvmclock.backward 0\n"
	       "expect kvmclock.forward 0\nexpect tsc.backward 0\nexpect tsc.forward 0\n"
	       "expect clocks.master_lost 0\n");
}

static void start_pics(unsigned int mask1, unsigned int mask2)
{
	static const struct { uint16_t port; uint8_t value; } init[] = {
		{ 0x20, 0x11 }, { 0x21, 0x20 }, { 0x21, 4 }, { 0x21, 1 },
		{ 0xa0, 0x11 }, { 0xa1, 0x28 }, { 0xa1, 2 }, { 0xa1, 1 },
	};
	unsigned int i;

	for (i = 0; i < sizeof(init) / sizeof(*init); i++)
		step(STEP_OUT, init[i].port, init[i].value);
	step(STEP_OUT, 0x21, mask1);
	step(STEP_OUT, 0xa1, mask2);
}

static void pit(bool reinject)
{
	struct kvm_reinject_control c = { .pit_reinject = reinject };
	unsigned int count = 11932, taken;	/* 10 ms */
	uint64_t period = count * 1000000000ULL / 1193181;

	CALL(vm, KVM_REINJECT_CONTROL, &c);
	start_pics(0xfe, 0xff);
	step(STEP_OUT, 0x43, 0x34);		/* channel 0, both bytes, mode 2 */
	step(STEP_OUT, 0x40, count & 0xff);
	step(STEP_OUT, 0x40, count >> 8);
	step(STEP_SPIN, 0, ticks((LOSE + 1) * period + period / 2));
	take(reinject ? LOSE + 1 : 1);
	taken = box->taken;
	/* Once more, far off, and the guest is gone by then */
	step(STEP_OUT, 0x43, 0x30);
	step(STEP_OUT, 0x40, 0xff);
	step(STEP_OUT, 0x40, 0xff);
	printf("guest %u\nexpect pit.delivered %u\nexpect pit.backlog 0\nexpect pit.policy %s\n", taken,
	       taken, reinject ? "delay" : "discard");
	/* What falls due while the guest takes what it is owed joins the queue: the guest counts it */
	if (reinject)
		printf("expect pit.fired %u %u\nexpect pit.reinjected %u %u\nexpect pit.lost 0\n"
		       "expect pit.backlog_max %u %u\n", taken, taken + 1, LOSE, taken - 1, LOSE,
		       taken - 1);
	else
		printf("expect pit.fired %u %u\nexpect pit.reinjected 0\nexpect pit.lost %u\n"
		       "expect pit.backlog_max 0\n", LOSE + taken, LOSE + taken + 1, LOSE);
}

static void pit_delay(void)
{
	pit(true);
}

static void pit_discard(void)
{
	pit(false);
}

/* The VMM's RTC: what comes while one waits is coalesced, and KVM_IRQ_LINE_STATUS says so, too */
static void rtc(void)
{
	unsigned int i, told = 0;

	start_pics(0xfb, 0xfe);
	for (i = 0; i < LOSE + 1; i++) {
		struct kvm_irq_level l = { .irq = 8, .level = 1 };

		CALL(vm, KVM_IRQ_LINE_STATUS, &l);
		told += l.status == 0;
		l.irq = 8;
		l.level = 0;
		CALL(vm, KVM_IRQ_LINE_STATUS, &l);
	}
	take(1);
	printf("guest %u, coalesced as the VMM was told: %u\n", box->taken, told);
	printf("expect rtc.fired %u\nexpect rtc.coalesced %u\nexpect rtc.lost %u\n"
	       "expect rtc.delivered 1\n", LOSE + 1, told, LOSE);
}

static uint64_t pv_ns(const struct pvclock *p, uint64_t tsc)
{
	uint64_t t = tsc - p->tsc;

	t = p->shift < 0 ? t >> -p->shift : t << p->shift;
	return p->ns + (uint64_t)((unsigned __int128)t * p->mul >> 32);
}

/* kvmclock goes back by a millisecond and forward by two: the pages tell by how much to the ns */
static void set_clock(void)
{
	struct pvclock *page = (struct pvclock *)(mem + PAGE), old;
	int64_t by[] = { -1000000, 2000000 }, was[2];
	int i;

	step(STEP_WRMSR, MSR_KVMCLOCK, PAGE | 1);
	step(STEP_NOP, 0, 0);
	for (i = 0; i < 2; i++) {
		struct kvm_clock_data d;

		old = *page;
		CALL(vm, KVM_GET_CLOCK, &d);
		d.clock += by[i];
		d.flags = 0;
		CALL(vm, KVM_SET_CLOCK, &d);
		step(STEP_NOP, 0, 0);
		was[i] = page->ns - pv_ns(&old, page->tsc);
	}
	printf("guest's pages: %lld, %lld ns\n", (long long)was[0], (long long)was[1]);
	printf("expect kvmclock.backward 1\nexpect kvmclock.backward_max_ns %lld\n"
	       "expect kvmclock.forward 1\nexpect kvmclock.forward_max_ns %lld\n"
	       "expect kvmclock.sum_ns %lld\nexpect kvmclock.by.vmm 2\nexpect tsc.backward 0\n"
	       "expect tsc.forward 0\n", (long long)-was[0], (long long)was[1],
	       (long long)(was[0] + was[1]));
}

/* One of two vCPUs gets another TSC, which costs the VM its master clock */
static void tsc_shift(void)
{
	uint64_t offset;
	struct kvm_device_attr a = {
		.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)&offset,
	};
	int64_t ticks = -1000003;

	step_on(0, STEP_WRMSR, MSR_KVMCLOCK, PAGE | 1);
	step_on(1, STEP_WRMSR, MSR_KVMCLOCK, (PAGE + 64) | 1);
	step_on(0, STEP_NOP, 0, 0);
	step_on(1, STEP_NOP, 0, 0);
	CALL(vcpu[1], KVM_GET_DEVICE_ATTR, &a);
	offset += ticks;
	CALL(vcpu[1], KVM_SET_DEVICE_ATTR, &a);
	step_on(1, STEP_NOP, 0, 0);
	step_on(0, STEP_NOP, 0, 0);
	printf("expect tsc.backward 1\nexpect tsc.backward_max_ns %lld\nexpect tsc.forward 0\n"
	       "expect tsc.by.vmm 1\nexpect clocks.tsc_offset_writes 1\n"
	       "expect clocks.tsc_apart_ticks %lld\nexpect clocks.kvmclock_apart_ns 0 2000\n"
	       "expect clocks.master_lost 1\nexpect clocks.master_regained 0\n",
	       (long long)(-ticks * 1000000 / (int64_t)khz), (long long)-ticks);
}

/* The guest writes its TSC: five seconds on */
static void tsc_guest(void)
{
	uint64_t ahead = ticks(5000000000ULL);

	step(STEP_WRMSR, 0x3b, ahead);		/* IA32_TSC_ADJUST, which is 0 */
	printf("expect tsc.forward 1\nexpect tsc.backward 0\nexpect tsc.by.guest 1\n"
	       "expect tsc.forward_max_ns %llu\n", (unsigned long long)(ahead * 1000000 / khz));
}

#define HV_STIMER0_CONFIG 0x400000b0
#define HV_STIMER0_COUNT 0x400000b1
#define HV_STIMER_PERIODIC (3 | 1 << 12 | VECTOR << 4)	/* enabled, direct to a vector */

/* A periodic one, in units of 100 ns, and a guest with interrupts off */
static void stimer(void)
{
	step(STEP_WRMSR, HV_STIMER0_COUNT, PERIOD / 100);
	step(STEP_WRMSR, HV_STIMER0_CONFIG, HV_STIMER_PERIODIC);
	step(STEP_SPIN, 0, ticks((LOSE + 1) * (uint64_t)PERIOD + PERIOD / 2));
	take(1);
	step(STEP_WRMSR, HV_STIMER0_CONFIG, 0);
	printf("guest %u\n", box->taken);
	printf("expect stimer.armed 1\nexpect stimer.fired %u\nexpect stimer.lost %u\n"
	       "expect stimer.coalesced %u\nexpect stimer.delivered %u\n", LOSE + 1, LOSE, LOSE,
	       box->taken);
}

#define XEN_SHINFO 0x8000
#define XEN_VCPU_INFO 0x9000
#define XEN_PORT 3

/* Xen's, one-shot by nature; the VMM takes the event from the pages, the guest the vector */
static void xen(void)
{
	struct kvm_xen_hvm_config config = {
		.flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL | KVM_XEN_HVM_CONFIG_EVTCHN_SEND,
		.msr = 0x40000200,
	};
	struct kvm_xen_hvm_attr attr = { .type = KVM_XEN_ATTR_TYPE_LONG_MODE, .u.long_mode = 1 };
	struct kvm_xen_vcpu_attr v[] = {
		{ .type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID, .u.vcpu_id = 0 },
		{ .type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO, .u.gpa = XEN_VCPU_INFO },
		{ .type = KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR, .u.vector = VECTOR },
		{ .type = KVM_XEN_VCPU_ATTR_TYPE_TIMER, .u.timer.port = XEN_PORT,
		  .u.timer.priority = KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL },
	};
	struct kvm_clock_data d;
	uint64_t due = 2000000, set;
	unsigned int i;

	CALL(vm, KVM_XEN_HVM_CONFIG, &config);
	CALL(vm, KVM_XEN_HVM_SET_ATTR, &attr);
	attr.type = KVM_XEN_ATTR_TYPE_SHARED_INFO;
	attr.u.shared_info.gfn = XEN_SHINFO >> 12;
	CALL(vm, KVM_XEN_HVM_SET_ATTR, &attr);
	for (i = 0; i < 4; i++)
		CALL(vcpu[0], KVM_XEN_VCPU_SET_ATTR, &v[i]);
	for (i = 1; i <= 7; i++) {
		memset(mem + XEN_SHINFO + 2048, 0, 512);
		memset(mem + XEN_VCPU_INFO, 0, 16);
		CALL(vm, KVM_GET_CLOCK, &d);
		v[3].u.timer.expires_ns = d.clock + due;
		CALL(vcpu[0], KVM_XEN_VCPU_SET_ATTR, &v[3]);
		take(i);
	}
	/* Once more, and the guest does not look: late by all of that */
	set = now_ns();
	CALL(vm, KVM_GET_CLOCK, &d);
	v[3].u.timer.expires_ns = d.clock + due;
	CALL(vcpu[0], KVM_XEN_VCPU_SET_ATTR, &v[3]);
	memset(mem + XEN_SHINFO + 2048, 0, 512);
	memset(mem + XEN_VCPU_INFO, 0, 16);
	step(STEP_SPIN, 0, ticks(9000000));
	take(i);
	printf("guest %u\n", box->taken);
	printf("expect xen.armed 8\nexpect xen.fired 8\nexpect xen.delivered %u\nexpect xen.lost 0\n"
	       "expect xen.late.host.max_ns 0 50000\nexpect xen.late.entry.max_ns 6500000 %llu\n",
	       box->taken, (unsigned long long)(now_ns() - set - due));
}

/*
 * A vCPU that halts for 200 ms, then has to share its CPU for as long; KVM tells the guest how much
 * it was kept waiting.
 */
/* For how long this thread has been ready to run and did not, and what that was when it was told to begin */
static uint64_t waited_ns(void)
{
	unsigned long long ran, waited = 0;
	FILE *f = fopen("/proc/thread-self/schedstat", "re");

	if (!f || fscanf(f, "%llu %llu", &ran, &waited) != 2)
		errx(1, "no schedstat");
	fclose(f);
	return waited;
}
static uint64_t told_waited_ns;

static void stolen(void)
{
	const volatile uint64_t *steal = (uint64_t *)(mem + PAGE);
	uint64_t before, early;
	unsigned int i;
	char line[16];
	pid_t pid;

	/* KVM begins with all that the thread has waited since it was made */
	step(STEP_WRMSR, MSR_STEAL_TIME, PAGE | 1);
	before = *steal;
	/* Who watches sees this too: it has begun earlier, and may be what was waited for */
	early = waited_ns() - told_waited_ns;
	step(STEP_WRMSR, X2APIC_LVTT, LVT_DEADLINE | VECTOR);
	for (i = 1; i <= 4; i++) {
		step(STEP_DEADLINE, 0, ticks(50000000));
		take(i);
	}
	pid = fork();
	if (!pid)
		for (;;)
			now_ns();
	step(STEP_SPIN, 0, ticks(400000000));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	sleep_until(now_ns() + 1000000);
	/* KVM tells at an entry: who was kept waiting since then enters once more */
	do
		step(STEP_NOP, 0, 0);
	while (waited_ns() - told_waited_ns - early > *steal - before + 1000000 && ++i < 50);
	printf("stolen %llu early %llu\n", (unsigned long long)(*steal - before), (unsigned long long)early);
	fflush(stdout);
	if (fgets(line, sizeof(line), stdin))
		return;
}

/*
 * A guest that is awake and has interrupts on, so that KVM takes the VMX preemption timer, where
 * there is one: deadlines, then periods.
 */
static void hvtimer(void)
{
	unsigned int i;

	step(STEP_WRMSR, X2APIC_LVTT, LVT_DEADLINE | VECTOR);
	for (i = 1; i <= 7; i++) {
		step(STEP_DEADLINE, 0, ticks(2000000));
		box->target = i;
		step(STEP_RUN, 0, 0);
	}
	start_periodic();
	box->target = 7 + 4;
	step(STEP_RUN, 0, 0);
	stop_periodic();
	printf("guest %u\n", box->taken);
	printf("expect deadline.armed 7\nexpect periodic.armed 1\nexpect hvtimer.fired %u\n"
	       "expect hvtimer.injected %u\nexpect hvtimer.delivered %u\nexpect hvtimer.lost 0\n"
	       "expect hvtimer.overdue 0\n", box->taken, box->taken, box->taken);
}

/* Some of everything, until standard input ends: for whoever wants something to look at */
static void steady(void)
{
	struct kvm_clock_data d;
	struct pollfd p = { .fd = 0, .events = POLLIN };
	unsigned int i;

	step(STEP_WRMSR, MSR_KVMCLOCK, PAGE | 1);
	start_periodic();
	for (i = 1; poll(&p, 1, 0) == 0; i++) {
		if (i % 10 == 0)
			step(STEP_SPIN, 0, ticks(2 * (uint64_t)PERIOD + PERIOD / 2));
		if (i % 25 == 0) {
			CALL(vm, KVM_GET_CLOCK, &d);
			d.clock -= 1000000;
			d.flags = 0;
			CALL(vm, KVM_SET_CLOCK, &d);
		}
		take(i);
	}
	stop_periodic();
}

static const struct {
	const char *name;
	void (*run)(void);
	int vcpus;
	bool hyperv, hidden;	/* hidden: not for every host */
} scenarios[] = {
	{ "nothing", nothing, .vcpus = 1 },
	{ "irqs-off", irqs_off, .vcpus = 1 },
	{ "not-run", not_run, .vcpus = 1 },
	{ "stopped", stopped, .vcpus = 1 },
	{ "deadline-past", deadline_past, .vcpus = 1 },
	{ "deadline-masked", deadline_masked, .vcpus = 1 },
	{ "pit-delay", pit_delay, .vcpus = 1 },
	{ "pit-discard", pit_discard, .vcpus = 1 },
	{ "rtc", rtc, .vcpus = 1 },
	{ "set-clock", set_clock, .vcpus = 1 },
	{ "tsc-shift", tsc_shift, .vcpus = 2 },
	{ "tsc-guest", tsc_guest, .vcpus = 1 },
	{ "stimer", stimer, .vcpus = 1, .hyperv = true },
	{ "xen", xen, .vcpus = 1 },
	{ "stolen", stolen, .vcpus = 1, .hidden = true },
	{ "hvtimer", hvtimer, .vcpus = 1, .hidden = true },
	{ "steady", steady, .vcpus = 1, .hidden = true },
};

int main(int argc, char **argv)
{
	char line[16];
	unsigned int i;

	for (i = 0; i < sizeof(scenarios) / sizeof(*scenarios); i++) {
		if (argc != 2) {
			if (!scenarios[i].hidden)
				puts(scenarios[i].name);
			continue;
		}
		if (strcmp(argv[1], scenarios[i].name))
			continue;
		nr_vcpus = scenarios[i].vcpus;
		hyperv = scenarios[i].hyperv;
		create();
		printf("vm %d-%d\n", getpid(), vm);
		fflush(stdout);
		told_waited_ns = waited_ns();
		if (!fgets(line, sizeof(line), stdin))
			return 0;
		scenarios[i].run();
		printf("done\n");
		fflush(stdout);
		return 0;
	}
	return argc == 2 ? 2 : 0;
}
