# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# Sourced by the scripts that run the test VMM on a test host and attach to it
# meanwhile. Each vmm prints TAP of its own; here they become one stream.
# For busybox's shell too.

vmm=${VMM:-build/tests/vmm/vmm}
twctl=${TWCTL:-build/twctl}
work=$(mktemp -d) || exit 125
tap_n=0
tap_failed=0

# ok CONDITION-STATUS NAME: "run something; ok $? that it holds"
ok() {
	tap_n=$((tap_n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $tap_n - $2"
	else
		echo "not ok $tap_n - $2"
		tap_failed=1
		return 1
	fi
}

# The TAP of one vmm run, numbered on and under its label.
vm_merge() {
	while read -r line; do
		case $line in
		'ok '* | 'not ok '*)
			tap_n=$((tap_n + 1))
			echo "${line%%ok *}ok $tap_n - $label: ${line#* - }"
			;;
		1..*) ;;
		'Bail out!'*) echo "# $label: ${line#Bail out! }" ;;
		'#'*) echo "$line" ;;
		*) echo "# $line" ;;
		esac
	done <"$work/vmm.out"
	# A run that came to its end has a plan, and status 1 for what it reported itself.
	if [ "$vm_rc" -gt 1 ] || ! grep -q '^1\.\.[1-9]' "$work/vmm.out"; then
		ok 1 "$label: the run comes to its end (status $vm_rc)"
	fi
	[ "$vm_rc" -eq 0 ] || tap_failed=1
}

# vm_run LABEL ARG...: one vmm from start to end, nobody attached.
vm_run() {
	label=$1
	shift
	$vmm "$@" >"$work/vmm.out" 2>&1
	vm_rc=$?
	vm_merge
}

# vm_start LABEL ARG...: a vmm that waits for vm_go; sets vm_pid and vm_state.
vm_start() {
	label=$1
	shift
	: >"$work/vmm.out"
	$vmm --hold "$@" >"$work/vmm.out" 2>&1 &
	vm_pid=$!
	until vm_state=$(sed -n 's/^# vmm .*state=//p' "$work/vmm.out") && [ -n "$vm_state" ]; do
		kill -0 "$vm_pid" 2>/dev/null || break
		sleep 0.02
	done
}

vm_go() { kill -USR1 "$vm_pid"; }

vm_end() {
	wait "$vm_pid"
	vm_rc=$?
	vm_merge
}

# vm_attach FACTOR [ARG...]: twctl attaches and stays; returns when the kernel says so.
vm_attach() {
	factor=$1
	shift
	$twctl attach --vm "$vm_pid" --factor "$factor" "$@" >"$work/twctl.out" 2>&1 &
	tw_pid=$!
	until grep -q '^attached 1' "$vm_state" 2>/dev/null; do
		if ! kill -0 "$tw_pid" 2>/dev/null; then
			wait "$tw_pid"
			ok 1 "$label: twctl attaches (status $?)"
			sed 's/^/# /' "$work/twctl.out"
			return 1
		fi
		sleep 0.02
	done
}

# vm_detach: as Ctrl-C does. twctl may have gone already, with its VM.
vm_detach() {
	kill -INT "$tw_pid" 2>/dev/null
	wait "$tw_pid"
	# shellcheck disable=SC2034 # for the caller
	tw_rc=$?
	sed 's/^/# twctl: /' "$work/twctl.out"
}

# vm_run_attached FACTOR [ARG...]: the vmm that waits, from start to end, with twctl attached before its first
# instruction. Fails if twctl did not attach.
vm_run_attached() {
	vm_attach "$@"
	set -- $?
	if [ "$1" -eq 0 ]; then
		vm_go
		vm_end
	else
		kill -KILL "$vm_pid"
	fi
	vm_detach
	return "$1"
}

# vm_factors SECONDS FACTOR...: twctl set, each for a while
vm_factors() {
	pause=$1
	shift
	for f; do
		$twctl set --vm "$vm_pid" --factor "$f" >"$work/set.out" 2>&1
		ok $? "$label: twctl set --factor $f" || sed 's/^/# /' "$work/set.out"
		sleep "$pause"
	done
}

tap_end() {
	rm -rf "$work"
	echo "1..$tap_n"
	exit "$tap_failed"
}
