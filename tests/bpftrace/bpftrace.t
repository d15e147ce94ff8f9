#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Some of the scripts, as LLVM takes its time for each on an emulated host; all.t takes all.
#   tests/bpftrace/bpftrace.t [OPTION of tools/testhost, such as --kernel 6.1]
cd "$(dirname "$0")/../.." || exit 1
# Stock: the scripts need nothing of the patch.
export TW_SCRIPTS=${TW_SCRIPTS:-lapic-lost kvmclock-back pit-backlog}
exec tools/testhost --stock --smp 1 --timeout 900 "$@" -- tests/bpftrace/in-host
