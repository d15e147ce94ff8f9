// SPDX-License-Identifier: GPL-2.0
/* The interpreter: instructions as the kernel's Documentation/bpf/standardization has them, up to cpu v4. */
#include "dry/machine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dry/machine_priv.h"

#ifndef BPF_MEMSX
#define BPF_MEMSX 0x80		/* not in headers before 6.6 */
#endif

#define STACK 512

enum { KFUNC_MUL_DIV, KFUNC_HOST_TSC, KFUNC_ASK };

static bool run(struct tw_machine *m, size_t pc, const uint64_t *args, uint64_t *ret);

int tw_dry_kfunc(const char *name)
{
	static const char *const names[] = {
		[KFUNC_MUL_DIV] = "kvm_timewarp_mul_div",
		[KFUNC_HOST_TSC] = "kvm_timewarp_host_tsc",
		[KFUNC_ASK] = "kvm_timewarp_ask",
	};
	int i;

	for (i = 0; i < 3; i++)
		if (!strcmp(names[i], name))
			return i;
	return -1;
}

static bool fault(struct tw_machine *m, enum tw_dry_fault how, const char *what, long long which)
{
	if (m->how)
		return false;
	snprintf(m->fault, sizeof(m->fault), what, which);
	m->how = how;
	return false;
}

static bool unknown(struct tw_machine *m, const char *what, long long which)
{
	return fault(m, TW_FAULT_UNKNOWN, what, which);
}

static bool crime(struct tw_machine *m, const char *what)
{
	return fault(m, TW_FAULT_CRIME, what, 0);
}

/* ---- memory */

static bool lies_in(uint64_t at, size_t size, const unsigned char *from, size_t room)
{
	uint64_t off = at - (uint64_t)(uintptr_t)from;

	return from && off <= room && size <= room - off;
}

/* What is at an address, if it is all a program's to read, or to write */
static void *reach(struct tw_machine *m, uint64_t at, size_t size, bool write)
{
	size_t i;

	for (i = m->n_lent; i--; )
		if (lies_in(at, size, m->lent[i].from, m->lent[i].size) && !(write && m->lent[i].read_only))
			return (void *)(uintptr_t)at;
	for (i = 0; i < m->n; i++) {
		const struct tw_dry_section *s = &m->section[i];

		if (!s->code && lies_in(at, size, s->data, s->size) && !(write && s->read_only))
			return (void *)(uintptr_t)at;
	}
	crime(m, "it touches memory that it has no business with");
	return NULL;
}

void tw_machine_lend(struct tw_machine *m, void *from, size_t size, bool read_only)
{
	if (m->n_lent == sizeof(m->lent) / sizeof(*m->lent))
		return;
	m->lent[m->n_lent].from = from;
	m->lent[m->n_lent].size = size;
	m->lent[m->n_lent++].read_only = read_only;
}

static size_t width(uint8_t code)
{
	switch (BPF_SIZE(code)) {
	case BPF_B:
		return 1;
	case BPF_H:
		return 2;
	case BPF_W:
		return 4;
	default:
		return 8;
	}
}

static bool load(struct tw_machine *m, const struct bpf_insn *in, uint64_t *r)
{
	size_t size = width(in->code);
	const void *from = reach(m, r[in->src_reg] + in->off, size, false);
	uint64_t v = 0;

	if (!from)
		return false;
	memcpy(&v, from, size);
	if (BPF_MODE(in->code) == BPF_MEMSX && size < 8)
		v = (int64_t)(v << (64 - 8 * size)) >> (64 - 8 * size);
	r[in->dst_reg] = v;
	return true;
}

