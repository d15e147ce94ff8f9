/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The running kernel's types, as files of /sys/kernel/btf have them: vmlinux's, and each module's own, whose numbers and
 * names go on from those of vmlinux.
 *
 * libbpf reads all of vmlinux's before it answers anything, 60 ms on a test host.  Here an answer takes the pages that it
 * needs: of a module's own types, by their names, no more of vmlinux's than a header.
 */
#ifndef TW_TYPES_H
#define TW_TYPES_H

#include <bpf/btf.h>

struct tw_types;

enum tw_part {
	TW_PART_VMLINUX,
	TW_PART_KVM,
	TW_PART_KVM_AMD,
	TW_PART_KVM_INTEL,
};

/**
 * tw_types_of - types of a part of the running kernel
 *
 * Return: what lives until the program ends; NULL if the part is not there, or has no types
 */
struct tw_types *tw_types_of(enum tw_part part);

/* KVM's: the module's, or all of vmlinux's where KVM is built in */
struct tw_types *tw_types_of_kvm(void);

/**
 * tw_types_open - types of a file like those of /sys/kernel/btf
 * @path: of the file
 * @base: vmlinux's, if these are a module's; or NULL
 *
 * Nothing that the file says is believed: types that reach beyond it are no types, and none is found among them.
 *
 * Return: to be closed before its base is; NULL if the file has no types
 */
struct tw_types *tw_types_open(const char *path, struct tw_types *base);
void tw_types_close(struct tw_types *t);

/* vmlinux's, if these are a module's; NULL of others, and of NULL */
struct tw_types *tw_types_base(const struct tw_types *t);

/**
 * tw_types_find - look for one of a part's own types
 * @t: of the part; NULL has none
 * @kind: BTF_KIND_...
 * @name: of the type
 *
 * Return: which of them it is, from 0 on, for tw_types_own(); or -1
 */
int tw_types_find(struct tw_types *t, unsigned int kind, const char *name);
const struct btf_type *tw_types_own(const struct tw_types *t, int index);

/* The member of one of a part's own structures that has a name; NULL if there is none, or no such structure */
const struct btf_member *tw_types_member(struct tw_types *t, const char *type, const char *member);

/* The name at a name_off of a type or of what belongs to it; "" if there is none */
const char *tw_types_name(struct tw_types *t, unsigned int name_off);

/*
 * Types by the numbers that they have in other types: the number that a part's own begin with, the one behind its last, and
 * the type of a number, NULL if there is none. The first time this counts vmlinux's; 0 if that cannot be done.
 */
unsigned int tw_types_first(struct tw_types *t);
unsigned int tw_types_end(struct tw_types *t);
const struct btf_type *tw_types_by_id(struct tw_types *t, unsigned int id);

#endif /* TW_TYPES_H */
