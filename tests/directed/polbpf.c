// SPDX-License-Identifier: GPL-2.0
#include <bpf/btf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "polbpf.h"

/* What libbpf says is kept for whoever sets POLBPF_DEBUG: a refused load is often what is wanted. */
static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	if (!getenv("POLBPF_DEBUG"))
		return 0;
	return vfprintf(stderr, fmt, ap);
}

static void *ops_member(struct pol *p, const char *name)
{
	const struct btf *btf = bpf_object__btf(p->obj);
	const struct btf_type *t = btf__type_by_id(btf, bpf_map__btf_value_type_id(p->ops));
	const struct btf_member *m = btf_members(t);

	for (int i = 0; i < btf_vlen(t); i++, m++)
		if (!strcmp(btf__name_by_offset(btf, m->name_off), name))
			return (char *)bpf_map__initial_value(p->ops, NULL) + m->offset / 8;
	return NULL;
}

int pol_open(struct pol *p, const char *path)
{
	struct bpf_map *map;

	memset(p, 0, sizeof(*p));
	libbpf_set_print(quiet);
	p->obj = bpf_object__open_file(path, NULL);
	if (!p->obj)
		return -errno;
	bpf_object__for_each_map(map, p->obj)
		if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS)
			p->ops = map;
	return p->ops ? 0 : -ENOENT;
}

int pol_load(struct pol *p, int vm_fd, unsigned int tsc_mode)
{
	int *fd = ops_member(p, "vm_fd");
	unsigned int *mode = ops_member(p, "tsc_mode");

	if (!fd || !mode)
		return -EINVAL;
	*fd = vm_fd;
	*mode = tsc_mode;
	return bpf_object__load(p->obj) ? -errno : 0;
}

int pol_attach(struct pol *p)
{
	p->link = bpf_map__attach_struct_ops(p->ops);
	return p->link ? 0 : -errno;
}

int pol_start(struct pol *p, const char *path, int vm_fd, unsigned int tsc_mode)
{
	int r = pol_open(p, path);

	if (!r)
		r = pol_load(p, vm_fd, tsc_mode);
	if (!r)
		r = pol_attach(p);
	return r;
}

void pol_detach(struct pol *p)
{
	bpf_link__destroy(p->link);
	p->link = NULL;
}

void pol_close(struct pol *p)
{
	pol_detach(p);
	bpf_object__close(p->obj);
	memset(p, 0, sizeof(*p));
}

int pol_swap(struct pol *from, struct pol *to)
{
	if (bpf_link__update_map(from->link, to->ops))
		return -errno;
	to->link = from->link;
	from->link = NULL;
	return 0;
}

volatile void *pol_var(struct pol *p, const char *name)
{
	const struct btf *btf = bpf_object__btf(p->obj);

	for (unsigned int i = 1; i < btf__type_cnt(btf); i++) {
		const struct btf_type *sec = btf__type_by_id(btf, i);
		const struct btf_var_secinfo *v = btf_var_secinfos(sec);

		if (!btf_is_datasec(sec))
			continue;
		for (int j = 0; j < btf_vlen(sec); j++, v++) {
			const char *section = btf__name_by_offset(btf, sec->name_off);
			struct bpf_map *map;
			size_t size;
			char *data;

			if (strcmp(btf__name_by_offset(btf, btf__type_by_id(btf, v->type)->name_off), name))
				continue;
			map = bpf_object__find_map_by_name(p->obj, section);
			data = map ? bpf_map__initial_value(map, &size) : NULL;
			return data ? data + v->offset : NULL;
		}
	}
	return NULL;
}

int pol_kick(unsigned int id)
{
	static int prog_fd = -1;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &id, .ctx_size_in = sizeof(id));

	if (prog_fd < 0) {
		struct bpf_object *obj = bpf_object__open_file("build/bpf/twctl/kick.bpf.o", NULL);

		if (!obj || bpf_object__load(obj))
			return -errno;
		prog_fd = bpf_program__fd(bpf_object__next_program(obj, NULL));
	}
	if (bpf_prog_test_run_opts(prog_fd, &opts))
		return -errno;
	return (int)opts.retval;
}
