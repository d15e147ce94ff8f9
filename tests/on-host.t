#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Boots a test host and runs tests/host/*.t (or those named as arguments) in it, with real guests.
# Also fails when the host's kernel log has something new: testhost then ends with 125.
cd "$(dirname "$0")/.." || exit 1

# TAP of the host's own, its plan held back until it is known whether the host was fine.
out=$(mktemp) || exit 1
trap 'rm -f "$out"' EXIT
tools/testhost --timeout "${TW_TIMEOUT:-3600}" tests/host/all "$@" 2>&1 | tee "$out" | grep -v '^1\.\.'
rc=${PIPESTATUS[0]}
n=$(grep -cE '^(not )?ok ' "$out")
if [ "$rc" -eq 125 ] || [ "$rc" -eq 124 ] || ! grep -q '^1\.\.' "$out"; then
	echo "not ok $((n + 1)) - the host lives to the end, its kernel log clean (testhost: status $rc)"
else
	echo "ok $((n + 1)) - the host lives to the end, its kernel log clean"
fi
echo "1..$((n + 1))"
[ "$rc" -eq 0 ]
