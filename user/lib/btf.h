/* SPDX-License-Identifier: GPL-2.0 */
/* What BPF programs that read KVM's structures are relocated against. */
#ifndef TW_BTF_H
#define TW_BTF_H

struct bpf_object;
struct bpf_program;

/**
 * tw_btf_path - where tw_btf_fit() writes types, for bpf_object_open_opts.btf_custom_path
 *
 * libbpf looks for KVM's types in vmlinux first, where struct kvm is the distribution's.  A rebuilt kvm
 * has its own in its module's BTF.  Whatever reads a structure of KVM's (BPF_CORE_READ) is to be loaded so.
 *
 * Return: a path, or NULL where vmlinux's types serve; belongs to btf.c
 */
const char *tw_btf_path(void);

/**
 * tw_btf_fit - makes the types of an object that was opened with tw_btf_path() those of the running kernel
 *
 * Writes the types that @obj knows by name, as the loaded kvm has them and else as vmlinux does, and
 * what these consist of.  Few, as libbpf goes through all of them for each type of the object.
 * They serve each time that the same object is opened.
 * Fields are right among these and nothing else: bpf_core_type_id_kernel() and bpf_core_type_matches() are of no use.
 *
 * Return: 0 or -errno
 */
int tw_btf_fit(struct bpf_object *obj);

/**
 * tw_btf_aim - has the programs of an object find KVM's functions where KVM is built in
 * @obj: opened, not loaded
 * @program: result: the program whose function this kernel lacks, if it fails for that; else NULL
 *
 * Those whose section is NAME/kvm:FUNCTION, and that are to be loaded, are aimed at vmlinux's FUNCTION. Nothing is done where
 * KVM is a module.
 *
 * Return: 0 or -errno
 */
int tw_btf_aim(struct bpf_object *obj, struct bpf_program **program);

#endif /* TW_BTF_H */
