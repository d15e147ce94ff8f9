#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The unit tests under valgrind: no error, nothing lost. They are built without sanitizers for this, but for those of
# policies, which have them always. Minutes; skipped where there is no valgrind.
cd "$(dirname "$0")/../.." || exit 1
command -v valgrind >/dev/null || { echo '1..0 # SKIP no valgrind'; exit 0; }
dir=build/tests/memcheck
make -s -j2 TWCTL_TEST_DIR=$dir TWCTL_TEST_FLAGS='-std=gnu11 -g -O1 -Wall -Wextra -Itests/unit' unit >build/memcheck.log 2>&1 ||
	{ cat build/memcheck.log; exit 1; }
# Not those of processes that hold and kill one another at each instruction: valgrind stands between, and 3.19 knows
# no pidfd. Nor layout_test, which has a process's stack mute where the kernel has begun it: valgrind's process has another. Nor
# the arithmetic of thousands of series, which would take hours.
n=0 failed=0
for t in "$dir"/*_test; do
	case ${t##*/} in fold_test | layout_test | session_test | probes_test | judge_synthetic_test) continue ;; esac
	nm "$t" | grep -q __asan_init && continue
	n=$((n + 1))
	if valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite --show-leak-kinds=definite \
		"$t" >build/memcheck.log 2>&1; then
		echo "ok $n - ${t##*/}"
	else
		echo "not ok $n - ${t##*/}"
		grep -E '^==|^not ok' build/memcheck.log | head -60 | sed 's/^/# /'
		failed=1
	fi
done
echo "1..$n"
exit $failed