static bool atomic(struct tw_machine *m, const struct bpf_insn *in, uint64_t *r)
{
	size_t size = width(in->code);
	void *at = reach(m, r[in->dst_reg] + in->off, size, true);
	uint64_t old = 0, v = r[in->src_reg], mask = size == 8 ? ~0ULL : 0xffffffff;

	if (!at)
		return false;
	memcpy(&old, at, size);
	switch (in->imm & ~BPF_FETCH) {
	case BPF_ADD:
		v += old;
		break;
	case BPF_OR:
		v |= old;
		break;
	case BPF_AND:
		v &= old;
		break;
	case BPF_XOR:
		v ^= old;
		break;
	case BPF_XCHG & ~BPF_FETCH:
		break;
	case BPF_CMPXCHG & ~BPF_FETCH:
		if (old != (r[0] & mask))
			v = old;
		break;
	default:
		return unknown(m, "it has an atomic instruction %lld, which a dry run does not know", in->imm);
	}
	memcpy(at, &v, size);
	if (in->imm == BPF_CMPXCHG)
		r[0] = old;
	else if (in->imm & BPF_FETCH)
		r[in->src_reg] = old;
	return true;
}

static bool store(struct tw_machine *m, const struct bpf_insn *in, uint64_t *r)
{
	bool immediate = BPF_CLASS(in->code) == BPF_ST;
	uint64_t v = immediate ? (uint64_t)(int64_t)in->imm : r[in->src_reg];
	size_t size = width(in->code);
	void *to;

	if (!immediate && BPF_MODE(in->code) == BPF_ATOMIC)
		return atomic(m, in, r);
	to = reach(m, r[in->dst_reg] + in->off, size, true);
	if (!to)
		return false;
	memcpy(to, &v, size);
	return true;
}

/* ---- arithmetic */

static uint64_t divide(const struct bpf_insn *in, uint64_t a, uint64_t b, bool wide)
{
	bool mod = BPF_OP(in->code) == BPF_MOD;
	int64_t sa = wide ? (int64_t)a : (int32_t)a, sb = wide ? (int64_t)b : (int32_t)b;

	if (!b)
		return mod ? a : 0;
	if (!in->off)
		return mod ? a % b : a / b;
	if (sb == -1)
		return mod ? 0 : -(uint64_t)sa;
	return mod ? sa % sb : sa / sb;
}

static uint64_t swap(uint64_t v, int bits)
{
	uint64_t out = __builtin_bswap64(v);

	return out >> (64 - bits);
}

static bool alu_end(struct tw_machine *m, const struct bpf_insn *in, uint64_t *dst)
{
	uint64_t mask = in->imm == 64 ? ~0ULL : (1ULL << (in->imm & 63)) - 1;

	if (in->imm != 16 && in->imm != 32 && in->imm != 64)
		return unknown(m, "it has an instruction 0x%llx, which a dry run does not know", in->code);
	if (BPF_CLASS(in->code) == BPF_ALU64 || BPF_SRC(in->code) == BPF_TO_BE)
		*dst = swap(*dst, in->imm);
	else
		*dst &= mask;
	return true;
}

static bool alu(struct tw_machine *m, const struct bpf_insn *in, uint64_t *r)
{
	bool wide = BPF_CLASS(in->code) == BPF_ALU64;
	uint64_t b = BPF_SRC(in->code) == BPF_X ? r[in->src_reg] : (uint64_t)(int64_t)in->imm;
	uint64_t a = r[in->dst_reg];
	int bits = wide ? 63 : 31;

	if (BPF_OP(in->code) == BPF_END)
		return alu_end(m, in, &r[in->dst_reg]);
	if (!wide) {
		a = (uint32_t)a;
		b = (uint32_t)b;
	}
	switch (BPF_OP(in->code)) {
	case BPF_ADD:
		a += b;
		break;
	case BPF_SUB:
		a -= b;
		break;
	case BPF_MUL:
		a *= b;
		break;
	case BPF_DIV:
	case BPF_MOD:
		m->zero_divisions += !b;
		a = divide(in, a, b, wide);
		break;
	case BPF_OR:
		a |= b;
		break;
	case BPF_AND:
		a &= b;
		break;
	case BPF_XOR:
		a ^= b;
		break;
	case BPF_LSH:
		a <<= b & bits;
		break;
	case BPF_RSH:
		a >>= b & bits;
		break;
	case BPF_ARSH:
		a = wide ? (uint64_t)((int64_t)a >> (b & 63)) : (uint64_t)((int32_t)a >> (b & 31));
		break;
	case BPF_NEG:
		a = -a;
		break;
	case BPF_MOV:
		a = in->off == 8 ? (uint64_t)(int8_t)b : in->off == 16 ? (uint64_t)(int16_t)b :
		    in->off == 32 ? (uint64_t)(int32_t)b : b;
		break;
	default:
		return unknown(m, "it has an instruction 0x%llx, which a dry run does not know", in->code);
	}
	r[in->dst_reg] = wide ? a : (uint32_t)a;
	return true;
}

