// SPDX-License-Identifier: GPL-2.0
/*
 * One fault of each kind that a debug kernel looks for, on purpose: insmod provoke.ko what=NAME.
 * It never stays loaded: insmod fails with ECANCELED once the fault is done, with EINVAL for an unknown name.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

static char *what = "";
module_param(what, charp, 0444);

static void provoke_uaf(void)
{
	u64 *p = kmalloc(64, GFP_KERNEL);

	if (!p)
		return;
	kfree(p);
	WRITE_ONCE(p[2], 1);
}

static void provoke_leak(void)
{
	int i;

	/* Several: one may be found by a word that a stack still has. */
	for (i = 0; i < 16; i++)
		memset(kmalloc(512, GFP_KERNEL), i + 1, 512);
}

static u64 raced;

static int provoke_race_fn(void *unused)
{
	while (!kthread_should_stop()) {
		raced++;
		cond_resched();
	}
	return 0;
}

static void provoke_race(void)
{
	struct task_struct *t[2];
	int i;

	for (i = 0; i < 2; i++)
		t[i] = kthread_run(provoke_race_fn, NULL, "provoke/%d", i);
	msleep(5000);
	for (i = 0; i < 2; i++)
		if (!IS_ERR(t[i]))
			kthread_stop(t[i]);
}

static DEFINE_MUTEX(provoke_a);
static DEFINE_MUTEX(provoke_b);

static void provoke_lock(void)
{
	mutex_lock(&provoke_a);
	mutex_lock(&provoke_b);
	mutex_unlock(&provoke_b);
	mutex_unlock(&provoke_a);
	mutex_lock(&provoke_b);
	mutex_lock(&provoke_a);
	mutex_unlock(&provoke_a);
	mutex_unlock(&provoke_b);
}

static DEFINE_SPINLOCK(provoke_spin);

static void provoke_sleep(void)
{
	spin_lock(&provoke_spin);
	might_sleep();
	spin_unlock(&provoke_spin);
}

static enum hrtimer_restart provoke_timer_fn(struct hrtimer *timer)
{
	return HRTIMER_NORESTART;
}

static void provoke_timer(void)
{
	struct hrtimer *timer = kzalloc(sizeof(*timer), GFP_KERNEL);

	if (!timer)
		return;
	hrtimer_init(timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	timer->function = provoke_timer_fn;
	hrtimer_start(timer, ns_to_ktime(3600 * NSEC_PER_SEC), HRTIMER_MODE_REL);
	kfree(timer);
}

static u64 shifted;

static void provoke_shift(void)
{
	int by = 64;

	OPTIMIZER_HIDE_VAR(by);
	WRITE_ONCE(shifted, 1ULL << by);
}

static void provoke_list(void)
{
	LIST_HEAD(head);
	struct list_head entry;

	list_add(&entry, &head);
	head.next = &head;
	list_del(&entry);
}

static const struct {
	const char *name;
	void (*fn)(void);
} provoke_table[] = {
	{ "uaf", provoke_uaf },
	{ "leak", provoke_leak },
	{ "race", provoke_race },
	{ "lock", provoke_lock },
	{ "sleep", provoke_sleep },
	{ "timer", provoke_timer },
	{ "shift", provoke_shift },
	{ "list", provoke_list },
};

static int __init provoke_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(provoke_table); i++) {
		if (strcmp(what, provoke_table[i].name))
			continue;
		provoke_table[i].fn();
		return -ECANCELED;
	}
	return -EINVAL;
}
module_init(provoke_init);

MODULE_DESCRIPTION("Faults on purpose, to see a debug kernel see them");
MODULE_LICENSE("GPL");
