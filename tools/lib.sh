# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034,SC2119,SC2120 # variables and optional arguments are for those who source this
# What every tool under tools/ shares: where things are and how to complain.
# Sourced, never run. It sets, and changes nothing on disk:
#
#   TW_ROOT      the project            TW_BUILD    its output (build/)
#   TW_CACHE     what set-up downloads  TW_KVER     kernel release of the bench (uname -r)
#   TW_BENCH_LINE  the line of kernels that the bench runs unless another is named
# and, for the kernel chosen, TW_LINE: its line, a folder of kernel-patch; below $TW_CACHE/kernel/$TW_KVER, which tools/setup publishes whole or not at all:
#   TW_BZIMAGE   the kernel             TW_VMLINUX  the same, unpacked: boots faster (PVH)
#   TW_MODULES   its lib/modules/$TW_KVER
#   TW_KHDR      headers to build modules against
#   TW_KSRC      KVM, tools/ and scripts/ of the same version of linux-source
#   TW_LIBBPF    libbpf.a, include/bpf/*.h (gcc ... -I$TW_LIBBPF/include $TW_LIBBPF/libbpf.a -lelf -lz)
#   TW_BPFTOOL   bpftool built from the same source, so that its skeletons fit that libbpf;
#                both are the bench's for each line, as twctl and the policies are
#   TW_CLANG, TW_STRIP   the compiler for BPF programs
#
# TIMEWARP_CACHE moves the cache; TIMEWARP_KERNEL picks another kernel of the cache (line, release or its start).

TW_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
TW_BUILD=${TW_BUILD:-$TW_ROOT/build}
TW_CACHE=${TIMEWARP_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/timewarp}
TW_BENCH_LINE=6.12
TW_ME=${0##*/}
# depmod and modprobe are there, where a plain user of Debian does not look
export PATH=$PATH:/usr/sbin:/sbin
# A make that runs us would hand its own flags and variables to the builds that we start.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES

# die FACT [CURE...]: one line that says what failed, then what to do about it.
die() {
	printf '%s: %s\n' "$TW_ME" "$1" >&2
	shift
	[ $# -eq 0 ] || printf '  %s\n' "$@" >&2
	exit 1
}

usage_error() {
	printf '%s: %s (see %s --help)\n' "$TW_ME" "$1" "$TW_ME" >&2
	exit 2
}

# The text between "#:" marks at a script's head is its --help.
show_help() {
	sed -n 's/^#: \{0,1\}//p' "$1"
	exit 0
}

say() { printf '%s: %s\n' "$TW_ME" "$*" >&2; }

need_arg() { [ "$2" -ge 2 ] || usage_error "$1 needs an argument"; }

need_number() {
	case $2 in
	'' | *[!0-9]* | ??????????*) usage_error "$1 wants a whole number, not '$2'" ;;
	esac
}

# tw_line VERSION: the line of kernels that it is of, 6.12 of 6.12.117+deb12-amd64; the bench's of nothing.
tw_line() {
	[[ ${1:-$TW_BENCH_LINE} =~ ^[0-9]+\.[0-9]+ ]] && echo "${BASH_REMATCH[0]}"
}

# tw_has_series LINE: whether there are hooks for it; other kernels are booted stock only.
tw_has_series() { [ -f "$TW_ROOT/kernel-patch/$1/series" ]; }

# tw_find_kernel VERSION: prints the newest release in the cache that VERSION (6.12, 6.1, 7.x, newest, a release or
# its start) means; of a line or release, one that can be built for before one that set-up fetched to be booted only.
tw_find_kernel() {
	local want=$1 d r found='' whole=''
	for d in $(printf '%s\n' "$TW_CACHE"/kernel/*/package-version | sort -V); do
		[ -f "$d" ] || continue
		d=${d%/package-version}
		r=${d##*/}
		# Debug kernels go by their whole name only.
		case $r in "$want") ;; *-twdbg-*) continue ;; esac
		case $want in
		newest) [ "${r%%.*}" != 6 ] || continue ;;
		*.x) [ "${r%%.*}" = "${want%.x}" ] || continue ;;
		*)
			case $r in "$want" | "$want"[.+-]*) ;; *) continue ;; esac
			[ -f "$d/stock-only" ] || whole=$r
			;;
		esac
		found=$r
	done
	found=${whole:-$found}
	[ -n "$found" ] && echo "$found"
}

