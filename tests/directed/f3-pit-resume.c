// SPDX-License-Identifier: GPL-2.0
/*
 * F3: the PIT's deadlines that guest time has passed by when a policy ends are owed or lost at once. The host's
 * timer does not come to each of them in turn, in one interrupt. Between the moment at which that timer is
 * stopped and the policy's last, guest time goes on by the factor; a tracing program takes the CPU away there,
 * as another thread, or what the host itself is a guest of, can.
 *
 * Before (d852dbf~1): 20000 deadlines, of 4 s of guest time, in one interrupt, and 9317 interrupts in the guest where
 * 2000 were due; with more of guest time than the host has been up for the PIT fell silent.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "polbpf.h"
#include "tinyvm.h"

#define AWAY_MS		40
#define AFTER_MS	200
#define PERIODS		(AFTER_MS * 5)	/* in these, at KVM's min_timer_period_us of 200 */
#define OWED		1000		/* PIT_MAX_OWED */

static struct pol watch;

/* The PIT's interrupt by way of the IOAPIC, and not by way of the PIC as well */
static void wire(struct tiny *vm)
{
	struct kvm_irqchip chip;

	for (int i = KVM_IRQCHIP_PIC_MASTER; i <= KVM_IRQCHIP_IOAPIC; i++) {
		memset(&chip, 0, sizeof(chip));
		chip.chip_id = i;
		IOCTL(vm->fd, KVM_GET_IRQCHIP, &chip);
		if (i == KVM_IRQCHIP_IOAPIC)
			chip.chip.ioapic.redirtbl[0].bits = TINY_VECTOR;
		else
			chip.chip.pic.imr = 0xff;
		IOCTL(vm->fd, KVM_SET_IRQCHIP, &chip);
	}
}

/* A policy at this factor ends while the CPU is away for so long with the PIT's timer stopped */
static void at(const char *what, unsigned int factor, unsigned int mode, bool reinject)
{
	static struct tiny vm;
	struct kvm_reinject_control control = { .pit_reinject = reinject };
	struct kvm_pit_state2 pit = { 0 };
	volatile uint64_t *irqs;
	uint64_t got, most, n;
	double start, took;
	struct pol p;
	int r;

	tiny_create(&vm, 1, 0, NULL);
	irqs = (uint64_t *)(vm.mem + TINY_IRQS);
	wire(&vm);
	IOCTL(vm.fd, KVM_REINJECT_CONTROL, &control);
	/* It halts: one that spins leaves the other CPU of an emulated host no time between two timers */
	tiny_start(&vm, 0, guest_ticks, 1ULL << 62);
	sleep_ms(5);
	/* As short as KVM has it */
	pit.channels[0] = (struct kvm_pit_channel_state){ .mode = 2, .gate = 1, .count = 1 };
	IOCTL(vm.fd, KVM_SET_PIT2, &pit);
	r = pol_open(&p, "build/bpf/constant.bpf.o");
	pol_u64(&p, "factor")[0] = factor;
	if (!r)
		r = pol_load(&p, vm.fd, mode);
	if (!r)
		r = pol_attach(&p);
	if (r)
		bail("%s: the policy does not attach: %s", what, strerror(-r));
	got = *irqs;
	for (start = now(); *irqs < got + 10 && now() - start < 5; )
		sleep_ms(5);
	if (*irqs < got + 10)
		bail("%s: the PIT does not tick", what);

	*pol_u64(&watch, "deadlines") = *pol_u64(&watch, "most") = *pol_u64(&watch, "most_ns") = 0;
	*pol_u64(&watch, "take_ns") = AWAY_MS * 1000000ULL;
	got = *irqs;
	start = now();
	pol_detach(&p);
	took = now() - start;
	sleep_ms(AFTER_MS);
	got = *irqs - got;
	most = *pol_u64(&watch, "most");
	n = *pol_u64(&watch, "deadlines");
	note("%s: %.3f s to detach; in %d ms %llu deadlines and %llu interrupts in the guest; at most %llu deadlines, and %.3f ms, in one interrupt of the host",
	     what, took, AFTER_MS, (unsigned long long)n, (unsigned long long)got, (unsigned long long)most,
	     *pol_u64(&watch, "most_ns") / 1e6);
	if (*pol_u64(&watch, "take_ns"))
		bail("%s: the CPU was not away", what);
	/* One that is late by a tick of its own comes to those of 4 ms, as without a series */
	ok(most < 100, "%s: the host comes to %llu deadlines in one interrupt at most", what, (unsigned long long)most);
	ok(n >= PERIODS / 2, "%s: the PIT goes on at once", what);
	/* Those of 100 ms more, if the detach takes as long */
	ok(got <= PERIODS * 3 / 2 + (reinject ? OWED : 0), "%s: the guest gets no more interrupts than it is owed", what);
	if (reinject)
		ok(got >= PERIODS / 2 + OWED, "%s: nor less", what);
	pol_close(&p);
	tiny_destroy(&vm);
}

int main(void)
{
	struct bpf_program *prog;

	libbpf_set_print(NULL);
	watch.obj = bpf_object__open_file("build/tests/directed/pit.bpf.o", NULL);
	if (!watch.obj || bpf_object__load(watch.obj))
		bail("pit.bpf.o does not load: %s", strerror(errno));
	*(volatile uint32_t *)pol_var(&watch, "tid") = getpid();
	bpf_object__for_each_program(prog, watch.obj)
		if (!bpf_program__attach(prog))
			bail("%s does not attach: %s", bpf_program__name(prog), strerror(errno));

	/* Nor is there much at 10 us */
	put("/sys/module/kvm/parameters/timewarp_floor_ns", "100000");
	at("4 s of guest time", 4000 / AWAY_MS, POL_AUTO, true);
	at("4 s, not reinjected", 4000 / AWAY_MS, POL_AUTO, false);
	/* Longer than the host has been up */
	at("400 s", 400000 / AWAY_MS, POL_TRAPPED, true);
	at("400 s, not reinjected", 400000 / AWAY_MS, POL_TRAPPED, false);
	put("/sys/module/kvm/parameters/timewarp_floor_ns", "10000");
	return tap_end();
}
