/* SPDX-License-Identifier: GPL-2.0 */
/* A process that runs a program: its memory, where the program lies in it, what its threads do with a signal. */
#ifndef TW_QEMU_IMAGE_H
#define TW_QEMU_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "code.h"

/**
 * tw_image_program - find a process's program without opening it
 * @pid: the process
 * @foreign: whether others than root may have made it what it is
 *
 * It may lie on a file system that its owner runs (FUSE), which can keep whoever opens it waiting for ever, and says of
 * owners what it likes: this asks nothing of the file system, and believes none that is mounted without set-user-ID.
 *
 * Return: a descriptor that /proc/self/fd/N opens the file by; -1 with errno set
 */
int tw_image_program(pid_t pid, bool *foreign);

/*
 * Whether a descriptor is of that file, or a process runs it: 1, 0 if it is another, -errno if that cannot be known. The file
 * system is asked nothing.
 */
int tw_image_is(int fd, uint64_t dev, uint64_t ino);
int tw_image_runs(pid_t pid, uint64_t dev, uint64_t ino);

/**
 * tw_image_still_runs - whether a process runs what was looked at: that file, and since that execve(2)
 * @pid: the process
 * @dev: the file's device
 * @ino: its inode
 * @exec: as of tw_image_exec()
 *
 * Return: 1, 0 if it does not, or -errno if that cannot be known, of which tw_apart_error() tells
 */
int tw_image_still_runs(pid_t pid, uint64_t dev, uint64_t ino, uint64_t exec);

/**
 * tw_image_exec - a number that each execve(2) of a process gives it anew, of the same program as well
 * @pid: the process
 * @exec: result; 0 if it has none, as one of 32 bits
 *
 * Made of the 16 random bytes that the kernel gives each program (AT_RANDOM). Addresses would not do: without
 * address randomization (setarch -R) they are the same each time. Both halves in one word give away neither of the
 * secrets that the C library takes from them.
 *
 * Return: 0, or -errno if it cannot be known, of which tw_apart_error() tells
 */
int tw_image_exec(pid_t pid, uint64_t *exec);

/* Each by a child (apart.h): what reads much does so in one of its own. False if the process is mute, too */
bool tw_mem_read(pid_t pid, uint64_t from, void *to, size_t size);

/* 0 if it cannot be read */
uint64_t tw_mem_u64(pid_t pid, uint64_t from);

/* A word of its own is written whole, or not at all */
bool tw_mem_write_u32(pid_t pid, uint64_t to, uint32_t v);
bool tw_mem_write_u64(pid_t pid, uint64_t to, uint64_t v);

/* Where the program was loaded minus where it was linked; false if it is not mapped there */
bool tw_image_bias(const struct tw_code *code, pid_t pid, uint64_t *bias);

/**
 * tw_image_meets - see whether a process meets the probes on its program
 * @pid: the process
 * @inode: of its program's file
 * @offset: of the instructions with a probe, in that file
 * @n: how many there are
 *
 * Return: false if one of these instructions is seen to be without its breakpoint
 */
bool tw_image_meets(pid_t pid, ino_t inode, const unsigned long *offset, unsigned int n);

/* Whether every thread keeps the signal for a signalfd; else it would end the process */
bool tw_image_blocks(pid_t pid, int signal);

#endif /* TW_QEMU_IMAGE_H */
