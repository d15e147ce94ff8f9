// SPDX-License-Identifier: GPL-2.0
/* Policies that this process loads. */
#include "policy.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "constant.skel.h"
#include "policy_priv.h"
#include "print.h"
#include "text.h"
#include "types.h"

#define OPS_TYPE "kvm_timewarp_ops"
#define OPS_VALUE_TYPE "bpf_struct_ops_kvm_timewarp_ops"
#define LOG_SIZE (1024 * 1024)
#define LOG_LINES 24

static bool bpf_verbose;
static char last_warning[256];

static int keep_warning(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	va_list copy;
	char *text;

	/* The last words, "failed to load object" and "... BPF skeleton", say less than the one before them */
	if (level == LIBBPF_WARN && strncmp(fmt, "libbpf: failed to load ", 23)) {
		va_copy(copy, ap);
		vsnprintf(last_warning, sizeof(last_warning), fmt, copy);
		va_end(copy);
		last_warning[strcspn(last_warning, "\n")] = 0;
	}
	if (bpf_verbose && vasprintf(&text, fmt, ap) >= 0) {
		tw_put_lines(stderr, text);
		free(text);
	}
	return 0;
}

void tw_bpf_verbose(bool verbose)
{
	bpf_verbose = verbose;
	libbpf_set_print(keep_warning);
}

const char *tw_bpf_last_warning(void)
{
	const char *prefix = "libbpf: ";

	if (!strncmp(last_warning, prefix, strlen(prefix)))
		return last_warning + strlen(prefix);
	return last_warning;
}

void tw_bpf_show(const char *log)
{
	if (bpf_verbose)
		tw_put_lines(stderr, log);
}

static const struct btf_member *find_member(const struct btf *btf, const struct btf_type *t,
					    const char *name)
{
	const struct btf_member *m = btf_members(t);
	int i;

	for (i = 0; i < btf_vlen(t); i++, m++)
		if (!strcmp(btf__name_by_offset(btf, m->name_off), name))
			return m;
	return NULL;
}

static const struct btf_type *ops_type(const struct tw_policy *p)
{
	return btf__type_by_id(bpf_object__btf(p->obj), bpf_map__btf_value_type_id(p->ops));
}

/* A data member of the ops table as libbpf keeps it until load; NULL if it is of another size */
static void *ops_member(const struct tw_policy *p, const char *name, size_t size)
{
	const struct btf *btf = bpf_object__btf(p->obj);
	const struct btf_member *m = find_member(btf, ops_type(p), name);
	char *ops = bpf_map__initial_value(p->ops, NULL);

	if (!m || !ops || btf__resolve_size(btf, m->type) != (long long)size)
		return NULL;
	return ops + m->offset / 8;
}

static bool is_ops_map(const struct bpf_object *obj, const struct bpf_map *map)
{
	const struct btf *btf = bpf_object__btf(obj);
	const struct btf_type *t;

	if (bpf_map__type(map) != BPF_MAP_TYPE_STRUCT_OPS)
		return false;
	t = btf__type_by_id(btf, bpf_map__btf_value_type_id(map));
	return t && !strcmp(btf__name_by_offset(btf, t->name_off), OPS_TYPE);
}

static int find_ops(struct tw_policy *p, struct tw_err *e)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, p->obj) {
		if (!is_ops_map(p->obj, map))
			continue;
		if (p->ops) {
			tw_fact(e, "it has more than one struct " OPS_TYPE);
			return tw_cure(e, "put one policy in one object");
		}
		p->ops = map;
	}
	if (p->ops)
		return TW_OK;
	tw_fact(e, "it has no struct " OPS_TYPE);
	return tw_cure(e, "write one with TIMEWARP_OPS(): bpf/policies/constant.bpf.c shows how");
}

static int read_name(struct tw_policy *p, struct tw_err *e)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_.-";
	const char *name = ops_member(p, "name", sizeof(p->name));
	size_t len = name ? strnlen(name, sizeof(p->name)) : 0;

	if (!len || len == sizeof(p->name) || name[strspn(name, letters)]) {
		tw_fact(e, "its name is not 1 to 15 letters, digits, '_', '.' or '-'");
		return tw_cure(e, "write the table with TIMEWARP_OPS(name, ...)");
	}
	memcpy(p->name, name, sizeof(p->name));
	return TW_OK;
}

/* The name that libbpf would give it by itself: maps are called after it */
static void object_name(const char *path, char *name, size_t size)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;

	snprintf(name, size, "%.*s", (int)strcspn(base, "."), base);
}

