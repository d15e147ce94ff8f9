// SPDX-License-Identifier: GPL-2.0
#include "roster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

static struct tw_known *find(const struct tw_roster *r, const char *id)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		if (!strcmp(r->v[i]->id, id))
			return r->v[i];
	return NULL;
}

static const struct tw_vm *vm_of(struct tw_roster *r, const char *id)
{
	const struct tw_vm *vm = tw_vms_by_id(&r->vms, id);

	if (vm || r->scanned)
		return vm;
	tw_vms_free(&r->vms);
	tw_vms_scan(&r->vms);
	r->scanned = true;
	return tw_vms_by_id(&r->vms, id);
}

struct tw_known *tw_roster_of(struct tw_roster *r, const char *id)
{
	struct tw_known *k = find(r, id);
	const struct tw_vm *vm;

	if (!k) {
		k = tw_grow(NULL, 1, sizeof(*k));
		memset(k, 0, sizeof(*k));
		snprintf(k->id, sizeof(k->id), "%s", id);
		r->v = tw_grow(r->v, r->n + 1, sizeof(*r->v));
		r->v[r->n++] = k;
	}
	/* "-": a policy of several VMs */
	if (k->found || !strcmp(id, "-"))
		return k;
	vm = vm_of(r, id);
	if (vm) {
		k->found = true;
		k->name = tw_strdup(vm->names.name);
		k->uuid = tw_strdup(vm->names.uuid);
	}
	return k;
}

void tw_roster_interval(struct tw_roster *r)
{
	size_t i;

	r->scanned = false;
	for (i = 0; i < r->n; i++)
		r->v[i]->before = r->v[i]->shares;
}

void tw_roster_look(struct tw_roster *r, const char *id)
{
	struct tw_known *k = tw_roster_of(r, id);
	const struct tw_vm *vm = vm_of(r, id);
	struct tw_world now;

	if (!vm)
		return;
	tw_world_read(vm, &now);
	if (!now.vcpus) {
		tw_world_free(&now);
		return;
	}
	if (k->look.vcpus)
		tw_shares_add(&k->shares, &k->look, &now);
	tw_world_free(&k->look);
	k->look = now;
}

static void known_free(struct tw_known *k)
{
	free(k->name);
	free(k->uuid);
	tw_world_free(&k->look);
	free(k);
}

void tw_roster_forget(struct tw_roster *r, const char *id)
{
	size_t i;

	for (i = 0; i < r->n; i++) {
		if (strcmp(r->v[i]->id, id))
			continue;
		known_free(r->v[i]);
		r->v[i] = r->v[--r->n];
		/* so that another of that name is looked for */
		tw_vms_free(&r->vms);
		return;
	}
}

void tw_roster_free(struct tw_roster *r)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		known_free(r->v[i]);
	free(r->v);
	tw_vms_free(&r->vms);
	memset(r, 0, sizeof(*r));
}

const char *tw_known_suffix(const struct tw_known *k, char *buf, size_t size)
{
	char name[40];

	if (k->name)
		snprintf(buf, size, " %s", tw_printable(name, sizeof(name), k->name));
	else
		*buf = 0;
	return buf;
}
