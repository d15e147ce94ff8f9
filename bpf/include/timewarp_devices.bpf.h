/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Whether a device is at work for a guest, and how long its devices take: learnt from when there is something to do for one
 * (timewarp_vmm_kicks()).
 *
 * What a guest has asked of a device takes host time, and what leaps meanwhile makes it seem to take long. Nobody says when it
 * is done. So a device counts as at work until nothing was done for any for four times the longest pause that was seen in
 * such work, as that was how long a request took. That it was long is forgotten by and by.
 *
 * For a policy with TIMEWARP_VMMS(), which includes this after it.
 */
#ifndef TIMEWARP_DEVICES_BPF_H
#define TIMEWARP_DEVICES_BPF_H

/* What timewarp_vmm_kicks() and timewarp_vmm_own_kicks() said last, since when, and how long was waited since then */
static volatile __u64 timewarp_device_kicks, timewarp_device_own_kicks, timewarp_device_kicks_ns, timewarp_device_waited_ns;
/* The longest pause in the work under way, and what the longest has been of late */
static volatile __u64 timewarp_device_gap_ns, timewarp_device_learnt_ns;
static volatile _Bool timewarp_device_at_work;

/* At the first decision: something may be under way, and takes @most_ns at the worst */
static __always_inline void timewarp_devices_begin(const struct kvm_timewarp_view *view, __u64 most_ns)
{
	timewarp_device_kicks = timewarp_vmm_kicks();
	timewarp_device_own_kicks = timewarp_vmm_own_kicks();
	timewarp_device_kicks_ns = view->host_ns;
	timewarp_device_waited_ns = 0;
	timewarp_device_gap_ns = 0;
	timewarp_device_learnt_ns = most_ns / 4;
	timewarp_device_at_work = 1;
}

/**
 * timewarp_devices_look - at each decision: learn from what has been done for a device
 * @view: what the decision is made on
 * @waited_ns: host time since the last look of which a device may have taken all
 * @timer: a timer of the VMM's was due, so that it is no answer to anything if it was awake
 * @most_ns: what comes later than that after the last is no answer either
 *
 * Return: whether something has
 */
static __always_inline _Bool timewarp_devices_look(const struct kvm_timewarp_view *view, __u64 waited_ns, _Bool timer,
						   __u64 most_ns)
{
	__u64 kicks = timewarp_vmm_kicks(), own = timewarp_vmm_own_kicks(), pause = timewarp_device_waited_ns + waited_ns;
	_Bool late;

	timewarp_device_waited_ns = pause;
	if (kicks == timewarp_device_kicks)
		return 0;
	/* Nobody had asked for it meanwhile: an answer that was not waited for */
	late = kicks - timewarp_device_kicks == own - timewarp_device_own_kicks && !timer && pause < most_ns;
	if ((timewarp_device_at_work || late) && pause > timewarp_device_gap_ns)
		timewarp_device_gap_ns = pause;
	if (timewarp_device_gap_ns > timewarp_device_learnt_ns)
		timewarp_device_learnt_ns = timewarp_device_gap_ns;
	timewarp_device_at_work = 1;
	timewarp_device_kicks = kicks;
	timewarp_device_own_kicks = own;
	timewarp_device_kicks_ns = view->host_ns;
	timewarp_device_waited_ns = 0;
	return 1;
}

/* For how long of the host's time nothing must have been done for a device */
static __always_inline __u64 timewarp_devices_quiet_ns(__u64 least_ns, __u64 most_ns)
{
	__u64 ns = 4 * timewarp_device_learnt_ns;

	return ns < least_ns ? least_ns : ns > most_ns ? most_ns : ns;
}

/* For how much longer a device counts as at work; with 0 it does no more */
static __always_inline __u64 timewarp_devices_wait_ns(const struct kvm_timewarp_view *view, __u64 quiet_ns)
{
	__u64 since_ns = view->host_ns - timewarp_device_kicks_ns;

	if (!timewarp_device_at_work)
		return 0;
	if (since_ns < quiet_ns)
		return quiet_ns - since_ns;
	if (timewarp_device_gap_ns < timewarp_device_learnt_ns)
		timewarp_device_learnt_ns -= (timewarp_device_learnt_ns - timewarp_device_gap_ns) / 8;
	timewarp_device_gap_ns = 0;
	timewarp_device_at_work = 0;
	return 0;
}

#endif /* TIMEWARP_DEVICES_BPF_H */
