#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# twctl against the real hook, on VMs that never run: prints TAP.
#
# Run by tests/twctl/on-host.t.
#
# Guests' clocks are the matter of other tests; this one is about what twctl says and does.
cd "$(dirname "$0")/../.." || exit 1
build=${TW_BUILD:-build}
twctl=$build/twctl
here=$build/tests/twctl
out=$(mktemp -d) || exit 1
pids=
abi=$(sed -n 's/^#define TIMEWARP_ABI //p' bpf/include/timewarp.h)
trap 'kill $pids 2>/dev/null; rm -rf "$out"' EXIT
mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug
mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf

n=0 failed=0
# check NAME COMMAND...: one test
check() {
	local name=$1
	shift
	n=$((n + 1))
	if "$@"; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		sed 's/^/# /' "$out/text"
		failed=1
	fi
}

# says STATUS PATTERN ARG...: twctl ends so, and prints what the pattern matches
says() {
	local status=$1 pattern=$2
	shift 2
	"$twctl" "$@" >"$out/text" 2>&1 </dev/null
	set -- $? "$*"
	[ "$1" = "$status" ] && grep -Eq -- "$pattern" "$out/text" && return
	echo "# twctl $2: status $1, expected $status with $pattern"
	return 1
}

# vm VMS VCPUS ARG...: starts a process with VMs; its PID in $vm
vm() {
	"$here/qemu-idle" "$@" >"$out/vm" &
	vm=$!
	pids="$pids $vm"
	until grep -q up "$out/vm"; do sleep 0.05; done
}

# attaching ARG...: starts twctl attach, by what $under says; its PID in $fg, what it says in $out/fg
under=
attaching() {
	# Before it begins: what the one before it said is not to be taken for its word
	: >"$out/fg"
	$under "$twctl" attach "$@" >"$out/fg" 2>&1 &
	fg=$!
	pids="$pids $fg"
}

# foreground ARG...: the same, and waits until it is attached
foreground() {
	attaching "$@"
	for _ in {1..100}; do
		grep -q '^attached' "$out/fg" && return
		sleep 0.05
	done
}

# ends STATUS PATTERN: so the command in the foreground does
ends() {
	wait "$fg"
	local status=$?
	cp "$out/fg" "$out/text"
	[ "$status" = "$1" ] && grep -Eq -- "$2" "$out/fg" && return
	echo "# status $status, expected $1 with $2"
	return 1
}

gone() { says 0 'not attached' status --vm "$1"; }

check 'probe finds all it needs' says 0 'this host can attach policies' probe
check 'version finds the ABI' says 0 "hook, ABI $abi\$" version

# What goes to the journal
perl -MIO::Socket::UNIX -e 'unlink "/dev/log"; my $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => "/dev/log") or die;
	$| = 1; print "$_\n" while defined $s->recv($_, 4096)' >"$out/journal" &
pids="$pids $!"
# tells PATTERN: the journal's last line
tells() { cp "$out/journal" "$out/text"; tail -n 1 "$out/journal" | grep -Eq -- "$1"; }

vm 1 2 -name guest=web,debug-threads=on
check 'list' says 0 "^$vm-[0-9]+ +$vm root +web +2 -" list
check 'status, never attached' says 0 'not attached$' status --vm web
check 'detach, never attached' says 1 'no policy is attached.*twctl attach' detach --vm web
check 'set, never attached' says 1 'no policy is attached' set --vm web --factor 2

check 'set -j, never attached: of a kind of its own' says 1 '"kind":"not-attached"' set -j --vm web --factor 2

check 'attach --pin' says 0 '^attached constant to .*factor 50, TSC .*twctl detach' \
	attach --vm web --factor 50 --pin
by="; by user 0 \\(root\\); its name is 'web'"
check 'the journal hears of it' tells "attach of VM $vm-[0-9]+ \(UUID -\): from the host's rate to constant at factor 50, given factor=50$by"
check 'doctor: the factor is met' says 10 'factor 50 asked, 50 in force' doctor --vm web
check 'and nothing is said of it' bash -c '! grep -q "^note  factor " "$1"' - "$out/text"
check 'second attach -j: of a kind of its own' says 5 '"kind":"attached"' attach -j --vm web --factor 2
check 'second attach' says 5 'has a policy already \(constant' attach --vm web --factor 2
# A trapped TSC's ratio has 32 bits of fraction: in force is 1431655765 / 2^32, and status says so
check 'set from another process' says 0 'factor 0.333333333333 asked, 0.333333333256 in' \
	set --vm web --factor 1/3
