/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is pinned for a VM: one directory in bpffs, root's alone, whatever the mode that bpffs is mounted with. Its
 * name is the VM's, PID-FD, and its process's: PID and start. It is made, swept and removed as a whole.
 */
#ifndef TW_SESSION_DIR_H
#define TW_SESSION_DIR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "text.h"
#include "vm.h"

struct bpf_link;

/* Where they are; another one for tests */
extern const char *tw_pin_root;

#define TW_PIN_POLICY "policy"

/* The path of what is pinned under a name, "" for the directory; to be freed */
char *tw_pin_path(const struct tw_vm *vm, const char *name);

/* Makes the directory; 0 or -errno */
int tw_pin_make(const struct tw_vm *vm);

/* Pins one link in it; 0 or -errno */
int tw_pin_link(const struct tw_vm *vm, struct bpf_link *link, const char *name);

/* Removes it with all that is in it; true if there was something */
bool tw_pin_remove(const struct tw_vm *vm);

/* The pinned policy's link, for as long as that is attached: a descriptor, or -1 */
int tw_pin_policy(const struct tw_vm *vm);

/* One that is there */
struct tw_pinned {
	char name[96];			/* in the root */
	char id[32];
	pid_t pid;
	unsigned long long start;
	bool flat;			/* a pin, as twctl made them before there were directories */
};

struct tw_pins {
	struct tw_pinned *v;
	size_t n;
};

/* What is left of VMs that are gone; to be freed */
void tw_pins_stale(struct tw_pins *pins);
void tw_pins_free(struct tw_pins *pins);

/* Names them in a line; how many there are */
size_t tw_pins_left(char *text, size_t size);

/**
 * tw_pins_sweep - remove what is left of VMs that are gone
 * @id: of one of them; NULL: of all
 * @swept: told what was removed; or NULL
 * @arg: for @swept
 *
 * One whose VM has a session after all stays.
 *
 * Return: how many were removed
 */
size_t tw_pins_sweep(const char *id, void (*swept)(void *arg, const char *id), void *arg);

#endif /* TW_SESSION_DIR_H */
