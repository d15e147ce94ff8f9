// SPDX-License-Identifier: GPL-2.0
/*
 * wander - third example: a clock that drifts to and fro, as a warm and a cold quartz does
 *
 * The factor goes from 1 - ppm to 1 + ppm and back, once in a period of host time, in 64 steps. It
 * shows arithmetic without floating point (parts per billion in integers), state that one decision
 * leaves for the next, random numbers, and counters that "twctl status" shows. For tests of what
 * guests do about a bad clock: with chrony or ntpd in it, a guest should follow.
 */
#include "timewarp.bpf.h"

TIMEWARP_SUMMARY("a clock that drifts to and fro, with some noise");

TIMEWARP_PARAM(__u64, ppm, 100, 0, 100000, "ppm", "how far off at the worst");
TIMEWARP_PARAM(__u64, noise, 0, 0, 1000, "ppm", "random, added at each step");
TIMEWARP_PARAM(__u64, period, 60000000000ULL, 1000000000ULL, 86400000000000ULL, "ns", "of host time");

TIMEWARP_COUNTER(steps, "", "steps taken");
TIMEWARP_COUNTER_SIGNED(ppb_off, "ppb", "how far off it is at present: fast, or below 0 slow");
TIMEWARP_EXIT_RECORD(wander_exit)

#define STEPS 64
#define BILLION 1000000000ULL

static volatile __u64 start;

/* A triangle: 0 to 64 to 0, for 0 to 128 */
static __always_inline __u64 triangle(__u64 i)
{
	i %= 2 * STEPS;
	return i <= STEPS ? i : 2 * STEPS - i;
}

TIMEWARP_DECIDE(wander_decide, view, answer)
{
	__u64 step = period / (2 * STEPS);
	__u64 worst = ppm * 1000, jitter = noise * 1000;
	__u64 i, rate;

	/* by another hand than twctl's there may be anything in a parameter */
	if (step < TIMEWARP_MIN_INTERVAL_NS || worst > BILLION / 2 || jitter > BILLION / 4)
		return -ERANGE;
	if (view->event <= KVM_TIMEWARP_PARAMS)
		start = view->host_ns;
	i = (view->host_ns - start) / step;
	/* BILLION + worst * (triangle - 32) / 32, in an order that never goes below 0 */
	rate = BILLION - worst + worst * triangle(i) * 2 / STEPS;
	if (jitter)
		rate += bpf_get_prandom_u32() % (2 * jitter + 1) - jitter;
	steps++;
	ppb_off = rate - BILLION;
	answer->factor_num = rate;
	answer->factor_den = BILLION;
	answer->next_host_ns = start + (i + 1) * step;
	return 0;
}

TIMEWARP_OPS(wander, .decide = (void *)wander_decide, .exit = (void *)wander_exit);
