// SPDX-License-Identifier: GPL-2.0
/* What a VMM of the fuzzer asks of its VM and vCPUs. Most of it fails, and all of it may. */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "kvm_fuzz.h"
#include "tinyvm.h"

typedef int fuzz_fn(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r);

static int set_msr(int vcpu, uint32_t index, uint64_t data)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry[1];
	} m = { .head.nmsrs = 1, .entry[0] = { .index = index, .data = data } };

	return ioctl(vcpu, KVM_SET_MSRS, &m) == 1 ? 0 : -1;
}

static int get_msr(int vcpu, uint32_t index, uint64_t *data)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry[1];
	} m = { .head.nmsrs = 1, .entry[0] = { .index = index } };
	int ret = ioctl(vcpu, KVM_GET_MSRS, &m) == 1 ? 0 : -1;

	*data = m.entry[0].data;
	return ret;
}

/* A page of the guest's, or seldom something else */
static uint64_t some_gpa(struct fuzz_rng *r)
{
	return fuzz_one_in(r, 8) ? fuzz_number(r) : TINY_HV_PAGE + fuzz_below(r, 64) * 4096UL + (fuzz_one_in(r, 4) ? fuzz_below(r, 4096) : 0);
}

/* Near where a clock is, or anywhere */
static uint64_t near(uint64_t now, struct fuzz_rng *r)
{
	return fuzz_one_in(r, 3) ? fuzz_number(r) : now + fuzz_below(r, 4000000) - 1000000;
}

static uint64_t some_khz(struct fuzz_vm *vm, struct fuzz_rng *r)
{
	static const uint32_t khz[] = { 1, 2, 1000, 999999, 1000000, 1000001, 1000250, 2000000, 0x7fffffff };

	uint32_t n = fuzz_one_in(r, 3) ? (uint32_t)fuzz_number(r) : khz[fuzz_below(r, sizeof(khz) / sizeof(khz[0]))];

	return n < vm->most_khz ? n : vm->most_khz;
}

/* ---- the TSC */

static int vcpu_tsc_khz(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	return ioctl(vcpu, KVM_SET_TSC_KHZ, some_khz(vm, r));
}

static int vm_tsc_khz(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	return ioctl(vm->fd, KVM_SET_TSC_KHZ, some_khz(vm, r));
}

static int msr_tsc(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	uint64_t t;

	get_msr(vcpu, MSR_TSC, &t);
	return set_msr(vcpu, MSR_TSC, near(t, r));
}

static int msr_tsc_adjust(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	return set_msr(vcpu, MSR_TSC_ADJUST, fuzz_number(r));
}

static int msr_deadline(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	uint64_t t;

	get_msr(vcpu, MSR_TSC, &t);
	return set_msr(vcpu, MSR_TSC_DEADLINE, near(t, r));
}

static int tsc_offset(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	uint64_t offset = fuzz_number(r);
	struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)&offset };

	return ioctl(vcpu, fuzz_one_in(r, 2) ? KVM_GET_DEVICE_ATTR : KVM_SET_DEVICE_ATTR, &attr);
}

/* ---- kvmclock and what else KVM writes into the guest's memory */

static int msr_kvmclock(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	return set_msr(vcpu, fuzz_one_in(r, 4) ? 0x12 : MSR_KVMCLOCK, fuzz_one_in(r, 5) ? 0 : some_gpa(r) | 1);
}

static int msr_wall_clock(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	return set_msr(vcpu, fuzz_one_in(r, 4) ? 0x11 : 0x4b564d00, some_gpa(r));
}

static int msr_steal_time(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	return set_msr(vcpu, 0x4b564d03, fuzz_one_in(r, 4) ? 0 : (some_gpa(r) & ~63UL) | 1);
}

static int kvmclock_ctrl(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	return ioctl(vcpu, KVM_KVMCLOCK_CTRL, 0);
}

static int set_clock(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	struct kvm_clock_data c = { 0 };
	struct timespec ts;

	ioctl(vm->fd, KVM_GET_CLOCK, &c);
	clock_gettime(CLOCK_REALTIME, &ts);
	c.flags = 0;
	c.clock = near(c.clock, r);
	if (fuzz_one_in(r, 2)) {
		c.flags |= KVM_CLOCK_REALTIME;
		c.realtime = near(ts.tv_sec * 1000000000ULL + ts.tv_nsec, r);
	}
	return ioctl(vm->fd, KVM_SET_CLOCK, &c);
}

static int get_clock(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	struct kvm_clock_data c;

	return ioctl(vm->fd, KVM_GET_CLOCK, &c);
}