/* ---- jumps */

static bool jumps(const struct bpf_insn *in, const uint64_t *r)
{
	bool wide = BPF_CLASS(in->code) == BPF_JMP;
	uint64_t a = r[in->dst_reg];
	uint64_t b = BPF_SRC(in->code) == BPF_X ? r[in->src_reg] : (uint64_t)(int64_t)in->imm;
	int64_t sa = wide ? (int64_t)a : (int32_t)a, sb = wide ? (int64_t)b : (int32_t)b;

	if (!wide) {
		a = (uint32_t)a;
		b = (uint32_t)b;
	}
	switch (BPF_OP(in->code)) {
	case BPF_JEQ:
		return a == b;
	case BPF_JNE:
		return a != b;
	case BPF_JGT:
		return a > b;
	case BPF_JGE:
		return a >= b;
	case BPF_JLT:
		return a < b;
	case BPF_JLE:
		return a <= b;
	case BPF_JSET:
		return a & b;
	case BPF_JSGT:
		return sa > sb;
	case BPF_JSGE:
		return sa >= sb;
	case BPF_JSLT:
		return sa < sb;
	case BPF_JSLE:
		return sa <= sb;
	default:
		return BPF_OP(in->code) == BPF_JA;
	}
}

/* ---- calls */

static uint32_t next_random(struct tw_outside *o)
{
	o->random ^= o->random << 13;
	o->random ^= o->random >> 7;
	o->random ^= o->random << 17;
	return o->random * 2685821657736338717ULL >> 32;
}

/* As the kernel has it */
#define MAX_LOOPS (1U << 23)

static bool call_loop(struct tw_machine *m, const uint64_t *r, uint64_t *ret)
{
	uint64_t args[5] = { 0, r[3] }, stop = 0;

	if (!(r[2] & TW_DRY_CODE))
		return crime(m, "it gives bpf_loop() what is no function");
	if ((uint32_t)r[1] > MAX_LOOPS) {
		*ret = -E2BIG;
		return true;
	}
	for (*ret = 0; *ret < (uint32_t)r[1] && !stop; ++*ret) {
		args[0] = *ret;
		if (!run(m, r[2] & ~TW_DRY_CODE, args, &stop))
			return false;
	}
	return true;
}

static bool call_helper(struct tw_machine *m, const struct bpf_insn *in, const uint64_t *r, uint64_t *ret)
{
	const void *data;

	*ret = 0;
	switch (in->imm) {
	case BPF_FUNC_ktime_get_ns:
	case BPF_FUNC_ktime_get_boot_ns:
		*ret = m->outside->now_ns;
		return true;
	case BPF_FUNC_get_prandom_u32:
		*ret = next_random(m->outside);
		return true;
	case BPF_FUNC_trace_printk:
	case BPF_FUNC_ringbuf_query:
		return true;
	case BPF_FUNC_ringbuf_output:
		data = r[3] > 4096 ? NULL : reach(m, r[2], r[3], false);
		if (data && m->outside->output)
			m->outside->output(m->outside->arg, data, r[3]);
		return data || crime(m, "it tells too much at once");
	case BPF_FUNC_loop:
		return call_loop(m, r, ret);
	default:
		return unknown(m, "it calls BPF's helper %lld, which a dry run does not have", in->imm);
	}
}

