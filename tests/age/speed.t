#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# How fast an unmodified Debian that has nothing to do lives under skip-idle, on a test host, with QEMU's user network:
# see tests/age/speed-live.t, which runs there. Prints the figures; some five minutes.
set -o pipefail
cd "$(dirname "$0")/../.." || exit 125
# shellcheck source=tools/lib.sh
. tools/lib.sh
[ "$(id -u)" = 0 ] || { echo "1..0 # SKIP an image of another system is made as root"; exit 0; }
folder=$(tools/debian-guest "${DEBIAN:-12}") || exit 125
out=$TW_BUILD/out
mkdir -p "$out"
trap 'rm -f "$out/speed-disk.tar"' EXIT
# For the host's memory, as for make demo-debian
tar -C "$folder" --sparse -cf "$out/speed-disk.tar" disk.img || exit 125
echo "$folder" >"$out/speed-folder"
tools/testhost --smp 1 --memory 5120 --timeout "${TW_TIMEOUT:-3000}" -- tests/host/all tests/age/speed-live.t
