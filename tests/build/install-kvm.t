#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make install-kvm installs three modules or none: whatever fails or is killed in the middle, what was there before is
# there as a whole, and is what depmod finds. With a tree of stubs; TW_INSTALL_KVM names another script to try.
cd "$(dirname "$0")/../.." || exit 1
. tests/build/tap.sh
install=${TW_INSTALL_KVM:-$PWD/tools/install-kvm}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
release=6.12.0-stub
export DESTDIR=$dir/root
at=$DESTDIR/lib/modules/$release
mkdir -p "$dir/bin"

# build NAME: what tools/build-kvm makes
build() {
	local m
	mkdir -p "$dir/$1/lib/modules/$release/updates/timewarp"
	for m in kvm kvm-intel kvm-amd; do echo "$1 $m" >"$dir/$1/lib/modules/$release/updates/timewarp/$m.ko"; done
}
build old
build new
# fresh [old]: a kernel's directory, with modules installed before or without
fresh() {
	rm -rf "$DESTDIR"
	mkdir -p "$at/kernel"
	[ -z "${1:-}" ] || cp -r "$dir/old/lib/modules/$release/updates" "$at/"
}
# stub COMMAND NTH SCRIPT: its n-th call does that instead
stub() {
	rm -f "$dir"/bin/* "$dir/n"
	printf '#!/bin/bash\nprintf x >>%s/n\nread -r n <%s/n\nif [ ${#n} = %s ]; then %s; fi\nexec %s "$@"\n' "$dir" "$dir" "$2" "$3" "$(PATH=/usr/sbin:/usr/bin:/sbin:/bin command -v "$1")" >"$dir/bin/$1"
	# Nothing to index here, and that it was asked is seen
	[ "$1" = depmod ] || printf '#!/bin/sh\ntrue\n' >"$dir/bin/depmod"
	[ "$1" != depmod ] || sed -i 's/^exec.*/exit 0/' "$dir/bin/depmod"
	chmod +x "$dir"/bin/*
}
run() { env PATH="$dir/bin:$PATH" bash "$install" "$dir/new" "$release"; }
# all_of KIND: three modules of that build and nothing else; or nothing
all_of() {
	local m has is
	has=$(find "$at" "$DESTDIR/lib/modules" -maxdepth 3 -name '*kvm*' ! -path "$DESTDIR/lib/modules/.*" | sort -u | wc -l)
	if [ "$1" = none ]; then
		[ "$has" = 0 ] || { find "$DESTDIR" -type f; return 1; }
		return
	fi
	[ "$has" = 3 ] || { find "$DESTDIR" -type f; return 1; }
	for m in kvm kvm-intel kvm-amd; do
		read -r is <"$at/updates/timewarp/$m.ko"
		[ "$is" = "$1 $m" ] || { grep . "$at"/updates/timewarp/*; return 1; }
	done
}
nothing_beside() { finds_nothing find "$DESTDIR/lib/modules" -name '.*'; }

for before in none old; do
	with=${before#none}
	fresh "$with"
	stub true 1 :
	ok "$before before: installed" says 0 "What runs now has not changed" run
	ok "... all of them" all_of new
	ok "... and nothing beside" nothing_beside
	for what in "cp 1" "cp 2" "cp 3" "mv 1" "mv 2" "mv 3" "perl 1" "mkdir 1" "depmod 1"; do
		fresh "$with"
		# A copy that ends early, as on a full disk
		# shellcheck disable=SC2016,SC2086 # the stub's; two words
		stub $what 'echo "No space left on device" >&2; exit 1'
		run >"$dir/said" 2>&1
		rc=$?
		# Not each way calls each command so often
		if [ $rc = 0 ]; then
			ok "$before before, $what: was not needed" all_of new
			continue
		fi
		ok "$before before, $what fails: all is as it was" all_of "$before"
		ok "... which it says" grep -q 'not installed.*is as it was' "$dir/said"
		ok "... and leaves nothing beside" nothing_beside
	done
	for what in "cp 1" "cp 2" "mv 1" "mv 2" "mv 3" "perl 1" "rm 2" "depmod 1"; do
		fresh "$with"
		# shellcheck disable=SC2016,SC2086 # the stub's; two words
		stub $what 'kill -KILL $PPID; exit 1'
		run >"$dir/said" 2>&1
		rc=$?
		whole() { all_of "$before" || all_of new; }
		ok "$before before, killed at $what ($rc): all of one kind" whole
		stub true 1 :
		ok "... and it installs when it is run again" says 0 "What runs now has not changed" run
		ok "... all of them" all_of new
		ok "... and nothing beside" nothing_beside
	done
done
fresh
rm -r "$at"
stub true 1 :
ok "a kernel that is not there is refused" says 1 "is not installed here" run
done_testing
