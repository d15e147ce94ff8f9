// SPDX-License-Identifier: GPL-2.0
/*
 * Loaded into the test host's QEMU (LD_PRELOAD): an interrupt that VMRUN injects is delivered once.
 *
 * QEMU's TCG (7.2 to 10.2 at least) delivers the event of a VMCB's event_inj inside helper_vmrun(),
 * but leaves its vector in CPUState::exception_index.  Usually the guest's next #VMEXIT clears it.
 * If the emulator's loop is left before (its time slice under -icount ends, another vCPU's turn
 * comes), the vector is taken for a pending exception and delivered again, IF = 0 or not: the guest
 * takes a timer interrupt inside the same timer interrupt, and waits for its own run-queue lock.
 *
 * do_interrupt_x86_hardirq() is what delivers; whoever calls it wants nothing left pending.  So its
 * callers are made to clear exception_index first.  Addresses and offsets come from QEMU's own
 * dynamic symbols and code; where they do not look as expected nothing is changed, and a line says so.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* QEMU's, thread-local: the CPUState that this thread runs */
extern __thread char *current_cpu __attribute__((weak));

static void (*deliver)(void *env, int vector, int is_hw);
static int32_t exception_index;	/* its offset in CPUState */

static void deliver_once(void *env, int vector, int is_hw)
{
	*(int32_t *)(current_cpu + exception_index) = -1;
	deliver(env, vector, is_hw);
}

struct text {
	uint8_t *start, *end;
};

/* The executable part of the program itself, which comes first */
static int find_text(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct text *t = arg;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type == PT_LOAD && p->p_flags & PF_X) {
			t->start = (uint8_t *)info->dlpi_addr + p->p_vaddr;
			t->end = t->start + p->p_memsz;
		}
	}
	return 1;
}

/* jmp *deliver_once, within reach of a call from the program's text */
static uint8_t *make_thunk(const struct text *t)
{
	uint8_t code[14] = { 0xff, 0x25 };
	void (*to)(void *, int, int) = deliver_once;
	uint8_t *page = NULL;

	memcpy(code + 6, &to, sizeof(to));
	for (uintptr_t at = ((uintptr_t)t->end + 0xfffff) & ~0xfffffUL; at < (uintptr_t)t->start + 0x70000000; at += 0x1000000) {
		page = mmap((void *)at, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		if (page != MAP_FAILED)
			break;
	}
	if (!page || page == MAP_FAILED)
		return NULL;
	memcpy(page, code, sizeof(code));
	return mprotect(page, 4096, PROT_READ | PROT_EXEC) ? NULL : page;
}

static const char *redirect(void)
{
	const uint8_t *set = dlsym(RTLD_DEFAULT, "cpu_loop_exit_noexc");
	struct text t = { 0 };
	uint8_t *thunk, *call[16];
	unsigned int n = 0;
	int i;

	if (!set || !&current_cpu)
		return "it does not export what this needs";
	/* movl $-1, exception_index(%rdi), among its first instructions */
	for (i = 0; i < 16; i++) {
		if (!memcmp(set + i, "\xc7\x87", 2) && !memcmp(set + i + 6, "\xff\xff\xff\xff", 4))
			break;
	}
	if (i == 16)
		return "cpu_loop_exit_noexc() is not as expected";
	memcpy(&exception_index, set + i + 2, sizeof(exception_index));

	dl_iterate_phdr(find_text, &t);
	for (uint8_t *p = t.start; p && p + 5 <= t.end; p++) {
		int32_t rel;

		memcpy(&rel, p + 1, sizeof(rel));
		if (*p == 0xe8 && p + 5 + rel == (uint8_t *)deliver && n < 16)
			call[n++] = p;
	}
	if (n < 2 || n > 8)
		return "do_interrupt_x86_hardirq() is not called as expected";
	thunk = make_thunk(&t);
	if (!thunk || mprotect((void *)((uintptr_t)t.start & ~0xfffUL), t.end - t.start + ((uintptr_t)t.start & 0xfff),
			       PROT_READ | PROT_WRITE))
		return "its code cannot be changed here";
	while (n--) {
		int32_t rel = thunk - (call[n] + 5);

		memcpy(call[n] + 1, &rel, sizeof(rel));
	}
	if (mprotect((void *)((uintptr_t)t.start & ~0xfffUL), t.end - t.start + ((uintptr_t)t.start & 0xfff),
		     PROT_READ | PROT_EXEC))
		return "its code cannot be made executable again";
	return NULL;
}

__attribute__((constructor)) static void start(void)
{
	const char *why;

	*(void **)&deliver = dlsym(RTLD_DEFAULT, "do_interrupt_x86_hardirq");
	/* Another program of the same command line */
	if (!deliver)
		return;
	why = redirect();
	if (why)
		fprintf(stderr, "inject-once: this QEMU is left as it is, and its guests may hang: %s\n", why);
}
