// SPDX-License-Identifier: GPL-2.0
#include "types.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "text.h"

#define PAGE 4096		/* a read of such a file yields no more */
#define NAME_LEN 512		/* KSYM_NAME_LEN: the kernel takes no longer one */

struct tw_types {
	struct tw_types *base;
	int fd;
	size_t size;
	char *data;			/* the file, and a NUL byte; zero where nothing was read yet */
	bool *have;			/* the pages that were read */
	size_t types, types_end;	/* offsets in the file */
	size_t names, names_end;
	uint32_t *at;			/* offset of each type; NULL: they are not counted yet */
	unsigned int nr;
};

/* Reads a range of the file, which is within it, where that was not done before */
static bool see(struct tw_types *t, size_t from, size_t to)
{
	size_t page;

	for (page = from / PAGE; page * PAGE < to; page++) {
		size_t at = page * PAGE, end = at + PAGE < t->size ? at + PAGE : t->size;
		ssize_t n;

		for (; !t->have[page] && at < end; at += n) {
			n = pread(t->fd, t->data + at, end - at, at);
			if (n <= 0)
				return false;
		}
		t->have[page] = true;
	}
	return true;
}

/* Up to here of any header: later ones have more fields, and say so in hdr_len */
#define HEADER_LEN (offsetof(struct btf_header, str_len) + sizeof(((struct btf_header *)0)->str_len))
/* Bits of btf_type.info that are known: vlen, kind, kind_flag. A format with others has other lengths */
#define INFO_BITS 0x9f00ffffu

static bool read_header(struct tw_types *t)
{
	const struct btf_header *h = (const struct btf_header *)t->data;

	if (t->size < HEADER_LEN || !see(t, 0, HEADER_LEN) || h->magic != BTF_MAGIC || h->version != BTF_VERSION ||
	    h->hdr_len < HEADER_LEN)
		return false;
	t->types = (size_t)h->hdr_len + h->type_off;
	t->types_end = t->types + h->type_len;
	t->names = (size_t)h->hdr_len + h->str_off;
	t->names_end = t->names + h->str_len;
	return t->types % sizeof(uint32_t) == 0 && t->types_end <= t->size && t->names_end <= t->size;
}

static bool read_file(struct tw_types *t, const char *path)
{
	struct stat st;

	t->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (t->fd < 0 || fstat(t->fd, &st) || st.st_size <= 0 || st.st_size > UINT32_MAX)
		return false;
	t->size = st.st_size;
	t->data = calloc(t->size + 1, 1);
	t->have = calloc(t->size / PAGE + 1, sizeof(*t->have));
	return t->data && t->have && read_header(t);
}

struct tw_types *tw_types_open(const char *path, struct tw_types *base)
{
	struct tw_types *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->base = base;
	if (read_file(t, path))
		return t;
	tw_types_close(t);
	return NULL;
}

void tw_types_close(struct tw_types *t)
{
	if (!t)
		return;
	if (t->fd >= 0)
		close(t->fd);
	free(t->data);
	free(t->have);
	free(t->at);
	free(t);
}

struct tw_types *tw_types_of(enum tw_part part)
{
	static const char *const paths[] = {
		[TW_PART_VMLINUX] = "/sys/kernel/btf/vmlinux",
		[TW_PART_KVM] = "/sys/kernel/btf/kvm",
		[TW_PART_KVM_AMD] = "/sys/kernel/btf/kvm_amd",
		[TW_PART_KVM_INTEL] = "/sys/kernel/btf/kvm_intel",
	};
	static struct tw_types *parts[sizeof(paths) / sizeof(*paths)];
	struct tw_types *base = part == TW_PART_VMLINUX ? NULL : tw_types_of(TW_PART_VMLINUX);

	if (!parts[part] && (base || part == TW_PART_VMLINUX))
		parts[part] = tw_types_open(paths[part], base);
	return parts[part];
}

struct tw_types *tw_types_of_kvm(void)
{
	return tw_types_of(access("/sys/kernel/btf/kvm", F_OK) ? TW_PART_VMLINUX : TW_PART_KVM);
}

struct tw_types *tw_types_base(const struct tw_types *t)
{
	return t ? t->base : NULL;
}

static unsigned int names_before(const struct tw_types *t)
{
	return t->base ? t->base->names_end - t->base->names : 0;
}

