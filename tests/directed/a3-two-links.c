// SPDX-License-Identifier: GPL-2.0
/*
 * A3: of two links of one struct_ops table the second is refused, or each belongs to the VM that it
 * was made for, whichever is closed first.
 *
 * Before (bfb642f): the second link is made; closing the first one detaches the second VM and leaves the first.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "polbpf.h"
#include "tinyvm.h"

#define FD 700	/* what the table calls its VM */

static bool attached(struct tiny *vm)
{
	return state_num(getpid(), vm->fd, "attached") == 1;
}

static void round_of(bool first_goes_first)
{
	const char *order = first_goes_first ? "the first link is closed first" : "the second link is closed first";
	struct tiny vm[2];
	struct pol p;
	int link[2], r, first = first_goes_first ? 0 : 1;

	tiny_create(&vm[0], 1, 0, NULL);
	tiny_create(&vm[1], 1, 0, NULL);
	dup2(vm[0].fd, FD);
	r = pol_open(&p, "build/tests/policies/random.bpf.o");
	if (r || (r = pol_load(&p, FD, POL_AUTO)))
		bail("the policy does not load: %s", strerror(-r));
	p.link = bpf_map__attach_struct_ops(p.ops);
	if (!p.link)
		bail("the first link: %s", strerror(errno));
	link[0] = bpf_link__fd(p.link);
	dup2(vm[1].fd, FD);
	link[1] = bpf_link_create(bpf_map__fd(p.ops), 0, BPF_STRUCT_OPS, NULL);
	if (link[1] < 0) {
		ok(attached(&vm[0]) && !attached(&vm[1]), "%s: a second link of one table is refused (%s), and changes nothing",
		   order, strerror(errno));
		pol_detach(&p);
		ok(!attached(&vm[0]), "%s: the first detaches", order);
	} else {
		note("a second link of one table is made");
		ok(attached(&vm[0]) && attached(&vm[1]), "%s: each VM is attached", order);
		if (first_goes_first)
			pol_detach(&p);
		else
			close(link[1]);
		sleep_ms(200);
		ok(!attached(&vm[first]), "%s: its VM is detached", order);
		ok(attached(&vm[!first]), "%s: the other VM is not", order);
		/* Where a stale link would be used */
		put("/sys/module/kvm/parameters/timewarp", "0");
		put("/sys/module/kvm/parameters/timewarp", "1");
		if (first_goes_first)
			close(link[1]);
		else
			pol_detach(&p);
		sleep_ms(200);
	}
	ok(!attached(&vm[0]) && !attached(&vm[1]), "%s: none is attached at the end", order);
	pol_close(&p);
	close(FD);
	tiny_destroy(&vm[0]);
	tiny_destroy(&vm[1]);
}

int main(void)
{
	round_of(true);
	round_of(false);
	return tap_end();
}
