// SPDX-License-Identifier: GPL-2.0
/* A policy's object as a machine takes it: libbpf gives programs out only once the kernel has taken them. */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dry/machine.h"
#include "dry/machine_priv.h"
#include "text.h"

/* Of the ABI; older elf.h have none of them */
#define RELOC_IMM64 1
#define RELOC_CALL 10

struct object {
	const Elf64_Ehdr *eh;
	const Elf64_Shdr *sh;
	const Elf64_Sym *sym;
	size_t nr_sym, size;
	const char *base, *names;	/* of symbols */
	size_t names_size;
};

/* What a header says lies in the file; NULL if it does not */
static const void *in_file(const struct object *o, uint64_t offset, uint64_t size)
{
	return offset > o->size || size > o->size - offset || offset % 8 ? NULL : o->base + offset;
}

static const char *name_of(const char *names, size_t size, uint32_t at)
{
	return at < size && memchr(names + at, 0, size - at) ? names + at : "";
}

static bool read_headers(struct object *o)
{
	const Elf64_Shdr *s;
	size_t i;

	o->eh = in_file(o, 0, sizeof(*o->eh));
	if (!o->eh || memcmp(o->eh->e_ident, ELFMAG, SELFMAG) || o->eh->e_ident[EI_CLASS] != ELFCLASS64 ||
	    o->eh->e_ident[EI_DATA] != ELFDATA2LSB || o->eh->e_shentsize != sizeof(*o->sh))
		return false;
	o->sh = in_file(o, o->eh->e_shoff, (uint64_t)o->eh->e_shnum * sizeof(*o->sh));
	for (i = 0; o->sh && i < o->eh->e_shnum; i++) {
		s = &o->sh[i];
		if (s->sh_type != SHT_SYMTAB || s->sh_link >= o->eh->e_shnum)
			continue;
		o->sym = in_file(o, s->sh_offset, s->sh_size);
		o->nr_sym = s->sh_size / sizeof(*o->sym);
		s = &o->sh[s->sh_link];
		if (s->sh_offset > o->size || s->sh_size > o->size - s->sh_offset)
			return false;
		o->names = o->base + s->sh_offset;
		o->names_size = s->sh_size;
	}
	return o->sh && o->sym && o->names && o->eh->e_shstrndx < o->eh->e_shnum;
}

/* Takes a section over, if programs have to do with it; false if it is broken */
static bool take_section(struct tw_machine *m, const struct object *o, size_t i)
{
	const Elf64_Shdr *s = &o->sh[i], *str = &o->sh[o->eh->e_shstrndx];
	struct tw_dry_section *to = &m->section[i];
	const void *from;

	if (str->sh_offset > o->size || str->sh_size > o->size - str->sh_offset)
		return false;
	to->name = name_of(o->base + str->sh_offset, str->sh_size, s->sh_name);
	if (!(s->sh_flags & SHF_ALLOC) || !s->sh_size)
		return true;
	if (s->sh_size > TW_DRY_MAX_SECTION)
		return false;
	to->code = s->sh_flags & SHF_EXECINSTR;
	to->read_only = !(s->sh_flags & SHF_WRITE);
	to->size = s->sh_size;
	to->data = tw_grow(NULL, s->sh_size, 1);
	memset(to->data, 0, s->sh_size);
	if (s->sh_type == SHT_NOBITS)
		return !to->code;
	if (s->sh_offset > o->size || s->sh_size > o->size - s->sh_offset)
		return false;
	from = o->base + s->sh_offset;
	memcpy(to->data, from, s->sh_size);
	return !to->code || !(s->sh_size % sizeof(struct bpf_insn));
}

static void join_code(struct tw_machine *m)
{
	size_t i, n;

	for (i = 0; i < m->n; i++) {
		struct tw_dry_section *s = &m->section[i];

		if (!s->code || !s->data)
			continue;
		n = s->size / sizeof(*m->code);
		m->code = tw_grow(m->code, m->n_code + n, sizeof(*m->code));
		memcpy(m->code + m->n_code, s->data, s->size);
		s->first = m->n_code;
		m->n_code += n;
	}
}

/* A call of the kernel's, by its name; of another function of the object's, by its number */
static bool relocate_call(struct tw_machine *m, const struct object *o, const Elf64_Sym *sym,
			  struct bpf_insn *insn)
{
	const struct tw_dry_section *s = &m->section[sym->st_shndx < m->n ? sym->st_shndx : 0];
	int kfunc;

	if (sym->st_shndx == SHN_UNDEF) {
		kfunc = tw_dry_kfunc(name_of(o->names, o->names_size, sym->st_name));
		insn->src_reg = BPF_PSEUDO_KFUNC_CALL;
		insn->imm = kfunc;
		return true;
	}
	if (!s->code)
		return false;
	insn->src_reg = BPF_PSEUDO_CALL;
	insn->off = 1;		/* absolute: imm is a number among all */
	insn->imm += s->first + sym->st_value / sizeof(*insn) + 1;
	return true;
}

