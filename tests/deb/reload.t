#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timewarp-reload on a test host: real modules, stock and patched, are swapped, refused, and put back.
cd "$(dirname "$0")/../.." || exit 1
exec tools/testhost --smp 1 --timeout "${TW_TIMEOUT:-5400}" -- tests/deb/reload-on-host
