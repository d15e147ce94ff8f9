/* SPDX-License-Identifier: GPL-2.0 */
/* Where KVM shows a VM in debugfs: a directory by the name of the thread that made it, and of its descriptor there. */
#ifndef TW_VM_DIR_H
#define TW_VM_DIR_H

#include <sys/types.h>

/*
 * The directory of the VM that process @pid, which began at @start (struct tw_proc), has as descriptor @fd; to be freed.
 * NULL if it has none, or debugfs is not to be seen. *@maker: the thread that made it, which may have ended since.
 */
char *tw_vm_dir(pid_t pid, int fd, unsigned long long start, pid_t *maker);

/* How many vCPUs a directory shows; -1 if it cannot be read */
int tw_vm_dir_vcpus(const char *dir);

#endif
