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
says 0 '^counters:$' inspect ./mine.bpf.o
says 0 "\"ops_version\":\"$abi\"" -j inspect ./mine.bpf.o
says 1 'there is no' inspect nosuch
says 1 '"kind":"no-policy"' -j inspect nosuch
says 1 '"kind":"no-policy"' -j inspect ./nosuch.bpf.o
echo 'int x =' >"$dir/wrong.bpf.c"
says 1 '"kind":"compile"' -j build wrong.bpf.c
says 0 '^has events, but is never done' inspect freeze
says 0 '^tells when it is done' inspect until
says 0 '^  patience=200ms  from 1ms to 1m$' inspect jump
says 0 '^ramp ' list
for p in bpf/policies/*.bpf.c bpf/policies/examples/*.bpf.c; do
	says 0 'crimes 0$' check "$root/$p" --count 2000
done
# Dry runs, of a source, an object and a name; what they say of dates, spans and events is exact
says 0 '^2038-01-19T03:23:00Z +50 +4m10s +5s$' run schedule --from 2038-01-18 --span 7d --param 'plan=100 until 2038-01-19T03:13:00, 1 for 10m, 50 for 5s host, 2'
says 0 '^2038-01-18T02:00:00Z +tells: done 0$' run until --from 2038-01-18 --param until=2h --factor 1000
says 0 '^2038-01-18T00:04:00Z +50 +1h +1m12s$' run nap.bpf.c --from 2038-01-18 --span 3h
says 0 '^2038-01-18T00:00:00Z +0.333333333333 +1h +3h$' run constant --from 2038-01-18 --span 1h --factor 1/3
says 0 ' 1 +1h +[0-9.]*ms, 60 leaps of ' run skip-idle --span 1h
says 0 ' 1 +1h +1h$' run skip-idle --span 1h --busy
# A guest that runs in between and reads no counter is leapt a minute at a time
says 0 'tells: done 1[0-9]{3}$' run jump --param to=24h --span 25h
# A year of it, and where nothing in the guest is to be petted
says 0 'tells: done 52[0-9]{4}$' run jump --param to=365d --span 8761h
says 0 'tells: done 17[0-9]{3}$' run jump --param to=365d --param leap=30m --span 8761h
says 2 'more than a hundred years' run constant --span 1752000h
says 0 'stands from here on 10ms ' run freeze --param budget=10ms
says 0 '"event":"segment","policy":"mine","guest_date":"2038-01-18T00:00:00.000Z","factor":.*"guest_span_ns":"3600000000000","host_span_ns":"360000000000"' \
	-j run ./mine.bpf.o --from 2038-01-18 --span 1h --factor 10
says 0 '"event":"ran".*"assumed":\["a guest whose vCPUs never wait"' -j run ./mine.bpf.o --span 1h --busy
says 5 "the policy refuses: 'until' is never: say when, such as until=30d" run until
says 5 "the policy refuses what it was given, factor=1/2: 'factor' is not above 1" run "$root/bpf/policies/examples/lead.bpf.c" --span 1h --factor 1/2
says 2 "from --from '1888'.* is not a date" run mine.bpf.c --from 1888
says 2 'is not a duration' run mine.bpf.c --span 1888x
says 5 'past the moment' run until --from 2038-01-18 --param until=2038-01-17
# A policy that answers 0/0 from its second call on
sed 's/answer->factor_num = .*/answer->factor_num = 0;/' "$dir/mine.bpf.c" >"$dir/zero.bpf.c"
says 5 '^crime: a factor with a zero' check zero.bpf.c --count 200
says 5 '^crime: gives 16 unusable answers in a row' check zero.bpf.c --count 2000
says 5 '"passed":false.*"crimes":\[\{"kind":"zero","event":"[a-z_]*","host_ns":"[0-9]+".*"factor_num":"0".*"kind":"eject".*"committed":"[1-9]' -j check zero.bpf.c --count 2000
says 0 '"passed":true.*"crimes":\[\],"decisions":"[0-9]+".*"committed":"0"' -j check mine.bpf.c --count 200
says 6 'gives 16 unusable answers in a row' run zero.bpf.c
sed 's/answer->factor_num = .*/&\n\tanswer->leap_ns = 1;/' "$dir/mine.bpf.c" >"$dir/back.bpf.c"
says 5 '^crime: leaps to a guest time that has passed' check back.bpf.c --count 200
sed 's/answer->factor_num = .*/&\n\tanswer->leap_ns = view->guest_ns + 2 * TIMEWARP_MAX_LEAP_NS;/' "$dir/mine.bpf.c" >"$dir/far.bpf.c"
says 5 '^crime: leaps further than half an hour' check far.bpf.c --count 200
sed 's/answer->factor_num = .*/&\n\tanswer->flags = 64;/' "$dir/mine.bpf.c" >"$dir/bits.bpf.c"
says 5 '^crime: answers with bits that there are not' check bits.bpf.c --count 200
# ok NAME COMMAND...: the command holds
ok() {
	local name=$1
	shift
	n=$((n + 1))
	if "$@" >"$dir/out" 2>&1; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		sed 's/^/# /' "$dir/out"
		failed=1
	fi
}
# An object whose name looks like that of an installed policy is what was built, and nothing else
says 0 '^built nap: policy nap, 3 parameters' build nap.bpf.c -o nap
says 0 '^built constant: policy nap, 3 parameters' build nap.bpf.c -o constant
# What the kernel would say in the verifier's words, and only at the attach
sed '/^TIMEWARP_SUMMARY/d' "$dir/mine.bpf.c" >"$dir/bare.bpf.c"
says 1 'states no licence' build bare.bpf.c
says 1 'states no licence' check bare.bpf.c
# What is redirected to a file stays in it
# shellcheck disable=SC2016 # the inner shell's
ok 'build adds to a log, and takes nothing out of it' bash -c '
	cd "$0" && { echo line 1; "$1" policy build mine.bpf.c; sed "s/answer->factor_num/oops/" mine.bpf.c >bad.bpf.c
	"$1" policy build bad.bpf.c; echo line 2; } >log 2>&1
	[ "$(head -n 1 log)" = "line 1" ] && [ "$(tail -n 1 log)" = "line 2" ] && grep -q "^built mine" log &&
	grep -q oops log && ! grep -qP "\x00" log || { cat -v log; false; }' "$dir" "$twctl"