check 'the journal hears of that too' tells "set of VM .*: from constant at factor 50 to constant at factor 0.333333333333, given factor=1/3$by"
check 'doctor tells both, and what leaks' says 10 \
	'policy constant, factor 0.333333333333 asked, 0.333333333256 in force, TSC trapped' doctor --vm web
check 'and why they differ' says 10 '^note  factor  .*the factor in force is not the one asked' doctor --vm web
check 'set -j' says 0 '"factor_asked":\{"num":"29","den":"4","decimal":"7.25"\}' \
	set --vm web factor=7.25 -j
check 'set: no such parameter' says 2 'it has: factor' set --vm web nosuch=1
check 'set: out of bounds' says 2 'limit of 10000' set --vm web --factor 10001
check 'status shows the parameter' says 0 'factor=29/4' status --vm web
check 'and of whom it counts what' says 0 'counters .*lost ticks [0-9]+ \(of the VM, ever\)$' status --vm web
check 'swap' says 0 'constant replaces constant, factor 3' swap --vm web --factor 3
check '... and of a swap' tells "swap of VM .*: from constant at factor 7.25 to constant at factor 3, given factor=3$by"
check 'set after swap' says 0 'factor 4 asked' set --vm web --factor 4
check 'swap that is refused' says 5 'policy refuses' swap --vm web --policy "$here/refuses.bpf.o"
check 'the old policy stays' says 0 'factor +4 asked, 4 in force' status --vm web
check 'status of the first minute: the rate since the attach' says 0 'rate +[0-9.]+ guest seconds a host second since it was attached, for ' status --vm web
sleep 61
check '... and where nobody has looked for a minute' says 0 'since it was attached, for 1m .*, bounded by the factor' status --vm web
sleep 5
check '... else since that look, for whatever policy' says 0 'rate +4 guest seconds a host second over the last [5-9]\.[0-9]+s, bounded by the factor' status --vm web
check '... -j' says 0 '"guest_per_host":"4","rate_span_ns":"[0-9]+","bounded_by":"factor"' status --vm web -j
check '... --every: since the line before' says 0 'clamps [0-9]+, 4 guest seconds a host second over the last (1[5-9]|2[0-9])[0-9]\.[0-9]+ms$' status --vm web --every 200ms --count 2
check '... -j' says 0 '"guest_per_host":"4","rate_span_ns":"(1[5-9]|2[0-9])[0-9]{7}"' status --vm web -j --every 200ms --count 2
check 'detach' says 0 'keeps its time \(guest - host: \+[1-9]' detach --vm web
check '... and of a detach' tells "detach of VM .*: from constant at factor 4 to the host's rate$by"
check 'detach twice' says 1 'no policy is attached' detach --vm web
no_pins() { ! compgen -G '/sys/fs/bpf/timewarp/*' >"$out/text"; }
check 'no pin is left' no_pins

check 'policy with parameters' says 0 'attached drift' attach --vm web --pin \
	--policy "$here/drift.bpf.o" --param factor=2 --param drift=0
check 'live parameters' says 0 'factor 1.99998 asked' set --vm web drift=-10 span=2s
check 'live parameter out of range' says 2 'drift takes -1000 to 1000 ppm' set --vm web drift=7777
check 'live parameters refused, and named' says 5 'policy refuses what it was given \(.*\): span=1h factor=3; the old values' set --vm web span=1h factor=3
check 'old values are back' says 0 'span=2s' status --vm web
check 'and the factor' says 0 'factor +1.99998 asked' status --vm web
check 'status as a stream' says 0 '"attached":true' status --vm web -j --every 10ms --count 2
check 'of two lines' test "$(wc -l <"$out/text")" = 2
check 'detach -j' says 0 '"event":"detached".*"guest_minus_host_ns":"[1-9]' detach --vm web -j

foreground --vm web --factor 5
kill -INT "$fg"
check 'Ctrl-C undoes' ends 0 'detached; factor 1'
check 'the journal hears of Ctrl-C' tells "detach of VM .*: from constant at factor 5 to the host's rate$by"
check 'nothing stays' gone web
foreground --vm web --factor 5
check 'detach from elsewhere' says 0 'detached constant' detach --vm web
check 'tells the one that waits' ends 0 'detached by another command'
foreground --vm web --factor 5
kill -KILL "$fg"
wait "$fg" 2>/dev/null
check 'SIGKILL leaves nothing' gone web
foreground --vm web --factor 5
echo 0 >/sys/module/kvm/parameters/timewarp
check 'switched off while attached' ends 3 'disabled.*echo 1'
check 'attach while switched off' says 3 'switched off' attach --vm web --factor 5
echo 1 >/sys/module/kvm/parameters/timewarp

