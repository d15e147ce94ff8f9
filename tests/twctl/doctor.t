#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
cd "$(dirname "$0")/../.." || exit 1
exec tools/testhost --stock --smp 1 --timeout 900 tests/twctl/doctor-on-host
