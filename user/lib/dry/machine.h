/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A policy's BPF programs, run in user space: an object that is not loaded, on any machine, by any user.
 *
 * They are interpreted, and each access to memory is looked at: a program reaches its own sections, its stack
 * and what it is given, and nothing else of twctl's, whoever has written it. What it does beside arithmetic is
 * what struct tw_outside lets it.
 */
#ifndef TW_DRY_MACHINE_H
#define TW_DRY_MACHINE_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* An instruction of a decision counts; so many, and it is taken for one that does not end */
#define TW_DRY_MAX_STEPS 50000000UL

/* Why a call came to no end */
enum tw_dry_fault {
	TW_FAULT_NONE,
	TW_FAULT_CRIME,			/* it does what the kernel lets no program do */
	TW_FAULT_ENDLESS,
	TW_FAULT_UNKNOWN,		/* it wants what there is not here, but may be in a kernel */
};

struct tw_outside {
	uint64_t now_ns;		/* what all clocks of helpers and the TSC show */
	uint64_t random;		/* state of a generator; not 0 */
	/* What it writes to a ring buffer */
	void (*output)(void *arg, const void *data, size_t size);
	void *arg;
};

struct tw_dry_section {
	const char *name;
	unsigned char *data;		/* of a section of code: its instructions */
	size_t size;
	bool code, read_only;
	size_t first;			/* of code: number of its first instruction among all */
};

struct tw_machine {
	struct tw_dry_section *section;	/* as the object numbers them; without data: not for programs */
	size_t n;
	struct bpf_insn *code;		/* that of all sections */
	size_t n_code;
	struct tw_outside *outside;
	unsigned long steps;
	unsigned long zero_divisions;	/* of the call: BPF makes 0 of a division by 0, and leaves a remainder's as it was */
	enum tw_dry_fault how;
	char fault[160];		/* the same in words; empty for none */
	struct {
		unsigned char *from;
		size_t size;
		bool read_only;
	} lent[3 + 8];			/* what it is given, and a stack each call */
	size_t n_lent;
	char *elf;			/* a copy of the object, which names belong to */
};

/**
 * tw_machine_open - take an object's programs and variables
 * @m: result, to be closed, errors included
 * @elf: the object; it may go afterwards
 * @size: of @elf
 * @e: error, the first part of which is told
 *
 * Return: 0 or an exit status
 */
int tw_machine_open(struct tw_machine *m, const void *elf, size_t size, struct tw_err *e);

void tw_machine_close(struct tw_machine *m);

/* A section's variables; NULL if there is none of that name, or of another size than *size, which 0 leaves open */
void *tw_machine_data(const struct tw_machine *m, const char *name, size_t *size);

/* Where the function begins that a table of the object's has a pointer to, at an offset; -1 */
long tw_machine_function(const struct tw_machine *m, const char *table, size_t offset);

/* Lends memory of ours to the programs, until the machine is closed */
void tw_machine_lend(struct tw_machine *m, void *from, size_t size, bool read_only);

/**
 * tw_machine_call - call a function
 * @m: the machine
 * @function: where it begins
 * @arg: its argument
 * @ret: what it returns
 *
 * Return: whether it came to its end; if not, m->fault says why
 */
bool tw_machine_call(struct tw_machine *m, size_t function, uint64_t arg, uint64_t *ret);

#endif /* TW_DRY_MACHINE_H */
