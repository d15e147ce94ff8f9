// SPDX-License-Identifier: GPL-2.0
#include "group.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "host.h"
#include "kick.h"
#include "policy_priv.h"
#include "text.h"

#define POLL_NS 200000
#define ASK_AGAIN 100
/* A busy host takes that for a plan; the kernel waits a second for vCPUs that do not come */
#define PATIENCE_S 5

/* ---- the map */

volatile struct timewarp_group *tw_group_map(int fd)
{
	void *map = mmap(NULL, sizeof(struct timewarp_group), PROT_READ | PROT_WRITE, MAP_SHARED,
			 fd, 0);

	return map == MAP_FAILED ? NULL : map;
}

void tw_group_unmap(volatile struct timewarp_group *map)
{
	if (map)
		munmap((void *)map, sizeof(*map));
}

unsigned int tw_group_leader(const volatile struct timewarp_group *map)
{
	int i;

	for (i = 0; i < TIMEWARP_MAX_VMS; i++)
		if (map->member[i].state == TIMEWARP_LIVES)
			return map->member[i].id;
	return 0;
}

unsigned int tw_group_count(const volatile struct timewarp_group *map)
{
	unsigned int i, n = 0;

	for (i = 0; i < TIMEWARP_MAX_VMS; i++)
		n += map->member[i].state == TIMEWARP_LIVES;
	return n;
}

bool tw_group_has(const volatile struct timewarp_group *map, unsigned int id)
{
	int i;

	for (i = 0; i < TIMEWARP_MAX_VMS; i++)
		if (map->member[i].state == TIMEWARP_LIVES && map->member[i].id == id)
			return true;
	return false;
}

/* Whether all go by the plan, and the policy has been asked if it is to be */
static bool settled(const volatile struct timewarp_group *map)
{
	unsigned int phase = map->plan.phase;
	int i;

	if (phase == TIMEWARP_STOPS || phase == TIMEWARP_TURNS)
		return false;
	for (i = 0; i < TIMEWARP_MAX_VMS; i++)
		if (map->member[i].state == TIMEWARP_LIVES && map->member[i].went != map->plan.nr)
			return false;
	return true;
}

static bool at_rest(const volatile struct timewarp_group *map)
{
	return settled(map) && map->plan.num == map->plan.den && !map->plan.holds &&
	       !map->plan.hold_next_ns;
}

static void pause_ns(long ns)
{
	struct timespec ts = { .tv_nsec = ns };

	nanosleep(&ts, NULL);
}

bool tw_group_ask(const volatile struct timewarp_group *map)
{
	unsigned int id = tw_group_leader(map);

	return id && !tw_ask(id);
}

/* Asking again is for an ask that was not heard */
static bool wait_for(const volatile struct timewarp_group *map,
		     bool (*there)(const volatile struct timewarp_group *))
{
	struct timespec now, end;
	unsigned int polls;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += PATIENCE_S;
	for (polls = 1; !there(map) && tw_group_count(map); polls++) {
		if (polls % ASK_AGAIN == 0)
			tw_group_ask(map);
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec > end.tv_sec)
			return false;
		pause_ns(POLL_NS);
	}
	return true;
}

bool tw_group_wait(const volatile struct timewarp_group *map)
{
	return wait_for(map, settled);
}

/* The plan's start lies a moment ahead when the last one has been told of it */
static void pass_start(void)
{
	pause_ns(5000000);
}

bool tw_group_quit(volatile struct timewarp_group *map)
{
	map->quits = 1;
	tw_group_ask(map);
	if (!wait_for(map, at_rest))
		return false;
	pass_start();
	return true;
}

/* ---- loading */

int tw_group_possible(const struct tw_policy *p, struct tw_err *e)
{
	tw_fail(e, TW_UNSUPPORTED, "cannot have several VMs under %s", p->name);
	if (!tw_host_knows("kvm_timewarp_answer", "start_tsc")) {
		tw_fact(e, "the kernel's hook cannot have a VM go on at a given moment");
		return tw_cure(e, "build and load the newer modules: make install-kvm");
	}
	e->status = TW_REFUSED;
	if (!bpf_object__find_map_by_name(p->obj, TIMEWARP_GROUP_SECTION) ||
	    !bpf_object__find_map_by_name(p->obj, TIMEWARP_MEMBER_SECTION)) {
		tw_fact(e, "it was built against a timewarp.bpf.h that did not know of groups");
		return tw_cure(e, "build it against the one that came with twctl");
	}
	if (!bpf_object__find_map_by_name(p->obj, TIMEWARP_EXIT_SECTION)) {
		tw_fact(e, "it has no TIMEWARP_EXIT_RECORD(), by which the others learn of one's end");
		return tw_cure(e, "add that, or attach to each alone");
	}
	return TW_OK;
}