static struct bpf_object *open_object(struct tw_policy *p, const char *data, size_t len,
				      const char *name)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = name, .kernel_log_buf = p->log,
		    .kernel_log_size = LOG_SIZE);

	p->log = tw_grow(NULL, LOG_SIZE, 1);
	*p->log = 0;
	p->elf = tw_grow(NULL, len + 1, 1);
	memcpy(p->elf, data, len);
	p->elf_size = len;
	opts.kernel_log_buf = p->log;
	return bpf_object__open_mem(data, len, &opts);
}

/* What an open object says about itself */
static int read_object(struct tw_policy *p, struct tw_err *e)
{
	if (!p->obj) {
		e->code = errno;
		tw_fact(e, "it is not a BPF object");
		return tw_cure(e, "build it with clang -g -O2 -target bpf; -v shows more");
	}
	if (find_ops(p, e) || read_name(p, e))
		return e->status;
	/* The verifier would say so at the attach, in its own words. */
	if (btf__find_by_name_kind(bpf_object__btf(p->obj), "license", BTF_KIND_DATASEC) < 0) {
		tw_fact(e, "it states no licence, and the kernel takes policies under the GPL only");
		return tw_cure(e, "write TIMEWARP_SUMMARY(\"...\") in its source, which states it");
	}
	p->data = bpf_object__find_map_by_name(p->obj, TIMEWARP_PARAMS_SECTION);
	tw_params_read(bpf_object__btf(p->obj), TIMEWARP_PARAMS_SECTION, &p->params);
	tw_params_epoch(&p->params, tw_epoch_now(0));
	tw_params_read(bpf_object__btf(p->obj), TIMEWARP_COUNTERS_SECTION, &p->counters);
	p->summary = tw_btf_tag(bpf_object__btf(p->obj), "summary=");
	p->abi = tw_btf_tag(bpf_object__btf(p->obj), "abi=");
	p->chaos = tw_btf_tag(bpf_object__btf(p->obj), "chaos=");
	p->tells = bpf_object__find_map_by_name(p->obj, TIMEWARP_EVENTS_MAP);
	p->tells_done = tw_btf_tells_done(bpf_object__btf(p->obj));
	return TW_OK;
}

int tw_policy_open_fd(struct tw_policy *p, const char *path, int fd, struct tw_err *e)
{
	char name[64], *data;
	size_t len;
	int status;

	memset(p, 0, sizeof(*p));
	p->title = path;
	tw_fail(e, TW_FAILED, "cannot open policy %s", TW_QUOTE(path));
	data = tw_read_fd(fd, &len);
	if (!data) {
		e->code = errno;
		tw_fact(e, "%s", strerror(errno));
		return tw_cure(e, "check the path");
	}
	object_name(path, name, sizeof(name));
	p->obj = open_object(p, data, len, name);
	status = read_object(p, e);
	free(data);
	return status;
}

int tw_policy_open_file(struct tw_policy *p, const char *path, struct tw_err *e)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), status;

	if (fd < 0) {
		memset(p, 0, sizeof(*p));
		tw_fail(e, TW_FAILED, "cannot open policy %s", TW_QUOTE(path));
		e->code = errno;
		tw_kind(e, errno == ENOENT ? "no-policy" : NULL);
		tw_fact(e, "%s", strerror(errno));
		return tw_cure(e, "check the path");
	}
	status = tw_policy_open_fd(p, path, fd, e);
	close(fd);
	return status;
}

int tw_policy_open(struct tw_policy *p, const char *file, struct tw_err *e)
{
	const char *data;
	int fd, status;
	size_t len;
	char *path;

	if (!file || !strcmp(file, "constant")) {
		data = tw_constant_bpf__elf_bytes(&len);
		memset(p, 0, sizeof(*p));
		p->title = "constant";
		tw_fail(e, TW_FAILED, "cannot open policy 'constant'");
		p->obj = open_object(p, data, len, "constant");
		return read_object(p, e);
	}
	if (!tw_is_policy_name(file))
		return tw_policy_open_file(p, file, e);
	memset(p, 0, sizeof(*p));
	status = tw_policy_find(file, &path, &fd, e);
	if (status)
		return status;
	status = tw_policy_open_fd(p, path, fd, e);
	p->title = file;
	p->path = path;
	close(fd);
	return status;
}

void tw_policy_close(struct tw_policy *p)
{
	tw_params_free(&p->params);
	tw_params_free(&p->counters);
	bpf_object__close(p->obj);
	free(p->elf);
	free(p->path);
	free(p->log);
	free(p->given);
	memset(p, 0, sizeof(*p));
}

