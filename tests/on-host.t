#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Boots a test host for each of tests/host/*.t (or those named as arguments) and runs it there, with a
# real guest. Also fails when the host's kernel log has something new: testhost then ends with 125.
#
# The emulator's KVM host hangs now and then while a guest runs, with the distribution's own modules
# too (an interrupt comes in while IF is 0; see README, Limits). Such a boot ends in the time-out, 124,
# says nothing about the test, and is made again, twice at most; that is shown. Failures are not.
cd "$(dirname "$0")/.." || exit 1
# One vCPU: see tools/testhost --help. SMP is tests/vmm's.
export TW_GUESTS=${TW_GUESTS:-k1}
# What fits into make check. Named as arguments, and with other values, there is more:
# sleepers, robust; TW_GUESTS="k1 t1"; TW_MODES="trapped offset" for agree.
export TW_SECONDS=${TW_SECONDS:-3} TW_FACTORS=${TW_FACTORS:-0.1 2 50} TW_READS=${TW_READS:-300000} TW_MODES=${TW_MODES:-trapped}
[ $# -gt 0 ] || set -- errors rates agree monotonic

out=$(mktemp) || exit 1
trap 'rm -f "$out"' EXIT
n=0 failed=0
for t; do
	for try in 1 2 3; do
		tools/testhost --smp 1 --timeout "${TW_TIMEOUT:-300}" tests/host/all "$t" >"$out" 2>&1
		rc=$?
		[ $rc -eq 124 ] || break
		echo "# $t: boot $try ended in a time-out of the emulator's host; its last words:"
		grep -E '^ ' "$out" | tail -3 | sed 's/^/#   /'
	done
	sed 's/^1\.\.1$//; s/^\(not \)\{0,1\}ok /    &/; s/^\([^ #]\)/# \1/' "$out"
	n=$((n + 1))
	if [ $rc -eq 0 ]; then
		echo "ok $n - $t.t holds, and the host's kernel log stays clean"
	else
		echo "not ok $n - $t.t (testhost: status $rc)"
		failed=$((failed + 1))
	fi
done
echo "1..$n"
[ $failed -eq 0 ]
