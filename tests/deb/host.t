#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A Debian that the packages are installed in (tools/image), with what an operator's host has besides: the shells, man
# pages and Prometheus take what comes with the packages; and it boots as a test host, by its own systemd, where
# tests/deb/on-installed does what users and operators do. TW_DEB_SUITES takes one of the two, TW_INSTALLED_PARTS some
# of its parts.
cd "$(dirname "$0")/../.." || exit 1
. tests/build/tap.sh
. tests/build/root.sh
if [ "$(id -u)" != 0 ]; then
	echo "1..0 # SKIP needs root, for a root file system"
	exit 0
fi
root_own_mounts tests/deb/host.t "$@"
ls build/deb/timewarp_*.deb >/dev/null 2>&1 || tools/deb >&2 || exit 1
work=$(mktemp -d) || exit 1
root=$work/root
# shellcheck disable=SC2317 # the trap calls it
cleanup() {
	root_leave
	! mountpoint -q "$root" || umount -l "$root"
	rm -rf --one-file-system "$work"
}
trap cleanup EXIT
# apt ARG...: what it says is shown if it fails
apt() { in_root sh -c "apt-get -q -y --no-install-recommends $*" >"$work/log" 2>&1 </dev/null || { tail -n 30 "$work/log"; false; }; }

for suite in ${TW_DEB_SUITES:-bookworm trixie}; do
	image=$(tools/image --suite "$suite") || exit 1
	mkdir -p "$work/up" "$work/wk" "$root"
	# Upon it, not in it: it is kept, and is as the packages made it
	mount -t overlay -o "lowerdir=$image,upperdir=$work/up,workdir=$work/wk" host "$root" || exit 1
	root_enter || exit 1
	mkdir "$root/debs"
	cp build/deb/timewarp-dev_*.deb tests/deb/complete.zsh debian/tests/author "$root/debs/"
	apt update
	ok "$suite: an author's, an operator's and a tester's tools come beside the packages" apt install "/debs/*.deb" pkgconf \
		fish zsh mandoc busybox-static cpio prometheus prometheus-node-exporter libxml2-utils libvirt-daemon-system libvirt-clients apparmor qemu-guest-agent
	ok "$suite: the package's own test holds" says 0 "a policy is made, built and checked" in_root /debs/author
	ok "$suite: promtool takes the alerts" says 0 "SUCCESS" in_root promtool check rules /usr/share/timewarp/timewarp.rules.yml
	sed 's#- .*/timewarp.rules.yml#- /usr/share/timewarp/timewarp.rules.yml#' tests/deb/alerts.yml >"$root/debs/alerts.yml"
	ok "$suite: each alert comes when it should, and no sooner" says 0 "SUCCESS" in_root promtool test rules /debs/alerts.yml
	for page in "$root"/usr/share/man/man8/{twctl,timewarp}*.8.gz; do
		page=${page##*/}
		ok "$suite: mandoc has nothing to say of ${page%.gz}" finds_nothing in_root sh -c "mandoc -T lint -W warning /usr/share/man/man8/$page 2>&1"
	done
	for shell in "fish -c" "zsh -f /debs/complete.zsh"; do
		# completed LINE WORD: that word is among what completes it
		completed() {
			local line=$1
			[[ $shell != fish* ]] || line="complete -C '$1'"
			# shellcheck disable=SC2086 # words
			says 0 "$2" in_root $shell "$line"
		}
		ok "$suite: ${shell%% *} completes verbs" completed "twctl att" attach
		ok "$suite: ${shell%% *} completes options" completed "twctl attach --fac" --factor
		ok "$suite: ${shell%% *} completes policies by name" completed "twctl attach --policy skip" skip-idle
	done
	# What would only take the emulator's time
	in_root systemctl -q mask prometheus prometheus-node-exporter qemu-guest-agent apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
		fstrim.timer e2scrub_all.timer man-db.timer libvirt-guests 2>/dev/null
	in_root systemctl -q disable libvirtd libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket 2>/dev/null
	# Those of programs that do not run there would take minutes to load.
	find "$root/etc/apparmor.d" -maxdepth 1 -type f ! -name '*libvirt*' -delete
	root_leave
	echo "# Subtest: $suite as a host"
	tools/testhost --root "$root" --systemd --smp 1 --memory 3072 --append "apparmor=1 security=apparmor audit=1" --timeout "${TW_TIMEOUT:-7200}" -- tests/deb/on-installed | tee "$work/host.log" | sed -u 's/^/    /'
	rc=${PIPESTATUS[0]}
	grep '^not ok' "$work/host.log" | sed "s/^/# $suite: /"
	grep -E '^# (.*systemd is|the guest lives|[0-9]+ samples|systemd-analyze)' "$work/host.log" | sed "s/^# /# $suite: /"
	ok "$suite as a host: $(grep -c '^ok' "$work/host.log") of $(sed -n 's/^1\.\.//p' "$work/host.log") hold" test "$rc" = 0
	umount -l "$root"
	rm -rf "$work/up" "$work/wk"
done
done_testing
