// SPDX-License-Identifier: GPL-2.0
/*
 * A4: no kfunc for a VM's clock can be called by tracing programs, or it returns even inside the section
 * in which that clock is moved.
 *
 * Before (bfb642f): both kfuncs load; the ioctl never returns, with interrupts off and a raw spinlock held.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "polbpf.h"
#include "tinyvm.h"

static void try_one(const char *name, struct tiny *vm)
{
	struct bpf_object *obj = bpf_object__open_file("build/tests/directed/tracer.bpf.o", NULL);
	struct kvm_clock_data clock = { 0 };
	struct bpf_program *prog;
	struct bpf_link *link;
	struct pol p = { .obj = obj };
	double start;

	bpf_object__for_each_program(prog, obj)
		bpf_program__set_autoload(prog, !strcmp(bpf_program__name(prog), name));
	if (bpf_object__load(obj)) {
		ok(true, "%s: such a program is refused (%s)", name, strerror(errno));
		bpf_object__close(obj);
		return;
	}
	*(volatile uint32_t *)pol_var(&p, "pid") = getpid();
	link = bpf_program__attach(bpf_object__find_program_by_name(obj, name));
	if (!link)
		bail("%s: the program does not attach: %s", name, strerror(errno));
	note("%s: the program is in; moving the VM's clock", name);
	start = now();
	IOCTL(vm->fd, KVM_GET_CLOCK, &clock);
	clock.flags = 0;
	IOCTL(vm->fd, KVM_SET_CLOCK, &clock);
	ok(*pol_u64(&p, "calls") > 0 && now() - start < 5, "%s: the program was called and returned", name);
	bpf_link__destroy(link);
	bpf_object__close(obj);
}

int main(void)
{
	static struct tiny vm;
	struct pol p;
	int r;

	tiny_create(&vm, 1, 0, NULL);
	tiny_set_kvmclock(&vm, 0);
	tiny_start(&vm, 0, guest_halt, 0);
	r = pol_start(&p, "build/tests/policies/random.bpf.o", vm.fd, POL_AUTO);
	if (!ok(!r, "a policy attaches"))
		bail("%s", strerror(-r));
	try_one("on_update", &vm);
	try_one("on_update_delay", &vm);
	pol_close(&p);
	tiny_destroy(&vm);
	return tap_end();
}
