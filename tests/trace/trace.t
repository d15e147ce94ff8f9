#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# What twctl trace, hist and stat count, to the tick, on the distribution's own modules.
#   tests/trace/trace.t --patched: on the rebuilt ones
cd "$(dirname "$0")/../.." || exit 125
stock=--stock
[ "${1:-}" != --patched ] || { stock=; shift; }
# shellcheck disable=SC2086 # one word or none
exec tools/testhost $stock --smp 1 --timeout "${TW_TIMEOUT:-1200}" -- tests/trace/in-host "$@"
