// SPDX-License-Identifier: GPL-2.0
/*
 * F5: a Xen timer that comes due after its VMM's memory has gone writes nothing there, nobody attached.
 *
 * A VMM ends while another process holds the VM's descriptors, as for an instant at each exit: memory goes before
 * files. Guest memory is a memfd here, so that the page outlives the VMM and tells what is written to it.
 * Before (284bb53, and the distribution's modules): the event's bit is set in the shared info page; where that is
 * private memory, in a page that has been freed (KASAN, in half an hour of the fuzzer).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tinyvm.h"

#define PAGES 4
#define SHARED_INFO 1		/* pages */
#define VCPU_INFO 2
#define EVTCHN_PENDING 0x800	/* in the shared info of a 64-bit guest */
#define PORT 5

static int vm, vcpu;
static char *mem;

static void arm(uint64_t in_ns)
{
	struct kvm_clock_data clock;
	struct kvm_xen_vcpu_attr attr = { .type = KVM_XEN_VCPU_ATTR_TYPE_TIMER };

	IOCTL(vm, KVM_GET_CLOCK, &clock);
	attr.u.timer.port = PORT;
	attr.u.timer.priority = KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL;
	attr.u.timer.expires_ns = clock.clock + in_ns;
	IOCTL(vcpu, KVM_XEN_VCPU_SET_ATTR, &attr);
}

static volatile uint64_t *pending(void)
{
	return (volatile uint64_t *)(mem + SHARED_INFO * 4096 + EVTCHN_PENDING);
}

static bool fires(double ms)
{
	for (double end = now() + ms / 1e3; !*pending(); sleep_ms(1))
		if (now() > end)
			return false;
	return *pending() == 1 << PORT;
}

static void create(void)
{
	struct kvm_xen_hvm_config config = {
		.flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL | KVM_XEN_HVM_CONFIG_EVTCHN_SEND, .msr = 0x40000200,
	};
	struct kvm_xen_hvm_attr mode = { .type = KVM_XEN_ATTR_TYPE_LONG_MODE, .u.long_mode = 1 };
	struct kvm_xen_hvm_attr info = { .type = KVM_XEN_ATTR_TYPE_SHARED_INFO, .u.shared_info.gfn = SHARED_INFO };
	struct kvm_xen_vcpu_attr vcpu_info = { .type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO, .u.gpa = VCPU_INFO * 4096 };
	struct kvm_userspace_memory_region slot = { .memory_size = PAGES * 4096, .userspace_addr = (uintptr_t)mem };
	int kvm = open("/dev/kvm", O_RDWR);

	if (kvm < 0)
		bail("/dev/kvm: %s", strerror(errno));
	vm = IOCTL(kvm, KVM_CREATE_VM, 0);
	IOCTL(vm, KVM_CREATE_IRQCHIP, 0);
	IOCTL(vm, KVM_SET_USER_MEMORY_REGION, &slot);
	vcpu = IOCTL(vm, KVM_CREATE_VCPU, 0);
	IOCTL(vm, KVM_XEN_HVM_CONFIG, &config);
	IOCTL(vm, KVM_XEN_HVM_SET_ATTR, &mode);
	IOCTL(vm, KVM_XEN_HVM_SET_ATTR, &info);
	IOCTL(vcpu, KVM_XEN_VCPU_SET_ATTR, &vcpu_info);
}

int main(void)
{
	int memory = memfd_create("guest", 0), end[2], status;
	pid_t vmm;

	if (memory < 0 || ftruncate(memory, PAGES * 4096) || pipe(end))
		bail("memfd: %s", strerror(errno));
	mem = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	if (mem == MAP_FAILED)
		bail("mmap: %s", strerror(errno));
	vmm = fork();
	if (!vmm) {
		char c;

		create();
		arm(20000000);
		if (!fires(2000))
			_exit(2);
		*pending() = 0;
		memset(mem + VCPU_INFO * 4096, 0, 4096);
		arm(500000000);
		/* Holds the descriptors until the test is over */
		if (!fork()) {
			close(end[1]);
			_exit(read(end[0], &c, 1) < 0);
		}
		_exit(0);
	}
	waitpid(vmm, &status, 0);
	ok(WIFEXITED(status) && !WEXITSTATUS(status), "while the VMM lives, the timer sets the event's bit (status %#x)", status);
	ok(!*pending(), "it has not fired when the VMM is gone");
	ok(!fires(1500), "and then writes nothing to what was the VMM's memory");
	close(end[1]);
	close(end[0]);
	return tap_end();
}