static void *initial(const struct tw_policy *p, const char *section, size_t expected)
{
	struct bpf_map *map = bpf_object__find_map_by_name(p->obj, section);
	size_t size = 0;
	void *data = map ? bpf_map__initial_value(map, &size) : NULL;

	return size == expected ? data : NULL;
}

/* What each has of its own: constants, the table, and how it ended */
static bool is_own(const struct bpf_map *map)
{
	const char *name = bpf_map__name(map);

	return bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS || strstr(name, ".rodata") ||
	       !strcmp(name, TIMEWARP_EXIT_SECTION);
}

static int share_maps(struct tw_policy *p, const struct tw_policy *first)
{
	struct bpf_map *map, *theirs = NULL;
	int err = 0;

	/* one object twice: the maps come in the same order */
	bpf_object__for_each_map(map, p->obj) {
		theirs = bpf_object__next_map(first->obj, theirs);
		if (!err && !is_own(map))
			err = theirs ? bpf_map__reuse_fd(map, bpf_map__fd(theirs)) : -EINVAL;
	}
	return err;
}

/* What goes over from another policy: where the members stand to each other, and what they do */
static void take_over(struct timewarp_group *to, const volatile struct timewarp_group *from)
{
	int i;

	to->plan.num = to->plan.den = 1;
	if (!from)
		return;
	to->plan.num = from->plan.num;
	to->plan.den = from->plan.den;
	to->plan.nr = from->plan.nr;
	to->plan.holds = from->plan.holds;
	for (i = 0; i < TIMEWARP_MAX_VMS; i++) {
		to->member[i].shift_ns = from->member[i].shift_ns;
		/* where it was to come to stand, it has */
		if (from->plan.hold_next_ns && from->member[i].state == TIMEWARP_LIVES &&
		    from->member[i].bits & KVM_TIMEWARP_HELD)
			to->plan.holds = 1;
	}
}

static int load_member(struct tw_group *g, unsigned int i, unsigned int place,
		       unsigned int tsc_mode, struct tw_err *e)
{
	struct tw_policy *p = &g->m[i].policy;
	unsigned int *member = initial(p, TIMEWARP_MEMBER_SECTION, sizeof(*member));
	int err = member ? 0 : -EINVAL, fd, status;

	if (!err) {
		*member = place + 1;
		if (i)
			err = share_maps(p, &g->m[0].policy);
	}
	if (err) {
		tw_fail(e, TW_FAILED, "cannot load %s for VM %s", p->name, g->m[i].vm->id);
		tw_fact(e, "its maps cannot be shared (%s)", strerror(-err));
		return tw_cure(e, "build it against the timewarp.bpf.h that came with twctl");
	}
	fd = tw_vm_take_fd((struct tw_vm *)g->m[i].vm, e);
	if (fd < 0)
		return e->status;
	status = tw_policy_load(p, fd, tsc_mode, e);
	/* the descriptor has to be there until the link is */
	g->m[i].vm_fd = fd;
	return status;
}

int tw_group_load(struct tw_group *g, unsigned int tsc_mode,
		  const volatile struct timewarp_group *from, struct tw_err *e)
{
	struct timewarp_group *first;
	unsigned int i, place = 0;
	int status;

	status = tw_group_possible(&g->m[0].policy, e);
	if (status)
		return status;
	first = initial(&g->m[0].policy, TIMEWARP_GROUP_SECTION, sizeof(*first));
	if (!first) {
		tw_fail(e, TW_FAILED, "cannot load %s for several VMs", g->m[0].policy.name);
		tw_fact(e, "its groups are of another size than twctl's");
		return tw_cure(e, "build it against the timewarp.bpf.h that came with twctl");
	}
	take_over(first, from);
	for (i = 0; i < g->n; i++, place++) {
		while (from && place < TIMEWARP_MAX_VMS && from->member[place].state != TIMEWARP_LIVES)
			place++;
		status = load_member(g, i, place, tsc_mode, e);
		if (status)
			return status;
	}
	g->map = tw_group_map(bpf_map__fd(bpf_object__find_map_by_name(g->m[0].policy.obj,
								       TIMEWARP_GROUP_SECTION)));
	if (g->map)
		return TW_OK;
	tw_fail(e, TW_FAILED, "cannot load %s for several VMs", g->m[0].policy.name);
	tw_fact(e, "its group cannot be mapped (%s)", strerror(errno));
	return tw_cure(e, "see twctl probe");
}