# tw_kernel_env [VERSION]: set the TW_* of a kernel in the cache; fails when it is not there.
# VERSION is as of tw_find_kernel, or nothing: the newest of the bench's line that set-up found.
tw_kernel_env() {
	local want=${1:-${TIMEWARP_KERNEL:-}} bench
	bench=$(cat "$TW_CACHE/kernel/default" 2>/dev/null) || bench=
	TW_KVER=${bench:-}
	[ -z "$want" ] || TW_KVER=$(tw_find_kernel "$want")
	[ -n "$TW_KVER" ] && [ -d "$TW_CACHE/kernel/$TW_KVER" ] || return 1
	TW_LINE=$(tw_line "$TW_KVER")
	TW_KDIR=$TW_CACHE/kernel/$TW_KVER
	TW_STOCK_ONLY=
	[ ! -f "$TW_KDIR/stock-only" ] || TW_STOCK_ONLY=1
	TW_BZIMAGE=$TW_KDIR/boot/vmlinuz-$TW_KVER
	TW_VMLINUX=$TW_KDIR/boot/vmlinux-$TW_KVER
	TW_MODULES=$TW_KDIR/lib/modules/$TW_KVER
	TW_KHDR=$TW_KDIR/usr/src/linux-headers-$TW_KVER
	TW_KSRC=$TW_KDIR/source
	[ ! -d "$TW_KDIR/libbpf" ] || bench=$TW_KVER
	TW_LIBBPF=$TW_CACHE/kernel/$bench/libbpf
	TW_BPFTOOL=$TW_CACHE/kernel/$bench/bpftool
	TW_CLANG=clang-19
	TW_STRIP=llvm-strip-19
	tw_compiler
}

# tw_compiler: sets TW_GCC, the compiler that the kernel of TW_KHDR was built with, and TW_BUILD_ROOT: programs of
# its kbuild may want a newer C library than this machine has, and then modules are built in a small system of
# the suite that the kernel is made for, which tools/setup makes. Empty where the machine itself will do.
TW_ROOT_SUITE=trixie
tw_compiler() {
	TW_GCC=$(sed -n 's/^CC = .*)\(gcc-[0-9]*\)$/\1/p' "$TW_KHDR/.kernelvariables" 2>/dev/null) || TW_GCC=
	TW_GCC=${TW_GCC:-gcc}	# of a debug kernel, which has no such file, the one of this machine
	TW_ROOT_PACKAGES=$TW_GCC,make,binutils,libelf1t64,libssl3t64,zlib1g,bc,pahole,kmod,perl-base
	TW_BUILD_ROOT=
	# Debian's headers have it for machines of four kinds, which want the same, and ldd starts each several times
	case $(ldd "$TW_KHDR"/scripts/mod/modpost{,.real-lsb-64} 2>&1) in
	*'not found'*) TW_BUILD_ROOT=$TW_CACHE/root/$TW_ROOT_SUITE-$(echo "$TW_ROOT_PACKAGES" | sha256sum | cut -c1-16) ;;
	esac
}

