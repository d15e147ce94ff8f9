// SPDX-License-Identifier: GPL-2.0
/* While it is loaded each timeline takes its anchor for one that is far away, as it would after days at 10000x. */
#include <linux/kprobes.h>
#include <linux/module.h>

static int far_answer(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	regs_set_return_value(regs, 1);
	return 0;
}

static struct kretprobe far_probe = {
	.kp.symbol_name = "timeline_far",
	.handler = far_answer,
	.maxactive = 16,
};

static int __init far_init(void)
{
	return register_kretprobe(&far_probe);
}
module_init(far_init);

static void __exit far_exit(void)
{
	unregister_kretprobe(&far_probe);
}
module_exit(far_exit);

MODULE_DESCRIPTION("Has anchors of timelines be far away, for a test");
MODULE_LICENSE("GPL");
