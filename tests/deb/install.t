#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The packages in a clean Debian: installed, upgraded, used, removed, purged, and nothing is left; the next kernel comes and
# goes; what is missing, or full, or cut off is told in one line, and leaves the stock KVM. Nothing here boots; tests/deb/host.t does.
# TW_DEB_SUITES takes one of the two; TW_DEB_PARTS some of: upgrade bad kernels. Each builds KVM once or twice, beside
# once at all, which is most of the time.
cd "$(dirname "$0")/../.." || exit 1
. tests/build/tap.sh
. tests/build/root.sh
if [ "$(id -u)" != 0 ]; then
	echo "1..0 # SKIP needs root, for a root file system"
	exit 0
fi
root_own_mounts tests/deb/install.t "$@"
parts=" ${TW_DEB_PARTS-upgrade bad kernels} "
ls build/deb/timewarp_*.deb >/dev/null 2>&1 || tools/deb >&2 || exit 1
version=$(dpkg-deb -f "$(echo build/deb/timewarp_*.deb)" Version) || exit 1
older="0.0.1~before"
work=$(mktemp -d) || exit 1
root=$work/root
trap 'root_remove "$work"' EXIT

# quietly COMMAND: in the root; what it says is kept in /debs/log, and shown if it fails
quietly() { in_root sh -c "{ $1; } >/debs/log 2>&1 </dev/null || { tail -n 40 /debs/log; exit 1; }"; }
apt() { quietly "apt-get -q -y --no-install-recommends $*"; }
# Files and links that no package has, but for what apt, dpkg, DKMS and those that make users keep by design; /lib is
# /usr/lib there
files() {
	(cd "$root" && find . -xdev \( -path ./proc -o -path ./sys -o -path ./dev -o -path ./debs -o -path ./tmp -o -path ./var/cache -o -path ./var/log \
		-o -path ./var/lib/apt -o -path ./var/lib/dpkg -o -path ./run -o -path ./etc/alternatives \) -prune -o ! -type d ! -lname '/etc/alternatives/*' -print) |
		sed 's#^\.##; s#^/usr/#/#' | grep -vE '^/(etc/ld\.so\.cache|etc/\.pwd\.lock|etc/(passwd|group|g?shadow|sub[ug]id)-|var/lib/dkms/mok\.(key|pub)|.*/__pycache__/.*)$' | sort |
		comm -23 - <(cat "$root"/var/lib/dpkg/info/*.list | sed 's#^/usr/#/#' | sort -u)
}
which_kvm() { in_root modprobe -S "${1:-$k}" --show-depends kvm-amd | grep '/kvm\.ko'; }
status() { in_root dkms status -m timewarp -k "$1"; }
installed() { [[ $(status "$1") == *": installed"* && $(status "$1") != *WARNING* ]] || { status "$1"; false; }; }
ours() { [[ $(which_kvm "$1") == */updates/dkms/* ]] || { which_kvm "$1"; false; }; }
# is_stock: modprobe takes the stock modules, DKMS has installed none, and none lies about
is_stock() {
	[ "$(which_kvm)" = "$stock" ] || { which_kvm; return 1; }
	[[ $(status "$k") != *": installed"* ]] || { status "$k"; return 1; }
	finds_nothing find "$root/lib/modules/$k/updates" -name 'kvm*'
}
# build: DKMS builds and installs for $k, as at a kernel update; what timewarp says of it
build() { in_root dkms autoinstall -k "$k" >"$root/debs/log" 2>&1 </dev/null; grep '^timewarp\|^build-kvm\|^dkms-' "$root/debs/log"; }
unbuild() { in_root sh -c "dkms unbuild -m timewarp -v $version -k $k; rm -rf /var/lib/timewarp/*" >/dev/null 2>&1; }
# One line of what and why, with the cure behind or under it, of ours alone
told() {
	local said
	said=$(build)
	[[ $said == *"$1"* ]] && [ "$(grep -c '^timewarp' <<<"$said")" = 1 ] && return
	echo "expected: $1"
	cat "$root/debs/log"
	return 1
}
# full DIR [KIB]: what is in it is there, and room for so much more, or a megabyte, until unmounted
full() {
	mkdir -p "$root/$1" && rm -rf "$work/kept" && cp -a "$root/$1" "$work/kept" &&
		mount -t tmpfs -o size=$(($(du -sk "$work/kept" | cut -f1) + ${2:-1024}))k,mode=1777 none "$root/$1" && cp -a "$work/kept/." "$root/$1/"
}

# older DIR: twctl's and DKMS's packages, as an earlier version of the same would be
older() {
	local name d=$work/older
	mkdir -p "$1"
	for name in timewarp timewarp-dkms; do
		rm -rf "$d"
		dpkg-deb -R build/deb/"$name"_*.deb "$d" || return
		grep -rlIZF -- "$version" "$d" | xargs -0 sed -i "s/${version//./[.]}/$older/g"
		[ ! -d "$d/usr/src" ] || mv "$d/usr/src/timewarp-$version" "$d/usr/src/timewarp-$older"
		dpkg-deb -b "$d" "$1" >/dev/null || return
	done
	rm -rf "$d"
}
# The release of the newest 6.12 kernel but that one which the root's archive has
kernel_before() {
	in_root apt-cache pkgnames linux-headers-6.12. | sed -n 's/^linux-headers-\(6\.12\.[0-9]*[+-]deb[0-9]*-amd64\)$/\1/p' | sort -V | grep -vxF "$1" | tail -n 1
}

for suite in ${TW_DEB_SUITES:-bookworm trixie}; do
	tar=$(tools/debian-root "$suite") || exit 1
	root_remove "$root"
	mkdir -p "$root"
	tar -xf "$tar" -C "$root" && root_enter || exit 1
	k=$(cat "$root/kernel") next=''
	mkdir "$root/debs" && cp build/deb/*.deb "$root/debs/"
	in_root apt-get -q update >"$work/update.log" 2>&1
	if [[ $parts == *" kernels "* ]] && [ -n "$(kernel_before "$k")" ]; then
		next=$k k=$(kernel_before "$k")
		apt install "linux-image-$k" "linux-headers-$k" && apt purge "linux-image-$next" "linux-headers-$next" || exit 1
	fi
	files >"$work/before"
	stock=$(which_kvm)
	ok "$suite: a root with kernel $k, of stock modules" test -n "$stock"

	if [[ $parts == *" upgrade "* ]]; then
		ok "$suite: an earlier version is made" older "$root/debs/older"
		ok "$suite: apt installs it" apt install '/debs/older/*.deb'
		ok "$suite: DKMS has built and installed its modules" installed "$k"
		ok "$suite: of that version" says 0 "timewarp-$older" in_root modinfo -k "$k" -F version kvm
	fi
	if [[ $parts == *" bad "* ]]; then
		# A kernel that no hooks are for, which is to keep no package from being installed
		mkdir -p "$root/lib/modules/5.99.0-1-amd64/build/include" && touch "$root/lib/modules/5.99.0-1-amd64/build/.config"
	fi
	ok "$suite: apt installs the packages" apt install '/debs/*.deb'
	ok "$suite: of an earlier version nothing is left" finds_nothing find "$root/usr/src/" "$root/var/lib/dkms/" "$root/var/lib/timewarp/" -name "*$older*"
	grep '^timewarp\|^Error' "$root/debs/log" | sed "s/^/# $suite: /"
	ok "$suite: DKMS has built and installed KVM's modules" installed "$k"
	ok "$suite: modprobe prefers them" ours "$k"
	ok "$suite: the kernel's own are where its package has them" test "$(find "$root/lib/modules/$k/kernel/" -name 'kvm.ko*' -o -name 'kvm-intel.ko*' -o -name 'kvm-amd.ko*' | wc -l)" = 3
	for m in kvm kvm-intel kvm-amd; do
		f=$(echo "$root/lib/modules/$k/updates/dkms/$m.ko"*)
		case $f in *.xz) xz -dc "$f" ;; *.zst) zstd -dqc "$f" ;; *) cat "$f" ;; esac >"$work/$m.ko"
		ok "$suite: $m has BTF, which policies need" says 0 " .BTF " readelf -S -W "$work/$m.ko"
		ok "$suite: and tells whose it is" test "$(modinfo -F version "$work/$m.ko")" = "timewarp-$version"
		ok "$suite: and is signed, by DKMS's key" says 0 "DKMS" modinfo -F signer "$work/$m.ko"
	done
	ok "$suite: kvm has the hook" says 0 "timewarp" modinfo -F parm "$work/kvm.ko"
	ok "$suite: twctl runs" says 0 "twctl $version" in_root twctl version
	ok "$suite: and knows its policies" says 0 "skip-idle" in_root twctl policy list
	ok "$suite: an author builds a policy" in_root sh -c 'cd /tmp && twctl policy new mine && twctl policy build mine.bpf.c && rm mine.bpf.*'
	ok "$suite: pkg-config's file names the version" grep -q "^Version: $version\$" "$root/usr/share/pkgconfig/timewarp.pc"
	for page in twctl twctl-attach timewarp-reload; do
		ok "$suite: the manual page $page is there" test -f "$root/usr/share/man/man8/$page.8.gz"
	done

	if [[ $parts == *" bad "* ]]; then
		ok "$suite: a kernel of another line is told so, with the cure" says 0 "there are no hooks for Linux 5.99; its stock KVM stays" in_root sh -c "! dkms build -m timewarp -v $version -k 5.99.0-1-amd64"
		ok "$suite: its stock modules are alone" test ! -e "$root/lib/modules/5.99.0-1-amd64/updates"
		rm -rf "$root/lib/modules/5.99.0-1-amd64"

		# A kernel whose source nobody has
		unbuild
		mkdir "$root/fake" && printf '#!/bin/sh\ncase "$*" in *headers*) echo 6.12.1-0none ;; *) exec /usr/bin/dpkg-query "$@" ;; esac\n' >"$root/fake/dpkg-query"
		chmod +x "$root/fake/dpkg-query"
		ok "$suite: a kernel whose source is not to be had is told so" says 1 "neither installed nor to be had" in_root sh -c '
			PATH=/fake:$PATH /usr/src/timewarp-*/tools/dkms-source '"$k"
		ok "$suite: in two lines: what, and the cure" test "$(in_root sh -c 'PATH=/fake:$PATH /usr/src/timewarp-*/tools/dkms-source '"$k" 2>&1 | grep -vc '^timewarp: downloading')" = 2
		ok "$suite: its stock KVM is alone" is_stock
		rm -rf "$root/fake"

		# A download that is cut off: with whoever waits for it, and as a server does it, unnoticed
		mkdir "$root/fake"
		cat >"$root/fake/apt-get" <<-'END'
			#!/bin/sh
			head -c 100000 /dev/zero >linux-source-cut.deb
			[ -e /fake/short ] || kill -s KILL -- "-$(cat /fake/group)"
		END
		chmod +x "$root/fake/apt-get"
		# shellcheck disable=SC2016 # the inner shell's
		cut_off() { in_root setsid -w sh -c 'echo $$ >/fake/group; PATH=/fake:$PATH exec /usr/src/timewarp-*/tools/dkms-source '"$k"; }
		ok "$suite: the download of the source is killed" says 137 "downloading" cut_off
		ok "$suite: what has come is not taken for the source" test ! -e "$root/var/lib/timewarp/kernel/$k"
		touch "$root/fake/short"
		ok "$suite: one that is not whole is told" says 1 "the source that was downloaded cannot be unpacked; its stock KVM stays" cut_off
		ok "$suite: nothing is left of either" finds_nothing find "$root/var/lib/timewarp" -name '.tmp*' -o -path '*/kernel/*'
		ok "$suite: its stock KVM is alone" is_stock
		rm -rf "$root/fake"

		# No room, wherever a build wants some
		for d in /var/lib/timewarp /var/lib/dkms "/lib/modules/$k/updates"; do
			unbuild
			full "$d"
			ok "$suite: no room in $d: told in one line" told "there is no room in $d: "
			umount -l "$root/$d"
			ok "$suite: no room in $d: the stock KVM is alone" is_stock
			ok "$suite: no room in $d: nothing is left of it" finds_nothing find "$root/var/lib/timewarp" -name '.tmp*' -o -path '*/kernel/*'
		done
		# Nor for the package: what prerm has taken away comes back, with /tmp full
		full "/usr/src/timewarp-$version" 100
		full /tmp
		ok "$suite: no room for the package itself: not installed" says 1 "" apt install --reinstall '/debs/timewarp-dkms*.deb'
		ok "$suite: dpkg says why" grep -q "No space left on device" "$root/debs/log"
		umount -l "$root/usr/src/timewarp-$version"
		umount -l "$root/tmp"
		ok "$suite: the one that was there is installed" says 0 "install ok installed" in_root dpkg-query -W -f '${Status}' timewarp-dkms
		ok "$suite: whole" finds_nothing in_root dpkg --verify timewarp-dkms
		ok "$suite: so are its modules, without room in /tmp" installed "$k"
		ok "$suite: and preferred" ours "$k"
		# As DKMS leaves it when the disk is full after all, before its depmod
		truncate -s 1000 "$root/lib/modules/$k/updates/dkms/kvm-amd.ko"*
		ok "$suite: modules that did not arrive whole are told" says 1 "kvm-amd.ko" in_root sh -c "/usr/src/timewarp-$version/tools/dkms-installed $k"
		in_root depmod "$k"
		ok "$suite: and none of them stays" test -z "$(find "$root/lib/modules/$k/updates" -name 'kvm*')" -a "$(which_kvm)" = "$stock"
		# Cut off: an installation is killed while it builds, with all that it has started
		unbuild
		in_root setsid sh -c 'apt-get -q -y --no-install-recommends install --reinstall /debs/timewarp-dkms*.deb' >"$root/debs/log" 2>&1 </dev/null &
		# Of this root: another test, or tools/image, may build in one of its own
		a_make() { for make in $(pgrep -f 'M=/var/lib/dkms/timewarp/'); do [ ! "/proc/$make/root" -ef "$root" ] || return 0; done; false; }
		for _ in {1..600}; do
			! a_make || break
			sleep 0.5
		done
		ok "$suite: a build is under way" a_make
		kill -KILL -- "-$(ps -o sid= -p "$make" | tr -d ' ')" 2>/dev/null
		wait
		ok "$suite: killed in the middle: the stock KVM is alone" is_stock
		ok "$suite: dpkg --configure -a completes it" quietly "dpkg --configure -a"
		ok "$suite: ours is installed" installed "$k"
		ok "$suite: and preferred" ours "$k"
	fi

	if [[ $parts != *" kernels "* ]]; then
		:
	elif [ -n "$next" ]; then
		ok "$suite: the next kernel comes, $next, with its headers" apt install "linux-image-$next" "linux-headers-$next"
		grep '^timewarp' "$root/debs/log" | sed "s/^/# $suite: /"
		ok "$suite: DKMS has built for it at once" installed "$next"
		ok "$suite: modprobe prefers that" ours "$next"
		ok "$suite: of the source of its version" test "$(cat "$root/var/lib/timewarp/kernel/$next/package-version")" = "$(in_root dpkg-query -W -f '${Version}' "linux-headers-$next")"
		ok "$suite: $k has its own still" ours "$k"
		ok "$suite: it goes" apt purge "linux-image-$next" "linux-headers-$next"
		ok "$suite: and all that was built for it" finds_nothing find "$root/lib/modules/" "$root/var/lib/dkms/timewarp/" -path "*$next*" ! -type d
		in_root "/usr/src/timewarp-$version/tools/dkms-source" "$k"
		ok "$suite: its source with the next build" finds_nothing find "$root/var/lib/timewarp" -path "*$next*"
		ok "$suite: $k keeps its own" ours "$k"
	else
		skip "$suite: the next kernel" "the archive has one only"
	fi

	ok "$suite: apt removes them" apt remove timewarp-dkms
	ok "$suite: and modprobe takes the stock modules" is_stock
	touch "$root/usr/lib/timewarp/policies/mine.bpf.o"
	ok "$suite: apt purges all of it" quietly "apt-get purge -q -y 'timewarp*' && apt-get autoremove --purge -q -y"
	ok "$suite: a policy of the user's own is kept" rm "$root/usr/lib/timewarp/policies/mine.bpf.o"
	rmdir -p --ignore-fail-on-non-empty "$root/usr/lib/timewarp/policies"
	files >"$work/after"
	left() { comm -13 "$work/before" "$work/after" | head -n 30; }
	ok "$suite: and nothing else is left" finds_nothing left
	rm -r "$root/debs"
	ok "$suite: no directory of that name either" finds_nothing find "$root" -xdev -name '*timewarp*'
done
done_testing
