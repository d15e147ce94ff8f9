#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# coherence.t [--long] - on a test host, whether all clocks of real guests agree, and QEMU's too
#
# The short form is two factors, one vCPU and one clocksource, unless TW_FACTORS and the like of
# tests/coherence/measure say otherwise; the long one has what QEMU's clocks do in all cases, and the
# guest's own watchdog.
cd "$(dirname "$0")/../.." || exit 1
if [ "${1:-}" = --long ]; then
	export TW_PICTURE=1
	tests='vmm measure watchdog'
	timeout=5400
else
	export TW_FACTORS=${TW_FACTORS:-0.1 50} TW_SMP=${TW_SMP:-1} TW_SECONDS=${TW_SECONDS:-3} TW_SAMPLES=${TW_SAMPLES:-60}
	export TW_CLOCKSOURCES=${TW_CLOCKSOURCES:-kvm-clock}
	tests=measure
	timeout=600
fi
tools/testhost --smp 1 --timeout "${TW_TIMEOUT:-$timeout}" -- tests/coherence/in-host $tests
status=$?
if [ -n "${TW_PICTURE:-}" ] && [ -s build/out/coherence.json ]; then tests/coherence/picture build/out; fi
exit $status
