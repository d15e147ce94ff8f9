// SPDX-License-Identifier: GPL-2.0
/*
 * A VM without a guest to speak of, whose VMM does to its time what tools/bpftrace shows, a known
 * number of times each, and then prints the numbers.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MSR_IA32_TSC		0x10
#define MSR_KVM_SYSTEM_TIME_NEW	0x4b564d01

#define LOST_TICKS	23
#define LAPIC_PERIOD_NS	10000000
#define PIT_BACKLOG	29
#define PIT_PERIOD_NS	10000000
#define BACKWARD	3
#define TSC_WRITES	7
#define COALESCED	11
#define ARMED		13

static int vm;
static int vcpu[2];
static struct kvm_run *run[2];

static int call(int fd, unsigned long what, const void *arg, const char *name)
{
	int ret = ioctl(fd, what, arg);

	if (ret < 0)
		err(1, "%s", name);
	return ret;
}

#define CALL(fd, what, arg) call(fd, what, (const void *)(arg), #what)

static void wait_ns(uint64_t ns)
{
	struct timespec t = { ns / 1000000000, ns % 1000000000 };

	nanosleep(&t, NULL);
}

static void set_msr(int cpu, uint32_t index, uint64_t value)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} m = { .head.nmsrs = 1, .entry = { .index = index, .data = value } };

	if (CALL(vcpu[cpu], KVM_SET_MSRS, &m) != 1)
		errx(1, "MSR 0x%x cannot be set", index);
}

static uint64_t get_tsc(int cpu)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} m = { .head.nmsrs = 1, .entry = { .index = MSR_IA32_TSC } };

	CALL(vcpu[cpu], KVM_GET_MSRS, &m);
	return m.entry.data;
}

/* One exit: the guest writes to port 0x80 in a loop */
static void enter(int cpu)
{
	CALL(vcpu[cpu], KVM_RUN, NULL);
	if (run[cpu]->exit_reason != KVM_EXIT_IO)
		errx(1, "vCPU %d left with exit %u", cpu, run[cpu]->exit_reason);
}

static void lapic_write(struct kvm_lapic_state *s, int reg, uint32_t value)
{
	memcpy(s->regs + reg, &value, 4);
}

/* Divider 1: the LAPIC's bus counts nanoseconds */
static void set_lapic_timer(uint32_t lvtt, uint32_t count)
{
	struct kvm_lapic_state s;

	CALL(vcpu[0], KVM_GET_LAPIC, &s);
	lapic_write(&s, 0xf0, 0x1ff);
	lapic_write(&s, 0x3e0, 0xb);
	lapic_write(&s, 0x320, lvtt);
	lapic_write(&s, 0x380, count);
	lapic_write(&s, 0x390, count);	/* KVM starts at the count that remains */
	CALL(vcpu[0], KVM_SET_LAPIC, &s);
}

static void make_vm(void)
{
	static const uint8_t code[] = { 0xe6, 0x80, 0xeb, 0xfc };	/* 1: out %al,$0x80; jmp 1b */
	struct kvm_userspace_memory_region slot = { .memory_size = 65536 };
	struct kvm_pit_config pit = { 0 };
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[128];
	} cpuid = { .head.nent = 128 };
	struct kvm_regs regs = { .rip = 0x1000, .rflags = 2 };
	struct kvm_sregs sregs;
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), i;
	uint8_t *memory = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (kvm < 0)
		err(1, "/dev/kvm");
	if (memory == MAP_FAILED)
		err(1, "mmap");
	memcpy(memory + 0x1000, code, sizeof(code));
	slot.userspace_addr = (uintptr_t)memory;
	vm = CALL(kvm, KVM_CREATE_VM, 0);
	CALL(vm, KVM_SET_TSS_ADDR, 0xfffbd000);
	CALL(vm, KVM_CREATE_IRQCHIP, 0);
	CALL(vm, KVM_CREATE_PIT2, &pit);
	CALL(vm, KVM_SET_USER_MEMORY_REGION, &slot);
	CALL(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid);
	for (i = 0; i < 2; i++) {
		struct kvm_mp_state runnable = { KVM_MP_STATE_RUNNABLE };

		vcpu[i] = CALL(vm, KVM_CREATE_VCPU, (long)i);
		run[i] = mmap(NULL, CALL(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE,
			      MAP_SHARED, vcpu[i], 0);
		if (run[i] == MAP_FAILED)
			err(1, "mmap of vCPU %d", i);
		CALL(vcpu[i], KVM_SET_CPUID2, &cpuid);
		CALL(vcpu[i], KVM_GET_SREGS, &sregs);
		sregs.cs.base = 0;
		sregs.cs.selector = 0;
		CALL(vcpu[i], KVM_SET_SREGS, &sregs);
		CALL(vcpu[i], KVM_SET_REGS, &regs);
		CALL(vcpu[i], KVM_SET_MP_STATE, &runnable);
	}
}