int tw_policy_assign(struct tw_policy *p, const char *assignment, struct tw_err *e)
{
	size_t size = 0;
	void *data = p->data ? bpf_map__initial_value(p->data, &size) : NULL;
	int status = tw_params_assign(&p->params, assignment, data, size, e);
	char *before = p->given;

	if (status)
		return status;
	p->given = before ? tw_asprintf("%s %s", before, assignment) : tw_strdup(assignment);
	free(before);
	return TW_OK;
}

/* The last lines of the verifier's log, indented: its verdict stands at the end */
static char *log_tail(const char *log)
{
	const char *s = log + strlen(log);
	int lines = 0;
	char *tail = tw_strdup("");

	while (s > log && lines < LOG_LINES)
		if (*--s == '\n' && s[1])
			lines++;
	if (*s == '\n')
		s++;
	while (*s) {
		size_t len = strcspn(s, "\n");
		char *longer = tw_asprintf("%s    %.*s\n", tail, (int)len, s);

		free(tail);
		tail = longer;
		s += len + (s[len] == '\n');
	}
	return tail;
}

static int explain_load(const struct tw_policy *p, int code, struct tw_err *e)
{
	e->code = code;
	if (*p->log) {
		e->status = TW_REFUSED;
		tw_fact(e, "the verifier rejects it (%s)", strerror(code));
		tw_cure(e, "the end of its log:");
		return tw_detail(e, log_tail(p->log));
	}
	tw_fact(e, "%s (%s)", *tw_bpf_last_warning() ? tw_bpf_last_warning() : "bpf() failed",
		strerror(code));
	return tw_cure(e, code == EPERM ? "run twctl as root" : "-v shows more");
}

int tw_policy_see_vmms(struct tw_policy *p, int view_fd, struct tw_err *e)
{
	struct bpf_map *map = bpf_object__find_map_by_name(p->obj, TIMEWARP_VMMS_SECTION);
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);
	int err = map ? bpf_map_get_info_by_fd(view_fd, &info, &len) : 0;

	/* one of another header has its rows elsewhere, and libbpf takes any size */
	if (map && !err)
		err = info.value_size == bpf_map__value_size(map) ? bpf_map__reuse_fd(map, view_fd) : -EINVAL;
	if (!err)
		return TW_OK;
	tw_fail(e, TW_FAILED, "cannot load policy %s", TW_QUOTE(p->title));
	tw_fact(e, "its view of the VMMs is not what the probes on them tell (%s)", strerror(-err));
	return tw_cure(e, "build it against the timewarp.bpf.h that came with twctl");
}

int tw_explain_no_decide(struct tw_err *e)
{
	tw_fact(e, "it has no decide()");
	return tw_cure(e, "write one with TIMEWARP_DECIDE(), and name it in TIMEWARP_OPS()");
}

/*
 * What the kernel would refuse of the table, in one word for all of it: so that its EINVAL is the policy's. Its name was
 * looked at when it was opened, the mode when it was read.
 */
static int check_table(const struct tw_policy *p, __u64 flags, struct tw_err *e)
{
	const struct bpf_program *const *decide = ops_member(p, "decide", sizeof(*decide));

	e->status = TW_REFUSED;
	if (flags & ~(__u64)KVM_TIMEWARP_F_BACKWARD) {
		tw_fact(e, "it wants flags that this kernel does not know: 0x%llx",
			(unsigned long long)(flags & ~(__u64)KVM_TIMEWARP_F_BACKWARD));
		return tw_cure(e, "write no others than KVM_TIMEWARP_F_BACKWARD into its table");
	}
	if (decide && !*decide)
		return tw_explain_no_decide(e);
	e->status = TW_FAILED;
	return TW_OK;
}

uint64_t tw_policy_flags(const struct tw_policy *p)
{
	const __u64 *flags = ops_member(p, "flags", sizeof(*flags));

	return flags ? *flags & ~p->withheld : 0;
}

