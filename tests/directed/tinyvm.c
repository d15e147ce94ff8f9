// SPDX-License-Identifier: GPL-2.0
/* The machine of the tiny VMM: memory, vCPUs, MSRs. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tinyvm.h"

int need_ioctl(int fd, unsigned long nr, void *arg, const char *name)
{
	int ret = ioctl(fd, nr, arg);

	if (ret < 0)
		bail("%s: %s", name, strerror(errno));
	return ret;
}

static void nothing(int sig)
{
}

/* Flat 64-bit segments, the first GB mapped one to one in 2 MB pages, one interrupt */
void tiny_fill_memory(char *mem)
{
	uint64_t *gdt = (uint64_t *)(mem + TINY_GDT), *pd = (uint64_t *)(mem + TINY_PD);
	uint64_t handler = TINY_IMAGE + (guest_timer_handler - __start_guest_text);
	uint64_t *gate = (uint64_t *)(mem + TINY_IDT + 16 * TINY_VECTOR);

	gdt[1] = 0x00af9b000000ffffULL;
	gdt[2] = 0x00cf93000000ffffULL;
	gate[0] = (handler & 0xffff) | 0x8ULL << 16 | 0x8e00ULL << 32 | (handler >> 16 & 0xffff) << 48;
	gate[1] = handler >> 32;
	*(uint64_t *)(mem + TINY_PML4) = TINY_PDPT | 3;
	*(uint64_t *)(mem + TINY_PDPT) = TINY_PD | 3;
	for (int i = 0; i < 512; i++)
		pd[i] = (uint64_t)i << 21 | 0x83;
	memcpy(mem + TINY_IMAGE, __start_guest_text, __stop_guest_text - __start_guest_text);
}

int tiny_set_cpuid(int kvm, int fd, int index, bool hyperv)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[128];
	} c = { .head.nent = 128 };

	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &c))
		return -1;
	for (unsigned int i = 0; i < c.head.nent; i++) {
		struct kvm_cpuid_entry2 *e = &c.entry[i];

		if (e->function == 1) {
			e->ebx = (e->ebx & 0x00ffffff) | (uint32_t)index << 24;
			e->ecx |= 1u << 21 | 1u << 24;	/* x2APIC, TSC deadline */
		} else if (e->function == 0xb || e->function == 0x1f) {
			e->edx = index;
		} else if (e->function == 0x40000001 && hyperv) {
			e->eax = 0x31237648;		/* "Hv#1" */
		}
	}
	return ioctl(fd, KVM_SET_CPUID2, &c);
}

void tiny_add_vcpu(struct tiny *vm)
{
	struct tiny_vcpu *v = &vm->vcpu[vm->nr];
	int size = IOCTL(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	v->vm = vm;
	v->index = vm->nr;
	v->fd = IOCTL(vm->fd, KVM_CREATE_VCPU, (long)vm->nr);
	v->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (v->run == MAP_FAILED)
		bail("mmap of kvm_run: %s", strerror(errno));
	vm->nr++;
	if (tiny_set_cpuid(vm->kvm, v->fd, v->index, vm->flags & TINY_HYPERV))
		bail("KVM_SET_CPUID2: %s", strerror(errno));
}

void tiny_create(struct tiny *vm, unsigned int nr, unsigned int flags, void *mem_at)
{
	struct kvm_userspace_memory_region region = { .memory_size = TINY_MEM };
	struct kvm_pit_config pit = { 0 };

	memset(vm, 0, sizeof(*vm));
	vm->flags = flags;
	vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm < 0)
		bail("/dev/kvm: %s", strerror(errno));
	vm->fd = IOCTL(vm->kvm, KVM_CREATE_VM, 0);
	IOCTL(vm->fd, KVM_SET_TSS_ADDR, 0xfffbd000UL);
	IOCTL(vm->fd, KVM_CREATE_IRQCHIP, 0);
	IOCTL(vm->fd, KVM_CREATE_PIT2, &pit);
	vm->mem = mmap(mem_at, TINY_MEM, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | (mem_at ? MAP_FIXED : 0), -1, 0);
	if (vm->mem == MAP_FAILED)
		bail("mmap of guest memory: %s", strerror(errno));
	region.userspace_addr = (uintptr_t)vm->mem;
	IOCTL(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
	tiny_fill_memory(vm->mem);
	while (vm->nr < nr)
		tiny_add_vcpu(vm);
	sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = nothing }, NULL);
}

