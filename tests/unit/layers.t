#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The order of the layers, and that text of others reaches a terminal one way alone. Reads the sources.
cd "$(dirname "$0")/../.." || exit 1
n=0 failed=0
# none NAME: the test holds if nothing comes on standard input
none() {
	local found
	n=$((n + 1))
	found=$(cat)
	if [ -z "$found" ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		sed 's/^/# /' <<<"$found"
		failed=1
	fi
}

# Each "FILE INCLUDED" among user/'s own
edges() {
	grep -rHo '^#include "[^"]*"' --include='*.[ch]' user | sed 's/:#include "/ /; s/"$//' |
		while read -r file header; do
			for dir in "$(dirname "$file")" user user/lib; do
				[ -f "$dir/$header" ] && { echo "$file $dir/$header"; break; }
			done
		done | sed 's,/\./,/,g'
}

none 'the library includes nothing of the verbs' < <(
	edges | awk '$1 ~ "^user/lib/" && $2 !~ "^user/lib/"')
none 'what knows QEMU knows nothing of sessions' < <(
	edges | awk '$1 ~ "^user/lib/qemu/" && $2 ~ "^user/lib/session/"')
none 'no header includes itself in a circle' < <(
	edges | awk '$1 ~ /\.h$/ && $2 ~ /\.h$/' | tsort 2>&1 >/dev/null)
none 'a verb knows the others by the table alone' < <(
	edges | awk '$1 !~ "^user/lib/" && $1 ~ /\.c$/ && $2 !~ "^user/(lib/|twctl.h|attached.h)"')

# Objects that users give are not known when twctl is compiled
none 'only policies are opened, and looked into, by name: what is of twctl itself has a skeleton' < <(
	grep -rnE 'bpf_object__(open_mem|open_file|find_)' user | grep -vE '^user/lib/(policy|group)\.c:')

# What these print is their own (help, completion), goes to files of a format of its own, or is the one function itself
own='user/(help|completion)\.c|user/lib/(metrics|perfetto|print|json|text)\.c'
none 'whatever is printed for people goes through tw_fprintf(), which escapes' < <(
	grep -nE '(^|[^a-z_])(v?f?printf|f?puts|v?dprintf|putchar|fputc|putc) ?\(' user/*.c user/lib/*.c |
		grep -vE "^($own):" | grep -v 'dprintf(fd, skeleton' |
		grep -vE '^user/hist\.c:[0-9]+:.*(fprintf|fputs|fputc)\((f, |.*, f\))')

none 'files that users name are written through lib/whole.c, which follows no link' < <(
	grep -rnE 'fopen\([^)]*"[wa]|O_TRUNC' --include='*.c' user | grep -v '^user/lib/whole\.c:')

# Keys of objects, as the sources write them and as the page has them
written() {
	grep -hoE '(tw_json_(open|str|int|bool|null|u64|s64|factor)|write_(hist|jumps|number|values|known))\([^,"]+, *"[a-z_0-9]+"' \
		user/*.c user/lib/err.c user/lib/json.c | grep -oE '"[a-z_0-9]+"$' | tr -d '"' | sort -u
}
none 'doc/json.md has each key that twctl -j writes' < <(
	comm -23 <(written) <(grep -oE '`[a-z_0-9]+`' doc/json.md | tr -d '`' | sort -u))
none '... and no other' < <(
	comm -13 <(written) <(grep -oE '`[a-z_0-9]+`' doc/json.md | tr -d '`' | grep -vE '^(null|_ns)$' | sort -u))
echo "1..$n"
exit $failed
