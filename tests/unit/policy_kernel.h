/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a policy that is compiled for this machine finds of the kernel. Included after the policy; its random numbers are
 * each test's own.
 */
#ifndef POLICY_KERNEL_H
#define POLICY_KERNEL_H

__u64 tw_unit_now_ns;
unsigned long tw_unit_told;

__u64 kvm_timewarp_host_tsc(void)
{
	return 0;
}

int kvm_timewarp_ask(__u32 id)
{
	(void)id;
	return 0;
}

__u64 kvm_timewarp_mul_div(__u64 a, __u64 b, __u64 c)
{
	unsigned __int128 q = c ? (unsigned __int128)a * b / c : 0;

	return !c || q > ~0ULL ? ~0ULL : (__u64)q;
}

#endif /* POLICY_KERNEL_H */
