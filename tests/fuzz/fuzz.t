#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Each fuzzer runs for FUZZ_SECONDS (default 5, and 30 in make check-all) and finds nothing.
cd "$(dirname "$0")/../.." || exit 1
n=0 failed=0
seconds=${FUZZ_SECONDS:-${TW_LONG:+30}}
seconds=${seconds:-5}
dir=build/tests/fuzz
for f in "$dir"/*_fuzz; do
	n=$((n + 1))
	mkdir -p "$f.corpus"
	if timeout 300 "$f" -max_total_time="$seconds" -artifact_prefix="$f." "$f.corpus" >"$f.log" 2>&1; then
		echo "ok $n - ${f##*/} finds nothing in $seconds s ($(grep -c . "$f.log") lines of log)"
	else
		echo "not ok $n - ${f##*/}"
		tail -30 "$f.log" | sed 's/^/# /'
		failed=$((failed + 1))
	fi
done
[ $n -gt 0 ] || { echo "1..0 # SKIP no fuzzer was built"; exit 1; }
echo "1..$n"
[ $failed -eq 0 ]
