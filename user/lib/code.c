// SPDX-License-Identifier: GPL-2.0
#include "code.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <string.h>
#include <unistd.h>

bool tw_code_open(struct tw_code *c, const char *path)
{
	GElf_Ehdr eh;

	memset(c, 0, sizeof(*c));
	elf_version(EV_CURRENT);
	c->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (c->fd < 0)
		return false;
	errno = 0;
	c->elf = elf_begin(c->fd, ELF_C_READ_MMAP, NULL);
	if (c->elf)
		c->image = (const void *)elf_rawfile(c->elf, &c->size);
	if (c->image && gelf_getehdr(c->elf, &eh) && eh.e_machine == EM_X86_64 &&
	    eh.e_ident[EI_CLASS] == ELFCLASS64)
		return true;
	tw_code_close(c);
	return false;
}

void tw_code_close(struct tw_code *c)
{
	if (c->elf)
		elf_end(c->elf);
	if (c->fd >= 0)
		close(c->fd);
	c->elf = NULL;
	c->fd = -1;
}

bool tw_code_is_static(const struct tw_code *c)
{
	GElf_Phdr ph;
	size_t n, i;

	if (elf_getphdrnum(c->elf, &n))
		return true;
	for (i = 0; i < n; i++)
		if (gelf_getphdr(c->elf, i, &ph) && ph.p_type == PT_INTERP)
			return false;
	return true;
}

/* The next section of a type; NULL after the last */
static Elf_Scn *next_section(const struct tw_code *c, Elf_Scn *scn, unsigned int type,
			     GElf_Shdr *sh)
{
	while ((scn = elf_nextscn(c->elf, scn)))
		if (gelf_getshdr(scn, sh) && sh->sh_type == type)
			return scn;
	return NULL;
}

/*
 * What a section holds, entries of a size.  libelf's functions take them one by one, which for QEMU's 20,000 symbols and
 * 100,000 relocations is most of what a verb does.
 */
static const void *entries(Elf_Scn *scn, size_t size, size_t *n)
{
	Elf_Data *d = scn ? elf_getdata(scn, NULL) : NULL;

	*n = d && d->d_buf ? d->d_size / size : 0;
	return *n ? d->d_buf : NULL;
}

/* Names that a section of symbols links to, the last with its end; NULL */
static const char *names(const struct tw_code *c, unsigned int section, size_t *len)
{
	const char *text = entries(elf_getscn(c->elf, section), 1, len);

	return text && !text[*len - 1] ? text : NULL;
}

static bool is_called(const Elf64_Sym *sym, const char *names, size_t len, const char *name)
{
	const char *s = names + sym->st_name;

	return sym->st_name < len && *s == *name && !strcmp(s, name);
}

static bool find_symbol(const struct tw_code *c, unsigned int type, const char *name, Elf64_Sym *sym)
{
	const Elf64_Sym *symbols;
	Elf_Scn *scn = NULL;
	size_t n, len, i;
	const char *text;
	GElf_Shdr sh;

	while ((scn = next_section(c, scn, type, &sh))) {
		symbols = entries(scn, sizeof(*symbols), &n);
		text = names(c, sh.sh_link, &len);
		for (i = 0; text && i < n; i++)
			if (symbols[i].st_shndx != SHN_UNDEF && is_called(&symbols[i], text, len, name)) {
				*sym = symbols[i];
				return true;
			}
	}
	return false;
}

bool tw_code_symbol(const struct tw_code *c, const char *name, uint64_t *addr, uint64_t *size)
{
	Elf64_Sym sym;

	if (!find_symbol(c, SHT_DYNSYM, name, &sym) && !find_symbol(c, SHT_SYMTAB, name, &sym))
		return false;
	*addr = sym.st_value;
	if (size)
		*size = sym.st_size;
	return true;
}

bool tw_code_offset(const struct tw_code *c, uint64_t addr, uint64_t *offset)
{
	GElf_Phdr ph;
	size_t n, i;

	if (elf_getphdrnum(c->elf, &n))
		return false;
	for (i = 0; i < n; i++) {
		if (!gelf_getphdr(c->elf, i, &ph) || ph.p_type != PT_LOAD)
			continue;
		if (addr - ph.p_vaddr < ph.p_filesz) {
			*offset = addr - ph.p_vaddr + ph.p_offset;
			return *offset < c->size;
		}
	}
	return false;
}

/* The bytes at an address, and how many follow in the file; NULL if there are none */
static const unsigned char *bytes(const struct tw_code *c, uint64_t addr, size_t *room)
{
	uint64_t offset;

	if (!tw_code_offset(c, addr, &offset))
		return NULL;
	*room = c->size - offset;
	return c->image + offset;
}

