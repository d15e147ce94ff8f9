#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The kernel series: each patch clean by checkpatch, each state of the series built, only KVM's files touched.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tools/lib.sh
. tools/lib.sh
need_kernel

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
series=kernel-patch/6.12

while read -r patch; do
	case $patch in '' | '#'*) continue ;; esac
	# From standard input, and outside of git's sight: it would take a tracked patch for a source file.
	# MAINTAINERS needs no line, arch/x86/kvm/ is in it.
	GIT_DIR=/nonexistent perl "$TW_KSRC/scripts/checkpatch.pl" --strict --no-tree --max-line-length=100 \
		--ignore FILE_PATH_CHANGES - <"$series/$patch" >"$log" 2>&1
	ok $? "checkpatch --strict finds nothing in $patch" "$log"
done <$series/series

! sed -n 's,^+++ b/,,p' $series/*.patch | grep -Ev '^(arch/x86/kvm/|virt/kvm/|arch/x86/include/asm/kvm)' >"$log"
ok $? "the series touches KVM's own files and no others" "$log"

tools/build-kvm --each >"$log" 2>&1
ok $? "KVM builds, without warnings, after each patch" "$log"

echo "1..$n"
[ $failed -eq 0 ]