# What is ignored at the start: a hangup stays so, and who waits for children hears of them
under="nohup"
foreground --vm web --factor 5
kill -HUP "$fg"
sleep 1
check 'under nohup a hangup undoes nothing' says 0 'factor +5 asked' status --vm web
kill -INT "$fg"
check 'kill -INT does' ends 0 'detached; factor 1'
under='env --ignore-signal=CHLD'
foreground --vm web --factor 5
grep SigIgn "/proc/$fg/status" >"$out/text"
check 'children are waited for, whatever it was started with' test "$((0x$(cut -f2 "$out/text") & 0x10000))" = 0
kill -INT "$fg"
wait "$fg"
under=

# hold SECONDS: the VM's lock is held by another process for so long; its PID in $holder
id=$("$twctl" list --ids)
[ -d /run/timewarp ] || mkdir -m 700 /run/timewarp
hold() {
	(
		# In $(...) BASHPID is another's, which may have begun a tick later
		me=$BASHPID
		read -ra stat <"/proc/$me/stat"
		echo "$me ${stat[21]} step" >"/run/timewarp/$id.lock"
		exec flock -o "/run/timewarp/$id.lock" sleep "$1"
	) &
	holder=$!
	# While it is loaded from this machine's disk the host's clock runs ahead
	for _ in {1..600}; do
		flock -n "/run/timewarp/$id.lock" true || break
		sleep 0.05
	done
}
hold 60
check 'a lock that is held is waited for, and by whom is told' says 5 "waiting for twctl step, process $holder" \
	attach --vm web --factor 5
check 'detach gets through' says 1 'no policy is attached' detach --vm web
check 'by ending who holds it' bash -c '! kill -0 "$1" 2>/dev/null' - $holder
# Ctrl-C while what is to be pinned is under way
hold 4
attaching --vm web --factor 5 --pin
for _ in {1..100}; do grep -q waiting "$out/fg" && break; sleep 0.05; done
kill -INT "$fg"
check 'attach --pin hears of Ctrl-C when it is through' ends 1 'cannot attach constant to .*it was interrupted'
check 'and has undone it' gone web
check 'no pin is left of it' no_pins
# Nor is anything pinned where another user can have it
rmdir /sys/fs/bpf/timewarp 2>/dev/null
mkdir -m 700 /sys/fs/bpf/timewarp && chown nobody /sys/fs/bpf/timewarp
check 'nothing is pinned into what another user owns' says 1 'cannot pin .*Operation not permitted' \
	attach --vm web --factor 5 --pin
check 'nor attached' gone web
chown root /sys/fs/bpf/timewarp

# A scheduler is connected all the time: step - and step --count
"$twctl" attach --vm web --policy freeze --pin >"$out/text"
mkfifo "$out/spans"
"$twctl" step --vm web - <"$out/spans" >"$out/steps" 2>&1 &
stepper=$!
pids="$pids $stepper"
exec 7>"$out/spans"
# stood N: so many spans are answered
stood() {
	for _ in {1..100}; do
		[ "$(grep -c 'stands at guest_ns' "$out/steps")" -ge "$1" ] && return
		sleep 0.1
	done
	cp "$out/steps" "$out/text"
	return 1
}
echo 10ms >&7
check 'step - answers a span' stood 1
check 'while it waits for the next one, set gets through' says 0 . set --vm web factor=2
echo 10ms >&7
check '... and step - goes on' stood 2
check '... detach gets through' says 0 'detached freeze' detach --vm web
check '... without ending who waits' kill -0 "$stepper"
echo 10ms >&7
exec 7>&-
wait "$stepper"
status=$?
cp "$out/steps" "$out/text"
check '... who hears at the next span that it is over' test "$status $(grep -c 'was detached or swapped meanwhile' "$out/steps")" = '4 1'
"$twctl" attach --vm web --policy freeze --pin >"$out/text"
: >"$out/steps"
"$twctl" step --vm web 100ms --count 1000000 >"$out/steps" 2>&1 &
stepper=$!
pids="$pids $stepper"
stood 1
# between two steps: it is stopped while the guest does one
kill -STOP "$stepper"
sleep 0.5
kill -INT "$stepper"
kill -CONT "$stepper"
wait "$stepper"
status=$?
tail -n 1 "$out/steps" >"$out/text"
check 'step --count that is interrupted has not done what it was told' test "$status $(grep -cE 'it was interrupted, with [1-9][0-9]* steps left' "$out/text")" = '1 1'
"$twctl" detach --vm web >"$out/text"

