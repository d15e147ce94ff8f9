// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's types, out of files like those of /sys/kernel/btf: what is found among them, and what is copied of them for
 * libbpf. Each file also cut off at every length, and with every byte of it changed.
 */
#include "tap.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "btf.h"
#include "host.h"
#include "types.h"

/* What the tests' kernel has: the linker's --wrap puts it in the place of this machine's */
static struct tw_types *running;
/* The names that an object knows, and what was made for it */
static struct btf *object;

struct tw_types *__wrap_tw_types_of_kvm(void);
struct btf *__wrap_bpf_object__btf(const struct bpf_object *obj);

struct tw_types *__wrap_tw_types_of_kvm(void)
{
	return running;
}

struct btf *__wrap_bpf_object__btf(const struct bpf_object *obj)
{
	(void)obj;
	return object;
}

struct file {
	int fd;
	char path[32];
	unsigned char *data;
	unsigned int size;
};

static void put(const struct file *f, size_t size)
{
	assert_int_equal(ftruncate(f->fd, 0), 0);
	assert_int_equal(pwrite(f->fd, f->data, size, 0), size);
}

static struct file file_of(const struct btf *btf)
{
	struct file f = { .fd = memfd_create("types", 0) };
	const void *raw = btf__raw_data(btf, &f.size);

	assert_true(f.fd >= 0);
	assert_non_null(raw);
	snprintf(f.path, sizeof(f.path), "/proc/self/fd/%d", f.fd);
	f.data = malloc(f.size);
	memcpy(f.data, raw, f.size);
	put(&f, f.size);
	return f;
}

static void close_file(struct file *f)
{
	close(f->fd);
	free(f->data);
}

/* vmlinux's, of more than a page of types and of names; a module's with a type of a name that vmlinux has as well */
static struct btf *vmlinux, *kvm;
static struct file vmlinux_file, kvm_file;
static int of_int, of_kernel, in_vmlinux, in_kvm;

static int set_up(void **unused)
{
	int id, func, i;
	char name[32];

	(void)unused;
	vmlinux = btf__new_empty();
	of_int = btf__add_int(vmlinux, "int", 4, BTF_INT_SIGNED);
	for (i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "kernel_type_%d", i);
		btf__add_typedef(vmlinux, name, of_int);
	}
	of_kernel = btf__add_struct(vmlinux, "kernel", 8);
	btf__add_field(vmlinux, "data", of_int, 0, 0);
	btf__add_field(vmlinux, "bits", of_int, 32, 3);
	btf__add_typedef(vmlinux, "kernel_t", of_kernel);
	in_vmlinux = btf__add_struct(vmlinux, "both", 8);
	btf__add_field(vmlinux, "first", of_int, 0, 0);
	id = btf__add_fwd(vmlinux, "elsewhere", BTF_FWD_UNION);
	btf__add_typedef(vmlinux, "elsewhere_t", id);
	btf__add_float(vmlinux, "double", 8);

	kvm = btf__new_empty_split(vmlinux);
	btf__add_enum(kvm, "kvm_timewarp_abi", 4);
	btf__add_enum_value(kvm, "KVM_TIMEWARP_ABI", 5);
	btf__add_struct(kvm, "kvm_timewarp_ops", 8);
	id = btf__add_const(kvm, btf__add_ptr(kvm, of_kernel));
	in_kvm = btf__add_struct(kvm, "both", 24);
	btf__add_field(kvm, "own", of_int, 0, 0);
	btf__add_field(kvm, "data", of_kernel, 64, 0);
	btf__add_field(kvm, "pointer", id, 128, 0);
	id = btf__add_array(kvm, of_int, in_kvm, 3);
	btf__add_union(kvm, "many", 72);
	btf__add_field(kvm, "each", id, 0, 0);
	btf__add_enum64(kvm, "long_enum", 8, true);
	btf__add_enum64_value(kvm, "LONG", -(1LL << 40));
	btf__add_enum(kvm, "short_enum", 4);
	btf__add_enum_value(kvm, "HIGH", 0xf0000000);
	func = btf__add_func_proto(kvm, 0);
	btf__add_func_param(kvm, "arg", id);
	btf__add_func(kvm, "function", BTF_FUNC_STATIC, func);
	btf__add_type_tag(kvm, "tag", of_int);
	btf__add_decl_tag(kvm, "tag", in_kvm, -1);
	btf__add_var(kvm, "variable", BTF_VAR_STATIC, of_int);

	object = btf__new_empty();
	btf__add_struct(object, "both___old", 4);
	btf__add_union(object, "many", 4);
	btf__add_typedef(object, "kernel_t", 0);
	btf__add_typedef(object, "elsewhere_t", 0);
	btf__add_enum(object, "short_enum", 4);
	btf__add_enum64(object, "long_enum", 8, true);
	btf__add_struct(object, "nowhere", 4);

	vmlinux_file = file_of(vmlinux);
	kvm_file = file_of(kvm);
	return 0;
}

