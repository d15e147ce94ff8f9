// SPDX-License-Identifier: GPL-2.0
/*
 * constant - the guest lives at one factor, which can be changed live
 *
 *	twctl attach --vm my-guest --factor 50
 *	twctl set    --vm my-guest --factor 1/3
 *
 * The policy to read first.  It shows
 *   - a parameter, which arrives exactly (1/3 stays 1/3) and may change at any time;
 *   - a decision: say which factor you want, and when you want to be asked again.  This one
 *     never asks to be: it is called at attach, at a swap, and when its parameter changes;
 *   - the exit record, by which twctl can tell why the policy ended, even after the VM is gone;
 *   - the table that ties it together.
 *
 * There is nothing to check here: the kernel clamps a factor that the VM's TSC mode cannot do, and
 * counts the clamp.
 */
#include "timewarp.bpf.h"

TIMEWARP_SUMMARY("one factor, which can be changed live");

TIMEWARP_PARAM_FACTOR(factor, 1, 1, "guest seconds per host second");

TIMEWARP_EXIT_RECORD(constant_exit)

TIMEWARP_DECIDE(constant_decide, view, answer)
{
	answer->factor_num = factor.num;
	answer->factor_den = factor.den;
	return 0;
}

TIMEWARP_OPS(constant,
	     .decide = (void *)constant_decide,
	     .exit = (void *)constant_exit);
