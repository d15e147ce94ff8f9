# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034 # variables are for those who source this
# A host in a VM: booted, given commands, its kernel's log judged. tools/testhost, for the bench, and timewarp-host, for
# users, are this and the options of each. Sourced, after lib.sh. Who does so sets
#
#   host_me     the name that messages begin with
#   host_qemu   QEMU and what it is run by, words of a command
#   host_exec   twexec
#   host_log    where the kernel's log is left; empty: nowhere
#
# and gets host_run, a directory of its own that goes with the process.

host_me=${TW_ME:-host} host_qemu=(qemu-system-x86_64) host_exec='' host_log='' host_run='' host_pid='' host_end=0

# fail FACT [CURE...]: the host is not to be had
fail() {
	printf '%s: %s\n' "$host_me" "$1" >&2
	shift
	[ $# -eq 0 ] || printf '  %s\n' "$@" >&2
	exit 125
}

host_begin() {
	local d
	for d in "${TMPDIR:-/tmp}" /dev/shm; do
		host_run=$(mktemp -d "$d/$host_me.XXXXXX" 2>/dev/null) && break
	done
	[ -n "$host_run" ] || fail "no directory can be made in ${TMPDIR:-/tmp}" "set TMPDIR to one that you may write"
	trap host_cleanup EXIT
	host_signals_end
}
# shellcheck disable=SC2317 # the trap calls it
host_cleanup() {
	[ -z "$host_pid" ] || kill -KILL "$host_pid" 2>/dev/null
	wait 2>/dev/null
	rm -rf "$host_run"
}

# ---- what it is made of

# host_unpack_kernel BZIMAGE FILE: the kernel in it, which boots without unpacking itself first
host_unpack_kernel() {
	local magic unpack at
	while read -r magic unpack; do
		for at in $(LC_ALL=C grep -obUaP "$magic" "$1" | cut -d: -f1); do
			# More follows it, which each of them complains of, having written all
			tail -c "+$((at + 1))" "$1" | $unpack >"$2" 2>/dev/null
			! cmp -s -n 4 "$2" <(printf '\177ELF') || return 0
		done
	done <<-'END'
		\x28\xb5\x2f\xfd zstd -dcq
		\xfd7zXZ\x00 xz -dcq --single-stream
		\x1f\x8b\x08 gzip -dc
	END
	return 1
}

# host_fill DIR INIT AGENT: its initramfs; of the kernel of TW_KDIR and TW_KVER
host_fill() {
	install -m 755 "$2" "$1/init" && cp "$3" "$1/bin/agent" &&
		tw_add_modules "$1" virtio_pci virtio_console 9p 9pnet_virtio overlay	# the first two are built into some
}

# host_fs TAG PATH [,readonly=on]: QEMU's options for a directory that it sees, into host_options
host_options=()
host_fs() {
	# QEMU takes a comma for the end of a value, and two for one
	host_options+=(-fsdev "local,id=$1,path=${2//,/,,},security_model=none,multidevs=remap${3:-}" -device "virtio-9p-pci,fsdev=$1,mount_tag=$1")
}

# ---- its life

# The kernel's command line, whoever boots it
host_words="console=ttyS0 loglevel=5 log_buf_len=4M panic=-1 oops=panic nokaslr tsc=reliable no_timer_check"
host_words+=" i8042.noaux i8042.nokbd i8042.nopnp audit=0 apparmor=0 selinux=0 random.trust_cpu=on nohz=off cryptomgr.notests"

# host_boot KERNEL INITRD WORDS QEMU-OPTION...: in the background. WORDS are for the kernel, and for host.init. File
# descriptors above 7 are the caller's own.
host_boot() {
	# As in host_fs
	local kernel=$1 initrd=$2 words=$3 run=${host_run//,/,,}
	shift 3
	"${host_qemu[@]}" -name "$host_me,debug-threads=on" -d cpu_reset -D "$host_run/resets" \
		-nodefaults -no-user-config -display none -no-reboot -machine q35,usb=off,vmport=off,hpet=off \
		-kernel "$kernel" -initrd "$initrd" -append "$host_words $words" -chardev "file,id=console,path=$run/console" -serial chardev:console \
		${host_options[@]+"${host_options[@]}"} -device virtio-serial-pci \
		-chardev "socket,id=c0,path=$run/agent.0,server=on,wait=off" -device virtserialport,chardev=c0,name=tw.0 \
		"$@" </dev/null >"$host_run/qemu.log" 2>&1 8>&- 9>&- &
	host_pid=$!
	# On an emulated host, where each of its libraries is waited for, that takes a minute by the clock there
	until [ -S "$host_run/agent.0" ]; do
		host_alive || host_failed "QEMU did not start" 125
		[ "$host_end" = 0 ] || [ "$SECONDS" -lt "$host_end" ] || host_failed "the host was not up within $SECONDS s" 124
		sleep 0.02
	done
}
host_alive() { kill -0 "$host_pid" 2>/dev/null; }

# host_limit SECONDS: what follows must end within them; 0: whenever it likes
host_limit() { host_end=$(($1 ? SECONDS + $1 : 0)); }

# host_do ARG...: twexec with these; standard input is descriptor 3. 124: it had no time left
host_do() {
	local limit=() left=$((host_end - SECONDS)) rc
	if [ "$host_end" != 0 ]; then
		[ $left -gt 0 ] || return 124
		limit=(-T "$left")
	fi
	"$host_exec" ${limit[@]+"${limit[@]}"} "$@" <&3 8>&- 9>&- &
	host_child=$!
	[ -z "$host_pending" ] || host_signal "$host_pending"
	host_pending=''
	# A trap that runs meanwhile, and does not end us, ends this wait too early.
	while :; do
		host_caught=''
		wait "$host_child"
		rc=$?
		[ -n "$host_caught" ] || break
	done
	host_child=''
	return $rc
}
host_child='' host_caught='' host_pending=''

# host_signals_end: SIGINT, SIGTERM and SIGHUP end us. host_signals_pass: they are for the command of host_do, also if that
# is only about to begin
host_signals_end() {
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	host_pending=''
}
host_signals_pass() {
	local s
	# shellcheck disable=SC2064 # now
	for s in INT TERM HUP; do trap "host_pass_on $s" $s; done
}
# shellcheck disable=SC2317 # traps call it
host_pass_on() {
	host_caught=1
	if [ -n "$host_child" ]; then host_signal "$1"; else host_pending=$1; fi
}
# shellcheck disable=SC2317 # as above
# What a shell starts in the background is the shell itself at first, and then ignores SIGINT until it has set a handler. A
# signal would be lost until then: it is sent once there is a handler, or after five seconds
host_signal() {
	local bit=$((1 << ($(kill -l "$1") - 1))) key caught _
	for _ in {1..500}; do
		while read -r key caught; do [ "$key" != SigCgt: ] || break; done 2>/dev/null <"/proc/$host_child/status" || return
		if ((16#$caught & bit)) && ! [ "/proc/$host_child/exe" -ef "/proc/$$/exe" ]; then break; fi
		sleep 0.01
	done
	kill -s "$1" "$host_child" 2>/dev/null
}

# host_wait SECONDS: until it is up; the mark in its log is where what is judged begins
host_mark="timewarp: command starts"
host_wait() {
	local rc
	host_do "$host_run/agent" -- /run/tw/busybox sh -c "echo '$host_mark' >/dev/kmsg"
	rc=$?
	[ $rc != 124 ] || host_failed "the host was not up within $1 s" 124
	[ $rc = 0 ] || host_failed "the host died while booting" 125
}

# host_after STATUS SECONDS: after a command that ended so: whether the host is still there, or its time was up
host_after() {
	if [ "$1" = 124 ] && [ "$host_end" != 0 ] && [ "$SECONDS" -ge "$host_end" ]; then
		# Its log says more than the console, if it still answers.
		host_limit 10
		host_do "$host_run/agent" -- /run/tw/busybox dmesg >"$host_run/dmesg" && mv "$host_run/dmesg" "$host_run/console"
		host_failed "time-out after $2 s" 124
	fi
	[ "$1" != 125 ] || sleep 0.5	# the channel breaks before QEMU is gone
	host_alive || host_failed "the host died while the command ran" 125
}

# host_new_trouble: what its kernel says when something is wrong with it, on standard output. Boot is not looked at:
# firmware makes it warn.
host_new_trouble() {
	host_limit 30
	host_do "$host_run/agent" -- /run/tw/busybox sh -c 'sync; dmesg' >"$host_run/dmesg" || host_failed "the host no longer answers after the command" 125
	[ -z "$host_log" ] || cp "$host_run/dmesg" "$host_log"
	awk -v mark="$host_mark" 'seen; index($0, mark) { seen = 1 }' "$host_run/dmesg" | grep -E -A 30 "$TW_BAD_LOG"
}

# Where its kernel could not say why it is gone: a status above 128 is that of a signal
host_how_it_ended() {
	if grep -q '^Triple fault' "$host_run/resets" 2>/dev/null; then
		echo "$host_me: one of its CPUs had a triple fault, and its registers were, as QEMU has them in its log of resets:"
		sed -n '/^Triple fault/,$p' "$host_run/resets" | head -n 40
	fi
	sleep 0.1	# until the shell has seen it end
	host_alive || { wait "$host_pid"; echo "$host_me: its QEMU ended with status $?"; }
}

# host_failed FACT STATUS: and all that is known of it
host_failed() {
	[ ! -s "$host_run/console" ] || [ -z "$host_log" ] || cp "$host_run/console" "$host_log"
	{
		echo "$host_me: $1"
		host_how_it_ended
		cat "$host_run/qemu.log"
		if [ -s "$host_run/console" ]; then
			echo "$host_me: the end of its kernel log${host_log:+ ($host_log)}:"
			tail -n 40 "$host_run/console" 2>/dev/null
		fi
	} >&2
	exit "$2"
}