/* LOST_TICKS + 1 expiries while the vCPU does not run: the first is pending, the others find it so */
static void lose_ticks(void)
{
	set_lapic_timer(0x20040, LAPIC_PERIOD_NS);
	wait_ns((LOST_TICKS + 1) * (uint64_t)LAPIC_PERIOD_NS + LAPIC_PERIOD_NS / 2);
	set_lapic_timer(0x10040, 0);
	printf("lost_ticks %d\n", LOST_TICKS);
}

/* Nobody acknowledges the first of PIT_BACKLOG + 1 ticks, so the others are owed */
static void owe_ticks(void)
{
	struct kvm_pit_state2 s;

	CALL(vm, KVM_GET_PIT2, &s);
	s.channels[0].mode = 2;
	s.channels[0].count = 11932;		/* of 1193182 Hz: 10 ms */
	CALL(vm, KVM_SET_PIT2, &s);
	wait_ns((PIT_BACKLOG + 1) * (uint64_t)PIT_PERIOD_NS + PIT_PERIOD_NS / 2);
	s.channels[0].mode = 5;			/* stands still: KVM has no gate for it */
	CALL(vm, KVM_SET_PIT2, &s);
	printf("pit_backlog %d\n", PIT_BACKLOG);
}

static void step_clock_back(void)
{
	struct kvm_clock_data now;
	int i;

	set_msr(0, MSR_KVM_SYSTEM_TIME_NEW, 0x8000 | 1);
	wait_ns(2000000);
	enter(0);
	for (i = 0; i < BACKWARD; i++) {
		CALL(vm, KVM_GET_CLOCK, &now);
		now.clock -= 1000000;
		now.flags = 0;
		CALL(vm, KVM_SET_CLOCK, &now);
		enter(0);
	}
	printf("backward_steps %d\n", BACKWARD);
}

static void write_tsc(void)
{
	int i;

	for (i = 1; i <= TSC_WRITES; i++)
		set_msr(1, MSR_IA32_TSC, get_tsc(1) + i * 1000000000000ull);
	enter(1);
	/* One for each vCPU when it was made */
	printf("tsc_offsets %d\nmaster_clock_lost 1\n", 2 + TSC_WRITES);
}

static void coalesce(void)
{
	struct kvm_irq_level line = { .irq = 9, .level = 1 };
	int i;

	for (i = 0; i <= COALESCED; i++)
		CALL(vm, KVM_IRQ_LINE, &line);
	line.level = 0;
	CALL(vm, KVM_IRQ_LINE, &line);
	printf("coalesced %d\n", COALESCED);
}

/* One-shot timers, each let expire: fired and never lost */
static void arm(void)
{
	int i;

	for (i = 0; i < ARMED; i++) {
		set_lapic_timer(0x00040, 1000000);
		wait_ns(3000000);
		enter(0);
	}
	set_lapic_timer(0x10040, 0);
	printf("expiries %d\narmed %d\n", LOST_TICKS + 1 + ARMED, 1 + ARMED);
}

int main(int argc, char **argv)
{
	make_vm();
	enter(0);
	enter(1);
	printf("pid %d\n", getpid());
	if (argc > 1 && !strcmp(argv[1], "nothing")) {
		puts("tsc_offsets 2");
		return 0;
	}
	if (argc > 1 && !strcmp(argv[1], "offsets")) {
		write_tsc();
		pause();
	}
	lose_ticks();
	owe_ticks();
	step_clock_back();
	coalesce();
	arm();
	write_tsc();
	return 0;
}
