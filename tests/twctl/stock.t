#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# What needs the distribution's own modules, in one boot: what twctl says where there is little or much to trace, and on a
# terminal; twctl doctor; some of tools/bpftrace. Edges come first, as they unload KVM. Names of these scripts take some of them.
cd "$(dirname "$0")/../.." || exit 1
[ $# -gt 0 ] || set -- tests/twctl/edges-on-host tests/twctl/doctor-on-host tests/bpftrace/in-host
exec tools/testhost --stock --smp 1 --timeout 1500 -- tests/host/all "$@"
