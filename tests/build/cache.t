#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What is not whole yet in the cache: it goes a day after whoever was at it has gone, however that ended, and never before.
# In a cache of the test's.
cd "$(dirname "$0")/../.." || exit 1
. tests/build/tap.sh
work=$(mktemp -d) || exit 1
pids=()
# shellcheck disable=SC2317 # the trap calls it
end() {
	[ ${#pids[@]} = 0 ] || kill -KILL "${pids[@]}" 2>/dev/null
	rm -rf "$work"
}
trap end EXIT
# with_lib COMMANDS: in a bash of its own that has lib.sh; exec'd, so that its PID is that of the one who asked
with_lib() { TIMEWARP_CACHE=$work exec bash -c ". tools/lib.sh; $1" tools/lib.sh; }
left() { find "$work" -path '*/.new.*' -name big | wc -l; }
# Whatever is there was begun so long ago
a_day_ago() { find "$work" -name '.[nt]*.*' -exec touch -d '25 hours ago' {} +; }
# soon COMMAND...: it holds within 10 seconds
soon() {
	for _ in {1..500}; do
		"$@" && return
		sleep 0.02
	done
	return 1
}
# shellcheck disable=SC2016 # with_lib's
begin='tw_tmp "$TW_CACHE/x" && touch "$TW_TMP/big"'
another() { (with_lib 'tw_tmp "$TW_CACHE/x" && rmdir "$TW_TMP"'); }

{ (with_lib "$begin; kill -KILL \$\$"); } 2>/dev/null
ok "one that is killed leaves it" test "$(left)" = 1
ok "the next" another
ok "leaves it alone: it may be another machine's" test "$(left)" = 1
a_day_ago
ok "one a day later" another
ok "removes it" test "$(left)" = 0
# An older version of the project, beside this one on the same cache, holds no lock, and sweeps its own name
mkdir "$work/x/.tmp.YYYYYY"
ok "beside an older version's" another
ok "that stays" test -d "$work/x/.tmp.YYYYYY"
a_day_ago
ok "and when it is a day old" another
ok "it goes" test ! -e "$work/x/.tmp.YYYYYY"
ok "none of this version's is among what an older one sweeps" with_lib 'tw_tmp "$TW_CACHE/x" && [[ ${TW_TMP##*/} != .tmp.* ]] && rmdir "$TW_TMP"'
(with_lib "$begin; sleep 100 & echo \$! >'$work/child'; wait") &
pids+=($!)
ok "another is at it" soon test -s "$work/child"
a_day_ago
ok "beside one that is at it" another
ok "it stays" test "$(left)" = 1
kill -KILL "${pids[0]}"
wait "${pids[0]}" 2>/dev/null
ok "that one is killed, and" another
ok "what it has started is still at it: it stays" test "$(left)" = 1
child=$(cat "$work/child")
gone() { ! kill -0 "$child" 2>/dev/null; }
kill -KILL "$child"
soon gone
ok "that one ends, and" another
ok "it goes" test "$(left)" = 0

# Twenty at once: each has its own, none takes another's for a left-over
for _ in {1..20}; do (with_lib "$begin && sleep 0.2 && [ -e \"\$TW_TMP/big\" ] && rm -r \"\$TW_TMP\"") & pids+=($!); done
bad=0
for p in "${pids[@]:1}"; do wait "$p" || bad=$((bad + 1)); done
ok "twenty at once have theirs" test "$bad $(left)" = "0 0"

# One that can be made and not opened is not made again and again. bash itself takes one descriptor or two
# shellcheck disable=SC2016 # with_lib's
ok "where it cannot be opened that is told" says 1 "" timeout 20 env TIMEWARP_CACHE="$work" bash -c '
	. tools/lib.sh
	mkdir -p "$TW_CACHE/full"
	ulimit -n 10
	exec 3</dev/null 4</dev/null 5</dev/null 6</dev/null 7</dev/null
	tw_tmp "$TW_CACHE/full"'
ok "and nothing left" test -z "$(ls -A "$work/full")"

# shellcheck disable=SC2016 # with_lib's
archive='TW_KVER=none TW_KDIR=/none; fill_x() { touch "$1/big"; '
{ (with_lib "$archive kill -KILL \$\$; kill -KILL \$BASHPID; }; tw_initramfs x /dev/null"); } >/dev/null 2>&1
ok "an archive that is killed in the making leaves what it was" test "$(left)" = 1
a_day_ago
(with_lib "${archive/fill_x/fill_y} }; tw_initramfs y /dev/null") >"$work/made"
ok "the next is made" test -s "$(cat "$work/made")"
ok "and no more than that is left" test "$(cd "$work/initramfs" && echo .new* y-*)" = ".new* $(basename "$(cat "$work/made")")"
(with_lib "$archive false; }; tw_initramfs x /dev/null") >/dev/null
ok "nor does one that cannot be made leave anything" test "$(left)" = 0
done_testing
