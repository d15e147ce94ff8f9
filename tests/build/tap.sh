# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# TAP for tests in bash. Sourced; the test ends with done_testing.
tap_n=0 tap_failed=0

# ok NAME COMMAND...: the command holds; what it prints is shown if it does not
ok() {
	local name=$1 out
	shift
	tap_n=$((tap_n + 1))
	if out=$("$@" 2>&1); then
		echo "ok $tap_n - $name"
	else
		echo "not ok $tap_n - $name"
		sed 's/^/# /' <<<"$out"
		tap_failed=1
	fi
}

skip() {
	tap_n=$((tap_n + 1))
	echo "ok $tap_n - $1 # SKIP $2"
}

# says STATUS TEXT COMMAND...: it ends with that status and prints that text
says() {
	local status=$1 text=$2 out rc
	shift 2
	out=$("$@" 2>&1)
	rc=$?
	[ $rc = "$status" ] && [[ $out == *"$text"* ]] && return
	echo "status $rc, expected $status with: $text"
	echo "$out"
	return 1
}

# finds_nothing COMMAND...: it prints nothing, whatever its status
finds_nothing() {
	local out
	out=$("$@")
	[ -z "$out" ] || { echo "$out"; return 1; }
}

done_testing() {
	echo "1..$tap_n"
	exit $tap_failed
}