void tiny_destroy(struct tiny *vm)
{
	int size = IOCTL(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	for (unsigned int i = 0; i < vm->nr; i++) {
		tiny_stop(vm, i);
		munmap(vm->vcpu[i].run, size);
		close(vm->vcpu[i].fd);
	}
	close(vm->fd);
	close(vm->kvm);
	munmap(vm->mem, TINY_MEM);
}

struct guest_area *tiny_area(struct tiny *vm, unsigned int vcpu)
{
	return (struct guest_area *)(vm->mem + TINY_AREA + vcpu * 4096UL);
}

int tiny_set_regs(int fd, int index, guest_fn *fn)
{
	struct kvm_segment code = { .limit = 0xffffffff, .selector = 0x08, .type = 0xb, .present = 1,
				    .s = 1, .l = 1, .g = 1 };
	struct kvm_segment data = { .limit = 0xffffffff, .selector = 0x10, .type = 0x3, .present = 1,
				    .s = 1, .db = 1, .g = 1 };
	struct kvm_segment tss = { .limit = 0x67, .type = 0xb, .present = 1 };
	struct kvm_regs regs = {
		.rip = TINY_IMAGE + ((const char *)fn - __start_guest_text),
		.rsp = TINY_STACK + (index + 1) * 4096UL - 8,
		.rdi = TINY_AREA + index * 4096UL,
		.rflags = 2,
	};
	struct kvm_sregs s;

	if (ioctl(fd, KVM_GET_SREGS, &s))
		return -1;
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.tr = tss;
	s.gdt.base = TINY_GDT;
	s.gdt.limit = 3 * 8 - 1;
	s.idt.base = TINY_IDT;
	s.idt.limit = 4095;
	s.cr0 = 0x80010033;	/* PG WP NE ET MP PE */
	s.cr3 = TINY_PML4;
	s.cr4 = 0x20;		/* PAE */
	s.efer = 0x500;		/* LMA LME */
	return ioctl(fd, KVM_SET_SREGS, &s) || ioctl(fd, KVM_SET_REGS, &regs) ? -1 : 0;
}

static void *vcpu_loop(void *arg)
{
	struct tiny_vcpu *v = arg;

	v->tid = syscall(SYS_gettid);
	while (!v->stop && rdtsc_host() < v->start_at)
		;
	while (!v->stop) {
		int ret = ioctl(v->fd, KVM_RUN, 0);

		v->returns++;
		v->last_errno = ret < 0 ? errno : 0;
		if (ret < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (ret < 0) {
			note("vCPU %d: KVM_RUN: %s", v->index, strerror(errno));
			break;
		}
		if (v->run->exit_reason == KVM_EXIT_HYPERV)
			continue;
		if (v->run->exit_reason != KVM_EXIT_IO || v->run->io.port != TINY_PORT_DONE)
			note("vCPU %d: exit reason %u", v->index, v->run->exit_reason);
		/* Let KVM finish the OUT */
		v->run->immediate_exit = 1;
		ioctl(v->fd, KVM_RUN, 0);
		v->run->immediate_exit = 0;
		break;
	}
	v->done = true;
	return NULL;
}

void tiny_start(struct tiny *vm, unsigned int vcpu, guest_fn *fn, uint64_t arg)
{
	struct tiny_vcpu *v = &vm->vcpu[vcpu];
	struct guest_area *a = tiny_area(vm, vcpu);
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };

	memset(a, 0, sizeof(*a));
	a->arg = arg;
	if (tiny_set_regs(v->fd, v->index, fn))
		bail("a vCPU's registers: %s", strerror(errno));
	if (!(vm->flags & TINY_WAIT_SIPI) || !vcpu)
		IOCTL(v->fd, KVM_SET_MP_STATE, &mp);
	v->stop = v->done = false;
	v->tid = 0;
	v->returns = 0;
	if (pthread_create(&v->thread, NULL, vcpu_loop, v))
		bail("pthread_create failed");
	v->running = true;
	while (!v->tid)
		sleep_ms(1);
}

void tiny_stop(struct tiny *vm, unsigned int vcpu)
{
	struct tiny_vcpu *v = &vm->vcpu[vcpu];

	if (!v->running)
		return;
	v->stop = true;
	v->run->immediate_exit = 1;
	while (!v->done) {
		pthread_kill(v->thread, SIGUSR1);
		sleep_ms(1);
	}
	pthread_join(v->thread, NULL);
	v->run->immediate_exit = 0;
	v->running = false;
}

int tiny_try_set_msr(struct tiny *vm, unsigned int vcpu, uint32_t msr, uint64_t value)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry[1];
	} m = { .head.nmsrs = 1, .entry[0] = { .index = msr, .data = value } };

	return ioctl(vm->vcpu[vcpu].fd, KVM_SET_MSRS, &m);
}

void tiny_set_msr(struct tiny *vm, unsigned int vcpu, uint32_t msr, uint64_t value)
{
	if (tiny_try_set_msr(vm, vcpu, msr, value) != 1)
		bail("KVM_SET_MSRS of 0x%x: refused", msr);
}

uint64_t tiny_get_msr(struct tiny *vm, unsigned int vcpu, uint32_t msr)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry[1];
	} m = { .head.nmsrs = 1, .entry[0] = { .index = msr } };

	if (IOCTL(vm->vcpu[vcpu].fd, KVM_GET_MSRS, &m) != 1)
		bail("KVM_GET_MSRS of 0x%x: refused", msr);
	return m.entry[0].data;
}

void tiny_set_kvmclock(struct tiny *vm, unsigned int vcpu)
{
	tiny_set_msr(vm, vcpu, MSR_KVMCLOCK, (TINY_KVMCLOCK + vcpu * 4096UL) | 1);
}

void tiny_set_hv_page(struct tiny *vm)
{
	tiny_set_msr(vm, 0, MSR_HV_OS_ID, 1);
	tiny_set_msr(vm, 0, MSR_HV_REF_TSC, TINY_HV_PAGE | 1);
}

void tiny_deadline_mode(struct tiny *vm, unsigned int vcpu)
{
	struct kvm_lapic_state s;
	uint32_t svr = 0x1ff, lvtt = 2 << 17 | TINY_VECTOR;

	IOCTL(vm->vcpu[vcpu].fd, KVM_GET_LAPIC, &s);
	memcpy(s.regs + 0xf0, &svr, 4);
	memcpy(s.regs + 0x320, &lvtt, 4);
	IOCTL(vm->vcpu[vcpu].fd, KVM_SET_LAPIC, &s);
}
