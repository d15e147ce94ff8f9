// SPDX-License-Identifier: GPL-2.0
/* The interpreter of dry runs: what objects of a stranger's can make of it. */
#include "dry/machine.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "timewarp.h"
#include "tap.h"

#define TABLE ".struct_ops.link"

static uint64_t view[16], answer[9], args[2];
static struct tw_outside outside;

/* What decide() returns; -1000 if it comes to no end, -2000 if the object is refused */
static long decide(const void *elf, size_t size)
{
	struct tw_machine m;
	struct tw_err e = { .status = TW_FAILED };
	uint64_t ret = 0;
	long at, result = -2000;

	outside = (struct tw_outside){ .now_ns = 1000000000, .random = 1 };
	args[0] = (uintptr_t)view;
	args[1] = (uintptr_t)answer;
	memset(answer, 0, sizeof(answer));
	if (!tw_machine_open(&m, elf, size, &e)) {
		m.outside = &outside;
		at = tw_machine_function(&m, TABLE, 0);
		tw_machine_lend(&m, args, sizeof(args), true);
		tw_machine_lend(&m, view, sizeof(view), true);
		tw_machine_lend(&m, answer, sizeof(answer), false);
		if (at >= 0)
			result = tw_machine_call(&m, at, (uintptr_t)args, &ret) ? (int)ret : -1000;
	}
	tw_machine_close(&m);
	tw_err_free(&e);
	return result;
}

static char *object(const char *name, size_t *size)
{
	char *path = tw_asprintf("%s/%s.bpf.o", POLICIES, name), *elf = tw_read_file(path, size);

	assert_non_null(elf);
	free(path);
	return elf;
}

static void decides_as_on_the_kernel(void **state)
{
	size_t size;
	char *elf = object("constant", &size);

	(void)state;
	assert_int_equal(decide(elf, size), 0);
	assert_int_equal(answer[0], 1);
	assert_int_equal(answer[1], 1);
	free(elf);
	/* a schedule without a plan has a reason of its own */
	elf = object("schedule", &size);
	assert_int_equal(decide(elf, size), -TIMEWARP_REFUSAL_FIRST);
	free(elf);
}

static void a_cut_object_is_refused(void **state)
{
	size_t size, cut;
	char *elf = object("schedule", &size), *exact;

	(void)state;
	/* in memory of just that size, so that a byte behind it is found */
	for (cut = 0; cut < size; cut += size / 97 + 1) {
		exact = malloc(cut + 1);
		memcpy(exact, elf, cut);
		assert_int_equal(decide(exact, cut), -2000);
		free(exact);
	}
	free(elf);
}

/* Each byte of the header, and many of the rest, made another one */
static void a_broken_object_harms_nobody_else(void **state)
{
	static const char *const names[] = { "constant", "schedule", "skip-idle" };
	unsigned int ran = 0, refused = 0, i, n;
	uint32_t rng = 1;

	(void)state;
	for (i = 0; i < 3; i++) {
		size_t size, at;
		char *elf = object(names[i], &size);

		for (n = 0; n < 500; n++) {
			char was;
			long r;

			rng = rng * 1664525 + 1013904223;
			at = n < 64 ? n : rng % size;
			was = elf[at];
			elf[at] ^= 1 << (rng >> 28 & 7);
			r = decide(elf, size);
			elf[at] = was;
			ran += r > -1000;
			refused += r == -2000;
		}
		free(elf);
	}
	assert_true(ran);
	assert_true(refused);
}

/* The first relocation of each section of code is of a place that is in no file */
static void a_relocation_far_out_is_refused(void **state)
{
	size_t size, i, n = 0;
	char *elf = object("constant", &size);
	const Elf64_Ehdr *eh = (const void *)elf;
	const Elf64_Shdr *sh = (const void *)(elf + eh->e_shoff);

	(void)state;
	for (i = 0; i < eh->e_shnum; i++) {
		Elf64_Addr was;
		Elf64_Rel *rel;

		if (sh[i].sh_type != SHT_REL || !(sh[sh[i].sh_info].sh_flags & SHF_EXECINSTR))
			continue;
		rel = (void *)(elf + sh[i].sh_offset);
		was = rel->r_offset;
		rel->r_offset = 1ULL << 63;
		assert_int_equal(decide(elf, size), -2000);
		rel->r_offset = was;
		n++;
	}
	assert_true(n);
	free(elf);
}

