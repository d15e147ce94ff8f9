// SPDX-License-Identifier: GPL-2.0
/*
 * P4: an anchor that is far away is moved near by the timeline itself, without a policy that asks for anything and
 * without kvmclock's periodic work: that can be switched off, and 7.3 has none. No clock notices.
 * A module says that it is far; it would take days at 10000x.
 *
 * Before (the series of 34 patches, ported): the anchor stays where it is for as long as nothing changes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tinyvm.h"

struct page {
	volatile uint32_t version, pad;
	volatile uint64_t tsc, ns;
	volatile uint32_t mul;
	volatile int8_t shift;
	volatile uint8_t flags;
};

/* The guest's page, whole; it is written by a vCPU of that guest alone */
static struct page page_of(struct tiny *vm)
{
	struct page *p = (struct page *)(vm->mem + TINY_KVMCLOCK), copy;

	do {
		memcpy(&copy, (void *)p, sizeof(copy));
	} while (copy.version & 1 || copy.version != p->version);
	return copy;
}

static uint64_t at_tsc(const struct page *p, uint64_t tsc)
{
	uint64_t delta = tsc - p->tsc;

	delta = p->shift < 0 ? delta >> -p->shift : delta << p->shift;
	return p->ns + (uint64_t)((unsigned __int128)delta * p->mul >> 32);
}

int main(void)
{
	static struct tiny vm;
	const char *module = getenv("FAR_KO");
	uint64_t anchor, decisions, ticks, tsc;
	struct page before, after;
	char cmd[512];
	int64_t off;

	if (!module)
		bail("FAR_KO names no module");
	tiny_create(&vm, 1, 0, NULL);
	tiny_set_kvmclock(&vm, 0);
	/* A tick each 10 ms of the host */
	tiny_start(&vm, 0, guest_ticks, 100000000);
	if (!ok(!twctl("attach --vm %d --vmm off --pin --factor 10", getpid()), "twctl attaches policy constant"))
		bail("%s", tw_said());
	sleep_ms(50);
	before = page_of(&vm);
	anchor = state_num(getpid(), vm.fd, "pv_tsc");
	decisions = state_num(getpid(), vm.fd, "decisions");
	ok(before.tsc == anchor && before.mul, "the guest's page has the timeline's anchor");
	sleep_ms(11000);
	ok(state_num(getpid(), vm.fd, "pv_tsc") == anchor, "one that is near stays for 11 s");

	snprintf(cmd, sizeof(cmd), "insmod %s", module);
	if (system(cmd))
		bail("%s failed", cmd);
	tsc = tiny_area(&vm, 0)->tsc;
	for (int i = 0; i < 220 && state_num(getpid(), vm.fd, "pv_tsc") == anchor; i++)
		sleep_ms(50);
	if (system("rmmod far"))
		bail("rmmod failed");
	sleep_ms(50);
	after = page_of(&vm);
	ok(state_num(getpid(), vm.fd, "pv_tsc") > tsc, "one that is far is moved within 11 s, to where the guest's TSC is");
	ok(state_num(getpid(), vm.fd, "decisions") == decisions, "the policy was not asked (%llu times)",
	   (unsigned long long)(state_num(getpid(), vm.fd, "decisions") - decisions));
	ok(after.tsc == state_num(getpid(), vm.fd, "pv_tsc"), "the guest's page follows");
	off = after.ns - at_tsc(&before, after.tsc);
	ok(off >= -2 && off <= 2, "kvmclock goes on from what it was by the old one (%lld ns off)", (long long)off);

	ticks = tiny_area(&vm, 0)->count;
	tsc = tiny_area(&vm, 0)->tsc;
	sleep_ms(200);
	ok(tiny_area(&vm, 0)->count > ticks + 10 && tiny_area(&vm, 0)->tsc > tsc, "the guest's timer goes on (%llu ticks in 200 ms)",
	   (unsigned long long)(tiny_area(&vm, 0)->count - ticks));
	ok(!twctl("detach --vm %d", getpid()), "twctl detaches");
	tiny_destroy(&vm);
	return tap_end();
}