static int tear_down(void **unused)
{
	(void)unused;
	close_file(&vmlinux_file);
	close_file(&kvm_file);
	btf__free(object);
	btf__free(kvm);
	btf__free(vmlinux);
	return 0;
}

/* As libbpf has them: each by its number, its name, and what else there is of it */
static void same(struct tw_types *t, const struct btf *btf)
{
	unsigned int id;

	assert_int_equal(tw_types_end(t), btf__type_cnt(btf));
	for (id = 1; id < btf__type_cnt(btf); id++) {
		const struct btf_type *is = tw_types_by_id(t, id), *was = btf__type_by_id(btf, id);

		assert_non_null(is);
		assert_memory_equal(is, was, sizeof(*is));
		assert_string_equal(tw_types_name(t, is->name_off), btf__name_by_offset(btf, was->name_off));
	}
	assert_null(tw_types_by_id(t, 0));
	assert_null(tw_types_by_id(t, id));
	assert_string_equal(tw_types_name(t, UINT32_MAX), "");
}

static void test_all(void **unused)
{
	struct tw_types *base = tw_types_open(vmlinux_file.path, NULL), *own = tw_types_open(kvm_file.path, base);

	(void)unused;
	same(base, vmlinux);
	same(own, kvm);
	assert_ptr_equal(tw_types_base(own), base);
	assert_null(tw_types_base(base));
	tw_types_close(own);
	tw_types_close(base);
}

/* This machine's own, if it has any */
static void test_machine(void **unused)
{
	struct tw_types *t = tw_types_of(TW_PART_VMLINUX);
	struct btf *btf = t ? btf__parse("/sys/kernel/btf/vmlinux", NULL) : NULL;

	(void)unused;
	if (!btf)
		skip();
	same(t, btf);
	btf__free(btf);
}

static void test_find(void **unused)
{
	struct tw_types *base = tw_types_open(vmlinux_file.path, NULL), *own = tw_types_open(kvm_file.path, base);
	int index;

	(void)unused;
	/* a name that vmlinux has as well, and one that only the module has */
	index = tw_types_find(own, BTF_KIND_STRUCT, "both");
	assert_int_equal(tw_types_own(own, index)->size, 24);
	assert_int_equal(tw_types_first(own) + index, in_kvm);
	assert_true(tw_types_find(own, BTF_KIND_FUNC, "function") >= 0);
	assert_int_equal(tw_types_find(own, BTF_KIND_STRUCT, "function"), -1);
	/* what vmlinux has is not the module's own */
	assert_int_equal(tw_types_find(own, BTF_KIND_STRUCT, "kernel"), -1);
	/* KVM built in: all are its own */
	assert_int_equal(tw_types_first(base) + tw_types_find(base, BTF_KIND_STRUCT, "both"), in_vmlinux);
	assert_int_equal(tw_types_find(NULL, BTF_KIND_STRUCT, "both"), -1);
	assert_int_equal(tw_types_member(own, "both", "data")->offset, 64);
	assert_int_equal(tw_types_member(own, "both", "own")->offset, 0);
	assert_null(tw_types_member(own, "both", "first"));
	assert_null(tw_types_member(own, "kernel", "data"));
	assert_null(tw_types_member(NULL, "both", "data"));

	running = own;
	assert_int_equal(tw_host_abi(), 5);
	assert_true(tw_host_knows("both", "data"));
	assert_false(tw_host_knows("both", "first"));
	running = base;
	assert_int_equal(tw_host_abi(), -1);
	running = NULL;
	assert_int_equal(tw_host_abi(), -1);
	tw_types_close(own);
	tw_types_close(base);
}

