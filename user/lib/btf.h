/* SPDX-License-Identifier: GPL-2.0 */
/* What BPF programs that read KVM's structures are relocated against. */
#ifndef TW_BTF_H
#define TW_BTF_H

/**
 * tw_btf_of_running_kvm - types as the loaded kvm has them, for bpf_object_open_opts.btf_custom_path
 *
 * libbpf looks for KVM's types in vmlinux first, where struct kvm is the distribution's.  A rebuilt kvm
 * has its own in its module's BTF.  This writes both as one BTF, with vmlinux's types of the same name
 * made nameless.  Whatever reads a structure of KVM's (BPF_CORE_READ) is to be loaded with it.
 *
 * Return: a path, or NULL where vmlinux's serve; belongs to this file
 */
const char *tw_btf_of_running_kvm(void);

#endif /* TW_BTF_H */
