#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Some of the scripts, on a host of their own; all.t takes all. In make check they run in that of tests/twctl/stock.t.
#   tests/bpftrace/bpftrace.t [OPTION of tools/testhost, such as --kernel 6.1]
cd "$(dirname "$0")/../.." || exit 1
# Stock: the scripts need nothing of the patch.
exec tools/testhost --stock --smp 1 --timeout 900 "$@" -- tests/bpftrace/in-host