static int get_msrs(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	static const uint32_t msr[] = { MSR_TSC, MSR_TSC_ADJUST, MSR_TSC_DEADLINE, MSR_KVMCLOCK, MSR_HV_REF_COUNT,
					MSR_HV_REF_TSC, 0x40000118, 0x4b564d03 };
	uint64_t v;

	return get_msr(vcpu, msr[fuzz_below(r, sizeof(msr) / sizeof(msr[0]))], &v);
}

/* ---- timers */

static int set_lapic(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	struct kvm_lapic_state s;
	uint32_t svr = 0x1ff, lvtt = fuzz_below(r, 4) << 17 | fuzz_one_in(r, 8) << 16 | TINY_VECTOR;
	uint32_t divide = fuzz_one_in(r, 2) ? 0xb : fuzz_below(r, 16), count = fuzz_one_in(r, 2) ? fuzz_below(r, 2000000) : fuzz_number(r);
	uint32_t left = fuzz_one_in(r, 2) ? count : fuzz_number(r);

	if (ioctl(vcpu, KVM_GET_LAPIC, &s))
		return -1;
	memcpy(s.regs + 0xf0, &svr, 4);
	memcpy(s.regs + 0x320, &lvtt, 4);
	memcpy(s.regs + 0x3e0, &divide, 4);
	memcpy(s.regs + 0x380, &count, 4);
	memcpy(s.regs + 0x390, &left, 4);
	return ioctl(vcpu, KVM_SET_LAPIC, &s);
}

static int get_lapic(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	struct kvm_lapic_state s;

	return ioctl(vcpu, KVM_GET_LAPIC, &s);
}

static int apic_base(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	return set_msr(vcpu, 0x1b, 0xfee00000 | fuzz_below(r, 4) << 10);
}

static int set_pit(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	struct kvm_pit_state2 s;

	if (ioctl(vm->fd, KVM_GET_PIT2, &s))
		return -1;
	for (int i = 0; i < 3; i++) {
		s.channels[i].mode = fuzz_below(r, 8);
		s.channels[i].count = fuzz_one_in(r, 4) ? fuzz_number(r) : fuzz_below(r, 65537);
		s.channels[i].gate = fuzz_below(r, 2);
		s.channels[i].count_load_time = fuzz_number(r);
	}
	s.flags = fuzz_one_in(r, 8);
	return ioctl(vm->fd, KVM_SET_PIT2, &s);
}

static int reinject(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	struct kvm_reinject_control c = { .pit_reinject = fuzz_below(r, 2) };

	return ioctl(vm->fd, KVM_REINJECT_CONTROL, &c);
}

/* ---- Hyper-V and Xen */

static int set_cpuid(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	return tiny_set_cpuid(vm->kvm, vcpu, 0, fuzz_one_in(r, 2));
}

static int hv_synic(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	struct kvm_enable_cap cap = { .cap = fuzz_one_in(r, 2) ? KVM_CAP_HYPERV_SYNIC2 : KVM_CAP_HYPERV_SYNIC };

	return ioctl(vcpu, KVM_ENABLE_CAP, &cap);
}

static int hv_msr(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	uint32_t timer = fuzz_below(r, 4);
	uint64_t now;

	get_msr(vcpu, MSR_HV_REF_COUNT, &now);
	switch (fuzz_below(r, 9)) {
	case 0: return set_msr(vcpu, MSR_HV_OS_ID, fuzz_below(r, 2));
	case 1: return set_msr(vcpu, MSR_HV_REF_TSC, (some_gpa(r) & ~4095UL) | fuzz_below(r, 2));
	case 2: return set_msr(vcpu, 0x40000080, fuzz_below(r, 2));
	case 3: return set_msr(vcpu, 0x40000083, (some_gpa(r) & ~4095UL) | 1);
	case 4: return set_msr(vcpu, 0x40000090 + fuzz_below(r, 16), 0x20041 + fuzz_below(r, 32));
	case 5: return set_msr(vcpu, 0x400000b0 + 2 * timer, fuzz_one_in(r, 3) ? fuzz_number(r) :
			       (fuzz_one_in(r, 2) ? 0x20000 : 0x1410) | fuzz_below(r, 16));
	case 6: return set_msr(vcpu, 0x400000b1 + 2 * timer, fuzz_one_in(r, 2) ? fuzz_below(r, 100000) : near(now, r));
	case 7: return set_msr(vcpu, 0x40000106 + fuzz_below(r, 3), fuzz_number(r));
	default: return set_msr(vcpu, 0x40000118, fuzz_below(r, 2));
	}
}

