#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The image for any machine, as a user has it: its directory, of which he may change nothing, boots under emulation; so
# does what umoci unpacks of the archive, by itself and in a container of a user namespace; from a root of Debian 12 and
# one of 13, whatever this machine runs; and nested, by KVM, in a host with the distribution's own modules. TW_IMAGE_PARTS
# takes some of: directory archive on-bookworm on-trixie nested; TW_IMAGE_SUITE the Debian that it is made of (trixie,
# bookworm); TW_IMAGE a root that is there, without an archive.
cd "$(dirname "$0")/../.." || exit 1
if [ "$(id -u)" != 0 ]; then
	echo "1..0 # SKIP needs root, to make the image"
	exit 0
fi
. tests/build/tap.sh
. tests/build/root.sh
root_own_mounts tests/image/image.t "$@"
. tests/image/oci.sh
parts=" ${TW_IMAGE_PARTS-directory archive on-bookworm on-trixie nested} "
limit=${TW_TIMEOUT:-1800}
suite=${TW_IMAGE_SUITE:-trixie}
archive=build/image/timewarp-host-$suite.tar image=${TW_IMAGE:-}
[ -n "$image" ] || ls build/deb/timewarp-host_*.deb >/dev/null 2>&1 || tools/deb >&2 || exit 1
if [ -n "$image" ]; then
	:
elif [[ $parts == *" archive "* ]]; then
	image=$(tools/image --suite "$suite" --oci "$archive") || exit 1
else
	image=$(tools/image --suite "$suite") || exit 1
fi
work=$(mktemp -d) || exit 1
root=$work/outside
# The image first: it is of the same file system
trap 'umount -l "$work/image" 2>/dev/null; mountpoint -q "$work/image" || root_remove "$work"' EXIT
chmod 755 "$work"
mkdir "$work/image"
for d in tmp share bundles; do mkdir "$work/$d" && chown 65534:65534 "$work/$d"; done
mount --bind -o ro "$image" "$work/image" || exit 1

