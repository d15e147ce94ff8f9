#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What twctl says of VMs that try to mislead it, and its manners: on this machine, with idle VMs and a debugfs of
# our own making in a private mount namespace. Needs root and /dev/kvm; tests/twctl/stock.t runs it on a test host.
cd "$(dirname "$0")/../.." || exit 1
# Whether a VM can be had; it ends with this
has_vm() {
	coproc build/tests/twctl/qemu-idle 1 1 2>/dev/null
	local pid=$COPROC_PID up=
	read -r -t 5 up <&"${COPROC[0]}"
	kill -KILL "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	[ "$up" = up ]
}
if [ -z "$TW_HERE" ]; then
	if [ "$(id -u)" != 0 ] || [ ! -w /dev/kvm ] || ! unshare -m true 2>/dev/null || [ ! -d /sys/module/kvm/parameters ] || ! has_vm; then
		echo "1..0 # SKIP no root, no /dev/kvm or no mount namespace"
		exit 0
	fi
	TW_HERE=1 exec unshare -m "$0"
fi
dir=$(mktemp -d) || exit 1
pids=
trap 'kill -KILL $pids 2>/dev/null; rm -rf "$dir"' EXIT
abi=$(sed -n 's/^#define TIMEWARP_ABI //p' bpf/include/timewarp.h)
kvm=/sys/kernel/debug/kvm
mount -t tmpfs none /sys/kernel/debug && mkdir $kvm && mount -t tmpfs none /sys/module/kvm/parameters || exit 1
echo Y >/sys/module/kvm/parameters/timewarp
n=0 failed=0
# says NAME STATUS PATTERN ARG...: so it ends, and prints what the pattern matches and nothing that a terminal obeys
says() {
	local name=$1 status=$2 pattern=$3 rc
	shift 3
	n=$((n + 1))
	timeout 60 build/twctl "$@" >"$dir/out" 2>&1 </dev/null
	rc=$?
	if [ $rc = "$status" ] && grep -Eq -- "$pattern" "$dir/out" && ! grep -q $'\e' "$dir/out"; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name (twctl $*: status $rc, expected $status with $pattern)"
		cat -v "$dir/out" | sed 's/^/# /'
		failed=1
	fi
}
# vm PROGRAM VMS VCPUS ARG...: its PID in $vm
vm() {
	"$@" >"$dir/vm" &
	vm=$!
	pids="$pids $vm"
	for _ in {1..200}; do grep -q up "$dir/vm" && return; sleep 0.05; done
}
# state ID THREAD: as the kernel's hook would have it
state() {
	mkdir -p "$kvm/$1/vcpu0"
	echo "$2" >"$kvm/$1/vcpu0/pid"
	printf '%s\n' "abi $abi" 'attached 1' 'id 1' 'policy constant' 'link_id 1' 'tsc_mode offset' 'factor_asked 3/1' \
		'factor_force 3/1' 'since_host_ns 1' 'host_ns 5' 'guest_ns 9' >"$kvm/$1/timewarp"
}
idle=build/tests/twctl/qemu-idle

vm $idle 1 1 -name web
web=$(build/twctl list --ids | grep "^$vm-")
state "$web" "$vm"
says 'list: the owner beside the name' 0 "^$web +$vm root +web +1 constant +3\$" list
says 'a VM as operand' 0 "^$web \\(web\\): attached" status web
# One whose program is not root's: probes are not put where its owner chooses
cp $idle "$dir/qemu-own"
chown nobody "$dir/qemu-own"
vm "$dir/qemu-own" 1 1 -name own
state "$(build/twctl list --ids | grep "^$vm-")" "$vm"
says 'the clocks of a VMM whose program is not root'"'"'s stay' 0 "its program is not root's alone; --vmm on" status --vm own

says '--vm is kept, and the last one wins' 0 "^$web \\(web\\): attached" status --vm nosuch --vm web
says 'again and again, so often' 0 '"schema":1,"vm"' status web -j --every 5ms --count 2
[ "$(wc -l <"$dir/out")" = 2 ] || { echo "# $(wc -l <"$dir/out") lines for --count 2"; failed=1; }
says 'list --every' 0 web list --every 5ms --count 3
says 'an interval of nothing is told as such' 2 "--every '0s' is not above zero" status web --every 0s
says 'a count of nothing, too' 2 "--count '0' is not above zero" status web --every 1s --count 0
says 'two intervals are one too many' 2 'leave one of them out' stat --every 1s 2s

vm $idle 1 1 -name brief
brief=$(build/twctl list --ids | grep "^$vm-")
state "$brief" "$vm"
# Its directory goes after its descriptors, as the kernel has it
(sleep 0.5; kill -KILL "$vm"; while [ -e "/proc/$vm/exe" ]; do sleep 0.01; done; rm -rf "${kvm:?}/$brief") &
says 'again and again, until it has gone: 4' 4 'cannot (show|tell) the status of' status --vm brief --every 50ms

# names that are another's PID, or orders to a terminal
sleep 300 &
other=$!
pids="$pids $other"
vm $idle 1 1 -name "$other"
says 'digits are a PID, whatever guests call themselves' 4 "process $other \\(sleep\\) runs no VM" status --vm "$other"
says 'such a guest is named by name:' 1 "cannot tell the status of $vm-" status "name:$other"
vm $idle 1 1 -name $'\e[2Jpwn\e]0;x\a'
says 'a name in a table' 0 '\?\[2Jpwn' list
cp $idle "$dir"/$'\e]0;q\a'
"$dir"/$'\e]0;q\a' 0 0 >/dev/null &
pids="$pids $!"
sleep 0.5
says 'a process, in an error' 4 '\\x1b\]0;q\\x07\) has /dev/kvm open but no VM' detach --vm "$!"

# whose directory it is; and one that cannot be read hides no other
vm $idle 1 1 -name twin
twin=$(build/twctl list --ids | grep "^$vm-")
state "$twin" "$other"
says 'the directory of another VM of that name is not taken for this one' 0 "^$twin +$vm root +twin +1 \\?" list
state "$twin" "$vm"
says 'its own is' 0 "^$twin +$vm root +twin +1 constant" list
# Made under this PID before it was this process's: that VM lives on, and no vCPU of it has ever run
state old 0
sleep 0.2
vm $idle 1 1 -name late
late=$(build/twctl list --ids | grep "^$vm-")
mv $kvm/old "$kvm/$late"
says 'nor is one that is older than the process' 0 "^$late +$vm root +late +1 \\?" list
rm -rf "${kvm:?}/$late"
state "$late" 0
says 'one whose vCPUs have not run yet is' 0 "^$late +$vm root +late +1 constant" list
echo 'factor_asked nonsense' >"$kvm/$twin/timewarp"
# of those that come after it, too
says 'status: one that cannot be read hides no other' 1 "^$late \\(late\\): attached" status
rm -rf "${kvm:?}/$twin/timewarp"
says 'a kernel that has no file for it: 3' 3 'No such file' status twin
echo "1..$n"
exit $failed
