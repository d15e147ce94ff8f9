#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# DKMS copies and removes modules one by one, and an initramfs keeps what it was made with: whenever that is cut off, a host
# has all modules of one kind. With the bench's own modules, depmod, and the package's scripts in a tree of their own.
cd "$(dirname "$0")/../.." || exit 1
. tests/build/tap.sh
. tools/lib.sh
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

# ---- depmod in the middle
if tw_kernel_env && [ -d "$TW_MODULES/kernel/arch/x86/kvm" ]; then
	k=$TW_KVER
	m=$dir/tree/lib/modules/$k
	mkdir -p "$m/kernel/arch/x86" "$m/updates/dkms" "$dir/conf"
	cp -r "$TW_MODULES/kernel/arch/x86/kvm" "$m/kernel/arch/x86/"
	cp "$TW_MODULES"/modules.{builtin,builtin.modinfo,order} "$m/"
	# What ours are does not matter here, but where
	arrive() { cp "$m/kernel/arch/x86/kvm/$1".ko* "$m/updates/dkms/"; }
	# kinds: where depmod then finds the three
	kinds() {
		depmod -b "$dir/tree" -C "$dir/conf" "$k"
		sed -n 's#^\([a-z]*\)/.*/\(kvm[a-z-]*\)\.ko[.xz]*:.*#\1#p' "$m/modules.dep" | sort -u | paste -sd' '
	}
	begin() { TIMEWARP_DEPMOD_D=$dir/conf debian/dkms/dkms-begin "$@"; }
	ok "what is in updates is preferred, and so some of ours are mixed with the kernel's" test "$(arrive kvm; kinds)" = "kernel updates"
	ok "DKMS asks before it copies" grep -q '^PRE_INSTALL="tools/dkms-begin $kernelver ' debian/dkms/dkms.conf
	ok "for this kernel" begin "$k"
	for one in kvm kvm-intel kvm-amd; do
		arrive $one
		ok "killed after $one: depmod takes the kernel's own, all three" test "$(kinds)" = kernel
	done
	# In a copy, as in DKMS's tree; of a kernel that is not there
	mkdir -p "$dir/src/tools"
	cp debian/dkms/dkms-{begin,installed} "$dir/src/tools/"
	cp debian/dkms/dkms.conf "$dir/src/"
	begin 0.0-none "$dir/link"
	ok "what says that modules are installed is there, and leads nowhere: DKMS does not move the kernel's own away" test "$(readlink "$dir/link")" = none
	ln -sfn 9/0.0-none/x86_64 "$dir/link"
	begin 0.0-none "$dir/link"
	ok "where some are installed it stays" test "$(readlink "$dir/link")" = 9/0.0-none/x86_64
	# shellcheck disable=SC2016 # as DKMS reads it
	ok "DKMS says where it is" test "$(bash -c 'kernelver=1-a arch=x86_64 dkms_tree=/tree; . debian/dkms/dkms.conf; echo "$PRE_INSTALL"')" = "tools/dkms-begin 1-a /tree/timewarp/kernel-1-a-x86_64"
	TIMEWARP_DEPMOD_D=$dir/conf "$dir/src/tools/dkms-installed" 0.0-none >/dev/null 2>&1
	ok "at the end it is taken back" test ! -e "$dir/conf/timewarp-0.0-none.conf" -a -e "$dir/conf/timewarp-$k.conf"
	rm "$dir/conf/"*
	ok "then depmod takes all of ours" test "$(kinds)" = updates
	begin "${k}x"
	ok "nothing is asked for another kernel" test "$(kinds)" = updates
	begin "${k/+/x}"
	ok "nor where + is any character" test "$(kinds)" = updates
else
	skip "depmod in the middle" "no kernel in the cache"
fi

# ---- the package's scripts
root=$dir/root
mkdir -p "$root/boot" "$root/lib/modules/1-a/updates/dkms" "$root/lib/modules/2-b/updates/dkms" "$root/usr/src/timewarp-9/tools" "$dir/bin"
cp debian/dkms/dkms-begin "$root/usr/src/timewarp-9/tools/"
touch "$root/boot/initrd.img-1-a" "$root/boot/initrd.img-2-b" "$root/lib/modules/1-a/updates/dkms/kvm.ko.xz"
printf '#!/bin/sh\ncase $1 in *1-a) echo usr/lib/modules/1-a/updates/dkms/kvm.ko.xz ;; *) echo usr/lib/modules/2-b/kernel/x.ko ;; esac\n' >"$dir/bin/lsinitramfs"
printf '#!/bin/sh\necho "$*" >>%s/updated\n[ ! -e %s/full ]\n' "$dir" "$dir" >"$dir/bin/update-initramfs"
printf '#!/bin/sh\n' >"$dir/bin/dkms"
# shellcheck disable=SC2016 # what the script writes itself
printf '#!/bin/sh\n[ "$*" != "-W -f \${Version} timewarp-dkms" ] || printf 9\n' >"$dir/bin/dpkg-query"
chmod +x "$dir"/bin/*
# script NAME ARG...: in the place of what debhelper adds its arguments are noted
script() {
	sed 's#^\#DEBHELPER\##printf "%s;" "$@" >"$NOTE"#' "debian/timewarp-dkms.$1" >"$dir/script"
	env PATH="$dir/bin:$PATH" DPKG_ROOT="$root" NOTE="$dir/note" sh "$dir/script" "${@:2}"
}
noted() { cat "$dir/note"; rm -f "$dir/note"; }
updated() { cat "$dir/updated" 2>/dev/null; rm -f "$dir/updated"; }
ok "before it is removed" script prerm remove
ok "depmod is asked to take the kernel's own, where ours are" test "$(cd "$root/etc/depmod.d" && echo *)" = timewarp-1-a.conf
ok "configured with modules there" script postinst configure
ok "which is not taken back while some of them are there" test -e "$root/etc/depmod.d/timewarp-1-a.conf"
ok "and an initramfs with KVM in it is made anew, and no other" test "$(updated)" = "-u -k 1-a"
rm "$root/lib/modules/1-a/updates/dkms/kvm.ko.xz"
ok "configured without" script postinst configure
ok "it is" test ! -e "$root/etc/depmod.d"
updated >/dev/null
ok "an upgrade that fails" script postinst abort-upgrade 10
ok "is followed by what an installation is: prerm has taken the modules away" test "$(updated)" = "-u -k 1-a"
ok "debhelper's part, and DKMS with it, is told which version was configured" test "$(noted)" = "configure;9;"
script postinst abort-deconfigure in-favour other 3 >/dev/null 2>&1
ok "and not what has failed" test "$(noted)" = "configure;9;"
script postinst configure 8 >/dev/null 2>&1
ok "as an upgrade that gets through tells it" test "$(noted)" = "configure;8;"
updated >/dev/null
ok "a source that comes later" script postinst triggered /usr/src
ok "an initramfs has what came of it" test "$(updated)" = "-u -k 1-a"
mkdir "$root/etc/depmod.d" && touch "$root/etc/depmod.d/timewarp-1-a.conf" "$root/etc/depmod.d/own.conf"
ok "removed" script postrm remove
ok "an initramfs with timewarp's KVM is made anew: the way back is apt remove" test "$(updated)" = "-u -k 1-a"
ok "depmod is asked for nothing any more, and what others ask for stays" test "$(cd "$root/etc/depmod.d" && echo *)" = own.conf
touch "$dir/full"
ok "no room for it: the package goes, and one line says what to do" says 0 "update-initramfs -u -k 1-a" script postrm remove
ok "the same at the installation" says 0 "update-initramfs -u -k 1-a" script postinst configure
done_testing