# A user without any right, and a machine without QEMU as far as he sees: nothing of PATH but bash and coreutils is needed
nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups env -i "PATH=$PATH" "TMPDIR=$work/tmp" HOME=/nonexistent TERM=xterm "$@"; }
host=$work/image/usr/bin/timewarp-host
has() { grep -qxF -- "$2" "$1" || { cat "$1"; false; }; }
show() { sed 's/^/# /' "$1"; }
until_there() { until [ -e "$1" ]; do kill -0 "$2" 2>/dev/null || return 1; sleep 1; done; }
until_said() { until grep -q "$2" "$1"; do kill -0 "$3" 2>/dev/null || return 1; sleep 1; done; }
# Whatever could have changed: what is mounted, loaded, or the user's in places that all may write; the image is mounted
# to be read
outside() {
	cat /proc/mounts
	! [ -e /proc/modules ] || cut -d' ' -f1 /proc/modules | sort
	ls -A "$work/tmp"
	find /tmp /var/tmp /dev/shm /run/user -maxdepth 1 -user nobody 2>/dev/null
}
outside >"$work/before"
if [[ $parts == *" directory "* ]]; then
	head -c 3145728 /dev/urandom >"$work/disk.raw"
	chmod 644 "$work/disk.raw"
	sum=$(sha256sum <"$work/disk.raw")
	cp tests/image/in-host debian/tests/attach "$work/share/"
	port=$(perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport')
	nobody "$host" run --accel tcg --timeout "$limit" --share "$work/share" --disk "$work/disk.raw" --ssh "$port" -- sh ./in-host "$port" \
		<<<"from outside" >"$work/out" 2>"$work/err" &
	run=$!
	until_there "$work/share/listening" $run
	# Whoever listens there may not be up yet
	for _ in {1..30}; do
		heard=$(timeout 60 bash -c "cat </dev/tcp/127.0.0.1/$port" 2>/dev/null)
		[ -z "$heard" ] || break
		sleep 2
	done
	ok "a port of this machine leads to the host" test "$heard" = "said by the host"
	touch "$work/share/heard"
	wait $run
	rc=$?
	ok "its status is the command's" test $rc = 7
	show "$work/out"
	show "$work/err"
	[ ! -f "$work/share/attach.out" ] || show "$work/share/attach.out"
	ok "standard input reaches the command" has "$work/share/stdin" "from outside"
	ok "errors stay apart from output" has "$work/err" "this is said to errors"
	ok "and are no output" test "$(grep -c "said to errors" "$work/out")" = 0
	ok "the kernel's log has nothing new" test "$(grep -c "kernel log" "$work/err")" = 0
	[ -n "${TW_IMAGE:-}" ] || ok "KVM is the package's" has "$work/out" "kvm timewarp-$(dpkg-deb -f build/deb/timewarp-host_*.deb Version)"
	ok "twctl finds all it needs" has "$work/out" "this host can attach policies"
	ok "a guest lives fifty times as fast, and as the host after that" has "$work/out" "attach 0"
	ok "the root can be written, for as long as it runs" has "$work/out" "the root can be written"
	ok "a disk is there" has "$work/out" "disk $sum"
	ok "and can be written, for as long as it runs" has "$work/out" "the disk can be written"
	ok "what lies outside stays as it is" test "$(sha256sum <"$work/disk.raw")" = "$sum"
	ok "what the command makes in the share is the user's" test "$(stat -c %U "$work/share/stdin")" = nobody
	ok "no QEMU is left" finds_nothing pgrep -u 65534 -a -f "$work"
	outside >"$work/after"
	ok "and nothing outside has changed" diff "$work/before" "$work/after"
	ok "time-out" says 124 "not up within 3 s" nobody "$host" run --accel tcg --timeout 3 -- true

	# A terminal: as large as that here, raw here, and Ctrl-C is the command's
	mkfifo "$work/in"
	# shellcheck disable=SC2016 # the host's
	echo 'tty; stty size; trap "stty size" WINCH; echo ready; read -r x; echo "got $x"; sleep 1000; echo "not reached"' >"$work/share/terminal"
	cat >"$work/typed" <<-END
		stty rows 33 cols 111; tty >$work/tty; chmod 666 \$(tty)
		setpriv --reuid 65534 --regid 65534 --clear-groups env TMPDIR=$work/tmp $host run --accel tcg --timeout $limit --share $work/share -- bash ./terminal
		printf '\nstatus %s\n' "\$?"; stty -a | grep -o ' icanon'
	END
	script -qfec "bash $work/typed" "$work/typescript" <"$work/in" >/dev/null 2>&1 &
	run=$!
	exec 4>"$work/in"
	touch "$work/typescript"
	until_said "$work/typescript" ready $run && stty -F "$(cat "$work/tty")" rows 44 cols 99 && printf 'a word\r' >&4
	until_said "$work/typescript" "got a word" $run && sleep 2 && printf '\003' >&4
	until_said "$work/typescript" "^status" $run
	exec 4>&-
	wait $run
	tr -d '\r' <"$work/typescript" | grep -v ^Script >"$work/terminal"
	show "$work/terminal"
	ok "the command has a terminal" has "$work/terminal" /dev/pts/0
	ok "as large as that outside" has "$work/terminal" "33 111"
	ok "and becomes as large" has "$work/terminal" "44 99"
	ok "what is typed is the command's" has "$work/terminal" "got a word"
	ok "so is Ctrl-C" has "$work/terminal" "status 130"
	ok "the terminal is afterwards as it was" has "$work/terminal" " icanon"
fi

if [[ $parts == *" archive "* ]]; then
	mkdir "$work/oci"
	tar -xf "$archive" -C "$work/oci"
	chmod -R a+rX "$work/oci"
	ok "the archive is a layout of OCI" grep -q imageLayoutVersion "$work/oci/oci-layout"
	ok "its entry point is timewarp-host" says 0 '/usr/bin/timewarp-host' sh -c "cat $work/oci/blobs/sha256/* | grep -a -o '\"Entrypoint\":[^]]*'"
	ok "umoci unpacks it, as a plain user" nobody umoci unpack --rootless --image "$work/oci:timewarp-host" "$work/bundles/one"
	rm -rf "$work/oci"
	own=$work/bundles/one/rootfs
	ok "what is unpacked is his" test "$(stat -c %U "$own/usr/bin/timewarp-host")" = nobody
	ok "it boots, and there it is root's" says 0 "root /usr/bin/qemu-system-x86_64" nobody "$own/usr/bin/timewarp-host" run --accel tcg --timeout "$limit" -- \
		stat -c '%U %n' /usr/bin/qemu-system-x86_64
	if command -v bwrap >/dev/null; then
		contained() {
			nobody bwrap --bind "$own" / --unshare-user --uid 0 --gid 0 --unshare-pid --unshare-net --proc /proc --dev /dev --tmpfs /tmp --setenv TMPDIR /tmp \
				/usr/bin/timewarp-host run "$@"
		}
		ok "in a container of bwrap's, without a network: by itself under emulation, and twctl finds all it needs" \
			says 0 "this host can attach policies" contained --timeout "$limit" -- twctl probe
		ok "there --accel kvm says how to get it" says 125 "--device /dev/kvm" contained --accel kvm -- true
	else
		skip "in a container" "no bwrap"
	fi
	if command -v crun >/dev/null && oci_bundle "$archive" "$work/crun" && oci_run "$work/crun" --help >/dev/null 2>&1; then
		ok "in a container of crun's, without any device: by itself under emulation, and twctl finds all it needs" \
			says 0 "this host can attach policies" oci_run "$work/crun" run --timeout "$limit" -- twctl probe
	else
		skip "in a container of crun's" "it runs none here"
	fi
fi

for outside in bookworm trixie; do
	[[ $parts == *" on-$outside "* ]] || continue
	tar=$(tools/debian-root "$outside") || exit 1
	mkdir "$root" && tar -xf "$tar" -C "$root" && root_enter && mkdir "$root/image" && mount --bind -o ro "$image" "$root/image" || exit 1
	ok "on $outside: no QEMU is there" finds_nothing find "$root/usr/bin" -name 'qemu*'
	in_root setpriv --reuid 65534 --regid 65534 --clear-groups /image/usr/bin/timewarp-host run --accel tcg --timeout "$limit" -- \
		sh -c 'grep ^VERSION_CODENAME= /etc/os-release; twctl probe; exit 7' >"$work/said" 2>&1
	rc=$?
	show "$work/said"
	ok "on $outside: a plain user's status is the command's" test $rc = 7
	ok "on $outside: the host has the image's own system" has "$work/said" "$(grep ^VERSION_CODENAME= "$image/etc/os-release")"
	ok "on $outside: twctl finds all it needs" has "$work/said" "this host can attach policies"
	ok "on $outside: nothing of it is left" finds_nothing find "$root" -xdev -user nobody
	root_remove "$root"
done

if [[ $parts == *" nested "* ]]; then
	# Two emulators in one another, and a network file system for each: it takes its time
	ok "nested in a host of the distribution's own KVM, as a plain user" says 0 "this host can attach policies" \
		tools/testhost --stock --smp 1 --memory 3072 --timeout "${TW_NESTED_TIMEOUT:-5400}" -- tests/image/nested "$image"
fi
done_testing
