/* SPDX-License-Identifier: GPL-2.0 */
/* How a reading of a clock that QEMU keeps is known; what bpf/reads.bpf.c counts of them, and user/lib/clock_reads.c reads. */
#ifndef TW_READS_BPF_H
#define TW_READS_BPF_H

#define TW_HPET_COUNTER 0xfed000f0ULL
/* Where firmware puts it: SeaBIOS and OVMF on q35, SeaBIOS on pc; OVMF on pc */
#define TW_PM_TIMER 0x608
#define TW_PM_TIMER_OVMF 0xb008

struct tw_reads {
	unsigned int pid;		/* of the VM's process */
	unsigned long long hpet, pm_timer;	/* how often their counters were read */
};

/* kvm_mmio has type, len, gpa, val: of type 0 is a reading that nobody in the kernel answers */
static inline __attribute__((always_inline)) _Bool tw_reads_hpet(const unsigned long long *args)
{
	return !args[0] && args[2] - TW_HPET_COUNTER < 8;
}

/* kvm_pio has rw, port, size, count, data: 0 is in */
static inline __attribute__((always_inline)) _Bool tw_reads_pm_timer(const unsigned long long *args)
{
	return !args[0] && (args[1] == TW_PM_TIMER || args[1] == TW_PM_TIMER_OVMF);
}

#endif /* TW_READS_BPF_H */
