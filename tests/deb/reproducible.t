#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Two builds of the packages, of one tree, in two places, by two clocks, umasks, languages and time zones: one hash. And
# lintian has nothing to say of them that is not explained.
cd "$(dirname "$0")/../.." || exit 1
. tests/build/tap.sh
out=build/deb
other=$(mktemp -d) || exit 1
trap 'rm -rf "$other"' EXIT
ok "the packages are built" tools/deb
ok "and built again, elsewhere" env TZ=Asia/Kathmandu LANG=de_DE.UTF-8 LC_ALL= bash -c "umask 077; sleep 2; exec tools/deb --out $other"
ok "four of them" test "$(find $out -name '*.deb' | wc -l)" = 4
for d in "$out"/*.deb; do
	ok "${d##*/} is the same, $(sha256sum "$d" | cut -c1-16)" cmp "$d" "$other/${d##*/}"
done
hints() { lintian --allow-root --fail-on none "$out"/*.deb | grep '^[EW]: '; }
ok "lintian has no error and no warning that is not explained" finds_nothing hints
paths() { for d in "$out"/*.deb; do dpkg-deb --fsys-tarfile "$d" | grep -a -o -m 3 "${PWD}[^ ]*\|${other}[^ ]*"; done; }
ok "no path of this machine is in them" finds_nothing paths
done_testing