static int xen_config(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	struct kvm_xen_hvm_config c = {
		.flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL | KVM_XEN_HVM_CONFIG_EVTCHN_SEND, .msr = 0x40000200,
	};
	struct kvm_xen_hvm_attr attr = { .type = fuzz_below(r, 6) };

	if (fuzz_one_in(r, 2))
		return ioctl(vm->fd, KVM_XEN_HVM_CONFIG, &c);
	if (attr.type == KVM_XEN_ATTR_TYPE_LONG_MODE)
		attr.u.long_mode = fuzz_below(r, 2);
	else
		attr.u.shared_info.gfn = some_gpa(r) >> 12;
	return ioctl(vm->fd, KVM_XEN_HVM_SET_ATTR, &attr);
}

static int xen_vcpu(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	struct kvm_xen_hvm_attr info = { .type = KVM_XEN_ATTR_TYPE_SHARED_INFO };
	struct kvm_xen_vcpu_attr own = { .type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO };
	struct kvm_xen_vcpu_attr attr = { .type = fuzz_below(r, 10) };

	switch (attr.type) {
	case KVM_XEN_VCPU_ATTR_TYPE_TIMER:
		/*
		 * A timer that fires where there never was a page of shared or vCPU info is a WARN of
		 * the distribution's KVM, too: kvm_gpc_refresh() of a cache that was never activated.
		 */
		info.u.shared_info.gfn = some_gpa(r) >> 12;
		own.u.gpa = some_gpa(r) & ~63UL;
		if (ioctl(vm->fd, KVM_XEN_HVM_SET_ATTR, &info) || ioctl(vcpu, KVM_XEN_VCPU_SET_ATTR, &own))
			return -1;
		attr.u.timer.port = 5;
		attr.u.timer.priority = KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL;
		attr.u.timer.expires_ns = fuzz_one_in(r, 3) ? fuzz_number(r) : fuzz_below(r, 2000000000);
		break;
	case KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID:
		attr.u.vcpu_id = fuzz_below(r, 4);
		break;
	case KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR:
		attr.u.vector = TINY_VECTOR;
		break;
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADJUST:
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA:
		attr.u.runstate.state = fuzz_below(r, 5);
		attr.u.runstate.state_entry_time = fuzz_number(r);
		attr.u.runstate.time_running = fuzz_number(r);
		break;
	default:
		attr.u.gpa = fuzz_one_in(r, 4) ? ~0ULL : some_gpa(r) & ~63UL;
	}
	return ioctl(vcpu, fuzz_one_in(r, 4) ? KVM_XEN_VCPU_GET_ATTR : KVM_XEN_VCPU_SET_ATTR, &attr);
}

/* ---- life */

static int create_vcpu(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	return fuzz_one_in(r, 8) ? fuzz_add_vcpu(vm, r) : -1;
}

static int mp_state(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	struct kvm_mp_state mp = { .mp_state = fuzz_one_in(r, 2) ? KVM_MP_STATE_RUNNABLE : fuzz_below(r, 6) };

	return ioctl(vcpu, KVM_SET_MP_STATE, &mp);
}

static int vcpu_events(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	struct kvm_vcpu_events e;

	if (ioctl(vcpu, KVM_GET_VCPU_EVENTS, &e))
		return -1;
	e.nmi.pending = fuzz_one_in(r, 8);
	return ioctl(vcpu, KVM_SET_VCPU_EVENTS, &e);
}

static int irq_line(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	struct kvm_irq_level l = { .irq = fuzz_below(r, 24), .level = fuzz_below(r, 2) };

	return ioctl(vm->fd, KVM_IRQ_LINE, &l);
}

/* The slot goes, and comes back; meanwhile every page that KVM knows of is none. */
static int memory_slot(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	struct kvm_userspace_memory_region region = { .userspace_addr = (uintptr_t)vm->mem };
	int ret;

	ret = ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
	fuzz_sleep_us(fuzz_below(r, 1000));
	region.memory_size = TINY_MEM;
	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) | ret;
}