# Who reads its lines goes after the first; the policy tells a second later
"$twctl" attach -j --vm web --factor 100 --policy until --param until=100s | head -n 1 >"$out/line" &
for _ in {1..200}; do [ -s "$out/line" ] && break; sleep 0.05; done
left() { for _ in {1..50}; do gone web >/dev/null && return; sleep 0.1; done; return 1; }
check 'attach -j tells to a pipe' grep -q '"event":"attached"' "$out/line"
check 'that nobody reads any more: it detaches' left
check '... in order, as the journal hears' tells "detach of VM .*: from until at factor 1 to the host's rate$by"
# A command is to run when there can be no other process
narrow=/sys/fs/cgroup/narrow
echo +pids >/sys/fs/cgroup/cgroup.subtree_control && mkdir $narrow
foreground --vm web --factor 100 --policy until --param until=500s --exit-when-done --exec 'echo ran'
echo "$fg" >$narrow/cgroup.procs && echo 1 >$narrow/pids.max
check '--exec that cannot be run is told' ends 0 '^twctl: cannot run echo ran: Resource temporarily unavailable$'
rmdir $narrow
foreground --vm web --factor 100 --policy until --param until=100s --exit-when-done
check '--exit-when-done ends with 0' ends 0 'done 0.*'
"$twctl" attach -j --vm web --factor 100 --policy until --param until=100s --exit-when-done >"$out/text" 2>&1
check 'with -j it tells why it ended, of which VM' \
	grep -Eq '"event":"ended".*"pid":[0-9].*"name":"web".*"reason":"done","message":"[^"]' "$out/text"
check 'and its dates have milliseconds' grep -Eq '"guest_date":"[-0-9]+T[:0-9]+\.[0-9]{3}Z"' "$out/text"

foreground --vm web --factor 100 --policy until --param until=30d --exit-when-done
"$twctl" swap --vm web --factor 100 --policy until --param until=60s >/dev/null
check 'what a policy that was swapped in tells is told, and waited for' ends 0 'until replaces until.*|done 0'
check 'both of it' bash -c 'grep -q "until replaces until" "$1" && grep -q "tells: done" "$1"' - "$out/text"
foreground --vm web --factor 2 --policy until --param until=30d --exit-when-done
"$twctl" swap --vm web --policy "$here/ejected.bpf.o" >/dev/null
check 'and it is named when it is ejected' ends 6 'let policy ejected go|let what replaced policy until go'
foreground --vm web --policy "$here/talks.bpf.o" --exit-when-done
kill -STOP "$fg"
sleep 1
kill -CONT "$fg"
check 'who is stopped while a policy tells more than there is room for hears that it is done' ends 0 'tells: done 300'

check 'who waits for a policy that is never done is told so' says 2 'never that it is done' \
	attach --vm web --policy freeze --exit-when-done
check 'a moment that is never is named' says 5 "the policy refuses what it was given, factor=2: 'until' is never: say when, such as until=30d; see its parameters" \
	attach --vm web --factor 2 --policy until
check 'policy that refuses' says 5 'policy refuses \(Input/output error\)' \
	attach --vm web --policy "$here/refuses.bpf.o"
check 'policy that the verifier rejects' says 5 'a policy may write only to struct kvm_timewarp_answer' \
	attach --vm web --policy "$here/unverified.bpf.o"
check 'policy that is ejected' says 6 'ejected.*: [0-9]+ unusable answers in a row, the last for its factor_num of 0' \
	attach --vm web --policy "$here/ejected.bpf.o"
check 'status tells why' says 0 'last exit +ejected' status --vm web
check 'and which answer was to blame, if it was not the factor' says 6 'a row, the last for its next_guest_ns of 1;' \
	attach --vm web --policy "$here/past.bpf.o"
check 'ejected -j' says 6 '"error":\{"status":6,"kind":"ejected"' \
	attach -j --vm web --policy "$here/ejected.bpf.o"