# tw_in_build_root COMMAND [ARG...]: run it where modules for this kernel can be built; the project, its output and
# the cache are at the same paths there. The mounts end with the process, however that ends.
tw_in_build_root() {
	local own=()
	[ -n "$TW_BUILD_ROOT" ] || { "$@"; return; }
	[ -d "$TW_BUILD_ROOT" ] || die "there is no system with $TW_GCC to build for $TW_KVER in" "run: tools/setup --kernel $TW_KVER"
	[ "$(id -u)" = 0 ] || own=(--user --map-root-user)
	# shellcheck disable=SC2016 # the inner shell expands it
	unshare "${own[@]}" --mount --pid --fork --kill-child sh -c '
		root=$1
		# Its own: builds that run at once share the root. Before the others, which may lie in /tmp.
		mount -t tmpfs -o mode=1777 tmp "$root/tmp" || exit 125
		for d in "$2" "$3" "$4" /dev; do
			mkdir -p "$root$d" && mount --rbind "$d" "$root$d" || exit 125
		done
		# objtool wants it
		mount -t proc proc "$root/proc" || exit 125
		shift 4
		exec chroot "$root" /usr/bin/env TMPDIR=/tmp LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"' \
		sh "$TW_BUILD_ROOT" "$TW_ROOT" "$TW_BUILD" "$TW_CACHE" "$@"
}

# tw_mirror LABEL: where this machine's package sources have Debian, or Debian-Security
tw_mirror() {
	# shellcheck disable=SC2016 # apt expands it
	apt-get indextargets --format '$(CREATED_BY) $(LABEL) $(REPO_URI)' | awk -v l="$1" '$1 == "Packages" && $2 == l { print $3; exit }'
}

need_kernel() {
	tw_kernel_env "${1:-}" && return
	[ -n "${1:-${TIMEWARP_KERNEL:-}}" ] || die "no kernel in $TW_CACHE yet" "run: make setup"
	die "kernel ${1:-$TIMEWARP_KERNEL} is not in $TW_CACHE" "run: tools/setup --kernel ${1:-$TIMEWARP_KERNEL}"
}

# tw_tmp DIR: makes a directory in DIR for what is not whole yet; sets TW_TMP. It is locked until this process, and all that it
# has started, have ended. Those of processes that were killed are removed: they are a day old, and nobody holds their lock.
# A younger one may be another machine's, whose lock is not seen through NFS or 9p, or not be locked yet.
# Older versions of the project name theirs .tmp.*, do not lock them, and remove whatever else has such a name.
tw_tmp() {
	local t
	mkdir -p "$1" || return 1
	find "$1" -maxdepth 1 -type d \( -name '.new.*' -o -name '.tmp.*' \) -mmin +1440 -print0 2>/dev/null |
		while IFS= read -r -d '' t; do
			{ flock -n 9 && rm -rf --one-file-system "$t"; } 2>/dev/null 9<"$t" || :
		done || :
	TW_TMP=$(mktemp -d "$1/.new.XXXXXX") || return 1
	{ exec {TW_TMP_FD}<"$TW_TMP"; } 2>/dev/null || { rmdir "$TW_TMP"; return 1; }
	flock "$TW_TMP_FD" 2>/dev/null || :
}
TW_TMP='' TW_TMP_FD=''

# tw_publish TMP DEST: a directory appears whole or not at all. When two processes
# finish at once, the first wins: both made the same thing, the name is its content.
tw_publish() {
	mv -T "$1" "$2" 2>/dev/null && return
	[ -d "$2" ] || return 1
	rm -rf "$1"
}