/* What is asked of a module's own types needs nothing of vmlinux's but the header */
static void test_header_only(void **unused)
{
	struct file f = vmlinux_file;
	struct tw_types *base, *own;

	(void)unused;
	f.data = calloc(f.size, 1);
	memcpy(f.data, vmlinux_file.data, sizeof(struct btf_header));
	put(&f, f.size);
	base = tw_types_open(f.path, NULL);
	own = tw_types_open(kvm_file.path, base);
	running = own;
	assert_int_equal(tw_host_abi(), 5);
	/* but all of it for a number */
	assert_int_equal(tw_types_end(own), 0);
	assert_null(tw_types_by_id(own, 1));
	tw_types_close(own);
	tw_types_close(base);
	free(f.data);
	put(&vmlinux_file, vmlinux_file.size);
}

static const struct btf_type *fitted(const struct btf *btf, const char *name, unsigned int kind)
{
	int id = btf__find_by_name_kind(btf, name, kind);

	return id < 0 ? NULL : btf__type_by_id(btf, id);
}

static void test_fit(void **unused)
{
	struct tw_types *base = tw_types_open(vmlinux_file.path, NULL);
	const struct btf_type *t;
	struct btf *btf;

	(void)unused;
	running = tw_types_open(kvm_file.path, base);
	assert_int_equal(tw_btf_fit(NULL), 0);
	btf = btf__parse(tw_btf_path(), NULL);
	assert_non_null(btf);

	t = fitted(btf, "both", BTF_KIND_STRUCT);
	assert_int_equal(t->size, 24);
	assert_int_equal(btf_vlen(t), 3);
	assert_string_equal(btf__name_by_offset(btf, btf_members(t)[1].name_off), "data");
	assert_int_equal(btf_member_bit_offset(t, 1), 64);
	/* a member's own type has its fields, and no name unless the object knows it */
	t = btf__type_by_id(btf, btf_members(t)[1].type);
	assert_true(btf_is_struct(t));
	assert_int_equal(t->name_off, 0);
	assert_int_equal(btf_member_bitfield_size(t, 1), 3);
	assert_int_equal(btf_member_bit_offset(t, 1), 32);
	t = fitted(btf, "many", BTF_KIND_UNION);
	assert_int_equal(btf__resolve_size(btf, btf_members(t)[0].type), 72);
	t = fitted(btf, "kernel_t", BTF_KIND_TYPEDEF);
	assert_int_equal(btf__type_by_id(btf, t->type)->size, 8);
	t = fitted(btf, "elsewhere_t", BTF_KIND_TYPEDEF);
	assert_int_equal(btf_kind(btf__type_by_id(btf, t->type)), BTF_KIND_FWD);
	t = fitted(btf, "short_enum", BTF_KIND_ENUM);
	assert_int_equal(btf_enum(t)->val, (int)0xf0000000);
	assert_false(btf_kflag(t));
	t = fitted(btf, "long_enum", BTF_KIND_ENUM64);
	assert_true((int64_t)btf_enum64_value(btf_enum64(t)) == -(1LL << 40));
	assert_true(btf_kflag(t));
	assert_null(fitted(btf, "kernel", BTF_KIND_STRUCT));
	assert_null(fitted(btf, "kernel_type_7", BTF_KIND_TYPEDEF));
	btf__free(btf);
	tw_types_close(running);
	tw_types_close(base);
}

/* All that is asked of types, of files that may be anything: no matter what it says, as long as it ends well */
static void ask(void)
{
	struct tw_types *base = tw_types_open(vmlinux_file.path, NULL), *own;
	unsigned int id;
	int i;

	own = tw_types_open(kvm_file.path, base);
	for (i = 0; i < 2; i++) {
		running = i ? base : own;
		tw_host_abi();
		tw_types_member(running, "both", "data");
		tw_types_find(running, BTF_KIND_STRUCT, "kernel");
		for (id = 0; running && id < 20 + tw_types_end(running); id += id < 20 || id > 480 ? 1 : 100) {
			const struct btf_type *t = tw_types_by_id(running, id);

			if (t)
				strlen(tw_types_name(running, t->name_off));
		}
		if (running && tw_types_base(running))
			tw_btf_fit(NULL);
	}
	if (own)
		tw_types_close(own);
	if (base)
		tw_types_close(base);
}

