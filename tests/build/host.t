#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What testhost and timewarp-host share, tools/host.sh: paths with commas in QEMU's options. QEMU is this machine's, and
# executes no instruction.
cd "$(dirname "$0")/../.." || exit 1
. tests/build/tap.sh
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
touch "$work/slow"
# session WHAT: bash that has host.sh does this; its signals as at a terminal
session() { env --default-signal=INT,TERM,HUP TMPDIR="${tmp:-$work}" bash -c '. tools/lib.sh; . tools/host.sh; host_exec=$0; exec 3</dev/null; eval "$1"' "$work/slow" "$1"; }

# ---- commas
if command -v qemu-system-x86_64 >/dev/null && . tools/lib.sh && tw_kernel_env; then
	mkdir "$work/a,b" "$work/a,b/share,readonly=on"
	# shellcheck disable=SC2016 # the session's
	boots='host_begin; host_fs share "$TMPDIR/share,readonly=on"
		host_boot '"$TW_VMLINUX"' '"$work/slow"' "" -accel tcg -m 64 -S; sleep 0.3; host_alive && echo "it runs"; ls "$host_run"; cat "$host_run/qemu.log"'
	in_comma() { tmp="$work/a,b" session "$boots" 2>&1; }
	ok "a TMPDIR with a comma: QEMU runs" says 0 "it runs" in_comma
	ok "its channel is where it is looked for" says 0 agent.0 in_comma
	ok "and its console" says 0 console in_comma
	ok "and nothing else comes of it" test "$(ls "$work" "$work/a,b")" = "$work:
a,b
slow

$work/a,b:
share,readonly=on"
else
	skip "a TMPDIR with a comma" "no QEMU, or no kernel in the cache"
fi
done_testing
