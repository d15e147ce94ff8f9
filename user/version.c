// SPDX-License-Identifier: GPL-2.0
/* twctl version: its own, and the ABI of the kernel it finds. */
#include <stdio.h>

#include "host.h"
#include "twctl.h"

#ifndef TW_VERSION
#define TW_VERSION "unknown"
#endif

const char *tw_version(void)
{
	return TW_VERSION;
}

static int run(const struct tw_args *args, struct tw_err *e)
{
	struct tw_json j = { .f = stdout };
	int abi = tw_host_abi();

	(void)e;
	if (!args->json) {
		tw_printf("twctl %s, ABI %d\n", TW_VERSION, KVM_TIMEWARP_ABI);
		if (abi < 0)
			tw_printf("kernel: no timewarp hook found\n");
		else
			tw_printf("kernel: timewarp hook, ABI %d\n", abi);
		return TW_OK;
	}
	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "version", TW_VERSION);
	tw_json_int(&j, "abi", KVM_TIMEWARP_ABI);
	if (abi < 0)
		tw_json_null(&j, "kernel_abi");
	else
		tw_json_int(&j, "kernel_abi", abi);
	tw_json_close(&j, '}');
	tw_json_end(&j);
	return TW_OK;
}

const struct tw_verb tw_verb_version = {
	.name = "version",
	.synopsis = "",
	.summary = "show the versions of twctl and of the kernel's hook",
	.run = run,
};