foreground --vm web --factor 5
kill -KILL "$vm"
wait "$vm" 2>/dev/null
check 'the VM dies first' ends 0 'the VM is gone'
vm 1 1 -name web
# keeper ID: the PID of its keeper
keeper() { cut -d' ' -f1 "/run/timewarp/$1.keeper"; }
# Has a pinned VM and its keeper end; $id: its PID-FD
orphan() {
	vm 1 1 -name web
	"$twctl" attach --vm web --factor 5 --pin >/dev/null
	id=$("$twctl" list --ids)
	kill -KILL "$(keeper "$id")"
	kill -KILL "$vm"
	wait "$vm" 2>/dev/null
}
swept() { for _ in {1..100}; do no_pins && return; sleep 0.1; done; return 1; }
"$twctl" attach --vm web --factor 5 --pin >/dev/null
id=$("$twctl" list --ids)
check 'what is pinned is root'"'"'s alone' test "$(stat -c %a "/sys/fs/bpf/timewarp/$id@"*)" = 700
kill -KILL "$vm"
wait "$vm" 2>/dev/null
check 'a pinned VM that ends by itself leaves nothing' swept
orphan
check 'without its keeper it does: list names it' says 0 "pinned for VMs that are gone: $id; twctl detach --stale" list
check 'probe does' says 0 "^left +limited +pinned for VMs that are gone: $id" probe
check 'detach --stale removes it' says 0 "^$id: the VM is gone; removed what was pinned" detach --stale
check 'once' says 0 'nothing is left' detach --stale
check 'no pin is left by then' no_pins
orphan
check 'sweep a pin whose VM is gone by its PID-FD' says 0 'removed what was pinned' detach --vm "$id"
check 'once, too' says 4 'no VM' detach --vm "$id"

vm 1 1 -name web
"$twctl" attach --vm web --factor 5 --pin >/dev/null
id=$("$twctl" list --ids)
mv "/sys/fs/bpf/timewarp/$id@"*/policy "/sys/fs/bpf/timewarp/$id"
kill -KILL "$(keeper "$id")"
check 'a pin of before there were directories stays while its VM lives' says 0 'nothing is left' detach --stale
check 'and holds its policy' says 0 'factor +5 asked' status --vm web
kill -KILL "$vm"
wait "$vm" 2>/dev/null
check 'then list names it' says 0 "pinned for VMs that are gone: .*$id" list
check 'detach --stale removes it' says 0 "^$id: the VM is gone; removed what was pinned" detach --stale
check 'no pin is left' no_pins

attaching soon --wait --factor 5
waits() { for _ in {1..100}; do grep -q "^twctl: waiting for a VM 'soon'\$" "$out/fg" && return; sleep 0.05; done; cp "$out/fg" "$out/text"; false; }
check 'attach --wait says what it waits for' waits
sleep 2
# utime and stime, in ticks of 10 ms
lazy() { [ $(($(cut -d' ' -f14 "/proc/$fg/stat") + $(cut -d' ' -f15 "/proc/$fg/stat"))) -lt "$1" ]; }
ticks=$(($(cut -d' ' -f14 "/proc/$fg/stat") + $(cut -d' ' -f15 "/proc/$fg/stat")))
sleep 3
check '... and looks on without work' lazy $((ticks + 3))
vm 1 1 -name soon
attached() { for _ in {1..60}; do grep -q "^attached constant to $vm-.*(soon)" "$out/fg" && return; sleep 0.05; done; cp "$out/fg" "$out/text"; false; }
check '... attaches when it has come' attached
kill -INT "$fg"
check '... and detaches at Ctrl-C' ends 0 'detached; factor 1'
check '... at once where it is there' says 0 '^attached constant to .*\(soon\)' attach soon --wait --factor 5 --pin
check '... not twice' says 5 'has a policy already' attach soon --wait --factor 5 --pin
kill -KILL "$vm"
wait "$vm" 2>/dev/null
attaching soon --wait --factor 5
check '... Ctrl-C' waits
kill -INT "$fg"
check '... while it waits ends it in order' ends 1 'interrupted before there was such a VM; nothing was done'
check '... a name that is none is told at once' says 2 'not a PID' attach pid:x --wait --factor 5

vm 1 1 -name web
web=$vm
# completes WANT WORD...: bash completes the last word so
completes() {
	# shellcheck disable=SC2016
	bash -c 'PATH=${1%/*}:$PATH; . <("$1" help --completion bash); want=$2; shift 2
		COMP_WORDS=(twctl "$@") COMP_CWORD=$#; _twctl; echo "${COMPREPLY[*]}"; [ "${COMPREPLY[*]}" = "$want" ]' \
		- "$(realpath "$twctl")" "$@" >"$out/text" 2>&1
}
vm 1 1 -name "web\$(touch $out/obeyed)"
evil=$vm
"$twctl" attach web --policy until --factor 2 --param until=30d --pin >"$out/text"
check 'bash completes names of VMs' completes web detach we
check '... behind --vm' completes web status --vm w
check '... and PID-FD' completes "$("$twctl" list --ids | grep "^$evil-")" detach "$evil"
check '... and obeys no name' test ! -e "$out/obeyed"
check '... parameters of the policy that is attached' completes 'factor= after= until=' set web ''
check '... with --vm, too' completes until= set --vm web u
check '... words of what wait is to hear' completes leaps-ms wait web --event l
"$twctl" detach web >"$out/text"
kill -KILL "$evil"
wait "$evil" 2>/dev/null

