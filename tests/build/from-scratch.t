#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Plain make, in a fresh copy of the tree, as a user who may nothing: builds twctl, and installs it where it is told to.
cd "$(dirname "$0")/../.." || exit 1
. tests/build/tap.sh
unset MAKEFLAGS MFLAGS MAKELEVEL
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir"
git ls-files -z | xargs -0 cp --parents -t "$dir" || exit 1
# As a user who has no cache of his own would have it from the distribution, or from who set this machine up.
eval "$(tools/build-env)" || exit 1
cp -rL "$TW_LIBBPF" "$dir/libbpf"
cp "$TW_BPFTOOL" "$dir/bpftool"
as_user() {
	if [ "$(id -u)" = 0 ]; then
		setpriv --reuid nobody --regid nogroup --clear-groups env HOME=/nonexistent "$@"
	else
		"$@"
	fi
}
[ "$(id -u)" != 0 ] || chown -R nobody:nogroup "$dir"
cd "$dir" || exit 1
ok "make alone builds, as any user, with flags of his own" as_user make -j2 TW_LIBBPF="$dir/libbpf" TW_BPFTOOL="$dir/bpftool" TW_CLANG="$TW_CLANG" \
	CFLAGS='-O1 -g' LDFLAGS=-Wl,-z,now
ok "it is twctl" says 0 "twctl $(cat VERSION)" build/twctl version
ok "linked as asked" says 0 NOW readelf -d build/twctl
ok "it has built none of the tests' programs, but for what qualify runs" finds_nothing find build -path '*tests*' ! -path build/tests/vmm/\* -type f
ok "make install obeys DESTDIR" as_user make install DESTDIR="$dir/root" PREFIX=/usr TW_LIBBPF="$dir/libbpf"
ok "and has put all of it there" test -x root/usr/bin/twctl -a -x root/usr/libexec/timewarp/qualify-vmm -a -f root/usr/lib/timewarp/policies/ramp.bpf.o -a -f root/usr/include/timewarp/timewarp.bpf.h
as_user touch root/usr/lib/timewarp/policies/mine.bpf.o
ok "make uninstall says what it keeps" says 0 "is kept" as_user make uninstall DESTDIR="$dir/root" PREFIX=/usr
ok "and keeps the user's own policy, and nothing else" test "$(find root -type f)" = root/usr/lib/timewarp/policies/mine.bpf.o
ok "no object of the build has this machine's paths in it" finds_nothing grep -rl "$dir" root build/bpf
done_testing
