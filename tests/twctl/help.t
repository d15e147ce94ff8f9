#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Each verb's help fits a terminal and names its verb; JSON, completion and manual page are what their
# readers take. On this machine, without a test host.
cd "$(dirname "$0")/../.." || exit 1
twctl=build/twctl
n=0 failed=0
# ok NAME COMMAND...: the command holds
ok() {
	local name=$1
	shift
	n=$((n + 1))
	if out=$("$@" 2>&1); then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		sed 's/^/# /' <<<"$out"
		failed=1
	fi
}
# Each verb's help, which most of what follows looks at
declare -A help
# fits TEXT
fits() {
	local line
	while IFS= read -r line; do
		[ ${#line} -le 80 ] && [[ $line != *[[:blank:]] && $line != *$'\t'* ]] || { echo "$line"; return 1; }
	done <<<"$1"
}
verbs=$($twctl help -j | perl -MJSON::PP -0777 -ne 'print "$_->{name}\n" for @{ decode_json($_)->{verbs} }')
ok "twctl help fits 80 columns" fits "$($twctl help)"
for v in $verbs; do
	help[$v]=$($twctl "$v" --help)
	ok "twctl $v --help fits 80 columns, and no line ends in a blank" fits "${help[$v]:?}"
	ok "twctl help $v says the same as twctl $v --help" test "$($twctl help "$v")" = "${help[$v]}"
done
ok "at least fifteen verbs" test "$(wc -w <<<"$verbs")" -ge 15
# shellcheck disable=SC2016 # the inner shell's
ok "bash completes verbs and options" bash -c '
	. <('$twctl' help --completion bash)
	COMP_WORDS=(twctl att) COMP_CWORD=1; _twctl; [ "${COMPREPLY[*]}" = attach ] || exit 1
	COMP_WORDS=(twctl attach --fac) COMP_CWORD=2; _twctl; [ "${COMPREPLY[*]}" = --factor ]'
# shellcheck disable=SC2016
ok "bash completes verbs behind -j, sub-verbs, verbs of help, policies by name" bash -c '
	PATH=$PWD/build:$PATH; . <('$twctl' help --completion bash)
	try() { COMP_WORDS=(twctl "$@") COMP_CWORD=$#; COMPREPLY=(); _twctl; echo "${COMPREPLY[*]}"; }
	[ "$(try -j det)" = detach ] && [ "$(try policy ins)" = inspect ] && [ "$(try help sta)" = "status stat" ] &&
	[[ " $(try attach --policy skip) " == *" skip-idle "* ]] || { try -j det; try policy ins; try help sta; try attach --policy skip; false; }'
# shellcheck disable=SC2016
ok "bash completes parameters of the policy that is named, else of constant" bash -c '
	PATH=$PWD/build:$PATH; . <('$twctl' help --completion bash)
	try() { COMP_WORDS=(twctl "$@") COMP_CWORD=$#; COMPREPLY=(); _twctl; echo "${COMPREPLY[*]}"; }
	[ "$(try attach web --policy until --param "")" = "factor= after= until=" ] && [ "$(try swap --param f)" = factor= ] ||
		{ try attach web --policy until --param ""; try swap --param f; false; }'
for s in fish zsh; do
	ok "$s completes options of each verb" bash -c '
		said=$('$twctl' help --completion "$0")
		for o in $('$twctl' help -j | grep -o "\"name\":\"[a-z-]*\",\"argument\"" | cut -d\" -f4 | sort -u); do
			[[ $said == *"-l $o "* || $said == *"--$o"* ]] || { echo "$o"; exit 1; }
		done' $s
	! command -v $s >/dev/null || ok "$s reads it" bash -c '"$0" -n <('$twctl' help --completion "$0")' $s
done
if command -v mandoc >/dev/null; then
	for v in "" $verbs; do
		ok "mandoc has nothing to say about twctl${v:+-$v}.8" bash -c 'said=$(mandoc -T lint -W warning <('$twctl' help $0 --man)); [ -z "$said" ] || { echo "$said"; exit 1; }' "$v"
	done
fi
quiet() { local said; said=$("$@" 2>&1 >/dev/null); echo "$said"; [ -z "$said" ]; }
ok "groff has nothing to say about the manual page" quiet groff -man -ww -Tutf8 <($twctl help --man)
page=$(groff -man -Tascii -P-cbou <($twctl help --man))
has() { [[ $1 == *"$2"* ]]; }
for v in $verbs; do
	ok "the manual page has $v" has "$page"$'\n' "twctl $v"$'\n'
done
has_options() {
	local o
	for o in $(grep -o -- "--[a-z-]*" <<<"${help[*]}" | sort -u); do
		has "$page" "$o" || { echo "$o"; return 1; }
	done
}
ok "the manual page has every option as help names it" has_options
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
# with_example VERB: groff says nothing of its page, and an example follows the heading
with_example() {
	local said
	said=$(groff -man -ww -Tascii -P-cbou <($twctl help --man "$1") 2>&1 >"$dir/page")
	[ -z "$said" ] || { echo "$said"; return 1; }
	awk '/^EXAMPLES/ { at = NR } at && NR <= at + 6 && /twctl/ { found = 1 } END { exit !found }' "$dir/page"
}
for v in $verbs; do
	[ "$v" = version ] && continue
	ok "twctl-$v.8 has EXAMPLES, and groff nothing to say about it" with_example "$v"
done
# says TEXT ARG...: twctl ARG... ends with status 2 and that text
says() {
	local text=$1 said
	shift
	said=$($twctl "$@" 2>&1 >/dev/null)
	[ $? = 2 ] && [[ $said == *"$text"* ]] || { echo "$said"; return 1; }
}
for v in $verbs; do
	has "${help[$v]}" --json || ok "help of $v names no -j, which it refuses" has "$(timeout 10 $twctl "$v" -j 2>&1)" 'as JSON'
done
ok 'top names no -j' test "${help[top]}" = "${help[top]//--json/}"
ok "another shell is refused, with those that are known" says "only bash, fish and zsh" help --completion tcsh
ok "the letter that is no option is named, not the word before it" says "'-1' is no option" jump --vm X -1d
ok "so is a long option" says "'--nosuch' is no option" jump --vm X --nosuch +1d
ok "and a flag with a value" says "'--pin=3' is no option" attach --vm X --pin=3
ok "an option without its argument is named" says "'--vm' needs an argument" jump --vm
ok "a second operand of detach is one too many" says "'b' is one word too many" detach a b
ok "so is one beside --vm" says "'b' is one word too many" attach b --vm a --factor 2
begins() { [[ $'\n'$1 =~ $'\n'$2 ]]; }
for v in attach detach step trace hist stat top set swap jump doctor status; do
	ok "the synopsis of $v has the VM as operand" begins "${help[$v]}" "usage: twctl $v "'\[?VM'
done
ok "detach takes a VM, --all or --stale, and not two of them" says "leave in one of them" detach --all a
ok "nor both options" says "leave in one of them" detach --all --stale
ok "wait takes a moment or done" says "of --until, --done and --event more than one" wait a --until 1d --done
ok "... or an event" says "of --until, --done and --event more than one" wait a --event step --done
ok "an event that no policy tells" says "the event 'steps'" wait a --event steps
ok "a moment that is none is told" says "cannot wait until 'soon'" wait a --until soon
ok "never is no moment" says "it is no moment" wait a --until never
ok "a time-out of nothing is told" says "'0s' is not above zero" wait a --timeout 0s
ok "options end where the command of run begins" says "are of --image" run --smp 2 qemu-system-x86_64 -m 1G --factor
ok "what run is to run has to be said" says "not said what to run" run --factor 2
ok "a date that is none" says "cannot begin at 'soon'" run --date soon -- qemu-system-x86_64
ok "a verb that there is not" says "cannot run 'nope': twctl has no such verb" nope
ok "a step of nothing is told as such" says "cannot step by '0s': it is not above zero" step --vm X 0s
ok "no steps, too" says "--count '0' is not above zero" step --vm X 1s --count 0
ok "stat, each nothing" says "'0s' is not above zero" stat 0s
ok "hist, for nothing" says "'0s' is not above zero" hist -d 0s
# What a killed twctl leaves stands in doc/clocks-and-limits.md; that it is nothing is not so
promises() { grep -rniE 'SIGKILL leaves nothing' README.md doc; for v in $verbs; do grep -iE 'SIGKILL[^.]* leaves nothing' <<<"${help[$v]//$'\n'/ }"; done; }
ok "nobody says that SIGKILL leaves nothing" test -z "$(promises)"
echo "1..$n"
exit $failed