# It never runs, so that it goes ten seconds at a time
"$twctl" jump web +100d >"$out/fg" 2>&1 &
fg=$!
pids="$pids $fg"
progress() { for _ in {1..300}; do grep -Eq '^twctl: .*\(web\) is at [0-9]{4}-' "$out/fg" && return; sleep 0.05; done; cp "$out/fg" "$out/text"; false; }
check 'a jump that takes long says where it is' progress
kill -INT "$fg"
check '... and, interrupted, that it is not there' ends 1 'it ended before the guest was there'

check 'wait, where nothing is attached' says 1 'no policy is attached' wait web
"$twctl" attach web --factor 100 --policy until --param until=200s --pin >"$out/text"
check 'wait --until: a span of the guest' says 0 'the moment has come, guest at' wait web --until 20s
check 'wait --timeout' says 10 'did not come within 300ms' wait web --until 30d --timeout 300ms
check '... of the host' says 0 'the moment has come' wait web --until '200ms host'
check 'wait --done' says 0 'the policy is done, guest at' wait web --done --timeout 60s
check '... that was told before' says 0 '"event":"done".*"policy":"until"' wait web --done -j
check 'a change that is refused' says 5 'past the moment' set web "until=$(date -u +%FT%T)"
check '... leaves it done' says 0 'the policy is done' wait web --done
check 'one that is taken' says 0 'until' set web until=200s
check '... has it begin anew' says 10 'did not come within' wait web --done --timeout 300ms
check '... and be done again' says 0 'the policy is done, guest at' wait web --done --timeout 60s
"$twctl" swap web --factor 100 --policy until --param until=30d >"$out/text"
check '... but not by what it replaces' says 10 'did not come within' wait web --done --timeout 500ms
check 'wait for a date that has passed' says 0 'the moment has come' wait web --until 2001-01-01
"$twctl" wait web >"$out/wait" 2>&1 &
wait=$!
"$twctl" wait web --done >"$out/wait-done" 2>&1 &
done=$!
sleep 1
"$twctl" detach web >"$out/text"
wait $wait
status=$?
cp "$out/wait" "$out/text"
check 'wait, for the end' test "$status-$(grep -c 'the attachment has ended' "$out/wait")" = 0-1
wait $done
status=$?
cp "$out/wait-done" "$out/text"
check 'what ends before is done is told so' test "$status-$(grep -c 'its attachment has ended before' "$out/wait-done")" = 1-1
# wait_killed OPTION...: wait, while who has attached in the foreground is killed; its end in $status
wait_killed() {
	"$twctl" wait web "$@" >"$out/wait" 2>&1 &
	wait=$!
	sleep 1
	kill -KILL "$fg"
	wait "$fg" 2>/dev/null
	wait $wait
	status=$?
	cp "$out/wait" "$out/text"
}
foreground --vm web --factor 5
wait_killed
check 'who waits keeps nothing attached' test "$status-$(grep -c 'the attachment has ended' "$out/wait")" = 0-1
"$twctl" attach web --policy freeze --pin >"$out/text"
"$twctl" detach web >"$out/text"
foreground --vm web --factor 2 --policy until --param until=30d
wait_killed --done
check '... nor who waits for its policy to be done' test "$status-$(grep -c 'its attachment has ended before' "$out/wait")" = 1-1
"$twctl" attach web --policy freeze --pin >"$out/text"
check 'a policy that is never done' says 2 'does not tell when that is' wait web --done
check '... nor by --event' says 2 'does not tell when that is' wait web --event 'done'
check 'wait --event: no such word' says 2 "'nosuch': no policy tells such" wait web --event nosuch
check '... one that it never tells' says 2 'cannot wait for leaps-ms of freeze: it does not tell such' wait web --event leaps-ms
check '... beside --done' says 2 'more than one is given' wait web --event step --done
# hears WANT OPTION... -- COMMAND...: a wait hears of what a command does to a pinned policy
hears() {
	local want=$1 wait options=()
	shift
	while [ "$1" != -- ]; do options+=("$1"); shift; done
	shift
	"$twctl" wait web "${options[@]}" >"$out/wait" 2>&1 &
	wait=$!
	sleep 1
	"$twctl" "$@" >"$out/text" 2>&1
	wait $wait
	[ "$?-$(grep -cE -- "$want" "$out/wait")" = 0-1 ] || { cat "$out/wait" >>"$out/text"; return 1; }
}
check '... what was told before does not count' says 10 'did not come within' wait web --event step --timeout 500ms
check '... of a policy that is pinned' hears '\(web\): freeze tells: step [0-9]+, guest at [0-9]{4}-' --event step --timeout 60s -- step web 10ms
check '... -j' hears '"event":"policy",.*"policy":"freeze","tells":"step","number":[0-9]+,"host_ns"' --event step --timeout 60s -j -- step web 10ms
check '... of one that is swapped in, more than there is room for where nobody reads' \
	hears ': talks tells: step [0-9]+,' --event step --timeout 60s -- swap web --policy "$here/talks.bpf.o"