static uint64_t relative(uint64_t next, const unsigned char *disp)
{
	int32_t d;

	memcpy(&d, disp, sizeof(d));
	return next + d;
}

/* Whether an entry of the global offset table is a function's */
static bool is_slot_of(const struct tw_code *c, uint64_t slot, const char *name)
{
	size_t n, nr_symbols, len, i, k;
	const Elf64_Sym *symbols;
	const Elf64_Rela *relas;
	Elf_Scn *scn = NULL, *symscn;
	GElf_Shdr sh, symsh;
	const char *text;

	while ((scn = next_section(c, scn, SHT_RELA, &sh))) {
		relas = entries(scn, sizeof(*relas), &n);
		symscn = elf_getscn(c->elf, sh.sh_link);
		symbols = entries(symscn, sizeof(*symbols), &nr_symbols);
		text = symbols && gelf_getshdr(symscn, &symsh) ? names(c, symsh.sh_link, &len) : NULL;
		for (i = 0; text && i < n; i++) {
			k = ELF64_R_SYM(relas[i].r_info);
			if (relas[i].r_offset == slot && k < nr_symbols && is_called(&symbols[k], text, len, name))
				return true;
		}
	}
	return false;
}

/* The slot through which an entry of the procedure linkage table jumps; 0 if it is none */
static uint64_t stub_slot(const struct tw_code *c, uint64_t stub)
{
	static const unsigned char endbr[] = { 0xf3, 0x0f, 0x1e, 0xfa };
	size_t room;
	const unsigned char *b = bytes(c, stub, &room);

	if (!b || room < 16)
		return 0;
	if (!memcmp(b, endbr, sizeof(endbr))) {
		b += sizeof(endbr);
		stub += sizeof(endbr);
	}
	if (*b == 0xf2) {		/* bnd */
		b++;
		stub++;
	}
	return b[0] == 0xff && b[1] == 0x25 ? relative(stub + 6, b + 2) : 0;
}

size_t tw_code_calls(const struct tw_code *c, const char *function, const char *callee,
		     struct tw_call *calls, size_t max)
{
	uint64_t addr, size, slot, i;
	const unsigned char *b;
	size_t n = 0, room;

	if (!tw_code_symbol(c, function, &addr, &size))
		return 0;
	b = bytes(c, addr, &room);
	if (!b || size > room || size < 6)
		return 0;
	/*
	 * Not every byte begins an instruction. One that looks like a call and happens to lead to
	 * this very function's entry is one in four thousand million.
	 */
	for (i = 0; i + 6 <= size && n < max; i++) {
		unsigned int len = b[i] == 0xe8 ? 5 : b[i] == 0xff && b[i + 1] == 0x15 ? 6 : 0;

		if (!len)
			continue;
		slot = relative(addr + i + len, b + i + len - 4);
		if (len == 5)
			slot = stub_slot(c, slot);
		if (!slot || !is_slot_of(c, slot, callee))
			continue;
		calls[n].offset = b + i - c->image;
		calls[n++].len = len;
	}
	return n;
}

bool tw_code_refers(const struct tw_code *c, const char *function, uint64_t target)
{
	static const int after[] = { 0, 1, 2, 4 };	/* an immediate operand may follow */
	uint64_t addr, size, i;
	const unsigned char *b;
	size_t room, k;

	if (!tw_code_symbol(c, function, &addr, &size))
		return false;
	b = bytes(c, addr, &room);
	for (i = 0; b && size <= room && i + 4 <= size; i++)
		for (k = 0; k < sizeof(after) / sizeof(*after); k++)
			if (relative(addr + i + 4 + after[k], b + i) == target)
				return true;
	return false;
}

uint64_t tw_code_first_load(const struct tw_code *c, const char *function)
{
	static const unsigned char endbr[] = { 0xf3, 0x0f, 0x1e, 0xfa };
	const unsigned char *b;
	uint64_t addr;
	size_t room;

	if (!tw_code_symbol(c, function, &addr, NULL))
		return 0;
	b = bytes(c, addr, &room);
	if (!b || room < 16)
		return 0;
	if (!memcmp(b, endbr, sizeof(endbr))) {
		b += sizeof(endbr);
		addr += sizeof(endbr);
	}
	/* mov r64, [rip + disp32] */
	if (b[0] != 0x48 || b[1] != 0x8b || (b[2] & 0xc7) != 0x05)
		return 0;
	return relative(addr + 7, b + 3);
}
