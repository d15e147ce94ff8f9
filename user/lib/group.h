/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Several VMs under one policy: the kernel knows one VM at a time, and bpf/include/timewarp_group.bpf.h
 * keeps them together. This loads a policy's object once for each, all sharing their maps, and
 * tells the layer there when it may begin and when it is to end.
 */
#ifndef TW_GROUP_H
#define TW_GROUP_H

#include <stdbool.h>

#include "err.h"
#include "policy.h"
#include "vm.h"

struct tw_member {
	const struct tw_vm *vm;
	struct tw_policy policy;
	struct bpf_link *link;		/* NULL if it was swapped in, or is gone */
	int vm_fd;			/* while it is being attached, else 0 */
};

/* As one process loads it */
struct tw_group {
	unsigned int n;
	struct tw_member m[TIMEWARP_MAX_VMS];
	volatile struct timewarp_group *map;
};

/* The VMs of a group that live, at their places, out of those that there are; how many */
int tw_group_find(struct tw_group *g, const volatile struct timewarp_group *map,
		  const struct tw_vms *vms);

/* Before any of it is loaded: whether kernel and policy can have several VMs; 0 or an exit status */
int tw_group_possible(const struct tw_policy *p, struct tw_err *e);

/**
 * tw_group_load - load a policy that is open, for all members
 * @g: members with VMs and policies that are open; the first one's parameters are those of all
 * @tsc_mode: enum kvm_timewarp_tsc_mode
 * @from: the group that it takes over, with the same members at their places; NULL for none
 * @e: error
 *
 * Return: 0 or an exit status
 */
int tw_group_load(struct tw_group *g, unsigned int tsc_mode,
		  const volatile struct timewarp_group *from, struct tw_err *e);

/* Attaches what is loaded to all, or to none, and has it begin; 0 or an exit status */
int tw_group_attach(struct tw_group *g, struct tw_err *e);

/* Swaps what is loaded in for another policy, that of @from, for all or for none */
int tw_group_swap(struct tw_group *g, volatile struct timewarp_group *from, struct tw_err *e);

/* Closes what tw_group_load() has made, and with it what is attached and not pinned */
void tw_group_close(struct tw_group *g);

/* The map behind a descriptor, shared with the kernel, or NULL; to be unmapped */
volatile struct timewarp_group *tw_group_map(int fd);
void tw_group_unmap(volatile struct timewarp_group *map);

/* Has a program of the leader's called soon; false if there is no leader any more */
bool tw_group_ask(const volatile struct timewarp_group *map);

/* ID of the timeline of the member that leads; 0 if none lives */
unsigned int tw_group_leader(const volatile struct timewarp_group *map);

/* How many VMs live */
unsigned int tw_group_count(const volatile struct timewarp_group *map);

/* Whether the VM with that timeline is one of those that live */
bool tw_group_has(const volatile struct timewarp_group *map, unsigned int id);

/* Waits until all go by the plan; false if that takes too long */
bool tw_group_wait(const volatile struct timewarp_group *map);

/* All at factor 1, at one moment: after it each can be detached without moving; false as above */
bool tw_group_quit(volatile struct timewarp_group *map);

#endif /* TW_GROUP_H */
