#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What timewarp-host refuses before it boots anything: one line, a status, the cure; and nothing is left. With roots that
# have no more of an image than is looked at until then.
cd "$(dirname "$0")/../.." || exit 1
. tests/build/tap.sh
work=$(mktemp -d) || exit 1
server=''
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
mkdir "$work/tmp" "$work/dir" "$work/empty"
export TMPDIR=$work/tmp

# An image that is one as far as it is looked at
root=$work/root
mkdir -p "$root"/usr/{bin,lib/timewarp/host} "$root/var/lib/timewarp-host/6.12.0-fake" "$root/boot"
touch "$root/var/lib/timewarp-host/6.12.0-fake/"{kernel,initrd}
printf '#!/bin/sh\n' | tee "$root/usr/bin/qemu-system-x86_64" >"$root/usr/lib/timewarp/host/twexec"
chmod +x "$root/usr/bin/qemu-system-x86_64" "$root/usr/lib/timewarp/host/twexec"
touch "$work/file"
host() { tools/timewarp-host "$@" </dev/null; }
# refuses STATUS LINES TEXT ARG...: that many lines and no more, of which the first has the text
refuses() {
	local status=$1 lines=$2 text=$3 said rc
	shift 3
	said=$(host "$@" 2>&1)
	rc=$?
	[ $rc = "$status" ] && [ "$(wc -l <<<"$said")" = "$lines" ] && [[ ${said%%$'\n'*} == "timewarp-host: "*"$text"* ]] && return
	echo "status $rc, expected $status with: $text"
	echo "$said"
	return 1
}

ok "help" says 0 "--share DIR" host --help
ok "none asked for is help" says 0 "--share DIR" host
for o in accel share disk ssh smp memory timeout root; do
	ok "help tells of --$o" says 0 "  --$o" host --help
	ok "and so does the manual page" grep -q "\\\\-\\\\-$o" tools/timewarp-host.8
	ok "--$o wants an argument" refuses 2 1 "--$o needs an argument" run --$o
done
ok "an unknown verb" refuses 2 1 "unknown verb 'walk'" walk
ok "an unknown option" refuses 2 1 "unknown option '--fast'" run --root "$root" --fast -- true
ok "no image" refuses 2 1 "lies in no image" run -- true
ok "an image that is not there" refuses 2 1 "no directory '$work/nothing'" run --root "$work/nothing" -- true
ok "no command" refuses 2 1 "what shall it run?" run --root "$root"
ok "no such acceleration" refuses 2 1 "kvm, tcg or auto, not 'warp'" run --root "$root" --accel warp -- true
for o in "ssh 0" "ssh 65536" "ssh x" "smp 0" "smp 65" "smp -1" "memory 511" "memory 1G" "timeout -5" "timeout 1e3"; do
	# shellcheck disable=SC2086 # words
	ok "--$o" refuses 2 1 "--${o%% *} wants" run --root "$root" --$o -- true
done
ok "a share that is not there" refuses 2 1 "no directory '$work/nothing'" run --root "$root" --share "$work/nothing" -- true
ok "a share that is a file" refuses 2 1 "'$work/file' is none" run --root "$root" --share "$work/file" -- true
ok "a disk that is not there" refuses 2 1 "no file '$work/nothing'" run --root "$root" --disk "$work/nothing" -- true
ok "a disk that is a directory" refuses 2 1 "'$work/dir' is neither" run --root "$root" --disk "$work/dir" -- true
ok "two disks of one name" refuses 2 1 "two are called 'file'" run --root "$root" --disk "$work/file" --disk "$work/../${work##*/}/file" -- true
ok "an image without a kernel" refuses 125 2 "no kernel in $work/empty" run --root "$work/empty" --accel tcg -- true
mv "$root/var" "$root/rav"
touch "$root/boot/vmlinuz-6.12.0-fake"
ok "an image whose kernel is not made ready: how to" refuses 125 2 "is not made ready" run --root "$root" --accel tcg -- true
ok "to make one ready takes its kernel's modules" refuses 125 2 "no kernel with its modules" prepare --root "$root"
rm "$root/boot/vmlinuz-6.12.0-fake"
mv "$root/rav" "$root/var"
chmod -x "$root/usr/bin/qemu-system-x86_64"
ok "an image without QEMU" refuses 125 2 "no $root/usr/bin/qemu-system-x86_64 that can be run" run --root "$root" --accel tcg -- true
chmod +x "$root/usr/bin/qemu-system-x86_64"
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	chmod 755 "$work" "$work/dir" "$root"
	mkdir "$work/readable" && cp tools/timewarp-host tools/host.sh tools/lib.sh "$work/readable/" && chmod -R a+rX "$work/readable"
	nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$work/readable/timewarp-host" "$@" </dev/null; }
	ok "a share that the user may not write" says 2 "you may not write in '$work/dir'" nobody run --root "$root" --share "$work/dir" -- true
	ok "nor may he prepare an image" says 125 "only root may" nobody prepare --root "$root"