/* The memory behind the slot goes. What KVM and the guest had there is lost; the page tables are put back. */
static int memory_behind(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	unsigned long at = fuzz_one_in(r, 4) ? 0 : TINY_HV_PAGE + fuzz_below(r, 64) * 4096UL;
	unsigned long size = at ? 4096 : TINY_MEM;
	void *p;

	if (fuzz_one_in(r, 2))
		return madvise(vm->mem + at, size, MADV_DONTNEED) || (!at && (tiny_fill_memory(vm->mem), 0));
	if (!at)
		return mprotect(vm->mem + TINY_HV_PAGE, 64 * 4096, fuzz_one_in(r, 2) ? PROT_READ : PROT_READ | PROT_WRITE);
	munmap(vm->mem + at, size);
	fuzz_sleep_us(fuzz_below(r, 1000));
	p = mmap(vm->mem + at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	return p == MAP_FAILED ? -1 : 0;
}

static int stats_fd(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	char text[256];
	int fd = ioctl(fuzz_one_in(r, 2) ? vm->fd : vcpu, KVM_GET_STATS_FD, 0), ret;

	if (fd < 0)
		return -1;
	ret = read(fd, text, sizeof(text));
	close(fd);
	return ret < 0 ? -1 : 0;
}

/* The number goes on to be used: what is asked of it then fails, or concerns something else. */
static int close_vcpu(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	return fuzz_one_in(r, 64) ? close(vcpu) : -1;
}

static int nested_state(struct fuzz_vm *vm, int vcpu, struct fuzz_rng *r)
{
	static __thread char buf[20000];
	struct kvm_nested_state *s = (struct kvm_nested_state *)buf;

	s->size = sizeof(buf);
	return ioctl(vcpu, KVM_GET_NESTED_STATE, s) || ioctl(vcpu, KVM_SET_NESTED_STATE, s);
}

static const struct {
	const char *name;
	fuzz_fn *fn;
	unsigned int weight;
} ops[] = {
	{ "KVM_SET_TSC_KHZ of a vCPU", vcpu_tsc_khz, 2 },
	{ "KVM_SET_TSC_KHZ of the VM", vm_tsc_khz, 1 },
	{ "MSR TSC", msr_tsc, 4 },
	{ "MSR TSC_ADJUST", msr_tsc_adjust, 2 },
	{ "MSR TSC_DEADLINE", msr_deadline, 6 },
	{ "KVM_VCPU_TSC_OFFSET", tsc_offset, 2 },
	{ "MSR kvmclock", msr_kvmclock, 4 },
	{ "MSR wall clock", msr_wall_clock, 1 },
	{ "MSR steal time", msr_steal_time, 2 },
	{ "KVM_KVMCLOCK_CTRL", kvmclock_ctrl, 2 },
	{ "KVM_SET_CLOCK", set_clock, 4 },
	{ "KVM_GET_CLOCK", get_clock, 3 },
	{ "KVM_GET_MSRS", get_msrs, 4 },
	{ "KVM_SET_LAPIC", set_lapic, 5 },
	{ "KVM_GET_LAPIC", get_lapic, 2 },
	{ "MSR APICBASE", apic_base, 1 },
	{ "KVM_SET_PIT2", set_pit, 3 },
	{ "KVM_REINJECT_CONTROL", reinject, 1 },
	{ "KVM_SET_CPUID2", set_cpuid, 2 },
	{ "KVM_CAP_HYPERV_SYNIC", hv_synic, 2 },
	{ "Hyper-V's MSRs", hv_msr, 12 },
	{ "Xen attributes of the VM", xen_config, 3 },
	{ "Xen attributes of a vCPU", xen_vcpu, 6 },
	{ "KVM_CREATE_VCPU", create_vcpu, 2 },
	{ "KVM_SET_MP_STATE", mp_state, 2 },
	{ "KVM_SET_VCPU_EVENTS", vcpu_events, 1 },
	{ "KVM_IRQ_LINE", irq_line, 1 },
	{ "memory slot gone and back", memory_slot, 1 },
	{ "guest memory unmapped", memory_behind, 3 },
	{ "KVM_GET_STATS_FD", stats_fd, 1 },
	{ "a vCPU's descriptor closed", close_vcpu, 1 },
	{ "nested state", nested_state, 1 },
};
#define NR (sizeof(ops) / sizeof(ops[0]))
_Static_assert(NR <= FUZZ_OP_RUN, "each has a number of its own");

void fuzz_vm_op(struct fuzz_vm *vm, struct fuzz_rng *r)
{
	unsigned int all = 0, pick, i;
	int vcpu = vm->vcpu[fuzz_below(r, vm->nr ? vm->nr : 1) % FUZZ_VCPUS].fd;

	for (i = 0; i < NR; i++)
		all += ops[i].weight;
	pick = fuzz_below(r, all);
	for (i = 0; pick >= ops[i].weight; i++)
		pick -= ops[i].weight;
	fuzz_count(vm->sh, i, ops[i].name, !ops[i].fn(vm, vcpu, r));
}