int tw_policy_load(struct tw_policy *p, int vm_fd, unsigned int tsc_mode, struct tw_err *e)
{
	int *fd = ops_member(p, "vm_fd", sizeof(*fd));
	unsigned int *mode = ops_member(p, "tsc_mode", sizeof(*mode));
	__u64 *flags = ops_member(p, "flags", sizeof(*flags));

	tw_fail(e, TW_FAILED, "cannot load policy %s", TW_QUOTE(p->title));
	if (!fd || !mode || !flags) {
		tw_fact(e, "its struct " OPS_TYPE " has no vm_fd, no tsc_mode or no flags");
		return tw_cure(e, "build it against the timewarp.bpf.h that came with twctl");
	}
	*fd = vm_fd;
	*mode = tsc_mode;
	/* The user allows it, not the object */
	*flags = tw_policy_flags(p);
	if (check_table(p, *flags, e))
		return e->status;
	*p->log = 0;
	if (bpf_object__load(p->obj))
		return explain_load(p, errno, e);
	return TW_OK;
}

int tw_policy_attach(struct tw_policy *p, const struct tw_vm *vm, struct bpf_link **link,
		     struct tw_err *e)
{
	*link = bpf_map__attach_struct_ops(p->ops);
	if (*link)
		return TW_OK;
	tw_fail(e, TW_FAILED, "cannot attach %s to %s", p->name, vm->id);
	return tw_explain_attach(e, errno, p, vm);
}

long tw_ops_offset(const char *member)
{
	struct tw_types *kvm = tw_types_of_kvm();
	const struct btf_member *data = tw_types_member(kvm, OPS_VALUE_TYPE, "data");
	const struct btf_member *m = tw_types_member(kvm, OPS_TYPE, member);

	return data && m ? (long)(data->offset + m->offset) / 8 : -1;
}

/*
 * Writes the ops table into its map.  libbpf does so while it creates a link or updates one that it
 * created itself; for a link of another process, it has no function.
 */
static int fill_ops(struct tw_policy *p)
{
	const struct btf *btf = bpf_object__btf(p->obj);
	const struct btf_type *t = ops_type(p);
	const struct btf_member *m = btf_members(t);
	const char *from = bpf_map__initial_value(p->ops, NULL);
	unsigned int size = bpf_map__value_size(p->ops), zero = 0;
	char *value = calloc(1, size);
	int i, err;

	for (i = 0; value && i < btf_vlen(t); i++, m++) {
		long to = tw_ops_offset(btf__name_by_offset(btf, m->name_off));
		long long len = btf__resolve_size(btf, m->type);
		const void *src = from + m->offset / 8;
		unsigned long prog_fd;

		if (to < 0 || len < 0 || to + len > size)
			continue;
		if (btf_is_ptr(btf__type_by_id(btf, m->type))) {
			/* libbpf leaves a pointer to its own object where the function goes */
			const struct bpf_program *prog = *(struct bpf_program *const *)src;

			prog_fd = prog ? bpf_program__fd(prog) : 0;
			src = &prog_fd;
		}
		memcpy(value + to, src, len);
	}
	err = value ? bpf_map_update_elem(bpf_map__fd(p->ops), &zero, value, 0) : -ENOMEM;
	free(value);
	return err;
}

int tw_policy_swap(struct tw_policy *p, int link_fd, const struct tw_vm *vm, struct tw_err *e)
{
	int err = fill_ops(p);

	if (!err)
		err = bpf_link_update(link_fd, bpf_map__fd(p->ops), NULL);
	if (!err)
		return TW_OK;
	tw_fail(e, TW_FAILED, "cannot swap in %s on %s", p->name, vm->id);
	return tw_explain_attach(e, -err, p, vm);
}

bool tw_btf_tells_done(const struct btf *btf)
{
	return btf__find_by_name_kind(btf, TIMEWARP_DONE_VAR, BTF_KIND_VAR) >= 0;
}

int tw_policy_events(const struct tw_policy *p)
{
	const struct bpf_map *map = bpf_object__find_map_by_name(p->obj, TIMEWARP_EVENTS_MAP);

	return map && bpf_map__type(map) == BPF_MAP_TYPE_RINGBUF ? bpf_map__fd(map) : -1;
}

bool tw_policy_exit_record(const struct tw_policy *p, struct timewarp_exit_record *rec)
{
	struct bpf_map *map = bpf_object__find_map_by_name(p->obj, TIMEWARP_EXIT_SECTION);
	unsigned int zero = 0;

	memset(rec, 0, sizeof(*rec));
	if (!map || bpf_map__value_size(map) != sizeof(*rec))
		return false;
	if (bpf_map_lookup_elem(bpf_map__fd(map), &zero, rec))
		return false;
	rec->reason[sizeof(rec->reason) - 1] = 0;
	rec->message[sizeof(rec->message) - 1] = 0;
	return rec->kind != KVM_TIMEWARP_EXIT_NONE;
}
