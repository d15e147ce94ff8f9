#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# 50x and 0.02x on VMX with hardware TSC scaling: one boot of the slow emulator, all cases inside.
cd "$(dirname "$0")/../.." || exit 125
exec tools/testhost --cpu vmx --timeout "${VMX_TIMEOUT:-1500}" -- tests/vmx/in-host
