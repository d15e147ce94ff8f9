#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The KVM fuzzer on a test host: neither the host's kernel log nor the VMs that are left show a trace of it.
#
#   KVM_FUZZ_SECONDS   of the host (default 60)      KVM_FUZZ_SEED   default: of today's date
#   KVM_FUZZ_REALTIME=1   four CPUs that run at once (--realtime --smp 4) instead of two that take turns
#   TW_TESTHOST_ARGS   options of tools/testhost more, e.g. --debug
#
# The host's kernel log is left in build/kvm-fuzz.log.
cd "$(dirname "$0")/../.." || exit 1
seconds=${KVM_FUZZ_SECONDS:-60}
seed=${KVM_FUZZ_SEED:-$(date +%Y%m%d)}
args=(--append "page_poison=1 slub_debug=FZPU preempt=full")
[ -z "${KVM_FUZZ_REALTIME:-}" ] || args+=(--realtime --smp 4)
# Emulated time is slower than this machine's, and the more so under a debug kernel.
# shellcheck disable=SC2086,SC2206 # options, several in one variable
args+=(--timeout $((1200 + seconds * 60)) ${TW_TESTHOST_ARGS:-})
echo 1..3
out=$(mktemp) || exit 1
trap 'rm -f "$out"' EXIT
tools/testhost "${args[@]}" -- build/tests/kvm-fuzz/kvm_fuzz --seed "$seed" --seconds "$seconds" >"$out" 2>&1
rc=$?
cp build/testhost.log build/kvm-fuzz.log 2>/dev/null
sed 's/^/# /' "$out" | grep -v '^# \(not \)\?ok\|^# 1\.\.'
for n in 1 2; do
	grep "^\(not \)\?ok $n " "$out" || echo "not ok $n - the fuzzer gets that far"
done
if [ $rc -eq 0 ] || { [ $rc -eq 1 ] && grep -q '^not ok' "$out"; }; then
	echo "ok 3 - the host's kernel has nothing to say"
else
	echo "not ok 3 - the host's kernel has nothing to say (status $rc; build/kvm-fuzz.log; again: KVM_FUZZ_SEED=$seed KVM_FUZZ_SECONDS=$seconds tests/fuzz/kvm-fuzz.t)"
fi
[ $rc -eq 0 ]
