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

#define HPET_COUNTER 0xfed000f0ULL
/* Where firmware puts it: SeaBIOS and OVMF on q35, SeaBIOS on pc; OVMF on pc */
#define PM_TIMER 0x608
#define PM_TIMER_OVMF 0xb008

volatile struct tw_reads reads = {};

static __always_inline _Bool is_its(void)
{
	return bpf_get_current_pid_tgid() >> 32 == reads.pid;
}

/* type, len, gpa, val: of type 0 is a reading that nobody in the kernel answers */
SEC("raw_tp/kvm_mmio")
int reads_mmio(const __u64 *args)
{
	if (!args[0] && args[2] - HPET_COUNTER < 8 && is_its())
		__sync_fetch_and_add(&reads.hpet, 1);
	return 0;
}

/* rw, port, size, count, data: 0 is in */
SEC("raw_tp/kvm_pio")
int reads_pio(const __u64 *args)
{
	if (!args[0] && (args[1] == PM_TIMER || args[1] == PM_TIMER_OVMF) && is_its())
		__sync_fetch_and_add(&reads.pm_timer, 1);
	return 0;
}
