// SPDX-License-Identifier: GPL-2.0
#include "btf.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "text.h"
#include "types.h"

/* What is copied: from the kernel's types @from, those whose names are among @names, to @to */
struct fit {
	struct tw_types *from;
	struct btf *to;
	unsigned int first, end;	/* numbers of types: kvm's own begin at @first, vmlinux's are below */
	int *id;			/* of a type's copy, by the number that it has in @from; 0: none */
	int depth;			/* types that are being copied as part of one another */
	struct {
		char *name;
		bool own;		/* kvm has it itself */
	} *names;			/* sorted */
	size_t nr;
	bool begins[256][256];		/* any of them, with these two characters */
};

/* Against types within themselves. struct kvm_vcpu is 14 deep, the deepest of a kernel 33 */
#define MAX_DEPTH 64

static bool has_name(const struct btf_type *t)
{
	switch (btf_kind(t)) {
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
	case BTF_KIND_TYPEDEF:
		return t->name_off;
	}
	return false;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void take_names(struct fit *f, const struct btf *btf)
{
	int n = btf__type_cnt(btf), i;

	f->names = tw_grow(NULL, n, sizeof(*f->names));
	for (i = 1; i < n; i++) {
		const struct btf_type *t = btf__type_by_id(btf, i);
		char *name, *flavour;

		if (!has_name(t))
			continue;
		name = tw_strdup(btf__name_by_offset(btf, t->name_off));
		flavour = strstr(name + 1, "___");	/* as libbpf: a name of ours for the same type */
		if (flavour)
			*flavour = 0;
		f->begins[(unsigned char)name[0]][(unsigned char)name[1]] = true;
		f->names[f->nr].name = name;
		f->names[f->nr++].own = false;
	}
	qsort(f->names, f->nr, sizeof(*f->names), by_name);
}

/* Where among the names is this type's; of several alike it is the first */
static bool is_wanted(const struct fit *f, unsigned int id, const struct btf_type *t, size_t *at)
{
	const char *name;
	size_t lo = 0, hi = f->nr;

	if (!has_name(t))
		return false;
	name = tw_types_name(f->from, t->name_off);
	if (!*name || !f->begins[(unsigned char)name[0]][(unsigned char)name[1]])
		return false;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (strcmp(f->names[mid].name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*at = lo;
	return lo < f->nr && !strcmp(f->names[lo].name, name) && (id >= f->first || !f->names[lo].own);
}

static int copy(struct fit *f, unsigned int id);

static int copy_struct(struct fit *f, const struct btf_type *t, const char *name)
{
	int i, n = btf_vlen(t), type, id, err = 0;

	/* What it consists of comes first, as a member goes to the type that was begun last */
	for (i = 0; i < n; i++) {
		type = copy(f, btf_members(t)[i].type);
		if (type < 0)
			return type;
	}
	id = btf_kind(t) == BTF_KIND_STRUCT ? btf__add_struct(f->to, name, t->size) :
					      btf__add_union(f->to, name, t->size);
	for (i = 0; i < n && id > 0 && !err; i++) {
		const struct btf_member *m = btf_members(t) + i;

		err = btf__add_field(f->to, tw_types_name(f->from, m->name_off), f->id[m->type],
				     btf_member_bit_offset(t, i), btf_member_bitfield_size(t, i));
	}
	return err ? err : id;
}

static int copy_array(struct fit *f, const struct btf_array *a)
{
	int index = copy(f, a->index_type), type = copy(f, a->type);

	if (index < 0 || type < 0)
		return index < 0 ? index : type;
	return btf__add_array(f->to, index, type, a->nelems);
}

static int copy_enum(struct fit *f, const struct btf_type *t, const char *name)
{
	int i, id = btf__add_enum(f->to, name, t->size), err = 0;

	for (i = 0; i < btf_vlen(t) && id > 0 && !err; i++) {
		const struct btf_enum *e = btf_enum(t) + i;
		__s64 value = e->val;

		err = btf__add_enum_value(f->to, tw_types_name(f->from, e->name_off),
					  btf_kflag(t) ? value : (__u32)value);
	}
	return err ? err : id;
}

static int copy_enum64(struct fit *f, const struct btf_type *t, const char *name)
{
	int i, id = btf__add_enum64(f->to, name, t->size, btf_kflag(t)), err = 0;

	for (i = 0; i < btf_vlen(t) && id > 0 && !err; i++)
		err = btf__add_enum64_value(f->to, tw_types_name(f->from, btf_enum64(t)[i].name_off),
					    btf_enum64_value(btf_enum64(t) + i));
	return err ? err : id;
}

static int copy_new(struct fit *f, unsigned int id)
{
	const struct btf_type *t = tw_types_by_id(f->from, id);
	const char *name = t ? tw_types_name(f->from, t->name_off) : NULL;
	size_t at;
	bool wanted = t && is_wanted(f, id, t, &at);
	int to;

	if (!t)
		return -EINVAL;
	switch (btf_kind(t)) {
	case BTF_KIND_PTR:
		return btf__add_ptr(f->to, 0);	/* no field is beyond it */
	case BTF_KIND_FUNC_PROTO:
		return btf__add_func_proto(f->to, 0);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return copy_struct(f, t, wanted ? name : NULL);
	case BTF_KIND_ARRAY:
		return copy_array(f, btf_array(t));
	case BTF_KIND_TYPEDEF:
		to = copy(f, t->type);
		return !wanted || to < 0 ? to : btf__add_typedef(f->to, name, to);
	case BTF_KIND_CONST:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_TYPE_TAG:
		return copy(f, t->type);
	case BTF_KIND_INT:
		return btf__add_int(f->to, name, t->size, btf_int_encoding(t));
	case BTF_KIND_FLOAT:
		return btf__add_float(f->to, name, t->size);
	case BTF_KIND_FWD:
		return btf__add_fwd(f->to, name, btf_kflag(t) ? BTF_FWD_UNION : BTF_FWD_STRUCT);
	case BTF_KIND_ENUM:
		return copy_enum(f, t, name);
	case BTF_KIND_ENUM64:
		return copy_enum64(f, t, name);
	}
	return -EINVAL;		/* functions and variables: nothing consists of one */
}

static int copy(struct fit *f, unsigned int id)
{
	if (id >= f->end || f->depth == MAX_DEPTH)
		return -EINVAL;
	if (id && !f->id[id]) {
		f->depth++;
		f->id[id] = copy_new(f, id);
		f->depth--;
	}
	return f->id[id];
}

static int copy_wanted(struct fit *f)
{
	unsigned int id;
	int err = 0;
	size_t at;

	for (id = 1; id < f->end && err >= 0; id++)
		if (is_wanted(f, id, tw_types_by_id(f->from, id), &at))
			err = copy(f, id);
	return err < 0 ? err : 0;
}

/* Before anything is copied: a structure of vmlinux's may consist of one that kvm has itself */
static void note_own(struct fit *f)
{
	unsigned int id;
	size_t at;

	for (id = f->first; id < f->end; id++)
		if (is_wanted(f, id, tw_types_by_id(f->from, id), &at))
			f->names[at].own = true;
}

static int fit(struct fit *f, int memfd)
{
	unsigned int size;
	const void *raw;
	int err;

	note_own(f);
	err = copy_wanted(f);
	if (err)
		return err;
	raw = btf__raw_data(f->to, &size);
	if (!raw)
		return -ENOMEM;
	errno = ENOSPC;		/* a write that is short says nothing */
	return ftruncate(memfd, 0) || pwrite(memfd, raw, size, 0) != (ssize_t)size ? -errno : 0;
}

static bool kvm_has_types(void)
{
	return tw_types_base(tw_types_of_kvm());
}

/* -errno; made once */
static int types_fd(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("kvm-btf", MFD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

const char *tw_btf_path(void)
{
	static char path[64];

	if (!kvm_has_types())
		return NULL;
	/* Without a descriptor it is the path of nothing, and tw_btf_fit() fails */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", types_fd());
	return path;
}

int tw_btf_aim(struct bpf_object *obj, struct bpf_program **program)
{
	struct bpf_program *p;

	*program = NULL;
	if (kvm_has_types())
		return 0;
	/* For libbpf kvm: is any module that begins so, kvm_amd as well; vmlinux is none of them */
	bpf_object__for_each_program(p, obj) {
		const char *func = strstr(bpf_program__section_name(p), "/kvm:");
		int err;

		if (!func || !bpf_program__autoload(p))
			continue;
		err = bpf_program__set_attach_target(p, 0, func + strlen("/kvm:"));
		if (err == -ESRCH)
			*program = p;
		if (err)
			return err;
	}
	return 0;
}

int tw_btf_fit(struct bpf_object *obj)
{
	struct fit f = { .from = tw_types_of_kvm() };
	int fd, err = -ENOMEM;
	size_t i;

	/* a file that says nothing: vmlinux's would be taken in its place, and have other fields */
	if (!f.from)
		return -EINVAL;
	if (!kvm_has_types())
		return 0;
	fd = types_fd();
	if (fd < 0)
		return fd;
	f.first = tw_types_first(f.from);
	f.end = tw_types_end(f.from);
	if (!f.end)
		return -EINVAL;
	take_names(&f, bpf_object__btf(obj));
	f.id = calloc(f.end, sizeof(*f.id));
	f.to = btf__new_empty();
	if (f.id && f.to)
		err = fit(&f, fd);
	btf__free(f.to);
	free(f.id);
	for (i = 0; i < f.nr; i++)
		free(f.names[i].name);
	free(f.names);
	return err;
}