# Each crime is found, in a source and in its object: crime NAME PATTERN STATEMENT, which stands in decide()
crime() {
	sed "s/answer->factor_num = .*/&\n\t$3/" "$dir/mine.bpf.c" >"$dir/$1.bpf.c"
	says 5 "^crime: $2" check "$1.bpf.c" --count 2000
	"$twctl" policy build "$dir/$1.bpf.c" >/dev/null && says 5 "^crime: $2" check "./$1.bpf.o" --count 2000
}
crime past 'asks to be called at a time that has passed; with' 'answer->next_host_ns = decisions > 9 ? 1 : 0;'
crime range 'a factor outside 1/10000 to 10000; with its defaults; asked for [a-z]* at' 'answer->factor_num = 10001ULL * factor.den;'
crime start 'wants to go on more than a second from now' 'answer->start_tsc = view->host_tsc + 2000000000ULL;'
crime code 'returns what is neither 0 nor' 'if (decisions > 9) return 1;'
crime refused 'refuses to be attached' 'return -EINVAL;'
crime reads 'does what no program may: it touches memory that it has no business with' \
	'answer->factor_den = *(volatile __u64 *)((const char *)view + 4096);'
crime writes 'does what no program may: it touches memory' '*(volatile __u64 *)\&view->guest_ns = 0;'
crime divides 'divides by zero' 'answer->next_host_ns = view->host_ns + 1000000000 \/ (decisions % 3);'
crime hangs 'does not come to an end' 'while (decisions) barrier();'
sed 's/^TIMEWARP_DECIDE/static __noinline int deep(volatile int *p) { volatile int a = *p; return deep(\&a) + a; }\n&/
	s/answer->factor_num = .*/&\n\tif (decisions > 9) return -deep((volatile int[]){ 1 });/' "$dir/mine.bpf.c" >"$dir/deep.bpf.c"
says 5 '^crime: does what no program may: its functions call each other too deeply' check deep.bpf.c --count 2000
says 5 '"kind":"crash".*"why":"its functions call each other too deeply"' -j check deep.bpf.c --count 2000
sed 's/^TIMEWARP_DECIDE/static long once(__u32 i, void *arg) { decisions += i + !arg; return 0; }\n&/
	s/answer->factor_num = .*/&\n\tbpf_loop(3000000, once, NULL, 0);/' "$dir/mine.bpf.c" >"$dir/slow.bpf.c"
says 5 '^crime: takes 20 million instructions and more' check slow.bpf.c --count 20
# What it cannot be driven through is no pass
sed 's/answer->factor_num = .*/&\n\tdecisions += bpf_get_smp_processor_id();/' "$dir/mine.bpf.c" >"$dir/other.bpf.c"
says 1 "cannot drive the decisions of 'other.bpf.c': it calls BPF's helper 8," check other.bpf.c
# An object needs no compiler, and its findings are the same each time
TIMEWARP_CLANG=$dir/none says 0 'crimes 0$' check ./mine.bpf.o --count 200
TIMEWARP_CLANG=$dir/none says 0 'crimes 0$' check skip-idle --count 200
# shellcheck disable=SC2016 # the inner shell's
ok 'the same policy meets the same situations' bash -c '
	cd "$0" && ! "$1" policy check ./divides.bpf.o >one 2>&1 && ! "$1" policy check ./divides.bpf.o >two 2>&1 && grep ^crime one && cmp one two' \
	"$dir" "$twctl"
# Nothing of a source runs as this machine's code, whoever checks it
{
	cat "$dir/mine.bpf.c"
	printf '#ifndef __bpf__\nint system(const char *);\n__attribute__((constructor)) static void ran(void) { system("id >%s/ran"); }\n#endif\n' "$dir"
} >"$dir/native.bpf.c"
chmod 777 "$dir"
says 0 'crimes 0$' check native.bpf.c --count 200
ok 'what a source has for other machines has not run' test ! -e "$dir/ran"
chmod 700 "$dir"
# A dry run leaps back where the kernel would let it, and nowhere else
sed 's/answer->leap_ns = 1;/answer->leap_ns = view->guest_ns - 1000;/' "$dir/back.bpf.c" >"$dir/little.bpf.c"
says 6 'gives 16 unusable answers in a row' run little.bpf.c
# A policy by name is one that nobody else can have put there, nor put another in its place
mkdir -p "$dir/open/safe" && cp "$dir/mine.bpf.o" "$dir/open/safe" && chmod 755 "$dir/open/safe"
export TIMEWARP_POLICY_PATH=$dir/open/safe
says 0 '^mine: ' inspect mine
chmod 777 "$dir/open"
says 1 'a directory on the way to it, may be written by others' inspect mine
chmod 755 "$dir/open"
ln -s "$dir/mine.bpf.o" "$dir/open/safe/linked.bpf.o"
chmod 666 "$dir/mine.bpf.o"
says 1 'linked.bpf.o, or .*, may be written by others' inspect linked
chmod 644 "$dir/mine.bpf.o"
unset TIMEWARP_POLICY_PATH
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