static bool call_kernel(struct tw_machine *m, const struct bpf_insn *in, const uint64_t *r, uint64_t *ret)
{
	unsigned __int128 q;

	*ret = 0;
	switch (in->imm) {
	case KFUNC_MUL_DIV:
		q = r[3] ? (unsigned __int128)r[1] * r[2] / r[3] : 0;
		*ret = !r[3] || q > ~0ULL ? ~0ULL : (uint64_t)q;
		return true;
	case KFUNC_HOST_TSC:
		*ret = m->outside->now_ns;
		return true;
	case KFUNC_ASK:
		return true;
	default:
		return unknown(m, "it calls a function of the kernel's that a dry run does not have", 0);
	}
}

static bool call(struct tw_machine *m, const struct bpf_insn *in, size_t pc, uint64_t *r)
{
	switch (in->src_reg) {
	case BPF_PSEUDO_CALL:
		return run(m, in->off ? (size_t)in->imm : pc + in->imm + 1, r + 1, &r[0]);
	case BPF_PSEUDO_KFUNC_CALL:
		return call_kernel(m, in, r, &r[0]);
	default:
		return call_helper(m, in, r, &r[0]);
	}
}

/* ---- programs */

static bool step(struct tw_machine *m, const struct bpf_insn *in, size_t *pc, uint64_t *r)
{
	uint8_t class = BPF_CLASS(in->code);

	if (in->dst_reg > 10 || in->src_reg > 10)
		return unknown(m, "it has an instruction 0x%llx, which a dry run does not know", in->code);
	switch (class) {
	case BPF_ALU:
	case BPF_ALU64:
		return alu(m, in, r);
	case BPF_LDX:
		return load(m, in, r);
	case BPF_ST:
	case BPF_STX:
		return store(m, in, r);
	case BPF_LD:
		if (in->code != (BPF_LD | BPF_IMM | BPF_DW) || *pc + 1 >= m->n_code)
			return unknown(m, "it has an instruction 0x%llx, which a dry run does not know", in->code);
		r[in->dst_reg] = (uint32_t)in->imm | (uint64_t)(uint32_t)in[1].imm << 32;
		++*pc;
		return true;
	default:
		if (BPF_OP(in->code) == BPF_CALL)
			return call(m, in, *pc, r);
		if (in->code == (BPF_JMP32 | BPF_JA))
			*pc += in->imm;
		else if (jumps(in, r))
			*pc += in->off;
		return true;
	}
}

static bool run(struct tw_machine *m, size_t pc, const uint64_t *args, uint64_t *ret)
{
	uint64_t r[11] = { 0, args[0], args[1], args[2], args[3], args[4] };
	unsigned char stack[STACK] = { 0 };
	size_t lent = m->n_lent;
	bool good = true;

	tw_machine_lend(m, stack, sizeof(stack), false);
	if (m->n_lent == lent)
		return crime(m, "its functions call each other too deeply");
	r[10] = (uint64_t)(uintptr_t)stack + sizeof(stack);
	for (; good && pc < m->n_code && m->code[pc].code != (BPF_JMP | BPF_EXIT); pc++) {
		if (++m->steps > TW_DRY_MAX_STEPS)
			good = fault(m, TW_FAULT_ENDLESS, "it does not come to an end", 0);
		else
			good = step(m, &m->code[pc], &pc, r);
	}
	m->n_lent = lent;
	*ret = r[0];
	return good && (pc < m->n_code || crime(m, "it runs past its end"));
}

bool tw_machine_call(struct tw_machine *m, size_t function, uint64_t arg, uint64_t *ret)
{
	uint64_t args[5] = { arg };

	*m->fault = 0;
	m->how = TW_FAULT_NONE;
	m->steps = m->zero_divisions = 0;
	return run(m, function, args, ret);
}