void tw_group_close(struct tw_group *g)
{
	unsigned int i;

	for (i = 0; i < g->n; i++) {
		bpf_link__destroy(g->m[i].link);
		tw_policy_close(&g->m[i].policy);
		if (g->m[i].vm_fd > 0)
			close(g->m[i].vm_fd);
	}
	tw_group_unmap(g->map);
	memset(g, 0, sizeof(*g));
}

/* The copies of the VMs' descriptors live no longer than this: else the VMs could not die */
static void close_vms(struct tw_group *g)
{
	unsigned int i;

	for (i = 0; i < g->n; i++) {
		if (g->m[i].vm_fd > 0)
			close(g->m[i].vm_fd);
		g->m[i].vm_fd = 0;
	}
}

int tw_group_find(struct tw_group *g, const volatile struct timewarp_group *map,
		  const struct tw_vms *vms)
{
	struct tw_err ignored = { 0 };
	struct tw_state st;
	size_t place, i;

	for (place = 0; place < TIMEWARP_MAX_VMS; place++) {
		if (map->member[place].state != TIMEWARP_LIVES)
			continue;
		for (i = 0; i < vms->n; i++)
			if (vms->v[i].dir && !tw_state_read(vms->v[i].dir, &st, &ignored) &&
			    st.attached && st.id == map->member[place].id)
				g->m[g->n++].vm = &vms->v[i];
		tw_err_free(&ignored);
	}
	return g->n;
}

/* ---- attaching */

/* Guest time at a TSC of the host's, by the kernel's own formula */
static uint64_t guest_at(const struct tw_state *st, uint64_t host_tsc)
{
	uint64_t tsc = (uint64_t)((unsigned __int128)host_tsc * st->tsc_ratio >> st->tsc_frac_bits) +
		       st->tsc_offset - st->pv_tsc;

	tsc = st->pv_shift < 0 ? tsc >> -st->pv_shift : tsc << st->pv_shift;
	return st->pv_ns + (uint64_t)((unsigned __int128)tsc * st->pv_mul >> 32);
}

static int no_group(struct tw_err *e, const struct tw_vm *vm)
{
	tw_fail(e, TW_REFUSED, "cannot attach to a group");
	tw_fact(e, "the TSC of VM %s has another rate than the first one's", vm->id);
	return tw_cure(e, "give the guests one tsc-frequency, or attach to each alone");
}

/* All are at factor 1, each on its own line: what lies between these lines is to stay */
static int measure(struct tw_group *g, struct tw_err *e)
{
	struct tw_state st[TIMEWARP_MAX_VMS];
	unsigned int i;

	for (i = 0; i < g->n; i++) {
		if (tw_state_read(g->m[i].vm->dir, &st[i], e))
			return e->status;
		if (st[i].tsc_ratio != st[0].tsc_ratio || st[i].pv_mul != st[0].pv_mul ||
		    st[i].pv_shift != st[0].pv_shift || strcmp(st[i].tsc_mode, st[0].tsc_mode))
			return no_group(e, g->m[i].vm);
	}
	for (i = 0; i < g->n; i++)
		g->map->member[i].shift_ns = guest_at(&st[i], st[g->n - 1].host_tsc) -
					     guest_at(&st[0], st[g->n - 1].host_tsc);
	return TW_OK;
}

static bool has_begun(const volatile struct timewarp_group *map)
{
	return map->refused || (map->begun && settled(map));
}

static int begin(struct tw_group *g, struct tw_err *e)
{
	g->map->ready = 1;
	tw_group_ask(g->map);
	if (!wait_for(g->map, has_begun)) {
		tw_fail(e, TW_FAILED, "cannot begin with %s", g->m[0].policy.name);
		tw_fact(e, "the VMs did not come together within %d s", PATIENCE_S);
		return tw_cure(e, "try again when the host is less busy");
	}
	if (!g->map->refused)
		return TW_OK;
	tw_fail(e, TW_REFUSED, "cannot begin with %s", g->m[0].policy.name);
	return tw_explain_attach(e, -g->map->refused, &g->m[0].policy, g->m[0].vm);
}

/* What can be seen of it beforehand, so that no other is touched: that one has a policy */
static int check_free(const struct tw_group *g, struct tw_err *e)
{
	struct tw_state st;
	unsigned int i;

	for (i = 0; i < g->n; i++) {
		if (tw_state_read(g->m[i].vm->dir, &st, e))
			return e->status;
		if (!st.attached)
			continue;
		tw_fail(e, TW_REFUSED, "cannot attach %s to %s", g->m[0].policy.name, g->m[i].vm->id);
		return tw_explain_attach(e, EBUSY, &g->m[0].policy, g->m[i].vm);
	}
	return TW_OK;
}

