# shellcheck shell=bash disable=SC2154 # root is of whoever sources this
# SPDX-License-Identifier: GPL-2.0
# A root file system that a test enters by chroot, with this machine's proc, sys and dev. Sourced, by root; who does so sets
# root, where it is.

# root_own_mounts TEST "$@": the test, which is that, begun anew so that what it mounts is its own, and ends with it
root_own_mounts() { [ -n "${TW_OWN_MOUNTS:-}" ] || exec env TW_OWN_MOUNTS=1 unshare --mount "$@"; }

# root_enter: it can be entered, and its programs find names in the network
root_enter() {
	local d
	for d in proc sys dev; do
		mount --rbind "/$d" "$root/$d" && mount --make-rslave "$root/$d" || return
	done
	cp --remove-destination /etc/resolv.conf "$root/etc/resolv.conf"
}

# root_leave: nothing is mounted below it any more, the latest first
root_leave() {
	local d
	awk -v at="$root/" 'index($2, at) == 1 { print $2 }' /proc/mounts | tac | while read -r d; do umount -l "$d"; done
}

# in_root COMMAND...: there, as a Debian at its installation, which asks nobody; an initramfs would only take its time
in_root() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive INITRD=No chroot "$root" "$@"; }

# root_remove DIR: with the root in it, unless that is still entered: its dev is this machine's
root_remove() {
	root_leave
	mountpoint -q "$root/dev" || rm -rf --one-file-system "$1"
}
