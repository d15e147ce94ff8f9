// SPDX-License-Identifier: GPL-2.0
/* Marks the host's TSC unstable, as the clocksource watchdog would, for good. */
#include <linux/module.h>
#include <asm/tsc.h>

static int __init unstable_init(void)
{
	mark_tsc_unstable("a test of timewarp");
	return 0;
}
module_init(unstable_init);

static void __exit unstable_exit(void)
{
}
module_exit(unstable_exit);

MODULE_DESCRIPTION("Marks the TSC unstable, for a test");
MODULE_LICENSE("GPL");
