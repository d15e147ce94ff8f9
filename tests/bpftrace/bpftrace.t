#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
cd "$(dirname "$0")/../.." || exit 1
# Stock: the scripts need nothing of the patch.
exec tools/testhost --stock --smp 1 --timeout 280 tests/bpftrace/in-host
