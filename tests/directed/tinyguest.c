// SPDX-License-Identifier: GPL-2.0
/*
 * What runs in the tiny VMs: functions of a section of its own, which is copied into guest memory.
 * They call nothing outside of it and have no data but what they are given.
 */
#include "tinyguest.h"

#define GUEST __attribute__((section("guest_text"), noinline, used))
#define INLINE static inline __attribute__((always_inline))

INLINE uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("lfence; rdtsc; lfence" : "=a"(lo), "=d"(hi) : : "memory");
	return lo | (uint64_t)hi << 32;
}

INLINE uint64_t rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
	return lo | (uint64_t)hi << 32;
}

INLINE void wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

INLINE void done(void)
{
	__asm__ volatile("outb %%al, %%dx" : : "d"(TINY_PORT_DONE), "a"(0) : "memory");
}

INLINE uint64_t irqs(void)
{
	return *(volatile uint64_t *)TINY_IRQS;
}

INLINE void irqs_on(void) { __asm__ volatile("sti; nop" : : : "memory"); }
INLINE void irqs_off(void) { __asm__ volatile("cli" : : : "memory"); }
INLINE void halt(void) { __asm__ volatile("sti; hlt; cli" : : : "memory"); }

/* x2APIC, enabled, its timer in deadline mode */
INLINE void apic_up(void)
{
	wrmsr(0x1b, rdmsr(0x1b) | 0xc00);
	/* Stopped within its handler and started anew, it would never hear of another */
	wrmsr(0x80b, 0);
	wrmsr(0x80f, 0x1ff);
	wrmsr(0x808, 0);
	wrmsr(0x832, 2 << 17 | TINY_VECTOR);
}

/* The interrupt's handler: counts, and tells the x2APIC that it is over */
__asm__(".pushsection guest_text, \"ax\"\n"
	".globl guest_timer_handler\n"
	"guest_timer_handler:\n"
	"	push %rax\n	push %rcx\n	push %rdx\n"
	"	lock incq 0x15000\n"
	"	mov $0x80b, %ecx\n	xor %eax, %eax\n	xor %edx, %edx\n	wrmsr\n"
	"	pop %rdx\n	pop %rcx\n	pop %rax\n"
	"	iretq\n"
	".popsection\n");
_Static_assert(TINY_IRQS == 0x15000, "the handler counts there");

GUEST void guest_halt(struct guest_area *a)
{
	a->progress++;
	for (;;)
		__asm__ volatile("cli; hlt" : : : "memory");
}

GUEST void guest_spin(struct guest_area *a)
{
	for (;;)
		a->progress++;
}

GUEST void guest_read(struct guest_area *a)
{
	volatile uint64_t *shared = (volatile uint64_t *)TINY_LAST;
	uint64_t last = 0, other, t;

	for (;;) {
		other = __atomic_load_n(shared, __ATOMIC_SEQ_CST);
		t = rdtsc();
		if (other > last)
			last = other;
		if (t < last) {
			a->back++;
			if (last - t > a->worst)
				a->worst = last - t;
		}
		last = t;
		a->tsc = t;
		while (other < t && !__atomic_compare_exchange_n((uint64_t *)shared, &other, t, 0,
								 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			;
		a->progress++;
	}
}

GUEST void guest_ahead(struct guest_area *a)
{
	uint64_t t = rdtsc(), last = t;

	a->count = t;
	for (;;) {
		t = rdtsc();
		if (t - last > a->worst)
			a->worst = t - last;
		a->tsc = last = t;
		a->progress++;
	}
}

GUEST void guest_passed(struct guest_area *a)
{
	uint64_t i, before;

	apic_up();
	irqs_on();
	for (i = 0; i < a->arg; i++) {
		before = irqs();
		wrmsr(0x6e0, rdtsc() - 1000);
		__asm__ volatile("nop; nop" : : : "memory");
		if (irqs() != before)
			a->count++;
		a->progress++;
	}
	irqs_off();
	done();
}

GUEST void guest_rewrite(struct guest_area *a)
{
	uint64_t i, before;

	apic_up();
	irqs_on();
	before = irqs();
	for (i = 0; i < a->arg; i++)
		wrmsr(0x6e0, rdtsc() - 1000);
	for (i = 0; i < 100000; i++)
		__asm__ volatile("pause");
	a->count = irqs() - before;
	irqs_off();
	done();
}

GUEST void guest_ticks(struct guest_area *a)
{
	apic_up();
	for (;;) {
		wrmsr(0x6e0, rdtsc() + a->arg);
		halt();
		a->tsc = rdtsc();
		a->count = irqs();
		a->progress++;
	}
}

GUEST void guest_hv_page(struct guest_area *a)
{
	wrmsr(0x40000000, 1);
	wrmsr(0x40000021, TINY_HV_PAGE | 1);
	a->progress++;
	done();
}

GUEST void guest_deadline(struct guest_area *a)
{
	apic_up();
	irqs_on();
	wrmsr(0x6e0, a->arg);
	for (;;) {
		a->count = irqs();
		a->progress++;
	}
}
