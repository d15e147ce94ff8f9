#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The kernel half: patches and files clean by checkpatch, KVM built once for the line without a warning, only
# KVM's files touched, the sizes that hook-size prints.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tools/lib.sh
. tools/lib.sh
need_kernel "${KERNEL:-}"

n=0 failed=0
ok() {	# ok STATUS NAME [LOG]
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		failed=$((failed + 1))
		[ -z "${3:-}" ] || sed 's/^/# /' "$3" | head -40
	fi
}

log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
common=kernel-patch/common line=kernel-patch/$TW_LINE

# MAINTAINERS needs no line, arch/x86/kvm/ is in it.
checkpatch() {
	GIT_DIR=/nonexistent perl "$TW_KSRC/scripts/checkpatch.pl" --strict --no-tree --max-line-length=100 \
		--ignore FILE_PATH_CHANGES "$@" >"$log" 2>&1
}

while read -r patch; do
	# From standard input, and outside of git's sight: it would take a tracked patch for a source file.
	checkpatch - <"$line/$patch"
	ok $? "checkpatch --strict finds nothing in $patch" "$log"
done < <(sed 's/#.*//; /^[[:space:]]*$/d' "$line/series")

while read -r file; do
	# A path of TRACE_INCLUDE_PATH is no division.
	case $file in *_trace.h) checkpatch --ignore SPACING --file "$file" ;; *) checkpatch --file "$file" ;; esac
	ok $? "checkpatch --strict finds nothing in ${file##*/}" "$log"
done < <(find $common "$line/timeline_line.h" -type f | sort)

! sed 's/#.*//; /^[[:space:]]*$/d' "$line/series" | (cd "$line" && xargs cat) | sed -n 's,^+++ b/,,p' |
	grep -Ev '^(arch/x86/kvm/|virt/kvm/|arch/x86/include/asm/kvm)' >"$log"
ok $? "the patches touch KVM's own files and no others" "$log"

tools/build-kvm >"$log" 2>&1
ok $? "KVM builds without warnings" "$log"

echo "1..$n"
[ $failed -eq 0 ]
