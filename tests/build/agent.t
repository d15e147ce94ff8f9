#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The guests' agent, on this machine: a port that nobody serves is none. Its ports are FIFOs, in a mount namespace.
cd "$(dirname "$0")/../.." || exit 1
. tests/build/tap.sh
if [ "$(id -u)" != 0 ] || ! unshare -m true 2>/dev/null; then
	echo '1..0 # SKIP no root, or no mount namespace'
	exit 0
fi
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir"
gcc -O2 -Wall -Wextra -static -o "$dir/agent" tools/agent/agent.c || exit 1
# agent PROCESSES: as a user that nobody else is, who may have so many
agent() {
	timeout 2 unshare -m sh -c '
		mount -t tmpfs none /sys && mkdir -p /sys/class/virtio-ports/vport0p1 && echo tw.0 >/sys/class/virtio-ports/vport0p1/name &&
		mount -t tmpfs none /dev && mkfifo -m 666 /dev/vport0p1 && exec setpriv --reuid 1902385 --clear-groups prlimit --nproc="$1" "$0"' \
		"$dir/agent" "$1"
}
ok "the agent stays with a port that it serves" says 124 "" agent 10
ok "one for which no process can be had is none: it says so, and ends" says 1 "agent: no virtio-serial port" agent 1
done_testing
