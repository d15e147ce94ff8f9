// SPDX-License-Identifier: GPL-2.0
/* nodecide - has no decision function: refused */
#include "timewarp.bpf.h"

char LICENSE[] SEC("license") = "GPL";

TIMEWARP_EXIT_RECORD(nodecide_exit)

TIMEWARP_OPS(nodecide, .exit = (void *)nodecide_exit);
