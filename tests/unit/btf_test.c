// SPDX-License-Identifier: GPL-2.0
/*
 * BPF programs on a kernel into which KVM is built: which of them has no place, who is told, and how often the types are
 * written. The kernel is this test's: the types that it knows, and what it finds and loads.
 */
#include "tap.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "btf.h"
#include "host.h"
#include "proc.h"
#include "qemu/image.h"
#include "qemu/probes.h"
#include "readiness.h"
#include "trace_places.h"
#include "trace_unit.h"
#include "timewarp.h"
#include "tracer.h"
#include "types.h"
#include "trace.skel.h"
#include "vmm.skel.h"

/* KVM's types, and with them the kernel's: there is no other; and as they are read */
static struct btf *kernel;
static struct tw_types *types;
/* A function that is not found; a program that does not load */
static const char *absent, *refused;
static int absent_err, fits, loads;

struct tw_types *__wrap_tw_types_of_kvm(void);
int __wrap_bpf_program__set_attach_target(struct bpf_program *p, int fd, const char *func);
int __wrap_bpf_object__load_skeleton(struct bpf_object_skeleton *s);
struct bpf_link *__wrap_bpf_program__attach(const struct bpf_program *p);
int __wrap_tw_host_require(unsigned int needs, struct tw_err *e);
int __real_tw_btf_fit(struct bpf_object *obj);
int __wrap_tw_btf_fit(struct bpf_object *obj);

struct tw_types *__wrap_tw_types_of_kvm(void)
{
	char path[] = "/tmp/btf_test.XXXXXX";
	const void *raw;
	__u32 size;
	int fd;

	if (types)
		return types;
	raw = btf__raw_data(kernel, &size);
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, raw, size), size);
	close(fd);
	types = tw_types_open(path, NULL);
	unlink(path);
	assert_non_null(types);
	return types;
}

int __wrap_bpf_program__set_attach_target(struct bpf_program *p, int fd, const char *func)
{
	(void)p, (void)fd;
	return absent && !strcmp(func, absent) ? -absent_err : 0;
}

int __wrap_bpf_object__load_skeleton(struct bpf_object_skeleton *s)
{
	struct bpf_program *p;
	size_t size;

	/* the tracer asks the kernel for a variable first, and does without the answer */
	if (strstr(s->name, "symbol"))
		return -EPERM;
	loads++;
	bpf_object__for_each_program(p, *s->obj)
		if (refused && bpf_program__autoload(p) && !strcmp(bpf_program__name(p), refused)) {
			strcpy((char *)bpf_program__log_buf(p, &size), "no");
			return -EINVAL;
		}
	return 0;
}

/* A link of nothing, libbpf's own to free */
struct bpf_link *__wrap_bpf_program__attach(const struct bpf_program *p)
{
	(void)p;
	return calloc(1, 256);
}

int __wrap_tw_host_require(unsigned int needs, struct tw_err *e)
{
	(void)needs, (void)e;
	return 0;
}

int __wrap_tw_btf_fit(struct bpf_object *obj)
{
	fits++;
	return __real_tw_btf_fit(obj);
}

static void has_function(const char *name)
{
	assert_true(btf__add_func(kernel, name, BTF_FUNC_GLOBAL, btf__add_func_proto(kernel, 0)) > 0);
}

static void begin(void)
{
	tw_types_close(types);
	types = NULL;
	btf__free(kernel);
	kernel = btf__new_empty();
	assert_non_null(kernel);
	absent = refused = NULL;
	absent_err = ESRCH;
	fits = loads = 0;
}