check '... its end' says 0 'the policy is done' wait web --event 'done' --timeout 60s
"$twctl" detach web >"$out/text"

check 'attach --dry-run says what it would do' says 0 '^would attach until to .*\(web\), pinned; nothing was done$' \
	attach web --policy until --factor 50 --param until=3h --pin --dry-run
check '... parameters' grep -q '  until=3h  ' "$out/text"
check '... TSC mode' grep -qE '^  TSC mode +(trapped|scaled), as this CPU can$' "$out/text"
check '... probes' grep -qE '^  probes +none \(.+\)$' "$out/text"
check '... clocks' grep -qE '^  warped by KVM TSC$' "$out/text"
check '... and leaves nothing' swept
check '... attaches nothing' gone web
check '... -j' says 0 '"event":"would_attach".*"parameters":\{"factor":"50".*"clocks":\[\{"name":"TSC","by":"host","why":"TSC mode offset"' \
	attach web -j --factor 50 --tsc offset --dry-run
check '... and the verifier is asked' says 5 'a policy may write only to struct kvm_timewarp_answer' \
	attach web --policy "$here/unverified.bpf.o" --dry-run
check '... a VM that there is not' says 4 'none of the' attach nosuch --factor 2 --dry-run
check '... probes that cannot be' says 3 'the clocks of VMM .* cannot follow' attach web --factor 2 --vmm on --dry-run
check '... a policy that tells nothing of its end' says 2 'never that it is done' \
	attach web --policy freeze --exit-when-done --dry-run
"$twctl" attach web --factor 5 --pin >"$out/text"
check '... a VM that has a policy' says 5 'has a policy already \(constant' attach web --factor 2 --dry-run
"$twctl" detach web >"$out/text"
check 'detach --all where there is none' says 0 '^no VM has a policy$' detach --all
vm 1 1 -name all-1
all=$vm
vm 1 1 -name all-2
# The largest ones: what the verifier takes of one VM it may not of several
for policy in 'skip-idle' 'jump --param to=5d'; do
	# shellcheck disable=SC2086 # words
	check "two VMs take ${policy%% *} together" says 0 'attached .* and 1 more' attach --vm all-1 --vm all-2 --policy $policy --pin
	"$twctl" detach all-1 >"$out/text" 2>&1
done
"$twctl" attach web --factor 5 --pin >"$out/text"
"$twctl" attach --vm all-1 --vm all-2 --factor 5 --pin >"$out/text"
check 'detach --all tells of each, those of a group too' says 0 'detached constant' detach --all
check '... once' bash -c '[ "$(grep -c "^detached constant" "$1")" = 3 ] && grep -q "(web)" "$1" && grep -q "(all-1)" "$1" && grep -q "(all-2)" "$1"' - "$out/text"
check '... and no VM has one' says 0 '^nothing is attached' status
check '... which -j says in JSON' says 0 '^\{"schema":1,"hook":true,"vms":\[\],"not_attached":[0-9]+\}$' status -j
"$twctl" attach web --factor 5 --pin >"$out/text"
check 'detach --all -j' says 0 '"event":"detached".*"name":"web"' detach --all -j
kill -KILL "$all" "$vm"
wait "$all" "$vm" 2>/dev/null

vm 1 1 -name guest=lost
check 'a VM as operand: attach' says 0 '^attached constant to .*\(web\)' attach web --factor 5 --pin
check '... detach' says 0 '^detached constant from .*\(web\)' detach web
"$twctl" attach web --policy freeze --pin >"$out/text"
check '... step, with --count behind it' says 0 ': stands at guest_ns .* 20000000 ns after' step web 10ms --count 2
"$twctl" detach web >"$out/text"
check '... stat, with an interval and a count' says 0 'watching 1 VM$' stat web 10ms 2
check '... hist' says 0 'watching 1 VM$' hist web -d 10ms
check '... trace, with a kind of event' says 0 'watching 1 VM$' trace web lost -d 10ms
check 'an interval is no VM' says 0 'watching 2 VMs, and those' stat 10ms 2
check 'a kind of event is no VM' says 0 'watching 2 VMs, and those' trace clock -d 10ms
check 'what is both has to be said more clearly' says 2 "'lost' is a VM, and a word of this verb's own" trace lost -d 10ms
check '... by PID too' says 2 "'$vm' is a VM, and" stat "$vm"
check '--vm says it' says 0 'watching 1 VM$' trace --vm lost lost -d 10ms
kill -KILL "$vm"
wait "$vm" 2>/dev/null