/* Programs by hand, in place of decide()'s first instructions */
static long decide_as(const struct bpf_insn *code, size_t n)
{
	size_t size, i;
	char *elf = object("constant", &size);
	struct tw_machine m;
	struct tw_err e = { .status = TW_FAILED };
	uint64_t ret = 0;
	long result;

	assert_int_equal(tw_machine_open(&m, elf, size, &e), 0);
	i = tw_machine_function(&m, TABLE, 0);
	memcpy(m.code + i, code, n * sizeof(*code));
	m.outside = &outside;
	tw_machine_lend(&m, args, sizeof(args), true);
	result = tw_machine_call(&m, i, (uintptr_t)args, &ret) ? (long)ret : -1000;
	tw_machine_close(&m);
	free(elf);
	return result;
}

#define RUN(...) decide_as((const struct bpf_insn[]){ __VA_ARGS__ },			\
			   sizeof((const struct bpf_insn[]){ __VA_ARGS__ }) / sizeof(struct bpf_insn))
#define MOV(reg, value) { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = reg, .imm = value }
#define EXIT { .code = BPF_JMP | BPF_EXIT }
#define ALU(op, value) { .code = BPF_ALU64 | op | BPF_K, .dst_reg = 0, .imm = value }
#define ALU32(op, value) { .code = BPF_ALU | op | BPF_K, .dst_reg = 0, .imm = value }

static void arithmetic_is_that_of_bpf(void **state)
{
	(void)state;
	assert_int_equal(RUN(MOV(0, -7), ALU(BPF_ARSH, 1), EXIT), -4);
	assert_int_equal(RUN(MOV(0, -1), ALU32(BPF_ADD, 2), EXIT), 1);
	assert_int_equal(RUN(MOV(0, -8), ALU32(BPF_RSH, 1), EXIT), 0x7ffffffc);
	assert_int_equal(RUN(MOV(0, 7), ALU(BPF_DIV, 0), EXIT), 0);
	assert_int_equal(RUN(MOV(0, 7), ALU(BPF_MOD, 0), EXIT), 7);
	assert_int_equal(RUN(MOV(0, 100), ALU(BPF_DIV, 7), EXIT), 14);
	assert_int_equal(RUN(MOV(0, 0x1234), { .code = BPF_ALU | BPF_END | BPF_TO_BE, .imm = 16 }, EXIT), 0x3412);
	assert_int_equal(RUN(MOV(0, 1), { .code = BPF_JMP | BPF_JSLT | BPF_K, .imm = -1, .off = 1 }, MOV(0, 2), EXIT), 2);
	assert_int_equal(RUN(MOV(0, -5), { .code = BPF_JMP32 | BPF_JSLT | BPF_K, .imm = -1, .off = 1 }, MOV(0, 2), EXIT), -5);
}

static void what_is_not_its_own_is_a_fault(void **state)
{
	(void)state;
	/* reads next to nothing, writes what it is given to read, one byte past its stack, calls what there is not */
	assert_int_equal(RUN({ .code = BPF_LDX | BPF_MEM | BPF_B, .src_reg = 2 }, EXIT), -1000);
	assert_int_equal(RUN({ .code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = 1 }, EXIT), -1000);
	assert_int_equal(RUN({ .code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -3 }, EXIT), -1000);
	assert_int_equal(RUN({ .code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -516 }, EXIT), -1000);
	assert_int_equal(RUN({ .code = BPF_JMP | BPF_CALL, .imm = 1 }, EXIT), -1000);
	/* jumps to itself, calls itself, jumps out of the code */
	assert_int_equal(RUN({ .code = BPF_JMP | BPF_JA, .off = -1 }, EXIT), -1000);
	assert_int_equal(RUN({ .code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_CALL, .imm = -1 }, EXIT), -1000);
	assert_int_equal(RUN({ .code = BPF_JMP | BPF_JA, .off = -32000 }, EXIT), -1000);
	/* what is right, for the same ways */
	assert_int_equal(RUN({ .code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = 10, .off = -8, .imm = 9 },
			     { .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 0, .src_reg = 10, .off = -8 }, EXIT), 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decides_as_on_the_kernel),
		cmocka_unit_test(a_cut_object_is_refused),
		cmocka_unit_test(a_relocation_far_out_is_refused),
		cmocka_unit_test(a_broken_object_harms_nobody_else),
		cmocka_unit_test(arithmetic_is_that_of_bpf),
		cmocka_unit_test(what_is_not_its_own_is_a_fault),
	};

	return RUN_TAP(tests);
}
