#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Boots a test host and runs tests/age/live.t in it: twctl age on a guest that runs.
cd "$(dirname "$0")/../.." || exit 1
exec tools/testhost --smp 1 --timeout 900 -- tests/host/all tests/age/live.t
