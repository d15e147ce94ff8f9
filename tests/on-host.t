#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Boots one test host and runs tests/host/*.t in it (or those named as arguments), with real guests of
# one and two vCPUs. Also fails when the host's kernel log has something new: testhost then ends with 125.
#
# The environment chooses what fits into make check; make bench and a longer look take more:
#   TW_GUESTS    k1 k2 t1 t2: clocksource kvm-clock or tsc, vCPUs
#   TW_FACTORS, TW_SECONDS    of rates; TW_READS of monotonic; TW_SAMPLES of agree; TW_RUNS of policies
#   TW_ROUNDS, TW_MOMENTS, TW_RESET_FACTOR of robust
cd "$(dirname "$0")/.." || exit 1
export TW_GUESTS=${TW_GUESTS:-k2}
export TW_SECONDS=${TW_SECONDS:-1} TW_RUNS=${TW_RUNS:-1} TW_FACTORS=${TW_FACTORS:-0.1 2 50}
export TW_SAMPLES=${TW_SAMPLES:-200} TW_RESET_FACTOR=${TW_RESET_FACTOR:-0}
export TW_ROUNDS=${TW_ROUNDS:-5} TW_MOMENTS=${TW_MOMENTS:-9}
[ $# -gt 0 ] || set -- agree errors monotonic policies rates robust
case " $* " in
*' guide '*)
	# Compiling takes minutes on the host
	tests/host/guide.t --prepare >build/guide-prepare.log || { cat build/guide-prepare.log; exit 1; }
	;;
esac
exec tools/testhost --smp 1 --timeout "${TW_TIMEOUT:-2400}" -- tests/host/all "$@"