# tw_agent: build the two ends of the command channel; sets TW_AGENT and TW_EXEC.
tw_agent() {
	local src=$TW_ROOT/tools/agent key tmp dir
	key=$(cat "$src"/*.[ch] | sha256sum | cut -c1-16)
	dir=$TW_CACHE/agent/$key
	if [ ! -d "$dir" ]; then
		tw_tmp "$TW_CACHE/agent" || die "cannot write to $TW_CACHE/agent"
		tmp=$TW_TMP
		# Static: the guest has no libc.
		gcc -O2 -Wall -Wextra -static -o "$tmp/agent" "$src/agent.c" || die "cannot build tools/agent/agent.c"
		gcc -O2 -Wall -Wextra -static -o "$tmp/twexec" "$src/twexec.c" || die "cannot build tools/agent/twexec.c"
		tw_publish "$tmp" "$dir"
	fi
	TW_AGENT=$dir/agent
	TW_EXEC=$dir/twexec
}

# tw_inject_once: build what mends the test host's QEMU (see its source); sets TW_INJECT_ONCE.
tw_inject_once() {
	local src=$TW_ROOT/tools/emulator/inject-once.c tmp dir
	dir=$TW_CACHE/inject-once/$(sha256sum "$src" | cut -c1-16)
	if [ ! -d "$dir" ]; then
		tw_tmp "$TW_CACHE/inject-once" || die "cannot write to $TW_CACHE/inject-once"
		tmp=$TW_TMP
		gcc -O2 -Wall -Wextra -Wno-unused-parameter -shared -fPIC -o "$tmp/inject-once.so" "$src" || die "cannot build $src"
		tw_publish "$tmp" "$dir"
	fi
	TW_INJECT_ONCE=$dir/inject-once.so
}

# tw_initramfs NAME KEYFILES... : prints the path of the cached archive made of the
# directory that fill_NAME DIR fills; the key is the content of KEYFILES and of this script.
tw_initramfs() {
	local name=$1 key tmp out
	shift
	key=$( (echo "$TW_KVER"; cat "$TW_KDIR/package-version" 2>/dev/null; cat "$TW_ROOT/tools/lib.sh" "$0" "$@") | sha256sum | cut -c1-16)
	out=$TW_CACHE/initramfs/$name-$key.cpio
	if [ ! -f "$out" ]; then
		tw_tmp "$TW_CACHE/initramfs" || return 1
		tmp=$TW_TMP
		tw_initramfs_begin "$tmp/d" && "fill_$name" "$tmp/d" && tw_initramfs_end "$tmp/d" >"$tmp/cpio" || { rm -rf "$tmp"; return 1; }
		mv "$tmp/cpio" "$out"
		rm -rf "$tmp"
	fi
	echo "$out"
}

# tw_initramfs_begin DIR: what each archive has. tw_initramfs_end DIR: the archive of it, on standard output; not
# compressed, as unpacking costs emulated instructions, and reading does not.
tw_initramfs_begin() {
	mkdir -p "$1"/{bin,dev,proc,sys,lib/modules,run,tmp,etc,root} && cp "$(command -v busybox)" "$1/bin/busybox" && ln -s busybox "$1/bin/sh"
}
tw_initramfs_end() { (cd "$1" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet --reproducible); }

# tw_add_modules DIR MODULE...: the modules and what they need, unpacked, into DIR/lib/modules,
# and their names in load order in DIR/lib/modules/list.
tw_add_modules() {
	local d=$1 m f
	shift
	# All of them may be built in.
	: >>"$d/lib/modules/list"
	for m in "$@"; do
		modprobe -d "$TW_KDIR" -S "$TW_KVER" --show-depends "$m" 2>/dev/null | sed -n 's/^insmod \([^ ]*\).*/\1/p'
	done | awk '!seen[$0]++' | while read -r f; do
		m=${f##*/}
		m=${m%%.ko*}
		case $f in
		*.xz) xz -dc "$f" >"$d/lib/modules/$m.ko" ;;
		*.zst) zstd -dqc "$f" >"$d/lib/modules/$m.ko" ;;
		*) cp "$f" "$d/lib/modules/$m.ko" ;;
		esac
		echo "$m" >>"$d/lib/modules/list"
	done
}

# What a kernel says in its log when something is wrong with it (extended regular expression).
TW_BAD_LOG='WARNING:|BUG:|BUG |Oops|general protection fault|stack-protector|Call Trace|soft lockup|hard LOCKUP|rcu.*stall|blocked for more than|possible (circular|recursive|irq)|inconsistent lock|suspicious RCU|UBSAN|KASAN|KCSAN|clocksource: .*(unstable|skewed)|refcount_t|list_(add|del) corruption|Unable to handle|unchecked MSR'
# The same of a kernel that looks closer (tools/testhost --debug).
TW_BAD_LOG+='|ODEBUG|kmemleak: [0-9]+ new|INFO: task|sleeping function|scheduling while atomic|scheduling from the idle|MAX_LOCK|Nested lock|Invalid wait context|possible deadlock|lockdep is turned off|lock held when|still held|memory corruption|overwritten|page dumped because'
