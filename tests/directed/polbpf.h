/* SPDX-License-Identifier: GPL-2.0 */
/* A policy object by way of libbpf alone: faster than twctl, and able to do what twctl would refuse. */
#ifndef POLBPF_H
#define POLBPF_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdint.h>

struct pol {
	struct bpf_object *obj;
	struct bpf_map *ops;
	struct bpf_link *link;
};

enum { POL_AUTO, POL_SCALED, POL_TRAPPED, POL_OFFSET };

/* All return 0 or -errno. */
int pol_open(struct pol *p, const char *path);
int pol_load(struct pol *p, int vm_fd, unsigned int tsc_mode);
int pol_attach(struct pol *p);
/* open, load and attach */
int pol_start(struct pol *p, const char *path, int vm_fd, unsigned int tsc_mode);
void pol_detach(struct pol *p);
void pol_close(struct pol *p);
/* Make @to take over from the policy behind @from's link; @to then owns the link */
int pol_swap(struct pol *from, struct pol *to);

/* A variable of the object, at any time; NULL if there is none */
volatile void *pol_var(struct pol *p, const char *name);
static inline volatile uint64_t *pol_u64(struct pol *p, const char *name)
{
	return (volatile uint64_t *)pol_var(p, name);
}

/* Ask the policy of the timeline with this id, as after a change of parameters */
int pol_kick(unsigned int id);

#endif
