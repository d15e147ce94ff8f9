#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# No shell script of this tree, whatever it is called, has anything that shellcheck warns of, or find at a terminal; and perl
# compiles each of its own, those too that only a test host would run.
cd "$(dirname "$0")/../.." || exit 1
. tests/build/tap.sh
command -v shellcheck >/dev/null || { echo '1..0 # SKIP no shellcheck: make setup'; exit 0; }
# By their first line, and lib.sh's kind by what it tells shellcheck
mapfile -t scripts < <(find . \( -path ./build -o -path ./.git -o -path './debian/timewarp*/*' -o -path './debian/tmp' \) -prune -o -type f \
	-exec awk 'FNR == 1 && (/^#! *\/(usr\/)?bin\/(env )?(bash|sh)( |$)/ || /^# shellcheck shell=/) { print FILENAME } FNR > 1 { nextfile }' {} + | LC_ALL=C sort)
ok "there are scripts: ${#scripts[@]}" test "${#scripts[@]}" -ge 90
says_nothing() { printf '%s\0' "${scripts[@]}" | xargs -0 -n 8 -P "$(nproc)" shellcheck -x -S warning; }
ok "shellcheck warns of nothing in them" says_nothing
# Which shellcheck does not know, and find says to a terminal only
late() { grep -nE '\<find [^|;]* -(name|path|type|user|newer|o) [^|;]*-(min|max)depth ' "${scripts[@]}"; }
ok "find has its depths before its tests" finds_nothing late
mapfile -t perls < <(find tests tools -type f -exec awk 'FNR == 1 && /^#! *\/usr\/bin\/perl/ { print FILENAME } FNR > 1 { nextfile }' {} + | LC_ALL=C sort)
ok "there are scripts of perl: ${#perls[@]}" test "${#perls[@]}" -ge 40
uncompiled() { local f; for f in "${perls[@]}"; do perl -Itests/host/lib -Itests/debug/lib -c "$f" 2>&1 | grep -v ' syntax OK$'; done; }
ok "perl compiles them" finds_nothing uncompiled
done_testing
