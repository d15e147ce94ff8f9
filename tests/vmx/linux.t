#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Debian guests under QEMU on the host with VMX, in TSC mode scaled: rates, live changes, exits. By hand.
cd "$(dirname "$0")/../.." || exit 125
export TW_GUESTS="${TW_GUESTS:-k1 t1}" TW_FACTORS="${TW_FACTORS:-0.1 2 50}" TW_SECONDS="${TW_SECONDS:-2}"
export TW_MODES=scaled
[ $# -gt 0 ] || set -- tests/vmx/live.t rates
exec tools/testhost --cpu vmx --guest --memory 1536 --timeout "${VMX_TIMEOUT:-1500}" -- tests/host/all "$@"