int tw_group_attach(struct tw_group *g, struct tw_err *e)
{
	unsigned int i;
	int status = check_free(g, e);

	for (i = 0; !status && i < g->n; i++)
		status = tw_policy_attach(&g->m[i].policy, g->m[i].vm, &g->m[i].link, e);
	close_vms(g);
	if (!status)
		status = measure(g, e);
	if (!status)
		status = begin(g, e);
	if (!status)
		return TW_OK;
	/* those that are attached have not been moved */
	if (g->map->begun)
		tw_group_quit(g->map);
	for (i = 0; i < g->n; i++) {
		bpf_link__destroy(g->m[i].link);
		g->m[i].link = NULL;
	}
	return status;
}

/* ---- swapping */

static int link_of(const struct tw_vm *vm)
{
	struct tw_err ignored = { 0 };
	struct tw_state st;
	int fd = -1;

	if (vm->dir && !tw_state_read(vm->dir, &st, &ignored) && st.attached)
		fd = bpf_link_get_fd_by_id(st.link_id);
	tw_err_free(&ignored);
	return fd;
}

struct swapped {
	int link, old;			/* descriptors: the link, and the map that it had */
};

/*
 * Puts an old table back. It names the VM by the number of a descriptor of who loaded it, so there has to be
 * one of that number here, for as long as it takes.
 */
static int swap_back_one(const struct swapped *s, int vm_fd)
{
	int named = tw_ops_vm_fd(s->old), aside, err;

	if (named < 0)
		return named;
	if (named == vm_fd)
		return bpf_link_update(s->link, s->old, NULL);
	aside = dup(named);
	if (dup2(vm_fd, named) < 0)
		err = -errno;
	else
		err = bpf_link_update(s->link, s->old, NULL);
	if (aside < 0) {
		close(named);
	} else {
		dup2(aside, named);
		close(aside);
	}
	return err;
}

/* The old policy's group has been told that they are gone, and they join again */
static void swap_back(struct tw_group *g, struct swapped *s, unsigned int n)
{
	while (n--)
		if (s[n].old >= 0)
			swap_back_one(&s[n], g->m[n].vm_fd);
}

static int swap_all(struct tw_group *g, struct swapped *s, struct tw_err *e)
{
	unsigned int i;
	int status;

	for (i = 0; i < g->n; i++) {
		s[i].link = link_of(g->m[i].vm);
		s[i].old = s[i].link < 0 ? -1 : tw_link_map(s[i].link);
		if (s[i].old < 0) {
			tw_fail(e, TW_NO_VM, "cannot swap the policy of VM %s", g->m[i].vm->id);
			tw_fact(e, "it was detached meanwhile");
			tw_cure(e, "see what there is: twctl status");
			status = e->status;
		} else {
			status = tw_policy_swap(&g->m[i].policy, s[i].link, g->m[i].vm, e);
		}
		/* one that has ended meanwhile keeps nobody from it */
		if (status == TW_NO_VM && i) {
			tw_err_free(e);
			status = TW_OK;
		}
		if (status) {
			swap_back(g, s, i);
			return status;
		}
	}
	status = begin(g, e);
	if (status)
		swap_back(g, s, g->n);
	return status;
}

int tw_group_swap(struct tw_group *g, volatile struct timewarp_group *from, struct tw_err *e)
{
	struct swapped s[TIMEWARP_MAX_VMS];
	unsigned int i;
	int status;

	for (i = 0; i < TIMEWARP_MAX_VMS; i++)
		s[i].link = s[i].old = -1;
	/* it makes no plan any more, while some of its members are elsewhere */
	from->ready = 0;
	if (!tw_group_wait(from)) {
		tw_fail(e, TW_FAILED, "cannot swap the policy of a group");
		tw_fact(e, "its VMs did not come to rest");
		status = tw_cure(e, "try again when the host is less busy");
	} else {
		pass_start();
		take_over((struct timewarp_group *)g->map, from);
		status = swap_all(g, s, e);
	}
	close_vms(g);
	for (i = 0; i < g->n; i++) {
		if (s[i].link >= 0)
			close(s[i].link);
		if (s[i].old >= 0)
			close(s[i].old);
	}
	if (status) {
		from->ready = 1;
		tw_group_ask(from);
	}
	return status;
}
