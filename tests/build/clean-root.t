#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# README's commands where nothing is but git, make and sudo: in a clean Debian 12 and 13, by a user of no other right. make
# setup installs what is wanted, make builds and installs nothing, and all that make demo and make check boot is made. No
# host is booted: that is the same as here. TW_CLEAN_SUITES takes one of the two.
cd "$(dirname "$0")/../.." || exit 1
. tests/build/tap.sh
. tests/build/root.sh
. tools/lib.sh
if [ "$(id -u)" != 0 ]; then
	echo "1..0 # SKIP needs root, for a root file system"
	exit 0
fi
command -v mmdebstrap >/dev/null || { echo "1..0 # SKIP no mmdebstrap: make setup"; exit 0; }
root_own_mounts tests/build/clean-root.t "$@"
unset MAKEFLAGS MFLAGS MAKELEVEL
work=$(mktemp -d) || exit 1
root=$work/root
trap 'root_remove "$work"' EXIT
main=$(tw_mirror Debian) security=$(tw_mirror Debian-Security)
[ -n "$main" ] || { echo "1..0 # SKIP this machine's package sources name no archive of Debian: apt-get update"; exit 0; }

# newcomer COMMAND: in his copy of the tree; what it says is shown if it fails
newcomer() {
	env -i PATH=/usr/local/bin:/usr/bin:/bin HOME=/home/newcomer USER=newcomer LC_ALL=C "$(command -v chroot)" --userspec=newcomer:newcomer "$root" \
		sh -c "cd ~/timewarp && $1" >"$work/log" 2>&1 </dev/null || { tail -n 30 "$work/log"; false; }
}
packages() { in_root dpkg-query -W -f '${Package} ${Version} ${db:Status-Status}\n'; }
# Of files that others have made, or been asked to
changed() { find "$root" -xdev \( -path "$root/home" -o -path "$root/tmp" -o -path "$root/var/tmp" \) -prune -o -newer "$work/mark" ! -type d -print | head; }

for suite in ${TW_CLEAN_SUITES:-bookworm trixie}; do
	root_remove "$root"
	mmdebstrap --quiet --variant=minbase --include=ca-certificates,git,make,sudo "$suite" "$root" \
		"deb $main $suite main" ${security:+"deb $security $suite-security main"} >"$work/log" 2>&1 ||
		{ tail -n 20 "$work/log"; exit 1; }
	root_enter || exit 1
	in_root useradd -m -s /bin/bash newcomer
	echo 'newcomer ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/newcomer"
	mkdir "$root/home/newcomer/timewarp"
	git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' f; do [ ! -e "$f" ] || printf '%s\0' "$f"; done |
		xargs -0 cp --parents -t "$root/home/newcomer/timewarp"
	in_root chown -R newcomer:newcomer /home/newcomer

	SECONDS=0
	ok "$suite: make setup installs what is wanted, and fetches a kernel" newcomer "make setup"
	echo "# $suite: make setup took $SECONDS s"
	packages >"$work/packages"
	rm "$root/etc/sudoers.d/newcomer"
	touch "$work/mark"
	ok "$suite: make builds, by a user who may nothing else" newcomer "make -j2"
	ok "$suite: it is twctl" newcomer "build/twctl version && build/twctl policy inspect ramp"
	SECONDS=0
	ok "$suite: all is made that make demo and make check begin with" newcomer "make -j2 bench-ready unit"
	echo "# $suite: that took $SECONDS s"
	ok "$suite: and no package was wanted for it" diff "$work/packages" <(packages)
	ok "$suite: nor anything written outside of his own" finds_nothing changed
done
done_testing
