// SPDX-License-Identifier: GPL-2.0
/*
 * reads - which of the clocks that QEMU keeps a guest reads
 *
 * A guest may have kvmclock, and go by another clock nevertheless: it says so by reading that, which takes it to QEMU
 * each time. Counted for one VM's process at a time.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "reads.h"

char LICENSE[] SEC("license") = "GPL";

volatile struct tw_reads reads = {};

static __always_inline _Bool is_its(void)
{
	return bpf_get_current_pid_tgid() >> 32 == reads.pid;
}

SEC("raw_tp/kvm_mmio")
int reads_mmio(const __u64 *args)
{
	if (tw_reads_hpet(args) && is_its())
		__sync_fetch_and_add(&reads.hpet, 1);
	return 0;
}

SEC("raw_tp/kvm_pio")
int reads_pio(const __u64 *args)
{
	if (tw_reads_pm_timer(args) && is_its())
		__sync_fetch_and_add(&reads.pm_timer, 1);
	return 0;
}