static void cut_off(const struct file *f, size_t step)
{
	size_t size;

	for (size = 0; size < f->size; size += step) {
		put(f, size);
		ask();
	}
	put(f, f->size);
}

static void test_cut_off(void **unused)
{
	(void)unused;
	cut_off(&kvm_file, 1);
	/* its many types are all alike */
	cut_off(&vmlinux_file, 61);
}

/* A byte that is another, and numbers as large as they can be */
static void lie(const struct file *f, size_t step)
{
	static const unsigned char said[] = { 0, 1, 0x7f, 0x80, 0xff };
	size_t at, i;

	for (at = 0; at < f->size; at += step) {
		unsigned char was[4];
		size_t len = f->size - at < 4 ? f->size - at : 4;

		memcpy(was, f->data + at, len);
		for (i = 0; i < sizeof(said); i++) {
			f->data[at] = said[i];
			put(f, f->size);
			ask();
		}
		memset(f->data + at, 0xff, len);
		put(f, f->size);
		ask();
		memcpy(f->data + at, was, len);
	}
	put(f, f->size);
}

static void test_lies(void **unused)
{
	(void)unused;
	lie(&kvm_file, 1);
	lie(&vmlinux_file, 97);
}

/* A module with these types has none that fit */
static void is_refused(struct btf *module, struct tw_types *base)
{
	struct file f = file_of(module);

	running = tw_types_open(f.path, base);
	assert_true(tw_btf_fit(NULL) < 0);
	tw_types_close(running);
	close_file(&f);
	btf__free(module);
}

/* A structure that is its own member, and one of many in one another */
static void test_endless(void **unused)
{
	struct btf *deep = btf__new_empty_split(vmlinux);
	struct tw_types *base = tw_types_open(vmlinux_file.path, NULL);
	int id = of_int, i;

	(void)unused;
	for (i = 0; i < 100000; i++)
		id = btf__add_const(deep, id);
	btf__add_struct(deep, "both", 8);
	btf__add_field(deep, "deep", id, 0, 0);
	is_refused(deep, base);

	deep = btf__new_empty_split(vmlinux);
	id = btf__add_struct(deep, "both", 8);
	btf__add_field(deep, "itself", id, 0, 0);
	btf__add_field(deep, "and_again", id, 0, 0);
	is_refused(deep, base);
	tw_types_close(base);
}

/* A later format: a header of more fields is read, types of a form that is not known are not */
static void test_later(void **unused)
{
	const size_t header = sizeof(struct btf_header);
	struct file f = vmlinux_file;
	struct tw_types *t;

	(void)unused;
	f.size += 8;
	f.data = calloc(f.size, 1);
	memcpy(f.data, vmlinux_file.data, header);
	memcpy(f.data + header + 8, vmlinux_file.data + header, f.size - header - 8);
	((struct btf_header *)f.data)->hdr_len += 8;
	put(&f, f.size);
	t = tw_types_open(f.path, NULL);
	assert_int_equal(tw_types_end(t), btf__type_cnt(vmlinux));
	tw_types_close(t);

	((struct btf_type *)(f.data + header + 8))->info |= 0x00010000;
	put(&f, f.size);
	t = tw_types_open(f.path, NULL);
	assert_int_equal(tw_types_end(t), 0);
	tw_types_close(t);
	free(f.data);
	put(&vmlinux_file, vmlinux_file.size);
}

/* KVM's types are there and cannot be read: vmlinux's do not serve */
static void test_unreadable(void **unused)
{
	(void)unused;
	running = NULL;
	assert_true(tw_btf_fit(NULL) < 0);
}

static void test_no_file(void **unused)
{
	(void)unused;
	assert_null(tw_types_open("/nonexistent", NULL));
	assert_null(tw_types_open("/", NULL));
	assert_null(tw_types_open("/dev/null", NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_machine),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_header_only),
		cmocka_unit_test(test_fit),
		cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_endless),
		cmocka_unit_test(test_later),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_no_file),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