/* The address of a variable, or of a function, for bpf_loop() */
static bool relocate_address(struct tw_machine *m, const Elf64_Sym *sym, struct bpf_insn *insn)
{
	const struct tw_dry_section *s = &m->section[sym->st_shndx < m->n ? sym->st_shndx : 0];
	uint64_t at = sym->st_value + (int64_t)insn[0].imm;

	if (!s->data || at > s->size)
		return false;
	at = s->code ? TW_DRY_CODE | (s->first + at / sizeof(*insn)) : (uint64_t)(uintptr_t)s->data + at;
	insn[0].src_reg = 0;
	insn[0].imm = at;
	insn[1].imm = at >> 32;
	return true;
}

static bool relocate(struct tw_machine *m, const struct object *o, const Elf64_Shdr *r)
{
	const struct tw_dry_section *s = &m->section[r->sh_info < m->n ? r->sh_info : 0];
	const Elf64_Rel *rel = in_file(o, r->sh_offset, r->sh_size);
	size_t i;

	if (!s->code)
		return true;
	for (i = 0; rel && i < r->sh_size / sizeof(*rel); i++) {
		uint32_t which = ELF64_R_SYM(rel[i].r_info);
		struct bpf_insn *insn;
		bool done = false;

		if (rel[i].r_offset >= s->size || which >= o->nr_sym)
			return false;
		insn = m->code + s->first + rel[i].r_offset / sizeof(*insn);
		if (ELF64_R_TYPE(rel[i].r_info) == RELOC_CALL)
			done = insn->code == (BPF_JMP | BPF_CALL) && relocate_call(m, o, &o->sym[which], insn);
		else if (ELF64_R_TYPE(rel[i].r_info) == RELOC_IMM64)
			done = rel[i].r_offset + sizeof(*insn) < s->size &&
			       insn->code == (BPF_LD | BPF_IMM | BPF_DW) && relocate_address(m, &o->sym[which], insn);
		if (!done)
			return false;
	}
	return rel;
}

/* The functions that tables point to: numbers among all instructions, in place of addresses */
static bool fill_table(struct tw_machine *m, const struct object *o, const Elf64_Shdr *r)
{
	struct tw_dry_section *t = &m->section[r->sh_info < m->n ? r->sh_info : 0], *s;
	const Elf64_Rel *rel = in_file(o, r->sh_offset, r->sh_size);
	size_t i;

	if (t->code || !t->data)
		return true;
	for (i = 0; rel && i < r->sh_size / sizeof(*rel); i++) {
		uint32_t which = ELF64_R_SYM(rel[i].r_info);
		uint64_t at;

		if (which >= o->nr_sym || rel[i].r_offset > t->size || t->size - rel[i].r_offset < 8)
			return false;
		s = &m->section[o->sym[which].st_shndx < m->n ? o->sym[which].st_shndx : 0];
		memcpy(&at, t->data + rel[i].r_offset, 8);
		at += o->sym[which].st_value;
		if (!s->code || at >= s->size)
			continue;
		at = TW_DRY_CODE | (s->first + at / sizeof(struct bpf_insn));
		memcpy(t->data + rel[i].r_offset, &at, 8);
	}
	return rel;
}

static bool read_object(struct tw_machine *m, struct object *o)
{
	size_t i;

	if (!read_headers(o))
		return false;
	m->n = o->eh->e_shnum;
	m->section = tw_grow(NULL, m->n + 1, sizeof(*m->section));
	memset(m->section, 0, (m->n + 1) * sizeof(*m->section));
	for (i = 0; i < m->n; i++)
		if (!take_section(m, o, i))
			return false;
	join_code(m);
	for (i = 0; i < m->n; i++)
		if (o->sh[i].sh_type == SHT_REL && o->sh[i].sh_entsize == sizeof(Elf64_Rel) &&
		    (!relocate(m, o, &o->sh[i]) || !fill_table(m, o, &o->sh[i])))
			return false;
	return true;
}

int tw_machine_open(struct tw_machine *m, const void *elf, size_t size, struct tw_err *e)
{
	struct object o = { .size = size };

	memset(m, 0, sizeof(*m));
	m->elf = tw_grow(NULL, size + 1, 1);
	memcpy(m->elf, elf, size);
	o.base = m->elf;
	if (read_object(m, &o))
		return TW_OK;
	tw_fact(e, "its programs are not as a compiler leaves them for libbpf");
	return tw_cure(e, "build it with twctl policy build");
}

void tw_machine_close(struct tw_machine *m)
{
	size_t i;

	for (i = 0; i < m->n; i++)
		free(m->section[i].data);
	free(m->section);
	free(m->code);
	free(m->elf);
	memset(m, 0, sizeof(*m));
}

void *tw_machine_data(const struct tw_machine *m, const char *name, size_t *size)
{
	size_t i;

	for (i = 0; i < m->n; i++) {
		const struct tw_dry_section *s = &m->section[i];

		if (!s->data || s->code || strcmp(s->name, name) || (*size && s->size != *size))
			continue;
		*size = s->size;
		return s->data;
	}
	return NULL;
}

long tw_machine_function(const struct tw_machine *m, const char *table, size_t offset)
{
	size_t size = 0;
	unsigned char *t = tw_machine_data(m, table, &size);
	uint64_t at;

	if (!t || offset > size || size - offset < sizeof(at))
		return -1;
	memcpy(&at, t + offset, sizeof(at));
	return at & TW_DRY_CODE ? (long)(at & ~TW_DRY_CODE) : -1;
}
