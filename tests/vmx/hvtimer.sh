# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# Sourced by tests/vmx/in-host: the tracer where timers run on the VMX preemption timer. A VM of
# tests/trace/provoke.c says what guest and VMM have counted, twctl stat what the tracer has.

hvtimer_expect() {
	# The object of the source: up to the next one, its histograms cut off
	got=$(sed -n "s/.*\"source\":\"$1\",//p" "$work/stat.out" | tail -n 1 | sed 's/"late":.*//' | tr ',' '\n' |
		sed -n "s/^\"$2\":\"\\{0,1\\}\\([0-9]*\\)\"\\{0,1\\}\$/\\1/p" | head -n 1)
	[ "$got" = "$3" ]
	ok $? "hvtimer: $1.$2 is $3" || echo "# got '$got'"
}

hvtimer_case() {
	label=hvtimer
	mkfifo "$work/go"
	build/tests/trace/provoke hvtimer <"$work/go" >"$work/provoke.out" 2>&1 &
	provoke_pid=$!
	exec 5>"$work/go"
	until grep -q '^vm ' "$work/provoke.out" || ! kill -0 $provoke_pid 2>/dev/null; do sleep 0.02; done
	$twctl stat -j --vm "$(sed -n 's/^vm //p' "$work/provoke.out")" 600s >"$work/stat.out" 2>"$work/stat.err" &
	stat_pid=$!
	until grep -q '^twctl: watching' "$work/stat.err" || ! kill -0 $stat_pid 2>/dev/null; do sleep 0.02; done
	grep -q '^twctl: watching' "$work/stat.err"
	ok $? "hvtimer: twctl stat runs on this host" || sed 's/^/# /' "$work/stat.err"
	! grep -q 'no place for' "$work/stat.err"
	ok $? "hvtimer: ... and all of its programs" || sed 's/^/# /' "$work/stat.err"
	echo go >&5
	exec 5>&-
	wait $provoke_pid
	grep -q '^done' "$work/provoke.out"
	ok $? "hvtimer: the VM came to its end" || sed 's/^/# /' "$work/provoke.out"
	kill -INT $stat_pid
	wait $stat_pid
	sed -n 's/^expect \([a-z]*\)\.\([a-z_]*\) \([0-9]*\)$/\1 \2 \3/p' "$work/provoke.out" >"$work/expect"
	[ -s "$work/expect" ]
	ok $? "hvtimer: there is something to expect"
	while read -r source key value; do hvtimer_expect "$source" "$key" "$value"; done <"$work/expect"
	sed 's/^/# /' "$work/provoke.out"
}
