/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Loading, attaching and changing policies.  The built-in one goes the same way as a user's.
 *
 * tw_policy: one that this process loads from an object.
 * tw_live: one that is attached, whoever loaded it, found through its link's ID.
 */
#ifndef TW_POLICY_H
#define TW_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>

#include "err.h"
#include "params.h"
#include "search.h"
#include "state.h"
#include "timewarp.h"
#include "vm.h"

/* Of what a policy tells: enum timewarp_event_kind, and 0 for any other */
#define TW_EVENT_KINDS (TIMEWARP_EVENT_LEAPS + 1)

struct bpf_object;
struct bpf_map;
struct bpf_link;

struct tw_policy {
	const char *title;		/* file name, or "constant" */
	char *path;			/* where it was found by name; NULL if it was not */
	void *elf;			/* the object, byte by byte */
	size_t elf_size;
	struct bpf_object *obj;
	struct bpf_map *ops;		/* the struct_ops map */
	struct bpf_map *data;		/* parameters; NULL if it has none */
	struct tw_params params;
	struct tw_params counters;
	const char *summary;		/* what it says about itself; NULL if nothing */
	const char *abi;		/* version of the ops; NULL if it does not say */
	bool tells;			/* has TIMEWARP_EVENTS() */
	bool tells_done;		/* tells TIMEWARP_EVENT_DONE somewhere */
	bool chaos;			/* has TIMEWARP_CHAOS_SUMMARY() */
	unsigned long long withheld;	/* enum kvm_timewarp_flags that the user has not allowed */
	char name[16];			/* as it calls itself */
	char *given;			/* "a=1 b=2", as it was assigned; NULL if nothing was */
	char *log;			/* of the verifier */
};

/* Whether a policy of this BTF tells somewhere that it is done */
bool tw_btf_tells_done(const struct btf *btf);

/**
 * tw_policy_open - open a policy's object without loading it
 * @p: result, to be closed
 * @file: the object; a name to search for, see search.h; or NULL for the built-in constant policy
 * @e: error
 *
 * Return: 0 or an exit status
 */
int tw_policy_open(struct tw_policy *p, const char *file, struct tw_err *e);

/* Likewise what is at a path, whatever it looks like; and a file that is open, at the path for messages */
int tw_policy_open_file(struct tw_policy *p, const char *path, struct tw_err *e);
int tw_policy_open_fd(struct tw_policy *p, const char *path, int fd, struct tw_err *e);

void tw_policy_close(struct tw_policy *p);

/* Sets a parameter's first value, before loading */
int tw_policy_assign(struct tw_policy *p, const char *assignment, struct tw_err *e);

/* Before loading: has the policy know what probes on VMMs tell; one that does not care is left alone */
int tw_policy_see_vmms(struct tw_policy *p, int view_fd, struct tw_err *e);

/**
 * tw_policy_load - load it into the kernel, for one VM
 * @p: the policy
 * @vm_fd: the VM; the caller may close it once the policy is attached, and should
 * @tsc_mode: enum kvm_timewarp_tsc_mode
 * @e: error: a rejection by the verifier carries the end of its log
 *
 * Return: 0 or an exit status
 */
int tw_policy_load(struct tw_policy *p, int vm_fd, unsigned int tsc_mode, struct tw_err *e);

/**
 * tw_policy_attach - attach a loaded policy
 * @p: the policy
 * @vm: its VM
 * @link: result: closing it detaches, and so does the end of this process
 * @e: error
 *
 * Return: 0 or an exit status
 */
int tw_policy_attach(struct tw_policy *p, const struct tw_vm *vm, struct bpf_link **link,
		     struct tw_err *e);

/* Puts a loaded policy in the place of the one that is attached; 0 or an exit status */
int tw_policy_swap(struct tw_policy *p, int link_fd, const struct tw_vm *vm, struct tw_err *e);

/* The ring buffer of TIMEWARP_EVENTS() as a file descriptor; -1 if it has none */
int tw_policy_events(const struct tw_policy *p);

/* The exit record; false if the policy keeps none or has not ended */
bool tw_policy_exit_record(const struct tw_policy *p, struct timewarp_exit_record *rec);

struct tw_live {
	unsigned int map_id;		/* of its table */
	unsigned int link_id;
	int link_fd;			/* -1 once tw_live_let_go() has closed it */
	int data_fd;			/* parameters; -1 if it has none */
	void *data;			/* their values, as read; may be changed */
	void *old;			/* as read */
	size_t size;
	int counts_fd;			/* counters; -1 if it has none */
	void *counts;			/* values of the counters, as read; NULL if it has none */
	size_t counts_size;
	int told_fd;			/* of where it notes what it tells; -1 if it tells nothing */
	size_t told_size;
	long told_at[TW_EVENT_KINDS];	/* TIMEWARP_DONE_VAR and the like in it, by their kind; -1: it never tells that */
	long task_at;			/* TIMEWARP_TASK_VAR; may be -1 */
	int events_fd;			/* of what it tells; -1 if it tells nothing */
	struct btf *btf;
	struct tw_params params;
	struct tw_params counters;
	unsigned int tsc_mode;		/* as demanded at attach */
	volatile struct timewarp_group *group;	/* NULL if its VM is alone */
	char policy[32];		/* its name */
	char *given;			/* "a=1 b=2", as it was assigned; NULL if nothing was */
};

/**
 * tw_live_open - find the parts of an attached policy
 * @l: result, to be closed
 * @st: state of its VM
 * @e: error
 *
 * Return: 0 or an exit status
 */
int tw_live_open(struct tw_live *l, const struct tw_state *st, struct tw_err *e);

/* Keeps it attached no longer: for who looks at it for long */
void tw_live_let_go(struct tw_live *l);

/* Whether it is the one that is attached still: not swapped, not detached meanwhile */
bool tw_live_is_current(const struct tw_live *l);

void tw_live_close(struct tw_live *l);

/* Whether it has told that it is done with what its parameters have it do, as it stands now; false if it never tells */
bool tw_live_is_done(const struct tw_live *l);

/* Whether it tells events of a kind anywhere */
bool tw_live_tells(const struct tw_live *l, unsigned int kind);

/* How often it has told of a kind other than that it is done, in the upper half, and the last one's number, in the lower */
uint64_t tw_live_told(const struct tw_live *l, unsigned int kind);

/* Reads the counters again */
void tw_live_recount(struct tw_live *l);

/* Changes a value, to be written by tw_live_update(); 0 or an exit status */
int tw_live_assign(struct tw_live *l, const char *assignment, struct tw_err *e);

/**
 * tw_live_update - write changed parameters and have the kernel ask the policy
 * @l: the policy; @l->data holds the new values and, if they are refused, the old ones again
 * @id: of the timeline
 * @e: error
 *
 * Return: 0 or an exit status
 */
int tw_live_update(struct tw_live *l, unsigned int id, struct tw_err *e);

/* Ends the attachment that a VM's state names; 0 or an exit status */
int tw_live_detach(const struct tw_state *st, struct tw_err *e);

/* The end of a link, for a file descriptor of it: 0 or -errno */
int tw_link_detach(int link_fd);

/* Whether a link has lost its policy: its VM is gone, or it was detached or ejected */
bool tw_link_defunct(int link_fd);

/* The struct_ops map that a link has now, another one after a swap: its ID, 0 if it has lost it */
unsigned int tw_link_map_id(int link_fd);

/* A descriptor of that; -errno */
int tw_link_map(int link_fd);

/* libbpf speaks on stderr only if asked to */
void tw_bpf_verbose(bool verbose);

#endif /* TW_POLICY_H */
