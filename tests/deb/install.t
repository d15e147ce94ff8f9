#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The packages in a clean Debian: installed, used, removed, purged, and nothing is left. TW_DEB_SUITES="bookworm
# trixie" takes both. A kernel is installed there, and none of it boots: what runs is this machine's.
cd "$(dirname "$0")/../.." || exit 1
. tests/build/tap.sh
if [ "$(id -u)" != 0 ]; then
	echo "1..0 # SKIP needs root, for a root file system"
	exit 0
fi
ls build/deb/timewarp_*.deb >/dev/null 2>&1 || tools/deb >&2 || exit 1
work=$(mktemp -d) || exit 1
root=$work/root
unmount() { for d in proc dev/pts dev sys; do ! mountpoint -q "$root/$d" || umount -l "$root/$d"; done; }
trap 'unmount; rm -rf "$work"' EXIT

in_root() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"; }
# Files and links that no package has, but for what apt, dpkg and DKMS themselves keep by design; /lib is /usr/lib there
files() {
	(cd "$root" && find . -xdev \( -path ./proc -o -path ./sys -o -path ./dev -o -path ./debs -o -path ./tmp -o -path ./var/cache -o -path ./var/log \
		-o -path ./var/lib/apt -o -path ./var/lib/dpkg -o -path ./run -o -path ./etc/alternatives \) -prune -o ! -type d -print) |
		sed 's#^\.##; s#^/usr/#/#' | grep -vE '^/(etc/ld\.so\.cache|etc/\.pwd\.lock|var/lib/dkms/mok\.(key|pub)|.*/__pycache__/.*)$' | sort |
		comm -23 - <(cat "$root"/var/lib/dpkg/info/*.list | sed 's#^/usr/#/#' | sort -u)
}
which_kvm() { in_root modprobe -S "$k" --show-depends kvm-amd | grep '/kvm\.ko'; }

for suite in ${TW_DEB_SUITES:-bookworm}; do
	tar=$(tests/deb/root "$suite") || exit 1
	unmount
	rm -rf "$root"
	mkdir -p "$root"
	tar -xf "$tar" -C "$root" || exit 1
	for d in proc sys dev; do mount --rbind "/$d" "$root/$d" 2>/dev/null || mount --bind "/$d" "$root/$d"; mount --make-rslave "$root/$d" 2>/dev/null; done
	cp /etc/resolv.conf "$root/etc/resolv.conf"
	k=$(cat "$root/kernel")
	mkdir "$root/debs" && cp build/deb/*.deb "$root/debs/"
	in_root apt-get -q update >"$work/update.log" 2>&1
	files >"$work/before"
	stock=$(which_kvm)
	ok "$suite: a root with kernel $k, of stock modules" test -n "$stock"

	ok "$suite: apt installs the packages" in_root sh -c 'apt-get install -q -y --no-install-recommends /debs/*.deb >/debs/log 2>&1 || { tail -n 40 /debs/log; exit 1; }'
	sed -n '/^timewarp:\|^  cure:\|DKMS\|^Error/p' "$root/debs/log" | sed "s/^/# $suite: /"
	installed() { says 0 ": installed" in_root dkms status -m timewarp -k "$k" && [[ $(in_root dkms status -m timewarp -k "$k") != *WARNING* ]]; }
	ok "$suite: DKMS has built and installed KVM's modules" installed
	ours() { [[ $(which_kvm) == */updates/dkms/* ]]; }
	ok "$suite: modprobe prefers them" ours
	for m in kvm kvm-intel kvm-amd; do
		f=$(echo "$root/lib/modules/$k/updates/dkms/$m.ko"*)
		case $f in *.xz) xz -dc "$f" ;; *.zst) zstd -dqc "$f" ;; *) cat "$f" ;; esac >"$work/$m.ko"
		ok "$suite: $m has BTF, which policies need" says 0 " .BTF " readelf -S -W "$work/$m.ko"
	done
	ok "$suite: kvm has the hook" says 0 "timewarp" modinfo -F parm "$work/kvm.ko"
	ok "$suite: and tells whose it is" test "$(modinfo -F version "$work/kvm.ko")" = "timewarp-$(cat VERSION)"
	ok "$suite: twctl runs" says 0 "twctl $(cat VERSION)" in_root twctl version
	ok "$suite: and knows its policies" says 0 "skip-idle" in_root twctl policy list
	ok "$suite: an author builds a policy" in_root sh -c 'cd /tmp && twctl policy new mine && twctl policy build mine.bpf.c && rm mine.bpf.*'
	ok "$suite: pkg-config's file names the version" grep -q "^Version: $(cat VERSION)\$" "$root/usr/share/pkgconfig/timewarp.pc"
	ok "$suite: the manual page is there" test -f "$root/usr/share/man/man8/twctl.8.gz"

	# A kernel that no hooks are for
	mkdir -p "$root/lib/modules/5.99.0-1-amd64/build/include" && touch "$root/lib/modules/5.99.0-1-amd64/build/.config"
	ok "$suite: a kernel of another line is told so, with the cure" says 0 "there are no hooks for Linux 5.99; its stock KVM stays" in_root sh -c '! dkms build -m timewarp -v '"$(cat VERSION)"' -k 5.99.0-1-amd64'
	ok "$suite: and does not keep packages from being installed" in_root sh -c 'apt-get install -q -y --no-install-recommends --reinstall /debs/timewarp-dkms*.deb >/debs/log 2>&1 || { tail -n 20 /debs/log; exit 1; }'
	ok "$suite: its stock modules are alone" test ! -e "$root/lib/modules/5.99.0-1-amd64/updates"
	ok "$suite: ours are there again for $k" ours
	rm -rf "$root/lib/modules/5.99.0-1-amd64"
	# A kernel whose source nobody has
	ok "$suite: a kernel whose source is not to be had is told so" says 1 "neither installed nor to be had" in_root sh -c '
		rm -rf /var/lib/timewarp/kernel; mkdir /fake; printf "#!/bin/sh\necho 6.12.1-0none\n" >/fake/dpkg-query; chmod +x /fake/dpkg-query
		PATH=/fake:$PATH /usr/src/timewarp-*/tools/dkms-source '"$k"
	rm -rf "$root/fake"

	ok "$suite: apt removes them" in_root sh -c 'apt-get remove -q -y timewarp-dkms >/debs/log 2>&1 || { tail -n 20 /debs/log; exit 1; }'
	ok "$suite: and modprobe takes the stock modules" test "$(which_kvm)" = "$stock"
	touch "$root/usr/lib/timewarp/policies/mine.bpf.o"
	ok "$suite: apt purges all of it" in_root sh -c 'apt-get purge -q -y "timewarp*" >/debs/log 2>&1 && apt-get autoremove --purge -q -y >>/debs/log 2>&1 || { tail -n 20 /debs/log; exit 1; }'
	ok "$suite: a policy of the user's own is kept" rm "$root/usr/lib/timewarp/policies/mine.bpf.o"
	rmdir -p --ignore-fail-on-non-empty "$root/usr/lib/timewarp/policies"
	files >"$work/after"
	left() { comm -13 "$work/before" "$work/after" | head -n 30; }
	ok "$suite: and nothing else is left" finds_nothing left
done
done_testing
