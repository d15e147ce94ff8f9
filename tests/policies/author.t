#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What authors use, on this machine and without a patched kernel: the skeleton and the guide's policy build,
# objects tell about themselves, and the policies of the tree commit no crime that check can find.
cd "$(dirname "$0")/../.." || exit 1
root=$PWD twctl=$PWD/build/twctl
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
n=0 failed=0
abi=$(sed -n 's/^#define TIMEWARP_ABI //p' bpf/include/timewarp.h)
# says STATUS PATTERN ARG...: "twctl policy ARG..." ends so, and prints what the pattern matches
says() {
	local status=$1 pattern=$2 rc
	shift 2
	n=$((n + 1))
	(cd "$dir" && "$twctl" policy "$@") >"$dir/out" 2>&1
	rc=$?
	if [ $rc = "$status" ] && grep -Eq -- "$pattern" "$dir/out"; then
		echo "ok $n - policy $*"
	else
		echo "not ok $n - policy $* (status $rc, expected $status with $pattern)"
		sed 's/^/# /' "$dir/out"
		failed=1
	fi
}
sed -n '/^```c nap.bpf.c$/,/^```$/{/^```/!p}' doc/policies.md >"$dir/nap.bpf.c"
says 0 '^built nap.bpf.o: policy nap, 3 parameters' build nap.bpf.c
says 0 'factor=50  from 1/10000 to 10000' inspect ./nap.bpf.o
says 0 'crimes 0$' check nap.bpf.c --count 2000
says 0 '^wrote mine.bpf.c' new mine
says 1 'File exists' new mine
says 2 'a name is' new 9x
says 0 'policy mine, 2 parameters' build mine.bpf.c
says 0 "\"ops_version\":\"$abi\"" -j inspect ./mine.bpf.o
says 1 'there is no' inspect nosuch
says 0 '^ramp ' list
for p in bpf/policies/*.bpf.c bpf/policies/examples/*.bpf.c; do
	says 0 'crimes 0$' check "$root/$p" --count 2000
done
# A policy that answers 0/0 from its second call on
sed 's/answer->factor_num = .*/answer->factor_num = 0;/' "$dir/mine.bpf.c" >"$dir/zero.bpf.c"
says 5 '^crime: a factor with a zero' check zero.bpf.c --count 200
says 5 '^crime: gives 16 unusable answers in a row' check zero.bpf.c --count 2000
sed 's/answer->factor_num = .*/&\n\tanswer->leap_ns = 1;/' "$dir/mine.bpf.c" >"$dir/back.bpf.c"
says 5 '^crime: leaps to a guest time that has passed' check back.bpf.c --count 200
sed 's/answer->factor_num = .*/&\n\tanswer->leap_ns = view->guest_ns + 2 * TIMEWARP_MAX_LEAP_NS;/' "$dir/mine.bpf.c" >"$dir/far.bpf.c"
says 5 '^crime: leaps further than half an hour' check far.bpf.c --count 200
sed 's/answer->factor_num = .*/&\n\tanswer->flags = 64;/' "$dir/mine.bpf.c" >"$dir/bits.bpf.c"
says 5 '^crime: answers with bits that there are not' check bits.bpf.c --count 200
# What make install puts there serves as well as this tree, and make uninstall leaves nothing.
prefix=$dir/inst/usr/local
env -u MAKEFLAGS -u MAKELEVEL make -s install DESTDIR="$dir/inst" >"$dir/install.out" 2>&1 || sed 's/^/# /' "$dir/install.out"
twctl=$prefix/bin/twctl
says 0 'policy mine, 2 parameters' build mine.bpf.c
says 0 'crimes 0$' check mine.bpf.c --count 200
export TIMEWARP_POLICY_PATH=$prefix/lib/timewarp/policies
for p in bpf/policies/*.bpf.c; do
	p=${p##*/}
	says 0 "/policies/${p%.c}.o$" list
done
# What make uninstall leaves: the policy that its user put there, as the guide says, and nothing else
cp "$dir/mine.bpf.o" "$prefix/lib/timewarp/policies/"
env -u MAKEFLAGS -u MAKELEVEL make -s uninstall DESTDIR="$dir/inst" >"$dir/install.out" 2>&1
n=$((n + 1))
left=$(find "$dir/inst" -type f)
if [ "$left" = "$prefix/lib/timewarp/policies/mine.bpf.o" ]; then
	echo "ok $n - make uninstall leaves the user's own policy, and no other file"
else
	echo "not ok $n - make uninstall leaves ${left:-nothing}"
	failed=1
fi
echo "1..$n"
exit $failed