fi

perl -MIO::Socket::INET -e '$| = 1; my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") or die; print $s->sockport, "\n"; sleep 900' >"$work/port" &
server=$!
until [ -s "$work/port" ]; do sleep 0.1; done
ok "a port that is taken" refuses 125 2 "port $(cat "$work/port") of this machine is taken" run --root "$root" --accel tcg --ssh "$(cat "$work/port")" -- true

# Machines of other kinds, in a mount namespace: WHAT NESTED: /dev/kvm is there (yes), or not; with that as kvm_amd's parameter
# shellcheck disable=SC2016 # the inner shell's
on_machine() {
	local kvm=$1 nested=$2
	shift 2
	unshare --user --map-root-user --mount sh -c '
		mkdir "$1/dev" "$1/sys" 2>/dev/null
		mount -t tmpfs none "$1/sys" && mkdir -p "$1/sys/module" && mount --rbind "$1/sys" /sys || exit 99
		[ -z "$3" ] || { mkdir -p /sys/module/kvm_amd/parameters && echo "$3" >/sys/module/kvm_amd/parameters/nested; } || exit 99
		mount -t tmpfs none "$1/dev" && touch "$1/dev/null" "$1/dev/kvm" && mount --bind /dev/null "$1/dev/null" || exit 99
		[ "$2" = yes ] && { mount --bind /dev/null "$1/dev/kvm" || exit 99; } || rm "$1/dev/kvm"
		mount --rbind "$1/dev" /dev || exit 99
		shift 3
		exec tools/timewarp-host "$@" </dev/null' sh "$work" "$kvm" "$nested" "$@"
}
if unshare --user --map-root-user --mount true 2>/dev/null; then
	ok "--accel kvm without /dev/kvm" says 125 "there is no /dev/kvm" on_machine no '' run --root "$root" --accel kvm -- true
	ok "and how to get it in a container" says 125 "--device /dev/kvm" on_machine no '' run --root "$root" --accel kvm -- true
	ok "--accel kvm without nested virtualization: where it says so" says 125 "off (/sys/module/kvm_amd/parameters/nested)" on_machine yes 0 run --root "$root" --accel kvm -- true
	ok "and the cure" says 125 "modprobe kvm_amd nested=1" on_machine yes 0 run --root "$root" --accel kvm -- true
	ok "auto goes on under emulation there, and says why" says 125 "under emulation, a hundred times slower: nested virtualization is off" on_machine yes 0 run --root "$root" --ssh "$(cat "$work/port")" -- true
	ok "with it there is nothing to say" says 125 "port" on_machine yes 1 run --root "$root" --ssh "$(cat "$work/port")" -- true
	silent() { [[ $(on_machine yes 1 run --root "$root" --ssh "$(cat "$work/port")" -- true 2>&1) != *emulation* ]]; }
	ok "not even of emulation" silent
else
	skip "machines with and without nested virtualization" "no user namespaces"
fi
ok "nothing is left" finds_nothing ls "$work/tmp"
done_testing