static void test_aim(void **unused)
{
	struct tw_vmm_bpf *skel = tw_vmm_bpf__open();
	struct bpf_program *lacks = skel->progs.vmm_site;

	(void)unused;
	begin();
	assert_non_null(skel);
	assert_int_equal(tw_btf_aim(skel->obj, &lacks), 0);
	assert_null(lacks);
	absent = "kvm_arch_vcpu_ioctl_run";
	assert_int_equal(tw_btf_aim(skel->obj, &lacks), -ESRCH);
	assert_ptr_equal(lacks, skel->progs.vmm_enter);
	/* what else goes wrong is no function that is lacking */
	absent_err = ENOMEM;
	assert_int_equal(tw_btf_aim(skel->obj, &lacks), -ENOMEM);
	assert_null(lacks);
	bpf_program__set_autoload(skel->progs.vmm_enter, false);
	assert_int_equal(tw_btf_aim(skel->obj, &lacks), 0);
	tw_vmm_bpf__destroy(skel);
}

/* An attachment says which probe has no place */
static void test_probes(void **unused)
{
	struct tw_vm vm = { .pid = getpid(), .id = "4711-9" };
	struct tw_vmm_look look = { .possible = true };
	struct tw_err e = { 0 };
	struct tw_vmm v;
	struct tw_proc p;
	uint64_t exec;
	bool foreign;
	int program;

	(void)unused;
	begin();
	absent = "ioeventfd_write";
	assert_true(tw_proc_read(vm.pid, &p));
	vm.start = p.start;
	assert_int_equal(tw_image_exec(vm.pid, &exec), 0);
	look.state.pid = vm.pid;
	look.state.exec = exec;
	/* as twctl does it: under valgrind, stat() would find another */
	program = tw_image_program(vm.pid, &foreign);
	assert_true(program >= 0);
	assert_int_equal(fstat(program, &look.program), 0);
	close(program);
	assert_int_equal(tw_vmm_attach(&v, &vm, &look, 0, -1, &e), TW_UNSUPPORTED);
	assert_string_equal(e.fact, "the KVM that is built into this kernel has no function for probe vmm_kick: No such process");
	assert_int_equal(loads, 0);
	tw_err_free(&e);
	tw_vmm_close(&v);
}

static void trace(struct tw_tracer *t, int status)
{
	const struct tw_tracer_opts opts = { .doing = "trace", .none_yet = true, .vcpu = -1 };
	struct tw_err e = { 0 };

	assert_int_equal(tw_tracer_start(t, &opts, &e), status);
	if (status)
		assert_int_equal(e.code, absent_err);
	tw_err_free(&e);
}

/* A tracer does without it, and names it */
static void test_tracer(void **unused)
{
	struct tw_tracer t;

	(void)unused;
	begin();
	has_function("kvm_destroy_vm");
	has_function("pit_timer_fn");
	absent = "pit_timer_fn";
	trace(&t, TW_OK);
	assert_true(bpf_program__autoload(t.skel->progs.vm_ending));
	assert_false(bpf_program__autoload(t.skel->progs.pit_fired));
	assert_string_equal(t.missing.v[t.missing.n - 1], "pit_fired");
	assert_int_equal(loads, 1);
	tw_tracer_stop(&t);
}

/* For want of memory none is left out */
static void test_tracer_fails(void **unused)
{
	struct tw_tracer t;

	(void)unused;
	begin();
	has_function("pit_timer_fn");
	absent = "pit_timer_fn";
	absent_err = ENOMEM;
	trace(&t, TW_UNSUPPORTED);
	assert_false(tw_places_left_out(&t.missing, "pit_fired"));
	assert_int_equal(loads, 0);
	tw_tracer_stop(&t);
}

/* Whatever the kernel refuses, the types are the same in each round */
static void test_once(void **unused)
{
	struct tw_tracer t;

	(void)unused;
	begin();
	has_function("kvm_destroy_vm");
	has_function("pit_timer_fn");
	refused = "pit_fired";
	trace(&t, TW_OK);
	assert_int_equal(loads, 2);
	assert_int_equal(fits, 1);
	tw_tracer_stop(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_aim),
		cmocka_unit_test(test_probes),
		cmocka_unit_test(test_tracer),
		cmocka_unit_test(test_tracer_fails),
		cmocka_unit_test(test_once),
	};
	int failed = RUN_TAP(tests);

	tw_types_close(types);
	btf__free(kernel);
	return failed;
}
