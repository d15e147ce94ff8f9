// SPDX-License-Identifier: GPL-2.0
#include "btf.h"

#include <bpf/btf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host.h"
#include "text.h"

static bool touched(const char *name)
{
	static const char *const names[] = {
		"kvm", "kvm_arch", "kvm_vcpu", "kvm_vcpu_arch", "kvm_vcpu_xen", "kvm_vcpu_hv",
		"kvm_vcpu_hv_stimer", "kvm_lapic", "kvm_timer", "kvm_pit", "kvm_kpit_state",
		"kvm_ioapic", "kvm_pic", "kvm_kpic_state", "kvm_queued_interrupt",
		"pvclock_vcpu_time_info", "kvm_timeline", "kvm_timewarp_exit", "timeline_rate",
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

static char *merge(int *memfd)
{
	const struct btf *kvm = tw_host_kvm_btf();
	const struct btf *base = kvm ? btf__base_btf(kvm) : NULL;
	unsigned int nr_base, i, split_size, base_size;
	const struct btf_header *bh, *sh;
	struct btf_header h;
	char *types, path[64];
	const void *b, *s;
	size_t at = 0;
	bool own = false;

	if (!base)
		return NULL;
	b = btf__raw_data(base, &base_size);
	s = btf__raw_data(kvm, &split_size);
	if (!b || !s)
		return NULL;
	bh = b;
	sh = s;
	nr_base = btf__type_cnt(base);
	types = tw_grow(NULL, bh->type_len, 1);
	memcpy(types, (const char *)b + bh->hdr_len + bh->type_off, bh->type_len);
	for (i = nr_base; i < btf__type_cnt(kvm); i++) {
		const struct btf_type *t = btf__type_by_id(kvm, i);
		const char *name = btf__name_by_offset(kvm, t->name_off);
		const struct btf_type *old;
		int id;

		/* Those that the programs touch: looking for each would take seconds */
		if (!btf_is_struct(t) || !touched(name))
			continue;
		id = btf__find_by_name_kind(base, name, BTF_KIND_STRUCT);
		if (id <= 0)
			continue;
		old = btf__type_by_id(base, id);
		at = (const char *)old - ((const char *)b + bh->hdr_len + bh->type_off);
		if (at < bh->type_len) {
			((struct btf_type *)(types + at))->name_off = 0;
			own = true;
		}
	}
	*memfd = own ? memfd_create("kvm-btf", MFD_CLOEXEC) : -1;
	if (*memfd >= 0) {
		h = *bh;
		h.hdr_len = sizeof(h);
		h.type_off = 0;
		h.type_len = bh->type_len + sh->type_len;
		h.str_off = h.type_len;
		h.str_len = bh->str_len + sh->str_len;
		if (write(*memfd, &h, sizeof(h)) != sizeof(h) ||
		    write(*memfd, types, bh->type_len) != (ssize_t)bh->type_len ||
		    write(*memfd, (const char *)s + sh->hdr_len + sh->type_off, sh->type_len) !=
		    (ssize_t)sh->type_len ||
		    write(*memfd, (const char *)b + bh->hdr_len + bh->str_off, bh->str_len) !=
		    (ssize_t)bh->str_len ||
		    write(*memfd, (const char *)s + sh->hdr_len + sh->str_off, sh->str_len) !=
		    (ssize_t)sh->str_len) {
			close(*memfd);
			*memfd = -1;
		}
	}
	free(types);
	if (*memfd < 0)
		return NULL;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", *memfd);
	return tw_strdup(path);
}

const char *tw_btf_of_running_kvm(void)
{
	static char *path;
	static bool tried;
	static int memfd = -1;

	if (!tried)
		path = merge(&memfd);
	tried = true;
	return path;
}
