#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# An unmodified Debian under factors, stops, a reboot and a save, on a test host: see tests/age/lives-live.t, which runs there.
TW_TIMEOUT=${TW_TIMEOUT:-10800} exec "$(dirname "$0")/with-debian" tests/age/lives-live.t
