#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# tests/coherence/watchdog at 50x by each judge, in TSC mode scaled, on a host that takes itself for a real one: with
# its TSC at 4 GHz an instruction takes 0.25 ns, so that the guest's readings of HPET and ACPI PM timer are within
# the 500 us that Linux grants. By hand.
# Tried so far: TW_WATCHDOGS=hpet and =acpi_pm, a boot each.
cd "$(dirname "$0")/../.." || exit 125
export TW_WATCHDOG_FACTOR="${TW_WATCHDOG_FACTOR:-50}"
exec tools/testhost --cpu vmx --guest --tsc-khz "${TW_VMX_TSC_KHZ:-4000000}" --timeout "${VMX_TIMEOUT:-3000}" -- \
	tests/coherence/in-host watchdog
