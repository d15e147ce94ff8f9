#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The errors of twctl that need no VM, by a twctl with AddressSanitizer, its leak checker and UBSan: each with the status
# that is documented, one clear error, and no word of theirs. Then the unit tests with that library: in build/tests/unit most
# have the one that twctl is made of, without. Minutes.
cd "$(dirname "$0")/../.." || exit 1
build=build/asan
make -s -j2 BUILD=$build CFLAGS='-g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer' \
	$build/twctl unit >build/asan.log 2>&1 || { cat build/asan.log; exit 1; }
export ASAN_OPTIONS=exitcode=99:detect_leaks=1 UBSAN_OPTIONS=halt_on_error=1:exitcode=99
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
n=0 failed=0
# says STATUS ARG...: so it ends, in text and with -j, and nobody has found anything. STATUS may be several: 3|4
says() {
	local status=$1 rc bad json
	shift
	for json in '' -j; do
		timeout 60 $build/twctl $json "$@" >"$dir/out" 2>&1 </dev/null
		rc=$?
		bad=
		[[ $rc =~ ^($status)$ ]] || bad="status $rc, expected $status"
		! grep -qE 'Sanitizer|runtime error' "$dir/out" || bad="$bad, and found"
		grep -qE '^twctl: |^usage: |"error":' "$dir/out" || [ "$rc" = 0 ] || [ "$1" = probe ] || bad="$bad, and no error is told"
		[ -z "$bad" ] && continue
		n=$((n + 1)) failed=1
		printf 'not ok %d - %.100s (%s)\n' $n "twctl $json $*" "$bad"
		head -n 40 "$dir/out" | cat -v | sed 's/^/# /'
		return
	done
	n=$((n + 1))
	printf 'ok %d - %.100s\n' $n "twctl $* : $rc"
}

# ---- what is no command
says 2 frobnicate
says 2 $'\e[2Jfrob'
says 2 attach --frobnicate
says 2 attach --vm
says 2 list one two three
for verb in attach detach set swap step jump; do says 2 $verb; done
says 2 help nosuch
says 2 policy
says 2 policy nosuch

# ---- numbers, spans, dates, intervals
long=$(printf '9%.0s' {1..20000})
for f in 0 -1 -0 nan inf 1e400 1e-12 4.9e-324 50x 0x32 50,0 '' ' 50' 1/0 0/1 1/-3 1//2 + 10001 1/10001 "$long"; do
	says 2 attach --vm 1 --factor "$f"
done
for span in '' 0s -1s 5 1y2 9999999999d "$long"; do
	says '2|3' step --vm 1 -- "$span"
	says '2|3|4' jump --vm 1 -- "$span"
	says '1|2|3|4' hist -d "$span"
	says '1|2|3|4' stat "$span"
	[ "$span" = 5 ] || says '2|3|4' status --every "$span"
done
for date in 2026-13-01 2026-02-30 soon 292471208677-01-01 ''; do says '2|3|4' jump --vm 1 "$date"; done
says 2 attach --vm 1 --factor 2 --tsc magic
says 2 attach --vm 1 --factor 2 --vmm perhaps
says 2 attach --vm 1 --factor 2 --pin --exit-when-done
says '2|3|4' stat --source nosuch
says '2|3|4' stat --fail-if lost
says '1|2|3|4' trace nosuch
says '1|2|3|4' hist --svg /nonexistent/dir/x.svg -d 1s

# ---- VMs that are none: with a hook 4 says so, without one 3 comes first, or 1 where debugfs is not mounted
for vm in 0 1 2 $$ 4194303 nobody '' "$(printf 'x%.0s' {1..5000})" 1-9999 uuid:00000000-1111-2222-3333-444444444444 name: id: pid:x \
	"${long:0:40}" $'\e]0;q\a'; do
	says '2|3|4' attach --vm "$vm" --factor 2
	says '2|3|4' status --vm "$vm"
	says '2|3|4' doctor --vm "$vm"
	says '1|2|3|4' detach --vm "$vm"
	says '1|2|3|4' stat --vm "$vm"
done
says '2|3|4' attach --vm 1 --vm 1 --factor 2
says '2|3|4' set --vm 1 factor=2 nosuch=3 =
says '2|3|4' set --vm 1 nosuch

# ---- policies
head -c 4096 /dev/urandom >"$dir/noise.bpf.o"
head -c 2000 $build/bpf/constant.bpf.o >"$dir/cut.bpf.o"
for policy in /nonexistent.bpf.o README.md "$dir" "$dir/noise.bpf.o" "$dir/cut.bpf.o" nosuch ../x ''; do
	says '1|2|3|4' policy inspect "$policy"
	says '1|2|3|4' attach --vm 1 --policy "$policy"
done
for param in nosuch=1 factor= factor =1 factor=0 factor=1e9 "factor=$long"; do
	says '1|2|3|4' attach --vm 1 --policy constant --param "$param"
done

# ---- the rest, and what there is to be said where nothing is wrong
says '2|3' run
says '2|3' run --date soon -- true
says 2 qualify --nosuch
says '1|2|3' age --nosuch
says '0|1|3' detach --stale
says '0|1|3|4' list
says '0|1|3|4' status
says '0|3|10' probe
says 0 version
says 0 policy list
says 0 policy inspect constant
says 0 help attach

# ---- unit tests
for t in $build/tests/unit/*_test; do
	n=$((n + 1))
	if timeout 900 "$t" >"$dir/out" 2>&1 && ! grep -qE 'Sanitizer|runtime error' "$dir/out"; then
		echo "ok $n - ${t##*/}"
	else
		echo "not ok $n - ${t##*/}"
		grep -vE '^ok ' "$dir/out" | head -n 60 | cat -v | sed 's/^/# /'
		failed=1
	fi
done
echo "1..$n"
exit $failed
