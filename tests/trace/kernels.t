#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The verbs that need no patch on Debian 12's 6.1 and on the newest kernel that Debian has, stock: a boot for each.
#   tests/trace/kernels.t [KERNEL...]
# tools/setup --kernel KERNEL fetches one; without it, its part is skipped.
cd "$(dirname "$0")/../.." || exit 1
[ $# -gt 0 ] || set -- 6.1 newest
n=0 failed=0
for kernel; do
	n=$((n + 1))
	if ! tools/setup --quiet --check --kernel "$kernel" 2>/dev/null; then
		echo "ok $n - $kernel # SKIP not in the cache: tools/setup --kernel $kernel"
		continue
	fi
	tools/testhost --stock --kernel "$kernel" --smp 1 --timeout 300 -- tests/trace/kernels-on-host 2>&1 | sed 's/^/    /'
	if [ "${PIPESTATUS[0]}" = 0 ]; then
		echo "ok $n - $kernel"
	else
		echo "not ok $n - $kernel"
		failed=1
	fi
done
echo "1..$n"
exit $failed
