#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What gcc's analyser finds in twctl's sources: nothing. Some minutes; its findings are shown.
cd "$(dirname "$0")/../.." || exit 1
. tools/lib.sh
need_kernel
libbpf=$TW_LIBBPF
files=("$@")
[ $# -gt 0 ] || files=(user/*.c user/lib/*.c user/lib/*/*.c)
echo "1..${#files[@]}"
printf '%s\n' "${files[@]}" | xargs -P 2 -I{} sh -c '
	found=$(gcc -D_GNU_SOURCE -Iuser -Iuser/lib -Ibpf/include -Ibuild/skel -I"$1/include" -I"$1/include/uapi" -DTW_VERSION=\"\" \
		-std=gnu11 -O1 -fanalyzer -fdiagnostics-plain-output -c "$2" -o /dev/null 2>&1)
	if [ -z "$found" ]; then echo "ok - $2"; else echo "not ok - $2"; echo "$found" | sed "s/^/# /"; fi' - "$libbpf" {} >build/analyze.log
cat build/analyze.log
! grep -q '^not ok' build/analyze.log
