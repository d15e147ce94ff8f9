#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What twctl probe says of hosts on which packages and kernel do not go together: no modules for this kernel, stock ones
# loaded all the same, modules of another version, lockdown. Such a host is a directory with twctl and what it looks at; its
# BTF, which says what a kernel's KVM can, is compiled here.
cd "$(dirname "$0")/../.." || exit 1
. tests/build/tap.sh
own=()
[ "$(id -u)" = 0 ] || own=(--user --map-root-user)
if ! unshare "${own[@]}" --mount true 2>/dev/null; then
	echo "1..0 # SKIP no mount namespace is to be had"
	exit 0
fi
clang=$(command -v clang-19 clang-20 clang-18 clang-17 clang | head -n 1)
dir=$(mktemp -d) || exit 1
trap 'rm -rf --one-file-system "$dir"' EXIT
root=$dir/root
mkdir -p "$root/proc" "$root/bin"
cp build/twctl "$root/bin/"
ldd build/twctl | grep -o '/[^ ]*' | xargs cp -L --parents -t "$root"
abi=$(sed -n 's/^#define TIMEWARP_ABI //p' bpf/include/timewarp.h)
release=$(uname -r)

# btf NAME [ABI]: of a kernel whose KVM has that version of the hook, or none
btf() {
	local types='int nothing;'
	[ $# = 1 ] || types="struct kvm_timewarp_ops { int asked; } ops; enum kvm_timewarp_abi { KVM_TIMEWARP_ABI = $2 } version;"
	"$clang" -target bpf -g -O2 -c -x c -o "$dir/$1.o" - <<<"$types" &&
		objcopy -I elf64-little -O binary --only-section=.BTF --set-section-flags .BTF=alloc "$dir/$1.o" "$dir/$1"
}
btf stock && btf same "$abi" && btf later $((abi + 1)) || exit 1

# host BTF FILE...: from here on, one of that BTF and with these files, to which FILE=TEXT gives one; $said is what probe
# says there
host() {
	local f
	rm -rf "$root"/sys "$root"/usr/src "$root"/lib/modules
	mkdir -p "$root/sys/kernel/btf" && cp "$dir/$1" "$root/sys/kernel/btf/vmlinux" || exit 1
	shift
	for f; do
		mkdir -p "$root${f%/*}"
		echo "${f#*=}" >"$root${f%%=*}" || exit 1
	done
	said=$(there probe 2>&1)
	rc=$?
}
# there ARG...: twctl with these, on that host
# shellcheck disable=SC2016 # the inner shell's
there() { timeout 20 unshare "${own[@]}" --mount sh -c 'mount --rbind /proc "$0/proc" && exec chroot "$0" /bin/twctl "$@"' "$root" "$@"; }
# row NAME VERDICT FACT [CURE]: that is the row of this name, and its cure stands below; both are regular expressions
row() {
	local start=$'(^|\n)'"$1 +$2 +" fact=$3 below='' cure=${4:-}
	[ -z "$cure" ] || below=$'[^\n]*\n +-> '
	[[ $said =~ $start$fact$below$cure ]] && return
	echo "$said"
	return 1
}
module=/sys/module/kvm/initstate=live switch=/sys/module/kvm/parameters/timewarp=Y lock=/sys/kernel/security/lockdown
ours=/lib/modules/$release/updates/dkms/kvm.ko.xz dkms=/usr/src/timewarp-9/dkms.conf

host stock $module "$lock=[none] integrity confidentiality"
ok "no package is there: the stock KVM, and what to install" row hook missing "the kvm that runs is a stock one" "install timewarp-dkms"
ok "a kernel that knows lockdown, and is not" row lockdown ok "not locked down"
host stock $module $dkms /lib/modules/5.99/updates/dkms/kvm.ko "$lock=none [integrity] confidentiality"
ok "timewarp-dkms has built for another kernel alone: what says why" row hook missing "a stock kvm runs: timewarp-dkms has built none for this kernel" "dkms autoinstall"
ok "locked down: modules must be signed, and what BPF may not" row lockdown limited "locked down for integrity: unsigned modules do not load, and QEMU's own clocks stay on host time" "sign the patched modules, or boot without"
host stock $module $dkms "$ours" "$lock=none integrity [confidentiality]"
ok "it has, and the stock KVM was loaded: timewarp-reload" row hook missing "a patched kvm is installed, but the stock one was loaded" "timewarp-reload"
ok "locked down further: the same" row lockdown limited "locked down for confidentiality: unsigned modules do not load"
ok "and that nothing is traced" row bpf-read missing "locked down for confidentiality: BPF programs may not read the kernel's memory, and so nothing can be traced" "boot with lockdown=integrity"
host stock $module
ok "securityfs is not mounted: what is not known is not said to be well" row lockdown unknown "securityfs is not mounted on /sys/kernel/security" "mount -t securityfs"
ok "nor whether BPF may read" row bpf-read unknown "BPF programs may read the kernel.s memory unless it is locked down for confidentiality"
host stock $module "/lib/modules/$release/updates/timewarp/kvm.ko"
ok "of make install-kvm, and the stock KVM was loaded: the same" row hook missing "a patched kvm is installed" "timewarp-reload"
host stock /sys/module/kvm/uevent $dkms
ok "a KVM that is built in cannot be replaced" row hook missing "the kvm that runs is a stock one" "KVM is built into this kernel"
host stock $module $switch
ok "modules that were built without BTF" row hook missing "kvm is patched, but /sys/kernel/btf/kvm is not there"
host same $module "${switch%Y}N"
ok "modules of twctl's version" row abi ok "version $abi"
ok "switched off" row switch missing "switched off by the module parameter kvm.timewarp" "echo 1 > /sys/module/kvm/parameters/timewarp"
host later $module $switch /sys/class/misc/kvm/dev
ok "of another: both are named, and the cure" row abi missing "the kernel's is version $((abi + 1)), twctl's $abi" "install timewarp and timewarp-dkms of one version"
if [ "$(id -u)" = 0 ]; then
	ok "and nothing can be attached" test "$rc" = 3
	ok "which attach says, too" says 3 "twctl's $abi; install timewarp and timewarp-dkms of one version" there attach 1 --factor 2
else
	skip "which attach says, too" "not root, which is asked first"
fi
done_testing
