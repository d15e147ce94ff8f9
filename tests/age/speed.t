#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# How fast an unmodified Debian that has nothing to do lives under skip-idle, on a test host, with QEMU's user network:
# see tests/age/speed-live.t, which runs there. Prints the figures; some five minutes.
exec "$(dirname "$0")/with-debian" tests/age/speed-live.t
