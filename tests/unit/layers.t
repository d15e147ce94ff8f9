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
edges=$(grep -rHo '^#include "[^"]*"' --include='*.[ch]' user | sed 's/:#include "/ /; s/"$//' |
	while read -r file header; do
		for dir in "${file%/*}" user user/lib; do
			[ -f "$dir/$header" ] && { echo "$file $dir/$header"; break; }
		done
	done | sed 's,/\./,/,g')
edges() { cat <<<"$edges"; }

none 'the library includes nothing of the verbs' < <(
	edges | awk '$1 ~ "^user/lib/" && $2 !~ "^user/lib/"')
# The library's layers, the lowest first: a file, NAME.c, NAME.h or NAME_priv.h, includes what is below its own, and nothing
# beside it or above. Those of a folder that stands as a whole may include each other, but not in a circle.
layers='
code examples exec parse terminal text trace_names qemu/keeper
apart types
age/talk judge/* host json print proc qemu/cmdline qemu/image when
btf err kick notify qemu/hold session/lock trace_places vm_dir
command dry/machine params search state threshold vm whole
author bare dry/object journal kvmstat launch policy qemu/layout rate selector warps
awake dry/timeline looks session/dir world
clock_reads diagnose dry/check dry/drive group qemu/probes refusal roster
clocks live qemu/date qemu/fold
session/session
readiness session/attachment
tracer
perfetto rows trace_stats
metrics
age/*
'
none 'files of the library include only what is in a layer below theirs' < <(
	edges | awk -v layers="$layers" '
	function room(file) {
		sub("^user/lib/", "", file)
		sub("[.][ch]$", "", file)
		sub("_priv$", "", file)
		if (file in level)
			return file
		sub("/.*", "/*", file)
		return file
	}
	BEGIN {
		n = split(layers, line, "\n")
		for (i = 1; i <= n; i++)
			for (k = split(line[i], name, " "); k; k--)
				level[name[k]] = i
	}
	$1 ~ "^user/lib/" && $2 ~ "^user/lib/" {
		from = room($1)
		to = room($2)
		if (!(from in level) || !(to in level))
			print "in no layer: " (from in level ? $2 : $1)
		else if (from != to && level[from] <= level[to])
			print $1 " includes " $2
	}')
none '... all of which are there' < <(
	for name in $layers; do compgen -G "user/lib/$name.[ch]" >/dev/null || compgen -G "user/lib/$name" >/dev/null || echo "$name"; done)
none 'no file of the library is longer than 600 lines, nor a verb' < <(
	wc -l user/*.c user/lib/*.c user/lib/*/*.c | awk '$2 != "total" && $1 > 600')
none 'no header includes itself in a circle' < <(
	edges | awk '$1 ~ /\.h$/ && $2 ~ /\.h$/' | tsort 2>&1 >/dev/null)
none 'a verb knows the others by the table alone' < <(
	edges | awk '$1 !~ "^user/lib/" && $1 ~ /\.c$/ && $2 !~ "^user/(lib/|twctl.h|attached.h|qualify.h|run.h)"')

# Objects that users give are not known when twctl is compiled
none 'only policies are opened, and looked into, by name: what is of twctl itself has a skeleton' < <(
	grep -rnE 'bpf_object__(open_mem|open_file|find_)' user | grep -vE '^user/lib/(policy|group)\.c:')

none "memory of other processes, and what the kernel reads there, is for lib/apart.h: its owner can have that take for ever" < <(
	grep -rnE 'process_vm_(read|write)v|/proc/%d/(mem|cmdline|environ|maps|smaps|auxv)"' --include='*.c' user |
		grep -v '^user/lib/qemu/image\.c:')

# What these print is their own (help, completion), goes to files of a format of its own, or is the one function itself; a report on
# aging is broken into lines, of words that tw_printable() has been over
own='user/(help|completion)\.c|user/lib/(metrics|perfetto|print|json|text|age/(chart|record|report|report_html))\.c'
none 'whatever is printed for people goes through tw_fprintf(), which escapes' < <(
	grep -nE '(^|[^a-z_])(v?f?printf|f?puts|v?dprintf|putchar|fputc|putc) ?\(' user/*.c user/lib/*.c user/lib/*/*.c |
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
