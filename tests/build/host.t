#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What testhost and timewarp-host share, tools/host.sh: paths with commas in QEMU's options, and signals that are for the
# command in the host. QEMU is this machine's, and executes no instruction; in the place of twexec is a program of the test's.
cd "$(dirname "$0")/../.." || exit 1
. tests/build/tap.sh
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
# Is the command: told a word at a signal once it is up, which takes it a while; and ends by itself in the end
cat >"$work/slow" <<'END'
#!/usr/bin/perl
$| = 1;
select undef, undef, undef, 0.5;
for my $s (qw(INT TERM HUP)) { $SIG{$s} = sub { print "told $s\n"; exit 9 } }
print "up\n";
select undef, undef, undef, 3;
exit 0;
END
chmod +x "$work/slow"
# session WHAT: bash that has host.sh does this; its signals as at a terminal
session() { env --default-signal=INT,TERM,HUP TMPDIR="${tmp:-$work}" bash -c '. tools/lib.sh; . tools/host.sh; host_exec=$0; exec 3</dev/null; eval "$1"' "$work/slow" "$1"; }

# ---- signals
# told SIGNAL SESSION: the command is, once, whether or not it says that it is up before
told() { [ "$(session "$2" 2>&1 | grep -v '^up$')" = "told $1
9" ]; }
for s in INT TERM HUP; do
	ok "SIG$s before the command begins is for it" told $s "host_signals_pass; kill -$s \$\$; host_do x; echo \$?"
	ok "and while it begins" told $s "host_signals_pass; (sleep 0.2; kill -$s \$\$) & host_do x; echo \$?"
	ok "and later" told $s "host_signals_pass; (sleep 1.5; kill -$s \$\$) & host_do x; echo \$?"
done
ok "without one it ends by itself" test "$(session "host_signals_pass; host_do x; echo \$?")" = $'up\n0'
# shellcheck disable=SC2016 # the session's
ok "one that comes when it has ended is not waited for" test "$(session "host_signals_pass; host_do x; (exit 0) & host_child=\$!; wait; host_pass_on TERM; echo over")" = $'up\nover'

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
