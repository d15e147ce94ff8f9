#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
cd "$(dirname "$0")/../.." || exit 1
exec tools/testhost --smp 1 --timeout 900 -- tests/twctl/on-host.sh
