// SPDX-License-Identifier: GPL-2.0
/*
 * Watches the host timer of the emulated PIT: how many of its deadlines come in one timer interrupt. And takes
 * the CPU away, once, from a thread that has just stopped that timer.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct hrtimer___watched {
	void *function;
} __attribute__((preserve_access_index));

volatile __u32 tid;		/* the thread */
volatile __u64 take_ns;		/* for how long, or 0; 0 once it is done */
volatile __u64 deadlines, most, most_ns;

static volatile __u64 in_row, row_now, row_began;

extern const void pit_timer_fn __ksym;

static __always_inline _Bool is_pit(__u64 timer)
{
	return BPF_CORE_READ((struct hrtimer___watched *)timer, function) == &pit_timer_fn;
}

static long passed(__u32 i, __u64 *end)
{
	return bpf_ktime_get_ns() >= *end;
}

SEC("tp_btf/hrtimer_cancel")
int on_cancel(__u64 *ctx)
{
	__u64 end;

	if (!take_ns || (__u32)bpf_get_current_pid_tgid() != tid || !is_pit(ctx[0]))
		return 0;
	end = bpf_ktime_get_ns() + take_ns;
	take_ns = 0;
	bpf_loop(1 << 23, passed, &end, 0);
	return 0;
}

/* All timers that one pass of the interrupt comes to are told the same time. */
SEC("tp_btf/hrtimer_expire_entry")
int on_expire(__u64 *ctx)
{
	__u64 now, ns;

	if (!is_pit(ctx[0]))
		return 0;
	if (bpf_probe_read_kernel(&now, sizeof(now), (void *)ctx[1]))
		return 0;
	deadlines++;
	if (now != row_now) {
		row_now = now;
		row_began = bpf_ktime_get_ns();
		in_row = 0;
	}
	in_row++;
	if (in_row > most)
		most = in_row;
	ns = bpf_ktime_get_ns() - row_began;
	if (ns > most_ns)
		most_ns = ns;
	return 0;
}
