#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What make does and leaves alone, on this machine, without building anything that takes long.
cd "$(dirname "$0")/../.." || exit 1
. tests/build/tap.sh
unset MAKEFLAGS MFLAGS MAKELEVEL
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

# Whoever installs leaves a word.
mkdir "$dir/bin"
for c in apt-get sudo dpkg; do
	printf '#!/bin/sh\necho "%s $*" >>%s\nexit 1\n' $c "$dir/installs" >"$dir/bin/$c"
done
chmod +x "$dir"/bin/*
# In a build directory of its own, as that of this tree has what it needs already; without clang nor a cache.
bare() { env PATH="$dir/bin:$PATH" TIMEWARP_CACHE="$dir/cache" PKG_CONFIG_LIBDIR="$dir" make BUILD="$dir/build" "$@"; }
ok "make alone says what is missing and names make setup" says 2 "run: make setup" bare
ok "each thing that is missing on a line of its own" says 2 "build-env: missing: bpftool of" bare
ok "make unit does so too" says 2 "run: make setup" bare unit
ok "make alone installs nothing" finds_nothing cat "$dir"/installs*
# As if all packages were here, and an archive had no kernel
printf '#!/bin/sh\necho installed\n' >"$dir/bin/dpkg-query"
printf '#!/bin/sh\n' >"$dir/bin/apt-cache"
chmod +x "$dir"/bin/*
for goal in demo check; do
	rm -f "$dir"/installs*
	bare $goal >/dev/null 2>&1
	ok "make $goal sets up first, which asks apt for what is missing" grep -q '^apt-get ' "$dir/installs"
done
for flavour in rt cloud; do
	ok "a kernel -$flavour is refused by name, and not looked for" says 2 "is of a flavour that nothing here is built" \
		env PATH="$dir/bin:$PATH" TIMEWARP_CACHE="$dir/cache" tools/setup --kernel "6.12.117+deb12-$flavour-amd64"
done
ok "tools find depmod and modprobe, where a plain user of Debian does not look" env -i PATH=/usr/bin:/bin bash -c '. tools/lib.sh && command -v depmod && command -v modprobe'
help=$(make help)
heads() { grep '^[A-Z]' <<<"$help" | sort | uniq -d; }
ok "make help has each head once" finds_nothing heads
ok "make help tells of the three tiers of tests" test "$(grep -cE '^  make (check|check-all|check-debug) ' <<<"$help")" = 3
phony() {
	local goals
	mapfile -t goals < <(sed -n 's/^  make \([a-z-]*\) .*/\1/p' <<<"$help")
	[ ${#goals[@]} -ge 20 ] || { echo "${goals[*]}"; return 1; }
	# All at once; so that it asks for no set-up
	make -n TW_LIBBPF=/x "${goals[@]}" >"$dir/said" 2>&1 || { tail -n 5 "$dir/said"; return 1; }
	! grep 'is up to date' "$dir/said"
}
ok "each goal of make help is one" phony
if tools/build-env >/dev/null 2>&1; then
	ok "CFLAGS come to the compiler" says 0 "-fstack-protector-strong -O1" \
		make -n -W user/version.c build/user/version.o CFLAGS=-O1
	ok "so do CPPFLAGS" says 0 "-DA_FLAG" make -n -W user/version.c build/user/version.o CPPFLAGS=-DA_FLAG
	ok "and from the environment" says 0 "-gdwarf-3" env CFLAGS=-gdwarf-3 make -n -W user/version.c build/user/version.o
	ok "LDFLAGS come to the linker" says 0 "-Wl,--a-flag" make -n -W user/version.c build/twctl LDFLAGS=-Wl,--a-flag
	ok "WERROR= takes -Werror away" finds_nothing sh -c 'make -n -W user/version.c build/user/version.o WERROR= | grep -e -Werror'
	ok "what lies in the cache is told with what it is" says 0 "  GUEST   /" make guest
	ok "V=1 shows commands" says 0 "-o build/user/version.o" make -W user/version.c -B V=1 build/user/version.o
else
	skip "what comes to the compiler" "nothing can be built here; run: make setup"
fi

ok "DESTDIR and PREFIX say where" says 0 "$dir/root/opt/x/bin/twctl" make -n install DESTDIR="$dir/root" PREFIX=/opt/x

unlisted() {
	local t
	for t in tests/host/*.t; do
		t=${t##*/}
		sed -n 's/.*\(set --\|on-host.t"\) //p' tests/on-host.t tests/on-host-long.t | grep -qw -- "${t%.t}" || echo "$t"
	done
}
ok "each test of tests/host is one of make check or of make check-all" finds_nothing unlisted

# Versions: a tag, a checkout, a tarball
mkdir "$dir/t" "$dir/t/tools"
cp tools/version "$dir/t/tools/"
echo 1.2.3 >"$dir/t/VERSION"
g() { git -C "$dir/t" -c user.name=t -c user.email=t -c commit.gpgsign=false -c tag.gpgsign=false "$@" >/dev/null; }
# later THAN: the package that is made now has a later version than that one, and names it
later() { dpkg --compare-versions "$(v)" gt "$1" || { echo "$(v) is not later than $1"; false; }; }
v() { "$dir/t/tools/version" --debian; }
ok "a tarball has the version of its file, as a package too" test "$(v)" = 1.2.3
ok "a tarball has the version of its file" test "$("$dir/t/tools/version")" = 1.2.3
g init -q
g add . && g commit -q -m one
ok "a checkout without a tag adds its commit" test "$("$dir/t/tools/version")" = "1.2.3-g$(git -C "$dir/t" rev-parse --short HEAD)"
was=$(v)
ok "its package comes before that of the version that it is to be" dpkg --compare-versions "$was" lt 1.2.3
g commit -q --allow-empty -m two
ok "a later commit is a later package" later "$was"
was=$(v)
g tag -a -m v v1.2.3
ok "and the tag later than that" later "$was"
ok "as it is" test "$(v)" = 1.2.3
g commit -q --allow-empty -m three
ok "a commit after the tag is a later package" later 1.2.3
for _ in {1..9}; do
	was=$(v)
	g commit -q --allow-empty -m more
done
ok "the tenth later than the ninth" later "$was"
was=$(v)
echo >>"$dir/t/tools/version"
ok "what is not committed is a later one, too" later "$was"
g checkout -q tools/version
g tag -a -m v v1.2.4-rc1
ok "a candidate is later than what it was made of" later "$was"
ok "and comes before the release" dpkg --compare-versions "$(v)" lt 1.2.4
g tag -a -m v v1.2.4
ok "a tag is the version" test "$("$dir/t/tools/version")" = 1.2.4
echo >>"$dir/t/VERSION"
ok "and changes are told" test "$("$dir/t/tools/version")" = 1.2.4-dirty
ok "the file VERSION is a version" grep -qE '^[0-9]+\.[0-9]+\.[0-9]+$' VERSION
ok "NEWS begins with it" says 0 "timewarp $(cat VERSION)" sed -n '/^timewarp /{p;q}' NEWS
done_testing
