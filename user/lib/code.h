/* SPDX-License-Identifier: GPL-2.0 */
/* A program's code, to the extent that a probe needs: symbols, and calls of a library's functions. */
#ifndef TW_CODE_H
#define TW_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tw_code {
	int fd;
	void *elf;			/* libelf's */
	const unsigned char *image;	/* the whole file */
	size_t size;
};

/**
 * tw_code_open - open a program, x86-64 ELF
 *
 * Return: false, with errno or 0 if it is of another kind
 */
bool tw_code_open(struct tw_code *c, const char *path);

void tw_code_close(struct tw_code *c);

/* True if it has no libraries of its own to call */
bool tw_code_is_static(const struct tw_code *c);

/**
 * tw_code_symbol - find a function or variable
 * @c: the program
 * @name: in its dynamic symbol table, or else in its full one
 * @addr: its address, as linked
 * @size: its size; may be NULL
 */
bool tw_code_symbol(const struct tw_code *c, const char *name, uint64_t *addr, uint64_t *size);

/* Where an address stands in the file; false if it is in no segment */
bool tw_code_offset(const struct tw_code *c, uint64_t addr, uint64_t *offset);

struct tw_call {
	uint64_t offset;		/* of the call, in the file: where a uprobe goes */
	unsigned int len;		/* the call returns to offset + len */
};

/**
 * tw_code_calls - find where a function calls a library's function
 * @c: the program
 * @function: whose code to look through
 * @callee: the library's function
 * @calls: result
 * @max: how many there is room for
 *
 * Direct calls of the procedure linkage table, and indirect ones through the global offset table.
 *
 * Return: how many there are, @max at most
 */
size_t tw_code_calls(const struct tw_code *c, const char *function, const char *callee,
		     struct tw_call *calls, size_t max);

/* Whether a function has an operand at an address, relative to its instruction pointer */
bool tw_code_refers(const struct tw_code *c, const char *function, uint64_t addr);

/* The address of the first 64-bit variable that a function loads; 0 if it does not begin with that */
uint64_t tw_code_first_load(const struct tw_code *c, const char *function);

#endif /* TW_CODE_H */
