#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Each script of tools/bpftrace: see bpftrace.t.
TW_SCRIPTS=$(cd "$(dirname "$0")/../../tools/bpftrace" && echo *.bt | sed 's/\.bt//g') exec "$(dirname "$0")/bpftrace.t"
