/* SPDX-License-Identifier: GPL-2.0 */
/* What bpf/reads.bpf.c counts, and user/lib/clock_reads.c reads. */
#ifndef TW_READS_BPF_H
#define TW_READS_BPF_H

struct tw_reads {
	unsigned int pid;		/* of the VM's process */
	unsigned long long hpet, pm_timer;	/* how often their counters were read */
};

#endif /* TW_READS_BPF_H */