# A tenant has called its VMM so: attach tells why its clocks stay, by its name
cp "$here/qemu-idle" "$here/"$'\e]0;q\a'
"$here/"$'\e]0;q\a' 1 1 -name pwn >"$out/vm" &
vm=$!
pids="$pids $vm"
until grep -q up "$out/vm"; do sleep 0.05; done
check 'attach names a VMM whose name is orders to a terminal' says 0 '\(\\x1b\]0;q\\x07 is not QEMU' attach --vm "$vm" --factor 2 --pin
check 'and gives the terminal none' bash -c '! grep -q "$2" "$1"' - "$out/text" $'\e'
"$twctl" detach --vm "$vm" >/dev/null

kill -KILL "$web"
wait "$web" 2>/dev/null

# A VMM whose VMs another thread has made, by whose number KVM names them; the thread need not be there any more
for maker in lives ends; do
	export IDLE_VM_MAKER=$maker
	vm 2 1 -name "of-$maker"
	unset IDLE_VM_MAKER
	id=$("$twctl" list | sed -n "s/^\([0-9]*-[0-9]*\) *$vm .*of-$maker.*/\1/p" | tail -n 1)
	check "a VM that a thread has made which $maker: not by its process's number" test -n "$id" -a "$id" = "${id/#$vm-/}"
	check '... its clocks would follow one of two timelines' says 0 '^  probes +none \(its process has 2 VMs' attach "$id" --factor 2 --dry-run
	check '... attach' says 0 "^attached constant to $id \(of-$maker\)" attach "$id" --factor 2 --pin
	check '... set' says 0 'factor 3 asked' set "$id" factor=3
	check '... detach' says 0 "^detached constant from $id" detach "$id"
	kill -KILL "$vm"
	wait "$vm" 2>/dev/null
done

vm 2 1 -name two
check 'two VMs: neither is taken' says 4 "id:$vm-" attach --vm two --factor 2
check 'by PID neither' says 4 '2 VMs go by that' attach --vm "$vm" --factor 2
vm 0 0
check 'no VM yet' says 4 'has /dev/kvm open but no VM' attach --vm "$vm" --factor 2
check 'PID 0' says 4 'idle task' attach --vm 0 --factor 2
check 'kernel thread' says 4 'kernel thread' attach --vm 2 --factor 2
check 'none' says 4 'no process' attach --vm 4194303 --factor 2

# Locked down, as a kernel is by Secure Boot: until this boot ends, and so at the end
lock=/sys/kernel/security/lockdown
[ -f $lock ] || mount -t securityfs securityfs /sys/kernel/security
vm 1 1 -name locked
"$twctl" attach locked --factor 5 --pin >"$out/text"
for level in integrity confidentiality; do
	echo $level >$lock
	check "$level: probe says what is not to be had" says 0 "^lockdown +limited +locked down for $level: unsigned modules do not load, and QEMU's own clocks stay" probe
	check '... what was attached before lives on' says 0 '5 asked, 5 in force' status locked
	check '... and can be changed' says 0 'factor 7 asked, 7 in force' set locked --factor 7
	check '... and detached' says 0 '^detached constant' detach locked
	check '... --vmm on refuses it then, with the reason' says 3 '^twctl: .*the kernel is locked down' attach --vm locked --factor 5 --vmm on
	check '... attach does it again, and names what stays behind' says 0 '^attached constant .*on host time \(the kernel is locked down\)' attach locked --factor 5 --pin
done
check 'confidentiality: probe says that nothing is traced' says 0 '^bpf-read +missing +locked down for confidentiality: .* nothing can be traced' probe
for verb in 'stat locked 100ms 1' 'hist locked -d 100ms' 'trace locked -d 100ms'; do
	# shellcheck disable=SC2086 # words
	check "${verb%% *} says so in one line, with the cure" says 3 "^twctl: .*bpf-read: locked down for confidentiality: .*; boot with lockdown=integrity" $verb
	check '... and no other' test "$(wc -l <"$out/text")" = 1
done
"$twctl" detach locked >"$out/text"
echo "1..$n"
exit $failed