const char *tw_types_name(struct tw_types *t, unsigned int name_off)
{
	unsigned int before = names_before(t);
	size_t at, end;

	if (name_off < before)
		return tw_types_name(t->base, name_off);
	at = t->names + (name_off - before);
	end = at + NAME_LEN < t->names_end ? at + NAME_LEN : t->names_end;
	/* at the latest, it ends with the file */
	return at < end && see(t, at, end) ? t->data + at : "";
}

/* With what belongs to it; 0: of no known kind */
static size_t size_of_type(const struct btf_type *type)
{
	size_t n = btf_vlen(type), size = sizeof(*type);

	if (type->info & ~INFO_BITS)
		return 0;
	switch (btf_kind(type)) {
	case BTF_KIND_PTR:
	case BTF_KIND_FWD:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_FUNC:
	case BTF_KIND_FLOAT:
	case BTF_KIND_TYPE_TAG:
		return size;
	case BTF_KIND_INT:
		return size + sizeof(__u32);
	case BTF_KIND_ARRAY:
		return size + sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return size + n * sizeof(struct btf_member);
	case BTF_KIND_ENUM:
		return size + n * sizeof(struct btf_enum);
	case BTF_KIND_ENUM64:
		return size + n * sizeof(struct btf_enum64);
	case BTF_KIND_FUNC_PROTO:
		return size + n * sizeof(struct btf_param);
	case BTF_KIND_VAR:
		return size + sizeof(struct btf_var);
	case BTF_KIND_DATASEC:
		return size + n * sizeof(struct btf_var_secinfo);
	case BTF_KIND_DECL_TAG:
		return size + sizeof(struct btf_decl_tag);
	}
	return 0;
}

/* Finds out where each of its own types is: each reaches no further than they all do */
static bool count(struct tw_types *t)
{
	size_t left = t->types_end - t->types, size;
	uint32_t from = t->types, *at;
	unsigned int n = 0;

	if (t->at)
		return true;
	if (!see(t, t->types, t->types_end))
		return false;
	at = tw_grow(NULL, left / sizeof(struct btf_type) + 1, sizeof(*at));
	for (; left; left -= size, from += size) {
		size = left < sizeof(struct btf_type) ? 0 : size_of_type((const struct btf_type *)(t->data + from));
		if (!size || size > left) {
			free(at);
			return false;
		}
		at[n++] = from;
	}
	t->at = at;
	t->nr = n;
	return true;
}

const struct btf_type *tw_types_own(const struct tw_types *t, int index)
{
	return (const struct btf_type *)(t->data + t->at[index]);
}

/* Among those whose names are the part's own, or vmlinux's */
static int find(struct tw_types *t, unsigned int kind, const char *name, bool own)
{
	unsigned int before = names_before(t), i;

	for (i = 0; i < t->nr; i++) {
		const struct btf_type *type = tw_types_own(t, i);

		if (btf_kind(type) == kind && (type->name_off >= before) == own &&
		    !strcmp(tw_types_name(t, type->name_off), name))
			return i;
	}
	return -1;
}

int tw_types_find(struct tw_types *t, unsigned int kind, const char *name)
{
	int index;

	if (!t || !count(t))
		return -1;
	/* vmlinux's names are read only if they must be */
	index = find(t, kind, name, true);
	return index < 0 && t->base ? find(t, kind, name, false) : index;
}

const struct btf_member *tw_types_member(struct tw_types *t, const char *type, const char *member)
{
	int index = tw_types_find(t, BTF_KIND_STRUCT, type), i;
	const struct btf_type *of = index < 0 ? NULL : tw_types_own(t, index);

	for (i = 0; of && i < btf_vlen(of); i++)
		if (!strcmp(tw_types_name(t, btf_members(of)[i].name_off), member))
			return btf_members(of) + i;
	return NULL;
}

unsigned int tw_types_first(struct tw_types *t)
{
	return t->base ? tw_types_end(t->base) : 1;
}

unsigned int tw_types_end(struct tw_types *t)
{
	unsigned int first = tw_types_first(t);

	return first && count(t) ? first + t->nr : 0;
}

const struct btf_type *tw_types_by_id(struct tw_types *t, unsigned int id)
{
	unsigned int first = tw_types_first(t);

	if (!id || !first)
		return NULL;
	if (id < first)
		return tw_types_by_id(t->base, id);
	return id < tw_types_end(t) ? tw_types_own(t, id - first) : NULL;
}
